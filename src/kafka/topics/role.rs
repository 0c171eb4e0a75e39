//! What each topic is for, and what its configuration must therefore be.

use crate::config::Config;
use crate::kafka::client::MAX_MESSAGE_BYTES;
use crate::kafka::names::StageKind;

/// What a topic is for, which decides what it must be like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    Source,
    Internal,
    Changelog,
    Updates,
    DeadLetters,
}

impl Role {
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
            Role::Updates => &[("cleanup.policy", "compact"), ("max.message.bytes", "4194304")],
            Role::DeadLetters => &[("max.message.bytes", "4194304")],
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
            (Role::Internal | Role::DeadLetters, "max.message.bytes") => {
                at_least(MAX_MESSAGE_BYTES, "any record that is read must fit in it")
            }
            (Role::Changelog | Role::Updates, "max.message.bytes") => at_least(1 << 20, "records must fit in it"),
            (Role::Internal, "cleanup.policy") => exactly("delete", "compaction would remove records that count"),
            (Role::Internal, "retention.ms" | "retention.bytes") => {
                exactly("-1", "records would be deleted before they are read")
            }
            (Role::Changelog, "cleanup.policy") => exactly("compact", "stored state would be deleted"),
            (Role::Updates, "cleanup.policy") => exactly("compact", "the latest record of each key would be deleted"),
            _ => None,
        }
    }
}

/// All topics of a configuration, each with its role, in the order in which they are reported.
pub fn roles(config: &Config) -> Vec<(String, Role)> {
    let stages = [StageKind::Customers, StageKind::Campaigns].map(StageKind::name);
    let sources = config.topics.purchases.iter().chain(&config.topics.ad_spend);
    let mut roles: Vec<(String, Role)> = sources.map(|topic| (topic.clone(), Role::Source)).collect();
    roles.extend(stages.map(|stage| (config.kafka.internal_topic(stage), Role::Internal)));
    roles.extend(stages.map(|stage| (config.kafka.changelog_topic(stage), Role::Changelog)));
    roles.push((config.topics.ltv_updates.clone(), Role::Updates));
    roles.push((config.topics.roas_updates.clone(), Role::Updates));
    roles.push((config.topics.dead_letters.clone(), Role::DeadLetters));
    roles
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kafka::topics::misfit::Misfit;

    #[test]
    fn what_a_topic_is_created_with_fits() {
        for role in [Role::Source, Role::Internal, Role::Changelog, Role::Updates, Role::DeadLetters] {
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
        assert!(Role::DeadLetters.demand("max.message.bytes", "1048588").is_some());
        assert!(Role::Source.demand("max.message.bytes", "1").is_none());
    }
}
