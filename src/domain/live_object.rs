//! A routing object as it is in the cluster, and what Sluice had to do with it.

use serde_json::Value;

use super::ids::{ObjectRef, Revision};

/// The object, whole but for `managedFields`.
#[derive(Clone, Debug, PartialEq)]
pub struct LiveObject {
    pub object: ObjectRef,
    pub json: Value,
    /// The same as YAML.
    pub yaml: String,
    /// Whether Sluice created it.
    pub created: ByUs,
    /// Whether Sluice wrote it, the latest time.
    pub changed: ByUs,
}

/// Whether Sluice did something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ByUs {
    No,
    /// The object says so; at which revision of the service is not in the history.
    Yes,
    At(Revision),
}

impl ByUs {
    pub fn revision(self) -> Option<Revision> {
        match self {
            Self::At(revision) => Some(revision),
            Self::No | Self::Yes => None,
        }
    }
}
