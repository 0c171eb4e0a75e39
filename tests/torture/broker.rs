//! Three brokers, each a controller as well: two of them are enough for everything. Or one alone, that of the integration tests.

use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicI32, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rustix::process::Signal;
use tempfile::TempDir;

use crate::kafka::jars;
use crate::process::{Process, wait_until};

pub const NODES: usize = 3;
const READY_WITHIN: Duration = Duration::from_secs(90);

/// The brokers of the cluster that is there, and how many of them hold each record.
static ADDRESSES: Mutex<&str> = Mutex::new("");
static REPLICATION: AtomicI32 = AtomicI32::new(NODES as i32);
/// One cluster at a time is as much as a machine can take.
static TURN: Mutex<()> = Mutex::new(());

/// `host:port` of all brokers.
pub fn brokers() -> &'static str {
    *ADDRESSES.lock().unwrap_or_else(PoisonError::into_inner)
}

/// How many brokers hold each record.
pub fn replication() -> i32 {
    REPLICATION.load(Ordering::Relaxed)
}

/// One broker is all that there is, until what is returned is dropped.
pub fn alone() -> Alone {
    let turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    *ADDRESSES.lock().unwrap_or_else(PoisonError::into_inner) = crate::kafka::brokers();
    REPLICATION.store(crate::kafka::replication(), Ordering::Relaxed);
    Alone { _turn: turn }
}

pub struct Alone {
    _turn: MutexGuard<'static, ()>,
}

impl Drop for Alone {
    fn drop(&mut self) {
        REPLICATION.store(NODES as i32, Ordering::Relaxed);
    }
}

/// Whether there are Java and Maven. In CI there have to be; elsewhere what takes three brokers is left out without them.
pub fn can_be_started() -> bool {
    let has =
        |program: &str| Command::new(program).arg("-version").output().is_ok_and(|output| output.status.success());
    let found = has("java") && has("mvn");
    let reason = "three brokers take Java 17 and Maven";
    assert!(found || std::env::var_os("CI").is_none(), "{reason}");
    if !found {
        eprintln!("skipped: {reason}");
    }
    found
}

/// The brokers. They end with this.
pub struct Cluster {
    nodes: Vec<Node>,
    folder: TempDir,
    _turn: MutexGuard<'static, ()>,
}

struct Node {
    process: Option<Process>,
    config: PathBuf,
    log: PathBuf,
}

impl Node {
    fn start(&mut self) {
        self.process = Some(Process::start(java(&self.log).arg("kafka.Kafka").arg(&self.config)));
    }

    fn ended(&mut self) -> bool {
        self.process.as_mut().is_some_and(|process| process.ended().is_some())
    }
}

impl Cluster {
    pub fn start() -> Cluster {
        let turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
        let mut cluster = Cluster { nodes: Vec::new(), folder: folder(), _turn: turn };
        // Another process may take a port between its choice and the broker's start.
        for _ in 0..3 {
            if cluster.try_to_start() {
                return cluster;
            }
        }
        panic!("Kafka does not start:\n{}", fs::read_to_string(&cluster.nodes[0].log).unwrap_or_default());
    }

    fn try_to_start(&mut self) -> bool {
        let ports = free_ports();
        self.nodes.clear();
        self.folder = folder();
        for id in 0..NODES {
            let place = |what: &str| self.folder.path().join(format!("{what}-{id}"));
            let (config, log) = (place("server.properties"), place("log"));
            fs::write(&config, properties(id, &ports, &place("data"))).expect("the config can be written");
            self.nodes.push(Node { process: None, config, log });
        }
        let format = |node: &Node| {
            let cluster = "cGF5YmFjay10b3J0dXJlMA";
            let mut command = java(&node.log);
            command.args(["kafka.tools.StorageTool", "format", "--cluster-id", cluster, "--config"]).arg(&node.config);
            Process::start(&mut command)
        };
        let formats: Vec<Process> = self.nodes.iter().map(format).collect();
        for mut format in formats {
            if !format.wait(READY_WITHIN).success() {
                return false;
            }
        }
        self.nodes.iter_mut().for_each(Node::start);
        let addresses: Vec<String> = ports.iter().map(|[port, _]| format!("127.0.0.1:{port}")).collect();
        // Once a cluster, for as long as the process lives.
        *ADDRESSES.lock().unwrap_or_else(PoisonError::into_inner) = addresses.join(",").leak();
        let mut failed = false;
        wait_until("the brokers serve", READY_WITHIN, || {
            failed = self.nodes.iter_mut().any(Node::ended);
            failed || self.is_whole()
        });
        !failed
    }

