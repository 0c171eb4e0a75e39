//! A processor under test: its topics and settings, and instances of `payback run` that start and end at will.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs::{self, File};
use std::path::PathBuf;
use std::process::{Command, ExitStatus};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use payback::money::Micros;
use payback::time::Millis;
use rustix::process::Signal;
use tempfile::TempDir;

use crate::batch::{Config, Model, Profit};
use crate::broker::{brokers, replication};
use crate::process::{Process, wait_until};
use crate::topics::{create, is_read, latest, unique};

/// How long anything here may take on a busy machine.
pub const LIMIT: Duration = Duration::from_secs(60);
/// After so long without a sign of life the group goes on without a member.
pub const SESSION: Duration = Duration::from_secs(2);

pub struct Processor {
    pub application_id: String,
    pub purchases: String,
    pub spend: String,
    pub ltv_updates: String,
    pub roas_updates: String,
    pub dead_letters: String,
    /// What its figures depend on beside the events.
    pub figures: Config,
    /// Of the configuration and the logs.
    pub folder: TempDir,
    config: PathBuf,
    partitions: i32,
    session: Duration,
    counts: Arc<Mutex<Counts>>,
}

/// Partitions of the topics that a processor reads.
#[derive(Clone, Copy, Debug)]
pub struct Partitions {
    pub purchases: i32,
    pub spend: i32,
    pub internal: i32,
}

impl Partitions {
    /// All alike, so that no record is read away from its home unless its key is wrong.
    pub fn alike(number: i32) -> Partitions {
        Partitions { purchases: number, spend: number, internal: number }
    }
}

impl Processor {
    /// With its source topics, and names that nobody else uses.
    pub fn new(name: &str, partitions: Partitions) -> Processor {
        let application_id = unique(name);
        let topic = |name: &str| format!("{application_id}-{name}");
        let [purchases, spend] = ["purchases", "ad-spend"].map(topic);
        create(&purchases, partitions.purchases);
        create(&spend, partitions.spend);
        let [ltv_updates, roas_updates, dead_letters] = ["ltv-updates", "roas-updates", "dead-letters"].map(topic);
        let folder = tempfile::Builder::new().prefix("processor").tempdir_in(env!("CARGO_TARGET_TMPDIR"));
        let folder = folder.expect("a folder");
        let processor = Processor {
            application_id,
            purchases,
            spend,
            ltv_updates,
            roas_updates,
            dead_letters,
            figures: Config::default(),
            config: folder.path().join("payback.toml"),
            folder,
            partitions: partitions.internal,
            session: SESSION,
            counts: Arc::default(),
        };
        processor.write_config();
        processor
    }

    /// The same, with more time for a member to give a sign of life.
    pub fn with_session(self, session: Duration) -> Processor {
        let processor = Processor { session, ..self };
        processor.write_config();
        processor
    }

    /// The same, with other figures.
    pub fn with_figures(mut self, figures: Config) -> Processor {
        self.set_figures(figures);
        self
    }

    /// What figures depend on is another from the next start of an instance on.
    pub fn set_figures(&mut self, figures: Config) {
        self.figures = figures;
        self.write_config();
    }

    /// The topics that customers' and campaigns' records go to.
    pub fn outputs(&self) -> [&str; 2] {
        [&self.ltv_updates, &self.roas_updates]
    }

    /// Records go to these topics from the next start of an instance on.
    pub fn set_outputs(&mut self, [ltv_updates, roas_updates]: [String; 2]) {
        (self.ltv_updates, self.roas_updates) = (ltv_updates, roas_updates);
        self.write_config();
    }

