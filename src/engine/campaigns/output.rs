//! The state to records: what a flush and a roll write, and what the API reads in between.

use std::borrow::Cow;
use std::hash::{Hash, Hasher};

use xxhash_rust::xxh3::Xxh3;

use super::Campaigns;
use super::calendar::Calendar;
use super::campaign::{Campaign, WindowSums};
use super::figures::{self, Moment};
use super::naming::Naming;
use super::record::{CampaignRecord, Windows};
use crate::domain::verdict::Verdict;
use crate::engine::Effects;
use crate::engine::table::Identity;
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

    fn key_of(&mut self, campaign: &Campaign) -> &str {
        self.key.clear();
        self.key.push_str("campaign/");
        self.key.push_str(campaign.id());
        &self.key
    }
}

/// All that a campaign's record is made of.
struct View<'a> {
    campaign: &'a Campaign,
    windows: &'a [WindowSums],
    verdicts: Vec<Verdict>,
    naming: &'a Naming,
    calendar: &'a Calendar,
}

impl Campaigns {
    /// Brings what is computed lazily up to date for the present calendar.
    pub(super) fn prepare(&mut self, number: u32) {
        self.name(number);
        if let Some(calendar) = &self.calendar {
            self.campaigns[number].sum_windows(calendar);
        }
    }

    /// Looks at a campaign's own spend events again where its naming needs it.
    pub(super) fn name(&mut self, number: u32) {
        if self.campaigns[number].naming.stale {
            self.campaigns[number].naming = self.named(&self.campaigns[number]);
        }
    }

    fn named(&self, campaign: &Campaign) -> Naming {
        let claims = self.spend.claims(&campaign.series, campaign.all_amounts(), &self.settings.zone);
        let settled = campaign.carried.as_ref().map(|carried| &carried.naming);
        Naming::of(settled, claims, &self.spend.names)
    }

    /// Writes a campaign's update, or its tombstone; [`Campaigns::prepare`] must have gone before.
    pub(super) fn write_update(&mut self, number: u32, when: When, page: &mut Page, effects: &mut impl Effects) {
        self.count(number);
        let Some(calendar) = &self.calendar else { return };
        let campaign = &self.campaigns[number];
        if !campaign.exists() {
            if when == When::Always {
                effects.update(page.key_of(campaign), None);
            }
            self.campaigns[number].written = None;
            return;
        }
        let view = self.view(campaign, campaign.windows(), &campaign.naming, calendar, page.as_of);
        let digest = view.digest();
        if when == When::Different && campaign.written == Some(digest) {
            return;
        }
        page.json.clear();
        // Writing into memory can't fail.
        if serde_json::to_writer(&mut page.json, &self.record_of(&view, &page.text)).is_ok() {
            page.key_of(campaign);
            effects.update(&page.key, Some(&page.json));
        }
        self.campaigns[number].written = Some(digest);
    }

    pub(super) fn current_record(&self, id: &str, as_of: Millis) -> Option<Vec<u8>> {
        let campaign = &self.campaigns[self.campaigns.find(0, id)?];
        if !campaign.exists() {
            return None;
        }
        let as_of = self.as_of.map_or(as_of, |known| known.max(as_of));
        let hour = self.settings.zone.hour_start(as_of);
        let calendar = match &self.calendar {
            Some(calendar) if calendar.hour == hour => Cow::Borrowed(calendar),
            _ => Cow::Owned(Calendar::new(as_of, self.compacted(as_of), &self.settings)),
        };
        let windows = if campaign.is_summed_for(&calendar) {
            Cow::Borrowed(campaign.windows())
        } else if self.calendar.is_some() {
            Cow::Owned(campaign.summed(&calendar))
        } else {
            let mut campaign = campaign.clone();
            let booked = self.recent_spend(&campaign, &calendar);
            booked.into_iter().for_each(|(hour, sums)| campaign.book_hour(hour, sums));
            Cow::Owned(campaign.summed(&calendar))
        };
        let naming = match campaign.naming.stale {
            true => Cow::Owned(self.named(campaign)),
            false => Cow::Borrowed(&campaign.naming),
        };
        let view = self.view(campaign, &windows, &naming, &calendar, as_of);
        serde_json::to_vec(&self.record_of(&view, &as_of.to_string())).ok()
    }

    fn view<'a>(
        &self,
        campaign: &'a Campaign,
        windows: &'a [WindowSums],
        naming: &'a Naming,
        calendar: &'a Calendar,
        as_of: Millis,
    ) -> View<'a> {
        let moment = Moment { as_of, spend_through: naming.through(), catching_up: self.read_through.is_some() };
        let verdicts = windows.iter().zip(&calendar.spans).map(|(window, span)| {
            let totals = figures::totals_of(span, window, &campaign.lifetime);
            figures::verdict(&self.settings, span, totals, window.mature_customers, moment)
        });
        View { campaign, windows, verdicts: verdicts.collect(), naming, calendar }
    }

    fn record_of<'a>(&'a self, view: &View<'a>, as_of: &'a str) -> CampaignRecord<'a> {
        let settings = &*self.settings;
        let labels = view.naming.labels();
        let label = |number| self.spend.names.text(number).map(Cow::Borrowed);
        let totals = |index: usize| {
            figures::totals_of(&view.calendar.spans[index], &view.windows[index], &view.campaign.lifetime)
        };
        let windows = settings.windows.iter().enumerate().map(|(index, window)| {
            let span = &view.calendar.spans[index];
            let figures = figures::window(settings, span, totals(index), view.verdicts[index]);
            (Cow::Borrowed(window.name.as_str()), figures)
        });
        let chosen = settings.verdict.window;
        CampaignRecord {
            scope: Cow::Borrowed("campaign"),
            id: Cow::Borrowed(view.campaign.id()),
            name: label(labels.name),
            platform: label(labels.platform),
            objective: label(labels.objective),
            channel: label(labels.channel),
            currency: Cow::Borrowed(settings.currency.as_str()),
            as_of: Cow::Borrowed(as_of),
            spend_through: view.naming.through().map(|through| Cow::Owned(through.to_string())),
            read_through: (settings.format.number() >= 2)
                .then(|| self.read_through.map(|through| Cow::Owned(through.to_string()))),
            verdict: figures::top_verdict(
                settings,
                &settings.windows[chosen].name,
                totals(chosen),
                view.verdicts[chosen],
            ),
            windows: Windows(windows.collect()),
        }
    }

    /// Brings the sizes up to date for one campaign.
    pub(super) fn count(&mut self, number: u32) {
        let campaign = &mut self.campaigns[number];
        let bytes = campaign.bytes();
        self.bytes = self.bytes - campaign.counted_bytes + bytes;
        campaign.counted_bytes = bytes;
        let exists = campaign.exists();
        self.existing = self.existing + u64::from(exists) - u64::from(campaign.counted);
        campaign.counted = exists;
    }
}

impl View<'_> {
    /// Of all that the record says, but the time.
    fn digest(&self) -> u64 {
        let mut hasher = Xxh3::new();
        self.campaign.lifetime.hash(&mut hasher);
        self.windows.iter().for_each(|window| window.totals.hash(&mut hasher));
        self.verdicts.hash(&mut hasher);
        self.naming.labels().hash(&mut hasher);
        self.naming.through().hash(&mut hasher);
        hasher.finish()
    }
}