    pub fn kill(&mut self, broker: usize) {
        let process = self.nodes[broker].process.as_mut().expect("a broker that runs");
        process.signal(Signal::KILL);
        process.wait(READY_WITHIN);
    }

    /// With all that it had.
    pub fn bring_back(&mut self, broker: usize) {
        self.nodes[broker].start();
    }

    pub fn pause(&self, broker: usize, paused: bool) {
        let process = self.nodes[broker].process.as_ref().expect("a broker that runs");
        process.signal(if paused { Signal::STOP } else { Signal::CONT });
    }

    /// Whether all brokers are there, and have all that they should.
    pub fn is_whole(&self) -> bool {
        let client: Result<BaseConsumer, _> = ClientConfig::new().set("bootstrap.servers", brokers()).create();
        let metadata = client.and_then(|client| client.fetch_metadata(None, Duration::from_secs(2)));
        let Ok(metadata) = metadata else { return false };
        let mut partitions = metadata.topics().iter().flat_map(|topic| topic.partitions());
        metadata.brokers().len() == NODES
            && partitions.all(|partition| partition.leader() >= 0 && partition.isr().len() == NODES)
    }

    /// Copies what the brokers have said.
    pub fn keep_logs(&self, to: &Path) {
        for (id, node) in self.nodes.iter().enumerate() {
            let _ = fs::copy(&node.log, to.join(format!("broker-{id}.log")));
        }
    }
}

fn folder() -> TempDir {
    let folder = tempfile::Builder::new().prefix("torture").tempdir_in(env!("CARGO_TARGET_TMPDIR"));
    folder.expect("a folder")
}

/// A Java that finds Kafka, up to the class to run.
fn java(log: &Path) -> Command {
    let log = fs::File::options().create(true).append(true).open(log).expect("the log can be written");
    let mut command = Command::new("java");
    command.args(["-Xmx384m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"]);
    command.args(["-Dorg.slf4j.simpleLogger.defaultLogLevel=warn", "-Dorg.slf4j.simpleLogger.showDateTime=true"]);
    command.arg("-cp").arg(jars().join("*"));
    command.stdout(log.try_clone().expect("a file has many handles")).stderr(log);
    command
}

/// For each node one to serve at, and one for what the controllers say to each other.
fn free_ports() -> [[u16; 2]; NODES] {
    // All at once, so that they differ.
    let listeners =
        [[0; 2]; NODES].map(|pair: [u16; 2]| pair.map(|_| TcpListener::bind(("127.0.0.1", 0)).expect("a free port")));
    listeners.map(|pair| pair.map(|listener| listener.local_addr().expect("a bound port").port()))
}

fn properties(id: usize, ports: &[[u16; 2]; NODES], data: &Path) -> String {
    let voters: Vec<String> =
        ports.iter().enumerate().map(|(id, [_, port])| format!("{}@127.0.0.1:{port}", id + 1)).collect();
    let [port, controller] = ports[id];
    let own = [
        ("process.roles", "broker,controller".to_owned()),
        ("node.id", (id + 1).to_string()),
        ("listeners", format!("PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller}")),
        ("advertised.listeners", format!("PLAINTEXT://127.0.0.1:{port}")),
        ("listener.security.protocol.map", "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT".to_owned()),
        ("controller.listener.names", "CONTROLLER".to_owned()),
        ("controller.quorum.voters", voters.join(",")),
        ("log.dirs", data.display().to_string()),
    ];
    let fixed = [
        ("auto.create.topics.enable", "false"),
        ("default.replication.factor", "3"),
        ("min.insync.replicas", "2"),
        ("offsets.topic.num.partitions", "6"),
        ("offsets.topic.replication.factor", "3"),
        ("transaction.state.log.num.partitions", "6"),
        ("transaction.state.log.replication.factor", "3"),
        ("transaction.state.log.min.isr", "2"),
        // A broker that comes back leads again soon: partitions move once more.
        ("leader.imbalance.check.interval.seconds", "5"),
        ("group.min.session.timeout.ms", "1000"),
        ("group.initial.rebalance.delay.ms", "0"),
        ("transaction.abort.timed.out.transaction.cleanup.interval.ms", "500"),
        ("log.cleaner.backoff.ms", "5000"),
        ("log.cleaner.dedupe.buffer.size", "16777216"),
        ("num.network.threads", "2"),
        ("num.io.threads", "4"),
    ];
    let fixed = fixed.map(|(key, value)| (key, value.to_owned()));
    own.into_iter().chain(fixed).map(|(key, value)| format!("{key}={value}\n")).collect()
}
