//! Locks around plain values.

use std::sync::{Mutex, MutexGuard, PoisonError};

/// A value is whole whenever it is unlocked, so one that a panic left behind can be used.
pub fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
