//! What is worth knowing before the workloads of a version are deleted: which of them a finalizer holds, and what is
//! only about them and stays.

use serde_json::Value;

use crate::cluster::{About, Leaving};
use crate::domain::actor::Identity;
use crate::domain::ids::VersionName;
use crate::domain::refusal::{Check, Code, Severity};
use crate::domain::service::WorkloadKind;
use crate::domain::snapshot::Snapshot;

use super::Services;

impl Services {
    /// What stays when these workloads of a version are deleted, as it is known now. Who may not list a kind does not
    /// learn names.
    pub(super) async fn left_behind(
        &self,
        who: &Identity,
        snapshot: &Snapshot,
        version: &VersionName,
        going: &[(WorkloadKind, Value)],
    ) -> Vec<Check> {
        let mut out: Vec<Check> = going.iter().filter_map(held).collect();
        if going.is_empty() {
            return out;
        }
        let namespace = &snapshot.service.at.namespace;
        let groups = |own: bool| {
            let versions = snapshot.versions.iter().filter(move |one| (one.name == *version) == own);
            versions.flat_map(|one| &one.pods).map(|group| &group.labels).collect()
        };
        let leaving = Leaving {
            workloads: going.iter().map(|(kind, now)| (*kind, name_of(now))).collect(),
            pods: groups(true),
            others: groups(false),
        };
        for about in About::ALL {
            let kind = about.as_str();
            match self.inner.cluster.left_behind(about, namespace, &leaving).await {
                None => {
                    out.push(
                        Check::new(Severity::Info, Code::NotLookedAt).arg("kind", kind).arg("ns", namespace),
                    );
                }
                Some(names) if names.is_empty() => {}
                Some(names) => {
                    let may_know = who.unrestricted
                        || self
                            .inner
                            .cluster
                            .allowed(who, about.ask(namespace.clone()))
                            .await
                            .unwrap_or(false);
                    let objects = names.iter().map(|name| format!("{kind} {name}"));
                    let objects: Vec<String> =
                        if may_know { objects.collect() } else { vec![kind.to_owned()] };
                    out.extend(
                        objects
                            .iter()
                            .map(|one| Check::new(Severity::Info, Code::LeftBehind).arg("object", one)),
                    );
                }
            }
        }
        out
    }
}

/// A workload that stays after its deletion until its finalizers are removed.
fn held((kind, now): &(WorkloadKind, Value)) -> Option<Check> {
    let finalizers: Vec<&str> =
        now["metadata"]["finalizers"].as_array()?.iter().filter_map(Value::as_str).collect();
    let object = format!("{} {}", kind.as_str(), name_of(now));
    let check = Check::new(Severity::Info, Code::FinalizerHolds).arg("object", object);
    (!finalizers.is_empty()).then(|| check.arg("finalizers", finalizers.join(", ")))
}

fn name_of(object: &Value) -> &str {
    object["metadata"]["name"].as_str().unwrap_or_default()
}
