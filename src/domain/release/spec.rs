//! The specification of a release: versions, strategy, steps, analysis, and the policies for failures.
//! The JSON shape is the one of the REST API and of the store. Unknown fields are left out here: the API refuses
//! them by [`super::exact`], the store keeps them for the version that wrote them.

use serde::{Deserialize, Serialize};

use super::analysis::Analysis;
use crate::domain::ids::{ServiceRef, VersionName};
use crate::domain::routing::Condition;

/// The whole wish.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Spec {
    pub service: ServiceRef,
    pub strategy: Strategy,
    /// The version that has the traffic now, and that an abort goes back to.
    pub stable: VersionName,
    pub candidate: Candidate,
    pub steps: Vec<Step>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub analysis: Option<Analysis>,
    #[serde(default)]
    pub policies: Policies,
    /// A title in the person's words, shown where the release is; empty = none.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub name: String,
}

/// What people call the list of steps. Decides which kinds of step fit, and nothing else: the machine is one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Strategy {
    /// Weights rise step by step.
    Canary,
    /// No mesh: pods rise step by step. For a StatefulSet: batches by partition.
    Replicas,
    /// Ready at 0 %, then all at once.
    BlueGreen,
    /// Copies first, then a decision.
    Mirror,
    /// Chosen requests first, then everybody.
    AbTest,
}

impl Strategy {
    pub const ALL: [Self; 5] = [Self::Canary, Self::Replicas, Self::BlueGreen, Self::Mirror, Self::AbTest];

    /// The word of the API.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Canary => "canary",
            Self::Replicas => "replicas",
            Self::BlueGreen => "blue_green",
            Self::Mirror => "mirror",
            Self::AbTest => "ab_test",
        }
    }

    /// Reads the word of the API.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|strategy| strategy.as_str() == word)
    }
}

/// The version that is being brought.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "from", rename_all = "snake_case")]
pub enum Candidate {
    /// Made from the stable version's workload: another image, another version name.
    Image {
        version: VersionName,
        image: String,
        /// How many pods; `None` = as many as the stable version has.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        replicas: Option<u32>,
        /// The workload's own pods are replaced, from the last ordinal down (StatefulSet with `partition`).
        /// Only with the strategy `replicas`.
        #[serde(default)]
        in_place: bool,
    },
    /// Deployed already.
    Adopt { version: VersionName },
}

impl Candidate {
    /// The version's name.
    pub fn version(&self) -> &VersionName {
        match self {
            Self::Image { version, .. } | Self::Adopt { version } => version,
        }
    }

    /// True when the release makes the workload.
    pub fn is_made(&self) -> bool {
        matches!(self, Self::Image { in_place: false, .. })
    }

    /// True when the stable workload's own pods are replaced batch by batch.
    pub fn is_in_place(&self) -> bool {
        matches!(self, Self::Image { in_place: true, .. })
    }
}

/// One step. Each says where things shall be, never by how much they change: safe to repeat.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Step {
    /// The candidate gets this share of the requests, the stable version the rest.
    Weight { percent: u8 },
    /// Pods of the candidate (in place: pods that run the new image), and, where given, of the stable version.
    Replicas {
        candidate: u32,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        stable: Option<u32>,
    },
    /// Requests that match go to the candidate, whatever the weights. An empty list takes the rule away.
    Rules { when: Vec<Vec<Condition>> },
    /// This share of the requests is copied to the candidate; 0 = no copies any more.
    Mirror { percent: u8 },
    /// Waits. With an analysis, goes on only when its latest verdict is a pass.
    Hold { seconds: u64 },
    /// Waits for a person.
    Approval,
    /// Waits until the analysis has passed this many times in a row.
    Analysis { passes: u32 },
}

impl Step {
    /// The word of the API.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Weight { .. } => "weight",
            Self::Replicas { .. } => "replicas",
            Self::Rules { .. } => "rules",
            Self::Mirror { .. } => "mirror",
            Self::Hold { .. } => "hold",
            Self::Approval => "approval",
            Self::Analysis { .. } => "analysis",
        }
    }
}

/// What happens when something is not as it should be; chosen at the start.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Policies {
    /// When the analysis has failed `failures` times in a row.
    pub on_failure: OnFailure,
    /// When a step does not become true in time (pods that never get ready, a verdict that never comes).
    pub on_deadline: OnFailure,
    pub on_drift: OnDrift,
    /// How long a step may take besides what it holds for, seconds (30..=86,400).
    pub step_deadline_s: u32,
    /// Delete the candidate's workload (and subset) after an abort, if the release made it.
    pub delete_after_abort: bool,
    /// Pods of the stable version after success; `None` = as they are.
    pub stable_after: Option<u32>,
    /// Begins at this time, milliseconds since 1970; `None` = when it is started.
    pub start_at_ms: Option<i64>,
    /// Codes of checks that are accepted for every write of this release (`gitops`, `host_shared` …).
    pub accept: Vec<String>,
    /// Another person than the one who started it must approve the start.
    pub second_person: bool,
    /// Times in which it takes no step forward, as [`super::freeze`] reads them. A person may let it on.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub freeze: Vec<String>,
}

impl Default for Policies {
    fn default() -> Self {
        Self {
            on_failure: OnFailure::Abort,
            on_deadline: OnFailure::Pause,
            on_drift: OnDrift::Pause,
            step_deadline_s: 600,
            delete_after_abort: false,
            stable_after: None,
            start_at_ms: None,
            accept: Vec::new(),
            second_person: false,
            freeze: Vec::new(),
        }
    }
}

/// What a failure leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnFailure {
    Pause,
    Abort,
}

/// What an outside edit leads to. An object that GitOps owns is never fought over: it pauses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnDrift {
    Pause,
    /// Written again as the release wants it, at most twice in ten minutes, then paused.
    Reassert,
    /// What was written outside counts as this release's own.
    Adopt,
}
