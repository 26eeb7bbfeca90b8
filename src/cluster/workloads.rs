//! Workloads and pods for releases: read them, and the requests that make, change, delete and label them. `apply` alone
//! sends those that write. Nothing is sent twice: what is to be done is absolute, so a caller to whom the answer was
//! lost looks again and asks again.

use http::Method;
use serde_json::{Value, json};

use crate::domain::ids::Namespace;
use crate::domain::owner::Owner;
use crate::domain::service::WorkloadKind;

use super::error::ClusterError;
use super::kinds::Watched;
use super::meta::MetaJson;
use super::wire::{self, Call, query};
use super::write::Mode;
use super::{Cluster, FIELD_MANAGER, within};

/// Why a workload was not (or may not have been) written.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WorkloadError {
    /// The API server or a webhook refused; its message.
    #[error("refused: {0}")]
    Refused(String),
    /// It is there already, or was changed since it was read.
    #[error("changed by somebody else meanwhile")]
    Conflict,
    /// Nothing was written.
    #[error("{0}")]
    Cluster(ClusterError),
    /// The answer was lost.
    #[error("nobody knows whether it was written: {0}")]
    Unknown(ClusterError),
}

fn watched(kind: WorkloadKind) -> Watched {
    match kind {
        WorkloadKind::Deployment => Watched::Deployment,
        WorkloadKind::StatefulSet => Watched::StatefulSet,
    }
}

impl Cluster {
    /// A workload as it is now; `None` when there is none of the name.
    pub async fn workload(
        &self,
        kind: WorkloadKind,
        namespace: &Namespace,
        name: &str,
    ) -> Result<Option<Value>, ClusterError> {
        self.object(Call::get(watched(kind).object(namespace.as_str(), name))).await
    }

