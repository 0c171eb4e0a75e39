//! What a worker holds of a partition, and what of that it keeps in the changelog itself, beside the stage's facts: how far
//! the partition has come ([`progress`]), and the settings that give its facts their meaning ([`stored_settings`]).

pub mod epoch;
pub mod partition;
pub mod progress;
pub mod stored_settings;
