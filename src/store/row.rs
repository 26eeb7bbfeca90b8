//! One row of the history: how intents and outcomes become a body (canonical JSON, covered by the chain), the
//! objects beside it, and the columns that are taken from both. `record` writes rows, `read` and `verify`
//! read them.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::domain::{
    audit::{Details, EditRecord, Entry, Intent, Outcome, Written},
    ids::{self, ObjectRef},
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

/// Writes a row's texts. The objects are taken out for a while: they may be large, and are never copied here.
pub(super) fn encode(
    kind: Kind,
    of: Option<(i64, &str)>,
    mut intent: Option<&mut Intent>,
    mut outcome: Option<&mut Outcome>,
) -> Result<Encoded, StoreError> {
    let objects = Objects {
        intent: intent.as_mut().and_then(|intent| take_heavy(&mut intent.details)),
        outcome: outcome.as_mut().and_then(|outcome| take_heavy(&mut outcome.details)),
    };
    let text = objects.text()?;
    let body = Body {
        kind,
        of: of.map(|(of, _)| of),
        change: of.map(|(_, change)| change.to_owned()),
        intent: intent.as_deref().cloned(),
        outcome: outcome.as_deref().cloned(),
        objects: text.as_deref().map(chain::digest),
    };
    let body = canonical(&body)?;
    if let (Some(intent), Some(heavy)) = (intent, objects.intent) {
        give_heavy(&mut intent.details, heavy);
    }
    if let (Some(outcome), Some(heavy)) = (outcome, objects.outcome) {
        give_heavy(&mut outcome.details, heavy);
    }
    Ok(Encoded { body, objects: text })
}

/// The objects as they are written: what [`canonical`] would make of them, without a copy. Every field is in the order
/// of its name.
#[derive(Serialize)]
struct ObjectsText<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    intent: Option<HeavyText<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    outcome: Option<HeavyText<'a>>,
}

#[derive(Serialize)]
struct HeavyText<'a> {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    edits: Vec<EditText<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    specs: Vec<(ObjectText<'a>, &'a Value)>,
    #[serde(skip_serializing_if = "Option::is_none")]
    specs_before: Option<Vec<(ObjectText<'a>, &'a Value)>>,
}

#[derive(Serialize)]
struct EditText<'a> {
    after: &'a Option<Value>,
    before: &'a Option<Value>,
    object: ObjectText<'a>,
    resource_version_after: &'a Option<String>,
    resource_version_before: &'a Option<String>,
    written: Written,
}

#[derive(Serialize)]
struct ObjectText<'a> {
    kind: ids::Kind,
    name: &'a str,
    namespace: &'a str,
}

impl Objects {
    fn text(&self) -> Result<Option<String>, StoreError> {
        if self.intent.is_none() && self.outcome.is_none() {
            return Ok(None);
        }
        let text = ObjectsText {
            intent: self.intent.as_ref().map(Heavy::text),
            outcome: self.outcome.as_ref().map(Heavy::text),
        };
        Ok(Some(serde_json::to_string(&text)?))
    }
}

impl Heavy {
    fn text(&self) -> HeavyText<'_> {
        HeavyText {
            edits: self.edits.iter().map(edit_of).collect(),
            specs: specs_of(&self.specs),
            specs_before: self.specs_before.as_deref().map(specs_of),
        }
    }
}

fn edit_of(edit: &EditRecord) -> EditText<'_> {
    // A new field of a record has to be added here.
    let EditRecord { object, before, after, resource_version_before, resource_version_after, written } = edit;
    EditText {
        after,
        before,
        object: named(object),
        resource_version_after,
        resource_version_before,
        written: *written,
    }
}

fn specs_of(specs: &[(ObjectRef, Value)]) -> Vec<(ObjectText<'_>, &Value)> {
    specs.iter().map(|(object, spec)| (named(object), spec)).collect()
}

fn named(object: &ObjectRef) -> ObjectText<'_> {
    let ObjectRef { kind, namespace, name } = object;
    ObjectText { kind: *kind, name, namespace: namespace.as_str() }
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

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn objects_are_written_as_every_other_text_of_the_history() {
        let at = |kind, name: &str| ObjectRef::new(kind, "shop", name);
        let spec = json!({"z": [{"b": 1.5, "a": null}], "hosts": ["é\"\n"], "a": {"y": true, "x": 0.0001}});
        let edit = |before: Option<&Value>, after: Option<&Value>, written| EditRecord {
            object: at(ids::Kind::VirtualService, "reviews"),
            before: before.cloned(),
            after: after.cloned(),
            resource_version_before: Some("7".to_owned()),
            resource_version_after: None,
            written,
        };
        let heavy = Heavy {
            edits: vec![edit(Some(&spec), None, Written::Yes), edit(None, Some(&spec), Written::Unknown)],
            specs: vec![
                (at(ids::Kind::DestinationRule, "reviews"), spec.clone()),
                (at(ids::Kind::VirtualService, "x"), Value::Null),
            ],
            specs_before: Some(Vec::new()),
        };
        let of = |intent: Option<&Heavy>, outcome: Option<&Heavy>| {
            let again = |heavy: &Heavy| Heavy {
                edits: heavy.edits.clone(),
                specs: heavy.specs.clone(),
                specs_before: heavy.specs_before.clone(),
            };
            Objects { intent: intent.map(again), outcome: outcome.map(again) }
        };
        let light = Heavy { edits: Vec::new(), ..Heavy::default() };
        for objects in [of(Some(&heavy), None), of(None, Some(&heavy)), of(Some(&heavy), Some(&light))] {
            assert_eq!(objects.text().unwrap().unwrap(), canonical(&objects).unwrap());
        }
        assert_eq!(of(None, None).text().unwrap(), None);
    }
}
