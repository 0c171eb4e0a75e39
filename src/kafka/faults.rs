//! Fault injection: where the end-to-end tests may end or stop the process, the time that they let pass, and the faults that they
//! must be able to find. Only in builds with debug assertions, as tests are: in others all of this is empty.
//!
//! - `PAYBACK_TEST_CRASH_AT=after-produce:20` aborts the process when it comes to that point for the 20th time;
//!   `after-produce:20@customers`, when workers of that stage do.
//! - `PAYBACK_TEST_FREEZE_AT=before-roll` stops it there instead, as SIGSTOP does, until it is told to go on.
//! - `PAYBACK_TEST_CLOCK=FILE` puts the clock ahead by the milliseconds that the file holds: so much time passes. With
//!   `PAYBACK_TEST_CLOCK_JUMPS=1` none does: it is the clock that is wrong.
//! - `PAYBACK_TEST_TRIM_MS=200` has what was read deleted from the internal topics so often.
//! - `PAYBACK_TEST_LOOK_MS=200` has the output topics looked at so often.
//! - `PAYBACK_TEST_KEYS=20` is how many keys are at most written again in one commit.
//! - `PAYBACK_TEST_FAULT=restore-to-stable-offset` makes it work wrongly in one way.

/// Points at which to crash or freeze.
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
    /// State is restored, and the committed offsets were not asked for yet.
    AfterRestore,
    /// A roll is due, and nothing of it was written yet.
    BeforeRoll,
    /// A part of a roll was committed.
    DuringRoll,
    /// A part of the records that are to be written again was committed.
    DuringRewrite,
    /// Partitions are taken away, and their state is about to be parked.
    BeforePark,
}

/// Faults to be found by the tests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// A restore ends at the last stable offset.
    RestoreToStableOffset,
    /// The transactions of a roll carry no offsets.
    RollWithoutOffsets,
    /// Inputs are not taken back after an abort.
    NoRewind,
    /// A consumer that is dropped never closes.
    CloseHangs,
    /// The service has ended, and the process does not.
    EndHangs,
}

