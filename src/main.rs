//! The command line: reads it, calls, and answers with an exit code: 0 done, 1 failed, 2 usage or configuration.

mod cli;

use std::io;
use std::process::ExitCode;
use std::sync::atomic::AtomicBool;

use clap::Parser;
use indicatif::{ProgressBar, ProgressStyle};
use payback::config::{self, Config, ConfigError, LogConfig};
use payback::dead_letters;
use payback::demo;
use payback::generate::{self, Destination, Producer};
use payback::kafka::{self, Broker, Clients};
use payback::logging;
use payback::recover;
use payback::replay;
use payback::republish::{self, RepublishError};
use payback::run::{Service, end_at_last};
use payback::shop::Plan;

use cli::{Cli, Command, ConfigFile};

/// What clap itself exits with when the command line can't be read.
const USAGE_OR_CONFIG: u8 = 2;

fn main() -> ExitCode {
    match call(Cli::parse().command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            if logging::is_json() {
                tracing::error!(error = format!("{error:#}"), "payback failed");
            } else {
                eprintln!("payback: {error:#}");
            }
            let is_refused = matches!(error.downcast_ref(), Some(RepublishError::Format));
            if is_refused || error.is::<ConfigError>() { ExitCode::from(USAGE_OR_CONFIG) } else { ExitCode::FAILURE }
        }
    }
}

fn call(command: Command) -> anyhow::Result<()> {
    match command {
        Command::Run(file) => run(&file),
        Command::Demo(options) => demo(options),
        Command::Replay(options) => replay(options),
        Command::Generate(options) => generate(options),
        Command::Topics(file) => topics(&file),
        Command::Republish(file) => republish(&file),
        Command::Recover(options) => recover(&options),
        Command::DeadLetters(cli::DeadLetters::List(options)) => list_letters(options),
        Command::DeadLetters(cli::DeadLetters::Retry(options)) => retry_letters(options),
        Command::CheckConfig(file) => check_config(&file),
    }
}

fn load(file: &ConfigFile) -> Result<Config, ConfigError> {
    let config = Config::load(file.config.as_deref())?;
    if let Some(warning) = config.warning() {
        eprintln!("payback: {warning}");
    }
    Ok(config)
}

/// The same for commands that come to Kafka in the name of a deployment.
fn load_deployment(file: &ConfigFile) -> Result<Config, ConfigError> {
    let config = load(file)?;
    config.require_application_id()?;
    Ok(config)
}

/// The same as [`load`] for commands that log.
fn load_and_log(file: &ConfigFile) -> Result<Config, ConfigError> {
    let config = Config::load(file.config.as_deref())?;
    logging::init(&config.log)?;
    if let Some(warning) = config.warning() {
        tracing::warn!("{warning}");
    }
    Ok(config)
}

fn check_config(file: &ConfigFile) -> anyhow::Result<()> {
    let config = load_deployment(file)?;
    kafka::try_out(&config)?;
    print!("{}", config.effective());
    Ok(())
}

fn replay(options: cli::Replay) -> anyhow::Result<()> {
    let config = load(&options.config)?;
    let request =
        replay::Request { files: options.files, out: options.out, as_of: options.as_of, now: generate::now() };
    let template = if request.files.iter().any(|file| file.as_os_str() == "-") {
        "{bytes} read, {bytes_per_sec} {msg}"
    } else {
        "{bar:30} {bytes} of {total_bytes}, {bytes_per_sec}, {eta} left {msg}"
    };
    // On a terminal alone.
    let progress = ProgressBar::no_length().with_style(ProgressStyle::with_template(template)?);
    println!("{}", replay::replay(&config.settings, &request, &progress)?);
    Ok(())
}

fn run(file: &ConfigFile) -> anyhow::Result<()> {
    let config = load_and_log(file)?;
    config.require_application_id()?;
    kafka::try_out(&config)?;
    let service = Service::new(config)?;
    end_at_last(service.stop())?;
    tracing::info!(address = %service.address()?, "listening");
    Ok(service.run(Broker::Kafka)?)
}

fn demo(options: cli::Demo) -> anyhow::Result<()> {
    // The table is what is to be seen.
    logging::init(&LogConfig { level: "error".to_owned(), ..LogConfig::default() })?;
    let cli::Demo { time, listen, rate, seed, customers, save } = options;
    Ok(demo::demo(&demo::Request { seed, customers, rate, listen, time, save })?)
}

