//! The threads of a service: started one after the other, and ended together when the first of them ends.

use std::panic::{self, AssertUnwindSafe};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::thread;
use std::time::{Duration, Instant};

use super::error::RunError;
use crate::kafka::error::WorkerError;

/// How long threads have to end once they are told to: a little less than the 5 s of the process.
const STOP_WITHIN: Duration = Duration::from_millis(4_700);

/// What each thread of the service tells, one after the other.
enum Notice {
    /// It has done its work, or can't go on.
    Ended { worker: String, end: Result<(), WorkerError> },
    /// Its clients have left too. That may take long, or for ever: librdkafka waits for a consumer that it gave up itself.
    Gone,
}

/// Those that were started.
pub struct Threads {
    tell: Sender<Notice>,
    notices: Receiver<Notice>,
    running: usize,
}

impl Default for Threads {
    fn default() -> Threads {
        let (tell, notices) = mpsc::channel();
        Threads { tell, notices, running: 0 }
    }
}

impl Threads {
    /// Starts a thread that works with `part` until that is told to stop or can't go on, and then `leave`s. It tells when it
    /// has ended, however it does, and when it is gone; then alone it frees what is left.
    ///
    /// # Errors
    /// The operating system has none left.
    pub fn start<P: Send + 'static, L>(
        &mut self,
        name: String,
        mut part: P,
        work: impl FnOnce(&mut P) -> Result<(), WorkerError> + Send + 'static,
        leave: impl FnOnce(P) -> L + Send + 'static,
    ) -> Result<(), RunError> {
        let tell = self.tell.clone();
        let worker = name.clone();
        let thread = thread::Builder::new().name(name).spawn(move || {
            let end = panic::catch_unwind(AssertUnwindSafe(|| work(&mut part))).unwrap_or(Err(WorkerError::Panicked));
            // Nobody listens any more when the service has ended without this thread.
            if end.is_err() {
                let _ = tell.send(Notice::Ended { worker, end });
                drop(part);
                let _ = tell.send(Notice::Gone);
            } else {
                let left = panic::catch_unwind(AssertUnwindSafe(|| leave(part)));
                let end = if left.is_ok() { Ok(()) } else { Err(WorkerError::Panicked) };
                let _ = tell.send(Notice::Ended { worker, end });
                let _ = tell.send(Notice::Gone);
                drop(left);
            }
        });
        thread.map_err(RunError::Thread)?;
        self.running += 1;
        Ok(())
    }

    /// Waits until all have ended, or have had their time for that, and meanwhile calls `look` again and again. `stop` is
    /// set once one has ended, or when not all of them were `started`.
    ///
    /// # Errors
    /// What went wrong first.
    pub fn wait(
        self,
        started: Result<(), RunError>,
        stop: &AtomicBool,
        mut look: impl FnMut(),
    ) -> Result<(), RunError> {
        let Threads { tell, notices, mut running } = self;
        // From now on only those that run hold it.
        drop(tell);
        let mut outcome = started;
        if outcome.is_err() {
            stop.store(true, Ordering::Relaxed);
        }
        let mut stopping: Option<Instant> = None;
        while running > 0 {
            look();
            match notices.recv_timeout(Duration::from_millis(20)) {
                Ok(Notice::Gone) => running -= 1,
                Ok(Notice::Ended { worker, end }) => {
                    let was_told = stop.load(Ordering::Relaxed);
                    let end = match end {
                        Err(cause) => Err(RunError::Worker { worker, cause: Box::new(cause) }),
                        Ok(()) if !was_told => Err(RunError::Ended { worker }),
                        Ok(()) => Ok(()),
                    };
                    // The first failure is the cause; what comes after it is its consequence.
                    outcome = outcome.and(end);
                    stop.store(true, Ordering::Relaxed);
                }
                // Every thread tells when it is gone, and each is waited for.
                Err(RecvTimeoutError::Disconnected) => break,
                Err(RecvTimeoutError::Timeout) => {}
            }
            if stop.load(Ordering::Relaxed) {
                let since = *stopping.get_or_insert_with(Instant::now);
                if since.elapsed() > STOP_WITHIN {
                    tracing::warn!(
                        threads = running,
                        "threads did not end in time: what they did not commit is aborted"
                    );
                    break;
                }
            }
        }
        outcome
    }
}
