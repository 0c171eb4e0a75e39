//! Processes that tests start. None outlives the test process, however that ends.

use std::fs;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

/// How long something may take. Time in which programs wait for a CPU passes at a quarter of its pace: on a machine that has
/// nothing else to do a limit is what it says, and on a busy one it is no reason to fail.
#[derive(Debug)]
pub struct Patience {
    limit: Duration,
    begun: Instant,
    /// What [`held_up`] said then.
    held_up: Duration,
}

impl Patience {
    pub fn of(limit: Duration) -> Patience {
        Patience { limit, begun: Instant::now(), held_up: held_up() }
    }

    pub fn is_over(&self) -> bool {
        counted(self.begun.elapsed(), held_up().saturating_sub(self.held_up)) >= self.limit
    }
}

/// What counts of the time that has passed, when programs were held up for a part of it.
pub fn counted(passed: Duration, held_up: Duration) -> Duration {
    passed - held_up.min(passed) * 3 / 4
}

/// For how long programs have waited for a CPU since the machine began; never, where it doesn't say so.
fn held_up() -> Duration {
    // "some avg10=1.53 avg60=0.87 avg300=0.73 total=1157622", in microseconds.
    let text = fs::read_to_string("/proc/pressure/cpu").unwrap_or_default();
    let total = text.lines().find_map(|line| line.strip_prefix("some ")?.split_once("total=")?.1.parse().ok());
    Duration::from_micros(total.unwrap_or(0))
}

/// Looks every 20 ms whether `condition` holds, and panics with `what` when it doesn't within `limit`, as [`Patience`]
/// counts it.
#[track_caller]
pub fn wait_until(what: &str, limit: Duration, mut condition: impl FnMut() -> bool) {
    let patience = Patience::of(limit);
    while !condition() {
        assert!(!patience.is_over(), "not within {limit:?}: {what}");
        thread::sleep(Duration::from_millis(20));
    }
}

/// A child process, killed when this is dropped or when the test process ends in any way.
pub struct Process {
    child: Child,
    leash: Leash,
}

impl Process {
    pub fn start(command: &mut Command) -> Process {
        let child = command.stdin(Stdio::null()).spawn().unwrap_or_else(|error| panic!("{command:?}: {error}"));
        let leash = Leash::new(&format!("kill -9 {}", child.id()));
        Process { child, leash }
    }

    pub fn id(&self) -> u32 {
        self.child.id()
    }

    pub fn signal(&self, signal: Signal) {
        // Not reaped while it is ours, so the id can't have passed to another process.
        kill_process(Pid::from_child(&self.child), signal).expect("a child can be signalled");
    }

    /// How it ended, if it has.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        let status = self.child.try_wait().expect("a child can be waited for");
        if status.is_some() {
            self.leash.cut();
        }
        status
    }

    /// Waits for its end.
    #[track_caller]
    pub fn wait(&mut self, limit: Duration) -> ExitStatus {
        let mut status = None;
        wait_until("the process ends", limit, || {
            status = self.ended();
            status.is_some()
        });
        status.expect("waited for")
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if self.ended().is_none() {
            self.leash.cut();
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}

/// Carries out a shell command when the test process is gone: a shell that waits for the end of its input, which is a
/// pipe from this process.
pub struct Leash(Child);

impl Leash {
    pub fn new(last_will: &str) -> Leash {
        // Ctrl-C reaches the whole process group: this shell has to survive it to do its work.
        let script = format!("trap '' HUP INT TERM; cat >/dev/null; {last_will}");
        let shell = Command::new("sh").args(["-c", &script]).stdin(Stdio::piped()).stderr(Stdio::null()).spawn();
        Leash(shell.expect("sh runs"))
    }

    /// Ends it without carrying anything out.
    pub fn cut(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
