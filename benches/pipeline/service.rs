//! `payback run` as the benchmark starts it: one worker a stage, figures in JPY, everything else by default.

use std::fs;
use std::process::{Command, Stdio};

use tempfile::TempDir;

use crate::broker::brokers;
use crate::process::Process;
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

    pub fn start(&self) -> Process {
        let [config, log, checkpoints] =
            ["payback.toml", "log", "checkpoints"].map(|name| self.folder.path().join(name));
        let log = fs::File::create(log).expect("the log can be written");
        let mut command = Command::new(env!("CARGO_BIN_EXE_payback"));
        command.arg("run").arg("--config").arg(config).env("PAYBACK_CHECKPOINTS__FOLDER", checkpoints);
        Process::start(command.stdout(Stdio::null()).stderr(log))
    }

    /// Facts of the customers stage that the last start restored from Kafka and from checkpoints, and the seconds that
    /// took; once it has.
    pub fn restored(&self) -> Option<(u64, u64, f64)> {
        let line = self.logged(|line| line["message"] == "state restored" && line["worker"] == "customers/0")?;
        Some((line["facts"].as_u64()?, line["of_checkpoints"].as_u64()?, line["seconds"].as_f64()?))
    }

    /// Whether the group has given the customers' partitions to the last start.
    pub fn is_assigned(&self) -> bool {
        self.logged(|line| line["message"] == "partitions assigned" && line["worker"] == "customers/0").is_some()
    }

    /// Whether the last start is ready.
    pub fn is_ready(&self) -> bool {
        let listening = self.logged(|line| line["message"].as_str().is_some_and(|text| text.contains("listening")));
        let Some(line) = listening else { return false };
        let address = line["address"].as_str().or(line["listen"].as_str()).expect("the log says where it listens");
        ureq::get(format!("http://{address}/readyz")).call().is_ok()
    }

    fn logged(&self, wanted: impl Fn(&serde_json::Value) -> bool) -> Option<serde_json::Value> {
        let log = fs::read_to_string(self.folder.path().join("log")).expect("the log can be read");
        log.lines().filter_map(|line| serde_json::from_str(line).ok()).find(wanted)
    }

    /// What the two stages commit: pairs of group and topic, the last of each way last.
    pub fn streams(&self) -> Vec<(String, String)> {
        let id = &self.application_id;
        vec![
            (format!("{id}-customers"), self.purchases.clone()),
            (format!("{id}-campaigns"), self.spend.clone()),
            (format!("{id}-campaigns"), format!("{id}-campaign-events")),
        ]
    }
}
