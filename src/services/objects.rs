//! The one way in which workloads and pods are written, for a release and for a person who retires a version: the
//! right of the person it is done for, a durable row of the history, the writes one after the other, the row of what
//! came of them.

use serde_json::{Value, json};

use crate::cluster::{Ask, ObjectWrite, WorkloadError};
use crate::domain::actor::Identity;
use crate::domain::audit::{Details, Ending, Entry, Intent, Outcome, WorkloadRecord, Written};
use crate::domain::ids::{Namespace, ServiceRef};
use crate::domain::refusal::{Code, Refusal};
use crate::domain::service::WorkloadKind;
use crate::release::Trouble;
use crate::release::workload;
use crate::store::Revise;

use super::Services;
use super::once::unavailable;
use super::releases::{of_cluster, of_refusal};

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
            Self::Workload(kind) => kind.as_str(),
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

    pub fn ask(&self) -> Ask {
        let ask = self.kind.ask(self.verb(), Namespace::from(self.text("namespace")));
        // The name of what is not there yet is no part of the question.
        if self.act == "create" { ask } else { ask.named(self.text("name")) }
    }

    pub fn record(&self) -> WorkloadRecord {
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

/// What came of several writes.
pub(super) struct Sent {
    /// The history's row; `None` while it cannot be recorded.
    pub entry: Option<Entry>,
    pub ending: Ending,
    pub trouble: Option<Trouble>,
}

impl Services {
    /// Writes several objects, in one row: stops at the first that is not written. The caller holds the service's lock.
    pub(super) async fn write_listed(
        &self,
        who: &Identity,
        at: &ServiceRef,
        intent: Intent,
        writes: Vec<Write<'_>>,
    ) -> Result<Sent, Trouble> {
        let lacking = self.judge(who, at, writes.iter().map(Write::ask).collect());
        let lacking = lacking.await.map_err(|refusal| of_refusal(&refusal))?;
        if let Some(refusal) = lacking {
            if writes.iter().any(|write| write.act == "label") {
                // Without a row: the pods are looked at twice a second, and the step's deadline ends it.
                return Err(Trouble::Forbidden(refusal));
            }
            return Err(Trouble::Forbidden(self.refuse(intent, refusal).await.refusal));
        }
        let records = intent.details.workloads.clone();
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
        let entry = match self.inner.store.outcome(id, &intent, &outcome, Revise::Keep).await {
            Ok(entry) => Some(entry),
            Err(error) => {
                tracing::error!(%error, change = intent.change, "the outcome of a change of workloads is recorded later");
                self.outcome_later(id, intent, outcome, Revise::Keep);
                None
            }
        };
        Ok(Sent { entry, ending, trouble })
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
