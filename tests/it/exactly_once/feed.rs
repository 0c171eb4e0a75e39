//! Sends a load while other things happen.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use payback::shop::Source;
use rdkafka::producer::BaseRecord;

use super::load::Delivery;
use crate::processor::Processor;
use crate::topics::Loader;

/// A load on its way.
pub struct Feed {
    thread: Option<JoinHandle<()>>,
    hurry: Arc<AtomicBool>,
    sent: Arc<AtomicUsize>,
    length: usize,
}

impl Feed {
    /// Starts to send `load` in its order: `rate` a second at first, and in proportion to what is left, so that it lasts
    /// for what is to happen on slow machines too.
    pub fn start(processor: &Processor, load: &[Delivery], rate: u32) -> Feed {
        let (hurry, sent) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
        let (purchases, spend, load) = (processor.purchases.clone(), processor.spend.clone(), load.to_vec());
        let feed = Feed { thread: None, hurry: hurry.clone(), sent: sent.clone(), length: load.len() };
        let thread = thread::spawn(move || {
            let loader = Loader::new();
            let start = Instant::now();
            let length = load.len() as f64;
            for (number, delivery) in load.iter().enumerate() {
                let left = (load.len() - number) as f64 / length;
                let due = Duration::from_secs_f64(length / f64::from(rate) * -left.ln());
                while !hurry.load(Ordering::Relaxed) && start.elapsed() < due {
                    thread::sleep(Duration::from_millis(2));
                }
                let topic = match delivery.source {
                    Source::Purchases => &purchases,
                    Source::AdSpend => &spend,
                };
                let record = BaseRecord::to(topic).payload(&delivery.value[..]);
                loader.send_record(match &delivery.key {
                    Some(key) => record.key(key.as_bytes()),
                    None => record,
                });
                sent.fetch_add(1, Ordering::Relaxed);
            }
            loader.flush();
        });
        Feed { thread: Some(thread), ..feed }
    }

    /// Panics when nothing is left to send: what was to happen under load would happen without.
    #[track_caller]
    pub fn must_go_on(&self) {
        assert!(self.sent.load(Ordering::Relaxed) < self.length, "the load is over too early: {} events", self.length);
    }

    /// Sends the rest at once.
    pub fn finish(mut self) {
        self.hurry.store(true, Ordering::Relaxed);
        self.thread.take().expect("finished once").join().expect("all is sent");
    }
}
