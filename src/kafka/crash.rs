//! Where the end-to-end tests may end the process, and the faults that they must be able to find. Only with the feature
//! `crash-points`: without it all of this is empty.
//!
//! `PAYBACK_CRASH_AT=after-produce:20` aborts the process when it comes to that point for the 20th time;
//! `PAYBACK_FAULT=restore-to-stable-offset` makes it work wrongly in one way.

/// Points at which to crash.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Point {
    /// All records of a transaction were handed to the producer.
    AfterProduce,
    /// Some of them are not acknowledged yet.
    BeforeLastAcknowledgement,
    AfterSendOffsets,
    /// The commit is on its way; the coordinator may have it, and has hardly written its markers.
    AfterCommitSent,
    /// Some facts were read.
    DuringRestore,
    /// A part of an hour roll was committed.
    DuringRoll,
}

/// Faults to be found by the tests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// A restore ends at the last stable offset.
    RestoreToStableOffset,
    /// The transactions of an hour roll carry no offsets.
    RollWithoutOffsets,
    /// Inputs are not taken back after an abort.
    NoRewind,
}

#[cfg(feature = "crash-points")]
mod armed {
    use std::sync::LazyLock;
    use std::sync::atomic::{AtomicU64, Ordering};
    use std::time::Duration;

    use super::{Fault, Point};

    impl Point {
        fn name(self) -> &'static str {
            match self {
                Point::AfterProduce => "after-produce",
                Point::BeforeLastAcknowledgement => "before-last-acknowledgement",
                Point::AfterSendOffsets => "after-send-offsets",
                Point::AfterCommitSent => "after-commit-sent",
                Point::DuringRestore => "during-restore",
                Point::DuringRoll => "during-roll",
            }
        }
    }

    impl Fault {
        fn name(self) -> &'static str {
            match self {
                Fault::RestoreToStableOffset => "restore-to-stable-offset",
                Fault::RollWithoutOffsets => "roll-without-offsets",
                Fault::NoRewind => "no-rewind",
            }
        }
    }

    struct Plan {
        point: String,
        left: AtomicU64,
    }

    static PLAN: LazyLock<Option<Plan>> = LazyLock::new(|| {
        let plan = std::env::var("PAYBACK_CRASH_AT").ok()?;
        let (point, count) = plan.split_once(':').unwrap_or((&plan, "1"));
        Some(Plan { point: point.to_owned(), left: AtomicU64::new(count.parse().unwrap_or(1)) })
    });

    static FAULT: LazyLock<Option<String>> = LazyLock::new(|| std::env::var("PAYBACK_FAULT").ok());

    fn comes_due(point: Point) -> bool {
        PLAN.as_ref().is_some_and(|plan| plan.point == point.name() && plan.left.fetch_sub(1, Ordering::Relaxed) == 1)
    }

    fn crash(point: Point) -> ! {
        eprintln!("crash point {}", point.name());
        std::process::abort()
    }

    pub fn at(point: Point) {
        if comes_due(point) {
            crash(point);
        }
    }

    pub fn soon_at(point: Point) {
        if comes_due(point) {
            std::thread::spawn(move || {
                // Long enough for the request to leave, too short for the answer of a busy broker.
                std::thread::sleep(Duration::from_micros(800));
                crash(point)
            });
        }
    }

    pub fn has(fault: Fault) -> bool {
        FAULT.as_deref() == Some(fault.name())
    }
}

#[cfg(feature = "crash-points")]
pub use armed::{at, has, soon_at};

#[cfg(not(feature = "crash-points"))]
mod disarmed {
    use super::{Fault, Point};

    /// Ends the process if this is the planned point.
    #[inline(always)]
    pub fn at(_: Point) {}

    /// Ends the process a moment later if this is the planned point.
    #[inline(always)]
    pub fn soon_at(_: Point) {}

    /// Whether to work wrongly in this way.
    #[inline(always)]
    pub fn has(_: Fault) -> bool {
        false
    }
}

#[cfg(not(feature = "crash-points"))]
pub use disarmed::{at, has, soon_at};
