//! The service: prepares the topics, starts the workers, and ends with the first of them that ends.

use std::panic::{self, AssertUnwindSafe};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::thread;
use std::time::{Duration, Instant};

use super::checkpoint::Checkpoints;
use super::clients::{Clients, Link};
use super::contact::NoContact;
use super::error::WorkerError;
use super::inputs::{Input, Inputs};
use super::instance::Instance;
use super::names::{self, StageKind};
use super::objection::Objection;
use super::outbox::Outputs;
use super::pipeline::{Parts, Pipeline};
use super::reachability::Reachability;
use super::read_back::ReadBack;
use super::report::Report;
use super::sweep::{Broom, Sweeper, Swept};
use super::topics::{self, Layout, TopicsError};
use super::transaction::Transactions;
use super::watch::Watcher;
use super::worker::{Cadence, State, Worker};
use crate::config::Config;
use crate::engine::Stage;
use crate::engine::campaigns::Campaigns;
use crate::engine::customers::Customers;
use crate::metrics::Metrics;
use crate::status::Status;

/// How long threads have to end once they are told to: a little less than the 5 s of the process.
const STOP_WITHIN: Duration = Duration::from_millis(4_700);

/// What kind of broker it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Broker {
    /// The real one.
    Kafka,
    /// librdkafka's mock cluster: it can't create topics, and forgets the offsets of transactions. Fit for a demo.
    Mock,
}

/// Why the service ended.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "what each is, its message says")]
pub enum RunError {
    #[error(transparent)]
    Topics(#[from] TopicsError),
    #[error("{worker}: {cause}")]
    Worker { worker: String, cause: Box<WorkerError> },
    #[error("{worker} ended unexpectedly")]
    Ended { worker: String },
    #[error("a thread can't be started: {0}")]
    Thread(std::io::Error),
}

/// Runs both stages until `stop` is set, then commits and leaves within 5 s. Blocks; not to be called from async code.
///
/// # Errors
/// The first thing that a part could not go on from.
///
/// When it returns, every part that was started has ended, or has had its time for that: what such a part has not committed
/// never will be, since the process ends, and its broker aborts it.
pub fn run(
    config: &Config,
    broker: Broker,
    metrics: &Arc<Metrics>,
    status: &Arc<Status>,
    stop: &Arc<AtomicBool>,
) -> Result<(), RunError> {
    let clients = Clients::new(config);
    let Some(layout) = prepare(config, broker, &clients, status, stop)? else { return Ok(()) };
    let (sweeper, wishes) = mpsc::channel();
    let service = Service {
        instance: Instance::claim(config.kafka.instance_id.as_deref(), &config.kafka.application_id),
        checkpoints: checkpoints(config, broker),
        reachability: Arc::default(),
        config,
        broker,
        clients,
        layout,
        metrics,
        status,
        stop,
        sweeper,
    };
    tracing::info!(instance = service.instance.id(), "starting");
    service.run(wishes)
}

/// Where checkpoints are kept, if they are. Without them a start takes longer, so that a folder that can't be used is no
/// reason not to start. A mock broker's topics do not outlive it.
fn checkpoints(config: &Config, broker: Broker) -> Option<Checkpoints> {
    let folder = config.checkpoints.folder.as_ref().filter(|_| broker == Broker::Kafka)?;
    match Checkpoints::new(folder, &config.kafka.application_id) {
        Ok(checkpoints) => Some(checkpoints),
        Err(error) => {
            tracing::warn!(folder = %folder.display(), %error, "no checkpoints: the folder can't be used");
            None
        }
    }
}

/// Makes sure of the topics, waiting for Kafka as long as it takes. `None`: told to stop meanwhile.
fn prepare(
    config: &Config,
    broker: Broker,
    clients: &Clients,
    status: &Status,
    stop: &AtomicBool,
) -> Result<Option<Layout>, TopicsError> {
    let mut said = false;
    while !stop.load(Ordering::Relaxed) {
        let layout = match broker {
            Broker::Kafka => topics::prepare(config, clients, stop).map(|prepared| {
                if !prepared.created.is_empty() {
                    tracing::info!(topics = prepared.created.join(", "), "topics created");
                }
                prepared.layout
            }),
            Broker::Mock => topics::layout(config, clients, stop),
        };
        match layout {
            Err(TopicsError::Contact(NoContact::Stopped)) => break,
            Err(TopicsError::Contact(NoContact::Away(reason))) => {
                let brokers = config.kafka.bootstrap_servers();
                status.waits_for(format!("kafka: {brokers}: {reason}"));
                if !std::mem::replace(&mut said, true) {
                    tracing::warn!(brokers, reason, "Kafka does not answer: trying again until it does");
                }
                thread::sleep(Duration::from_millis(200));
            }
            outcome => return outcome.map(Some),
        }
    }
    Ok(None)
}

/// Everything that the threads are started from.
struct Service<'a> {
    config: &'a Config,
    broker: Broker,
    clients: Clients,
    layout: Layout,
    instance: Instance,
    checkpoints: Option<Checkpoints>,
    reachability: Arc<Reachability>,
    metrics: &'a Arc<Metrics>,
    status: &'a Arc<Status>,
    stop: &'a Arc<AtomicBool>,
    sweeper: Sender<Vec<Swept>>,
}

