//! The documents by which clients find out what the server serves.
//!
//! Pure, made from the table of kinds; a kind that is not installed is not in them, and a group without kinds
//! does not exist. Called by `wire`.

use serde_json::{Value, json};

use super::kinds::Kind;

/// `/version`.
pub(super) fn version() -> Value {
    json!({
        "major": "1",
        "minor": "36",
        "gitVersion": "v1.36.3",
        "gitCommit": "",
        "gitTreeState": "clean",
        "buildDate": "2026-01-01T00:00:00Z",
        "goVersion": "",
        "compiler": "",
        "platform": "",
    })
}

/// `/api`.
pub(super) fn core_versions() -> Value {
    json!({"kind": "APIVersions", "versions": ["v1"], "serverAddressByClientCIDRs": []})
}

/// `/apis`.
pub(super) fn groups(kinds: &[&'static Kind]) -> Value {
    let mut names: Vec<(&str, &str)> = vec![("authentication.k8s.io", "v1"), ("authorization.k8s.io", "v1")];
    for kind in kinds.iter().filter(|k| !k.group.is_empty()) {
        if !names.contains(&(kind.group, kind.version)) {
            names.push((kind.group, kind.version));
        }
    }
    let groups: Vec<Value> =
        names.into_iter().map(|(group, version)| group_document(group, version)).collect();
    json!({"kind": "APIGroupList", "apiVersion": "v1", "groups": groups})
}

/// `/apis/{group}`; `None` when there is no such group.
pub(super) fn group(kinds: &[&'static Kind], name: &str) -> Option<Value> {
    let version = kinds.iter().find(|k| k.group == name).map(|k| k.version);
    let version = version.or_else(|| reviews(name).map(|_| "v1"))?;
    let mut document = group_document(name, version);
    document["kind"] = "APIGroup".into();
    document["apiVersion"] = "v1".into();
    Some(document)
}

/// `/api/v1` and `/apis/{group}/{version}`; `None` when nothing is served there.
pub(super) fn resources(kinds: &[&'static Kind], group: &str, version: &str) -> Option<Value> {
    let mut list = Vec::new();
    for kind in kinds.iter().filter(|k| k.group == group && k.version == version) {
        let mut verbs =
            vec!["delete", "deletecollection", "get", "list", "patch", "create", "update", "watch"];
        if kind.kind == "Namespace" {
            verbs.retain(|v| *v != "deletecollection");
        }
        list.push(json!({
            "name": kind.plural,
            "singularName": kind.singular,
            "namespaced": kind.namespaced,
            "kind": kind.kind,
            "verbs": verbs,
            "shortNames": kind.short,
        }));
        if kind.status {
            list.push(json!({
                "name": format!("{}/status", kind.plural),
                "singularName": "",
                "namespaced": kind.namespaced,
                "kind": kind.kind,
                "verbs": ["get", "patch", "update"],
            }));
        }
    }
    if version == "v1" {
        for (plural, kind) in reviews(group).unwrap_or_default() {
            list.push(json!({
                "name": plural, "singularName": plural.trim_end_matches('s'), "namespaced": false, "kind": kind,
                "verbs": ["create"],
            }));
        }
    }
    if list.is_empty() {
        return None;
    }
    let group_version = if group.is_empty() { version.to_owned() } else { format!("{group}/{version}") };
    Some(json!({
        "kind": "APIResourceList", "apiVersion": "v1", "groupVersion": group_version, "resources": list,
    }))
}

fn reviews(group: &str) -> Option<Vec<(&'static str, &'static str)>> {
    match group {
        "authentication.k8s.io" => Some(vec![("tokenreviews", "TokenReview")]),
        "authorization.k8s.io" => Some(vec![
            ("selfsubjectaccessreviews", "SelfSubjectAccessReview"),
            ("subjectaccessreviews", "SubjectAccessReview"),
        ]),
        _ => None,
    }
}

fn group_document(group: &str, version: &str) -> Value {
    let entry = json!({"groupVersion": format!("{group}/{version}"), "version": version});
    json!({"name": group, "versions": [entry], "preferredVersion": entry})
}
