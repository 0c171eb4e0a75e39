//! What each topic is for, and what its configuration must therefore be.

use crate::config::{Config, Kept, Output};
use crate::engine::StageKind;
use crate::kafka::client::MAX_MESSAGE_BYTES;

/// What a topic is for, which decides what it must be like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    Source,
    Internal,
    Changelog,
    Output(Kept),
}

impl Role {
    /// Whether a topic must stay the one that it is while this program runs: all but the outputs, of which nothing is read that
    /// counts.
    pub fn is_lasting(self) -> bool {
        !matches!(self, Role::Output(_))
    }

    /// What it means that another topic has taken its place, and what to do.
    pub fn when_recreated(self) -> &'static str {
        match self {
            Role::Source => {
                ": what of it was read is counted. Started again, payback reads the new one from its beginning"
            }
            Role::Internal => {
                ": what was in it and not read yet is lost. Started again, payback says which partitions it is about; `payback \
                 recover` shows how to go on"
            }
            Role::Changelog => {
                ": it has no state but what was written since. Give this processor another `kafka.application_id` and other \
                 output topics, and it computes all from the source topics anew"
            }
            Role::Output(Kept::Latest) => ": all of its records are written again",
            Role::Output(Kept::Each) => ": what was in it is not written again",
        }
    }

    /// What to do when it is there no more.
    pub fn when_gone(self) -> &'static str {
        match self {
            Role::Source => ". Create it again, or take it out of the configuration",
            Role::Internal | Role::Changelog => ". Started again, payback says what is lost with it, and what to do",
            Role::Output(Kept::Latest) => {
                ". Create it again, as `payback topics` does: all of its records are written to it then"
            }
            Role::Output(Kept::Each) => ". Create it again, as `payback topics` does",
        }
    }

    /// The configuration that a topic is created with.
    pub fn configuration(self) -> &'static [(&'static str, &'static str)] {
        match self {
            Role::Source => &[],
            Role::Internal => &[
                ("cleanup.policy", "delete"),
                ("retention.ms", "-1"),
                ("retention.bytes", "-1"),
                ("max.message.bytes", "4194304"),
            ],
            // Only closed segments are compacted: small ones keep restores short.
            Role::Changelog => {
                &[("cleanup.policy", "compact"), ("segment.bytes", "134217728"), ("max.message.bytes", "4194304")]
            }
            Role::Output(Kept::Latest) => &[("cleanup.policy", "compact"), ("max.message.bytes", "4194304")],
            Role::Output(Kept::Each) => &[("max.message.bytes", "4194304")],
        }
    }

    /// What a configuration of an existing topic must be, where it matters: as a text, whether it is so, and why.
    pub fn demand(self, key: &str, value: &str) -> Option<(String, &'static str)> {
        let at_least = |least: usize, why| {
            let enough = value.parse::<usize>().is_ok_and(|bytes| bytes >= least);
            (!enough).then(|| (format!("at least {least}"), why))
        };
        let exactly = |wanted: &str, why| (value != wanted).then(|| (wanted.to_owned(), why));
        match (self, key) {
            (Role::Internal | Role::Output(Kept::Each), "max.message.bytes") => {
                at_least(MAX_MESSAGE_BYTES, "any record that is read must fit in it")
            }
            (Role::Changelog | Role::Output(Kept::Latest), "max.message.bytes") => {
                at_least(1 << 20, "records must fit in it")
            }
            (Role::Internal, "cleanup.policy") => exactly("delete", "compaction would remove records that count"),
            (Role::Internal, "retention.ms" | "retention.bytes") => {
                exactly("-1", "records would be deleted before they are read")
            }
            (Role::Changelog, "cleanup.policy") => exactly("compact", "stored state would be deleted"),
            (Role::Output(Kept::Latest), "cleanup.policy") => {
                exactly("compact", "the latest record of each key would be deleted")
            }
            _ => None,
        }
    }
}

/// All topics of a configuration, each with its role, in the order in which they are reported.
pub fn roles(config: &Config) -> Vec<(String, Role)> {
    let (kafka, topics) = (&config.kafka, &config.topics);
    let sources = StageKind::ALL.into_iter().flat_map(|stage| topics.sources(stage).1);
    let mut roles: Vec<(String, Role)> = sources.map(|topic| (topic.clone(), Role::Source)).collect();
    roles.extend(StageKind::ALL.map(|stage| (kafka.internal_topic(stage), Role::Internal)));
    roles.extend(StageKind::ALL.map(|stage| (kafka.changelog_topic(stage), Role::Changelog)));
    roles.extend(Output::ALL.map(|output| (topics.output(output).clone(), Role::Output(output.kept()))));
    roles
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kafka::topics::misfit::Misfit;

    #[test]
    fn what_a_topic_is_created_with_fits() {
        let outputs = [Kept::Latest, Kept::Each].map(Role::Output);
        for role in [Role::Source, Role::Internal, Role::Changelog].into_iter().chain(outputs) {
            for (key, value) in role.configuration() {
                assert_eq!(role.demand(key, value), None, "{role:?} {key}");
            }
        }
    }

    #[test]
    fn a_misfit_says_what_it_is_and_what_it_must_be() {
        let (must_be, why) = Role::Changelog.demand("cleanup.policy", "compact,delete").unwrap();
        let misfit =
            Misfit { topic: "a".to_owned(), what: "cleanup.policy".to_owned(), is: "delete".to_owned(), must_be, why };
        assert_eq!(
            misfit.to_string(),
            "topic a: cleanup.policy is delete, but must be compact: stored state would be deleted"
        );
        assert!(Role::Internal.demand("retention.ms", "604800000").is_some());
        assert!(Role::Output(Kept::Each).demand("max.message.bytes", "1048588").is_some());
        assert!(Role::Source.demand("max.message.bytes", "1").is_none());
    }
}
