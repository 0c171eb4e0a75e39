//! Campaigns' figures, for campaigns whose home partition this instance owns: together the instances show each once.
//!
//! An undefined figure has no series. Campaigns over the limit have none either, those that spent least of late, and are
//! counted. While the records are still being read back there is none of any: what is there may be of an older record.

use std::cmp::Ordering;
use std::sync::Arc;

use prometheus::Error;
use prometheus::core::{Collector, Desc};
use prometheus::proto::MetricFamily;

use super::family::Family;
use crate::config::Config;
use crate::engine::StageKind;
use crate::home;
use crate::settings::{Window, WindowSpan};
use crate::status::{Campaign, CampaignFigures, Status, TopVerdict};
use crate::time::Millis;

/// Metric, figure of a window, help.
const FIGURES: [(&str, &str, &str); 8] = [
    ("payback_roas_ratio", "roas", "Attributed revenue / spend."),
    ("payback_gross_profit_roas_ratio", "gross_profit_roas", "Attributed gross profit / spend."),
    ("payback_operating_profit_roas_ratio", "operating_profit_roas", "Attributed operating profit / spend."),
    ("payback_ltv_roas_ratio", "ltv_roas", "Revenue to date of the acquired customers / spend."),
    ("payback_roi_ratio", "roi", "(Attributed gross profit - invested) / invested."),
    ("payback_spend", "spend", "Media spend, in the reporting currency."),
    ("payback_revenue", "revenue", "Attributed revenue, in the reporting currency."),
    ("payback_cac", "cac", "Spend / new customers, in the reporting currency."),
];

type OfVerdict = fn(&TopVerdict) -> Option<f64>;

/// Metric, what of a campaign's one verdict, help.
const OF_VERDICT: [(&str, OfVerdict, &str); 2] = [
    (
        "payback_progress_ratio",
        |verdict| verdict.progress,
        "What a campaign is worth to date / invested, in the window of its verdict.",
    ),
    (
        "payback_at_stake",
        |verdict| verdict.at_stake,
        "What a campaign is worth to date - invested, in the window of its verdict, in the reporting currency.",
    ),
];

const SCOPE: &str = "campaign";

pub struct CampaignCollector {
    status: Arc<Status>,
    /// `metrics.max_campaigns`.
    limit: usize,
    /// The windows whose spend decides which campaigns are within the limit: the first one before the next.
    ranking: Ranking,
    figures: Vec<(Family, &'static str)>,
    verdict: Family,
    of_verdict: Vec<(Family, OfVerdict)>,
    not_exported: Family,
}

impl CampaignCollector {
    /// For the campaigns of `status`, in the windows of `config`.
    ///
    /// # Errors
    /// Prometheus takes no such name or label.
    pub fn new(config: &Config, status: Arc<Status>) -> Result<CampaignCollector, Error> {
        let figures = FIGURES
            .iter()
            .map(|(name, figure, help)| Ok((Family::new(name, help, &["scope", "id", "window"])?, *figure)))
            .collect::<Result<_, Error>>()?;
        let of_verdict = OF_VERDICT
            .iter()
            .map(|(name, figure, help)| Ok((Family::new(name, help, &["scope", "id"])?, *figure)))
            .collect::<Result<_, Error>>()?;
        Ok(CampaignCollector {
            status,
            limit: config.metrics.max_campaigns as usize,
            ranking: Ranking::of(&config.settings.windows),
            figures,
            verdict: Family::new(
                "payback_verdict",
                "1 for the verdict that a campaign has now.",
                &["scope", "id", "verdict"],
            )?,
            of_verdict,
            not_exported: Family::new(
                "payback_campaigns_not_exported",
                "Campaigns of this instance that have no series, by metrics.max_campaigns.",
                &[],
            )?,
        })
    }

    /// The campaigns that get series, and how many do not.
    fn exported(&self) -> (Vec<(String, Arc<Campaign>)>, usize) {
        let mut campaigns = self.at_home();
        let left_out = campaigns.len().saturating_sub(self.limit);
        if left_out > 0 {
            let rank = |campaign: &Campaign| campaign.figures().map(|figures| self.ranking.rank(figures));
            let mut by_rank: Vec<_> =
                campaigns.into_iter().map(|(id, campaign)| (rank(&campaign), id, campaign)).collect();
            by_rank.sort_by(|(rank, id, _), (other_rank, other_id, _)| {
                other_rank.partial_cmp(rank).unwrap_or(Ordering::Equal).then_with(|| id.cmp(other_id))
            });
            by_rank.truncate(self.limit);
            campaigns = by_rank.into_iter().map(|(_, id, campaign)| (id, campaign)).collect();
        }
        (campaigns, left_out)
    }

