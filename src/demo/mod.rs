//! `payback demo`: the whole service in one process, without any set-up. librdkafka's mock cluster stands in for Kafka, the
//! made-up shop for the world; everything between is what `payback run` runs.

mod error;
mod feed;
mod progress;
mod screen;
mod table;

use std::fs::File;
use std::io::{self, BufWriter, IsTerminal, Write};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use rdkafka::mocking::MockCluster;

pub use self::error::DemoError;
use self::feed::{Feed, Sent};
use self::progress::Progress;
use self::screen::{Screen, Style};
use self::table::Table;
use crate::config::Config;
use crate::generate::{self, Producer};
use crate::kafka::{Broker, topics};
use crate::metrics::Metrics;
use crate::run::{RunError, Service};
use crate::shop::{Plan, Shop};
use crate::status::Status;

/// What to show.
#[derive(Clone, Debug)]
pub struct Request {
    /// The same seed, the same shop.
    pub seed: u64,
    /// New customers in the history, about.
    pub customers: u32,
    /// Live events a second; 0 for none.
    pub rate: f64,
    /// Address of the API; port 0 takes any that is free.
    pub listen: SocketAddr,
    /// `None`: until Ctrl-C.
    pub time: Option<Duration>,
    /// A file that gets every event that was sent, for a replay.
    pub save: Option<PathBuf>,
}

const PARTITIONS: i32 = 4;
/// Between two pictures on a terminal.
const REFRESH: Duration = Duration::from_millis(500);
/// Between two tables where there is no terminal.
const LINES_EVERY: Duration = Duration::from_secs(10);
/// For the figures of the last events, before the end.
const DRAIN_WITHIN: Duration = Duration::from_secs(3);

/// What customers did reaches the campaigns' records some commits later.
const REACHES_CAMPAIGNS_WITHIN: Duration = Duration::from_millis(500);

/// Runs the demo on standard output until its time is over, or Ctrl-C.
///
/// # Errors
/// The address is taken, or a part fails.
pub fn demo(request: &Request) -> Result<(), DemoError> {
    let cluster = MockCluster::new(1).map_err(DemoError::Cluster)?;
    let config = config(request, cluster.bootstrap_servers());
    for topic in topics::names(&config) {
        cluster.create_topic(&topic, PARTITIONS, 1).map_err(DemoError::Cluster)?;
    }
    let save = request.save.as_ref().map(File::create).transpose().map_err(DemoError::Save)?;
    let until = generate::now();
    let plan = Plan { seed: request.seed, customers: request.customers, ..Plan::new(until) };
    let (purchases, ad_spend) = (&config.topics.purchases[0], &config.topics.ad_spend[0]);
    let producer = Producer::connect(&config.kafka.bootstrap_servers(), [], purchases, ad_spend)?;

    let window = config.verdict.window.clone();
    let service = Service::new(config)?;
    let (status, metrics, stop) = (Arc::clone(&service.status), Arc::clone(&service.metrics), service.stop());
    let address = service.address().map_err(RunError::from)?;
    // Set before `stop`: what was sent is still counted.
    let quit = AtomicBool::new(false);
    let sent = Sent::default();
    let feed = Feed {
        shop: Shop::new(plan),
        producer,
        rate: request.rate,
        save: save.map(BufWriter::new),
        sent: &sent,
        metrics: &metrics,
        quit: [&quit, &stop],
    };
    thread::scope(|scope| {
        let worked = scope.spawn(|| service.run(Broker::Mock));
        let fed = scope.spawn(|| feed.run());
        let show =
            Show { status: &status, metrics: &metrics, sent: &sent, window: &window, address, started: Instant::now() };
        let is_stopped = || stop.load(Ordering::Relaxed) || worked.is_finished();
        let is_time_over = || request.time.is_some_and(|time| show.started.elapsed() >= time);
        let shown = show.run(|| is_stopped() || is_time_over() || fed.is_finished());
        quit.store(true, Ordering::Relaxed);
        let fed = fed.join().unwrap_or(Err(DemoError::Panicked));
        let last = shown.and_then(|screen| show.finish(screen, is_stopped));
        stop.store(true, Ordering::Relaxed);
        let worked = worked.join().map_or(Err(DemoError::Panicked), |ended| ended.map_err(DemoError::from));
        // The cause before what it caused.
        worked.and(fed).and(last)
    })
}

