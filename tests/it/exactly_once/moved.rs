//! The only broker dies and comes back at another address, as a pod with a new one does. The address that instances are
//! configured with stays, and leads there.

use std::io;
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

use super::check::{every_update, figures_of_now, final_figures};
use super::feed::Feed;
use super::load::{Steady, disturbed, mixed, now, shop};
use crate::broker::{self, Guards};
use crate::own_process;
use crate::process::wait_until;
use crate::processor::{LIMIT, Partitions, Processor};

/// The listener that instances use. Tests have one that stays where it is.
const MOVES: &str = "MOVES";

#[test]
fn nothing_is_lost_when_kafka_comes_back_at_another_address() {
    own_process::run(&["exactly_once::moved::kafka_comes_back_at_another_address", "--exact"], 6 * LIMIT);
}

#[test]
#[ignore = "moves the Kafka of its process: run by nothing_is_lost_when_kafka_comes_back_at_another_address"]
fn kafka_comes_back_at_another_address() {
    broker::guard_with(|| Guards {
        listeners: vec![(MOVES, "PLAINTEXT")],
        properties: Vec::new(),
        files: tempfile::tempdir().expect("a folder"),
    });
    let processor = Processor::new("moved", Partitions::alike(4));
    let steady = Steady::new(4, 600);
    let load = mixed(disturbed(shop(400)), steady.deliveries());
    let way = Way::to(broker::guarded(MOVES));
    let brokers = [("PAYBACK_KAFKA__BROKERS", way.address.as_str())];
    let mut instances = ["a", "b"].map(|name| processor.start_with(name, &brokers));
    let feed = Feed::start(&processor, &load, 60);

    for instance in &mut instances {
        wait_until("it works", LIMIT, || instance.metrics().total("payback_events_total") > 100.0);
    }
    let moved = broker::move_listener(MOVES, || {
        wait_until("they say that Kafka is away", LIMIT, || {
            instances.iter().all(|instance| instance.get("/readyz").is_none())
        });
    });
    // Where its settings are no file it has only been away.
    moved.iter().for_each(|moved| way.lead_to(moved));
    instances.iter_mut().for_each(|instance| instance.wait_until_ready());
    feed.finish();
    let [a, b] = &mut instances;
    processor.wait_until_done(&mut [a, b]);
    figures_of_now(&processor, &mut [a, b], &load, now);
    instances.iter_mut().for_each(|instance| instance.leave());

    final_figures(&processor, &load);
    every_update(&processor, &steady);
}

/// The address that clients begin with: a name that is looked up anew, or a service in front of the pod.
struct Way {
    address: String,
    to: Arc<Mutex<String>>,
}

impl Way {
    fn to(broker: &str) -> Way {
        let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a free port");
        let address = listener.local_addr().expect("a bound port").to_string();
        let to = Arc::new(Mutex::new(broker.to_owned()));
        let leads = Arc::clone(&to);
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let broker = TcpStream::connect(leads.lock().expect("plain data").as_str());
                // Who comes while it is away is let go.
                let _ = broker.and_then(|broker| join(client, broker));
            }
        });
        Way { address, to }
    }

    fn lead_to(&self, broker: &str) {
        broker.clone_into(&mut self.to.lock().expect("plain data"));
    }
}

/// Passes on what each of both says, until one of them has nothing more to say.
fn join(client: TcpStream, broker: TcpStream) -> io::Result<()> {
    for (mut from, mut to) in [(client.try_clone()?, broker.try_clone()?), (broker, client)] {
        thread::spawn(move || {
            let _ = io::copy(&mut from, &mut to);
            let _ = (from.shutdown(Shutdown::Both), to.shutdown(Shutdown::Both));
        });
    }
    Ok(())
}
