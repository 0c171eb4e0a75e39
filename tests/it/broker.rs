//! A real Kafka for the tests and the benchmark: one a process, started by the first that needs it, gone with the process.
//!
//! Where from, in this order: `PAYBACK_TEST_BROKERS` (a broker that runs already), Docker where it runs, else Java, with
//! the jars of `tests/kafka/pom.xml` that Maven fetches once.

use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{LazyLock, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rustix::process::Signal;

use crate::process::{Leash, Process, wait_until};

/// The version that Docker runs; that of the jars is in `tests/kafka/pom.xml`.
const IMAGE: &str = "apache/kafka:4.1.1";
const READY_WITHIN: Duration = Duration::from_secs(60);
/// How many brokers hold each record.
pub const REPLICATION: i32 = 1;

/// `host:port` of the broker.
pub fn brokers() -> &'static str {
    &BROKER.address
}

/// Kills the broker, and starts it again with all that it had once `meanwhile` is done. For a test in a process of its own.
pub fn interrupt(meanwhile: impl FnOnce()) {
    let node = BROKER.node.as_ref().expect("a broker that was started here");
    let mut node = node.lock().expect("interrupted by one test");
    let Node { process, kill, restart, .. } = &mut *node;
    kill(process);
    meanwhile();
    *process = restart();
    wait_until("the broker serves again", READY_WITHIN, || serves(&BROKER.address));
}

/// Stops the broker as it is, and lets it go on once `meanwhile` is done. For a test in a process of its own.
pub fn freeze(meanwhile: impl FnOnce()) {
    let node = BROKER.node.as_ref().expect("a broker that was started here");
    let node = node.lock().expect("frozen by one test");
    (node.freeze)(&node.process, true);
    meanwhile();
    (node.freeze)(&node.process, false);
}

/// Lets every producer write so many bytes a second; none: as many as it likes. For a test in a process of its own.
pub fn throttle_producers(bytes_per_second: Option<u64>) {
    let node = BROKER.node.as_ref().expect("a broker that was started here");
    let node = node.lock().expect("throttled by one test");
    let change = match bytes_per_second {
        Some(bytes) => ["--add-config".to_owned(), format!("producer_byte_rate={bytes}")],
        None => ["--delete-config".to_owned(), "producer_byte_rate".to_owned()],
    };
    let status = (node.configs)()
        .args(["--bootstrap-server", &BROKER.address, "--alter", "--entity-type", "clients", "--entity-default"])
        .args(change)
        .status();
    assert!(status.expect("Kafka's tool runs").success(), "the broker takes a quota");
}

static BROKER: LazyLock<Broker> = LazyLock::new(Broker::find);

struct Broker {
    address: String,
    /// What was started here. It is never dropped: it ends with the process.
    node: Option<Mutex<Node>>,
}

type Freeze = dyn Fn(&Process, bool) + Send;

struct Node {
    process: Process,
    kill: Box<dyn Fn(&mut Process) + Send>,
    restart: Box<dyn Fn() -> Process + Send>,
    /// Stops it, or lets it go on.
    freeze: Box<Freeze>,
    /// Kafka's own tool for dynamic settings.
    configs: Box<dyn Fn() -> Command + Send>,
    /// Leaves nothing behind.
    leash: Leash,
}

impl Broker {
    fn find() -> Broker {
        if let Ok(address) = std::env::var("PAYBACK_TEST_BROKERS") {
            return Broker { address, node: None };
        }
        let start: fn() -> Result<Broker, String> = if docker_runs() { start_docker } else { start_java };
        // Another process may take a port between its choice and the broker's start.
        let mut failures = Vec::new();
        for _ in 0..3 {
            match start() {
                Ok(broker) => return broker,
                Err(failure) => failures.push(failure),
            }
        }
        panic!("Kafka does not start:\n{}", failures.join("\n"));
    }
}

fn docker_runs() -> bool {
    let info = Command::new("docker").arg("info").stdout(Stdio::null()).stderr(Stdio::null()).status();
    info.is_ok_and(|status| status.success())
}

