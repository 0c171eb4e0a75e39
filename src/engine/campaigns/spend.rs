//! Spend events: the current version of each, found by its identity, and what it books.

use crate::domain::booking::Booking;
use crate::domain::spend::SpendKind;
use crate::engine::table::{Id, Identity, NONE, Names, Table};
use crate::money::{Micros, Sum};
use crate::time::{Date, Millis, Zone};

use super::facts::{AmountFact, ReportFact};
use super::naming::{Claim, LabelSets, Labels};
use super::totals::SpendSums;

/// Decides between two events of one identity: the greater is current. Later time, greater amount, greater digest.
pub type Rank = (Millis, Micros, u64);

/// All current spend events of a partition.
#[derive(Debug, Default)]
pub struct SpendBook {
    pub series: Table<Series>,
    pub amounts: Table<Amount>,
    pub names: Names,
    pub labels: LabelSets,
    /// What all series have room for.
    cells: usize,
}

/// The cells of one campaign, kind and breakdown.
#[derive(Debug)]
pub struct Series {
    campaign: u32,
    kind: SpendKind,
    id: Id,
    /// By date.
    cells: Vec<Cell>,
}

/// The current report of one date.
#[derive(Clone, Copy, Debug)]
pub struct Cell {
    pub date: Date,
    pub reported_at: Millis,
    pub amount: Micros,
    pub digest: u64,
    pub impressions: i64,
    pub clicks: i64,
    reported_revenue: Reported,
    /// Their number in [`LabelSets`]: those of a campaign's cells are mostly alike.
    labels: u32,
}

/// An amount of 0 or more that may be missing, in eight bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Reported(i64);

impl Reported {
    const NOTHING: i64 = -1;

    fn new(amount: Option<Micros>) -> Reported {
        Reported(amount.map_or(Self::NOTHING, |amount| amount.0))
    }

    fn get(self) -> Option<Micros> {
        (self.0 != Self::NOTHING).then_some(Micros(self.0))
    }
}

/// A spend id, and its current event.
#[derive(Debug, Default)]
pub struct Amount {
    campaign: u32,
    id: Id,
    pub current: Option<Spent>,
}

/// An amount spent at a moment.
#[derive(Clone, Copy, Debug)]
pub struct Spent {
    pub occurred_at: Millis,
    pub amount: Micros,
    pub digest: u64,
    pub kind: SpendKind,
    pub channel: u32,
}

impl Identity for Series {
    fn owner(&self) -> u32 {
        self.campaign
    }

    fn id(&self) -> &Id {
        &self.id
    }
}

impl Identity for Amount {
    fn owner(&self) -> u32 {
        self.campaign
    }

    fn id(&self) -> &Id {
        &self.id
    }
}

impl Series {
    /// `campaign` is its number; the id holds the kind and, behind a colon, the breakdown where there is one.
    pub fn new(campaign: u32, kind: SpendKind, breakdown: Option<&str>) -> Series {
        Series { campaign, kind, id: Self::id_of(kind, breakdown).into(), cells: Vec::new() }
    }

    pub fn id_of(kind: SpendKind, breakdown: Option<&str>) -> String {
        let kind = match kind {
            SpendKind::Media => "m",
            SpendKind::Fee => "f",
            SpendKind::Creative => "c",
            SpendKind::Other => "o",
        };
        match breakdown {
            Some(breakdown) => format!("{kind}:{breakdown}"),
            None => kind.to_owned(),
        }
    }

    pub fn kind(&self) -> SpendKind {
        self.kind
    }

    pub fn breakdown(&self) -> Option<&str> {
        self.id.split_once(':').map(|(_, breakdown)| breakdown)
    }

    pub fn cells(&self) -> &[Cell] {
        &self.cells
    }

    pub fn cell(&self, date: Date) -> Option<&Cell> {
        self.position(date).ok().and_then(|position| self.cells.get(position))
    }

    /// The dates before `horizon` that there is a report of.
    pub fn dates_before(&self, horizon: Date) -> impl Iterator<Item = Date> {
        self.cells.iter().map(|cell| cell.date).take_while(move |date| *date < horizon)
    }

    fn replace(&mut self, date: Date, cell: Option<Cell>) {
        if self.cells.len() == self.cells.capacity() {
            // There may be hundreds of thousands of these lists.
            self.cells.reserve_exact(self.cells.len() / 8 + 4);
        }
        match (self.position(date), cell) {
            (Ok(position), Some(cell)) => self.cells[position] = cell,
            (Ok(position), None) => {
                self.cells.remove(position);
            }
            // Dates come one after the other: as a rule this is the end.
            (Err(position), Some(cell)) => self.cells.insert(position, cell),
            (Err(_), None) => {}
        }
    }

    fn position(&self, date: Date) -> Result<usize, usize> {
        self.cells.binary_search_by_key(&date, |cell| cell.date)
    }
}

impl Cell {
    pub fn new(date: Date, report: &ReportFact<'_>, book: &mut SpendBook) -> Cell {
        let names = &mut book.names;
        let labels = Labels {
            channel: names.optional_number(report.channel),
            name: names.optional_number(report.campaign_name),
            platform: names.optional_number(report.platform),
            objective: names.optional_number(report.objective),
        };
        Cell {
            date,
            reported_at: report.reported_at,
            amount: report.amount,
            digest: report.digest,
            impressions: report.impressions.unwrap_or(0),
            clicks: report.clicks.unwrap_or(0),
            reported_revenue: Reported::new(report.reported_revenue),
            labels: book.labels.number(labels),
        }
    }

