//! The summary of a replay, for people.

use std::fmt;

use super::Summary;

impl Summary {
    /// Lines that were read.
    pub fn events(&self) -> u64 {
        self.outcomes.sum() + self.rejected.values().sum::<u64>()
    }

    /// Of those lines, in the time that all took.
    pub fn events_per_second(&self) -> f64 {
        self.events() as f64 / self.took.as_secs_f64().max(1e-9)
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let outcomes = self.outcomes;
        let seconds = self.took.as_secs_f64();
        writeln!(f, "events      {} in {seconds:.2} s, {:.0} a second", self.events(), self.events_per_second())?;
        writeln!(f, "applied     {}", outcomes.applied)?;
        writeln!(f, "duplicates  {}", outcomes.duplicate)?;
        writeln!(f, "superseded  {}", outcomes.superseded)?;
        writeln!(f, "rejected    {}", self.rejected.values().sum::<u64>())?;
        for (reason, count) in &self.rejected {
            writeln!(f, "  {:<18} {count}", reason.code())?;
        }
        writeln!(f, "customers   {}", self.customers)?;
        writeln!(f, "campaigns   {}", self.campaigns)?;
        match self.as_of {
            Some(as_of) => write!(f, "as of       {as_of}"),
            None => write!(f, "no event was accepted"),
        }
    }
}
