//! payback: real-time LTV and ROAS from Kafka, exactly once.

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
pub mod replay;
pub mod run;
pub mod settings;
pub mod shop;
pub mod status;
pub mod time;
