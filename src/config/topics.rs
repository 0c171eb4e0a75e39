//! `[topics]`: the names at the edges. Internal topics are named from `kafka.application_id`.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};

use super::outputs::Output;
use super::{KafkaConfig, Problem, ensure};
use crate::engine::StageKind;

/// `[topics]`.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct TopicsConfig {
    /// Sources of the customers stage.
    pub purchases: Vec<String>,
    /// Sources of the campaigns stage.
    pub ad_spend: Vec<String>,
    /// Gets each customer's figures.
    pub ltv_updates: String,
    /// Gets each campaign's figures.
    pub roas_updates: String,
    /// Gets what can't be used.
    pub dead_letters: String,
    /// Creates sources that are missing. Other topics are always created.
    pub create_sources: bool,
    /// Of topics that are created; of internal topics, the most workers a stage can have.
    pub partitions: u32,
}

impl Default for TopicsConfig {
    fn default() -> Self {
        TopicsConfig {
            purchases: vec!["purchases".to_owned()],
            ad_spend: vec!["ad-spend".to_owned()],
            ltv_updates: "ltv-updates".to_owned(),
            roas_updates: "roas-updates".to_owned(),
            dead_letters: "dead-letters".to_owned(),
            create_sources: false,
            partitions: 4,
        }
    }
}

/// Partitions that a topic is created with at most.
const MAX_PARTITIONS: u32 = 1_000;

impl TopicsConfig {
    /// The topics that a stage reads, and the key that names them.
    pub fn sources(&self, stage: StageKind) -> (&'static str, &[String]) {
        match stage {
            StageKind::Customers => ("topics.purchases", &self.purchases),
            StageKind::Campaigns => ("topics.ad_spend", &self.ad_spend),
        }
    }

    pub(super) fn check(&self, kafka: &KafkaConfig) -> Result<(), Problem> {
        for stage in StageKind::ALL {
            let (key, sources) = self.sources(stage);
            ensure(!sources.is_empty(), key, || "at least one topic is needed".to_owned())?;
        }
        // They have no names yet while nobody has chosen the id that these are made of.
        let stages = StageKind::ALL.into_iter().filter(|_| !kafka.application_id.is_empty());
        let internal: Vec<String> =
            stages.flat_map(|stage| [kafka.internal_topic(stage), kafka.changelog_topic(stage)]).collect();
        let sources = StageKind::ALL.map(|stage| self.sources(stage));
        let roles = internal
            .iter()
            .map(|topic| ("kafka.application_id (an internal topic)", topic))
            .chain(sources.into_iter().flat_map(|(key, topics)| topics.iter().map(move |topic| (key, topic))))
            .chain(Output::ALL.map(|output| (output.key(), self.output(output))));
        let mut taken: HashMap<&str, &str> = HashMap::new();
        for (key, topic) in roles {
            ensure(is_legal_name(topic), key, || {
                format!("expected 1 to 249 letters, digits, dots, underscores and hyphens, found {topic:?}")
            })?;
            if let Some(other) = taken.insert(topic, key) {
                return Err(Problem::new(key, format!("topic {topic:?} already has a role, by {other}")));
            }
        }
        let partitions = self.partitions;
        ensure((1..=MAX_PARTITIONS).contains(&partitions), "topics.partitions", || {
            format!("expected 1 to {MAX_PARTITIONS}, found {partitions}")
        })
    }
}

/// Kafka's own rule for names of topics.
pub(super) fn is_legal_name(name: &str) -> bool {
    let legal = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    (1..=249).contains(&name.len()) && name.bytes().all(legal) && name != "." && name != ".."
}
