//! The one way in which a release writes workloads and pods: the right of whoever it acts for, a durable row of the
//! history, the writes one after the other, the row of what came of them.

use serde_json::{Value, json};

use crate::cluster::{Ask, ObjectWrite, WorkloadError};
use crate::domain::actor::Channel;
use crate::domain::audit::{
    Action as Act, Details, Ending, Intent, Outcome, ReleaseMark, WorkloadRecord, Written,
};
use crate::domain::ids::Namespace;
use crate::domain::refusal::{Code, Refusal};
use crate::domain::release::Happened;
use crate::domain::release::state::{Action, ActionKind};
use crate::domain::service::WorkloadKind;
use crate::release::Trouble;
use crate::release::workload;
use crate::services::Services;
use crate::services::once::unavailable;
use crate::store::{Held, Revise};

use super::traffic::{actor_of, of_refusal};
use super::workloads::of_cluster;

/// What is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Workload(WorkloadKind),
    Pod,
}

impl From<WorkloadKind> for Kind {
    fn from(kind: WorkloadKind) -> Self {
        Self::Workload(kind)
    }
}

impl Kind {
    fn as_str(self) -> &'static str {
        match self {
            Self::Workload(WorkloadKind::Deployment) => "Deployment",
            Self::Workload(WorkloadKind::StatefulSet) => "StatefulSet",
            Self::Pod => "Pod",
        }
    }

    fn ask(self, verb: &'static str, namespace: Namespace) -> Ask {
        match self {
            Self::Workload(kind) => Ask::workload(verb, kind, namespace),
            Self::Pod => Ask::pods(verb, namespace),
        }
    }
}

/// One object and how it is to be written.
pub(super) struct Write<'a> {
    /// `create`, `scale`, `batch`, `label` or `delete`.
    pub act: &'static str,
    pub kind: Kind,
    /// `None` = it is created.
    pub before: Option<&'a Value>,
    /// `None` = it is deleted.
    pub after: Option<Value>,
}

impl<'a> Write<'a> {
    /// A pod that is deleted, or that gets the labels that it carries here.
    pub fn of_pod(act: &'static str, pod: &'a Value) -> Self {
        let after = (act != "delete").then(|| pod.clone());
        Self { act, kind: Kind::Pod, before: Some(pod), after }
    }

    fn object(&self) -> &Value {
        self.before.or(self.after.as_ref()).unwrap_or(&Value::Null)
    }

    fn text(&self, key: &str) -> &str {
        self.object()["metadata"][key].as_str().unwrap_or_default()
    }

    fn verb(&self) -> &'static str {
        match self.act {
            "create" => "create",
            "delete" => "delete",
            _ => "update",
        }
    }

    fn ask(&self) -> Ask {
        let ask = self.kind.ask(self.verb(), Namespace::from(self.text("namespace")));
        // The name of what is not there yet is no part of the question.
        if self.act == "create" { ask } else { ask.named(self.text("name")) }
    }

    fn record(&self) -> WorkloadRecord {
        let kept = |object: &Value| match self.kind {
            Kind::Workload(_) => kept_of(object),
            Kind::Pod => json!({ "labels": object["metadata"]["labels"] }),
        };
        // Of a pod's labels only those that it gets are at hand.
        let before = self.before.filter(|_| self.act != "label");
        WorkloadRecord {
            kind: self.kind.as_str().to_owned(),
            namespace: Namespace::from(self.text("namespace")),
            name: self.text("name").to_owned(),
            act: self.act.to_owned(),
            before: before.map(kept),
            after: self.after.as_ref().map(kept),
            written: Written::No,
        }
    }
}

impl Services {
    /// One object.
    pub(super) async fn write_object(
        &self,
        held: &Held,
        action: &Action,
        write: Write<'_>,
    ) -> Result<(), Trouble> {
        self.write_objects(held, action, vec![write]).await
    }