    fn write_config(&self) {
        let Processor { application_id, purchases, spend, ltv_updates, roas_updates, dead_letters, .. } = self;
        let text = format!(
            r#"
            {figures}
            [kafka]
            brokers = "{brokers}"
            application_id = "{application_id}"
            replication_factor = {replication}

            [kafka.properties]
            "session.timeout.ms" = "{session}"
            "heartbeat.interval.ms" = "{heartbeat}"

            [topics]
            purchases = ["{purchases}"]
            ad_spend = ["{spend}"]
            ltv_updates = "{ltv_updates}"
            roas_updates = "{roas_updates}"
            dead_letters = "{dead_letters}"
            partitions = {partitions}

            [http]
            listen = "127.0.0.1:0"
            "#,
            figures = sections(&self.figures),
            brokers = brokers(),
            replication = replication(),
            session = self.session.as_millis(),
            heartbeat = SESSION.as_millis() / 4,
            partitions = self.partitions,
        );
        fs::write(&self.config, text).expect("the config can be written");
    }

    /// Starts an instance under a name of its own.
    pub fn start(&self, name: &str) -> Instance {
        self.start_with::<&str>(name, &[])
    }

    /// Starts an instance with variables in its environment.
    pub fn start_with<T: AsRef<OsStr>>(&self, name: &str, variables: &[(T, T)]) -> Instance {
        let log = self.folder.path().join(format!("{}.log", unique(name)));
        let file = File::create(&log).expect("the log can be written");
        let mut command = self.command(&["run"]);
        command.env("PAYBACK_KAFKA__INSTANCE_ID", name).env("RUST_LOG", "info");
        // A fault to be found is for every instance; see `exactly_once`.
        command.envs(variables.iter().map(|(name, value)| (name, value)));
        command.stdout(file.try_clone().expect("a file has many handles")).stderr(file);
        Instance::new(name, Process::start(&mut command), log, self.counts.clone())
    }

    /// A command of the program, with this processor's configuration after it.
    pub fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_payback"));
        command.args(words).arg("--config").arg(&self.config).env("NO_COLOR", "1");
        command
    }

    /// Whether both stages have processed all that was sent so far, and campaigns are judged by it.
    pub fn is_done(&self) -> bool {
        self.has_read_all() && latest(&self.roas_updates).values().all(|record| record["read_through"].is_null())
    }

    /// Whether both stages have processed all that was sent so far.
    pub fn has_read_all(&self) -> bool {
        let id = &self.application_id;
        let [customers, campaigns] = ["customers", "campaigns"].map(|stage| format!("{id}-{stage}"));
        is_read(&customers, &self.purchases)
            && is_read(&campaigns, &self.spend)
            && is_read(&customers, &format!("{id}-customer-events"))
            && is_read(&campaigns, &format!("{id}-campaign-events"))
    }

    #[track_caller]
    pub fn wait_until_done(&self, instances: &mut [&mut Instance]) {
        wait_until("all is processed", LIMIT, || {
            instances.iter_mut().for_each(|instance| instance.must_run());
            self.is_done()
        });
    }

    /// What all instances so far have counted, those that were killed too.
    pub fn counted(&self, metric: &str) -> f64 {
        let counts = self.counts.lock().expect("no test panics while it counts");
        counts.0.iter().map(|metrics| metrics.total(metric)).sum()
    }
}