    pub fn rank(&self) -> Rank {
        (self.reported_at, self.amount, self.digest)
    }

    pub fn reported_revenue(&self) -> Option<Micros> {
        self.reported_revenue.get()
    }

    pub fn labels(&self, sets: &LabelSets) -> Labels {
        sets.get(self.labels)
    }

    pub fn claim(&self, kind: SpendKind, zone: &Zone, sets: &LabelSets) -> Claim {
        let through = (kind == SpendKind::Media).then(|| self.booking(zone).through());
        Claim { at: self.reported_at, labels: self.labels(sets), through }
    }

    fn booking(&self, zone: &Zone) -> Booking {
        Booking::new(zone, self.date, self.reported_at)
    }

    /// What is booked on each hour that the report covers.
    pub fn hours(&self, kind: SpendKind, zone: &Zone) -> impl Iterator<Item = (Millis, SpendSums)> {
        let (cell, booking) = (*self, self.booking(zone));
        (0..booking.hours()).map(move |index| {
            let part = |total: i64| i128::from(booking.part(total, index));
            let reported = cell.reported_revenue();
            let sums = SpendSums {
                impressions: part(cell.impressions),
                clicks: part(cell.clicks),
                reported_revenue: Sum(part(reported.map_or(0, |revenue| revenue.0))),
                reporting: i64::from(reported.is_some()),
                ..spent(kind, Sum(part(cell.amount.0)))
            };
            (booking.hour(index), sums)
        })
    }
}

impl Amount {
    pub fn new(campaign: u32, id: &str) -> Amount {
        Amount { campaign, id: id.into(), current: None }
    }
}

impl Spent {
    pub fn new(event: &AmountFact<'_>, book: &mut SpendBook) -> Spent {
        Spent {
            occurred_at: event.occurred_at,
            amount: event.amount,
            digest: event.digest,
            kind: event.kind,
            channel: book.names.optional_number(event.channel),
        }
    }

    pub fn rank(&self) -> Rank {
        (self.occurred_at, self.amount, self.digest)
    }

    pub fn claim(&self) -> Claim {
        let labels = Labels { channel: self.channel, name: NONE, platform: NONE, objective: NONE };
        Claim { at: self.occurred_at, labels, through: (self.kind == SpendKind::Media).then_some(self.occurred_at) }
    }

    pub fn sums(&self) -> SpendSums {
        spent(self.kind, self.amount.into())
    }
}

fn spent(kind: SpendKind, amount: Sum) -> SpendSums {
    let media = if kind == SpendKind::Media { amount } else { Sum::ZERO };
    SpendSums { media, all: amount, ..SpendSums::default() }
}

impl SpendBook {
    /// Puts the current report of a date in the place of the former, or takes it away.
    pub fn replace_cell(&mut self, series: u32, date: Date, cell: Option<Cell>) {
        let cells = &mut self.series[series];
        let former = cells.cell(date).map(|cell| cell.labels);
        if let Some(cell) = &cell {
            self.labels.hold(cell.labels, &mut self.names);
        }
        self.cells -= cells.cells.capacity();
        cells.replace(date, cell);
        self.cells += cells.cells.capacity();
        former.into_iter().for_each(|labels| self.labels.release(labels, &mut self.names));
    }

    /// The number of a series, and whether it is new.
    pub fn series_number(&mut self, campaign: u32, kind: SpendKind, breakdown: Option<&str>) -> (u32, bool) {
        match self.series.find(campaign, &Series::id_of(kind, breakdown)) {
            Some(number) => (number, false),
            None => (self.series.insert(Series::new(campaign, kind, breakdown)), true),
        }
    }

    /// The number of an amount, and whether it is new.
    pub fn amount_number(&mut self, campaign: u32, id: &str) -> (u32, bool) {
        match self.amounts.find(campaign, id) {
            Some(number) => (number, false),
            None => (self.amounts.insert(Amount::new(campaign, id)), true),
        }
    }

    /// Puts the current event of a spend id in the place of the former, or takes it away.
    pub fn replace_amount(&mut self, amount: u32, spent: Option<Spent>) {
        let channel = |spent: Option<Spent>| spent.map_or(NONE, |spent| spent.channel);
        self.names.hold(channel(spent));
        let former = std::mem::replace(&mut self.amounts[amount].current, spent);
        self.names.release(channel(former));
    }

    /// Takes a spend id out with its current event.
    pub fn remove_amount(&mut self, amount: u32) -> Amount {
        let amount = self.amounts.remove(amount);
        self.names.release(amount.current.map_or(NONE, |spent| spent.channel));
        amount
    }

    /// What all current events of some series and amounts say.
    pub fn claims<'a>(
        &'a self,
        series: &'a [u32],
        amounts: impl Iterator<Item = u32> + 'a,
        zone: &'a Zone,
    ) -> impl Iterator<Item = Claim> + 'a {
        let of_series = series.iter().flat_map(move |&number| {
            let series = &self.series[number];
            series.cells.iter().map(|cell| cell.claim(series.kind, zone, &self.labels))
        });
        let of_amounts = amounts.filter_map(|number| self.amounts[number].current.map(|spent| spent.claim()));
        of_series.chain(of_amounts)
    }

    pub fn bytes(&self) -> usize {
        let cells = self.cells * size_of::<Cell>();
        cells + self.series.bytes() + self.amounts.bytes() + self.names.bytes() + self.labels.bytes()
    }
}
