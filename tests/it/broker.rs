//! A real Kafka for the tests and the benchmark: one a process, started by the first that needs it, gone with the process.
//!
//! Where from, in this order: `PAYBACK_TEST_BROKERS` (a broker that runs already), Docker where it runs, else Java, with
//! the jars of `tests/kafka/pom.xml` that Maven fetches once.

use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{LazyLock, Mutex, OnceLock};
use std::thread;
use std::time::Duration;

use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rustix::process::Signal;
use tempfile::TempDir;

use crate::process::{Leash, Patience, Process, wait_until};

/// The version that Docker runs; that of the jars is in `tests/kafka/pom.xml`.
const IMAGE: &str = "apache/kafka:4.1.1";
const READY_WITHIN: Duration = Duration::from_secs(60);
/// How many brokers hold each record.
pub fn replication() -> i32 {
    1
}

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

/// Kills the broker, and starts it again with another port for a listener of [`Guards`], as if it had moved to another machine.
/// Returns where that is, `meanwhile` is done before. For a test in a process of its own; none where the broker's settings are not a file.
pub fn move_listener(listener: &str, meanwhile: impl FnOnce()) -> Option<String> {
    let node = BROKER.node.as_ref().expect("a broker that was started here");
    let mut node = node.lock().expect("moved by one test");
    let Node { process, kill, restart, config, .. } = &mut *node;
    kill(process);
    meanwhile();
    let moved = config.as_ref().map(|config| move_in(config, listener));
    *process = restart();
    wait_until("the broker serves again", READY_WITHIN, || serves(&BROKER.address));
    moved
}

fn move_in(config: &Path, listener: &str) -> String {
    let moved = format!("127.0.0.1:{}", Ports::free().plain);
    let lines = fs::read_to_string(config).expect("the config can be read");
    let (_, former) = lines.split_once(&format!("{listener}://")).expect("the listener");
    let former: String = former.chars().take_while(|letter| !",\n".contains(*letter)).collect();
    fs::write(config, lines.replace(&former, &moved)).expect("the config can be written");
    moved
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
    match bytes_per_second {
        Some(bytes) => {
            let rate = format!("producer_byte_rate={bytes}");
            configure(&["--entity-type", "clients", "--entity-default", "--add-config", &rate]);
        }
        None => {
            configure(&["--entity-type", "clients", "--entity-default", "--delete-config", "producer_byte_rate"]);
        }
    }
}

/// Has this process's Kafka ask its clients who they are, on listeners beside the plain one. For tests in a process of their
/// own, before anything else that takes Kafka.
pub fn guard_with(guards: impl FnOnce() -> Guards) {
    GUARDS.get_or_init(guards);
}

/// `host:port` of a listener of [`Guards`].
pub fn guarded(listener: &str) -> &'static str {
    let found = BROKER.guarded.iter().find(|(name, _)| *name == listener);
    &found.unwrap_or_else(|| panic!("no listener {listener}")).1
}

/// Kafka's own tool for dynamic settings, connected.
pub fn configure(arguments: &[&str]) {
    let node = BROKER.node.as_ref().expect("a broker that was started here");
    let mut command = (node.lock().expect("configured by one test").configs)();
    let status = command.args(["--bootstrap-server", &BROKER.address, "--alter"]).args(arguments).status();
    assert!(status.expect("Kafka's tool runs").success(), "the broker takes {arguments:?}");
}

/// What the broker has logged.
pub fn log() -> String {
    let node = BROKER.node.as_ref().expect("a broker that was started here");
    (node.lock().expect("read by one test").log)()
}

/// Whether a Kafka can be started here, by one way or the other.
pub fn can_be_started() -> bool {
    let runs = |program: &str| {
        let status = Command::new(program).arg("-version").stdout(Stdio::null()).stderr(Stdio::null()).status();
        status.is_ok_and(|status| status.success())
    };
    docker_runs() || (runs("java") && runs("mvn"))
}

/// How a broker asks its clients who they are.
pub struct Guards {
    /// Listeners beside the plain one: name and protocol.
    pub listeners: Vec<(&'static str, &'static str)>,
    pub properties: Vec<(String, String)>,
    /// What the properties name.
    pub files: TempDir,
}

static GUARDS: OnceLock<Guards> = OnceLock::new();
static BROKER: LazyLock<Broker> = LazyLock::new(Broker::find);

