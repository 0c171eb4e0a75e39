//! What travels in the headers of records: where one was read first ([`origin`]), why one can't be used ([`dead_letter`]),
//! and the format that one is in ([`mod@format`]).

pub mod dead_letter;
pub mod format;
pub mod origin;
