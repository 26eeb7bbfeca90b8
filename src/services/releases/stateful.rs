//! StatefulSets whose own pods are replaced: a batch of them, the way back, and what is seen of both. Deletes only
//! pods that block the way back ([`workload::broken_pods`]); labels only pods of a batch that is whole. Every write
//! has its row in the history, as those in `workloads` do.

use serde_json::Value;

use crate::domain::ids::Namespace;
use crate::domain::refusal::{Code, Refusal};
use crate::domain::release::state::{Action, ActionKind};
use crate::domain::release::{Candidate, Phase, Release, Stage, Step};
use crate::domain::service::{Version, Workload, WorkloadKind};
use crate::domain::snapshot::Snapshot;
use crate::release::workload::{self, Copy};
use crate::release::{Reverted, Trouble};
use crate::services::Services;
use crate::store::Held;

use super::locked;
use super::objects::Write;
use super::workloads::{key_of, no_workload, of_cluster, selector_of, source_of};

/// What was last seen of a StatefulSet.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct BatchSeen {
    /// Ready and labelled pods of the batch.
    pub updated: u32,
    pub reverted: Reverted,
}

/// True while the pods of a StatefulSet are waited for: nothing announces them, they are asked for.
pub(super) fn asks(release: &Release) -> bool {
    let state = &release.state;
    let going_back = state.phase == Phase::Aborting && state.reverting && state.stage == Stage::Preflight;
    release.spec.candidate.is_in_place() && (state.stage == Stage::Converging || going_back)
}

/// The StatefulSet as it is now, and its pods' namespace.
struct Found {
    namespace: Namespace,
    set: Value,
}

impl Services {
    pub(super) async fn batch(
        &self,
        held: &Held,
        action: &Action,
        snapshot: &Snapshot,
        updated: u32,
    ) -> Result<(), Trouble> {
        let release = &held.release;
        let Some((version, source)) = set_of(snapshot, held) else {
            let refusal = Refusal::new(Code::NotStateful).arg("v", &release.spec.stable);
            return Err(Trouble::Refused(refusal));
        };
        let at = &snapshot.service.at.namespace;
        let found = self.read_workload(WorkloadKind::StatefulSet, at, &source.name).await?;
        let set = found.ok_or_else(|| Trouble::Refused(no_workload(&release.spec.stable)))?;
        let Candidate::Image { version: candidate, image, .. } = &release.spec.candidate else {
            return Ok(());
        };
        let selector = selector_of(snapshot);
        let wish = Copy {
            release: release.id,
            key: key_of(version),
            stable: &release.spec.stable,
            version: candidate,
            old_image: &source.image,
            image,
            replicas: None,
            selector: &selector,
        };
        locked(&self.inner.releases.batches).remove(&release.id);
        let Some(after) = workload::batch(&set, updated, &wish).map_err(Trouble::Refused)? else {
            return Ok(());
        };
        let write = Write {
            act: "batch",
            kind: WorkloadKind::StatefulSet.into(),
            before: Some(&set),
            after: Some(after),
        };
        self.write_object(held, action, write).await
    }

    /// Gives the StatefulSet the `partition` back that it had.
    pub(super) async fn settle(&self, held: &Held, action: &Action) -> Result<(), Trouble> {
        let Some(found) = self.find_set(held).await? else { return Ok(()) };
        locked(&self.inner.releases.batches).remove(&held.release.id);
        let Some(after) = workload::settled(&found.set) else { return Ok(()) };
        let kind = WorkloadKind::StatefulSet;
        let write = Write { act: "batch", kind: kind.into(), before: Some(&found.set), after: Some(after) };
        self.write_object(held, action, write).await
    }

    /// Deletes the pods that keep the StatefulSet from going back.
    pub(super) async fn heal(&self, held: &Held, action: &Action) -> Result<(), Trouble> {
        let Some(found) = self.find_set(held).await? else { return Ok(()) };
        if !heard(&found.set) {
            return Ok(());
        }
        let pods = self.pods_of(&found).await?;
        let broken: Vec<Value> = workload::broken_pods(&found.set, &pods).into_iter().cloned().collect();
        locked(&self.inner.releases.batches).remove(&held.release.id);
        let writes = broken.iter().map(|pod| Write::of_pod("delete", pod)).collect();
        self.write_objects(held, action, writes).await
    }