fn start_docker() -> Result<Broker, String> {
    let [port, controller] = free_ports();
    let name = format!("payback-test-{}-{port}", std::process::id());
    let docker = |arguments: &[&str]| {
        let mut command = Command::new("docker");
        command.args(arguments).stdout(Stdio::null()).stderr(Stdio::null());
        command
    };
    let mut run = docker(&["run", "--name", &name, "-p", &format!("127.0.0.1:{port}:{port}")]);
    run.args(["-e", "KAFKA_HEAP_OPTS=-Xmx512m"]);
    for (key, value) in properties("0.0.0.0", port, controller, "/tmp/kafka") {
        run.args(["-e", &format!("KAFKA_{}={value}", key.to_uppercase().replace('.', "_"))]);
    }
    let leash = Leash::new(&format!("docker rm -f {name}"));
    let (killed, restarted, frozen, configured) = (name.clone(), name.clone(), name.clone(), name.clone());
    let node = Node {
        process: Process::start(run.arg(IMAGE)),
        kill: Box::new(move |process| {
            docker(&["kill", &killed]).status().expect("docker runs");
            process.wait(READY_WITHIN);
        }),
        restart: Box::new(move || Process::start(&mut docker(&["start", "--attach", &restarted]))),
        freeze: Box::new(move |_, frozen_now| {
            let command = if frozen_now { "pause" } else { "unpause" };
            docker(&[command, &frozen]).status().expect("docker runs");
        }),
        configs: Box::new(move || docker(&["exec", &configured, "/opt/kafka/bin/kafka-configs.sh"])),
        leash,
    };
    ready(node, port, || format!("see `docker logs {name}`"))
}

fn start_java() -> Result<Broker, String> {
    let classpath = jars().join("*");
    let folder = scratch().join(format!("kafka-{}", std::process::id()));
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    let [port, controller] = free_ports();
    let config = folder.join("server.properties");
    let lines = properties("127.0.0.1", port, controller, &folder.join("data").to_string_lossy());
    let lines: String = lines.into_iter().map(|(key, value)| format!("{key}={value}\n")).collect();
    fs::write(&config, lines).map_err(|error| error.to_string())?;

    let log = folder.join("log");
    let tail = || fs::read_to_string(&log).unwrap_or_default();
    let cluster = "cGF5YmFjay10ZXN0LTAwMA";
    let format = java(&classpath, &log)
        .args(["kafka.tools.StorageTool", "format", "--standalone", "--cluster-id", cluster, "--config"])
        .arg(&config)
        .status();
    if !format.map_err(|error| format!("java: {error}"))?.success() {
        return Err(tail());
    }
    let classpath_of_tools = classpath.clone();
    let start = {
        let log = log.clone();
        move || Process::start(java(&classpath, &log).arg("kafka.Kafka").arg(&config))
    };
    let process = start();
    let configs = {
        let log = log.clone();
        move || {
            let mut command = java(&classpath_of_tools, &log);
            command.arg("kafka.admin.ConfigCommand");
            command
        }
    };
    let node = Node {
        process,
        kill: Box::new(|process| {
            process.signal(Signal::KILL);
            process.wait(READY_WITHIN);
        }),
        restart: Box::new(start),
        freeze: Box::new(|process, frozen| process.signal(if frozen { Signal::STOP } else { Signal::CONT })),
        configs: Box::new(configs),
        // The process has a leash of its own; this one comes after it.
        leash: Leash::new(&format!("sleep 1; rm -rf '{}'", folder.display())),
    };
    ready(node, port, tail)
}

/// A Java that finds Kafka, up to the class to run.
fn java(classpath: &Path, log: &Path) -> Command {
    let log = fs::File::options().create(true).append(true).open(log).expect("the log can be written");
    let mut command = Command::new("java");
    command.args(["-Xmx512m", "-XX:+UseSerialGC", "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn", "-cp"]);
    command.arg(classpath).stdout(log.try_clone().expect("a file has many handles")).stderr(log);
    command
}

/// Waits until the broker serves, or says why it doesn't.
fn ready(mut node: Node, port: u16, log: impl Fn() -> String) -> Result<Broker, String> {
    let address = format!("127.0.0.1:{port}");
    let start = Instant::now();
    let failure = loop {
        if serves(&address) {
            return Ok(Broker { address, node: Some(Mutex::new(node)) });
        }
        if let Some(status) = node.process.ended() {
            break format!("it ended: {status}");
        }
        if start.elapsed() > READY_WITHIN {
            break format!("not ready within {READY_WITHIN:?}");
        }
        thread::sleep(Duration::from_millis(100));
    };
    node.leash.cut();
    Err(format!("{failure}\n{}", log()))
}