fn topics(file: &ConfigFile) -> anyhow::Result<()> {
    let config = load_deployment(file)?;
    kafka::try_out(&config)?;
    let clients = Clients::new(&config);
    let prepared = kafka::topics::prepare(&config, &clients, &AtomicBool::new(false))?;
    let wanted = config.topics.partitions;
    let mut others = false;
    for (topic, partitions) in prepared.layout.topics() {
        let is_new = prepared.created.iter().any(|new| new == topic);
        let is_as_wanted = partitions == wanted;
        others |= !is_as_wanted;
        match (is_new, is_as_wanted) {
            (true, _) => println!("{topic}: created, {partitions} partitions"),
            (false, true) => println!("{topic}: fits, {partitions} partitions"),
            (false, false) => {
                println!("{topic}: has {partitions} partitions, topics.partitions = {wanted} has no effect on it");
            }
        }
    }
    if others {
        println!(
            "topics.partitions is for topics that are created. Sources can be given more at any time; the internal topics \
             need another kafka.application_id for it (docs/operations.md, More partitions)"
        );
    }
    Ok(())
}

fn republish(file: &ConfigFile) -> anyhow::Result<()> {
    let config = load_deployment(file)?;
    logging::init(&config.log)?;
    println!("{}", republish::republish(&config)?);
    Ok(())
}

fn recover(options: &cli::Recover) -> anyhow::Result<()> {
    let config = load_deployment(&options.config)?;
    logging::init(&config.log)?;
    kafka::try_out(&config)?;
    println!("{}", recover::recover(&config, options.yes)?);
    Ok(())
}

fn list_letters(options: cli::ListLetters) -> anyhow::Result<()> {
    let config = load_and_log(&options.config)?;
    config.require_application_id()?;
    kafka::try_out(&config)?;
    let cli::ListLetters { which, json, content, .. } = options;
    let request = dead_letters::List { choice: which.into(), json, content };
    let mut output = io::BufWriter::new(io::stdout().lock());
    let shown = dead_letters::list(&config, &request, &mut output)?;
    eprintln!("{shown}");
    Ok(())
}

fn retry_letters(options: cli::RetryLetters) -> anyhow::Result<()> {
    let config = load_and_log(&options.config)?;
    config.require_application_id()?;
    kafka::try_out(&config)?;
    let cli::RetryLetters { which, dry_run, again, .. } = options;
    let retried = dead_letters::retry(&config, &dead_letters::Retry { choice: which.into(), dry_run, again })?;
    println!("{} {retried}", if dry_run { "would send" } else { "sent" });
    Ok(())
}

fn generate(options: cli::Generate) -> anyhow::Result<()> {
    let config = load_and_log(&options.config)?;
    let brokers = match options.brokers {
        None if options.config.config.is_some() => Some(config.kafka.bootstrap_servers()),
        given => given,
    };
    let mut destination = match brokers {
        Some(brokers) => {
            for broker in brokers.split(',') {
                let problem = |problem| ConfigError::Variable { variable: "--brokers".to_owned(), problem };
                config::check_broker(broker).map_err(problem)?;
            }
            kafka::try_out(&config)?;
            let (purchases, ad_spend) = (&config.topics.purchases, &config.topics.ad_spend);
            // The configuration has at least one of each.
            let properties = config.kafka.properties.iter();
            Destination::Kafka(Producer::connect(&brokers, properties, &purchases[0], &ad_spend[0])?)
        }
        None => Destination::Lines(Box::new(io::BufWriter::with_capacity(1 << 16, io::stdout().lock()))),
    };
    let plan = Plan {
        seed: options.seed,
        until: options.until.unwrap_or_else(generate::now),
        days: options.days,
        customers: options.customers,
        campaigns: options.campaigns,
        zone: config.settings.zone.clone(),
    };
    let request = generate::Request { plan, rate: options.rate, limit: options.limit };
    let sent = generate::generate(&request, &mut destination)?;
    if matches!(destination, Destination::Kafka(_)) {
        eprintln!("{sent} events sent");
    }
    Ok(())
}
