//! Pages of events in memory. A page holds the events of a fixed range of numbers and is read once for all
//! clients; the last page of a build is read again when it has grown.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use fastbuild_store::{Store, StoreError};

use super::render::Rendered;

/// Numbers in a page. Small: what is left of a page in memory is what a slow client may hold.
const NUMBERS: i64 = 64;
/// Bytes that all pages in memory have together, or a little more.
const MEMORY: usize = 8 << 20;
/// Pages in memory at most.
const MOST: usize = 512;

/// The events of one range of numbers, as far as they were written when it was read.
#[derive(Debug)]
pub(super) struct Page {
    pub(super) events: Vec<Rendered>,
    /// Every event up to this number that there is, is in it.
    pub(super) known_to: i64,
}

impl Page {
    fn bytes(&self) -> usize {
        self.events.iter().map(Rendered::bytes).sum()
    }
}

/// The pages in memory.
#[derive(Debug)]
pub(super) struct Pages {
    store: Store,
    kept: Mutex<Kept>,
}

#[derive(Debug, Default)]
struct Kept {
    pages: HashMap<(i64, i64), Slot>,
    bytes: usize,
    /// Counts the uses, so that the page used longest ago can be told.
    uses: u64,
}

#[derive(Debug)]
struct Slot {
    /// Locked while it is read: others wait for it instead of reading it as well.
    page: Arc<tokio::sync::Mutex<Option<Arc<Page>>>>,
    bytes: usize,
    used: u64,
}

impl Pages {
    pub(super) fn new(store: Store) -> Self {
        Self {
            store,
            kept: Mutex::default(),
        }
    }

    /// The page with the event after the one numbered `after`, of a build whose newest event is
    /// `newest`.
    pub(super) async fn page(
        &self,
        build_id: i64,
        after: i64,
        newest: i64,
    ) -> Result<Arc<Page>, StoreError> {
        let number = after.div_euclid(NUMBERS);
        let (before, last) = (number * NUMBERS, (number + 1) * NUMBERS);
        let wanted_to = newest.min(last);
        let slot = self.slot(build_id, number);
        let mut page = slot.lock().await;
        if let Some(page) = page.as_ref().filter(|page| page.known_to >= wanted_to) {
            return Ok(Arc::clone(page));
        }
        let events = self
            .store
            .events(build_id, before, NUMBERS.unsigned_abs())
            .await?;
        let read = Arc::new(Page {
            events: events
                .iter()
                .filter(|event| event.seq <= last)
                .map(Rendered::new)
                .collect(),
            known_to: wanted_to,
        });
        *page = Some(Arc::clone(&read));
        drop(page);
        self.weigh(build_id, number, read.bytes());
        Ok(read)
    }

    fn slot(&self, build_id: i64, number: i64) -> Arc<tokio::sync::Mutex<Option<Arc<Page>>>> {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.uses += 1;
        let used = kept.uses;
        let slot = kept
            .pages
            .entry((build_id, number))
            .or_insert_with(|| Slot {
                page: Arc::default(),
                bytes: 0,
                used,
            });
        slot.used = used;
        Arc::clone(&slot.page)
    }

    /// Notes what a page weighs now, and lets go of those used longest ago when all weigh too much.
    fn weigh(&self, build_id: i64, number: i64, bytes: usize) {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let kept = &mut *kept;
        if let Some(slot) = kept.pages.get_mut(&(build_id, number)) {
            kept.bytes = kept.bytes - slot.bytes + bytes;
            slot.bytes = bytes;
        }
        while kept.pages.len() > 1 && (kept.bytes > MEMORY || kept.pages.len() > MOST) {
            let oldest = kept
                .pages
                .iter()
                .min_by_key(|(_, slot)| slot.used)
                .map(|(key, _)| *key);
            let Some(slot) = oldest.and_then(|key| kept.pages.remove(&key)) else {
                return;
            };
            kept.bytes -= slot.bytes;
        }
    }
}
