//! Whether the state takes more memory than it may.

use std::time::{Duration, Instant};

use crate::status::Status;

/// How often the state's size is compared with its limit.
const LIMIT_EVERY: Duration = Duration::from_secs(1);

/// Says in the log, once each time that it changes, whether the state takes more than it may.
#[derive(Default)]
pub struct LimitWatch {
    last: Option<Instant>,
    over: bool,
}

impl LimitWatch {
    /// Looks, when it is time.
    pub fn look(&mut self, status: &Status) {
        if self.last.is_some_and(|last| last.elapsed() < LIMIT_EVERY) {
            return;
        }
        self.last = Some(Instant::now());
        let problem = status.over_limit();
        match (&problem, self.over) {
            (Some(problem), false) => tracing::error!(
                "{problem}: not ready until it takes less; figures stay right. Give it more memory, share the partitions \
                 among more instances, or keep less history ([retention])"
            ),
            (None, true) => tracing::info!("the state takes less than limits.state_bytes again"),
            _ => {}
        }
        self.over = problem.is_some();
    }
}
