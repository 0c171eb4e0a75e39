//! The service: prepares the topics, starts the workers, and ends with the first of them that ends.

mod error;
mod instance;
mod limit;
mod threads;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread;
use std::time::Duration;

pub use self::error::RunError;
use self::instance::Instance;
use self::limit::LimitWatch;
use self::threads::Threads;
use crate::config::{Config, Output};
use crate::engine::campaigns::Campaigns;
use crate::engine::customers::Customers;
use crate::engine::{PerStage, Stage, StageKind};
use crate::kafka::changelog::birth::Birth;
use crate::kafka::client::ask::Watcher;
use crate::kafka::client::contact::NoContact;
use crate::kafka::client::errors;
use crate::kafka::client::{Clients, Reachability};
use crate::kafka::error::WorkerError;
use crate::kafka::faults;
use crate::kafka::names;
use crate::kafka::read_back::ReadBack;
use crate::kafka::restore::checkpoint::Checkpoints;
use crate::kafka::retry_policy::RetryPolicy;
use crate::kafka::terms::Terms;
use crate::kafka::topics::destinations::{CampaignsWritten, Destinations, Lookout};
use crate::kafka::topics::role::roles;
use crate::kafka::topics::{self, Layout, TopicsError};
use crate::kafka::transaction::Transactions;
use crate::kafka::trim::{Consumed, TrimSchedule, Trimmer};
use crate::kafka::watermarks::Expected;
use crate::kafka::worker::inputs::{Input, Inputs};
use crate::kafka::worker::outbox::Outputs;
use crate::kafka::worker::pipeline::{Parts, Pipeline};
use crate::kafka::worker::report::Report;
use crate::kafka::worker::route::Homes;
use crate::kafka::worker::{Cadence, State, Worker};
use crate::metrics::Metrics;
use crate::status::Status;

/// What kind of broker it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Broker {
    /// The real one.
    Kafka,
    /// librdkafka's mock cluster: it can't create topics, and forgets the offsets of transactions. Fit for a demo.
    Mock,
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
    let reachability = Arc::default();
    let lookout = match broker {
        Broker::Kafka => identify(config, &clients, &layout, &reachability, status, stop)?,
        Broker::Mock => None,
    };
    let (trimmer, wishes) = mpsc::channel();
    let service = Service {
        instance: Instance::claim(config.kafka.instance_id.as_deref(), &config.kafka.application_id),
        checkpoints: checkpoints(config, broker),
        reachability,
        config,
        broker,
        clients,
        layout,
        metrics,
        status,
        stop,
        trimmer,
        destinations: lookout.as_ref().map(Lookout::destinations).unwrap_or_default(),
    };
    tracing::info!(instance = service.instance.id(), "starting");
    service.run(lookout, wishes)
}

/// Finds out which topics they are, waiting for Kafka as long as it takes. `None`: told to stop meanwhile.
fn identify(
    config: &Config,
    clients: &Clients,
    layout: &Layout,
    reachability: &Arc<Reachability>,
    status: &Arc<Status>,
    stop: &Arc<AtomicBool>,
) -> Result<Option<Lookout>, RunError> {
    let failed = RunError::of("lookout");
    let campaigns = CampaignsWritten::new(config, clients, layout).map_err(failed)?;
    let reachability = Arc::clone(reachability);
    let topics = roles(config);
    let lookout = Lookout::new(clients, topics, campaigns, reachability, Arc::clone(status), Arc::clone(stop));
    let mut lookout = lookout.map_err(failed)?;
    while !stop.load(Ordering::Relaxed) {
        match lookout.look() {
            Ok(true) => return Ok(Some(lookout)),
            Ok(false) => thread::sleep(Duration::from_millis(50)),
            Err(WorkerError::Kafka { cause, .. }) if !errors::is_hopeless(&cause) => {
                status.waits_for(format!("kafka: the topics: {cause}"));
            }
            Err(error) => return Err(failed(error)),
        }
    }
    Ok(None)
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
    trimmer: Sender<Vec<Consumed>>,
    destinations: Arc<Destinations>,
}

