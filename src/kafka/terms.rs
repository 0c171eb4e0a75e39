//! Whose group is it: what all live instances of one deployment must agree on, and how one sees that another does not.
//!
//! Who shares a group shares its partitions. A second deployment under the same `kafka.application_id`, such as a test system
//! whose configuration was copied, would take some of them, and write what is read there to topics of its own, in its own
//! currency. So an instance looks at the group before it joins it, and again at its first assignment, before it takes that up:
//! of two that differ the later one ends. Who works already is never troubled by who comes.
//!
//! Members of a group see of each other what the broker tells to whoever may read it: the client id of each, its host, and the
//! topics that it subscribes to. Of these the client id is the one that is ours to choose, is there in every state of the
//! group, and needs neither a topic of its own nor a look at what is stored, which may not be written yet. So the terms stand
//! in it, as a short fingerprint each, by which what differs can be named: `shop-customers-a-0~1-84c1d2-9b03aa-...`. What is
//! stored was written under the same terms, or is refused by
//! [`StoredSettings`](super::changelog::stored_settings::StoredSettings).
//!
//! Sources may be more or fewer than those of the other, as long as one of the two has all that the other has: so an update that
//! goes from instance to instance can add a source, or take one away.

use std::collections::BTreeSet;

use xxhash_rust::xxh3::xxh3_64;

use crate::config::{Config, Output};
use crate::engine::StageKind;
use crate::settings::Attribution;

/// Stands between the name of a client and its terms; no name has it.
const MARK: &str = "~1-";
/// Digits of a fingerprint: of one key alone, so that few will do.
const DIGITS: usize = 6;

/// The terms of an instance.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Terms(Vec<Term>);

#[derive(Clone, Debug, PartialEq, Eq)]
struct Term {
    /// As the configuration names it.
    key: &'static str,
    /// Fingerprints, in their order: one of a value, those of its texts of a list.
    prints: Vec<String>,
    is_list: bool,
}

impl Terms {
    /// Of a configuration.
    pub fn of(config: &Config) -> Terms {
        let list = |(key, values): (&'static str, &[String])| {
            let mut prints: Vec<String> = values.iter().map(|value| print(value)).collect();
            prints.sort();
            Term { key, prints, is_list: true }
        };
        let one = |key, value: &str| Term { key, prints: vec![print(value)], is_list: false };
        let mut terms: Vec<Term> = StageKind::ALL.map(|stage| list(config.topics.sources(stage))).into();
        terms.extend(Output::ALL.map(|output| one(output.key(), config.topics.output(output))));
        let settings = &config.settings;
        // All of it: what else is to be agreed on is decided here.
        let Attribution { model, lookback, half_life, ignore_channels } = &settings.attribution;
        let ignored: BTreeSet<&String> = ignore_channels.iter().collect();
        let attribution = format!("{model:?} {lookback} {half_life} {ignored:?}");
        terms.extend([
            one("reporting.currency", settings.currency.as_str()),
            one("reporting.time_zone", settings.zone.name()),
            one("attribution", &attribution),
        ]);
        Terms(terms)
    }

    /// The id of a client of this name, with these terms.
    pub fn client_id(&self, name: &str) -> String {
        let terms: Vec<String> = self.0.iter().map(|term| term.prints.join("+")).collect();
        format!("{name}{MARK}{}", terms.join("-"))
    }

    /// The keys of which a client of this id has others; none where it does not say.
    pub fn other_keys(&self, client_id: &str) -> Vec<&'static str> {
        let Some((_, said)) = client_id.split_once(MARK) else { return Vec::new() };
        let said: Vec<Vec<&str>> = said.split('-').map(|prints| prints.split('+').collect()).collect();
        if said.len() != self.0.len() {
            return Vec::new();
        }
        self.0.iter().zip(&said).filter(|(term, said)| !term.agrees(said)).map(|(term, _)| term.key).collect()
    }
}

impl Term {
    /// Whether they are the same; of lists, whether one has all that the other has.
    fn agrees(&self, said: &[&str]) -> bool {
        let (ours, theirs) = (&self.prints, said);
        let theirs_has_ours = ours.iter().all(|print| theirs.contains(&print.as_str()));
        let ours_has_theirs = theirs.iter().all(|print| ours.iter().any(|own| own == print));
        if self.is_list { theirs_has_ours || ours_has_theirs } else { theirs_has_ours && ours_has_theirs }
    }
}

/// The name of a client, without its terms.
pub fn name_of(client_id: &str) -> &str {
    client_id.split_once(MARK).map_or(client_id, |(name, _)| name)
}

fn print(value: &str) -> String {
    format!("{:016x}", xxh3_64(value.as_bytes()))[..DIGITS].to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn terms(toml: &str) -> Terms {
        Terms::of(&Config::read(toml, []).unwrap())
    }

    #[test]
    fn what_differs_is_named_by_its_key() {
        let ours = terms("");
        let of = |toml: &str| ours.other_keys(&terms(toml).client_id("shop-customers-a-0"));
        assert_eq!(of(""), [""; 0]);
        assert_eq!(of("[topics]\npurchases = [\"test-orders\"]"), ["topics.purchases"]);
        assert_eq!(
            of("[topics]\nltv_updates = \"test-ltv\"\nroas_updates = \"test-roas\"\ndead_letters = \"test-letters\""),
            ["topics.ltv_updates", "topics.roas_updates", "topics.dead_letters"]
        );
        assert_eq!(
            of("[reporting]\ncurrency = \"JPY\"\ntime_zone = \"Asia/Tokyo\""),
            ["reporting.currency", "reporting.time_zone"]
        );
        assert_eq!(of("[attribution]\nignore_channels = [\"email\"]"), ["attribution"]);
        assert_eq!(of("[ltv]\nlifespan_years = 3"), [""; 0], "all that is read by it is written again");
    }

    #[test]
    fn sources_may_be_added_and_taken_away_but_not_exchanged() {
        let (one, two) = (terms("[topics]\npurchases = [\"a\"]"), terms("[topics]\npurchases = [\"b\", \"a\"]"));
        assert!(one.other_keys(&two.client_id("x")).is_empty() && two.other_keys(&one.client_id("x")).is_empty());
        assert_eq!(two, terms("[topics]\npurchases = [\"a\", \"b\"]"));
        let other = terms("[topics]\npurchases = [\"a\", \"c\"]");
        assert_eq!(two.other_keys(&other.client_id("x")), ["topics.purchases"]);
    }

    #[test]
    fn who_does_not_say_is_not_doubted() {
        let ours = terms("");
        for client_id in ["shop-customers-a-0", "shop-customers-a-0~1-00", "shop-customers-a-0~2-1", ""] {
            assert!(ours.other_keys(client_id).is_empty(), "{client_id}");
        }
        assert_eq!(name_of(&ours.client_id("shop-customers-a-0")), "shop-customers-a-0");
        assert_eq!(name_of("shop"), "shop");
    }
}
