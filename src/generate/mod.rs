//! `payback generate`: the made-up shop's events, to standard output or to Kafka.
//!
//! The history comes at once, as fast as it is taken. With a rate, live events follow at that rate until the limit, or
//! without end.

mod error;
mod kafka;

use std::io::Write;
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

pub use self::error::GenerateError;
pub use self::kafka::Producer;
use crate::shop::{Message, Plan, Shop};
use crate::time::Millis;

/// How much, and how fast.
#[derive(Clone, Debug)]
pub struct Request {
    /// The shop whose events they are.
    pub plan: Plan,
    /// Live events a second, after the history; `None`: the history alone.
    pub rate: Option<f64>,
    /// At most so many events.
    pub limit: Option<u64>,
}

/// Where events go.
pub enum Destination {
    /// One event a line.
    Lines(Box<dyn Write>),
    /// Each to its topic.
    Kafka(Producer),
}

/// Sends what `request` asks for and returns the number of events, all of which have arrived.
///
/// # Errors
/// The destination takes no more.
pub fn generate(request: &Request, destination: &mut Destination) -> Result<u64, GenerateError> {
    let limit = request.limit.unwrap_or(u64::MAX);
    let mut shop = Shop::new(request.plan.clone());
    let mut sent = 0;
    while sent < limit {
        let Some(message) = shop.next_historic() else { break };
        destination.send(&message)?;
        sent += 1;
    }
    if let Some(rate) = request.rate {
        destination.flush()?;
        let mut pace = Pace::new(rate);
        while sent < limit {
            let due = pace.due();
            for _ in 0..due.min(limit - sent) {
                destination.send(&shop.next_live(now()))?;
                sent += 1;
            }
            destination.pause(Duration::from_millis(if due == 0 { 2 } else { 0 }))?;
        }
    }
    destination.flush()?;
    Ok(sent)
}

/// The clock of the live part.
pub fn now() -> Millis {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Millis(i64::try_from(since_epoch.as_millis()).unwrap_or(i64::MAX))
}

/// Says how many events are due, so that in the long run they come at a rate, whatever delays the sender.
#[derive(Debug)]
pub struct Pace {
    rate: f64,
    start: Instant,
    taken: u64,
}

impl Pace {
    /// `rate` events a second.
    pub fn new(rate: f64) -> Pace {
        Pace { rate, start: Instant::now(), taken: 0 }
    }

    /// Events that are due and have not been taken; they are taken by this call.
    pub fn due(&mut self) -> u64 {
        let until_now = (self.start.elapsed().as_secs_f64() * self.rate) as u64;
        let due = until_now.saturating_sub(self.taken);
        self.taken += due;
        due
    }
}

impl Destination {
    fn send(&mut self, message: &Message) -> Result<(), GenerateError> {
        match self {
            Destination::Lines(out) => {
                out.write_all(&message.value)?;
                out.write_all(b"\n")?;
            }
            Destination::Kafka(producer) => producer.send(message)?,
        }
        Ok(())
    }

    /// Waits between two live events. What was written is visible by then.
    fn pause(&mut self, time: Duration) -> Result<(), GenerateError> {
        match self {
            Destination::Lines(out) => {
                out.flush()?;
                thread::sleep(time);
            }
            Destination::Kafka(producer) => producer.poll(time)?,
        }
        Ok(())
    }

    fn flush(&mut self) -> Result<(), GenerateError> {
        match self {
            Destination::Lines(out) => out.flush()?,
            Destination::Kafka(producer) => producer.flush()?,
        }
        Ok(())
    }
}
