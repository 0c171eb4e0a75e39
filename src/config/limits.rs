//! What the process may take of memory: `[limits]`.

use serde::{Deserialize, Serialize};

use super::{Problem, ensure};

const MIB: u64 = 1 << 20;

/// `[limits]`.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct LimitsConfig {
    /// Bytes that the state of this instance may take, as it estimates them; above, it is not ready.
    pub state_bytes: Option<u64>,
    /// Bytes that a consumer fetches ahead.
    pub input_queue_bytes: u64,
    /// Bytes of records that a worker's producer holds until a broker has them; while it is full the worker waits.
    pub output_queue_bytes: u64,
}

impl Default for LimitsConfig {
    fn default() -> Self {
        LimitsConfig { state_bytes: None, input_queue_bytes: 8 * MIB, output_queue_bytes: 32 * MIB }
    }
}

impl LimitsConfig {
    /// The lower ends let a largest record through, the upper is librdkafka's.
    pub(super) fn check(&self) -> Result<(), Problem> {
        let within = |key: &str, bytes: u64, least: u64, most: u64| {
            ensure((least..=most).contains(&bytes), key, || format!("expected {least} to {most} bytes, found {bytes}"))
        };
        if let Some(bytes) = self.state_bytes {
            within("limits.state_bytes", bytes, MIB, i64::MAX as u64)?;
        }
        within("limits.input_queue_bytes", self.input_queue_bytes, MIB, 2_000 * MIB)?;
        within("limits.output_queue_bytes", self.output_queue_bytes, 8 * MIB, 2_000 * MIB)
    }
}
