//! What is to go wrong, and when: drawn from a seed beforehand, so that the same seed gives the same again.

use std::collections::BTreeSet;
use std::fmt;
use std::time::Duration;

use rand::rngs::Xoshiro256PlusPlus;
use rand::seq::{IndexedRandom, SliceRandom};
use rand::{RngExt, SeedableRng};

use crate::broker::NODES;

/// The most instances at a time, and how many there are at first.
pub const MOST: usize = 4;
pub const AT_FIRST: usize = 2;

/// Faults one after the other.
pub struct Schedule(pub Vec<Step>);

#[derive(Clone, Debug, PartialEq)]
pub struct Step {
    pub fault: Fault,
    /// It strikes while the one before still lasts; otherwise after all has recovered.
    pub overlaps: bool,
    /// Time to pass before it strikes.
    pub after: Duration,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Fault {
    /// kill -9 of an instance, which is started again later.
    Kill { instance: usize, back_after: Duration },
    /// SIGSTOP for longer than a transaction may take, and SIGCONT: a zombie.
    Freeze { instance: usize, lasting: Duration },
    /// SIGTERM, and started again.
    Restart { instance: usize },
    /// An instance more.
    Join { instance: usize },
    /// An instance less, by SIGTERM.
    Leave { instance: usize },
    /// kill -9 of a broker, which comes back later.
    KillBroker { broker: usize, back_after: Duration },
    /// SIGSTOP and SIGCONT of a broker.
    PauseBroker { broker: usize, lasting: Duration },
    /// Records that can't be used.
    Poison { records: usize },
}

impl Fault {
    /// The name of its kind.
    pub fn kind(self) -> &'static str {
        match self {
            Fault::Kill { .. } => "kill -9 of an instance",
            Fault::Freeze { .. } => "an instance frozen, then a zombie",
            Fault::Restart { .. } => "an instance restarted",
            Fault::Join { .. } => "an instance more",
            Fault::Leave { .. } => "an instance less",
            Fault::KillBroker { .. } => "kill -9 of a broker",
            Fault::PauseBroker { .. } => "a broker paused",
            Fault::Poison { .. } => "poison records",
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let of = |instance: usize| name(instance);
        match *self {
            Fault::Kill { instance, back_after } => write!(f, "kill -9 of {}, back after {back_after:?}", of(instance)),
            Fault::Freeze { instance, lasting } => write!(f, "{} frozen for {lasting:?}", of(instance)),
            Fault::Restart { instance } => write!(f, "{} restarted", of(instance)),
            Fault::Join { instance } => write!(f, "{} joins", of(instance)),
            Fault::Leave { instance } => write!(f, "{} leaves", of(instance)),
            Fault::KillBroker { broker, back_after } => {
                write!(f, "kill -9 of broker {broker}, back after {back_after:?}")
            }
            Fault::PauseBroker { broker, lasting } => write!(f, "broker {broker} paused for {lasting:?}"),
            Fault::Poison { records } => write!(f, "{records} poison records"),
        }
    }
}

/// The name of an instance by its place.
pub fn name(instance: usize) -> &'static str {
    ["a", "b", "c", "d"][instance]
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Kind {
    Kill,
    Freeze,
    Restart,
    Join,
    Leave,
    KillBroker,
    PauseBroker,
    Poison,
}

const KINDS: [Kind; 8] = [
    Kind::Kill,
    Kind::Freeze,
    Kind::Restart,
    Kind::Join,
    Kind::Leave,
    Kind::KillBroker,
    Kind::PauseBroker,
    Kind::Poison,
];

impl Schedule {
    /// Of each eight faults one of each kind, in any order; every third or so strikes while the one before still lasts.
    pub fn draw(seed: u64, faults: usize) -> Schedule {
        let mut draw = Draw {
            dice: Xoshiro256PlusPlus::seed_from_u64(seed),
            running: (0..AT_FIRST).collect(),
            deck: Vec::new(),
            steps: Vec::new(),
        };
        while draw.steps.len() < faults {
            let step = draw.step();
            draw.steps.push(step);
        }
        Schedule(draw.steps)
    }
}

impl fmt::Display for Schedule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, step) in self.0.iter().enumerate() {
            let when = if step.overlaps { "meanwhile" } else { "then" };
            writeln!(f, "{:4}. {when}, after {:?}: {}", number + 1, step.after, step.fault)?;
        }
        Ok(())
    }
}

struct Draw {
    dice: Xoshiro256PlusPlus,
    /// Instances that are meant to run.
    running: BTreeSet<usize>,
    deck: Vec<Kind>,
    steps: Vec<Step>,
}

impl Draw {
    fn step(&mut self) -> Step {
        if self.deck.is_empty() {
            self.deck = KINDS.to_vec();
            self.deck.shuffle(&mut self.dice);
        }
        let kind = self.deck.pop().expect("it was filled");
        let before = self.steps.last().filter(|step| !step.overlaps).map(|step| step.fault);
        let wanted = self.dice.random_bool(0.45);
        let overlapped = before.filter(|before| wanted && lasts(*before) && self.can_meet(*before, kind));
        let busy = overlapped.and_then(instance_of);
        let fault = self.fault(kind, busy);
        let after = if overlapped.is_some() { self.millis(100, 6_000) } else { self.millis(500, 3_500) };
        Step { fault, overlaps: overlapped.is_some(), after }
    }

