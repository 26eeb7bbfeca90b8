//! One routing object as it is now, to show it whole. Reads only.

use serde_json::Value;

use crate::domain::ids::ObjectRef;

use super::Cluster;
use super::error::ClusterError;
use super::kinds::Watched;
use super::wire::Call;

impl Cluster {
    /// A routing object as it is now, whole; `None` when there is none of the name.
    pub async fn routing_object(&self, object: &ObjectRef) -> Result<Option<Value>, ClusterError> {
        let kind = Watched::from(object.kind);
        self.object(Call::get(kind.object(object.namespace.as_str(), &object.name))).await
    }
}
