//! `metadata.managedFields`: who wrote which part of an object, and when. Pure.
//!
//! Coarser than a real server: ownership is kept for `spec.<field>`, `status.<field>`, other top-level fields and
//! single labels and annotations. For Istio's kinds that is the same, because all their lists are atomic.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use super::change::{Part, Stamp, seconds};
use super::kinds::Kind;
use super::object::metadata_mut;

/// A field, as the steps to it.
type Path = Vec<String>;

/// Writes into `after` who manages what, given the version before; nothing changes when nothing changed.
pub(super) fn record(kind: &Kind, before: Option<&Value>, after: &mut Value, stamp: &Stamp, part: Part) {
    let old = before.map(fields).unwrap_or_default();
    let new = fields(after);
    let changed: BTreeSet<Path> = new
        .iter()
        .filter(|(path, value)| old.get(*path) != Some(value))
        .map(|(path, _)| path.clone())
        .collect();
    let mut entries: Vec<Value> =
        before.and_then(|b| b["metadata"]["managedFields"].as_array().cloned()).unwrap_or_default();
    if changed.is_empty() && old.len() == new.len() {
        put(after, entries);
        return;
    }
    let subresource = if part == Part::Status { Some("status") } else { None };
    let ours = |entry: &Value| {
        entry["manager"] == stamp.manager.as_str()
            && entry["operation"] == "Update"
            && entry.get("subresource").and_then(Value::as_str) == subresource
    };
    let mut own = changed.clone();
    for entry in &mut entries {
        let mut held = BTreeSet::new();
        collect(&entry["fieldsV1"], &mut Vec::new(), &mut held);
        held.retain(|path| new.contains_key(path));
        if ours(entry) {
            own.extend(held.iter().cloned());
        } else {
            held.retain(|path| !changed.contains(path));
        }
        entry["fieldsV1"] = tree(&held);
    }
    let mut time = seconds(stamp.now);
    if changed.is_empty() {
        // Only a removal: nothing new is managed, so the time of the last managed change stays.
        time = entries.iter().find(|e| ours(e)).and_then(|e| e["time"].as_str()).unwrap_or(&time).to_owned();
    }
    entries.retain(|entry| !ours(entry) && entry["fieldsV1"].as_object().is_some_and(|f| !f.is_empty()));
    if !own.is_empty() {
        let mut entry = json!({
            "manager": stamp.manager,
            "operation": "Update",
            "apiVersion": kind.api_version(),
            "time": time,
            "fieldsType": "FieldsV1",
            "fieldsV1": tree(&own),
        });
        if let Some(subresource) = subresource {
            entry["subresource"] = subresource.into();
        }
        entries.push(entry);
    }
    entries.sort_by(|a, b| a["time"].as_str().cmp(&b["time"].as_str()));
    put(after, entries);
}

fn put(after: &mut Value, entries: Vec<Value>) {
    let meta = metadata_mut(after);
    if entries.is_empty() {
        meta.remove("managedFields");
    } else {
        meta.insert("managedFields".into(), entries.into());
    }
}

fn fields(value: &Value) -> std::collections::BTreeMap<Path, Value> {
    let mut found = std::collections::BTreeMap::new();
    for (key, field) in value.as_object().into_iter().flatten() {
        match key.as_str() {
            "kind" | "apiVersion" => {}
            "metadata" => {
                for group in ["labels", "annotations"] {
                    for (name, text) in field[group].as_object().into_iter().flatten() {
                        found.insert(vec!["metadata".into(), group.into(), name.clone()], text.clone());
                    }
                }
                for group in ["finalizers", "ownerReferences"] {
                    if let Some(list) = field.get(group) {
                        found.insert(vec!["metadata".into(), group.into()], list.clone());
                    }
                }
            }
            "spec" | "status" => {
                for (name, inner) in field.as_object().into_iter().flatten() {
                    found.insert(vec![key.clone(), name.clone()], inner.clone());
                }
            }
            _ => {
                found.insert(vec![key.clone()], field.clone());
            }
        }
    }
    found
}

fn tree(paths: &BTreeSet<Path>) -> Value {
    let mut root = Map::new();
    for path in paths {
        let mut at = &mut root;
        for step in path {
            let next = at.entry(format!("f:{step}")).or_insert_with(|| Value::Object(Map::new()));
            let Value::Object(map) = next else { break };
            at = map;
        }
    }
    Value::Object(root)
}

fn collect(node: &Value, path: &mut Path, found: &mut BTreeSet<Path>) {
    let Some(map) = node.as_object() else { return };
    if map.is_empty() && !path.is_empty() {
        found.insert(path.clone());
        return;
    }
    for (key, inner) in map {
        if let Some(step) = key.strip_prefix("f:") {
            path.push(step.to_owned());
            collect(inner, path, found);
            path.pop();
        }
    }
}
