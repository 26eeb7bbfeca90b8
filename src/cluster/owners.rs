//! Whether a ServiceAccount is still there. A TokenReview needs its token, and RBAC answers for names that nobody
//! has: a release that goes on for hours must ask about its owner itself.

use serde_json::Value;

use super::error::ClusterError;
use super::wire::{self, Call};
use super::{Cluster, within};
use crate::domain::actor::Identity;

/// How Kubernetes names a ServiceAccount as a user.
const PREFIX: &str = "system:serviceaccount:";

impl Cluster {
    /// Whether the one behind an identity may still exist: false for a ServiceAccount that is deleted, or that was
    /// made again under its name. Of people Kubernetes keeps no list, so of them this is always true.
    pub async fn may_exist(&self, who: &Identity) -> Result<bool, ClusterError> {
        let Some((namespace, name)) = who.user.strip_prefix(PREFIX).and_then(|rest| rest.split_once(':'))
        else {
            return Ok(true);
        };
        let call = Call::get(format!("/api/v1/namespaces/{namespace}/serviceaccounts/{name}"));
        match wire::read(&self.inner.clients.read, &call, within(self.limits().read)).await {
            Ok(answer) => {
                let found: Value = serde_json::from_slice(&answer.body)
                    .map_err(|error| ClusterError::Invalid(error.to_string()))?;
                let uid = found["metadata"]["uid"].as_str().unwrap_or_default();
                Ok(who.uid.is_empty() || uid == who.uid)
            }
            Err(ClusterError::NotFound(_)) => Ok(false),
            Err(error) => Err(error),
        }
    }
}
