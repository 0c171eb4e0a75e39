//! The integration tests: one binary, so that the crate is linked once. A module is one subject, or what tests share.

mod batch;
mod broker;
mod cdnow;
mod harness;
mod process;
mod replay;
mod topics;
