//! A snapshot's records, gathered to blocks of bytes.

use serde::Serialize;

/// Bytes of a block: small enough for a processor's cache. A record that is longer, if there should be any, is a block of
/// its own.
const BLOCK: usize = 256 << 10;

/// Gathers records, and hands out blocks that are full.
pub struct Blocks<F> {
    block: Vec<u8>,
    used: usize,
    take: F,
}

impl<E, F: FnMut(&[u8]) -> Result<(), E>> Blocks<F> {
    pub fn new(take: F) -> Blocks<F> {
        Blocks { block: vec![0; BLOCK], used: 0, take }
    }

    /// Adds a record.
    ///
    /// # Errors
    /// `take`'s.
    pub fn put(&mut self, record: &impl Serialize) -> Result<(), E> {
        if self.write(record) {
            return Ok(());
        }
        self.hand_out()?;
        if self.write(record) {
            return Ok(());
        }
        // Writing plain values into memory can't fail.
        postcard::to_allocvec(record).map_or(Ok(()), |bytes| (self.take)(&bytes))
    }

    /// `false`: there is no room left.
    fn write(&mut self, record: &impl Serialize) -> bool {
        match postcard::to_slice(record, &mut self.block[self.used..]) {
            Ok(written) => {
                self.used += written.len();
                true
            }
            Err(_) => false,
        }
    }

    fn hand_out(&mut self) -> Result<(), E> {
        let used = std::mem::take(&mut self.used);
        if used > 0 { (self.take)(&self.block[..used]) } else { Ok(()) }
    }

    /// Hands out the last block.
    ///
    /// # Errors
    /// `take`'s.
    pub fn finish(mut self) -> Result<(), E> {
        self.hand_out()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn blocks(records: &[Vec<u8>]) -> Vec<Vec<u8>> {
        let mut taken = Vec::new();
        let mut blocks = Blocks::new(|block: &[u8]| -> Result<(), ()> {
            taken.push(block.to_vec());
            Ok(())
        });
        assert!(records.iter().all(|record| blocks.put(record).is_ok()) && blocks.finish().is_ok());
        taken
    }

    #[test]
    fn records_stand_in_blocks_one_after_the_other_whatever_their_length() {
        let lengths = [0, 1, BLOCK / 2, BLOCK / 2, 7, BLOCK - 3, 3, BLOCK - 2, BLOCK, 2 * BLOCK, 5];
        let records: Vec<Vec<u8>> = (1..).zip(lengths).map(|(byte, length)| vec![byte; length]).collect();
        let blocks = blocks(&records);
        let mut read = Vec::new();
        for block in &blocks {
            let mut rest = block.as_slice();
            assert!(!rest.is_empty());
            while !rest.is_empty() {
                let (record, after) = postcard::take_from_bytes::<Vec<u8>>(rest).unwrap();
                assert!(block.len() <= BLOCK || after.is_empty() && rest == block);
                read.push(record);
                rest = after;
            }
        }
        assert!(read == records);
    }

    #[test]
    fn nothing_makes_no_block_and_a_failure_is_handed_on() {
        assert!(blocks(&[]).is_empty());
        let mut failing = Blocks::new(|_: &[u8]| Err(7));
        assert_eq!(failing.put(&1_u8), Ok(()));
        assert_eq!(failing.finish(), Err(7));
    }
}
