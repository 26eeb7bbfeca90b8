//! Numbers of pods by which a release without a mesh spreads requests. Part of the state that is stored with every
//! transition; the machine of releases compares them, pages show their share.

use serde::{Deserialize, Serialize};

use super::Release;
use crate::domain::service::Version;

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

impl Release {
    /// The versions of the release that lack ready pods, the new one first; none after its end.
    pub fn lacking<'a>(&self, versions: &'a [Version]) -> Vec<&'a Version> {
        if self.state.phase.is_final() {
            return Vec::new();
        }
        let both = [self.candidate(), &self.spec.stable].into_iter();
        let found = both.filter_map(|name| versions.iter().find(|version| version.name == *name));
        found.filter(|version| version.ready < version.total || !version.waiting.is_empty()).collect()
    }
}
