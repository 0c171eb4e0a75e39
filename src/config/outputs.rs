//! The outputs: all topics that are written for others to read, in one table.

use super::TopicsConfig;
use crate::engine::StageKind;

/// A topic that is written for others to read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Output {
    /// The latest record of each customer or campaign, written by the stage that knows them.
    Updates(StageKind),
    /// Whatever can't be used, from wherever it was read: written by both stages.
    DeadLetters,
}

/// What is kept of an output.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kept {
    /// The latest record of each key.
    Latest,
    /// Each record, for as long as the topic's owner likes.
    Each,
}

/// A line of the table.
struct Line {
    key: &'static str,
    topic: fn(&TopicsConfig) -> &String,
    kept: Kept,
}

impl Output {
    /// All of them, in the order in which they are reported.
    pub const ALL: [Output; 3] =
        [Output::Updates(StageKind::Customers), Output::Updates(StageKind::Campaigns), Output::DeadLetters];

    fn line(self) -> Line {
        match self {
            Output::Updates(StageKind::Customers) => {
                Line { key: "topics.ltv_updates", topic: |topics| &topics.ltv_updates, kept: Kept::Latest }
            }
            Output::Updates(StageKind::Campaigns) => {
                Line { key: "topics.roas_updates", topic: |topics| &topics.roas_updates, kept: Kept::Latest }
            }
            Output::DeadLetters => {
                Line { key: "topics.dead_letters", topic: |topics| &topics.dead_letters, kept: Kept::Each }
            }
        }
    }

    /// The key that names its topic.
    pub fn key(self) -> &'static str {
        self.line().key
    }

    /// What is kept of it.
    pub fn kept(self) -> Kept {
        self.line().kept
    }
}

impl TopicsConfig {
    /// The topic of an output.
    pub fn output(&self, output: Output) -> &String {
        (output.line().topic)(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;

    #[test]
    fn each_output_has_the_topic_that_its_key_names() {
        for output in Output::ALL {
            let Some((section, name)) = output.key().split_once('.') else { panic!("{output:?}: no section") };
            let text = format!("[{section}]\n{name} = \"a-name-of-its-own\"");
            let config = Config::read(&text, []).expect("a name");
            assert_eq!(config.topics.output(output), "a-name-of-its-own");
            let others = Output::ALL.into_iter().filter(|other| *other != output);
            others.for_each(|other| assert_ne!(config.topics.output(other), "a-name-of-its-own", "{other:?}"));
        }
    }
}
