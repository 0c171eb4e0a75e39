//! Stands between an instance and the real Kafka, and spoils a chosen request: it is answered with an error, done or not
//! done without an answer, or answered late. So a worker meets each outcome that a call can have, and Kafka keeps the
//! truth.
//!
//! Brokers tell clients where they are; the proxy puts its own port there, so that all connections come through it.

mod answer;
mod wire;

use std::collections::HashMap;
use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use self::answer::{deny_part, place_of_error, redirect};
pub use self::wire::Api;
use self::wire::Request;
use crate::broker::brokers;
use crate::process::wait_until;

/// What becomes of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The connection breaks before the broker has it.
    Lost,
    /// The broker does it, and the connection breaks before the answer.
    Unanswered,
    /// The connection breaks before the broker has it, and the broker gets it after all: as soon as the same client adds offsets
    /// to a later transaction. What it answers then is kept.
    Straggles,
    /// The broker does it, and its answer comes so much later.
    Late(Duration),
    /// The broker does it, and its answer never comes, though the connection stays.
    Kept,
    /// It is answered with this error, and not done.
    Refused(i16),
    /// The broker does it, and the answer says that it failed.
    Denied(i16),
    /// The broker does it, and the answer says that a part of it failed: a partition with records or an offset, or the topics
    /// that it tells of. It is for the first answer that has such a part.
    DeniedPart(i16),
}

/// A fault for the next request of a kind, from a client whose id ends so.
#[derive(Clone, Debug)]
pub struct Plan {
    pub api: Api,
    pub client: String,
    pub fault: Fault,
}

pub struct Proxy {
    port: u16,
    plans: Arc<Plans>,
}

type Plans = Mutex<Planned>;

#[derive(Default)]
struct Planned {
    /// Faults that are still to happen.
    left: Vec<Plan>,
    struck: bool,
    /// What the answers said that were kept.
    kept: Vec<i16>,
    stragglers: Vec<Straggler>,
}

/// A request that its client takes for lost.
struct Straggler {
    client: String,
    connection: Connection,
    correlation: i32,
    api: Api,
    version: i16,
    frame: Vec<u8>,
}

impl Proxy {
    /// In front of the Kafka of the tests.
    pub fn start() -> Proxy {
        let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a free port");
        let port = listener.local_addr().expect("a bound port").port();
        let plans = Arc::<Plans>::default();
        let of_connections = Arc::clone(&plans);
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                // A broker that is away is away behind the proxy too.
                let Ok(broker) = TcpStream::connect(brokers()) else { continue };
                Connection::start(client, broker, port, &of_connections);
            }
        });
        Proxy { port, plans }
    }

    /// What instances are to take for the broker.
    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// Lets faults happen, each to the next request that it is for, in the place of those that are still to come.
    pub fn plan(&self, plans: impl IntoIterator<Item = Plan>) {
        *self.plans.lock().expect("plain data") = Planned { left: plans.into_iter().collect(), ..Planned::default() };
    }

    /// Whether all planned faults have happened.
    pub fn is_done(&self) -> bool {
        self.plans.lock().expect("plain data").left.is_empty()
    }

    /// Whether one of them has happened.
    pub fn has_struck(&self) -> bool {
        self.plans.lock().expect("plain data").struck
    }

    /// The errors that stand in the answers that were kept so far, 0 for none.
    pub fn kept(&self) -> Vec<i16> {
        self.plans.lock().expect("plain data").kept.clone()
    }

    /// Lets no more faults happen.
    pub fn behave(&self) {
        self.plan([]);
    }
}

impl Plan {
    fn is_for(&self, request: &Request<'_>) -> bool {
        request.is(self.api) && request.client.ends_with(&self.client)
    }
}

/// The fault for a request, if it is one that was planned. One that is for a part of the answer is still to come then.
fn strike(plans: &Plans, request: &Request<'_>) -> Option<(Api, Fault)> {
    let mut plans = plans.lock().expect("plain data");
    let place = plans.left.iter().position(|plan| plan.is_for(request))?;
    let Plan { api, fault, .. } = plans.left[place];
    if !matches!(fault, Fault::DeniedPart(_)) {
        plans.left.remove(place);
        plans.struck = true;
    }
    Some((api, fault))
}

/// Lets the next fault for a part of an answer happen, if it is still to come and the answer has such a part.
fn strike_part(plans: &Plans, api: Api, client: &str, version: i16, answer: &mut Vec<u8>) {
    let mut plans = plans.lock().expect("plain data");
    let is_for = |plan: &Plan| plan.api == api && client.ends_with(&plan.client);
    let Some(place) = plans.left.iter().position(is_for) else { return };
    if let Fault::DeniedPart(error) = plans.left[place].fault
        && deny_part(api, version, answer, error)
    {
        plans.left.remove(place);
        plans.struck = true;
    }
}

/// An answer that is not to be passed on as it comes.
struct Expected {
    version: i16,
    /// Whether it names brokers.
    redirect: bool,
    spoil: Option<Spoil>,
}

/// What is to be done to the answer of a request.
enum Spoil {
    Drop,
    Delay(Duration),
    Keep(Api),
    Deny { api: Api, error: i16 },
    DenyPart { api: Api, client: String },
}

#[derive(Clone)]
struct Connection {
    /// Written to by both directions.
    client: Arc<Mutex<TcpStream>>,
    broker: Arc<TcpStream>,
    port: u16,
    waiting: Arc<Mutex<HashMap<i32, Expected>>>,
}

