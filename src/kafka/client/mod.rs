//! librdkafka: with which settings its clients are made, what they say, and what is asked of them beside reading and
//! writing.
//!
//! - [`settings`] makes clients, each with a [`link`] that takes what librdkafka says.
//! - [`trial`] makes some and lets go of them, to find what no client can be made with.
//! - [`contact`] tells a broker that refuses from one that is away, [`reachability`] what all clients know of that.
//! - [`statistics`]: where the partitions end that a consumer reads, as it is told beside the records.
//! - [`inquirer`] makes a client anew that gets no answers.
//! - [`ask`]: watermarks, committed offsets, and who wrote last. [`errors`]: what an error means to whoever asked.

pub mod ask;
pub mod contact;
pub mod errors;
pub mod inquirer;
pub mod link;
pub mod reachability;
pub mod settings;
pub mod statistics;
pub mod topic_ids;
pub mod trial;

pub use self::link::{Link, Rebalance, Undelivered, place};
pub use self::reachability::{Reach, Reachability};
pub use self::settings::{Clients, MAX_MESSAGE_BYTES, TRANSACTION_TIMEOUT};
