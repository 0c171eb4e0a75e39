//! Everything that is Kafka: workers, their transactions, restores, topics. See [`run`].
//!
//! - [`Worker`](worker::Worker) is one thread of a stage. [`Pipeline`](pipeline::Pipeline) is the way of a record through
//!   it, [`Transactions`](transaction::Transactions) what makes it exactly once.
//! - [`Restore`](restore::Restore) brings state back from the changelog, [`resume`] decides where reading goes on.
//! - [`checkpoint`] spares a planned restart most of that.
//! - [`progress`] and [`meaning`] are what a worker itself keeps in a changelog, beside the stage's facts.
//! - [`contact`] tells a broker that refuses from one that is away.
//! - [`letters`] reads the dead letters, [`retry`] sends a [`choice`] of them again.
//! - [`topics`] creates and checks topics; [`read_back`] shows every instance all campaigns.
//!
//! Those that are visible in the crate are so for the links of its map.

pub mod checkpoint;
pub mod choice;
mod clients;
pub mod contact;
mod crash;
mod dead_letter;
mod error;
mod forward;
mod inputs;
mod instance;
pub mod letters;
pub mod meaning;
mod names;
mod objection;
mod outbox;
mod outgoing;
pub mod partition;
pub(crate) mod pipeline;
pub mod progress;
mod reachability;
pub(crate) mod read_back;
mod report;
pub(crate) mod restore;
mod resume;
mod retried;
pub mod retry;
mod service;
mod sweep;
mod tally;
pub mod topics;
pub(crate) mod transaction;
mod watch;
pub(crate) mod worker;

pub use self::clients::Clients;
pub use self::error::WorkerError;
pub use self::service::{Broker, RunError, run};
