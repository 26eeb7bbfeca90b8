//! Other instances on the cluster: each renews a Lease of its own in one namespace, and lists those of the others. A
//! Lease gives no right and takes none; it only tells. `services::instances` calls it.

use http::Method;
use serde_json::{Value, json};

use crate::domain::ids::Namespace;

use super::error::ClusterError;
use super::wire::{self, Call, query};
use super::{Cluster, FIELD_MANAGER, within};

/// What the Leases of all Sluices carry.
const LABEL: (&str, &str) = ("app.kubernetes.io/name", "sluice");

/// A Lease of a Sluice.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InstanceLease {
    /// The name of the object: the same for as long as the database of that Sluice.
    pub name: String,
    /// The process that renews it.
    pub holder: String,
    /// As the other wrote it, by the clock of the other.
    pub renewed: String,
    pub duration_s: i64,
}

impl Cluster {
    /// Renews our Lease (makes it the first time) and returns those of the others.
    pub async fn renew_instance(
        &self,
        namespace: &Namespace,
        own: &InstanceLease,
    ) -> Result<Vec<InstanceLease>, ClusterError> {
        let collection = format!("/apis/coordination.k8s.io/v1/namespaces/{namespace}/leases");
        let chosen = format!("{}={}", LABEL.0, LABEL.1);
        let list = Call::get(collection.clone() + &query(&[("labelSelector", &chosen)]));
        let answer = wire::read(&self.inner.clients.read, &list, within(self.limits().read)).await?;
        let list: Value =
            serde_json::from_slice(&answer.body).map_err(|error| ClusterError::Invalid(error.to_string()))?;
        let items = list["items"].as_array().cloned().unwrap_or_default();
        let (ours, others): (Vec<Value>, Vec<Value>) =
            items.into_iter().partition(|item| item["metadata"]["name"] == json!(own.name));
        let spec = json!({
            "holderIdentity": own.holder,
            "leaseDurationSeconds": own.duration_s,
            "renewTime": own.renewed,
        });
        let asked = query(&[("fieldManager", FIELD_MANAGER)]);
        let call = if let Some(mut lease) = ours.into_iter().next() {
            lease["apiVersion"] = json!("coordination.k8s.io/v1");
            lease["kind"] = json!("Lease");
            lease["spec"] = spec;
            Call::with_body(Method::PUT, format!("{collection}/{}{asked}", own.name), &lease)
        } else {
            let lease = json!({
                "apiVersion": "coordination.k8s.io/v1", "kind": "Lease",
                "metadata": {"name": own.name, "namespace": namespace, "labels": {LABEL.0: LABEL.1}},
                "spec": spec,
            });
            Call::with_body(Method::POST, collection + &asked, &lease)
        };
        match wire::send(&self.inner.clients.write, &call, within(self.limits().write)).await {
            // A conflict is a second process on the same database's name: it renews, too.
            Ok(answer) if answer.is_success() || answer.status == 409 => {}
            Ok(answer) => return Err(answer.error("a Lease")),
            Err(failed) => return Err(failed.error("a Lease")),
        }
        Ok(others.iter().map(InstanceLease::of).collect())
    }
}

impl InstanceLease {
    fn of(lease: &Value) -> Self {
        let spec = &lease["spec"];
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        Self {
            name: text(&lease["metadata"]["name"]),
            holder: text(&spec["holderIdentity"]),
            renewed: text(&spec["renewTime"]),
            duration_s: spec["leaseDurationSeconds"].as_i64().unwrap_or(0),
        }
    }
}
