//! The one way in which workloads and pods are written, for a release and for a person who retires a version: the
//! right of the person it is done for, a durable row of the history, the writes one after the other, the row of what
//! came of them.

use serde_json::{Value, json};

use crate::cluster::{Ask, ObjectWrite, WorkloadError};
use crate::domain::actor::Identity;
use crate::domain::audit::{Details, Ending, Entry, Intent, Outcome, WorkloadRecord, Written};
use crate::domain::ids::{Namespace, Revision, ServiceRef, VersionName};
use crate::domain::overview::Applied;
use crate::domain::refusal::{Check, Code, Refusal};
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

    /// As sentences name it.
    fn named(&self) -> String {
        format!("{} {}", self.kind.as_str(), self.text("name"))
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

/// A retirement that deletions belong to.
pub(super) struct Retiring {
    pub version: VersionName,
    /// What was done before them: objects as sentences name them.
    pub done: Vec<String>,
    /// The service's revision after that.
    pub revision: Revision,
    /// Known to stand in the way since: nothing is deleted.
    pub stopped: Option<Trouble>,
    /// What is worth knowing of it.
    pub notes: Vec<Check>,
}

impl Retiring {
    /// Nothing is done yet.
    pub fn begun(version: &VersionName, revision: Revision) -> Self {
        Self { version: version.clone(), done: Vec::new(), revision, stopped: None, notes: Vec::new() }
    }

    /// The routing was written.
    pub fn after(version: &VersionName, applied: &Applied) -> Self {
        let edits = applied.entry.outcome.as_ref().map(|outcome| &outcome.details.edits);
        let written = edits.into_iter().flatten().filter(|edit| edit.written == Written::Yes);
        let done = written.map(|edit| edit.object.to_string()).collect();
        Self { done, ..Self::begun(version, applied.revision) }
    }

    /// The answer where a deletion is refused after something was done; `None` = nothing was done.
    fn cut_off(&self, records: &[WorkloadRecord], trouble: &Trouble) -> Option<Refusal> {
        let named = |record: &WorkloadRecord| format!("{} {}/{}", record.kind, record.namespace, record.name);
        let of = |written: Written| records.iter().filter(move |record| record.written == written).map(named);
        let done: Vec<String> = self.done.iter().cloned().chain(of(Written::Yes)).collect();
        if done.is_empty() || matches!(trouble, Trouble::Unknown(_)) {
            return None;
        }
        let left: Vec<String> = of(Written::No).collect();
        let cause = trouble.refusal();
        let words = cause.args.iter().find(|(name, _)| matches!(name.as_ref(), "message" | "words"));
        let words = words.map_or_else(|| cause.code.as_str().to_owned(), |(_, words)| words.clone());
        let refusal = Refusal::new(Code::PartlyRetired).arg("v", &self.version).arg("r", self.revision);
        Some(refusal.arg("objects", done.join(", ")).arg("object", left.join(", ")).arg("message", words))
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
    /// Lets the API server check every deletion of workloads. Nothing is written.
    pub(super) async fn try_deletions(&self, writes: &[Write<'_>]) -> Result<(), Trouble> {
        for write in writes {
            let (Kind::Workload(kind), "delete", Some(now)) = (write.kind, write.act, write.before) else {
                continue;
            };
            let tried = self.inner.cluster.try_deletion(kind, now).await;
            tried.map_err(|error| of_error(error, &write.named()))?;
        }
        Ok(())
    }

    /// Writes several objects, in one row: stops at the first that is not written. The caller holds the service's lock.
    /// `retiring`: what they belong to.
    pub(super) async fn write_listed(
        &self,
        who: &Identity,
        at: &ServiceRef,
        intent: Intent,
        writes: Vec<Write<'_>>,
        mut retiring: Option<Retiring>,
    ) -> Result<Sent, Trouble> {
        let lacking = self.judge(who, at, writes.iter().map(Write::ask).collect());
        let lacking = lacking.await.map_err(|refusal| of_refusal(&refusal))?;
        let begun = retiring.as_mut().filter(|retiring| !retiring.done.is_empty());
        if let (Some(refusal), Some(begun)) = (&lacking, begun) {
            begun.stopped.get_or_insert(Trouble::Forbidden(refusal.clone()));
        } else if let Some(refusal) = lacking {
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
        let mut trouble: Option<Trouble> = retiring.as_mut().and_then(|retiring| retiring.stopped.take());
        for (write, record) in writes.into_iter().zip(records) {
            let mut written = Written::No;
            if trouble.is_none() {
                let result = self.send_object(write, &intent.change).await;
                written = match &result {
                    Ok(()) => Written::Yes,
                    Err(WorkloadError::Unknown(_)) => Written::Unknown,
                    Err(_) => Written::No,
                };
                trouble =
                    result.err().map(|error| of_error(error, &format!("{} {}", record.kind, record.name)));
            }
            done.push(WorkloadRecord { written, ..record });
        }
        let some = done.iter().any(|record| record.written == Written::Yes);
        let cut_off = retiring.as_ref().zip(trouble.as_ref());
        let cut_off = cut_off.and_then(|(retiring, trouble)| retiring.cut_off(&done, trouble));
        let some = some || cut_off.is_some();
        let trouble = cut_off.map(Trouble::Failed).or(trouble);
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
            Trouble::Refused(Refusal::new(Code::ClusterRefused).arg("object", name).arg("message", message))
        }
        WorkloadError::Conflict => Trouble::Failed(Refusal::new(Code::WorkloadConflict).arg("object", name)),
        WorkloadError::Cluster(error) => of_cluster(error),
        WorkloadError::Unknown(error) => {
            Trouble::Unknown(Refusal::new(Code::OutcomeUnknown).arg("object", name).arg("words", error))
        }
    }
}
