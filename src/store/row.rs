//! One row of the history: how intents and outcomes become a body (canonical JSON, covered by the chain), the
//! objects beside it, and the columns that are taken from both. `record` writes rows, `read` and `verify`
//! read them.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::domain::{
    audit::{Details, EditRecord, Entry, Intent, Outcome},
    ids::ObjectRef,
};

use super::StoreError;
use super::chain;
use super::text::{self, Searchable};

/// What kind of row it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Kind {
    Intent,
    Outcome,
    /// Intent and outcome in one.
    Single,
}

impl Kind {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Intent => "intent",
            Self::Outcome => "outcome",
            Self::Single => "single",
        }
    }
}

/// The body of a row. What it leaves out (routing objects) it names by their hash.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Body {
    pub kind: Kind,
    /// Outcomes: the row of the intent, and its change.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub of: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub change: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub intent: Option<Intent>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub outcome: Option<Outcome>,
    /// SHA-256 of the objects, in hexadecimal.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub objects: Option<String>,
}

/// The part of the details that may be large.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
struct Heavy {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    edits: Vec<EditRecord>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    specs: Vec<(ObjectRef, Value)>,
    #[serde(skip_serializing_if = "Option::is_none")]
    specs_before: Option<Vec<(ObjectRef, Value)>>,
}

#[derive(Default, Serialize, Deserialize)]
#[serde(default)]
struct Objects {
    #[serde(skip_serializing_if = "Option::is_none")]
    intent: Option<Heavy>,
    #[serde(skip_serializing_if = "Option::is_none")]
    outcome: Option<Heavy>,
}

/// A body and its objects as text.
pub(super) struct Encoded {
    pub body: String,
    pub objects: Option<String>,
}

/// Writes a row's texts.
pub(super) fn encode(
    kind: Kind,
    of: Option<(i64, &str)>,
    intent: Option<&Intent>,
    outcome: Option<&Outcome>,
) -> Result<Encoded, StoreError> {
    let (mut intent, mut outcome) = (intent.cloned(), outcome.cloned());
    let objects = Objects {
        intent: intent.as_mut().and_then(|intent| take_heavy(&mut intent.details)),
        outcome: outcome.as_mut().and_then(|outcome| take_heavy(&mut outcome.details)),
    };
    let objects =
        if objects.intent.is_none() && objects.outcome.is_none() { None } else { Some(canonical(&objects)?) };
    let body = Body {
        kind,
        of: of.map(|(of, _)| of),
        change: of.map(|(_, change)| change.to_owned()),
        intent,
        outcome,
        objects: objects.as_deref().map(chain::digest),
    };
    Ok(Encoded { body: canonical(&body)?, objects })
}

/// JSON with the keys of every object in order, and no spaces: one text for one value.
fn canonical<T: Serialize>(value: &T) -> Result<String, StoreError> {
    let mut value = serde_json::to_value(value)?;
    value.sort_all_objects();
    Ok(value.to_string())
}

/// Reads a body.
pub(super) fn decode(seq: i64, body: &str) -> Result<Body, StoreError> {
    serde_json::from_str(body).map_err(|error| unreadable(seq, error))
}

/// Puts the objects back where they were taken from.
pub(super) fn restore(seq: i64, body: &mut Body, objects: Option<&str>) -> Result<(), StoreError> {
    let Some(objects) = objects else { return Ok(()) };
    let objects: Objects = serde_json::from_str(objects).map_err(|error| unreadable(seq, error))?;
    if let (Some(intent), Some(heavy)) = (&mut body.intent, objects.intent) {
        give_heavy(&mut intent.details, heavy);
    }
    if let (Some(outcome), Some(heavy)) = (&mut body.outcome, objects.outcome) {
        give_heavy(&mut outcome.details, heavy);
    }
    Ok(())
}

fn take_heavy(details: &mut Details) -> Option<Heavy> {
    let heavy = Heavy {
        edits: std::mem::take(&mut details.edits),
        specs: std::mem::take(&mut details.specs),
        specs_before: std::mem::take(&mut details.specs_before),
    };
    (heavy != Heavy::default()).then_some(heavy)
}

fn give_heavy(details: &mut Details, heavy: Heavy) {
    details.edits = heavy.edits;
    details.specs = heavy.specs;
    details.specs_before = heavy.specs_before;
}

pub(super) fn unreadable(seq: i64, why: impl ToString) -> StoreError {
    StoreError::Unreadable { seq, why: why.to_string() }
}

/// The columns of a row that repeat its body. `verify` holds them against it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Columns {
    pub at_ms: i64,
    pub service: Option<String>,
    pub revision: Option<i64>,
    pub about: Option<i64>,
    pub text: Option<Searchable>,
}

impl Columns {
    /// Of an intent's row (no outcome yet) or a listed row (an outcome's, or both in one).
    pub fn of(entry: &Entry) -> Self {
        let outcome = entry.outcome.as_ref();
        Self {
            at_ms: outcome.map_or(entry.intent.at_ms, |outcome| outcome.at_ms),
            service: entry.intent.service.as_ref().map(ToString::to_string),
            revision: outcome.and_then(|outcome| outcome.revision).map(u64::cast_signed),
            about: outcome.and(entry.intent.details.about),
            text: outcome.map(|_| text::searchable(entry)),
        }
    }
}
