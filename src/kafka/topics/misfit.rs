//! A topic that exists and is not as it must be.

use std::fmt;

/// A topic that exists and does not fit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Misfit {
    /// The name of the topic.
    pub topic: String,
    /// A configuration of the topic, or its partitions.
    pub what: String,
    /// Its value.
    pub is: String,
    /// A value that would do, or what values would.
    pub must_be: String,
    /// What would happen otherwise.
    pub why: &'static str,
}

impl fmt::Display for Misfit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Misfit { topic, what, is, must_be, why } = self;
        write!(f, "topic {topic}: {what} is {is}, but must be {must_be}: {why}")
    }
}

/// Several of them, a line each.
pub fn lines(misfits: &[Misfit]) -> String {
    let lines: Vec<String> = misfits.iter().map(ToString::to_string).collect();
    lines.join("\n")
}
