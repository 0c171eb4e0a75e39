//! What one input may take: memory by its size, none of it kept, and no longer than anyone would wait.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::time::{Duration, Instant};

use allocation_counter::{AllocationInfo, measure};

/// Inputs are small: a thousand times what the slowest takes.
const HANG: Duration = Duration::from_secs(10);

/// What `work` allocates on this thread.
pub fn allocated<T>(work: impl FnOnce() -> T) -> (T, AllocationInfo) {
    let mut outcome = None;
    // A panic must not pass through the measuring, which would go on for ever.
    let info = measure(|| outcome = Some(catch_unwind(AssertUnwindSafe(work))));
    match outcome.expect("it was measured") {
        Ok(value) => (value, info),
        Err(panic) => resume_unwind(panic),
    }
}

/// Checks that `work` on so many bytes never holds more than `times` as many, beside `base`, keeps none, and ends.
pub fn bounded(bytes: usize, times: usize, base: usize, mut work: impl FnMut()) {
    let start = Instant::now();
    let (_, mut info) = allocated(&mut work);
    if info.bytes_current > 0 {
        // What is made once a process, as a table of time zones, is not made again.
        (_, info) = allocated(&mut work);
    }
    assert!(info.bytes_current <= 0, "{} bytes are kept of an input of {bytes}", info.bytes_current);
    let most = base + times * bytes;
    assert!(info.bytes_max <= most as u64, "{} bytes are held for an input of {bytes}: at most {most}", info.bytes_max);
    assert!(start.elapsed() < HANG, "an input of {bytes} bytes took {:?}", start.elapsed());
}
