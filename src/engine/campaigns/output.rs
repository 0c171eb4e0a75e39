//! The state to records: what a flush and a roll write, and what the API reads in between.

use std::borrow::Cow;
use std::hash::{Hash, Hasher};

use xxhash_rust::xxh3::Xxh3;

use super::book::Book;
use super::calendar::Calendar;
use super::campaign::{Campaign, WindowSums};
use super::clock::Clock;
use super::figures::{self, Moment};
use super::naming::Naming;
use super::record::{CampaignRecord, Windows};
use crate::domain::verdict::Verdict;
use crate::engine::Effects;
use crate::engine::table::{Identity, Names};
use crate::settings::Settings;
use crate::time::Millis;

/// When an update is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum When {
    Always,
    /// Only if more than the time differs from the last one, or if that one is not known.
    Different,
}

/// Where the updates of one flush are written: one after the other in the same memory.
#[derive(Debug)]
pub struct Page {
    as_of: Millis,
    /// `as_of` as records hold it.
    text: String,
    json: Vec<u8>,
    key: String,
}

impl Page {
    pub fn new(as_of: Millis) -> Page {
        Page { as_of, text: as_of.to_string(), json: Vec::new(), key: String::new() }
    }

    pub fn as_of(&self) -> Millis {
        self.as_of
    }

    fn key_of(&mut self, campaign: &Campaign) -> &str {
        self.key.clear();
        self.key.push_str("campaign/");
        self.key.push_str(campaign.id());
        &self.key
    }
}

/// What updates are written of.
pub struct Source<'a> {
    pub book: &'a mut Book,
    pub calendar: &'a Calendar,
    pub settings: &'a Settings,
}

impl<'a> Source<'a> {
    fn present(&self) -> (&'a Calendar, &'a Settings) {
        (self.calendar, self.settings)
    }
}

/// The records of a partition's campaigns, as far as they were written.
#[derive(Debug, Default)]
pub struct Output {
    /// Since when something waits that belongs to the figures; none while nothing waits for long.
    read_through: Option<Millis>,
    existing: u64,
    bytes: usize,
    /// Buckets of all campaigns that are open.
    open: usize,
}

/// All that a campaign's record is made of.
struct View<'a> {
    campaign: &'a Campaign,
    windows: &'a [WindowSums],
    verdicts: Vec<Verdict>,
    naming: &'a Naming,
    calendar: &'a Calendar,
    settings: &'a Settings,
    read_through: Option<Millis>,
}

impl Output {
    /// What the figures lack waits since `read_through`; none: nothing waits for long. While something does, every verdict is
    /// [`Verdict::CatchingUp`].
    pub fn set_read_through(&mut self, read_through: Option<Millis>) {
        self.read_through = read_through;
    }

    /// Campaigns that there is a record of.
    pub fn existing(&self) -> u64 {
        self.existing
    }

    /// Buckets of all campaigns that are open.
    pub fn open(&self) -> usize {
        self.open
    }

    /// Estimate of the bytes that campaigns hold beside their places.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Brings what is computed lazily up to date, and writes a campaign's update, or its tombstone.
    pub fn write(
        &mut self,
        number: u32,
        when: When,
        source: &mut Source<'_>,
        page: &mut Page,
        effects: &mut impl Effects,
    ) {
        source.book.name(number);
        source.book.campaigns[number].sum_windows(source.calendar);
        self.count(number, source.book);
        let campaign = &source.book.campaigns[number];
        if !effects.wants_updates() {
            source.book.campaigns[number].written = None;
            return;
        }
        if !campaign.exists() {
            if when == When::Always {
                effects.update(page.key_of(campaign), None);
            }
            source.book.campaigns[number].written = None;
            return;
        }
        let view = self.view(campaign, campaign.windows(), &campaign.naming, source.present(), page.as_of);
        let digest = view.digest();
        if when == When::Different && campaign.written == Some(digest) {
            return;
        }
        page.json.clear();
        // Writing into memory can't fail.
        if serde_json::to_writer(&mut page.json, &view.record(source.book.names(), &page.text)).is_ok() {
            page.key_of(campaign);
            effects.update(&page.key, Some(&page.json));
        }
        source.book.campaigns[number].written = Some(digest);
    }