    fn at_home(&self) -> Vec<(String, Arc<Campaign>)> {
        let Some(partitions) = self.status.partitions(StageKind::Campaigns) else { return Vec::new() };
        let workers = self.status.workers();
        let of_stage = workers.iter().filter(|worker| worker.stage == StageKind::Campaigns);
        let owned: Vec<u32> = of_stage.flat_map(|worker| worker.partitions().into_keys()).collect();
        let mut campaigns = self.status.campaigns.all();
        campaigns.retain(|(id, _)| owned.contains(&home::home(id, partitions)));
        campaigns
    }
}

/// Which campaigns come first: those with the greater spend in the shortest window that holds a whole day, since that is what
/// is decided about now; where it is the same, in the longer ones; then those of whose spend something was heard last; then
/// those with the greater spend of the lifetime.
struct Ranking {
    /// Names, the shortest window first.
    latest: Vec<String>,
    lifetime: Option<String>,
}

/// The greater comes first.
#[derive(PartialEq, PartialOrd)]
struct Rank {
    latest: Vec<Option<f64>>,
    spend_through: Option<Millis>,
    lifetime: Option<f64>,
}

impl Ranking {
    fn of(windows: &[Window]) -> Ranking {
        let hours = |window: &Window| match window.span {
            WindowSpan::Hours(hours) => Some(hours),
            WindowSpan::Days(days) => Some(days.saturating_mul(24)),
            WindowSpan::Lifetime => None,
        };
        let mut latest: Vec<_> = windows.iter().filter_map(|window| Some((hours(window)?, window))).collect();
        latest.retain(|(hours, _)| *hours >= 24);
        latest.sort_by_key(|(hours, _)| *hours);
        let lifetime = windows.iter().find(|window| window.span == WindowSpan::Lifetime);
        Ranking {
            latest: latest.into_iter().map(|(_, window)| window.name.clone()).collect(),
            lifetime: lifetime.map(|window| window.name.clone()),
        }
    }

    fn rank(&self, figures: &CampaignFigures) -> Rank {
        let spend = |window: &String| figures.window(window)?.get("spend");
        Rank {
            latest: self.latest.iter().map(spend).collect(),
            spend_through: figures.spend_through,
            lifetime: self.lifetime.as_ref().and_then(spend),
        }
    }
}

impl Collector for CampaignCollector {
    fn desc(&self) -> Vec<&Desc> {
        let figures = self.figures.iter().map(|(family, _)| &family.desc);
        let of_verdict = self.of_verdict.iter().map(|(family, _)| &family.desc);
        figures.chain(of_verdict).chain([&self.verdict.desc, &self.not_exported.desc]).collect()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let was_complete = self.status.campaigns_are_complete();
        let (campaigns, left_out) = self.exported();
        // Before and after: they may be forgotten in between.
        let complete = was_complete && self.status.campaigns_are_complete();
        let campaigns = if complete { campaigns } else { Vec::new() };
        let mut figures: Vec<Vec<_>> = self.figures.iter().map(|_| Vec::new()).collect();
        let mut verdicts = Vec::with_capacity(campaigns.len());
        let mut of_verdict: Vec<Vec<_>> = self.of_verdict.iter().map(|_| Vec::new()).collect();
        for (id, campaign) in &campaigns {
            let Some(record) = campaign.figures() else { continue };
            verdicts.push(self.verdict.series(&[SCOPE, id, &record.verdict.value], 1.0));
            for ((family, figure), series) in self.of_verdict.iter().zip(&mut of_verdict) {
                series.extend(figure(&record.verdict).map(|value| family.series(&[SCOPE, id], value)));
            }
            for (window, values) in record.windows() {
                for ((family, figure), series) in self.figures.iter().zip(&mut figures) {
                    if let Some(value) = values.get(figure) {
                        series.push(family.series(&[SCOPE, id, window], value));
                    }
                }
            }
        }
        let figures = self.figures.iter().zip(figures).map(|((family, _), series)| family.of(series));
        let not_exported = complete.then(|| self.not_exported.series(&[], left_out as f64));
        let not_exported = self.not_exported.of(not_exported.into_iter().collect());
        let of_verdict = self.of_verdict.iter().zip(of_verdict).map(|((family, _), series)| family.of(series));
        figures.chain(of_verdict).chain([self.verdict.of(verdicts), not_exported]).collect()
    }
}
