//! Sends the shop's events to the mock cluster: the history as fast as it is counted, then live ones.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use super::error::DemoError;
use crate::generate::{Pace, Producer, now};
use crate::metrics::Metrics;
use crate::shop::{Message, Shop};

/// Events sent and not counted yet, at most: the mock cluster keeps 5 MiB a partition, and drops what is older.
const AHEAD: u64 = 8_000;

/// How far the feed is, for others to see.
#[derive(Debug)]
pub struct Sent {
    events: AtomicU64,
    /// `u64::MAX` until it is over.
    history: AtomicU64,
    /// Of the time that the history takes, how much was sent: in millionths.
    share: AtomicU64,
}

impl Default for Sent {
    fn default() -> Self {
        Sent { events: AtomicU64::new(0), history: AtomicU64::new(u64::MAX), share: AtomicU64::new(0) }
    }
}

impl Sent {
    /// Events sent so far.
    pub fn events(&self) -> u64 {
        self.events.load(Ordering::Acquire)
    }

    /// Events of the history, once all were sent; before that more than there will ever be.
    pub fn history(&self) -> u64 {
        self.history.load(Ordering::Acquire)
    }

    /// How much of the history was sent, from 0 to 1.
    pub fn share(&self) -> f64 {
        self.share.load(Ordering::Acquire) as f64 / 1e6
    }
}

/// The shop and where its events go.
pub struct Feed<'a> {
    pub shop: Shop,
    pub producer: Producer,
    /// Live events a second; 0 for none.
    pub rate: f64,
    /// Gets a line for each event.
    pub save: Option<BufWriter<File>>,
    pub sent: &'a Sent,
    pub metrics: &'a Metrics,
    /// Either of them set: no more events.
    pub quit: [&'a AtomicBool; 2],
}

impl Feed<'_> {
    /// Feeds until it is told to quit.
    ///
    /// # Errors
    /// An event can't be sent or saved.
    pub fn run(mut self) -> Result<(), DemoError> {
        let fed = self.history().and_then(|()| self.live());
        self.producer.flush()?;
        if let Some(mut save) = self.save {
            save.flush().map_err(DemoError::Save)?;
        }
        fed
    }

    fn history(&mut self) -> Result<(), DemoError> {
        while let Some(message) = self.shop.next_historic() {
            while self.is_ahead() && !self.is_over() {
                self.producer.poll(Duration::from_millis(5))?;
            }
            if self.is_over() {
                return Ok(());
            }
            self.send(&message)?;
            self.sent.share.store((self.shop.share() * 1e6) as u64, Ordering::Release);
        }
        self.producer.flush()?;
        if let Some(save) = &mut self.save {
            save.flush().map_err(DemoError::Save)?;
        }
        self.sent.history.store(self.sent.events(), Ordering::Release);
        Ok(())
    }

    fn live(&mut self) -> Result<(), DemoError> {
        let mut pace = Pace::new(self.rate);
        while !self.is_over() {
            for _ in 0..pace.due() {
                if !self.is_ahead() && !self.is_over() {
                    let message = self.shop.next_live(now());
                    self.send(&message)?;
                }
            }
            self.producer.poll(Duration::ZERO)?;
            thread::sleep(Duration::from_millis(10));
        }
        Ok(())
    }

    fn is_ahead(&self) -> bool {
        self.sent.events() >= self.metrics.committed_events() + AHEAD
    }

    fn is_over(&self) -> bool {
        self.quit.iter().any(|quit| quit.load(Ordering::Relaxed))
    }

    fn send(&mut self, message: &Message) -> Result<(), DemoError> {
        self.producer.send(message)?;
        self.sent.events.fetch_add(1, Ordering::Release);
        if let Some(save) = &mut self.save {
            let saved: io::Result<()> = save.write_all(&message.value).and_then(|()| save.write_all(b"\n"));
            saved.map_err(DemoError::Save)?;
        }
        Ok(())
    }
}