/// The top of a configuration: what figures depend on.
fn sections(figures: &Config) -> String {
    let decimal = |micros: i64| Micros(micros).to_string();
    let days = |milliseconds: i64| {
        assert_eq!(milliseconds % Millis::DAY, 0, "the configuration has whole days");
        milliseconds / Millis::DAY
    };
    let optional = |key: &str, value: Option<String>| value.map_or(String::new(), |value| format!("{key} = {value}"));
    format!(
        r#"
            windows = {windows:?}

            [reporting]
            currency = "{currency}"
            time_zone = "{zone}"

            [ltv]
            lifespan_years = "{lifespan}"

            [costs]
            {default_margin}
            min_coverage = "{min_coverage}"

            [history]
            {complete_from}

            [attribution]
            model = "{model}"
            lookback_days = {lookback}
            half_life_days = {half_life}
            ignore_channels = {ignore_channels:?}

            [verdict]
            profit = "{profit}"
            window = "{verdict_window}"
            min_spend = "{min_spend}"
            maturity_days = {maturity_days}
            max_spend_gap = "{max_spend_gap}"
        "#,
        windows = figures.windows,
        currency = figures.currency,
        zone = figures.zone,
        lifespan = decimal(figures.lifespan_years),
        default_margin =
            optional("default_margin", figures.default_margin.map(|margin| format!("{:?}", decimal(margin)))),
        min_coverage = decimal(figures.min_coverage),
        complete_from = optional("complete_from", figures.complete_from.map(|at| format!("\"{}\"", Millis(at)))),
        model = match figures.model {
            Model::Last => "last",
            Model::First => "first",
            Model::Linear => "linear",
            Model::Position => "position",
            Model::TimeDecay => "time_decay",
        },
        lookback = days(figures.lookback),
        half_life = days(figures.half_life),
        ignore_channels = figures.ignore_channels,
        profit = match figures.profit {
            Profit::Operating => "operating_profit",
            Profit::Gross => "gross_profit",
            Profit::Revenue => "revenue",
        },
        verdict_window = figures.verdict_window,
        min_spend = decimal(figures.min_spend),
        maturity_days = figures.maturity_days,
        max_spend_gap = decimal(figures.max_spend_gap),
    )
}

#[derive(Default)]
struct Counts(Vec<Metrics>);

/// The metrics of an instance at a moment.
#[derive(Clone, Debug, Default)]
pub struct Metrics(BTreeMap<String, f64>);

impl Metrics {
    fn read(text: &str) -> Metrics {
        let lines = text.lines().filter(|line| !line.starts_with('#'));
        let samples = lines.filter_map(|line| {
            let (name, value) = line.rsplit_once(' ')?;
            Some((name.to_owned(), value.parse().ok()?))
        });
        Metrics(samples.collect())
    }

    /// The sum over all that carry this as a label's value.
    pub fn of(&self, metric: &str, label: &str) -> f64 {
        self.of_label(metric, label).sum()
    }

    /// How many carry this as a label's value.
    pub fn series(&self, metric: &str, label: &str) -> usize {
        self.of_label(metric, label).count()
    }

    fn of_label(&self, metric: &str, label: &str) -> impl Iterator<Item = f64> {
        let value = format!("\"{label}\"");
        let of_metric = self.0.iter().filter(move |(name, _)| name.split('{').next() == Some(metric));
        of_metric.filter(move |(name, _)| name.contains(&value)).map(|(_, value)| *value)
    }

    /// Commits of a stage that came to this: `committed` or `failed`.
    pub fn commits(&self, stage: &str, outcome: &str) -> f64 {
        let name = format!(r#"payback_commit_duration_seconds_count{{outcome="{outcome}",stage="{stage}"}}"#);
        self.0.get(&name).copied().unwrap_or(0.0)
    }

    /// The sum over all labels.
    pub fn total(&self, metric: &str) -> f64 {
        let of_metric = self.0.iter().filter(|(name, _)| name.split('{').next() == Some(metric));
        of_metric.map(|(_, value)| value).sum()
    }
}

/// A running `payback run`. Its metrics are looked at all the time, so that they are known when it is killed.
pub struct Instance {
    pub name: String,
    process: Process,
    log: PathBuf,
    /// Place of its metrics among those of all instances.
    place: usize,
    counts: Arc<Mutex<Counts>>,
}

impl Instance {
    fn new(name: &str, process: Process, log: PathBuf, counts: Arc<Mutex<Counts>>) -> Instance {
        let place = {
            let mut all = counts.lock().expect("no test panics while it counts");
            all.0.push(Metrics::default());
            all.0.len() - 1
        };
        let instance = Instance { name: name.to_owned(), process, log: log.clone(), place, counts: counts.clone() };
        let id = instance.process.id();
        thread::spawn(move || {
            // Until the process is gone; a stopped one does not answer.
            while fs::exists(format!("/proc/{id}/fd/0")).unwrap_or(false) {
                if let Some(metrics) = address(&log).and_then(|address| get(&format!("{address}/metrics"))) {
                    counts.lock().expect("no test panics while it counts").0[place] = Metrics::read(&metrics);
                }
                thread::sleep(Duration::from_millis(100));
            }
        });
        instance
    }

