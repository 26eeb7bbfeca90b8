//! Workloads for a release: make the candidate's, change a number of pods, replace a batch, take a version away.
//! Each write has its intent row before and its outcome row after, like any other; each looks first, and what is
//! there already is done.

use serde_json::{Value, json};

use crate::cluster::{Ask, ClusterError, WorkloadError};
use crate::domain::audit::{
    Action as Act, Details, Ending, Intent, Outcome, ReleaseMark, WorkloadRecord, Written,
};
use crate::domain::ids::{Namespace, VersionName};
use crate::domain::refusal::{Code, Refusal};
use crate::domain::release::state::{Action, ActionKind, Side};
use crate::domain::release::{Candidate, Happened};
use crate::domain::service::{Version, Workload, WorkloadKind};
use crate::domain::snapshot::Snapshot;
use crate::release::Trouble;
use crate::release::workload::{self, Copy, RELEASE_ANNOTATION};
use crate::services::Services;
use crate::services::ask::Wish;
use crate::services::once::unavailable;
use crate::store::{Held, Revise};

use super::traffic::{actor_of, of_refusal};

/// One workload and how it is to be written.
pub(super) struct Write<'a> {
    pub act: &'static str,
    pub kind: WorkloadKind,
    pub before: Option<&'a Value>,
    pub after: Option<Value>,
}

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
            return Err(Trouble::Refused(Refusal::new(Code::VersionTaken).arg("v", version)));
        }
        let write = Write { act: "create", kind: source.kind, before: None, after: Some(copy) };
        self.write_workload(held, action, write).await
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
        let Ok((_, source)) = source_of(snapshot, name) else {
            // Nobody has no pods.
            return if replicas == 0 { Ok(()) } else { Err(Trouble::Refused(no_workload(name))) };
        };
        let at = &snapshot.service.at.namespace;
        let Some(now) = self.read_workload(source.kind, at, &source.name).await? else {
            return if replicas == 0 { Ok(()) } else { Err(Trouble::Refused(no_workload(name))) };
        };
        let Some(after) = workload::scaled(&now, replicas) else { return Ok(()) };
        let write = Write { act: "scale", kind: source.kind, before: Some(&now), after: Some(after) };
        self.write_workload(held, action, write).await
    }

    /// Rules, subset, then the workload: nothing may point to pods that are going.
    async fn remove_version(&self, held: &Held, action: &Action, side: Side) -> Result<(), Trouble> {
        let release = &held.release;
        let version = name_of(held, side).clone();
        let look = self.look(release.at(), false).await.map_err(|refusal| of_refusal(&refusal))?;
        let declared = look.routing.declared();
        let share = |weights: &crate::domain::routing::Weights| {
            weights.iter().find(|(name, _)| *name == version).map_or(0, |(_, weight)| *weight)
        };
        let left = match &declared {
            Some(weights) => share(weights),
            None => {
                u8::from(look.snapshot.versions.iter().any(|known| known.name == version && known.ready > 0))
            }
        };
        if left > 0 {
            let refusal = Refusal::new(Code::StillServing).arg("v", &version).arg("n", left);
            return Err(Trouble::Refused(refusal));
        }
        if declared.is_some() {
            self.write_traffic(held, action, Wish::Retire(version.clone())).await?;
        }
        let at = &look.snapshot.service.at.namespace;
        let known = look.snapshot.versions.iter().find(|known| known.name == version);
        for source in known.map_or(&[][..], |version| &version.workloads) {
            let Some(now) = self.read_workload(source.kind, at, &source.name).await? else { continue };
            let write = Write { act: "delete", kind: source.kind, before: Some(&now), after: None };
            self.write_workload(held, action, write).await?;
        }
        Ok(())
    }

    pub(super) async fn read_workload(
        &self,
        kind: WorkloadKind,
        at: &Namespace,
        name: &str,
    ) -> Result<Option<Value>, Trouble> {
        self.inner.cluster.workload(kind, at, name).await.map_err(of_cluster)
    }

    /// Intent, write, outcome.
    pub(super) async fn write_workload(
        &self,
        held: &Held,
        action: &Action,
        write: Write<'_>,
    ) -> Result<(), Trouble> {
        let lock = self.lock_of(held.release.at());
        let _held = lock.lock().await;
        let object = write.before.or(write.after.as_ref()).cloned().unwrap_or_default();
        let text = |key: &str| object["metadata"][key].as_str().unwrap_or_default().to_owned();
        let back = held.release.state.phase == crate::domain::release::Phase::Aborting;
        let who = actor_of(held, back);
        let (kind, plural) = match write.kind {
            WorkloadKind::Deployment => ("Deployment", "deployments"),
            WorkloadKind::StatefulSet => ("StatefulSet", "statefulsets"),
        };
        let namespace = Namespace::from(text("namespace").as_str());
        let verb = match write.act {
            "create" => "create",
            "delete" => "delete",
            _ => "update",
        };
        let ask =
            Ask { verb, group: "apps", resource: plural, namespace: Some(namespace.clone()), name: None };
        let allowed = self.inner.cluster.allowed(&who.identity, ask).await.map_err(of_cluster)?;
        let record = WorkloadRecord {
            kind: kind.to_owned(),
            namespace: namespace.clone(),
            name: text("name"),
            act: write.act.to_owned(),
            before: write.before.map(told),
            after: write.after.as_ref().map(told),
            written: Written::No,
        };
        let mut intent = self.workload_intent(held, action, record.clone());
        intent.actor.clone_from(&who.identity.user);
        if !allowed {
            let refusal = Refusal::new(Code::Forbidden)
                .arg("svc", held.release.at())
                .arg("ns", &namespace)
                .arg("verb", verb)
                .arg("resource", format!("{plural}.apps"))
                .arg("who", &who.identity.user);
            return Err(Trouble::Forbidden(self.refuse(intent, refusal).await.refusal));
        }
        let id =
            self.inner.store.intent(&intent).await.map_err(|error| Trouble::Failed(unavailable(error)))?;
        let result = match (write.act, write.after) {
            ("delete", _) | (_, None) => {
                let uid = text("uid");
                self.inner.cluster.delete_workload(write.kind, &namespace, &record.name, &uid).await
            }
            ("create", Some(after)) => {
                let after = workload::marked(after, &intent.change);
                self.inner.cluster.create_workload(write.kind, &after).await.map(|_| ())
            }
            (_, Some(after)) => {
                let after = workload::marked(after, &intent.change);
                self.inner.cluster.replace_workload(write.kind, &after).await.map(|_| ())
            }
        };
        let (ending, written, trouble) = match result {
            Ok(()) => (Ending::Applied, Written::Yes, None),
            Err(error) => ending_of(error, &record),
        };
        let details = Details {
            workloads: vec![WorkloadRecord { written, ..record }],
            refusal: trouble.as_ref().map(|trouble| trouble.refusal().clone()),
            ..Details::default()
        };
        let outcome = Outcome { at_ms: self.inner.clock.now_ms(), ending, revision: None, details };
        if let Err(error) = self.inner.store.outcome(id, &intent, &outcome, Revise::Keep).await {
            tracing::error!(%error, change = intent.change, "the outcome of a workload's change is recorded later");
            self.outcome_later(id, intent, outcome, Revise::Keep);
        }
        trouble.map_or(Ok(()), Err)
    }

    fn workload_intent(&self, held: &Held, action: &Action, record: WorkloadRecord) -> Intent {
        let decided = vec![Happened::Decided { action: action.kind.clone() }];
        let request_id = format!("{}-{}", held.release.id, action.id);
        self.workloads_intent(held, decided, request_id, vec![record])
    }

    pub(super) fn workloads_intent(
        &self,
        held: &Held,
        decided: Vec<Happened>,
        request_id: String,
        workloads: Vec<WorkloadRecord>,
    ) -> Intent {
        let release = &held.release;
        let mark = ReleaseMark::of(release, release.state.phase, decided);
        Intent {
            change: uuid::Uuid::now_v7().to_string(),
            at_ms: self.inner.clock.now_ms(),
            service: Some(release.at().clone()),
            actor: held.owner.user.clone(),
            groups: held.owner.groups.clone(),
            channel: crate::domain::actor::Channel::Automatic,
            address: None,
            action: Act::Workload,
            reason: release.id.to_string(),
            request_id,
            details: Details { release: Some(Box::new(mark)), workloads, ..Details::default() },
        }
    }
}

