//! Workloads for a release: make the candidate's, change a number of pods, replace a batch, take a version away.
//! Each looks first, and what is there already is done; `objects` writes.

use serde_json::Value;

use crate::cluster::ClusterError;
use crate::domain::ids::{Namespace, VersionName};
use crate::domain::refusal::{Check, Code, Refusal};
use crate::domain::release::state::{Action, ActionKind, Side};
use crate::domain::release::{Candidate, Phase};
use crate::domain::removal;
use crate::domain::service::{Version, Workload, WorkloadKind};
use crate::domain::snapshot::Snapshot;
use crate::release::Trouble;
use crate::release::workload::{self, Copy, RELEASE_ANNOTATION};
use crate::services::Services;
use crate::services::ask::Wish;
use crate::services::change::Look;
use crate::services::retire::{is_wanted, workloads_of};
use crate::store::Held;

use super::objects::{Retiring, Write};
use super::traffic::of_refusal;

impl Services {
    /// Carries out what is no traffic.
    pub(super) async fn move_workload(&self, held: &Held, action: &Action) -> Result<(), Trouble> {
        let look = self.look(held.release.at(), false).await.map_err(|refusal| of_refusal(&refusal))?;
        match &action.kind {
            ActionKind::Deploy { replicas } => self.deploy(held, action, &look.snapshot, *replicas).await,
            ActionKind::Scale { side, replicas } => {
                self.scale(held, action, &look.snapshot, *side, *replicas).await
            }
            ActionKind::Batch { updated, .. } => self.batch(held, action, &look.snapshot, *updated).await,
            ActionKind::Heal => self.heal(held, action).await,
            ActionKind::Settle => self.settle(held, action).await,
            ActionKind::Remove { side } => self.remove_version(held, action, *side).await,
            _ => Ok(()),
        }
    }

    async fn deploy(
        &self,
        held: &Held,
        action: &Action,
        snapshot: &Snapshot,
        replicas: Option<u32>,
    ) -> Result<(), Trouble> {
        let (stable, source) = source_of(snapshot, &held.release.spec.stable).map_err(Trouble::Refused)?;
        let at = &snapshot.service.at.namespace;
        let found = self.read_workload(source.kind, at, &source.name).await?;
        let original = found.ok_or_else(|| Trouble::Refused(no_workload(&stable.name)))?;
        let Candidate::Image { version, image, .. } = &held.release.spec.candidate else { return Ok(()) };
        let selector = selector_of(snapshot);
        let wish = Copy {
            release: held.release.id,
            key: key_of(stable),
            stable: &stable.name,
            version,
            old_image: &source.image,
            image,
            replicas,
            selector: &selector,
        };
        let copy = workload::copy(&original, &wish).map_err(Trouble::Refused)?;
        let name = copy["metadata"]["name"].as_str().unwrap_or_default().to_owned();
        if let Some(there) = self.read_workload(source.kind, at, &name).await? {
            let by = there["metadata"]["annotations"][RELEASE_ANNOTATION].as_str();
            if by == Some(held.release.id.to_string().as_str()) {
                return Ok(());
            }
            return Err(Trouble::Refused(workload_taken(source.kind, at, &name)));
        }
        let write = Write { act: "create", kind: source.kind.into(), before: None, after: Some(copy) };
        self.write_object(held, action, write).await
    }

    async fn scale(
        &self,
        held: &Held,
        action: &Action,
        snapshot: &Snapshot,
        side: Side,
        replicas: u32,
    ) -> Result<(), Trouble> {
        let name = name_of(held, side);
        let Ok((version, source)) = source_of(snapshot, name) else {
            // A version without a workload has no pods already.
            return if replicas == 0 { Ok(()) } else { Err(Trouble::Refused(no_workload(name))) };
        };
        own_alone(Some(version))?;
        let at = &snapshot.service.at.namespace;
        let Some(now) = self.read_workload(source.kind, at, &source.name).await? else {
            return if replicas == 0 { Ok(()) } else { Err(Trouble::Refused(no_workload(name))) };
        };
        let Some(after) = workload::scaled(&now, replicas) else { return Ok(()) };
        let write = Write { act: "scale", kind: source.kind.into(), before: Some(&now), after: Some(after) };
        self.write_object(held, action, write).await
    }

    /// Rules, subset, then the workload: nothing may point to pods that are going. What cannot be finished is not begun.
    async fn remove_version(&self, held: &Held, action: &Action, side: Side) -> Result<(), Trouble> {
        let at = held.release.at();
        let version = name_of(held, side).clone();
        let look = self.look(at, false).await.map_err(|refusal| of_refusal(&refusal))?;
        let going = self.departing(&look, &version).await.map_err(|refusal| of_refusal(&refusal))?;
        if held.release.state.phase == Phase::Aborting
            && let Some(refusal) = self.kept(held, &look, &version).await
        {
            return Err(Trouble::Refused(refusal));
        }
        self.try_deletions(&deletions(&going)).await?;
        let notes = self.left_behind(held.acting(), &look.snapshot, &version, &going).await;
        let mut retiring = Retiring::begun(&version, look.revision);
        if look.routing.declared().is_some()
            && let Some(applied) = self.write_traffic(held, action, Wish::Retire(version.clone())).await?
        {
            retiring = Retiring::after(&version, &applied);
        }
        retiring.notes = notes;
        let turn = self.lock_of(at);
        let _held_turn = turn.lock().await;
        // Between the routing and this moment somebody may have sent requests to it again.
        let judged = match self.look(at, true).await {
            Ok(look) => self.departing(&look, &version).await,
            Err(refusal) => Err(refusal),
        };
        let going = judged.unwrap_or_else(|refusal| {
            retiring.stopped = Some(of_refusal(&refusal));
            going
        });
        if going.is_empty() {
            return Ok(());
        }
        self.write_locked(held, action, deletions(&going), Some(retiring)).await
    }