impl Connection {
    fn start(client: TcpStream, broker: TcpStream, port: u16, plans: &Arc<Plans>) {
        for stream in [&client, &broker] {
            stream.set_nodelay(true).expect("a connected stream");
        }
        let connection = Connection {
            client: Arc::new(Mutex::new(client.try_clone().expect("a stream has many handles"))),
            broker: Arc::new(broker),
            port,
            waiting: Arc::default(),
        };
        let (back, plans) = (connection.clone(), Arc::clone(plans));
        let plans_of_answers = Arc::clone(&plans);
        let closing = client.try_clone().expect("a stream has many handles");
        thread::spawn(move || {
            let ended = connection.forward(&client, &plans);
            let _ = client.shutdown(Shutdown::Both);
            if !matches!(ended, Ok(Ended::ForTheClient)) {
                let _ = connection.broker.shutdown(Shutdown::Both);
            }
        });
        thread::spawn(move || {
            let _ = back.answer(&plans_of_answers);
            let _ = closing.shutdown(Shutdown::Both);
            let _ = back.broker.shutdown(Shutdown::Both);
        });
    }

    /// Requests to the broker, until one of both closes.
    fn forward(&self, mut client: &TcpStream, plans: &Plans) -> io::Result<Ended> {
        loop {
            let frame = read_frame(&mut client)?;
            let request = Request::read(&frame);
            if request.is(Api::AddOffsetsToTxn) {
                let_stragglers_through(plans, request.client)?;
            }
            let spoil = match strike(plans, &request) {
                Some((_, Fault::Lost)) => return Ok(Ended::ForBoth),
                Some((api, Fault::Straggles)) => {
                    let (connection, client) = (self.clone(), request.client.to_owned());
                    let (correlation, version) = (request.correlation, request.version);
                    let straggler = Straggler { client, connection, correlation, api, version, frame };
                    plans.lock().expect("plain data").stragglers.push(straggler);
                    return Ok(Ended::ForTheClient);
                }
                Some((api, Fault::Refused(error))) => {
                    write_frame(&mut &*self.client.lock().expect("plain data"), &request.refusal(api, error))?;
                    continue;
                }
                Some((_, Fault::Unanswered)) => Some(Spoil::Drop),
                Some((_, Fault::Late(delay))) => Some(Spoil::Delay(delay)),
                Some((api, Fault::Kept)) => Some(Spoil::Keep(api)),
                Some((api, Fault::Denied(error))) => Some(Spoil::Deny { api, error }),
                Some((api, Fault::DeniedPart(_))) => Some(Spoil::DenyPart { api, client: request.client.to_owned() }),
                None => None,
            };
            let expected = Expected { version: request.version, redirect: request.asks_for_brokers(), spoil };
            if expected.redirect || expected.spoil.is_some() {
                self.waiting.lock().expect("plain data").insert(request.correlation, expected);
            }
            write_frame(&mut &*self.broker, &frame)?;
        }
    }

    /// Answers to the client, until one of both closes.
    fn answer(&self, plans: &Plans) -> io::Result<()> {
        loop {
            let mut answer = read_frame(&mut &*self.broker)?;
            let correlation = i32::from_be_bytes(answer[..4].try_into().expect("four bytes"));
            let expected = self.waiting.lock().expect("plain data").remove(&correlation);
            if let Some(Expected { version, redirect: names_brokers, spoil }) = expected {
                if names_brokers {
                    let (host, port) = brokers().rsplit_once(':').expect("host:port");
                    redirect(&mut answer, host, port.parse().expect("a port"), self.port);
                }
                match spoil {
                    None => {}
                    Some(Spoil::Drop) => return Ok(()),
                    Some(Spoil::Delay(delay)) => thread::sleep(delay),
                    Some(Spoil::Keep(api)) => {
                        let place = place_of_error(api, version, &answer);
                        let error = i16::from_be_bytes([answer[place], answer[place + 1]]);
                        plans.lock().expect("plain data").kept.push(error);
                        continue;
                    }
                    Some(Spoil::Deny { api, error }) => {
                        let place = place_of_error(api, version, &answer);
                        answer[place..place + 2].copy_from_slice(&error.to_be_bytes());
                    }
                    Some(Spoil::DenyPart { api, client }) => strike_part(plans, api, &client, version, &mut answer),
                }
            }
            write_frame(&mut &*self.client.lock().expect("plain data"), &answer)?;
        }
    }
}

/// How a connection was ended.
enum Ended {
    ForBoth,
    /// The broker is still to get something by it.
    ForTheClient,
}

/// Sends the broker what this client has taken for lost, and waits for its answers.
fn let_stragglers_through(plans: &Plans, client: &str) -> io::Result<()> {
    let stragglers: Vec<Straggler> = {
        let mut plans = plans.lock().expect("plain data");
        plans.stragglers.extract_if(.., |straggler| straggler.client == client).collect()
    };
    for Straggler { connection, correlation, api, version, frame, .. } in stragglers {
        let answered = || plans.lock().expect("plain data").kept.len();
        let before = answered();
        let expected = Expected { version, redirect: false, spoil: Some(Spoil::Keep(api)) };
        connection.waiting.lock().expect("plain data").insert(correlation, expected);
        write_frame(&mut &*connection.broker, &frame)?;
        wait_until("the broker answers what comes late", Duration::from_secs(30), || answered() > before);
    }
    Ok(())
}

fn read_frame(stream: &mut impl Read) -> io::Result<Vec<u8>> {
    let mut length = [0; 4];
    stream.read_exact(&mut length)?;
    let mut frame = vec![0; u32::from_be_bytes(length) as usize];
    stream.read_exact(&mut frame)?;
    Ok(frame)
}

fn write_frame(stream: &mut impl Write, frame: &[u8]) -> io::Result<()> {
    let length = (frame.len() as u32).to_be_bytes();
    stream.write_all(&[&length[..], frame].concat())
}
