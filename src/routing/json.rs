//! Careful edits inside the JSON of an object: only what is named changes, whatever else is there stays.
//! Called by the plan; the views are for reading only.

use std::sync::Arc;

use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};

use crate::domain::ids::ObjectRef;
use crate::domain::istio::{Meta, Object};
use crate::domain::plan::CHANGE_ANNOTATION;
use crate::domain::routing::RouteKind;
use crate::domain::snapshot::Held;

use super::ChangeStamp;

/// The group and version that Sluice reads and writes.
pub const API_VERSION: &str = "networking.istio.io/v1";
/// On every object that Sluice created.
pub const MANAGED_BY: (&str, &str) = ("app.kubernetes.io/managed-by", "sluice");

/// A new object with our label.
pub fn created(at: &ObjectRef, spec: Value) -> Value {
    json!({
        "apiVersion": API_VERSION,
        "kind": at.kind.as_str(),
        "metadata": {
            "name": &*at.name,
            "namespace": at.namespace.as_str(),
            "labels": { MANAGED_BY.0: MANAGED_BY.1 },
        },
        "spec": spec,
    })
}

/// True of an object that Sluice created.
pub fn is_made_here(object: &Value) -> bool {
    object["metadata"]["labels"][MANAGED_BY.0] == MANAGED_BY.1
}

/// True of an object that carries the stamp of a write of Sluice.
pub fn is_written_here(object: &Value) -> bool {
    object["metadata"]["annotations"][CHANGE_ANNOTATION].is_string()
}

/// The object as it would be held after a write. A spec that is not of the documented shape is malformed.
pub fn held<T: DeserializeOwned + Default>(json: Arc<Value>, meta: Meta) -> Held<T> {
    let spec = json.get("spec").cloned().unwrap_or(Value::Null);
    let (spec, malformed) = match serde_json::from_value::<Option<T>>(spec) {
        Ok(spec) => (spec.unwrap_or_default(), None),
        Err(error) => (T::default(), Some(error.to_string())),
    };
    Held { object: Arc::new(Object { meta, spec, malformed }), json: Some(json) }
}

/// Metadata of an object that does not exist yet: the newest of all.
pub fn new_meta(at: &ObjectRef, created_ms: i64) -> Meta {
    Meta { namespace: at.namespace.as_str().into(), name: at.name.clone(), created_ms, ..Meta::default() }
}

/// Names the change on an object that it writes.
pub fn stamp(object: &mut Value, change: &ChangeStamp) {
    let Some(metadata) = member(object, "metadata") else { return };
    let Some(annotations) = member_of(metadata, "annotations") else { return };
    annotations.insert(CHANGE_ANNOTATION.to_owned(), json!(change.change));
    annotations.insert("sluice.io/changed-by".to_owned(), json!(change.actor));
    match change.revision {
        Some(revision) => annotations.insert("sluice.io/revision".to_owned(), json!(revision.to_string())),
        None => annotations.remove("sluice.io/revision"),
    };
}

/// The object member `key`, made when it is absent or null; `None` when something else is in its place.
fn member<'a>(value: &'a mut Value, key: &str) -> Option<&'a mut Map<String, Value>> {
    member_of(value.as_object_mut()?, key)
}

fn member_of<'a>(map: &'a mut Map<String, Value>, key: &str) -> Option<&'a mut Map<String, Value>> {
    let held = map.entry(key).or_insert_with(|| json!({}));
    if held.is_null() {
        *held = json!({});
    }
    held.as_object_mut()
}

/// The list `spec.http`, `spec.tls` or `spec.tcp`.
pub fn routes(object: &Value, kind: RouteKind) -> &[Value] {
    object
        .pointer("/spec")
        .and_then(|spec| spec.get(kind.as_str()))
        .and_then(Value::as_array)
        .map_or(&[], Vec::as_slice)
}

/// The same, to be changed.
pub fn routes_mut(object: &mut Value, kind: RouteKind) -> Option<&mut Vec<Value>> {
    object.get_mut("spec")?.get_mut(kind.as_str())?.as_array_mut()
}

/// The destinations of a route.
pub fn destinations(route: &Value) -> &[Value] {
    route.get("route").and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

/// `spec.subsets` of a DestinationRule, made when absent.
pub fn subsets_mut(object: &mut Value) -> Option<&mut Vec<Value>> {
    let spec = member(object, "spec")?;
    let held = spec.entry("subsets").or_insert_with(|| json!([]));
    if held.is_null() {
        *held = json!([]);
    }
    held.as_array_mut()
}

/// Writes a weight.
pub fn set_weight(entry: &mut Value, weight: u8) {
    if let Some(entry) = entry.as_object_mut() {
        entry.insert("weight".to_owned(), json!(weight));
    }
}

/// Points an entry at a subset; `None` = at the whole service.
pub fn set_subset(entry: &mut Value, subset: Option<&str>) {
    let Some(destination) = entry.get_mut("destination").and_then(Value::as_object_mut) else { return };
    match subset {
        Some(subset) => destination.insert("subset".to_owned(), json!(subset)),
        None => destination.remove("subset"),
    };
}

/// A bare entry to the same host and port as another one.
pub fn sibling(entry: &Value, subset: &str, weight: u8) -> Value {
    let mut destination = Map::new();
    for key in ["host", "port"] {
        if let Some(value) = entry.pointer("/destination").and_then(|destination| destination.get(key)) {
            destination.insert(key.to_owned(), value.clone());
        }
    }
    destination.insert("subset".to_owned(), json!(subset));
    json!({ "destination": destination, "weight": weight })
}
