//! What a campaign is called and how far its spend is known: of each, the latest that a current spend event says.

use std::collections::HashMap;

use crate::engine::table::{NONE, Names};
use crate::time::Millis;

/// The texts that a spend event may give its campaign, as numbers of [`Names`] ([`NONE`] when it does not).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Labels {
    pub channel: u32,
    pub name: u32,
    pub platform: u32,
    pub objective: u32,
}

impl Default for Labels {
    fn default() -> Self {
        Labels { channel: NONE, name: NONE, platform: NONE, objective: NONE }
    }
}

impl Labels {
    fn all(&self) -> [u32; 4] {
        [self.channel, self.name, self.platform, self.objective]
    }
}

/// Labels with a number each: thousands of cells have the same. What no cell has any more is forgotten.
#[derive(Debug, Default)]
pub struct LabelSets {
    sets: Vec<LabelSet>,
    numbers: HashMap<Labels, u32>,
    free: Vec<u32>,
}

#[derive(Clone, Copy, Debug, Default)]
struct LabelSet {
    labels: Labels,
    /// The cells that have it.
    uses: u32,
}

impl LabelSets {
    /// The number of labels, new or known.
    pub fn number(&mut self, labels: Labels) -> u32 {
        *self.numbers.entry(labels).or_insert_with(|| {
            let set = LabelSet { labels, uses: 0 };
            match self.free.pop() {
                Some(number) => {
                    self.sets[number as usize] = set;
                    number
                }
                None => {
                    self.sets.push(set);
                    self.sets.len() as u32 - 1
                }
            }
        })
    }

    /// The labels of a number.
    pub fn get(&self, number: u32) -> Labels {
        self.sets[number as usize].labels
    }

    /// One cell more has these labels.
    pub fn hold(&mut self, number: u32, names: &mut Names) {
        let set = &mut self.sets[number as usize];
        if set.uses == 0 {
            set.labels.all().into_iter().for_each(|label| names.hold(label));
        }
        set.uses += 1;
    }

    /// A cell that had them is gone.
    pub fn release(&mut self, number: u32, names: &mut Names) {
        let set = &mut self.sets[number as usize];
        set.uses -= 1;
        if set.uses == 0 {
            set.labels.all().into_iter().for_each(|label| names.release(label));
            self.numbers.remove(&set.labels);
            self.free.push(number);
        }
    }

    /// Estimate of the bytes held.
    pub fn bytes(&self) -> usize {
        let index = self.numbers.capacity() * (size_of::<(Labels, u32)>() + 1) * 8 / 7;
        self.sets.capacity() * size_of::<LabelSet>() + self.free.capacity() * size_of::<u32>() + index
    }
}

/// What one spend event says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Claim {
    /// `occurred_at`, or `reported_at` of a report.
    pub at: Millis,
    pub labels: Labels,
    /// The moment that its media spend covers.
    pub through: Option<Millis>,
}

/// Channel, name, platform, objective: when each was named last, and its number.
pub type Best = [Option<(Millis, u32)>; 4];

/// The greatest claims of a campaign.
#[derive(Clone, Debug, Default)]
pub struct Naming {
    best: Best,
    through: Option<Millis>,
    /// An event that made one of the best claims was replaced by a lesser one: all must be looked at again.
    pub stale: bool,
}

impl Naming {
    /// With these as its best claims.
    pub fn new(best: Best, through: Option<Millis>) -> Naming {
        Naming { best, through, stale: false }
    }

    /// The labels that hold.
    pub fn best(&self) -> Best {
        self.best
    }

    /// An event's claims take the place of those of its former version.
    pub fn replace(&mut self, former: Option<Claim>, current: Option<Claim>, names: &Names) {
        let label = |claim: Option<Claim>, which: usize| {
            claim.map(|claim| (claim.at, claim.labels.all()[which])).filter(|(_, label)| *label != NONE)
        };
        for (which, best) in self.best.iter_mut().enumerate() {
            let (former, current) = (label(former, which), label(current, which));
            let rank = |claim: Option<(Millis, u32)>| claim.map(|(at, label)| (at, names.text(label)));
            if rank(current) >= rank(*best) {
                *best = current;
            } else if former == *best {
                self.stale = true;
            }
        }
        let through = |claim: Option<Claim>| claim.and_then(|claim| claim.through);
        if through(current) >= self.through {
            self.through = through(current);
        } else if through(former) == self.through {
            self.stale = true;
        }
    }

    /// What the current events of a campaign say together with those that are compacted.
    pub fn of(compacted: Option<&Naming>, claims: impl Iterator<Item = Claim>, names: &Names) -> Naming {
        let mut naming = compacted.cloned().unwrap_or_default();
        claims.for_each(|claim| naming.replace(None, Some(claim), names));
        naming
    }

    /// The labels that hold.
    pub fn labels(&self) -> Labels {
        let [channel, name, platform, objective] = self.best.map(|best| best.map_or(NONE, |(_, label)| label));
        Labels { channel, name, platform, objective }
    }

    /// `spend_through`.
    pub fn through(&self) -> Option<Millis> {
        self.through
    }
}