fn config(request: &Request, brokers: String) -> Config {
    let mut config = Config::default();
    config.kafka.brokers = vec![brokers];
    config.kafka.application_id = "payback-demo".to_owned();
    config.kafka.instance_id = Some("demo".to_owned());
    config.http.listen = request.listen;
    config
}

/// What the screen is drawn from.
struct Show<'a> {
    status: &'a Status,
    metrics: &'a Metrics,
    sent: &'a Sent,
    window: &'a str,
    address: SocketAddr,
    started: Instant,
}

impl Show<'_> {
    /// Draws until it is over.
    fn run(&self, is_over: impl Fn() -> bool) -> Result<Screen, DemoError> {
        let mut out = io::stdout();
        let is_terminal = out.is_terminal();
        self.greet(&mut out).map_err(DemoError::Show)?;
        let mut screen = Screen::new(is_terminal, if is_terminal { REFRESH } else { LINES_EVERY }, self.links());
        let mut is_counted = false;
        while !is_over() {
            if !is_counted && self.metrics.committed_events() >= self.sent.history() {
                is_counted = true;
                screen.set_due_in(REACHES_CAMPAIGNS_WITHIN);
                if !is_terminal {
                    let (events, seconds) = (self.sent.history(), self.started.elapsed().as_secs_f64());
                    writeln!(out, "{events} events of history are counted after {seconds:.1} s.\n")
                        .map_err(DemoError::Show)?;
                }
            }
            // A picture on paper stays: it shows whole figures.
            if screen.is_due() && (is_counted || is_terminal) {
                let picture = self.picture(screen.style());
                screen.show(&mut out, &picture).map_err(DemoError::Show)?;
            }
            thread::sleep(Duration::from_millis(50));
        }
        Ok(screen)
    }

    /// Waits for the figures of the last events and shows them once more, to stay.
    fn finish(&self, screen: Screen, is_over: impl Fn() -> bool) -> Result<(), DemoError> {
        let began = Instant::now();
        while !self.is_everything_counted() && !is_over() && began.elapsed() < DRAIN_WITHIN {
            thread::sleep(Duration::from_millis(20));
        }
        if !is_over() {
            thread::sleep(REACHES_CAMPAIGNS_WITHIN);
        }
        let picture = self.picture(screen.style());
        screen.end(&mut io::stdout(), &picture).map_err(DemoError::Show)
    }

    fn greet(&self, out: &mut impl Write) -> io::Result<()> {
        writeln!(out, "A made-up shop with 180 days of history, on a broker inside this process.")?;
        writeln!(out, "{}\n", self.links())?;
        out.flush()
    }

    /// Where to look next.
    fn links(&self) -> String {
        let address = self.address;
        format!("API: http://{address}/v1/campaigns   Metrics: http://{address}/metrics   Ctrl-C ends it.")
    }

    fn is_everything_counted(&self) -> bool {
        self.metrics.committed_events() >= self.sent.events()
    }

    /// A table once the history is in.
    fn picture(&self, style: Style) -> Vec<String> {
        let events = self.metrics.committed_events();
        let history = self.sent.history();
        if events >= history {
            return Table::of(self.status, self.metrics, self.window).lines(style);
        }
        // As much of the history as of its events, of which nobody knows the number before they are sent.
        let share = self.sent.share() * events as f64 / self.sent.events().max(1) as f64;
        Progress { events, share }.lines(style)
    }
}
