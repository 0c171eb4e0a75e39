//! The parameters of `/v1/campaigns`, checked. An error names the parameter.

use crate::domain::verdict::Verdict;
use crate::status::{CampaignFigures, FIGURES};

const DEFAULT_LIMIT: usize = 100;
const MAX_LIMIT: usize = 1_000;
const MAX_TEXT_BYTES: usize = 256;

/// Which campaigns are asked for, and how they are shown.
#[derive(Debug)]
pub struct Listing {
    /// Whose figures are sorted by and shown.
    pub window: String,
    /// By what they are sorted.
    pub sort: SortKey,
    /// Whether the greatest come first.
    pub descending: bool,
    /// The most campaigns of a page.
    pub limit: usize,
    /// Campaigns before the page.
    pub offset: usize,
    /// Any of these, of the campaign's one verdict; empty: all.
    verdicts: Vec<String>,
    /// Any of these; empty: all.
    channels: Vec<String>,
    /// Any of these; empty: all.
    platforms: Vec<String>,
    /// Stands in the id or the name, in either case of letters.
    text: Option<String>,
}

/// What campaigns are sorted by.
#[derive(Debug, PartialEq, Eq)]
pub enum SortKey {
    /// Of the campaign.
    Id,
    /// Of the campaign, which may have none.
    Name,
    /// Of the campaign's verdict.
    Progress,
    /// Of the campaign's verdict.
    AtStake,
    /// A figure of the window.
    Figure(&'static str),
}

impl SortKey {
    fn named(name: &str) -> Option<SortKey> {
        match name {
            "id" => Some(SortKey::Id),
            "name" => Some(SortKey::Name),
            "progress" => Some(SortKey::Progress),
            "at_stake" => Some(SortKey::AtStake),
            _ => FIGURES.into_iter().find(|figure| *figure == name).map(SortKey::Figure),
        }
    }

    fn name(&self) -> &'static str {
        match self {
            SortKey::Id => "id",
            SortKey::Name => "name",
            SortKey::Progress => "progress",
            SortKey::AtStake => "at_stake",
            SortKey::Figure(figure) => figure,
        }
    }
}

impl Listing {
    /// # Errors
    /// What is wrong with which parameter.
    pub fn read(parameters: &[(String, String)], windows: &[String], window: &str) -> Result<Listing, String> {
        let mut listing = Listing {
            window: window.to_owned(),
            sort: SortKey::Figure("spend"),
            descending: true,
            limit: DEFAULT_LIMIT,
            offset: 0,
            verdicts: Vec::new(),
            channels: Vec::new(),
            platforms: Vec::new(),
            text: None,
        };
        for (position, (name, value)) in parameters.iter().enumerate() {
            if parameters[..position].iter().any(|(earlier, _)| earlier == name) {
                return Err(format!("{name}: is given twice; several values are separated by commas"));
            }
            if value.is_empty() || value.len() > MAX_TEXT_BYTES {
                return Err(format!("{name}: expected 1 to {MAX_TEXT_BYTES} bytes"));
            }
            listing.set(name, value, windows)?;
        }
        Ok(listing)
    }

    fn set(&mut self, name: &str, value: &str, windows: &[String]) -> Result<(), String> {
        match name {
            "window" if windows.iter().any(|window| window == value) => self.window = value.to_owned(),
            "window" => return Err(format!("window: expected one of {}, found {value:?}", windows.join(", "))),
            "sort" => {
                let key = value.strip_prefix('-');
                self.descending = key.is_some();
                self.sort = SortKey::named(key.unwrap_or(value)).ok_or_else(|| {
                    let figures = FIGURES.join(", ");
                    format!(
                        "sort: expected id, name, progress, at_stake, {figures}, with a - before it for the greatest \
                         first, found {value:?}"
                    )
                })?;
            }
            "limit" => self.limit = number(name, value, 1, MAX_LIMIT)?,
            "offset" => self.offset = number(name, value, 0, usize::MAX)?,
            "verdict" => {
                self.verdicts = several(value);
                let known = Verdict::ALL.map(Verdict::code);
                if let Some(unknown) = self.verdicts.iter().find(|verdict| !known.contains(&verdict.as_str())) {
                    return Err(format!("verdict: expected some of {}, found {unknown:?}", known.join(", ")));
                }
            }
            "channel" => self.channels = several(value),
            "platform" => self.platforms = several(value),
            "q" => self.text = Some(value.to_lowercase()),
            _ => {
                let known = "window, sort, verdict, channel, platform, q, limit and offset";
                return Err(format!("{name}: there are {known} only"));
            }
        }
        Ok(())
    }

    /// The `sort` that is asked for, as a parameter writes it.
    pub fn sort_text(&self) -> String {
        format!("{}{}", if self.descending { "-" } else { "" }, self.sort.name())
    }

    /// Whether a campaign is among those that are asked for.
    pub fn lets_through(&self, id: &str, campaign: &CampaignFigures) -> bool {
        let among = |asked: &[String], found: Option<&str>| {
            asked.is_empty() || found.is_some_and(|found| asked.iter().any(|asked| asked == found))
        };
        let holds = |text: &str| {
            let in_name = |name: &str| name.to_lowercase().contains(text);
            in_name(id) || campaign.name.as_deref().is_some_and(in_name)
        };
        among(&self.verdicts, Some(&campaign.verdict.value))
            && among(&self.channels, campaign.channel.as_deref())
            && among(&self.platforms, campaign.platform.as_deref())
            && self.text.as_deref().is_none_or(holds)
    }
}

fn several(value: &str) -> Vec<String> {
    value.split(',').map(str::to_owned).collect()
}

fn number(name: &str, value: &str, least: usize, most: usize) -> Result<usize, String> {
    let number = value.parse().ok().filter(|number| (least..=most).contains(number));
    number.ok_or_else(|| match most {
        usize::MAX => format!("{name}: expected a whole number from {least} on, found {value:?}"),
        _ => format!("{name}: expected a whole number from {least} to {most}, found {value:?}"),
    })
}
