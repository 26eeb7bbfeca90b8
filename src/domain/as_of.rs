//! How the traffic of a service was declared at a moment, as the history recorded it.

use serde_json::Value;

use super::audit::Entry;
use super::ids::{ObjectRef, Revision, ServiceRef};
use super::routing::{Mirror, Rule, Weights};

/// The answer to: what was in force at this moment?
#[derive(Clone, Debug, PartialEq)]
pub struct AsOf {
    pub service: ServiceRef,
    /// The moment that was asked about, milliseconds since 1970.
    pub at_ms: i64,
    /// 0 = before the first recorded change.
    pub revision: Revision,
    /// The declared split; `None` where the history does not hold it, empty where requests were spread by pods.
    pub weights: Option<Weights>,
    /// Match rules and mirror; `None` where they cannot be read from the recorded objects any more.
    pub rest: Option<(Vec<Rule>, Option<Mirror>)>,
    /// The routing objects as they were; `None` in place of a spec that the reader may not get.
    pub objects: Vec<(ObjectRef, Option<Value>)>,
    /// The entry that made this revision; `None` before the first one.
    pub made: Option<Entry>,
    /// The entry that ended it; `None` while it is still in force.
    pub ended: Option<Entry>,
}

impl AsOf {
    /// True when nothing that was recorded says what was in force.
    pub fn is_unknown(&self) -> bool {
        self.made.is_none() && self.ended.is_none()
    }
}

impl Entry {
    /// From when on what the entry recorded was in force: when the last object was stored, else when it ended.
    pub fn in_force_ms(&self) -> i64 {
        let outcome = self.outcome.as_ref();
        let written =
            outcome.and_then(|outcome| outcome.details.written_ms).or(self.intent.details.written_ms);
        written.or(outcome.map(|outcome| outcome.at_ms)).unwrap_or(self.intent.at_ms)
    }
}
