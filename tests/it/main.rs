//! The integration tests: one binary, so that the crate is linked once. A module is one subject, or what tests share.

mod batch;
mod broker;
mod budgets;
mod cdnow;
mod dead_letters;
mod demo;
mod exactly_once;
mod formats;
mod generate;
mod harness;
mod history;
mod leaving;
mod monitoring;
mod pipeline;
mod process;
mod processor;
mod properties;
mod prose;
mod proxy;
mod records;
mod refusals;
mod replay;
mod retention;
mod security;
mod topics;
