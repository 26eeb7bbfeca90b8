//! The shape of a pod that is not ready: part of a version of a service, and of a release that waits for it.

use serde::Serialize;
use utoipa::ToSchema;

use crate::domain::service;

/// A pod that is not ready, and why, in the words of the cluster.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct WaitingPod {
    #[schema(example = "v2")]
    pub version: String,
    #[schema(example = "reviews-v2-5d8f7c9b64-x2x9k")]
    pub pod: String,
    /// Null where the cluster does not say.
    #[schema(required = true, example = "ImagePullBackOff")]
    pub reason: Option<String>,
    /// At most 240 characters; may be empty.
    pub message: String,
    /// How its container ended before it was started again.
    #[schema(required = true, example = "OOMKilled")]
    pub last_exit_reason: Option<String>,
    #[schema(required = true, example = 137)]
    pub last_exit_code: Option<i32>,
}

impl WaitingPod {
    /// Those of a version.
    pub fn all(version: &service::Version) -> Vec<Self> {
        let one = |pod: &service::WaitingPod| {
            let cause = pod.cause.as_deref();
            let last = cause.and_then(|cause| cause.last_exit.as_ref());
            Self {
                version: version.name.to_string(),
                pod: pod.name.to_string(),
                reason: cause.map(|cause| cause.reason.to_string()),
                message: cause.map_or_else(String::new, |cause| cause.message.to_string()),
                last_exit_reason: last.map(|(reason, _)| reason.to_string()),
                last_exit_code: last.map(|(_, code)| *code),
            }
        };
        version.waiting.iter().map(one).collect()
    }
}
