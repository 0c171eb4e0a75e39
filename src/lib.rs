//! payback: real-time LTV and ROAS from Kafka, exactly once. This page is the map of the code; why it is built so is in
//! `docs/architecture.md`, what goes in and comes out in `docs/events.md`.
//!
//! # Layout
//!
//! The core is pure: time is passed in, outcomes are returned. It knows no Kafka, no threads, no clock and no metrics.
//! - [`money`], [`time`]: small exact types. [`home`]: where a key lives. [`format`](mod@format): the version of what
//!   is stored.
//! - [`settings`]: what figures depend on beside the events.
//! - [`events`]: a record becomes [`Event`](events::Event)s or a [`Rejection`](events::Rejection).
//! - [`domain`]: the formulas, as functions on values.
//! - [`engine`]: the state of one partition of a [`Stage`](engine::Stage): event in, [`Effects`](engine::Effects) out.
//!   There are two: [`customers`](engine::customers) and [`campaigns`](engine::campaigns).
//!
//! Around it is what touches the world:
//! - [`kafka`]: workers, transactions, restores, topics. [`status`]: what the parts of an instance tell each other.
//! - [`http`]: the API. [`metrics`]: what Prometheus sees. [`logging`], [`config`].
//! - A module for each command: [`run`], [`demo`], [`replay`], [`generate`], [`dead_letters`], [`republish`],
//!   [`recover`]. [`shop`] makes up the
//!   events of the demo and of `generate`.
//!
//! # The way of one order
//!
//! 1. A [worker](kafka::worker) polls its consumer and takes the record into its open
//!    transaction ([`Pipeline::take`](kafka::worker::pipeline::Pipeline::take)).
//! 2. Its [`Source`](events::Source) says which texts of the contract it holds (of `payback`'s own format one: itself), and
//!    the [`Decoder`](events::Decoder) reads them. A record that can't be used leaves as a dead letter.
//! 3. [`Home`](events::Home) says which stage an event belongs to, [`home`](home::home) which partition of that. If it is not
//!    this worker's, the event is forwarded.
//! 4. [`Stage::apply`](engine::Stage::apply): a version that is newer than the known one becomes a fact for the
//!    changelog. The order's old figures leave every sum, and its new ones enter.
//! 5. [`Stage::flush`](engine::Stage::flush), at the commit, writes one record of `ltv-updates` for each customer that
//!    changed, and what changed for campaigns: one payload of differences for each of their partitions.
//! 6. The [transaction](kafka::transaction) ends: all records acknowledged, then the input offsets, then the commit. If
//!    that fails it is aborted, the state is dropped and [restored](kafka::restore), and the records are read again.
//! 7. The worker of the campaigns [absorbs](engine::Stage::absorb) the differences; its commit writes each changed
//!    campaign, with its windows and verdicts, to `roas-updates`.
//! 8. Every instance [reads those back](kafka::read_back), so that the [API](http) of each knows all campaigns.
//!
//! # Words
//!
//! - **Fact**: the current version of one thing by its identity, such as an order or a cell of spend. All of them
//!   together are the state.
//! - **Difference**: what an event changes elsewhere: contribution after less contribution before.
//! - **Flush**: writing out, once for each key, what changed since the last commit.
//! - **Roll**: writing out what time alone changed, hour by hour: windows move on without events.
//! - **Horizon**: the day before which history is kept as sums. What would change it is too late.
//! - **Checkpoint**: a stopped worker's state in a local file; a cache of the changelog, never the truth.

pub mod config;
pub mod dead_letters;
pub mod demo;
pub mod domain;
pub mod engine;
pub mod events;
pub mod format;
pub mod generate;
pub mod home;
pub mod http;
pub mod kafka;
pub mod logging;
pub mod metrics;
pub mod money;
pub mod recover;
pub mod replay;
pub mod republish;
pub mod run;
pub mod settings;
pub mod shop;
pub mod status;
pub mod time;
