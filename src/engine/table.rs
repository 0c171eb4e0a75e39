//! Things found by their identity (an owner's number and a text), in little memory.
//!
//! Values stand in a slab of chunks, which grows without moving them, and have a number for life. The index is an open
//! hash table of those numbers and their hashes, 10 to 21 bytes a value: when it grows, no value is fetched from memory,
//! and a million of them don't hold up what comes. The place of a value that was removed is taken by a later one.

use std::hash::BuildHasher;
use std::mem;
use std::ops::{Index, IndexMut};

use hashbrown::{DefaultHashBuilder, HashTable, hash_table};
use smol_str::SmolStr;

/// No slot: the number of nothing.
pub const NONE: u32 = u32::MAX;

const CHUNK: usize = 1024;

/// What a value of a [`Table`] is known by.
pub trait Identity {
    fn owner(&self) -> u32;
    fn id(&self) -> &Id;
}

/// The text of an identity: up to 23 bytes stand in it, a longer one elsewhere.
pub type Id = SmolStr;

/// Bytes that an id takes beside its own 24.
pub fn heap_bytes(id: &Id) -> usize {
    const COUNTS: usize = 2 * size_of::<usize>();
    if id.is_heap_allocated() { COUNTS + id.len() } else { 0 }
}

/// A growing set of values, each found by its number or by its identity.
#[derive(Debug)]
pub struct Table<T> {
    slab: Slab<T>,
    index: HashTable<Entry>,
    hasher: DefaultHashBuilder,
    id_bytes: usize,
}

/// Where a value is, and the hash of its identity.
#[derive(Clone, Copy, Debug)]
struct Entry {
    slot: u32,
    hash: u32,
}

impl Entry {
    /// Its hash as the index takes it.
    fn spread(&self) -> u64 {
        spread(self.hash)
    }
}

