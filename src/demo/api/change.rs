//! What a write makes of an object: identity, generation, status, deletion. Pure.
//!
//! `write` asks these functions what the next version is and then stores it; time and identity come in as
//! parameters. The rules are those of `k8s.io/apiserver/pkg/registry/rest` (`BeforeCreate`, `BeforeUpdate`).

use jiff::Timestamp;
use serde_json::{Map, Value};

use super::failure::Failure;
use super::kinds::{Generation, Kind};
use super::managed;
use super::metadata::check_name;
use super::object::{as_map, meta_text, metadata_mut};

/// Who writes, and when.
#[derive(Clone, Debug)]
pub(super) struct Stamp {
    pub now: Timestamp,
    pub manager: String,
}

/// Which half of an object a request may write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    /// All but the status.
    Main,
    /// The status only.
    Status,
}

/// A time as object metadata holds it: UTC, whole seconds.
pub(super) fn seconds(at: Timestamp) -> String {
    Timestamp::from_second(at.as_second()).unwrap_or(Timestamp::UNIX_EPOCH).to_string()
}

/// The first version of an object; `serial` makes its uid and its generated name its own.
pub(super) fn create(
    kind: &Kind,
    namespace: &str,
    mut body: Value,
    serial: u64,
    stamp: &Stamp,
) -> Result<Value, Failure> {
    check_namespace(kind, namespace, &body)?;
    if !meta_text(&body, "resourceVersion").is_empty() {
        return Err(Failure::unknown("resourceVersion should not be set on objects to be created"));
    }
    if kind.status && kind.custom {
        as_map(&mut body).remove("status");
    }
    let meta = metadata_mut(&mut body);
    let prefix = meta.get("generateName").and_then(Value::as_str).unwrap_or_default();
    if meta.get("name").and_then(Value::as_str).unwrap_or_default().is_empty() && !prefix.is_empty() {
        let name = format!("{prefix}{}", suffix(serial));
        meta.insert("name".into(), name.into());
    }
    if kind.namespaced {
        meta.insert("namespace".into(), namespace.into());
    }
    meta.insert("uid".into(), uid(serial).into());
    meta.insert("creationTimestamp".into(), seconds(stamp.now).into());
    for gone in ["deletionTimestamp", "deletionGracePeriodSeconds", "selfLink", "managedFields", "generation"]
    {
        meta.remove(gone);
    }
    if kind.generation != Generation::Never {
        meta.insert("generation".into(), 1.into());
    }
    drop_empty(meta);
    check_name(kind, meta_text(&body, "name"))?;
    managed::record(kind, None, &mut body, stamp, Part::Main);
    Ok(body)
}

/// The next version of an object. The caller has compared resourceVersions.
pub(super) fn update(
    kind: &Kind,
    before: &Value,
    mut body: Value,
    stamp: &Stamp,
    part: Part,
) -> Result<Value, Failure> {
    let (sent, stored) = (meta_text(&body, "uid"), meta_text(before, "uid"));
    if !sent.is_empty() && sent != stored {
        let why = format!("Precondition failed: UID in precondition: {sent}, UID in object meta: {stored}");
        return Err(Failure::conflict_because(kind, meta_text(before, "name"), &why));
    }
    if kind.status {
        body = match part {
            Part::Main => with_field_of(body, before, "status"),
            Part::Status => {
                let status = body.get("status").cloned();
                let mut all_but_status = before.clone();
                match status {
                    Some(status) => as_map(&mut all_but_status).insert("status".into(), status),
                    None => as_map(&mut all_but_status).remove("status"),
                };
                all_but_status
            }
        };
    }
    let meta = metadata_mut(&mut body);
    for kept in [
        "uid",
        "creationTimestamp",
        "resourceVersion",
        "generation",
        "deletionTimestamp",
        "deletionGracePeriodSeconds",
        "generateName",
        "namespace",
    ] {
        match before["metadata"].get(kept) {
            Some(value) => meta.insert(kept.into(), value.clone()),
            None => meta.remove(kept),
        };
    }
    drop_empty(meta);
    if moved(kind, before, &body) {
        let next = before["metadata"]["generation"].as_i64().unwrap_or(0) + 1;
        metadata_mut(&mut body).insert("generation".into(), next.into());
    }
    managed::record(kind, Some(before), &mut body, stamp, part);
    Ok(body)
}

