//! The picture of the demo: one line a campaign, with what it earns on paper and what it earns in the end.

use super::screen::Style;
use crate::metrics::Metrics;
use crate::status::{Status, WindowFigures};

/// Everything that a picture shows.
#[derive(Clone, Debug, PartialEq)]
pub struct Table {
    pub events: u64,
    pub customers: u64,
    pub window: String,
    /// By spend, the greatest first.
    pub rows: Vec<Row>,
}

/// One campaign.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    pub campaign: String,
    pub spend: Option<f64>,
    pub roas: Option<f64>,
    pub gross_profit_roas: Option<f64>,
    pub ltv_roas: Option<f64>,
    pub roi: Option<f64>,
    pub new_customers: Option<f64>,
    pub cac: Option<f64>,
    /// Value by what was invested.
    pub paid_back: Option<f64>,
    pub verdict: String,
}

/// Name and width of each column of numbers. A longer number shifts its line rather than to touch its neighbour.
const COLUMNS: [(&str, usize); 8] =
    [("SPEND", 9), ("ROAS", 7), ("GP-ROAS", 7), ("LTV-ROAS", 8), ("ROI", 7), ("NEW", 5), ("CAC", 8), ("PAID BACK", 9)];

const LEAST_NAME_WIDTH: usize = 24;
const MOST_NAME_WIDTH: usize = 40;

impl Table {
    /// The figures of `window` as they are now.
    pub fn of(status: &Status, metrics: &Metrics, window: &str) -> Table {
        let mut rows: Vec<Row> = status
            .campaigns
            .all()
            .iter()
            .filter_map(|(id, campaign)| {
                let figures = campaign.figures()?;
                let of_window = figures.window(window)?;
                Some(Row::new(id, of_window, figures.verdict.progress, &figures.verdict.value))
            })
            .collect();
        let spend = |row: &Row| row.spend.unwrap_or(0.0);
        rows.sort_by(|a, b| spend(b).total_cmp(&spend(a)).then_with(|| a.campaign.cmp(&b.campaign)));
        let customers = status.workers().into_iter().flat_map(|worker| worker.partitions().into_values());
        Table {
            events: metrics.committed_events(),
            customers: customers.map(|partition| partition.sizes.customers).sum(),
            window: window.to_owned(),
            rows,
        }
    }

    fn title(&self) -> String {
        let mut title = format!("payback demo   {} events", grouped(self.events as f64, 0));
        // Workers say how many they hold now and then, not with the first events.
        if self.customers > 0 {
            title += &format!("   {} customers", grouped(self.customers as f64, 0));
        }
        title + &format!("   {} campaigns   window: {}", self.rows.len(), self.window)
    }

    pub fn lines(&self, style: Style) -> Vec<String> {
        let name_width = self.rows.iter().map(|row| row.campaign.chars().count()).max().unwrap_or(0);
        let name_width = name_width.clamp(LEAST_NAME_WIDTH, MOST_NAME_WIDTH);
        let mut lines = vec![self.title(), String::new()];
        let titles: String = COLUMNS.iter().map(|(title, width)| format!(" {title:>width$}")).collect();
        lines.push(style.bold(&format!("{:<name_width$}{titles}  VERDICT", "CAMPAIGN")));
        lines.extend(self.rows.iter().map(|row| row.line(name_width, style)));
        lines.push(String::new());
        lines
    }
}

impl Row {
    fn new(campaign: &str, figures: &WindowFigures, paid_back: Option<f64>, verdict: &str) -> Row {
        Row {
            campaign: campaign.to_owned(),
            spend: figures.get("spend"),
            roas: figures.get("roas"),
            gross_profit_roas: figures.get("gross_profit_roas"),
            ltv_roas: figures.get("ltv_roas"),
            roi: figures.get("roi"),
            new_customers: figures.get("new_customers"),
            cac: figures.get("cac"),
            paid_back,
            verdict: verdict.to_owned(),
        }
    }

