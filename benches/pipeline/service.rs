//! `payback run` as the benchmark starts it: one worker a stage, figures in JPY, everything else by default.

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use tempfile::TempDir;

use crate::broker::brokers;
use crate::process::Process;
use crate::progress::Stream;
use crate::topics::unique;

pub const PARTITIONS: i32 = 4;

pub struct Service {
    pub application_id: String,
    pub purchases: String,
    pub spend: String,
    pub roas_updates: String,
    folder: TempDir,
}

impl Service {
    /// With the topics that it reads.
    pub fn new(purchases: &str, spend: &str) -> Service {
        let application_id = unique("pipeline");
        let roas_updates = format!("{application_id}-roas-updates");
        let folder = TempDir::new_in(env!("CARGO_TARGET_TMPDIR")).expect("a folder");
        let toml = format!(
            r#"
            [kafka]
            brokers = "{}"
            application_id = "{application_id}"
            replication_factor = 1

            [topics]
            purchases = ["{purchases}"]
            ad_spend = ["{spend}"]
            ltv_updates = "{application_id}-ltv-updates"
            roas_updates = "{roas_updates}"
            dead_letters = "{application_id}-dead-letters"
            partitions = {PARTITIONS}

            [reporting]
            currency = "JPY"
            time_zone = "Asia/Tokyo"

            [workers]
            customers = 1
            campaigns = 1

            [http]
            listen = "127.0.0.1:0"

            [log]
            format = "json"
            "#,
            brokers()
        );
        fs::write(folder.path().join("payback.toml"), toml).expect("the config can be written");
        Service { application_id, purchases: purchases.to_owned(), spend: spend.to_owned(), roas_updates, folder }
    }

    /// The only instance, or another run of it.
    pub fn start(&self) -> Instance {
        self.start_as("a")
    }

    /// One of several instances, or another run of it: it finds the checkpoints that it left.
    pub fn start_as(&self, name: &str) -> Instance {
        let [log, checkpoints] = ["log", "checkpoints"].map(|what| self.folder.path().join(format!("{name}-{what}")));
        let file = fs::File::create(&log).expect("the log can be written");
        let mut command = Command::new(env!("CARGO_BIN_EXE_payback"));
        command.arg("run").arg("--config").arg(self.folder.path().join("payback.toml"));
        command.env("PAYBACK_CHECKPOINTS__FOLDER", checkpoints).stdout(Stdio::null()).stderr(file);
        Instance { process: Process::start(&mut command), log }
    }

    /// What the two stages commit, the last of each way last.
    pub fn streams(&self) -> Vec<Stream> {
        let [customers, campaigns] = ["customers", "campaigns"].map(|stage| format!("{}-{stage}", self.application_id));
        let events = format!("{}-campaign-events", self.application_id);
        vec![
            Stream::of_input(customers, &self.purchases),
            Stream::of_input(campaigns.clone(), &self.spend),
            Stream { group: campaigns, topic: events, is_input: false },
        ]
    }
}

/// A running `payback run`.
pub struct Instance {
    pub process: Process,
    log: PathBuf,
}

impl Instance {
    /// Facts of the customers stage that it restored from Kafka and from checkpoints, and the seconds that took; once it
    /// has.
    pub fn restored(&self) -> Option<(u64, u64, f64)> {
        let line = self.logged("state restored", "customers/0")?;
        Some((line["facts"].as_u64()?, line["of_checkpoints"].as_u64()?, line["seconds"].as_f64()?))
    }

    /// How many partitions of `stage` the group has given to it.
    pub fn partitions(&self, stage: &str) -> usize {
        let line = self.logged("partitions assigned", &format!("{stage}/0"));
        line.and_then(|line| line["partitions"].as_str().map(|list| list.split(", ").count())).unwrap_or(0)
    }

    pub fn is_ready(&self) -> bool {
        let Some(line) = self.lines().find(|line| line["message"] == "listening") else { return false };
        let address = line["address"].as_str().expect("the log says where it listens");
        ureq::get(format!("http://{address}/readyz")).call().is_ok()
    }

    /// The last line with this message about this worker.
    fn logged(&self, message: &str, worker: &str) -> Option<serde_json::Value> {
        self.lines().filter(|line| line["message"] == message && line["worker"] == worker).last()
    }

    fn lines(&self) -> impl Iterator<Item = serde_json::Value> {
        let log = fs::read_to_string(&self.log).expect("the log can be read");
        let lines: Vec<_> = log.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
        lines.into_iter()
    }
}
