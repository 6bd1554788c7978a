//! One lock per name, within this process.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

/// Locks of names of things that two must not do at once, such as pulling one image.
#[derive(Debug, Default)]
pub(crate) struct KeyedLocks {
    locks: Mutex<HashMap<String, Arc<tokio::sync::Mutex<()>>>>,
}

impl KeyedLocks {
    /// The lock of a name, the same for everybody who asks while it is in use.
    pub(crate) fn get(&self, name: String) -> Arc<tokio::sync::Mutex<()>> {
        let mut locks = self.locks.lock().unwrap_or_else(PoisonError::into_inner);
        locks.retain(|_, lock| Arc::strong_count(lock) > 1);
        Arc::clone(locks.entry(name).or_default())
    }
}