    pub(super) async fn object(&self, call: Call) -> Result<Option<Value>, ClusterError> {
        match wire::read(&self.inner.clients.read, &call, within(self.limits().read)).await {
            Ok(answer) => serde_json::from_slice(&answer.body)
                .map(Some)
                .map_err(|error| ClusterError::Invalid(error.to_string())),
            Err(ClusterError::NotFound(_)) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Who else writes a workload, by what it says of itself; `None` when only people's tools do.
    pub fn workload_owner(&self, object: &Value) -> Option<Owner> {
        let metadata: MetaJson = serde_json::from_value(object["metadata"].clone()).ok()?;
        metadata.owner(self.writers())
    }

    /// Makes a workload that is not there.
    pub(super) async fn create_workload(
        &self,
        kind: WorkloadKind,
        object: &Value,
    ) -> Result<Value, WorkloadError> {
        let namespace = object.pointer("/metadata/namespace").and_then(Value::as_str).unwrap_or_default();
        self.change(Method::POST, watched(kind).collection(Some(namespace)), object).await
    }

    /// Replaces a workload at the resourceVersion that it was read at.
    pub(super) async fn replace_workload(
        &self,
        kind: WorkloadKind,
        object: &Value,
    ) -> Result<Value, WorkloadError> {
        self.change(Method::PUT, path_of(watched(kind), object), object).await
    }

    /// Deletes a workload, if it is still the one with this uid; its pods go with it. One that is gone is fine.
    pub(super) async fn delete_workload(
        &self,
        kind: WorkloadKind,
        namespace: &Namespace,
        name: &str,
        uid: &str,
    ) -> Result<(), WorkloadError> {
        self.delete(watched(kind).object(namespace.as_str(), name), uid, Mode::Real).await
    }

    /// Lets the API server and its webhooks check the deletion of a workload, without deleting it. One that is gone is
    /// fine.
    pub async fn try_deletion(&self, kind: WorkloadKind, object: &Value) -> Result<(), WorkloadError> {
        let uid = object.pointer("/metadata/uid").and_then(Value::as_str).unwrap_or_default();
        match self.delete(path_of(watched(kind), object), uid, Mode::DryRun).await {
            // Whatever became of the request: nothing was deleted.
            Err(WorkloadError::Unknown(error)) => Err(WorkloadError::Cluster(error)),
            other => other,
        }
    }

    async fn delete(&self, path: String, uid: &str, mode: Mode) -> Result<(), WorkloadError> {
        let mut options =
            json!({ "kind": "DeleteOptions", "apiVersion": "v1", "propagationPolicy": "Background" });
        if !uid.is_empty() {
            options["preconditions"] = json!({ "uid": uid });
        }
        let path = match mode {
            Mode::Real => path,
            Mode::DryRun => {
                // The API server reads the options of a deletion from its body alone where there is one.
                options["dryRun"] = json!(["All"]);
                path + &query(&[("dryRun", "All")])
            }
        };
        let end = within(self.limits().write);
        let call = Call::with_body(Method::DELETE, path, &options);
        match wire::send(&self.inner.clients.write, &call, end).await {
            Ok(answer) if answer.is_success() || answer.status == 404 => Ok(()),
            Ok(answer) => Err(of_answer(&answer)),
            Err(failed) => Err(of_failure(failed)),
        }
    }

    /// The pods that a selector chooses.
    pub async fn pods(
        &self,
        namespace: &Namespace,
        selector: &[(String, String)],
    ) -> Result<Vec<Value>, ClusterError> {
        let labels: Vec<String> = selector.iter().map(|(key, value)| format!("{key}={value}")).collect();
        let path = Watched::Pod.collection(Some(namespace.as_str()))
            + &query(&[("labelSelector", &labels.join(","))]);
        let answer =
            wire::read(&self.inner.clients.read, &Call::get(path), within(self.limits().read)).await?;
        let list: Value =
            serde_json::from_slice(&answer.body).map_err(|error| ClusterError::Invalid(error.to_string()))?;
        Ok(list["items"].as_array().cloned().unwrap_or_default())
    }

    /// Deletes a pod, if it is still the one that was read. One that is gone is fine.
    pub(super) async fn delete_pod(&self, pod: &Value) -> Result<(), WorkloadError> {
        let uid = pod.pointer("/metadata/uid").and_then(Value::as_str).unwrap_or_default();
        self.delete(path_of(Watched::Pod, pod), uid, Mode::Real).await
    }

    /// Replaces a pod at the resourceVersion that it was read at (only its labels can have changed).
    pub(super) async fn label_pod(&self, pod: &Value) -> Result<(), WorkloadError> {
        self.change(Method::PUT, path_of(Watched::Pod, pod), pod).await.map(|_| ())
    }

    async fn change(&self, method: Method, path: String, object: &Value) -> Result<Value, WorkloadError> {
        let end = within(self.limits().write);
        let asked = query(&[("fieldManager", FIELD_MANAGER), ("fieldValidation", "Strict")]);
        let call = Call::with_body(method, path + &asked, object);
        match wire::send(&self.inner.clients.write, &call, end).await {
            Ok(answer) if answer.is_success() => serde_json::from_slice(&answer.body)
                .map_err(|error| WorkloadError::Unknown(ClusterError::Invalid(error.to_string()))),
            Ok(answer) => Err(of_answer(&answer)),
            Err(failed) => Err(of_failure(failed)),
        }
    }
}

fn path_of(kind: Watched, object: &Value) -> String {
    let text = |key: &str| object["metadata"][key].as_str().unwrap_or_default();
    kind.object(text("namespace"), text("name"))
}

fn of_answer(answer: &wire::Answer) -> WorkloadError {
    match answer.status {
        409 | 404 => WorkloadError::Conflict,
        401 => WorkloadError::Cluster(answer.error("a write")),
        403 if !wire::is_denied(&answer.told().message) => {
            WorkloadError::Cluster(ClusterError::Forbidden(answer.told().message))
        }
        429 => WorkloadError::Cluster(answer.error("a workload")),
        400..=499 => WorkloadError::Refused(answer.told().message),
        _ => WorkloadError::Unknown(answer.error("a workload")),
    }
}

fn of_failure(failed: wire::Failed) -> WorkloadError {
    match failed {
        wire::Failed::NotSent(error) => WorkloadError::Cluster(error),
        lost => WorkloadError::Unknown(lost.error("a workload")),
    }
}