struct Broker {
    address: String,
    guarded: Vec<(&'static str, String)>,
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
    log: Box<dyn Fn() -> String + Send>,
    /// Its settings, where they are a file.
    config: Option<PathBuf>,
    /// Leaves nothing behind.
    leash: Leash,
}

impl Broker {
    fn find() -> Broker {
        if let Ok(address) = std::env::var("PAYBACK_TEST_BROKERS") {
            return Broker { address, guarded: Vec::new(), node: None };
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
    let ports = Ports::free();
    let port = ports.plain;
    let name = format!("payback-test-{}-{port}", std::process::id());
    let docker = |arguments: &[&str]| {
        let mut command = Command::new("docker");
        command.args(arguments).stdout(Stdio::null()).stderr(Stdio::null());
        command
    };
    let mut run = docker(&["run", "--name", &name, "-p", &format!("127.0.0.1:{port}:{port}")]);
    run.args(["-e", "KAFKA_HEAP_OPTS=-Xmx512m"]);
    if let Some(guards) = GUARDS.get() {
        let files = guards.files.path().display();
        run.arg("-v").arg(format!("{files}:{files}:ro")).args(["-e", &format!("KAFKA_LOG4J_LOGGERS={AUDIT}=DEBUG")]);
    }
    for (_, port) in &ports.guarded {
        run.args(["-p", &format!("127.0.0.1:{port}:{port}")]);
    }
    for (key, value) in properties("0.0.0.0", &ports, "/tmp/kafka") {
        run.args(["-e", &format!("KAFKA_{}={value}", variable(&key))]);
    }
    let leash = Leash::new(&format!("docker rm -f {name}"));
    let [killed, restarted, frozen, configured, logged] = [(); 5].map(|()| name.clone());
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
        log: Box::new(move || {
            let output = Command::new("docker").args(["logs", &logged]).output().expect("docker runs");
            String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned()
        }),
        config: None,
        leash,
    };
    ready(node, &ports, || format!("see `docker logs {name}`"))
}

fn start_java() -> Result<Broker, String> {
    let classpath = jars().join("*");
    let folder = scratch().join(format!("kafka-{}", std::process::id()));
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    let ports = Ports::free();
    let config = folder.join("server.properties");
    let lines = properties("127.0.0.1", &ports, &folder.join("data").to_string_lossy());
    let lines: String = lines.into_iter().map(|(key, value)| format!("{key}={value}\n")).collect();
    fs::write(&config, lines).map_err(|error| error.to_string())?;

    let log = folder.join("log");
    let (tail, whole) = (log.clone(), log.clone());
    let tail = || fs::read_to_string(&tail).unwrap_or_default();
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
        let (log, config) = (log.clone(), config.clone());
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
        log: Box::new(move || fs::read_to_string(&whole).unwrap_or_default()),
        config: Some(config),
        // The process has a leash of its own; this one comes after it.
        leash: Leash::new(&format!("sleep 1; rm -rf '{}'", folder.display())),
    };
    ready(node, &ports, tail)
}

/// A Java that finds Kafka, up to the class to run.
fn java(classpath: &Path, log: &Path) -> Command {
    let log = fs::File::options().create(true).append(true).open(log).expect("the log can be written");
    let mut command = Command::new("java");
    command.args(["-Xmx512m", "-XX:+UseSerialGC", "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn"]);
    command.arg(format!("-Dorg.slf4j.simpleLogger.log.{AUDIT}=debug")).arg("-cp");
    command.arg(classpath).stdout(log.try_clone().expect("a file has many handles")).stderr(log);
    command
}

/// Waits until the broker serves, or says why it doesn't.
fn ready(mut node: Node, ports: &Ports, log: impl Fn() -> String) -> Result<Broker, String> {
    let address = format!("127.0.0.1:{}", ports.plain);
    let guarded = ports.guarded.iter().map(|(name, port)| (*name, format!("127.0.0.1:{port}"))).collect();
    let patience = Patience::of(READY_WITHIN);
    let failure = loop {
        if serves(&address) {
            return Ok(Broker { address, guarded, node: Some(Mutex::new(node)) });
        }
        if let Some(status) = node.process.ended() {
            break format!("it ended: {status}");
        }
        if patience.is_over() {
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

/// The authorizer's logger: each right that was used, and each that was lacking.
const AUDIT: &str = "kafka.authorizer.logger";

/// As the image takes a property from its environment.
fn variable(key: &str) -> String {
    let written = |letter: char| match letter {
        '.' => "_".to_owned(),
        '_' => "__".to_owned(),
        '-' => "___".to_owned(),
        other => other.to_uppercase().to_string(),
    };
    key.chars().map(written).collect()
}

/// One node that starts fast and keeps nothing beyond the test.
fn properties(host: &str, ports: &Ports, data: &str) -> Vec<(String, String)> {
    let (port, controller) = (ports.plain, ports.controller);
    let mut listeners = format!("PLAINTEXT://{host}:{port},CONTROLLER://127.0.0.1:{controller}");
    let mut advertised = format!("PLAINTEXT://127.0.0.1:{port}");
    let mut protocols = "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT".to_owned();
    let guards = GUARDS.get();
    let kinds = guards.iter().flat_map(|guards| &guards.listeners);
    for ((name, protocol), (_, port)) in kinds.zip(&ports.guarded) {
        listeners += &format!(",{name}://{host}:{port}");
        advertised += &format!(",{name}://127.0.0.1:{port}");
        protocols += &format!(",{name}:{protocol}");
    }
    let mut properties = vec![
        ("process.roles", "broker,controller".to_owned()),
        ("node.id", "1".to_owned()),
        ("listeners", listeners),
        ("advertised.listeners", advertised),
        ("listener.security.protocol.map", protocols),
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
    let mut properties: Vec<_> = properties.into_iter().map(|(key, value)| (key.to_owned(), value)).collect();
    properties.extend(guards.iter().flat_map(|guards| guards.properties.clone()));
    properties
}

/// Where a broker listens.
struct Ports {
    plain: u16,
    controller: u16,
    guarded: Vec<(&'static str, u16)>,
}

impl Ports {
    /// Ports that the operating system holds free now.
    fn free() -> Ports {
        let guarded = GUARDS.get().map(|guards| guards.listeners.as_slice()).unwrap_or_default();
        let number = 2 + guarded.len();
        let listeners: Vec<_> =
            (0..number).map(|_| TcpListener::bind(("127.0.0.1", 0)).expect("a free port")).collect();
        let port = |at: usize| listeners[at].local_addr().expect("a bound port").port();
        let guarded = guarded.iter().enumerate().map(|(at, (name, _))| (*name, port(2 + at))).collect();
        Ports { plain: port(0), controller: port(1), guarded }
    }
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