#[cfg(debug_assertions)]
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
                Point::AfterRestore => "after-restore",
                Point::BeforeRoll => "before-roll",
                Point::DuringRoll => "during-roll",
                Point::DuringRewrite => "during-rewrite",
                Point::BeforePark => "before-park",
            }
        }
    }

    impl Fault {
        fn name(self) -> &'static str {
            match self {
                Fault::RestoreToStableOffset => "restore-to-stable-offset",
                Fault::RollWithoutOffsets => "roll-without-offsets",
                Fault::NoRewind => "no-rewind",
                Fault::CloseHangs => "close-hangs",
                Fault::EndHangs => "end-hangs",
            }
        }
    }

    struct Plan {
        point: String,
        left: AtomicU64,
        /// Prefix of the names of the threads that it applies to.
        of: String,
    }

    impl Plan {
        /// What a variable says: a point, which visit to it, and whose.
        fn of(variable: &str) -> Option<Plan> {
            let plan = std::env::var(variable).ok()?;
            let (plan, of) = plan.split_once('@').unwrap_or((&plan, ""));
            let (point, count) = plan.split_once(':').unwrap_or((plan, "1"));
            Some(Plan { point: point.to_owned(), left: AtomicU64::new(count.parse().unwrap_or(1)), of: of.to_owned() })
        }

        fn comes_due(&self, point: Point) -> bool {
            let is_here = || std::thread::current().name().unwrap_or_default().starts_with(&self.of);
            self.point == point.name() && is_here() && self.left.fetch_sub(1, Ordering::Relaxed) == 1
        }
    }

    static CRASH: LazyLock<Option<Plan>> = LazyLock::new(|| Plan::of("PAYBACK_TEST_CRASH_AT"));
    static FREEZE: LazyLock<Option<Plan>> = LazyLock::new(|| Plan::of("PAYBACK_TEST_FREEZE_AT"));
    static CLOCK: LazyLock<Option<String>> = LazyLock::new(|| std::env::var("PAYBACK_TEST_CLOCK").ok());
    static TRIM: LazyLock<Option<Duration>> =
        LazyLock::new(|| std::env::var("PAYBACK_TEST_TRIM_MS").ok()?.parse().ok().map(Duration::from_millis));
    static LOOK: LazyLock<Option<Duration>> =
        LazyLock::new(|| std::env::var("PAYBACK_TEST_LOOK_MS").ok()?.parse().ok().map(Duration::from_millis));
    static KEYS: LazyLock<Option<usize>> = LazyLock::new(|| std::env::var("PAYBACK_TEST_KEYS").ok()?.parse().ok());
    static FAULT: LazyLock<Option<String>> = LazyLock::new(|| std::env::var("PAYBACK_TEST_FAULT").ok());

    fn comes_due(plan: &Option<Plan>, point: Point) -> bool {
        plan.as_ref().is_some_and(|plan| plan.comes_due(point))
    }

    fn crash(point: Point) -> ! {
        eprintln!("crash point {}", point.name());
        std::process::abort()
    }

    fn freeze(point: Point) {
        eprintln!("freeze point {}", point.name());
        let stop = format!("kill -STOP {}", std::process::id());
        if let Err(error) = std::process::Command::new("sh").args(["-c", &stop]).status() {
            eprintln!("{stop}: {error}");
        }
    }

    /// Milliseconds by which the clock is to be ahead.
    pub fn clock_ahead() -> i64 {
        let ahead = CLOCK.as_ref().and_then(|file| std::fs::read_to_string(file).ok());
        ahead.and_then(|milliseconds| milliseconds.trim().parse().ok()).unwrap_or(0)
    }

    /// Whether time passes when the clock is put ahead.
    pub fn is_time_let_pass() -> bool {
        static JUMPS: LazyLock<bool> = LazyLock::new(|| std::env::var("PAYBACK_TEST_CLOCK_JUMPS").is_ok());
        CLOCK.is_some() && !*JUMPS
    }

    /// How often to trim, where that is not as always.
    pub fn trim_every() -> Option<Duration> {
        *TRIM
    }

    /// How often to look at the output topics, where that is not as always.
    pub fn look_every() -> Option<Duration> {
        *LOOK
    }

    /// How many keys to write again in a commit, where that is not as always.
    pub fn keys() -> Option<usize> {
        *KEYS
    }

    /// Ends or stops the process if this is the planned point.
    pub fn at(point: Point) {
        if comes_due(&CRASH, point) {
            crash(point);
        }
        if comes_due(&FREEZE, point) {
            freeze(point);
        }
    }

    /// Ends the process a moment later if this is the planned point.
    pub fn soon_at(point: Point) {
        if comes_due(&CRASH, point) {
            std::thread::spawn(move || {
                // Long enough for the request to leave, too short for the answer of a busy broker.
                std::thread::sleep(Duration::from_micros(800));
                crash(point)
            });
        }
    }

    /// Whether to work wrongly in this way.
    pub fn has(fault: Fault) -> bool {
        FAULT.as_deref() == Some(fault.name())
    }

    /// Never comes back, if it is to work wrongly in this way.
    pub fn hang_by(fault: Fault) {
        while has(fault) {
            std::thread::park();
        }
    }
}

#[cfg(debug_assertions)]
pub use armed::{at, clock_ahead, hang_by, has, is_time_let_pass, keys, look_every, soon_at, trim_every};

#[cfg(not(debug_assertions))]
mod disarmed {
    use super::{Fault, Point};

    #[inline(always)]
    pub fn at(_: Point) {}

    #[inline(always)]
    pub fn soon_at(_: Point) {}

    #[inline(always)]
    pub fn clock_ahead() -> i64 {
        0
    }

    #[inline(always)]
    pub fn is_time_let_pass() -> bool {
        false
    }

    #[inline(always)]
    pub fn trim_every() -> Option<std::time::Duration> {
        None
    }

    #[inline(always)]
    pub fn look_every() -> Option<std::time::Duration> {
        None
    }

    #[inline(always)]
    pub fn keys() -> Option<usize> {
        None
    }

    #[inline(always)]
    pub fn has(_: Fault) -> bool {
        false
    }

    #[inline(always)]
    pub fn hang_by(_: Fault) {}
}

#[cfg(not(debug_assertions))]
pub use disarmed::{at, clock_ahead, hang_by, has, is_time_let_pass, keys, look_every, soon_at, trim_every};
