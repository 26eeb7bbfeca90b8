//! Fields that a kind does not have: dropped with a warning, or refused, as the client asks; and wrong types.
//!
//! Pure, called by `write`. Built-in kinds are decoded into their types, as the real server does; custom resources
//! are compared with their shapes, as the real server compares them with the schema of their CRD.

use k8s_openapi::api::apps::v1::{Deployment, ReplicaSet, StatefulSet};
use k8s_openapi::api::core::v1::{Event, Namespace, Pod, Service};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::failure::{Failure, FieldError};
use super::kinds::Kind;
use super::shapes;

/// `fieldValidation`: what happens with a field that the kind does not have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Strictness {
    /// Dropped silently.
    Ignore,
    /// Dropped, and named in a `Warning` header. The default of a server.
    Warn,
    /// The write is refused.
    Strict,
}

const METADATA: &[&str] = &[
    "annotations",
    "creationTimestamp",
    "deletionGracePeriodSeconds",
    "deletionTimestamp",
    "finalizers",
    "generateName",
    "generation",
    "labels",
    "managedFields",
    "name",
    "namespace",
    "ownerReferences",
    "resourceVersion",
    "selfLink",
    "uid",
];

/// After these a server does not look at the rules in CEL.
const BLOCKING: &[&str] =
    &["FieldValueRequired", "FieldValueTypeInvalid", "FieldValueNotSupported", "FieldValueTooLong"];

/// Drops unknown fields and nulls; returns the warnings.
pub(super) fn check(kind: &Kind, body: &mut Value, how: Strictness) -> Result<Vec<String>, Failure> {
    let mut unknown = Vec::new();
    match kind.kind {
        "Service" => typed::<Service>(kind, body, &mut unknown)?,
        "Pod" => typed::<Pod>(kind, body, &mut unknown)?,
        "Namespace" => typed::<Namespace>(kind, body, &mut unknown)?,
        "Event" => typed::<Event>(kind, body, &mut unknown)?,
        "Deployment" => typed::<Deployment>(kind, body, &mut unknown)?,
        "ReplicaSet" => typed::<ReplicaSet>(kind, body, &mut unknown)?,
        "StatefulSet" => typed::<StatefulSet>(kind, body, &mut unknown)?,
        "EndpointSlice" => typed::<EndpointSlice>(kind, body, &mut unknown)?,
        _ => shaped(kind, body, &mut unknown),
    }
    let told: Vec<String> = unknown.iter().map(|path| format!("unknown field \"{path}\"")).collect();
    match how {
        Strictness::Ignore => Ok(Vec::new()),
        Strictness::Warn => Ok(told),
        Strictness::Strict if told.is_empty() => Ok(Vec::new()),
        Strictness::Strict => Err(Failure::bad_request(format!(
            "{} in version \"{}\" cannot be handled as a {}: strict decoding error: {}",
            kind.kind,
            kind.version,
            kind.kind,
            told.join(", ")
        ))),
    }
}

/// Adds values of a wrong type in a custom resource. (Built-in kinds fail to decode instead.)
pub(super) fn check_types(kind: &Kind, value: &Value, errors: &mut Vec<FieldError>) {
    let Some(shape) = shapes::of_spec(kind.kind).filter(|_| kind.custom) else { return };
    shape.check(&value["spec"], "spec", errors);
    if errors.iter().any(|e| BLOCKING.contains(&e.reason)) {
        errors.push(FieldError::invalid(
            "<nil>",
            "null",
            "some validation rules were not checked because the object was invalid; correct the existing errors to \
             complete validation",
        ));
    } else {
        shape.check_rules(&value["spec"], "spec", errors);
    }
}

fn shaped(kind: &Kind, body: &mut Value, unknown: &mut Vec<String>) {
    let Some(map) = body.as_object_mut() else { return };
    if let Some(Value::Object(metadata)) = map.get_mut("metadata") {
        metadata
            .retain(|key, _| METADATA.contains(&key.as_str()) || !note(unknown, &format!("metadata.{key}")));
    }
    let Some(shape) = shapes::of_spec(kind.kind).filter(|_| kind.custom) else { return };
    map.retain(|key, _| {
        matches!(key.as_str(), "apiVersion" | "kind" | "metadata" | "spec" | "status") || !note(unknown, key)
    });
    if let Some(spec) = map.get_mut("spec") {
        shape.prune(spec, "spec", unknown);
    }
}

fn note(unknown: &mut Vec<String>, path: &str) -> bool {
    unknown.push(path.to_owned());
    true
}

/// Decodes into the type and back; what did not come back is unknown.
fn typed<T: DeserializeOwned + Serialize>(
    kind: &Kind,
    body: &mut Value,
    unknown: &mut Vec<String>,
) -> Result<(), Failure> {
    let mut with_type = body.clone();
    if let Some(map) = with_type.as_object_mut() {
        // A body may leave its type out; the decoder may not.
        map.insert("kind".into(), kind.kind.into());
        map.insert("apiVersion".into(), kind.api_version().into());
    }
    let known = serde_json::from_value::<T>(with_type).and_then(serde_json::to_value).map_err(|error| {
        Failure::bad_request(format!(
            "{} in version \"{}\" cannot be handled as a {}: json: {error}",
            kind.kind, kind.version, kind.kind
        ))
    })?;
    keep_known(body, &known, "", unknown);
    Ok(())
}

fn keep_known(body: &mut Value, known: &Value, path: &str, unknown: &mut Vec<String>) {
    match (body, known) {
        (Value::Object(map), Value::Object(mask)) => {
            map.retain(|key, inner| {
                let at = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
                match mask.get(key) {
                    Some(mask) => {
                        keep_known(inner, mask, &at, unknown);
                        true
                    }
                    // A null is "not set", and is dropped without a word.
                    None if inner.is_null() => false,
                    None => !note(unknown, &at),
                }
            });
        }
        (Value::Array(list), Value::Array(mask)) => {
            for (at, (inner, mask)) in list.iter_mut().zip(mask).enumerate() {
                keep_known(inner, mask, &format!("{path}[{at}]"), unknown);
            }
        }
        _ => {}
    }
}
