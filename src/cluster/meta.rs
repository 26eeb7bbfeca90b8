//! Metadata of routing objects: what the domain keeps of it, who wrote last, who else owns the object.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;
use serde::Deserialize;
use serde_json::Value;

use crate::domain::istio::{Anything, Meta};
use crate::domain::owner::{Marks, Owner, Reference, Writers};

use super::words::Words;

/// `metadata` of a VirtualService or DestinationRule.
#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct MetaJson {
    namespace: Option<String>,
    name: Option<String>,
    uid: Option<String>,
    resource_version: Option<String>,
    generation: Option<i64>,
    creation_timestamp: Option<String>,
    deletion_timestamp: Option<String>,
    labels: Option<BTreeMap<String, String>>,
    annotations: Option<BTreeMap<String, String>>,
    owner_references: Option<Vec<OwnerJson>>,
    managed_fields: Option<Vec<ManagedJson>>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct OwnerJson {
    api_version: Option<String>,
    kind: Option<String>,
    name: Option<String>,
    controller: Option<bool>,
}

impl OwnerJson {
    fn reference(&self) -> Reference<'_> {
        Reference {
            api_version: self.api_version.as_deref().unwrap_or_default(),
            kind: self.kind.as_deref().unwrap_or_default(),
            name: self.name.as_deref().unwrap_or_default(),
            controller: self.controller == Some(true),
        }
    }
}

/// One entry of `managedFields`; of the fields only whether the spec is among them.
#[derive(Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
struct ManagedJson {
    manager: Option<String>,
    time: Option<String>,
    subresource: Option<String>,
    #[serde(rename = "fieldsV1")]
    fields: Option<FieldsJson>,
}

#[derive(Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
struct FieldsJson {
    #[serde(rename = "f:spec")]
    spec: Option<Anything>,
}

impl ManagedJson {
    /// True of a writer of the spec. Who only sets labels or status does not decide about traffic.
    fn writes_spec(&self) -> bool {
        let main = self.subresource.as_deref().is_none_or(str::is_empty);
        main && self.fields.as_ref().is_none_or(|fields| fields.spec.is_some())
    }
}

impl MetaJson {
    /// Who else writes the object; `None` when only people's tools do.
    pub fn owner(&self, writers: &Writers) -> Option<Owner> {
        let nothing = BTreeMap::new();
        let managed = self.managed_fields.as_deref().unwrap_or_default();
        let owners: Vec<Reference<'_>> =
            self.owner_references.iter().flatten().map(OwnerJson::reference).collect();
        let managers: Vec<&str> = managed
            .iter()
            .filter(|entry| entry.writes_spec())
            .filter_map(|entry| entry.manager.as_deref())
            .collect();
        writers.owner_of(&Marks {
            labels: self.labels.as_ref().unwrap_or(&nothing),
            annotations: self.annotations.as_ref().unwrap_or(&nothing),
            owners: &owners,
            managers: &managers,
        })
    }

    /// The domain's view.
    pub fn read(&self, words: &Words, writers: &Writers) -> Meta {
        let managed = self.managed_fields.as_deref().unwrap_or_default();
        Meta {
            namespace: words.get(self.namespace.as_deref().unwrap_or_default()),
            name: words.get(self.name.as_deref().unwrap_or_default()),
            uid: self.uid.as_deref().unwrap_or_default().into(),
            resource_version: self.resource_version.clone().unwrap_or_default(),
            generation: self.generation.unwrap_or_default(),
            created_ms: self.creation_timestamp.as_deref().map_or(0, millis),
            owner: self.owner(writers),
            manager: latest(managed).map(|manager| words.get(manager)),
            deleting: self.deletion_timestamp.is_some(),
        }
    }
}

/// The manager of the latest write that was not one of status. Times are whole seconds: of two in the same
/// second it is not us, because it is asked only of edits that are not ours.
fn latest(managed: &[ManagedJson]) -> Option<&str> {
    managed
        .iter()
        .filter(|entry| entry.subresource.as_deref().is_none_or(str::is_empty))
        .max_by_key(|entry| {
            let other = entry.manager.as_deref() != Some(super::FIELD_MANAGER);
            (entry.time.as_deref().map_or(i64::MIN, millis), other)
        })?
        .manager
        .as_deref()
}

/// Milliseconds since 1970 of an RFC 3339 time; 0 for anything else.
pub(super) fn millis(time: &str) -> i64 {
    time.parse::<Timestamp>().map_or(0, Timestamp::as_millisecond)
}

/// Who wrote an object since it was as `before`: times have a grain of a second, so a manager that is new, or whose
/// time moved, goes before one that was there already.
pub(super) fn changed_by(before: Option<&Value>, now: &Value) -> Option<Arc<str>> {
    let known = before.map(managed_fields).unwrap_or_default();
    let all = managed_fields(now);
    let new: Vec<ManagedJson> = all.iter().filter(|entry| !known.contains(entry)).cloned().collect();
    latest(&new).or_else(|| latest(&all)).map(Into::into)
}

fn managed_fields(object: &Value) -> Vec<ManagedJson> {
    let entries = object.pointer("/metadata/managedFields");
    entries.and_then(|entries| Deserialize::deserialize(entries).ok()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_manager_is_the_latest_writer_of_anything_but_status() {
        let meta: MetaJson = serde_json::from_value(serde_json::json!({
            "name": "reviews", "namespace": "shop", "managedFields": [
                {"manager": "helm", "time": "2026-01-02T03:04:05Z"},
                {"manager": "some-labeler", "time": "2026-01-03T03:04:05Z", "fieldsV1": {"f:metadata": {}}},
                {"manager": "kubectl-edit", "time": "2026-02-02T03:04:05Z", "fieldsV1": {"f:spec": {}}},
                {"manager": "pilot-discovery", "time": "2026-03-02T03:04:05Z", "subresource": "status"},
            ],
        }))
        .unwrap();
        let meta = meta.read(&Words::default(), &Writers::default());
        assert_eq!(meta.manager.as_deref(), Some("kubectl-edit"));
        assert_eq!(meta.owner, None);
        assert_eq!((&*meta.namespace, &*meta.name), ("shop", "reviews"));
    }

    #[test]
    fn of_two_writers_in_one_second_the_new_one_is_named() {
        let object = |managers: &[&str]| {
            let entry =
                |manager: &&str| serde_json::json!({"manager": manager, "time": "2026-01-02T03:04:05Z"});
            serde_json::json!({"metadata": {"managedFields": managers.iter().map(entry).collect::<Vec<_>>()}})
        };
        let now = object(&["kubectl-edit", "zz-old"]);
        assert_eq!(changed_by(Some(&object(&["zz-old"])), &now).as_deref(), Some("kubectl-edit"));
        assert_eq!(changed_by(None, &now).as_deref(), Some("zz-old"));
        assert_eq!(changed_by(Some(&now), &now).as_deref(), Some("zz-old"));
    }
}
