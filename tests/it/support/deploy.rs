//! What `deploy/` says, and which of its rights Sluice has used on a real API server.
//!
//! Called by the tests of `deploy/` and by those that run Sluice with its rights. Reads files
//! only; the cluster is `support::cluster`'s.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::Path;

use serde::Deserialize;

use super::cluster::{RealCluster, repository};

/// Which rights Sluice has used so far, as the API server itself recorded them.
pub fn rights_used(cluster: &RealCluster) -> BTreeSet<Right> {
    let log = std::fs::read_to_string(cluster.dir().join("audit.log")).expect("audit log of the API server");
    log.lines()
        .filter_map(|line| serde_json::from_str::<Audited>(line).ok())
        .filter_map(Audited::right)
        .collect()
}

/// One thing that RBAC can allow.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Right {
    pub verb: String,
    pub group: String,
    pub resource: String,
}

impl std::fmt::Display for Right {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}", self.verb, self.resource)?;
        if !self.group.is_empty() {
            f.write_char('.')?;
        }
        f.write_str(&self.group)
    }
}

/// A line of the API server's audit log, as far as it tells of a right.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Audited {
    verb: String,
    object_ref: Option<AuditedObject>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct AuditedObject {
    resource: String,
    #[serde(default)]
    subresource: String,
    #[serde(default)]
    api_group: String,
}

impl Audited {
    fn right(self) -> Option<Right> {
        let object = self.object_ref?;
        let resource = if object.subresource.is_empty() {
            object.resource
        } else {
            format!("{}/{}", object.resource, object.subresource)
        };
        Some(Right { verb: self.verb, group: object.api_group, resource })
    }
}

/// Which rights `deploy/` gives to Sluice, in all namespaces and in its own only.
pub fn rights_granted() -> BTreeSet<Right> {
    rights_of("ClusterRole").union(&rights_of("Role")).cloned().collect()
}

/// The rights of the bound roles of this kind: a `ClusterRole` is good everywhere, a `Role` in Sluice's namespace.
pub fn rights_of(kind: &str) -> BTreeSet<Right> {
    let objects = deploy_objects();
    let is_bound = |role: &serde_json::Value| {
        objects.iter().any(|object| {
            object["kind"] == format!("{kind}Binding")
                && object["roleRef"]["name"] == role["metadata"]["name"]
        })
    };
    let roles = objects.iter().filter(|object| object["kind"] == kind && is_bound(object));
    roles.flat_map(|role| role["rules"].as_array().into_iter().flatten().flat_map(every)).collect()
}

/// The single rights of one RBAC rule.
pub fn every(rule: &serde_json::Value) -> Vec<Right> {
    let texts = |key: &str| -> Vec<String> {
        rule[key].as_array().into_iter().flatten().filter_map(|v| v.as_str()).map(str::to_owned).collect()
    };
    let mut all = Vec::new();
    for group in texts("apiGroups") {
        for resource in texts("resources") {
            let right = |verb| Right { verb, group: group.clone(), resource: resource.clone() };
            all.extend(texts("verbs").into_iter().map(right));
        }
    }
    all
}

/// The objects of the kustomize base, in the order in which it names its files.
pub fn deploy_objects() -> Vec<serde_json::Value> {
    let base = repository().join("deploy/kustomize/base");
    let kustomization = objects_in(&base.join("kustomization.yaml")).remove(0);
    let files = kustomization["resources"].as_array().expect("resources").clone();
    files.iter().flat_map(|file| objects_in(&base.join(file.as_str().expect("a file")))).collect()
}

fn objects_in(file: &Path) -> Vec<serde_json::Value> {
    let text = std::fs::read_to_string(file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    serde_saphyr::from_multiple(&text).unwrap_or_else(|error| panic!("{}: {error}", file.display()))
}
