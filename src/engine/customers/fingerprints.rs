//! What compacted orders and costs are known by: a fingerprint each, 64 bits of a hash of the id, in blocks of a size
//! that a fact can have. Two of one customer are taken for one another once in 2^64 pairs, and then the later is refused.

use std::ops::Range;

use xxhash_rust::xxh3::xxh3_64_with_seed;

use crate::engine::FormatError;

/// Fingerprints of a block.
const BLOCK: usize = 4_096;
/// Blocks of a customer: 16 million orders.
const MOST_BLOCKS: u16 = 4_096;

/// Of the order with this id.
pub fn of_order(id: &str) -> u64 {
    xxh3_64_with_seed(id.as_bytes(), 0)
}

/// Of the customer cost with this id.
pub fn of_cost(id: &str) -> u64 {
    xxh3_64_with_seed(id.as_bytes(), 1)
}

/// Those of one customer. Most have one block.
#[derive(Debug)]
pub enum Fingerprints {
    One(Vec<u64>),
    /// All but the last are full. Each is sorted.
    Many(Vec<Vec<u64>>),
}

impl Default for Fingerprints {
    fn default() -> Self {
        Fingerprints::One(Vec::new())
    }
}

impl Fingerprints {
    pub fn contains(&self, fingerprint: u64) -> bool {
        self.blocks().iter().any(|block| block.binary_search(&fingerprint).is_ok())
    }

    /// Adds a fingerprint, and says to which block.
    pub fn insert(&mut self, fingerprint: u64) -> u16 {
        let last = self.blocks().len() - 1;
        let is_full = self.blocks()[last].len() >= BLOCK && last + 1 < usize::from(MOST_BLOCKS);
        let number = if is_full { last + 1 } else { last };
        let block = self.block(number);
        if let Err(place) = block.binary_search(&fingerprint) {
            if block.len() == block.capacity() {
                // Growing by half, not by doubling: most customers never buy again.
                block.reserve_exact(1 + block.len() / 2);
            }
            block.insert(place, fingerprint);
        }
        number as u16
    }

    /// Puts a whole block in its place.
    pub fn set(&mut self, number: u16, block: Vec<u64>) {
        *self.block(usize::from(number)) = block;
    }

    /// Appends a block as the content of a fact.
    pub fn write(&self, number: u16, value: &mut Vec<u8>) {
        let block = self.blocks().get(usize::from(number)).map_or(&[][..], Vec::as_slice);
        block.iter().for_each(|fingerprint| value.extend_from_slice(&fingerprint.to_le_bytes()));
    }

    /// Reads a fact's value.
    ///
    /// # Errors
    /// A newer version, or bytes that are no block.
    pub fn read(number: u16, value: &[u8]) -> Result<Vec<u64>, FormatError> {
        const MALFORMED: FormatError = FormatError::Malformed { what: "fact of a customer" };
        let content = super::facts::content(value)?;
        let (fingerprints, rest) = content.as_chunks::<8>();
        let block: Vec<u64> = fingerprints.iter().map(|bytes| u64::from_le_bytes(*bytes)).collect();
        let is_block = rest.is_empty() && number < MOST_BLOCKS && block.is_sorted_by(|a, b| a < b);
        if is_block { Ok(block) } else { Err(MALFORMED) }
    }

    pub fn bytes(&self) -> usize {
        self.blocks().iter().map(|block| block.capacity() * size_of::<u64>() + size_of::<Vec<u64>>()).sum()
    }

    /// The blocks that there are.
    pub fn numbers(&self) -> Range<u16> {
        0..self.blocks().len() as u16
    }

    fn blocks(&self) -> &[Vec<u64>] {
        match self {
            Fingerprints::One(block) => std::slice::from_ref(block),
            Fingerprints::Many(blocks) => blocks,
        }
    }

    fn block(&mut self, number: usize) -> &mut Vec<u64> {
        if number > 0
            && let Fingerprints::One(block) = self
        {
            *self = Fingerprints::Many(vec![std::mem::take(block)]);
        }
        match self {
            Fingerprints::One(block) => block,
            Fingerprints::Many(blocks) => {
                if blocks.len() <= number {
                    blocks.resize_with(number + 1, Vec::new);
                }
                &mut blocks[number]
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::fact::write_value;
    use crate::format::Format;

    #[test]
    fn blocks_hold_all_and_are_read_as_they_were_written_in_any_order() {
        let mut fingerprints = Fingerprints::default();
        let fingerprint = |number: u64| number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        for number in 0..10_000 {
            assert_eq!(u64::from(fingerprints.insert(fingerprint(number))), number / BLOCK as u64);
        }
        let mut again = Fingerprints::default();
        for number in [2, 0, 1] {
            let mut value = Vec::new();
            write_value(Format::default(), &mut value, |value| fingerprints.write(number, value));
            again.set(number, Fingerprints::read(number, &value).unwrap());
            assert!(Fingerprints::read(number, &value[..value.len() - 1]).is_err());
        }
        assert!((0..10_000).all(|number| again.contains(fingerprint(number))));
        assert!(!again.contains(fingerprint(10_000)));
        assert!(fingerprints.bytes() < 150_000);
        let unsorted = [&[crate::format::WRITES][..], &[0; 16]].concat();
        assert!(Fingerprints::read(0, &unsorted).is_err());
    }
}