    pub fn id(&self) -> u32 {
        self.process.id()
    }

    /// Its metrics as last seen.
    pub fn metrics(&self) -> Metrics {
        self.counts.lock().expect("no test panics while it counts").0[self.place].clone()
    }

    /// The answer to a request of its API; `None` unless it is a success.
    pub fn get(&self, path: &str) -> Option<String> {
        get(&format!("{}{path}", address(&self.log)?))
    }

    /// Status and body of the answer to a request of its API; `None` where there is none.
    pub fn ask(&self, path: &str) -> Option<(u16, String)> {
        let agent =
            ureq::Agent::config_builder().http_status_as_error(false).timeout_global(Some(Duration::from_secs(2)));
        let agent: ureq::Agent = agent.build().into();
        let mut response = agent.get(format!("{}{path}", address(&self.log)?)).call().ok()?;
        Some((response.status().as_u16(), response.body_mut().read_to_string().ok()?))
    }

    /// What it has logged.
    pub fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }

    #[track_caller]
    pub fn wait_until_ready(&mut self) {
        wait_until("the instance is ready", LIMIT, || {
            self.must_run();
            self.get("/readyz").is_some()
        });
    }

    /// Panics if it has ended.
    #[track_caller]
    pub fn must_run(&mut self) {
        if let Some(status) = self.process.ended() {
            panic!("instance {} ended, {status}", self.name);
        }
    }

    /// Waits for its end.
    #[track_caller]
    pub fn wait_for_end(&mut self) -> ExitStatus {
        self.process.wait(LIMIT)
    }

    #[track_caller]
    pub fn wait_for_end_within(&mut self, limit: Duration) -> ExitStatus {
        self.process.wait(limit)
    }

    pub fn has_ended(&mut self) -> bool {
        self.process.ended().is_some()
    }

    pub fn kill(&mut self) {
        self.process.signal(Signal::KILL);
        self.wait_for_end();
    }

    /// Stops it as it is, in the middle of whatever it does.
    pub fn freeze(&self) {
        self.process.signal(Signal::STOP);
    }

    pub fn is_frozen(&self) -> bool {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.process.id())).unwrap_or_default();
        stat.rsplit_once(") ").is_some_and(|(_, fields)| fields.starts_with('T'))
    }

    pub fn thaw(&self) {
        self.process.signal(Signal::CONT);
    }

    /// Asks it to leave, which takes it at most 5 s.
    #[track_caller]
    pub fn leave(&mut self) {
        self.leave_within(Duration::from_secs(5));
    }

    /// Asks it to leave where that may take longer.
    #[track_caller]
    pub fn leave_within(&mut self, limit: Duration) {
        self.process.signal(Signal::TERM);
        let status = self.process.wait(limit);
        assert!(status.success(), "instance {} leaves with {status}", self.name);
    }
}

impl Drop for Instance {
    fn drop(&mut self) {
        if thread::panicking() {
            let log = self.log();
            let tail: Vec<&str> = log.lines().rev().take(60).collect();
            eprintln!("--- the end of the log of {}:", self.name);
            tail.iter().rev().for_each(|line| eprintln!("{line}"));
        }
    }
}

/// Where its API listens, as it says in its log.
fn address(log: &PathBuf) -> Option<String> {
    let text = fs::read_to_string(log).ok()?;
    let (_, rest) = text.lines().find(|line| line.contains("listening"))?.split_once("127.0.0.1:")?;
    let port: String = rest.chars().take_while(char::is_ascii_digit).collect();
    Some(format!("http://127.0.0.1:{port}"))
}

fn get(url: &str) -> Option<String> {
    let agent = ureq::Agent::new_with_config(
        ureq::Agent::config_builder().timeout_global(Some(Duration::from_secs(2))).build(),
    );
    agent.get(url).call().ok()?.body_mut().read_to_string().ok()
}
