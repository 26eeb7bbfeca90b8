//! Numbers of pods by which a release without a mesh spreads requests. Part of the state that is stored with every
//! transition; the machine of releases compares them, pages show their share.

use serde::{Deserialize, Serialize};

/// Pods of the two versions by which requests are spread without a mesh. In place: pods of the StatefulSet from the
/// partition on, and those before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PodNumbers {
    pub candidate: u32,
    pub stable: u32,
}

impl PodNumbers {
    /// All pods of both versions.
    pub fn all(self) -> u64 {
        u64::from(self.candidate) + u64::from(self.stable)
    }

    /// Percent of them that are the candidate's, rounded down.
    pub fn share(self) -> u8 {
        let percent = u64::from(self.candidate) * 100 / self.all().max(1);
        u8::try_from(percent.min(100)).unwrap_or(100)
    }

    /// True when both spread requests alike.
    pub fn spreads_as(self, other: Self) -> bool {
        let same = u64::from(self.candidate) * other.all() == u64::from(other.candidate) * self.all();
        same && (self.all() == 0) == (other.all() == 0)
    }
}
