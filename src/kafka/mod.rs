//! Everything that is Kafka: workers, their transactions, restores, topics. See [`run`].
//!
//! From the outside in:
//! - [`service`]: one instance. It prepares the [`topics`], starts a thread for each worker, and ends with the first that
//!   ends.
//! - [`worker`]: one thread of a stage. Its [`Pipeline`](worker::pipeline::Pipeline) is the way of a record through it.
//! - [`restore`] brings state back from the changelog; its [`checkpoint`](restore::checkpoint) spares a planned restart most
//!   of that.
//! - [`changelog`]: what a worker holds of a partition, and what it keeps in its changelog itself, beside the stage's facts.
//! - [`watermarks`]: how far orders and spend are read, told to those who judge campaigns by them.
//! - [`transaction`] is what makes it exactly once.
//! - [`record`]: what travels in the headers of records.
//! - [`client`]: librdkafka, its settings and what it says.
//!
//! Beside the workers' way: [`read_back`] shows every instance all campaigns, [`trim`] deletes what was read from the internal
//! topics. [`retry_policy`], [`names`], [`terms`], [`claim`], [`resumption`] and [`error`] are for all of them; [`faults`] is for tests.
//!
//! A folder uses those below it in this list and never one above it. Those that are visible in the crate are so for the links of
//! its map, and for the command about [dead letters](crate::dead_letters).

pub mod changelog;
pub(crate) mod claim;
pub(crate) mod client;
mod error;
mod faults;
pub(crate) mod names;
pub(crate) mod read_back;
pub(crate) mod record;
pub mod restore;
pub(crate) mod resumption;
mod retry_policy;
mod service;
pub(crate) mod terms;
pub mod topics;
pub(crate) mod transaction;
mod trim;
pub mod watermarks;
pub(crate) mod worker;

pub use self::client::Clients;
pub use self::client::contact::NoContact;
pub use self::client::topic_ids::TopicId;
pub use self::client::trial::try_out;
pub use self::error::{Contradiction, StoredSettingsError, WorkerError};
pub use self::service::{Broker, RunError, run};
