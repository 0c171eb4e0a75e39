//! The command line: what can be said, checked as far as that goes without the configuration.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};
use jiff::Timestamp;
use payback::dead_letters::{Choice, Place};
use payback::events::Reason;
use payback::shop::Plan;
use payback::time::Millis;

/// Real-time LTV and ROAS from Kafka, exactly once.
#[derive(Debug, Parser)]
#[command(version, arg_required_else_help = true)]
pub struct Cli {
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run the service: read orders and ad spend from Kafka, keep all figures right
    Run(ConfigFile),
    /// See it work without any set-up: a broker inside, a made-up shop, a live table
    Demo(Demo),
    /// Compute the figures of files of events
    Replay(Replay),
    /// Make up a shop's events, for Kafka or standard output
    Generate(Generate),
    /// Create the topics, or say what is wrong with those that exist
    Topics(ConfigFile),
    /// Have all instances write the records of all customers and campaigns again
    Republish(ConfigFile),
    /// Show from where partitions would go on whose offsets or topics are gone, and what is lost; or have it so
    Recover(Recover),
    /// Show the events that could not be used, or send them again
    #[command(subcommand)]
    DeadLetters(DeadLetters),
    /// Check the configuration and print it as it takes effect, secrets hidden
    CheckConfig(ConfigFile),
}

