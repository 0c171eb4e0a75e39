//! Exactly once, on a real Kafka: whatever happens to the instances, the committed records are those that a batch over
//! all events gives, to the millionth, and nothing is counted twice or lost.
//!
//! An instance can be made to end at a named point, in builds with debug assertions. Whether these tests would notice a
//! mistake is seen by making it; each of these turns them red:
//! ```text
//! PAYBACK_TEST_FAULT=restore-to-stable-offset cargo test --test it exactly_once   (or roll-without-offsets, no-rewind)
//! ```
//! `no-rewind` turns those of `errors` red in which a worker undoes a transaction and goes on: not that of an instance that
//! leaves, nor that of a start.

mod abroad;
mod away;
mod backlog;
mod check;
mod checkpoints;
mod clock;
mod crashes;
mod end_to_end;
mod errors;
mod feed;
mod fresh;
mod frozen;
mod load;
mod moments;
mod moved;
mod sharing;

pub use check::final_figures;
pub use clock::Clock;
pub use feed::Feed;
pub use load::{Delivery, now};