impl Service<'_> {
    fn run(&self, lookout: Option<Lookout>, wishes: Receiver<Vec<Consumed>>) -> Result<(), RunError> {
        let mut threads = Threads::default();
        let started = self.start(&mut threads, lookout, wishes);
        let mut limit = LimitWatch::default();
        let ended = threads.wait(started, self.stop, || limit.look(self.status));
        faults::hang_by(faults::Fault::EndHangs);
        ended
    }

    fn start(
        &self,
        threads: &mut Threads,
        lookout: Option<Lookout>,
        wishes: Receiver<Vec<Consumed>>,
    ) -> Result<(), RunError> {
        for stage in StageKind::ALL {
            self.status.set_partitions(stage, self.homes(stage));
        }
        for slot in 0..self.config.workers.customers as usize {
            self.start_worker::<Customers>(slot, threads)?;
        }
        for slot in 0..self.config.workers.campaigns as usize {
            self.start_worker::<Campaigns>(slot, threads)?;
        }
        let topic = self.config.topics.output(Output::Updates(StageKind::Campaigns));
        let read_back = ReadBack::new(
            &self.clients,
            &self.config.kafka.application_id,
            topic,
            &self.reachability,
            Arc::clone(&self.destinations),
            Arc::clone(self.status),
            Arc::clone(self.stop),
        )
        .map_err(RunError::of("read-back"))?;
        threads.start("read-back".to_owned(), read_back, ReadBack::run, drop)?;
        let trimmer = Trimmer::new(self.clients.clone(), wishes, Arc::clone(self.stop));
        threads.start("trimmer".to_owned(), trimmer, Trimmer::run, drop)?;
        if let Some(lookout) = lookout {
            threads.start("lookout".to_owned(), lookout, Lookout::run, drop)?;
        }
        self.status.has_started();
        Ok(())
    }

    fn start_worker<S: Stage>(&self, slot: usize, threads: &mut Threads) -> Result<(), RunError> {
        let name = format!("{}/{slot}", S::NAME);
        let worker = self.worker::<S>(slot).map_err(RunError::of(&name))?;
        threads.start(name, worker, Worker::run, Worker::leave)
    }

    fn worker<S: Stage>(&self, slot: usize) -> Result<Worker<S>, WorkerError> {
        let config = self.config;
        let group_id = names::group(&config.kafka.application_id, S::KIND);
        let transactional_id = names::transactional_id(&config.kafka.application_id, S::KIND, self.instance.id(), slot);
        let terms = Terms::of(config);
        let client_id = terms.client_id(&transactional_id);
        let consumer = self
            .clients
            .consumer(&group_id, &client_id, &self.reachability)
            .map_err(WorkerError::kafka("the consumer"))?;
        let watcher = Watcher::new(&self.clients, &group_id, Arc::clone(&self.reachability))
            .map_err(WorkerError::kafka("the watching client"))?;
        let producer = self.clients.producer(&transactional_id);
        let mut transactions =
            Transactions::new(producer, Arc::clone(&self.reachability)).map_err(WorkerError::kafka("the producer"))?;
        let (status, questions) = self.status.add_worker(S::KIND);
        transactions.tell(Arc::clone(&status.transaction));
        let pipeline = Pipeline::new(self.parts(S::KIND, transactions, transactional_id));
        let inputs: Vec<&str> = pipeline.inputs.topics().collect();
        let retry_policy = RetryPolicy::of(format!("reading {}", inputs.join(", ")));
        Ok(Worker {
            clients: self.clients.clone(),
            group_id,
            terms,
            session: self.clients.session(),
            consumer,
            watcher,
            pipeline,
            reachability: Arc::clone(&self.reachability),
            status,
            questions,
            report: Report::new(Arc::clone(self.metrics), S::KIND),
            trim: (self.broker == Broker::Kafka).then(|| TrimSchedule::new(self.trimmer.clone())),
            checkpoints: self.checkpoints.clone(),
            cadence: Cadence::new(config.commit.interval()),
            retry_policy,
            offsets_are_kept: self.broker == Broker::Kafka,
            changelog: self.destinations.get(&config.kafka.changelog_topic(S::KIND)),
            destinations: Arc::clone(&self.destinations),
            shared_out_within: self.clients.shared_out_within(),
            stop: Arc::clone(self.stop),
            state: State::default(),
        })
    }

    fn parts(&self, stage: StageKind, transactions: Transactions, transactional_id: String) -> Parts {
        let (kafka, topics) = (&self.config.kafka, &self.config.topics);
        let (_, sources) = topics.sources(stage);
        // Format 1 says of no topic which one it is.
        let id = |topic: &str| self.destinations.get(topic).id.filter(|_| Birth::is_kept(self.config.settings.format));
        let input = |topic: String| Input { partitions: self.layout.partitions(&topic), id: id(&topic), topic };
        let [customers, campaigns] = StageKind::ALL.map(|stage| self.homes(stage));
        let homes = Homes { customers, campaigns };
        // Any event may come on any source.
        let sources_of_all = StageKind::ALL.into_iter().flat_map(|stage| topics.sources(stage).1);
        let sources_of_all = sources_of_all.map(|topic| (topic.clone(), self.layout.partitions(topic)));
        let before = (kafka.internal_topic(StageKind::Customers), customers);
        let expected = Expected::new(sources_of_all.chain((stage == StageKind::Campaigns).then_some(before)));
        let mut settings = self.config.settings.clone();
        settings.campaign_partitions = campaigns;
        Parts {
            settings: Arc::new(settings),
            homes,
            inputs: Inputs::new(sources.iter().cloned().map(input).collect(), input(kafka.internal_topic(stage))),
            outputs: Outputs {
                changelog: kafka.changelog_topic(stage),
                updates: topics.output(Output::Updates(stage)).clone(),
                dead_letters: topics.output(Output::DeadLetters).clone(),
                internal: PerStage::new(|stage| kafka.internal_topic(stage)),
                format: self.config.format.write.to_string(),
            },
            transactions,
            transactional_id,
            destinations: Arc::clone(&self.destinations),
            expected: Arc::new(expected),
        }
    }

    /// Partitions of a stage's internal topic.
    fn homes(&self, stage: StageKind) -> u32 {
        self.layout.partitions(&self.config.kafka.internal_topic(stage))
    }
}