/// What each thread of the service tells, one after the other.
enum Notice {
    /// It has done its work, or can't go on.
    Ended { worker: String, end: Result<(), WorkerError> },
    /// Its clients have left too. That may take long, or for ever: librdkafka waits for a consumer that it gave up itself.
    Gone,
}

impl Service<'_> {
    fn run(&self, wishes: Receiver<Vec<Swept>>) -> Result<(), RunError> {
        let (ended, ends) = mpsc::channel();
        let mut running = 0;
        let mut outcome = self.start(ended, wishes, &mut running);
        if outcome.is_err() {
            self.stop.store(true, Ordering::Relaxed);
        }
        let mut stopping: Option<Instant> = None;
        let mut limit = LimitWatch::default();
        while running > 0 {
            limit.look(self.status);
            match ends.recv_timeout(Duration::from_millis(20)) {
                Ok(Notice::Gone) => running -= 1,
                Ok(Notice::Ended { worker, end }) => {
                    let was_told = self.stop.load(Ordering::Relaxed);
                    let end = match end {
                        Err(cause) => Err(RunError::Worker { worker, cause: Box::new(cause) }),
                        Ok(()) if !was_told => Err(RunError::Ended { worker }),
                        Ok(()) => Ok(()),
                    };
                    // The first failure is the cause; what comes after it is its consequence.
                    outcome = outcome.and(end);
                    self.stop.store(true, Ordering::Relaxed);
                }
                // Every thread tells when it is gone, and each is waited for.
                Err(RecvTimeoutError::Disconnected) => break,
                Err(RecvTimeoutError::Timeout) => {}
            }
            if self.stop.load(Ordering::Relaxed) {
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

    /// Starts all threads, and counts them in `running`, those before one that can't be started too.
    fn start(&self, ended: Sender<Notice>, wishes: Receiver<Vec<Swept>>, running: &mut usize) -> Result<(), RunError> {
        for stage in [StageKind::Customers, StageKind::Campaigns] {
            self.status.set_partitions(stage.name(), self.homes(stage));
        }
        for slot in 0..self.config.workers.customers as usize {
            self.start_worker::<Customers>(slot, &ended)?;
            *running += 1;
        }
        for slot in 0..self.config.workers.campaigns as usize {
            self.start_worker::<Campaigns>(slot, &ended)?;
            *running += 1;
        }
        let topic = &self.config.topics.roas_updates;
        let read_back = ReadBack::new(
            &self.clients,
            &self.config.kafka.application_id,
            topic,
            self.layout.partitions(topic),
            &self.reachability,
            Arc::clone(self.status),
            Arc::clone(self.stop),
        )
        .map_err(|cause| RunError::Worker { worker: "read-back".to_owned(), cause: Box::new(cause) })?;
        spawn("read-back".to_owned(), &ended, read_back, ReadBack::run, drop)?;
        *running += 1;
        let sweeper = Sweeper::new(self.clients.clone(), wishes, Arc::clone(self.stop));
        spawn("sweeper".to_owned(), &ended, sweeper, Sweeper::run, drop)?;
        *running += 1;
        self.status.has_started();
        Ok(())
    }

    fn start_worker<S: Stage>(&self, slot: usize, ended: &Sender<Notice>) -> Result<(), RunError> {
        let name = format!("{}/{slot}", S::NAME);
        let worker = self
            .worker::<S>(slot)
            .map_err(|cause| RunError::Worker { worker: name.clone(), cause: Box::new(cause) })?;
        spawn(name, ended, worker, Worker::run, Worker::leave)
    }

    fn worker<S: Stage>(&self, slot: usize) -> Result<Worker<S>, WorkerError> {
        let kind = StageKind::of::<S>();
        let config = self.config;
        let group_id = names::group(&config.kafka.application_id, kind);
        let transactional_id = names::transactional_id(&config.kafka.application_id, kind, self.instance.id(), slot);
        let consumer = self
            .clients
            .member(&group_id, &transactional_id)
            .create_with_context(Link::busy(Arc::clone(&self.reachability)))
            .map_err(WorkerError::kafka("the consumer"))?;
        let watcher = Watcher::new(&self.clients, &group_id, Arc::clone(&self.reachability))
            .map_err(WorkerError::kafka("the watching client"))?;
        let producer = self.clients.producer(&transactional_id);
        let mut transactions =
            Transactions::new(producer, Arc::clone(&self.reachability)).map_err(WorkerError::kafka("the producer"))?;
        let (status, questions) = self.status.add_worker(S::NAME);
        transactions.tell(Arc::clone(&status.transaction));
        let pipeline = Pipeline::new(self.parts(kind, transactions, transactional_id));
        let inputs: Vec<&str> = pipeline.inputs.topics().collect();
        let objection = Objection::to(format!("reading {}", inputs.join(", ")));
        Ok(Worker {
            clients: self.clients.clone(),
            group_id,
            consumer,
            watcher,
            pipeline,
            reachability: Arc::clone(&self.reachability),
            status,
            questions,
            report: Report::new(Arc::clone(self.metrics), S::NAME),
            broom: (self.broker == Broker::Kafka).then(|| Broom::new(self.sweeper.clone())),
            checkpoints: self.checkpoints.clone(),
            cadence: Cadence::new(config.commit.interval()),
            objection,
            offsets_are_kept: self.broker == Broker::Kafka,
            stop: Arc::clone(self.stop),
            state: State::default(),
        })
    }

    fn parts(&self, kind: StageKind, transactions: Transactions, transactional_id: String) -> Parts {
        let (kafka, topics) = (&self.config.kafka, &self.config.topics);
        let (sources, updates) = match kind {
            StageKind::Customers => (&topics.purchases, &topics.ltv_updates),
            StageKind::Campaigns => (&topics.ad_spend, &topics.roas_updates),
        };
        let input = |topic: String| Input { partitions: self.layout.partitions(&topic), topic };
        let [customers, campaigns] = [StageKind::Customers, StageKind::Campaigns].map(|stage| self.homes(stage));
        let mut settings = self.config.settings.clone();
        settings.campaign_partitions = campaigns;
        Parts {
            kind,
            settings: Arc::new(settings),
            homes: [customers, campaigns],
            inputs: Inputs::new(sources.iter().cloned().map(input).collect(), input(kafka.internal_topic(kind.name()))),
            outputs: Outputs {
                changelog: kafka.changelog_topic(kind.name()),
                updates: updates.clone(),
                dead_letters: topics.dead_letters.clone(),
                customer_events: kafka.internal_topic(StageKind::Customers.name()),
                campaign_events: kafka.internal_topic(StageKind::Campaigns.name()),
                format: self.config.format.write.to_string(),
            },
            transactions,
            transactional_id,
        }
    }

    /// Partitions of a stage's internal topic.
    fn homes(&self, stage: StageKind) -> u32 {
        self.layout.partitions(&self.config.kafka.internal_topic(stage.name()))
    }
}

/// How often the state's size is compared with its limit.
const LIMIT_EVERY: Duration = Duration::from_secs(1);

/// Says in the log, once each time that it changes, whether the state takes more than it may.
#[derive(Default)]
struct LimitWatch {
    last: Option<Instant>,
    over: bool,
}

impl LimitWatch {
    fn look(&mut self, status: &Status) {
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

/// Starts a thread that works with `part` until that is told to stop or can't go on, and then `leave`s. It tells when it has
/// ended, however it does, and when it is gone; then alone it frees what is left.
fn spawn<P: Send + 'static, L>(
    name: String,
    ended: &Sender<Notice>,
    mut part: P,
    work: impl FnOnce(&mut P) -> Result<(), WorkerError> + Send + 'static,
    leave: impl FnOnce(P) -> L + Send + 'static,
) -> Result<(), RunError> {
    let ended = ended.clone();
    let worker = name.clone();
    let thread = thread::Builder::new().name(name).spawn(move || {
        let end = panic::catch_unwind(AssertUnwindSafe(|| work(&mut part))).unwrap_or(Err(WorkerError::Panicked));
        // Nobody listens any more when the service has ended without this thread.
        if end.is_err() {
            let _ = ended.send(Notice::Ended { worker, end });
            drop(part);
            let _ = ended.send(Notice::Gone);
        } else {
            let left = panic::catch_unwind(AssertUnwindSafe(|| leave(part)));
            let end = if left.is_ok() { Ok(()) } else { Err(WorkerError::Panicked) };
            let _ = ended.send(Notice::Ended { worker, end });
            let _ = ended.send(Notice::Gone);
            drop(left);
        }
    });
    thread.map(drop).map_err(RunError::Thread)
}
