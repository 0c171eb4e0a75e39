//! What events mean: order figures, attribution, ratios, verdicts. Pure functions on values.

pub mod attribution;
pub mod booking;
pub mod order;
pub mod ratio;
pub mod spend;
pub mod verdict;