#[derive(Debug, Args)]
pub struct ConfigFile {
    /// Configuration (TOML); PAYBACK_SECTION__KEY in the environment overrides it
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub struct Recover {
    #[command(flatten)]
    pub config: ConfigFile,
    /// Set the offsets so; all instances must be stopped
    #[arg(long)]
    pub yes: bool,
}

#[derive(Debug, Subcommand)]
pub enum DeadLetters {
    /// Show where each came from and what is wrong with it
    List(ListLetters),
    /// Send each once to the topic that it came from, as it was
    Retry(RetryLetters),
}

#[derive(Debug, Args)]
pub struct ListLetters {
    #[command(flatten)]
    pub config: ConfigFile,
    #[command(flatten)]
    pub which: Which,
    /// A JSON object a line in place of a table
    #[arg(long)]
    pub json: bool,
    /// Show keys and values too: they may be personal
    #[arg(long)]
    pub content: bool,
}

/// Which letters; without any of these, all.
#[derive(Debug, Args)]
pub struct Which {
    /// Only of these reasons (no_exchange_rate,...)
    #[arg(long = "reason", value_name = "REASON", value_delimiter = ',', value_parser = reason)]
    pub reasons: Vec<Reason>,
    /// Only from these topics, partitions of them (purchases/3) or offsets (purchases/3@7, purchases/3@7-20, purchases/3@7-)
    #[arg(long = "source", value_name = "SOURCE", value_delimiter = ',')]
    pub sources: Vec<Place>,
    /// Only events of these types (purchase,...), as far as that can be read
    #[arg(long = "type", value_name = "TYPE", value_delimiter = ',')]
    pub types: Vec<String>,
    /// Only events with this customer_id, order_id, campaign_id or other _id, as far as that can be read; may be repeated
    #[arg(long = "id", value_name = "ID")]
    pub ids: Vec<String>,
    /// Only those rejected from this moment on (RFC 3339)
    #[arg(long, value_name = "TIME", value_parser = moment)]
    pub since: Option<Millis>,
    /// Only those rejected before this moment (RFC 3339)
    #[arg(long, value_name = "TIME", value_parser = moment)]
    pub until: Option<Millis>,
}

impl From<Which> for Choice {
    fn from(which: Which) -> Choice {
        let Which { reasons, sources, types, ids, since, until } = which;
        Choice { reasons, sources, types, ids, since, until }
    }
}

#[derive(Debug, Args)]
pub struct RetryLetters {
    #[command(flatten)]
    pub config: ConfigFile,
    #[command(flatten)]
    pub which: Which,
    /// Only say what would be sent
    #[arg(long)]
    pub dry_run: bool,
    /// Also what an earlier retry has sent
    #[arg(long)]
    pub again: bool,
}

#[derive(Debug, Args)]
pub struct Demo {
    /// End after this time (30s, 5m); without it, at Ctrl-C
    #[arg(long = "for", value_name = "TIME", value_parser = duration)]
    pub time: Option<std::time::Duration>,
    /// Address of the API and the metrics
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8080")]
    pub listen: std::net::SocketAddr,
    /// Live events a second, after the history; 0 for none
    #[arg(long, value_name = "N", default_value_t = 10.0, value_parser = rate_or_none)]
    pub rate: f64,
    /// Another seed is another shop
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub seed: u64,
    /// New customers in the 180 days of history, about
    #[arg(long, value_name = "N", default_value_t = 4_000, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub customers: u32,
    /// Write every event that is sent to this file, one a line: `payback replay` gives the same figures
    #[arg(long, value_name = "FILE")]
    pub save: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub struct Replay {
    #[command(flatten)]
    pub config: ConfigFile,
    /// The moment that the figures are for (RFC 3339); without it, the latest accepted event's
    #[arg(long, value_name = "TIME", value_parser = moment)]
    pub as_of: Option<Millis>,
    /// Folder for ltv.jsonl, roas.jsonl and dead-letters.jsonl; made if it is missing
    #[arg(long, value_name = "DIR")]
    pub out: PathBuf,
    /// Files of events, one JSON object a line; - is standard input
    #[arg(required = true, value_name = "FILE")]
    pub files: Vec<PathBuf>,
}

#[derive(Debug, Args)]
pub struct Generate {
    /// Given, events go to its brokers and source topics; PAYBACK_SECTION__KEY in the environment overrides it
    #[command(flatten)]
    pub config: ConfigFile,
    /// Send to these brokers (host:port,...); without this and --config, to standard output, whatever PAYBACK_KAFKA__BROKERS
    /// says: made-up events reach no broker that the command line does not ask for
    #[arg(long, value_name = "BROKERS")]
    pub brokers: Option<String>,
    /// Go on after the history with so many live events a second
    #[arg(long, value_name = "N", value_parser = rate)]
    pub rate: Option<f64>,
    /// End after so many events
    #[arg(long, value_name = "N")]
    pub limit: Option<u64>,
    /// The same seed, shop and end give the same history
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub seed: u64,
    /// Days of history; 0 for none
    #[arg(long, value_name = "N", default_value_t = Plan::DAYS, value_parser = clap::value_parser!(u32).range(0..=i64::from(Plan::MOST_DAYS)))]
    pub days: u32,
    /// New customers in the history, about; each has about two events
    #[arg(long, value_name = "N", default_value_t = Plan::CUSTOMERS, value_parser = clap::value_parser!(u32).range(1..=i64::from(Plan::MOST_CUSTOMERS)))]
    pub customers: u32,
    /// Campaigns
    #[arg(long, value_name = "N", default_value_t = Plan::CAMPAIGNS, value_parser = clap::value_parser!(u32).range(1..=i64::from(Plan::MOST_CAMPAIGNS)))]
    pub campaigns: u32,
    /// End of the history (RFC 3339); without it, now
    #[arg(long, value_name = "TIME", value_parser = moment)]
    pub until: Option<Millis>,
}

fn moment(text: &str) -> Result<Millis, String> {
    let timestamp: Timestamp =
        text.parse().map_err(|_| "expected a moment with an offset, such as 2026-11-21T10:00:00Z".to_owned())?;
    Millis::from_epoch(timestamp.as_millisecond()).ok_or_else(|| "out of range".to_owned())
}

fn reason(code: &str) -> Result<Reason, String> {
    let codes = || Reason::ALL.map(Reason::code).join(", ");
    Reason::of_code(code).ok_or_else(|| format!("expected one of {}", codes()))
}

fn rate(text: &str) -> Result<f64, String> {
    let rate = text.parse().ok().filter(|rate| (0.001..=10_000_000.0).contains(rate));
    rate.ok_or_else(|| "expected events a second, from 0.001 to 10000000".to_owned())
}

fn rate_or_none(text: &str) -> Result<f64, String> {
    if text == "0" { Ok(0.0) } else { rate(text) }
}

fn duration(text: &str) -> Result<std::time::Duration, String> {
    let (number, seconds) = match text.strip_suffix(['s', 'm', 'h']) {
        Some(number) if text.ends_with('m') => (number, 60),
        Some(number) if text.ends_with('h') => (number, 3_600),
        Some(number) => (number, 1),
        None => (text, 1),
    };
    let number: u32 = number.parse().map_err(|_| "expected seconds, minutes or hours: 30s, 5m, 1h".to_owned())?;
    Ok(std::time::Duration::from_secs(u64::from(number) * seconds))
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn times_and_rates_are_read_or_refused() {
        assert_eq!(duration("5m"), Ok(std::time::Duration::from_secs(300)));
        assert_eq!(duration("30"), duration("30s"));
        assert!(duration("soon").is_err() && duration("").is_err() && duration("s").is_err());
        assert_eq!(moment("2026-11-22T09:00:00+09:00"), Ok(Millis(1_795_305_600_000)));
        assert!(moment("2026-11-22").is_err() && moment("2026-11-22T09:00:00").is_err());
        assert!(rate("20000").is_ok() && rate("0").is_err() && rate("NaN").is_err());
    }
}