/// What the history keeps of a workload: the parts that a release changes.
pub(super) fn told(object: &Value) -> Value {
    json!({
        "replicas": object["spec"]["replicas"],
        "partition": object.pointer("/spec/updateStrategy/rollingUpdate/partition"),
        "labels": object.pointer("/spec/template/metadata/labels"),
        "images": object.pointer("/spec/template/spec/containers").and_then(Value::as_array)
            .map(|all| all.iter().map(|one| one["image"].clone()).collect::<Vec<_>>()),
    })
}

fn ending_of(error: WorkloadError, record: &WorkloadRecord) -> (Ending, Written, Option<Trouble>) {
    let object = json!({ "metadata": { "name": record.name }, "kind": record.kind });
    let trouble = of_error(error, &object);
    let (ending, written) = match &trouble {
        Trouble::Unknown(_) => (Ending::Unknown, Written::Unknown),
        Trouble::Refused(_) | Trouble::Forbidden(_) => (Ending::Refused, Written::No),
        _ => (Ending::Failed, Written::No),
    };
    (ending, written, Some(trouble))
}

pub(super) fn of_error(error: WorkloadError, object: &Value) -> Trouble {
    let name = object["metadata"]["name"].as_str().unwrap_or_default();
    match error {
        WorkloadError::Refused(message) => {
            Trouble::Refused(Refusal::new(Code::ClusterRefused).arg("message", message))
        }
        WorkloadError::Conflict => Trouble::Failed(Refusal::new(Code::WorkloadConflict).arg("object", name)),
        WorkloadError::Cluster(error) => of_cluster(error),
        WorkloadError::Unknown(error) => {
            Trouble::Unknown(Refusal::new(Code::OutcomeUnknown).arg("object", name).arg("words", error))
        }
    }
}

pub(super) fn of_cluster(error: ClusterError) -> Trouble {
    of_refusal(&error.refusal())
}

pub(super) fn no_workload(version: &VersionName) -> Refusal {
    Refusal::new(Code::NoWorkload).arg("v", version)
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

/// The label by which the version is told apart.
pub(super) fn key_of(version: &Version) -> &str {
    version.subset_labels.keys().next().map_or("version", |key| key)
}

pub(super) fn selector_of(snapshot: &Snapshot) -> Vec<(String, String)> {
    snapshot.service.selector.iter().map(|(key, value)| (key.to_string(), value.to_string())).collect()
}
