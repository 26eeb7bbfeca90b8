//! Colours of versions: given when a version is first seen, and kept, so that a version has one colour for its life,
//! on every page and after a restart.

use std::cmp::Reverse;
use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};

use crate::domain::ids::ServiceRef;
use crate::domain::service::Version;
use crate::domain::snapshot::Snapshot;
use crate::domain::version_slots::{SlotBook, VersionSlots};

use super::Services;

/// The book, and the services of which it holds more than the store.
#[derive(Default)]
pub(super) struct Slots {
    pub book: SlotBook,
    unkept: Mutex<BTreeSet<ServiceRef>>,
}

impl Services {
    /// The slots of every service's versions, to be shown.
    pub fn slots(&self) -> SlotBook {
        self.inner.slots.book.clone()
    }

    /// The slots of a service's versions; versions that were not seen before get theirs.
    pub(super) fn slots_of(&self, snapshot: &Snapshot) -> VersionSlots {
        let at = &snapshot.service.at;
        let known = self.inner.slots.book.of(at);
        // The older first; of those that began together the one with more pods: names say nothing of that.
        let mut versions: Vec<&Version> = snapshot.versions.iter().collect();
        versions.sort_by_key(|version| (version.created_ms, Reverse(version.total)));
        let Some(next) = known.with(versions.iter().map(|version| &version.name)) else {
            return known;
        };
        self.inner.slots.book.put(at.clone(), next.clone());
        self.inner.slots.unkept.lock().unwrap_or_else(PoisonError::into_inner).insert(at.clone());
        next
    }

    /// Reads what is kept. Before any version is seen: one that is known must not get another slot.
    pub(super) async fn read_slots(&self) {
        match self.inner.store.slots().await {
            Ok(all) => all.into_iter().for_each(|(at, slots)| self.inner.slots.book.put(at, slots)),
            Err(error) => {
                tracing::warn!(%error, "the colours of versions cannot be read: they are given again");
            }
        }
    }

    /// Keeps what is not kept yet; what cannot be written now is written later.
    pub(super) async fn keep_slots(&self) {
        let unkept =
            std::mem::take(&mut *self.inner.slots.unkept.lock().unwrap_or_else(PoisonError::into_inner));
        if unkept.is_empty() {
            return;
        }
        let all = unkept.iter().map(|at| (at.clone(), self.inner.slots.book.of(at))).collect();
        if let Err(error) = self.inner.store.keep_slots(all).await {
            tracing::debug!(%error, "the colours of versions are kept later");
            self.inner.slots.unkept.lock().unwrap_or_else(PoisonError::into_inner).extend(unkept);
        }
    }
}