    /// Why an abort leaves the version that it made: nobody is there who could accept that other Services lose its pods.
    /// The callers of this service are no reason: they are meant to have the stable version again.
    async fn kept(&self, held: &Held, look: &Look, version: &VersionName) -> Option<Refusal> {
        let there = look.snapshot.versions.iter().find(|known| known.name == *version)?;
        let checks = self.by_other_services(held.acting(), &look.snapshot, there).await;
        let object = |check: &Check| {
            check.args.iter().find(|(key, _)| key == "object").map(|(_, object)| format!("`{object}`"))
        };
        let list = checks.iter().filter_map(object).collect::<Vec<_>>().join(", ");
        (!checks.is_empty()).then(|| Refusal::new(Code::CandidateKept).arg("v", version).arg("list", list))
    }

    /// What goes with a version that a release takes away, each as it is now; or why the version stays.
    pub(super) async fn departing(
        &self,
        look: &Look,
        version: &VersionName,
    ) -> Result<Vec<(WorkloadKind, Value)>, Refusal> {
        let left = removal::share_of(&look.snapshot, &look.routing, version);
        if left > 0 {
            return Err(removal::serving(&look.routing, version, left));
        }
        if let Some(refusal) = removal::named(&look.snapshot, &look.routing, version) {
            return Err(refusal);
        }
        let known = look.snapshot.versions.iter().find(|known| known.name == *version);
        if let Some(refusal) = removal::shared(known).or_else(|| removal::gone_already(known)) {
            return Err(refusal);
        }
        let at = &look.snapshot.service.at.namespace;
        let mut going = Vec::new();
        for source in workloads_of(&look.snapshot, version) {
            let read = self.inner.cluster.workload(source.kind, at, &source.name).await;
            let now = read.map_err(|error| error.refusal())?.filter(is_wanted);
            going.extend(now.map(|now| (source.kind, now)));
        }
        Ok(going)
    }

    pub(super) async fn read_workload(
        &self,
        kind: WorkloadKind,
        at: &Namespace,
        name: &str,
    ) -> Result<Option<Value>, Trouble> {
        self.inner.cluster.workload(kind, at, name).await.map_err(of_cluster)
    }
}

pub(in crate::services) fn of_cluster(error: ClusterError) -> Trouble {
    of_refusal(&error.refusal())
}

/// The writes that delete what is going.
pub(super) fn deletions(going: &[(WorkloadKind, Value)]) -> Vec<Write<'_>> {
    going
        .iter()
        .map(|(kind, now)| Write { act: "delete", kind: (*kind).into(), before: Some(now), after: None })
        .collect()
}

fn own_alone(version: Option<&Version>) -> Result<(), Trouble> {
    removal::shared(version).map_or(Ok(()), |refusal| Err(Trouble::Refused(refusal)))
}

pub(super) fn no_workload(version: &VersionName) -> Refusal {
    Refusal::new(Code::NoWorkload).arg("v", version)
}

/// The name of the workload that would be made is another's.
pub(super) fn workload_taken(kind: WorkloadKind, at: &Namespace, name: &str) -> Refusal {
    Refusal::new(Code::WorkloadTaken).arg("object", format!("{} {at}/{name}", kind.as_str()))
}

fn name_of(held: &Held, side: Side) -> &VersionName {
    match side {
        Side::Stable => &held.release.spec.stable,
        Side::Candidate => held.release.spec.candidate.version(),
    }
}

/// The version and its first workload.
pub(super) fn source_of<'a>(
    snapshot: &'a Snapshot,
    name: &VersionName,
) -> Result<(&'a Version, &'a Workload), Refusal> {
    let version = snapshot.versions.iter().find(|version| version.name == *name);
    let version = version.ok_or_else(|| Refusal::new(Code::UnknownVersion).arg("v", name))?;
    let workload = version.workloads.first().ok_or_else(|| no_workload(name))?;
    Ok((version, workload))
}

/// The label that distinguishes the version.
pub(super) fn key_of(version: &Version) -> &str {
    version.subset_labels.keys().next().map_or("version", |key| key)
}

pub(super) fn selector_of(snapshot: &Snapshot) -> Vec<(String, String)> {
    snapshot.service.selector.iter().map(|(key, value)| (key.to_string(), value.to_string())).collect()
}