    /// How far a batch (or the way back) is: asks the StatefulSet, and labels the pods of a batch once they are ready.
    pub(super) async fn watch_batch(&self, held: &Held) -> Result<(), Trouble> {
        let release = &held.release;
        if !asks(release) {
            return Ok(());
        }
        let Some(found) = self.find_set(held).await? else { return Ok(()) };
        let set = &found.set;
        let number = |pointer: &str| set.pointer(pointer).and_then(Value::as_u64).unwrap_or(0);
        let total = set["spec"]["replicas"].as_u64().unwrap_or(1);
        let updated = number("/status/updatedReplicas").min(total);
        let all_ready = heard(set) && number("/status/readyReplicas") >= total;
        if release.state.phase == Phase::Aborting {
            let mut reverted = Reverted {
                whole: all_ready && updated >= total,
                broken: 0,
                unsettled: workload::is_unsettled(set),
            };
            if heard(set) && !reverted.whole {
                let pods = self.pods_of(&found).await?;
                let broken = workload::broken_pods(set, &pods).len();
                reverted.broken = u32::try_from(broken).unwrap_or(u32::MAX);
            }
            let seen = BatchSeen { updated: 0, reverted };
            locked(&self.inner.releases.batches).insert(release.id, seen);
            return Ok(());
        }
        let wanted = release.state.updated;
        if wanted == 0 || !all_ready || updated < u64::from(wanted).min(total) {
            return Ok(());
        }
        let steps = &release.spec.steps[..(release.state.step + 1).min(release.spec.steps.len())];
        let batch = steps.iter().filter(|step| matches!(step, Step::Replicas { .. })).count();
        let pods = self.pods_of(&found).await?;
        let from = total.saturating_sub(u64::from(wanted));
        let number = u32::try_from(batch).unwrap_or(u32::MAX);
        let name = set["metadata"]["name"].as_str().unwrap_or_default();
        let labelled = workload::labelled(&pods, name, from, release.id, number);
        // The kubelet writes pods too: where one of them was faster, the next look tries again.
        let kind = ActionKind::Batch { updated: wanted, number };
        let writes = labelled.iter().map(|pod| Write::of_pod("label", pod)).collect();
        self.write_objects(held, &Action { id: 0, kind }, writes).await?;
        let seen = BatchSeen { updated: wanted, reverted: Reverted::default() };
        locked(&self.inner.releases.batches).insert(release.id, seen);
        Ok(())
    }

    async fn find_set(&self, held: &Held) -> Result<Option<Found>, Trouble> {
        let Some(snapshot) = self.inner.cache.snapshot(held.release.at()) else { return Ok(None) };
        let Some((_, source)) = set_of(&snapshot, held) else { return Ok(None) };
        let namespace = snapshot.service.at.namespace.clone();
        let set = self.read_workload(WorkloadKind::StatefulSet, &namespace, &source.name).await?;
        Ok(set.map(|set| Found { namespace, set }))
    }

    async fn pods_of(&self, found: &Found) -> Result<Vec<Value>, Trouble> {
        let labels = found.set.pointer("/spec/selector/matchLabels").and_then(Value::as_object);
        let selector: Vec<(String, String)> = labels
            .into_iter()
            .flatten()
            .filter_map(|(key, value)| Some((key.clone(), value.as_str()?.to_owned())))
            .collect();
        self.inner.cluster.pods(&found.namespace, &selector).await.map_err(of_cluster)
    }
}

/// True when the controller has seen the StatefulSet as it is.
fn heard(set: &Value) -> bool {
    let number = |pointer: &str| set.pointer(pointer).and_then(Value::as_u64).unwrap_or(0);
    number("/status/observedGeneration") >= number("/metadata/generation")
}

/// The StatefulSet that is replaced in place: by its stable version, or, once its template says so, by the
/// candidate's.
pub(super) fn set_of<'a>(snapshot: &'a Snapshot, held: &Held) -> Option<(&'a Version, &'a Workload)> {
    let spec = &held.release.spec;
    [&spec.stable, spec.candidate.version()].into_iter().find_map(|name| {
        let found = source_of(snapshot, name).ok()?;
        (found.1.kind == WorkloadKind::StatefulSet).then_some(found)
    })
}
