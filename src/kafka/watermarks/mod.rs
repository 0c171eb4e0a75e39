//! How far orders and spend are read, told to those who judge campaigns by them.
//!
//! Spend is few records and read at once, orders are many: behind a backlog of both every campaign looks like a loss. So a
//! campaign is judged only while nothing that it lives on waits, and this is how its partition knows:
//!
//! ```text
//!  a source's partition                    a customers' partition            a campaigns' partition
//!  [`Backlog`], at the worker that   ───>  [`Heard`] of all sources'   ───>  [`Heard`] of all sources' partitions and
//!  has it assigned                         partitions                        of all customers' partitions
//! ```
//!
//! - A **watermark** is a moment: of what was there before it, nothing waits any more. It only rises.
//! - Whoever has a source's partition assigned tells its watermark to every partition of both stages, by their internal
//!   topics, in the transaction that commits what it read, behind all that this puts out. Whoever owns a customers' partition
//!   tells the least that this has heard to every campaigns' partition, behind its differences. So what a partition is told
//!   never runs ahead of the records that it is told about, however long these take to be read.
//! - Who says nothing holds the least back. What was heard is kept in memory; after a restore it counts as heard what the
//!   partition knew at its last commit.
//! - What is told is an age, not a moment, so that the clocks of two machines need not agree.
//!
//! A partition's watermark that is older than `verdict.max_lag_seconds` makes its records say `read_through`.

mod backlog;
mod heard;
mod herald;
mod wire;

pub use self::backlog::{Backlog, Reading};
pub use self::heard::{Expected, Heard};
pub use self::herald::Herald;
pub use self::wire::{Statement, read, write};