fn serves(address: &str) -> bool {
    // Before the port is open librdkafka would only back off.
    if std::net::TcpStream::connect(address).is_err() {
        return false;
    }
    let client: Result<BaseConsumer, _> = ClientConfig::new().set("bootstrap.servers", address).create();
    let metadata = client.and_then(|client| client.fetch_metadata(None, Duration::from_secs(2)));
    metadata.is_ok_and(|metadata| !metadata.brokers().is_empty())
}

/// One node that starts fast and keeps nothing beyond the test.
fn properties(host: &str, port: u16, controller: u16, data: &str) -> Vec<(&'static str, String)> {
    let mut properties = vec![
        ("process.roles", "broker,controller".to_owned()),
        ("node.id", "1".to_owned()),
        ("listeners", format!("PLAINTEXT://{host}:{port},CONTROLLER://127.0.0.1:{controller}")),
        ("advertised.listeners", format!("PLAINTEXT://127.0.0.1:{port}")),
        ("listener.security.protocol.map", "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT".to_owned()),
        ("controller.listener.names", "CONTROLLER".to_owned()),
        ("controller.quorum.bootstrap.servers", format!("127.0.0.1:{controller}")),
        ("log.dirs", data.to_owned()),
    ];
    let fixed = [
        ("auto.create.topics.enable", "false"),
        ("offsets.topic.num.partitions", "8"),
        ("offsets.topic.replication.factor", "1"),
        ("transaction.state.log.num.partitions", "8"),
        ("transaction.state.log.replication.factor", "1"),
        ("transaction.state.log.min.isr", "1"),
        ("share.coordinator.state.topic.num.partitions", "1"),
        ("share.coordinator.state.topic.replication.factor", "1"),
        ("share.coordinator.state.topic.min.isr", "1"),
        // Tests that kill a member wait for its session to end.
        ("group.min.session.timeout.ms", "1000"),
        ("group.initial.rebalance.delay.ms", "0"),
        ("transaction.abort.timed.out.transaction.cleanup.interval.ms", "500"),
        // Nothing here outlives the machine's power; compaction would only take CPU.
        ("log.flush.offset.checkpoint.interval.ms", "600000"),
        ("log.cleaner.backoff.ms", "600000"),
        ("log.segment.bytes", "268435456"),
    ];
    properties.extend(fixed.map(|(key, value)| (key, value.to_owned())));
    properties
}

/// The folder of Kafka's jars, filled by Maven if it isn't there.
pub fn jars() -> PathBuf {
    let pom = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/kafka/pom.xml");
    let version = fs::read_to_string(&pom).expect("the pom is there");
    let (_, version) = version.split_once("<artifactId>kafka_2.13</artifactId>").expect("the pom names Kafka");
    let (version, _) = version.split_once("</version>").expect("Kafka has a version");
    let version = version.trim().trim_start_matches("<version>");
    let folder = scratch().join(format!("kafka-{version}"));
    if folder.exists() {
        return folder;
    }
    // Renamed when whole, so that what an interrupted run left is not taken for it.
    let part = scratch().join(format!("kafka-{version}.{}", std::process::id()));
    let maven = Command::new("mvn")
        .args(["-q", "-B", "-Dstyle.color=never", "-f"])
        .arg(&pom)
        .arg("dependency:copy-dependencies")
        .arg(format!("-DoutputDirectory={}", part.display()))
        .status();
    let done = maven.unwrap_or_else(|error| panic!("mvn (Maven fetches Kafka where Docker does not run): {error}"));
    assert!(done.success(), "Maven could not fetch Kafka");
    if fs::rename(&part, &folder).is_err() {
        // Another process was quicker.
        assert!(folder.exists(), "{} can't be made", folder.display());
        let _ = fs::remove_dir_all(&part);
    }
    folder
}

fn scratch() -> PathBuf {
    PathBuf::from(env!("CARGO_TARGET_TMPDIR"))
}

/// Two ports that the operating system holds free now.
fn free_ports() -> [u16; 2] {
    let listeners = [0; 2].map(|_| TcpListener::bind(("127.0.0.1", 0)).expect("a free port"));
    listeners.map(|listener| listener.local_addr().expect("a bound port").port())
}