/// The index goes by the lowest and by the highest bits.
fn spread(hash: u32) -> u64 {
    // 2^64 over the golden ratio: odd, so that no two hashes have the same lower half.
    u64::from(hash).wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

impl<T> Default for Table<T> {
    fn default() -> Self {
        let (slab, hasher) = (Slab::default(), DefaultHashBuilder::default());
        Table { slab, index: HashTable::new(), hasher, id_bytes: 0 }
    }
}

/// Values by their number alone.
#[derive(Debug)]
pub struct Slab<T> {
    chunks: Vec<Vec<T>>,
    /// Places, those of removed values too.
    places: u32,
    free: Vec<u32>,
}

impl<T> Default for Slab<T> {
    fn default() -> Self {
        Slab { chunks: Vec::new(), places: 0, free: Vec::new() }
    }
}

impl<T> Slab<T> {
    /// Adds a value, and says its number.
    pub fn put(&mut self, value: T) -> u32 {
        if let Some(slot) = self.free.pop() {
            self[slot] = value;
            return slot;
        }
        match self.chunks.last_mut() {
            Some(chunk) if chunk.len() < CHUNK => chunk.push(value),
            Some(_) => {
                let mut chunk = Vec::with_capacity(CHUNK);
                chunk.push(value);
                self.chunks.push(chunk);
            }
            // The first one grows by itself: a small state stays small.
            None => self.chunks.push(vec![value]),
        }
        self.places += 1;
        self.places - 1
    }

    /// Takes a value out that is there; its number will be another's.
    pub fn remove(&mut self, slot: u32) -> T
    where
        T: Default,
    {
        self.free.push(slot);
        std::mem::take(&mut self[slot])
    }

    /// Bytes held, without what else the values own.
    pub fn bytes(&self) -> usize {
        let values: usize = self.chunks.iter().map(Vec::capacity).sum();
        values * size_of::<T>() + self.free.capacity() * size_of::<u32>()
    }
}

impl<T> Index<u32> for Slab<T> {
    type Output = T;
    fn index(&self, slot: u32) -> &T {
        &self.chunks[slot as usize / CHUNK][slot as usize % CHUNK]
    }
}

impl<T> IndexMut<u32> for Slab<T> {
    fn index_mut(&mut self, slot: u32) -> &mut T {
        &mut self.chunks[slot as usize / CHUNK][slot as usize % CHUNK]
    }
}

impl<T: Identity> Table<T> {
    /// Values that are there.
    pub fn len(&self) -> u32 {
        self.slab.places - self.slab.free.len() as u32
    }

    /// One more than the largest number given so far. A place whose value was removed holds a default.
    pub fn places(&self) -> u32 {
        self.slab.places
    }

    /// The number of the value of this identity.
    pub fn find(&self, owner: u32, id: &str) -> Option<u32> {
        let hash = hash(&self.hasher, owner, id);
        self.index.find(spread(hash), is_it(&self.slab, hash, owner, id)).map(|entry| entry.slot)
    }

    /// Adds a value unless its identity is there, and says its number.
    pub fn insert_new(&mut self, value: T) -> Option<u32> {
        let hash = hash(&self.hasher, value.owner(), value.id());
        let is_it = is_it(&self.slab, hash, value.owner(), value.id());
        match self.index.entry(spread(hash), is_it, Entry::spread) {
            hash_table::Entry::Occupied(_) => None,
            hash_table::Entry::Vacant(entry) => {
                self.id_bytes += heap_bytes(value.id());
                let slot = self.slab.put(value);
                entry.insert(Entry { slot, hash });
                Some(slot)
            }
        }
    }

    /// Adds a value whose identity is not there yet, and says its number.
    pub fn insert(&mut self, value: T) -> u32 {
        let hash = hash(&self.hasher, value.owner(), value.id());
        self.id_bytes += heap_bytes(value.id());
        let slot = self.slab.put(value);
        self.index.insert_unique(spread(hash), Entry { slot, hash }, Entry::spread);
        slot
    }

    /// The number of the value of this identity, which is made if it is not there yet.
    pub fn find_or_insert(&mut self, owner: u32, id: &str, make: impl FnOnce() -> T) -> u32 {
        let hash = hash(&self.hasher, owner, id);
        match self.index.entry(spread(hash), is_it(&self.slab, hash, owner, id), Entry::spread) {
            hash_table::Entry::Occupied(entry) => entry.get().slot,
            hash_table::Entry::Vacant(entry) => {
                let slot = self.slab.put(make());
                entry.insert(Entry { slot, hash });
                self.id_bytes += heap_bytes(self.slab[slot].id());
                slot
            }
        }
    }

    /// Adds a place without a value, to be [vacated](Table::vacate) once all others are there.
    pub fn add_vacant(&mut self) -> u32
    where
        T: Default,
    {
        self.slab.put(T::default())
    }

    /// Gives a place that never had a value to a later one.
    pub fn vacate(&mut self, slot: u32)
    where
        T: Default,
    {
        self.slab.remove(slot);
    }

    /// Makes room for so many more values: the index grows once, and not again and again.
    pub fn reserve(&mut self, values: usize) {
        self.index.reserve(values, Entry::spread);
    }

    /// Takes a value out that is there; its number will be another's.
    pub fn remove(&mut self, slot: u32) -> T
    where
        T: Default,
    {
        let hash = hash(&self.hasher, self[slot].owner(), self[slot].id());
        let Ok(entry) = self.index.find_entry(spread(hash), |other| other.slot == slot) else { return T::default() };
        entry.remove();
        self.id_bytes -= heap_bytes(self[slot].id());
        self.slab.remove(slot)
    }

    /// The values with their numbers, in the order of insertion, of a table from which nothing was removed.
    pub fn iter(&self) -> impl Iterator<Item = (u32, &T)> {
        (0..).zip(self.slab.chunks.iter().flatten())
    }

    /// Bytes held, with the ids but without what else the values own.
    pub fn bytes(&self) -> usize {
        self.slab.bytes() + self.index.allocation_size() + self.id_bytes
    }
}

fn hash(hasher: &DefaultHashBuilder, owner: u32, id: &str) -> u32 {
    let hash = hasher.hash_one((owner, id));
    (hash ^ (hash >> 32)) as u32
}

fn is_it<T: Identity>(slab: &Slab<T>, hash: u32, owner: u32, id: &str) -> impl Fn(&Entry) -> bool {
    move |entry| entry.hash == hash && slab[entry.slot].owner() == owner && *slab[entry.slot].id() == *id
}

impl<T> Index<u32> for Table<T> {
    type Output = T;
    fn index(&self, slot: u32) -> &T {
        &self.slab[slot]
    }
}

impl<T> IndexMut<u32> for Table<T> {
    fn index_mut(&mut self, slot: u32) -> &mut T {
        &mut self.slab[slot]
    }
}

/// Texts with a number each, for campaigns, channels and skus that many orders name. One that nothing holds any more is
/// forgotten, and its number given to another.
#[derive(Debug, Default)]
pub struct Names {
    table: Table<Name>,
    /// Numbers that nothing holds, or did not for a moment.
    unused: Vec<u32>,
    /// Places of a snapshot that hold no text.
    vacant: Vec<u32>,
}

#[derive(Debug, Default)]
struct Name {
    id: Id,
    /// What holds it.
    uses: u32,
}

impl Identity for Name {
    fn owner(&self) -> u32 {
        0
    }

    fn id(&self) -> &Id {
        &self.id
    }
}

impl Names {
    /// The number of a text, new or known.
    pub fn number(&mut self, text: &str) -> u32 {
        let (mut is_new, table) = (false, &mut self.table);
        let number = table.find_or_insert(0, text, || {
            is_new = true;
            Name { id: text.into(), uses: 0 }
        });
        if is_new {
            self.unused.push(number);
        }
        number
    }

    /// The number of a text that may be missing: [`NONE`] then.
    pub fn optional_number(&mut self, text: Option<&str>) -> u32 {
        text.map_or(NONE, |text| self.number(text))
    }

    /// One thing more says the text of this number.
    pub fn hold(&mut self, number: u32) {
        if number != NONE {
            self.table[number].uses += 1;
        }
    }

    /// What [held](Names::hold) it doesn't any more.
    pub fn release(&mut self, number: u32) {
        if number != NONE {
            let uses = &mut self.table[number].uses;
            *uses -= 1;
            if *uses == 0 {
                self.unused.push(number);
            }
        }
    }

    /// Forgets the texts that nothing holds. Whoever has a number without [holding](Names::hold) it must not use it any more.
    pub fn forget_unused(&mut self) {
        for number in mem::take(&mut self.unused) {
            // It may be here twice: of a place without a text nothing is removed.
            if self.table[number].uses == 0 {
                self.table.remove(number);
            }
        }
        for number in mem::take(&mut self.vacant) {
            if self.table[number].uses == 0 {
                self.table.vacate(number);
            }
        }
    }

    /// One more than the largest number given so far.
    pub fn places(&self) -> u32 {
        self.table.places()
    }

    /// The texts in the order of their numbers; none where one was forgotten.
    pub fn iter(&self) -> impl Iterator<Item = Option<&str>> {
        self.table.iter().map(|(_, name)| (name.uses > 0).then(|| name.id.as_str()))
    }

    /// Takes what [`Names::iter`] gives, and says whether that can be.
    pub fn add_next(&mut self, text: Option<&str>) -> bool {
        let next = self.places();
        match text {
            Some(text) => self.number(text) == next,
            None => {
                let vacant = self.table.add_vacant();
                self.vacant.push(vacant);
                true
            }
        }
    }

    /// The text of a number; `None` for [`NONE`].
    pub fn text(&self, number: u32) -> Option<&str> {
        (number != NONE).then(|| self.table[number].id.as_str())
    }

    pub fn bytes(&self) -> usize {
        self.table.bytes() + (self.unused.capacity() + self.vacant.capacity()) * size_of::<u32>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_keep_their_numbers_while_the_table_grows() {
        let mut names = Names::default();
        for i in 0..5_000_u32 {
            assert_eq!(names.number(&format!("name {i}")), i);
        }
        for i in (0..5_000).rev() {
            assert_eq!(names.number(&format!("name {i}")), i);
            assert_eq!(names.text(i), Some(format!("name {i}").as_str()));
        }
        assert_eq!(names.optional_number(None), NONE);
        assert_eq!(names.text(NONE), None);
    }

    #[test]
    fn the_place_of_a_removed_value_is_taken_by_a_later_one() {
        #[derive(Default)]
        struct Numbered(Id);
        impl Identity for Numbered {
            fn owner(&self) -> u32 {
                7
            }
            fn id(&self) -> &Id {
                &self.0
            }
        }
        let mut table = Table::default();
        let numbered = |i: u32| Numbered(i.to_string().into());
        let slots: Vec<u32> = (0..3_000).map(|i| table.insert(numbered(i))).collect();
        let full = table.bytes();
        for &slot in slots.iter().step_by(2) {
            assert_eq!(table.remove(slot).0, slot.to_string());
        }
        assert_eq!((table.len(), table.places()), (1_500, 3_000));
        assert_eq!((table.find(7, "2"), table.find(7, "3")), (None, Some(3)));
        let again: Vec<u32> = (3_000..4_500).map(|i| table.insert(numbered(i))).collect();
        assert!(
            again.iter().all(|slot| slot % 2 == 0) && (3_000..4_500).all(|i| table.find(7, &i.to_string()).is_some())
        );
        assert_eq!((table.len(), table.places()), (3_000, 3_000));
        assert!(table.bytes() < full * 5 / 4, "{} from {full}", table.bytes());
    }

    #[test]
    fn the_owner_is_part_of_the_identity() {
        struct Owned(u32, Id);
        impl Identity for Owned {
            fn owner(&self) -> u32 {
                self.0
            }
            fn id(&self) -> &Id {
                &self.1
            }
        }
        let mut table = Table::default();
        let first = table.insert(Owned(1, "a".into()));
        let second = table.insert(Owned(2, "a".into()));
        assert_eq!((table.find(1, "a"), table.find(2, "a"), table.find(3, "a")), (Some(first), Some(second), None));
        assert_eq!(table.iter().map(|(slot, owned)| (slot, owned.0)).collect::<Vec<_>>(), [(first, 1), (second, 2)]);
    }
}