    /// Several, in one row: stops at the first that is not written.
    pub(super) async fn write_objects(
        &self,
        held: &Held,
        action: &Action,
        writes: Vec<Write<'_>>,
    ) -> Result<(), Trouble> {
        if writes.is_empty() {
            return Ok(());
        }
        let lock = self.lock_of(held.release.at());
        let _locked = lock.lock().await;
        let who = actor_of(held, action);
        let lacking = self.judge(&who.identity, held.release.at(), writes.iter().map(Write::ask).collect());
        let lacking = lacking.await.map_err(|refusal| of_refusal(&refusal))?;
        let records: Vec<WorkloadRecord> = writes.iter().map(Write::record).collect();
        let intent = self.objects_intent(held, action, records.clone());
        if let Some(refusal) = lacking {
            if writes.iter().any(|write| write.act == "label") {
                // Without a row: the pods are looked at twice a second, and the step's deadline ends it.
                return Err(Trouble::Forbidden(refusal));
            }
            return Err(Trouble::Forbidden(self.refuse(intent, refusal).await.refusal));
        }
        let id = self.inner.store.intent(&intent).await;
        let id = id.map_err(|error| Trouble::Failed(unavailable(error)))?;
        let mut done = Vec::with_capacity(records.len());
        let mut trouble: Option<Trouble> = None;
        for (write, record) in writes.into_iter().zip(records) {
            let mut written = Written::No;
            if trouble.is_none() {
                let result = self.send_object(write, &intent.change).await;
                written = match &result {
                    Ok(()) => Written::Yes,
                    Err(WorkloadError::Unknown(_)) => Written::Unknown,
                    Err(_) => Written::No,
                };
                trouble = result.err().map(|error| of_error(error, &record.name));
            }
            done.push(WorkloadRecord { written, ..record });
        }
        let some = done.iter().any(|record| record.written == Written::Yes);
        let ending = match &trouble {
            None => Ending::Applied,
            Some(Trouble::Unknown(_)) => Ending::Unknown,
            Some(_) if some => Ending::Partial,
            Some(Trouble::Refused(_) | Trouble::Forbidden(_)) => Ending::Refused,
            Some(_) => Ending::Failed,
        };
        let refusal = trouble.as_ref().map(|trouble| trouble.refusal().clone());
        let details = Details { workloads: done, refusal, ..Details::default() };
        let outcome = Outcome { at_ms: self.inner.clock.now_ms(), ending, revision: None, details };
        if let Err(error) = self.inner.store.outcome(id, &intent, &outcome, Revise::Keep).await {
            tracing::error!(%error, change = intent.change, "the outcome of a change of workloads is recorded later");
            self.outcome_later(id, intent, outcome, Revise::Keep);
        }
        trouble.map_or(Ok(()), Err)
    }

    async fn send_object(&self, write: Write<'_>, change: &str) -> Result<(), WorkloadError> {
        let cluster = &self.inner.cluster;
        let object = write.object().clone();
        match (write.kind, write.act, write.after) {
            (Kind::Pod, "delete", _) | (Kind::Pod, _, None) => {
                cluster.apply_object(ObjectWrite::DeletePod(&object), change).await
            }
            (Kind::Pod, _, Some(after)) => cluster.apply_object(ObjectWrite::LabelPod(&after), change).await,
            (Kind::Workload(kind), "delete", _) | (Kind::Workload(kind), _, None) => {
                cluster.apply_object(ObjectWrite::Delete(kind, &object), change).await
            }
            (Kind::Workload(kind), "create", Some(after)) => {
                let after = workload::marked(after, change);
                cluster.apply_object(ObjectWrite::Create(kind, &after), change).await
            }
            (Kind::Workload(kind), _, Some(after)) => {
                let after = workload::marked(after, change);
                cluster.apply_object(ObjectWrite::Replace(kind, &after), change).await
            }
        }
    }

    fn objects_intent(&self, held: &Held, action: &Action, workloads: Vec<WorkloadRecord>) -> Intent {
        let release = &held.release;
        let decided = vec![Happened::Decided { action: action.kind.clone() }];
        let mark = ReleaseMark::of(release, release.state.phase, decided);
        let request_id = match action.kind {
            // What is written while a batch is waited for belongs to no action.
            ActionKind::Batch { number, .. } if action.id == 0 => format!("{}-batch-{number}", release.id),
            _ => format!("{}-{}", release.id, action.id),
        };
        Intent {
            change: uuid::Uuid::now_v7().to_string(),
            at_ms: self.inner.clock.now_ms(),
            service: Some(release.at().clone()),
            actor: held.acting().user.clone(),
            groups: held.acting().groups.clone(),
            channel: Channel::Automatic,
            address: None,
            action: Act::Workload,
            reason: release.id.to_string(),
            request_id,
            details: Details { release: Some(Box::new(mark)), workloads, ..Details::default() },
        }
    }
}

/// What the history keeps of a workload: the parts that a release changes.
fn kept_of(object: &Value) -> Value {
    json!({
        "replicas": object["spec"]["replicas"],
        "partition": object.pointer("/spec/updateStrategy/rollingUpdate/partition"),
        "labels": object.pointer("/spec/template/metadata/labels"),
        "images": object.pointer("/spec/template/spec/containers").and_then(Value::as_array)
            .map(|all| all.iter().map(|one| one["image"].clone()).collect::<Vec<_>>()),
    })
}

fn of_error(error: WorkloadError, name: &str) -> Trouble {
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
