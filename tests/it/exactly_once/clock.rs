//! Time for the instances under test: the clock's, or whole hours later, so that hours roll when a test needs it.

use std::fs;

use payback::time::Millis;
use tempfile::NamedTempFile;

use super::load::now;

/// A clock that instances started with its [`Clock::variable`] go by.
pub struct Clock(NamedTempFile);

impl Clock {
    pub fn new() -> Clock {
        let file = NamedTempFile::new_in(env!("CARGO_TARGET_TMPDIR")).expect("a file");
        let clock = Clock(file);
        clock.set(0);
        clock
    }

    /// For the environment of an instance.
    pub fn variable(&self) -> (&str, &str) {
        ("PAYBACK_TEST_CLOCK", self.0.path().to_str().expect("a path in UTF-8"))
    }

    /// What those instances take for the present.
    pub fn now(&self) -> Millis {
        now().plus(self.ahead())
    }

    /// Lets an hour pass at once.
    pub fn forward_an_hour(&self) {
        self.forward(3_600_000);
    }

    /// Lets so many milliseconds pass at once.
    pub fn forward(&self, milliseconds: i64) {
        self.set(self.ahead() + milliseconds);
    }

    fn ahead(&self) -> i64 {
        fs::read_to_string(self.0.path()).expect("the file is there").parse().expect("milliseconds")
    }

    fn set(&self, milliseconds_ahead: i64) {
        // In one step: a reader sees the old or the new.
        let next = self.0.path().with_extension("next");
        fs::write(&next, milliseconds_ahead.to_string()).expect("the file can be written");
        fs::rename(&next, self.0.path()).expect("the file can be replaced");
    }
}