/// The version of an object that waits for its finalizers.
pub(super) fn mark_deleted(before: &Value, now: Timestamp) -> Value {
    let mut after = before.clone();
    let meta = metadata_mut(&mut after);
    if meta.contains_key("deletionTimestamp") {
        return after;
    }
    meta.insert("deletionTimestamp".into(), seconds(now).into());
    meta.insert("deletionGracePeriodSeconds".into(), 0.into());
    if let Some(generation) = meta.get("generation").and_then(Value::as_i64) {
        meta.insert("generation".into(), (generation + 1).into());
    }
    after
}

/// Whether something still has to let go of the object.
pub(super) fn has_finalizers(value: &Value) -> bool {
    value["metadata"]["finalizers"].as_array().is_some_and(|f| !f.is_empty())
}

fn with_field_of(mut body: Value, before: &Value, field: &str) -> Value {
    match before.get(field) {
        Some(value) => as_map(&mut body).insert(field.into(), value.clone()),
        None => as_map(&mut body).remove(field),
    };
    body
}

/// Maps that a client left empty are not stored, as Go's `omitempty` has it.
fn drop_empty(meta: &mut Map<String, Value>) {
    meta.retain(|key, value| match key.as_str() {
        "labels" | "annotations" => value.as_object().is_some_and(|m| !m.is_empty()),
        "finalizers" | "ownerReferences" => value.as_array().is_some_and(|a| !a.is_empty()),
        "name" | "namespace" | "uid" | "generateName" => value.as_str().is_some_and(|t| !t.is_empty()),
        _ => !value.is_null(),
    });
}

fn moved(kind: &Kind, before: &Value, after: &Value) -> bool {
    let differs = |path: &str| before.pointer(path) != after.pointer(path);
    match kind.generation {
        Generation::Never => false,
        Generation::Spec => differs("/spec"),
        Generation::SpecOrAnnotations => differs("/spec") || differs("/metadata/annotations"),
        Generation::Content => {
            let content = |value: &Value| {
                let mut map = value.as_object().cloned().unwrap_or_default();
                map.retain(|key, _| !matches!(key.as_str(), "metadata" | "kind" | "apiVersion"));
                if kind.status {
                    map.remove("status");
                }
                map
            };
            content(before) != content(after) || (!kind.custom && differs("/metadata/labels"))
        }
    }
}

fn check_namespace(kind: &Kind, namespace: &str, body: &Value) -> Result<(), Failure> {
    let sent = meta_text(body, "namespace");
    if kind.namespaced && !sent.is_empty() && sent != namespace {
        return Err(Failure::bad_request(
            "the namespace of the provided object does not match the namespace sent on the request",
        ));
    }
    Ok(())
}

fn uid(serial: u64) -> String {
    // Spread over all digits, so that two uids never look alike; the serial alone makes them differ.
    let spread = u128::from(serial).wrapping_mul(0x9E37_79B9_7F4A_7C15_F39C_C060_5CED_C835);
    uuid::Builder::from_random_bytes(spread.to_be_bytes()).into_uuid().to_string()
}

fn suffix(serial: u64) -> String {
    const LETTERS: &[u8] = b"bcdfghjklmnpqrstvwxz2456789";
    let mut rest = serial.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 16;
    let mut text = String::new();
    for _ in 0..5 {
        let at = usize::try_from(rest % 27).unwrap_or(0);
        text.push(char::from(LETTERS[at]));
        rest /= 27;
    }
    text
}
