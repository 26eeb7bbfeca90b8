//! Which colour and pattern a version has: its slot, from the first time that it is seen until it is gone and another
//! version needs a slot. Pages show them; `services` gives and keeps them. Pure, but for the book that all share.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

use super::ids::{ServiceRef, VersionName};

/// How many versions of a service have a slot of their own.
pub const SLOTS: u8 = 4;

/// The slots of one service's versions. A version that is not named has none of its own.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct VersionSlots(Arc<[(VersionName, u8)]>);

impl VersionSlots {
    /// The slot of a version, 1 to [`SLOTS`]; `None` = it has none of its own.
    pub fn get(&self, version: &str) -> Option<u8> {
        self.0.iter().find(|(name, _)| name.as_str() == version).map(|(_, slot)| *slot)
    }

    /// The versions with a slot, and their slots.
    pub fn iter(&self) -> impl Iterator<Item = &(VersionName, u8)> {
        self.0.iter()
    }

    /// True while no version was ever seen.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Gives each present version that has none a slot: one that no version ever had, else that of a version that is
    /// gone. `None` = nothing changes.
    #[must_use]
    pub fn with<'a>(&self, present: impl Iterator<Item = &'a VersionName> + Clone) -> Option<Self> {
        let mut all = self.0.to_vec();
        for version in present.clone() {
            if all.iter().any(|(known, _)| known == version) {
                continue;
            }
            let free = (1..=SLOTS).find(|slot| !all.iter().any(|(_, used)| used == slot));
            let slot = free.or_else(|| {
                let gone = all.iter().position(|(known, _)| !present.clone().any(|here| here == known))?;
                Some(all.remove(gone).1)
            });
            all.extend(slot.map(|slot| (version.clone(), slot)));
        }
        (all.as_slice() != &*self.0).then(|| Self(all.into()))
    }
}

impl FromIterator<(VersionName, u8)> for VersionSlots {
    fn from_iter<I: IntoIterator<Item = (VersionName, u8)>>(all: I) -> Self {
        Self(all.into_iter().collect())
    }
}

/// The slots of every service. Cheap to share.
#[derive(Clone, Debug, Default)]
pub struct SlotBook(Arc<RwLock<HashMap<ServiceRef, VersionSlots>>>);

/// One book is another when they are the same one.
impl PartialEq for SlotBook {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Eq for SlotBook {}

impl SlotBook {
    /// The slots of a service's versions.
    pub fn of(&self, service: &ServiceRef) -> VersionSlots {
        self.0.read().unwrap_or_else(PoisonError::into_inner).get(service).cloned().unwrap_or_default()
    }

    /// Writes down the slots of a service.
    pub fn put(&self, service: ServiceRef, slots: VersionSlots) {
        self.0.write().unwrap_or_else(PoisonError::into_inner).insert(service, slots);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(list: &str) -> Vec<VersionName> {
        list.split_whitespace().map(VersionName::from).collect()
    }

    #[track_caller]
    fn check(slots: &VersionSlots, present: &str, expected: &str) -> VersionSlots {
        let next = slots.with(names(present).iter()).unwrap_or_else(|| slots.clone());
        let mut all: Vec<String> = next.iter().map(|(name, slot)| format!("{name}:{slot}")).collect();
        all.sort();
        assert_eq!(all.join(" "), expected);
        next
    }

    #[test]
    fn a_version_keeps_its_slot_whatever_comes_and_goes_beside_it() {
        let slots = check(&VersionSlots::default(), "v1 v2", "v1:1 v2:2");
        assert_eq!(slots.with(names("v2").iter()), None, "a version that is gone costs nobody anything");
        let slots = check(&slots, "v2 v3", "v1:1 v2:2 v3:3");
        let slots = check(&slots, "v0 v2 v3", "v0:4 v1:1 v2:2 v3:3");
        // The fifth takes the slot of the one that is gone; a sixth has none of its own.
        let slots = check(&slots, "v0 v2 v3 v4", "v0:4 v2:2 v3:3 v4:1");
        let slots = check(&slots, "v0 v2 v3 v4 v5", "v0:4 v2:2 v3:3 v4:1");
        assert_eq!((slots.get("v5"), slots.get("v4")), (None, Some(1)));
    }
}
