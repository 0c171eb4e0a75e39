//! Facts as bytes, on their way to the changelog: a key, and as value the format with the content behind it.

use serde::Serialize;

use super::Effects;
use crate::format::Format;

/// What a fact is the current version of.
pub trait FactKey {
    /// Appends the key's bytes.
    fn write(&self, key: &mut Vec<u8>);
}

/// Writes facts, with buffers that are used again and again.
#[derive(Debug, Default)]
pub struct FactWriter {
    format: Format,
    key: Vec<u8>,
    value: Vec<u8>,
}

impl FactWriter {
    /// Of facts of this format.
    pub fn new(format: Format) -> FactWriter {
        FactWriter { format, ..FactWriter::default() }
    }

    /// Hands out the fact of `key`.
    pub fn put(&mut self, key: &impl FactKey, content: &impl Serialize, effects: &mut impl Effects) {
        self.put_with(key, |value| append(value, content), effects);
    }

    /// Hands out the fact of `key`, whose content `write` appends.
    pub fn put_with(&mut self, key: &impl FactKey, write: impl FnOnce(&mut Vec<u8>), effects: &mut impl Effects) {
        self.key.clear();
        key.write(&mut self.key);
        write_value(self.format, &mut self.value, write);
        effects.fact(&self.key, Some(&self.value));
    }

    /// Deletes the fact of `key`.
    pub fn delete(&mut self, key: &impl FactKey, effects: &mut impl Effects) {
        self.key.clear();
        key.write(&mut self.key);
        effects.fact(&self.key, None);
    }
}

/// Writes a value, whose content `write` appends, in the place of what the buffer holds.
pub fn write_value(format: Format, value: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>)) {
    value.clear();
    value.push(format.number());
    write(value);
}

/// Appends a value of plain data.
pub fn append(bytes: &mut Vec<u8>, content: &impl Serialize) {
    // Writing plain values into memory can't fail.
    if let Ok(written) = postcard::to_extend(content, std::mem::take(bytes)) {
        *bytes = written;
    }
}