    /// The record of a campaign, as things are.
    pub fn current(&self, id: &str, as_of: Millis, book: &Book, clock: &Clock, settings: &Settings) -> Option<Vec<u8>> {
        let campaign = &book.campaigns[book.campaigns.find(0, id)?];
        if !campaign.exists() {
            return None;
        }
        let as_of = clock.moment(as_of);
        let hour = settings.zone.hour_start(as_of);
        let calendar = match clock.calendar() {
            Some(calendar) if calendar.hour == hour => Cow::Borrowed(calendar),
            _ => Cow::Owned(clock.calendar_of(as_of, settings)),
        };
        let windows = if campaign.is_summed_for(&calendar) {
            Cow::Borrowed(campaign.windows())
        } else if clock.calendar().is_some() {
            Cow::Owned(campaign.summed(&calendar))
        } else {
            let mut campaign = campaign.clone();
            let booked = book.recent_spend(&campaign, &calendar);
            booked.into_iter().for_each(|(hour, sums)| campaign.hours.add(hour, sums));
            Cow::Owned(campaign.summed(&calendar))
        };
        let naming = match campaign.naming.stale {
            true => Cow::Owned(book.named(campaign)),
            false => Cow::Borrowed(&campaign.naming),
        };
        let view = self.view(campaign, &windows, &naming, (&calendar, settings), as_of);
        serde_json::to_vec(&view.record(book.names(), &as_of.to_string())).ok()
    }

    fn view<'a>(
        &self,
        campaign: &'a Campaign,
        windows: &'a [WindowSums],
        naming: &'a Naming,
        (calendar, settings): (&'a Calendar, &'a Settings),
        as_of: Millis,
    ) -> View<'a> {
        let moment = Moment { as_of, spend_through: naming.through(), catching_up: self.read_through.is_some() };
        let verdicts = windows.iter().zip(&calendar.spans).map(|(window, span)| {
            let totals = figures::totals_of(span, window, &campaign.lifetime);
            figures::verdict(settings, span, totals, window.mature_customers, moment)
        });
        let (verdicts, read_through) = (verdicts.collect(), self.read_through);
        View { campaign, windows, verdicts, naming, calendar, settings, read_through }
    }

    /// Brings the sizes up to date for one campaign.
    pub fn count(&mut self, number: u32, book: &mut Book) {
        let campaign = &mut book.campaigns[number];
        let bytes = campaign.bytes();
        self.bytes = self.bytes - campaign.counted_bytes + bytes;
        campaign.counted_bytes = bytes;
        let open = campaign.open();
        self.open = self.open - campaign.counted_open + open;
        campaign.counted_open = open;
        let exists = campaign.exists();
        self.existing = self.existing + u64::from(exists) - u64::from(campaign.counted);
        campaign.counted = exists;
    }
}

impl<'a> View<'a> {
    fn record(&'a self, names: &'a Names, as_of: &'a str) -> CampaignRecord<'a> {
        let settings = self.settings;
        let labels = self.naming.labels();
        let label = |number| names.text(number).map(Cow::Borrowed);
        let totals = |index: usize| {
            figures::totals_of(&self.calendar.spans[index], &self.windows[index], &self.campaign.lifetime)
        };
        let windows = settings.windows.iter().enumerate().map(|(index, window)| {
            let span = &self.calendar.spans[index];
            let figures = figures::window(settings, span, totals(index), self.verdicts[index]);
            (Cow::Borrowed(window.name.as_str()), figures)
        });
        let moment = |at: Option<Millis>| at.map(|at| Cow::Owned(at.to_string()));
        let chosen = settings.verdict.window;
        CampaignRecord {
            scope: Cow::Borrowed("campaign"),
            id: Cow::Borrowed(self.campaign.id()),
            name: label(labels.name),
            platform: label(labels.platform),
            objective: label(labels.objective),
            channel: label(labels.channel),
            currency: Cow::Borrowed(settings.currency.as_str()),
            as_of: Cow::Borrowed(as_of),
            spend_through: moment(self.naming.through()),
            read_through: (settings.format.number() >= 2).then(|| moment(self.read_through)),
            verdict: figures::top_verdict(
                settings,
                &settings.windows[chosen].name,
                totals(chosen),
                self.verdicts[chosen],
            ),
            windows: Windows(windows.collect()),
        }
    }

    /// Of all that the record says, but the time.
    fn digest(&self) -> u64 {
        let mut hasher = Xxh3::new();
        self.campaign.lifetime.hash(&mut hasher);
        self.calendar.spans.iter().for_each(|span| span.bounds.hash(&mut hasher));
        self.windows.iter().for_each(|window| window.totals.hash(&mut hasher));
        self.verdicts.hash(&mut hasher);
        self.naming.labels().hash(&mut hasher);
        self.naming.through().hash(&mut hasher);
        hasher.finish()
    }
}
