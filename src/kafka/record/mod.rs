//! Records as they are read ([`read`]), and what travels in their headers: where one was read first ([`origin`]), why one
//! can't be used ([`dead_letter`]), and the format that one is in ([`mod@format`]).

pub mod dead_letter;
pub mod format;
pub mod origin;
pub mod read;