    fn line(&self, name_width: usize, style: Style) -> String {
        let cells = [
            whole(self.spend),
            percent(self.roas),
            percent(self.gross_profit_roas),
            percent(self.ltv_roas),
            percent(self.roi),
            whole(self.new_customers),
            self.cac.map_or(UNDEFINED.to_owned(), |cac| grouped(cac, 2)),
            percent(self.paid_back),
        ];
        let cells: String = cells.iter().zip(COLUMNS).map(|(cell, (_, width))| format!(" {cell:>width$}")).collect();
        let name: String = self.campaign.chars().take(name_width).collect();
        format!("{name:<name_width$}{cells}  {}", coloured(&self.verdict, style))
    }
}

/// In the colour of what is to be done.
fn coloured(verdict: &str, style: Style) -> String {
    let colour = match verdict {
        "profitable" => "32",
        "invest_for_ltv" => "36",
        "loses_on_margin" | "deficit" => "31",
        "too_early" => "33",
        _ => "0",
    };
    style.paint(colour, verdict)
}

/// Stands for a figure without a denominator.
const UNDEFINED: &str = "-";

fn whole(figure: Option<f64>) -> String {
    figure.map_or(UNDEFINED.to_owned(), |figure| grouped(figure, 0))
}

fn percent(ratio: Option<f64>) -> String {
    ratio.map_or(UNDEFINED.to_owned(), |ratio| format!("{} %", grouped(ratio * 100.0, 0)))
}

/// With so many decimals, and commas between thousands.
pub fn grouped(number: f64, decimals: usize) -> String {
    let text = format!("{:.decimals$}", number.abs());
    let (integer, fraction) = text.split_at(text.find('.').unwrap_or(text.len()));
    let mut grouped = String::new();
    // No zero is negative.
    if number < 0.0 && text.bytes().any(|digit| (b'1'..=b'9').contains(&digit)) {
        grouped.push('-');
    }
    for (place, digit) in integer.char_indices() {
        if place > 0 && (integer.len() - place).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped + fraction
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_grouped_and_rounded() {
        let table =
            [(0.0, "0"), (999.4, "999"), (1_234_567.0, "1,234,567"), (-49.6, "-50"), (-0.2, "0"), (-1e3, "-1,000")];
        for (number, text) in table {
            assert_eq!(grouped(number, 0), text);
        }
        assert_eq!(grouped(1_026.2, 2), "1,026.20");
    }

    #[test]
    fn a_picture_has_a_line_for_each_campaign() {
        let row = Row {
            campaign: "google:1".to_owned(),
            spend: Some(5_000_000.0),
            roas: Some(0.8),
            gross_profit_roas: Some(0.4),
            ltv_roas: Some(2.1),
            roi: Some(-0.6),
            new_customers: Some(40.0),
            cac: Some(1_250.5),
            paid_back: Some(1.05),
            verdict: "invest_for_ltv".to_owned(),
        };
        let unspent = Row { campaign: "email:1".to_owned(), spend: Some(0.0), roas: None, cac: None, ..row.clone() };
        let table = Table { events: 18_204, customers: 3_912, window: "lifetime".to_owned(), rows: vec![row, unspent] };
        let lines = table.lines(Style::Plain);
        let expected = [
            "payback demo   18,204 events   3,912 customers   2 campaigns   window: lifetime",
            "",
            "CAMPAIGN                     SPEND    ROAS GP-ROAS LTV-ROAS     ROI   NEW      CAC PAID BACK  VERDICT",
            "google:1                 5,000,000    80 %    40 %    210 %   -60 %    40 1,250.50     105 %  invest_for_ltv",
            "email:1                          0       -    40 %    210 %   -60 %    40        -     105 %  invest_for_ltv",
            "",
        ];
        assert_eq!(lines, expected);
        assert!(table.lines(Style::Colours)[3].ends_with("\x1b[36minvest_for_ltv\x1b[0m"));
    }
}
