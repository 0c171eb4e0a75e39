//! The service as a whole: Kafka's workers on threads of their own, HTTP and signals beside them, one end for all.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use std::{process, thread};

use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::JoinHandle;
use tokio::time;

use crate::config::Config;
use crate::http;
use crate::kafka::{self, Broker};
use crate::metrics::Metrics;
use crate::status::Status;

/// From the moment that it is told to, until the process has left: a little less than the 5 s that are promised.
const LEAVE_WITHIN: Duration = Duration::from_millis(4_900);
/// The most of it for what HTTP is still answering when everything else has ended.
const LAST_ANSWERS_WITHIN: Duration = Duration::from_secs(1);
/// From the moment that it is told to, or that a part has ended, until the process is ended by force.
const END_WITHIN: Duration = Duration::from_secs(8);
/// How long the last word may take to be written: whoever reads it may be what everything waits for.
const LAST_WORD_WITHIN: Duration = Duration::from_millis(500);
/// Between two looks at whether it is told to leave.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// One instance of the service.
pub struct Service {
    config: Config,
    runtime: Runtime,
    listener: TcpListener,
    /// What its parts tell of themselves.
    pub status: Arc<Status>,
    /// What they count.
    pub metrics: Arc<Metrics>,
    stop: Arc<AtomicBool>,
}

/// Why the service ended or did not begin.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "what each is, its message says")]
pub enum RunError {
    #[error(transparent)]
    Kafka(#[from] kafka::RunError),
    #[error("http.listen: {address}: {error}")]
    Listen { address: SocketAddr, error: io::Error },
    #[error("metrics: {0}")]
    Metrics(#[from] prometheus::Error),
    #[error("can't start: {0}")]
    Io(#[from] io::Error),
}

impl Service {
    /// Binds the API's address. Nothing runs yet.
    ///
    /// # Errors
    /// The address is taken, or the process lacks something.
    pub fn new(config: Config) -> Result<Service, RunError> {
        let status = Arc::new(Status::with_limit(config.limits.state_bytes));
        let metrics = Arc::new(Metrics::new(&config, &status)?);
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
        let address = config.http.listen;
        let listener =
            runtime.block_on(TcpListener::bind(address)).map_err(|error| RunError::Listen { address, error })?;
        Ok(Service { config, runtime, listener, status, metrics, stop: Arc::default() })
    }

    /// Where the API listens.
    ///
    /// # Errors
    /// The operating system does not say.
    pub fn address(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Setting this ends the service as a signal does.
    pub fn stop(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.stop)
    }

    /// Runs until SIGTERM, Ctrl-C or [`Service::stop`], or until a part can't go on; then commits and leaves within 5 s.
    ///
    /// # Errors
    /// What a part could not go on from.
    pub fn run(self, broker: Broker) -> Result<(), RunError> {
        let router = http::router(&self.config, Arc::clone(&self.status), Arc::clone(&self.metrics));
        let (end, ended) = tokio::sync::oneshot::channel::<()>();
        let served = self.runtime.spawn(http::serve(self.listener, router, http::Limits::default(), async {
            let _ = ended.await;
        }));
        self.runtime.block_on(async { stop_at_signal(Arc::clone(&self.stop)) })?;
        let told = self.runtime.spawn(told_to_stop(Arc::clone(&self.stop)));
        let outcome = kafka::run(&self.config, broker, &self.metrics, &self.status, &self.stop);
        drop(end);
        // It may have ended by itself.
        self.stop.store(true, Ordering::Relaxed);
        let told = self.runtime.block_on(told).unwrap_or_else(|_| Instant::now());
        leave(self.runtime, told, served);
        Ok(outcome?)
    }
}

/// Ends the process by force when it goes on long after `stop` was set: half a service is worse than a restart, and what is
/// not committed by then never will be. Only for a process that is nothing but the service.
///
/// # Errors
/// The operating system has no thread for it.
pub fn end_at_last(stop: Arc<AtomicBool>) -> io::Result<()> {
    let last_resort = move || {
        while !stop.load(Ordering::Relaxed) {
            thread::sleep(LOOK_EVERY);
        }
        thread::sleep(END_WITHIN);
        // Whatever holds the process up may hold this up as well.
        thread::spawn(|| tracing::error!("the process does not end: it is ended by force"));
        thread::sleep(LAST_WORD_WITHIN);
        // No destructor and no exit handler runs, for these may be what hangs.
        process::abort()
    };
    thread::Builder::new().name("last-resort".to_owned()).spawn(last_resort).map(drop)
}

/// Lets HTTP finish its answers in what is left of the time since it was `told` to leave. Whatever else is still at work, such
/// as a page of metrics that is being put together, is not worth waiting for longer.
fn leave(runtime: Runtime, told: Instant, served: JoinHandle<()>) {
    let _ = runtime.block_on(async { time::timeout(left_for_answers(told.elapsed()), served).await });
    runtime.shutdown_timeout(left_for_answers(told.elapsed()));
}

/// How long HTTP may still answer, so long after the process was told to leave.
fn left_for_answers(since: Duration) -> Duration {
    LEAVE_WITHIN.saturating_sub(since).min(LAST_ANSWERS_WITHIN)
}

/// Since when it is told to stop, once it is.
async fn told_to_stop(stop: Arc<AtomicBool>) -> Instant {
    while !stop.load(Ordering::Relaxed) {
        time::sleep(LOOK_EVERY).await;
    }
    Instant::now()
}

fn stop_at_signal(stop: Arc<AtomicBool>) -> io::Result<()> {
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    tokio::spawn(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        tracing::info!("stopping");
        stop.store(true, Ordering::Relaxed);
    });
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    #[test]
    fn neither_a_slow_reader_nor_work_without_an_end_keeps_the_process() {
        // Since it was told, and what it may still take, in ms.
        for (over, left) in [(0, 1_000), (3_900, 1_000), (4_800, 100), (4_900, 0), (9_000, 0)] {
            assert_eq!(left_for_answers(Duration::from_millis(over)), Duration::from_millis(left));
        }
        for over in [0, 4_800, 9_000] {
            let runtime = Runtime::new().unwrap();
            let served = runtime.spawn(std::future::pending());
            let (end, ended) = mpsc::channel::<()>();
            runtime.spawn_blocking(move || ended.recv());
            let told = Instant::now().checked_sub(Duration::from_millis(over)).unwrap();
            let began = Instant::now();
            leave(runtime, told, served);
            // A second at most, and what a busy machine adds.
            assert!(began.elapsed() < Duration::from_secs(20), "{over}: {:?}", began.elapsed());
            drop(end);
        }
    }
}
