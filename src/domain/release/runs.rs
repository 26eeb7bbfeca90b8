//! What a new version's workloads run, as far as a release compares it: a change that was not made here is noticed. Part of
//! the state that is stored with every transition.

use serde::{Deserialize, Serialize};

use crate::domain::refusal::Refusal;
use crate::domain::service::Workload;

/// A workload and its pod template.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Runs {
    /// `Deployment reviews-v2`.
    pub workload: String,
    /// The images of its containers.
    pub images: String,
    /// The fingerprint of the template's `spec`.
    pub template: String,
    /// The field manager that wrote the template last; empty where the cluster does not say.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub by: String,
}

impl PartialEq for Runs {
    /// Who wrote it makes no difference.
    fn eq(&self, other: &Self) -> bool {
        self.workload == other.workload && self.images == other.images && self.template == other.template
    }
}

impl Runs {
    pub fn of(workload: &Workload) -> Self {
        Self {
            workload: format!("{} {}", workload.kind.as_str(), workload.name),
            images: workload.template.images.to_string(),
            template: workload.template.fingerprint.to_string(),
            by: workload.template.manager.to_string(),
        }
    }
}

/// Another state of the new version than the one that the release was started with, which nobody has accepted.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Changed {
    /// Empty = the version is gone.
    pub now: Vec<Runs>,
    /// The same in words.
    pub why: Refusal,
}
