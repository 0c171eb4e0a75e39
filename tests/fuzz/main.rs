//! Hostile input: whatever the bytes are, they are read or refused with a reason, in bounded time and memory.
//!
//! Targets are run by [bolero](https://docs.rs/bolero): a short run is part of `cargo test`, with other inputs each time;
//! a failure says the seed to run it again with. Ten million inputs each, optimised, and yet with the checks for overflow:
//! ```text
//! CARGO_PROFILE_DEV_OPT_LEVEL=3 BOLERO_RANDOM_ITERATIONS=10000000 cargo test --locked --test fuzz hold -- --nocapture
//! ```
//! An input is a seed of `corpus/` that was bitten, cut, doubled and spliced ([`mutation`]). What an input may take is
//! counted ([`bounds`]). Inputs of which it is known what they must come to are in [`extremes`].

mod bounds;
mod checkpoints;
mod corpus;
mod events;
mod extremes;
mod facts;
mod growth;
mod memory;
mod mutation;
mod queries;
mod requests;
// Odd values and records that can't be used, shared with the property tests.
#[path = "../it/history/poison.rs"]
mod poison;
