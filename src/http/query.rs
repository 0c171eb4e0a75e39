//! The parameters of `/v1/campaigns`, checked. An error names the parameter.

use std::fmt;

use axum::extract::rejection::QueryRejection;
use serde::Deserialize;

use crate::domain::verdict::Verdict;
use crate::status::{CampaignFigures, FIGURES};

const DEFAULT_LIMIT: usize = 100;
const MAX_LIMIT: usize = 1_000;
const MAX_TEXT_BYTES: usize = 256;

/// Which campaigns are asked for, and how they are shown.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Listing {
    /// Whose figures are sorted by and shown.
    window: Option<Text>,
    /// By what they are sorted.
    pub sort: Sort,
    /// Any of these, of the campaign's one verdict; empty: all.
    verdict: Verdicts,
    /// Any of these; empty: all.
    channel: Texts,
    /// Any of these; empty: all.
    platform: Texts,
    /// Stands in the id or the name, in either case of letters.
    q: Option<Sought>,
    /// The most campaigns of a page.
    pub limit: Limit,
    /// Campaigns before the page.
    pub offset: Offset,
}

/// Any value: neither empty nor long.
#[derive(Debug, Deserialize)]
#[serde(try_from = "String")]
struct Text(String);

impl TryFrom<String> for Text {
    type Error = String;

    fn try_from(text: String) -> Result<Text, String> {
        let fits = (1..=MAX_TEXT_BYTES).contains(&text.len());
        if fits { Ok(Text(text)) } else { Err(format!("expected 1 to {MAX_TEXT_BYTES} bytes")) }
    }
}

/// What campaigns are sorted by, and which way.
#[derive(Debug, Deserialize)]
#[serde(try_from = "Text")]
pub struct Sort {
    /// By what.
    pub key: SortKey,
    /// Whether the greatest come first.
    pub descending: bool,
}

impl Default for Sort {
    fn default() -> Self {
        Sort { key: SortKey::Figure("spend"), descending: true }
    }
}

impl TryFrom<Text> for Sort {
    type Error = String;

    fn try_from(Text(text): Text) -> Result<Sort, String> {
        let greatest_first = text.strip_prefix('-');
        let key = SortKey::named(greatest_first.unwrap_or(&text)).ok_or_else(|| {
            let figures = FIGURES.join(", ");
            format!(
                "expected id, name, progress, at_stake, {figures}, with a - before it for the greatest first, found \
                 {text:?}"
            )
        })?;
        Ok(Sort { key, descending: greatest_first.is_some() })
    }
}

impl fmt::Display for Sort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", if self.descending { "-" } else { "" }, self.key.name())
    }
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

/// A text to be found, in small letters.
#[derive(Debug, Deserialize)]
#[serde(from = "Text")]
struct Sought(String);

impl From<Text> for Sought {
    fn from(Text(text): Text) -> Sought {
        Sought(text.to_lowercase())
    }
}

/// Several values, with commas between them.
#[derive(Debug, Default, Deserialize)]
#[serde(from = "Text")]
struct Texts(Vec<String>);

impl From<Text> for Texts {
    fn from(Text(text): Text) -> Texts {
        Texts(text.split(',').map(str::to_owned).collect())
    }
}

impl Texts {
    fn have(&self, found: Option<&str>) -> bool {
        self.0.is_empty() || found.is_some_and(|found| self.0.iter().any(|asked| asked == found))
    }
}

/// The same of verdicts that there are.
#[derive(Debug, Default, Deserialize)]
#[serde(try_from = "Texts")]
struct Verdicts(Texts);

impl TryFrom<Texts> for Verdicts {
    type Error = String;

    fn try_from(verdicts: Texts) -> Result<Verdicts, String> {
        let known = Verdict::ALL.map(Verdict::code);
        match verdicts.0.iter().find(|verdict| !known.contains(&verdict.as_str())) {
            Some(unknown) => Err(format!("expected some of {}, found {unknown:?}", known.join(", "))),
            None => Ok(Verdicts(verdicts)),
        }
    }
}

/// How many campaigns a page has at most.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(try_from = "Text")]
pub struct Limit(pub usize);

impl Default for Limit {
    fn default() -> Self {
        Limit(DEFAULT_LIMIT)
    }
}

impl TryFrom<Text> for Limit {
    type Error = String;

    fn try_from(Text(text): Text) -> Result<Limit, String> {
        let limit = text.parse().ok().filter(|limit| (1..=MAX_LIMIT).contains(limit));
        limit.map(Limit).ok_or_else(|| format!("expected a whole number from 1 to {MAX_LIMIT}, found {text:?}"))
    }
}

/// How many campaigns come before a page.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(try_from = "Text")]
pub struct Offset(pub usize);

impl TryFrom<Text> for Offset {
    type Error = String;

    fn try_from(Text(text): Text) -> Result<Offset, String> {
        text.parse().map(Offset).map_err(|_| format!("expected a whole number from 0 on, found {text:?}"))
    }
}

impl Listing {
    /// The window that is asked for, else `default`.
    ///
    /// # Errors
    /// There is no such window.
    pub fn window(&self, windows: &[String], default: &str) -> Result<String, String> {
        match &self.window {
            None => Ok(default.to_owned()),
            Some(Text(asked)) if windows.contains(asked) => Ok(asked.clone()),
            Some(Text(asked)) => Err(format!("window: expected one of {}, found {asked:?}", windows.join(", "))),
        }
    }

    /// Whether a campaign is among those that are asked for.
    pub fn lets_through(&self, id: &str, campaign: &CampaignFigures) -> bool {
        let holds = |Sought(text): &Sought| {
            let in_name = |name: &str| name.to_lowercase().contains(text);
            in_name(id) || campaign.name.as_deref().is_some_and(in_name)
        };
        self.verdict.0.have(Some(&campaign.verdict.value))
            && self.channel.have(campaign.channel.as_deref())
            && self.platform.have(campaign.platform.as_deref())
            && self.q.as_ref().is_none_or(holds)
    }
}

/// What is wrong with which parameter, in the words of this API.
pub fn problem(rejection: &QueryRejection) -> String {
    let said = rejection.body_text();
    let said = said.strip_prefix("Failed to deserialize query string: ").unwrap_or(&said);
    if let Some(name) = said.strip_prefix("duplicate field ") {
        return format!("{}: is given twice; several values are separated by commas", name.replace('`', ""));
    }
    match said.split_once(": unknown field ") {
        Some((name, expected)) => {
            let (_, known) = expected.rsplit_once("expected one of ").unwrap_or(("", expected));
            format!("{name}: there are {} only", known.replace('`', ""))
        }
        None => said.to_owned(),
    }
}