    /// Whether a fault of this kind can strike while the other lasts: there are others to strike, and never two brokers.
    fn can_meet(&self, before: Fault, kind: Kind) -> bool {
        let others = self.running.iter().filter(|instance| instance_of(before) != Some(**instance)).count();
        match kind {
            Kind::KillBroker | Kind::PauseBroker => instance_of(before).is_some(),
            Kind::Kill | Kind::Freeze | Kind::Restart | Kind::Leave => others > 0,
            Kind::Join | Kind::Poison => true,
        }
    }

    fn fault(&mut self, kind: Kind, busy: Option<usize>) -> Fault {
        match kind {
            Kind::Kill => Fault::Kill { instance: self.one(busy), back_after: self.millis(0, 8_000) },
            // A transaction takes 10 s at the most.
            Kind::Freeze => Fault::Freeze { instance: self.one(busy), lasting: self.millis(10_500, 16_000) },
            Kind::Restart => Fault::Restart { instance: self.one(busy) },
            Kind::Join if self.running.len() < MOST => self.join(),
            Kind::Leave if self.running.len() == 1 => self.join(),
            Kind::Join | Kind::Leave => {
                let instance = self.one(busy);
                self.running.remove(&instance);
                Fault::Leave { instance }
            }
            // Until others lead in its place it takes 9 s, as usual.
            Kind::KillBroker => Fault::KillBroker { broker: self.broker(), back_after: self.millis(500, 15_000) },
            Kind::PauseBroker => Fault::PauseBroker { broker: self.broker(), lasting: self.millis(1_000, 14_000) },
            Kind::Poison => Fault::Poison { records: self.dice.random_range(20..200) },
        }
    }

    fn join(&mut self) -> Fault {
        let away: Vec<usize> = (0..MOST).filter(|instance| !self.running.contains(instance)).collect();
        let instance = *away.choose(&mut self.dice).expect("not all run");
        self.running.insert(instance);
        Fault::Join { instance }
    }

    fn one(&mut self, busy: Option<usize>) -> usize {
        let free: Vec<usize> = self.running.iter().copied().filter(|instance| busy != Some(*instance)).collect();
        *free.choose(&mut self.dice).expect("there is another")
    }

    fn broker(&mut self) -> usize {
        self.dice.random_range(0..NODES)
    }

    fn millis(&mut self, least: u64, most: u64) -> Duration {
        Duration::from_millis(self.dice.random_range(least..=most))
    }
}

fn lasts(fault: Fault) -> bool {
    matches!(fault, Fault::Kill { .. } | Fault::Freeze { .. } | Fault::KillBroker { .. } | Fault::PauseBroker { .. })
}

fn instance_of(fault: Fault) -> Option<usize> {
    match fault {
        Fault::Kill { instance, .. }
        | Fault::Freeze { instance, .. }
        | Fault::Restart { instance }
        | Fault::Join { instance }
        | Fault::Leave { instance } => Some(instance),
        Fault::KillBroker { .. } | Fault::PauseBroker { .. } | Fault::Poison { .. } => None,
    }
}

#[test]
fn a_seed_gives_the_same_schedule_again_and_another_another() {
    assert_eq!(Schedule::draw(7, 100).0, Schedule::draw(7, 100).0);
    assert_ne!(Schedule::draw(7, 100).0, Schedule::draw(8, 100).0);
    assert_eq!(Schedule::draw(7, 10).0, Schedule::draw(7, 100).0[..10]);
}

#[test]
fn every_schedule_can_be_carried_out_and_has_all_kinds() {
    for seed in 0..200 {
        let schedule = Schedule::draw(seed, 64).0;
        let mut running: BTreeSet<usize> = (0..AT_FIRST).collect();
        let mut before: Option<&Step> = None;
        for step in &schedule {
            match step.fault {
                Fault::Join { instance } => assert!(running.insert(instance), "it is away before it joins"),
                Fault::Leave { instance } => assert!(running.remove(&instance), "it is there before it leaves"),
                fault => assert!(instance_of(fault).is_none_or(|instance| running.contains(&instance))),
            }
            assert!((1..=MOST).contains(&running.len()));
            if let Some(before) = before.filter(|_| step.overlaps) {
                assert!(!before.overlaps && lasts(before.fault), "two at a time");
                let (one, other) = (instance_of(before.fault), instance_of(step.fault));
                assert!(one.is_none() || one != other, "one fault an instance");
                assert!(one.is_some() || other.is_some() || matches!(step.fault, Fault::Poison { .. }), "one broker");
            }
            before = Some(step);
        }
        let kinds: BTreeSet<&str> = schedule.iter().map(|step| step.fault.kind()).collect();
        assert_eq!(kinds.len(), KINDS.len(), "seed {seed}");
    }
}
