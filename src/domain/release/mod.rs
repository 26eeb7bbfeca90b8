//! Releases: a task that takes a service from one version to another by steps. What is asked for
//! ([`spec`]), its state ([`state`]), its commands ([`command`]), what was measured
//! ([`analysis`]) and what happened ([`timeline`]). The state machine is the module `release`.

pub mod analysis;
pub mod exact;
pub mod freeze;
pub mod spec;

pub mod command;
pub mod pause;
pub mod pods;
pub mod runs;
pub mod stages;
pub mod state;
pub mod timeline;

pub mod templates;
pub mod validate;
pub mod writes;

mod allowed;

use std::fmt;

use serde::{Deserialize, Serialize};

use super::ids::{ServiceRef, VersionName};
use super::refusal::{Code, Refusal};
use super::routing::Weights;
use super::service::Version;

pub use analysis::{
    Analysis, Counts, Direction, Judgement, LATENCY_FLOOR_MS, Limit, Metric, MetricJudgement, Verdict,
};
pub use command::{Command, Word};
pub use pause::{PauseReason, Paused};
pub use pods::PodNumbers;
pub use runs::{Changed, Runs};
pub use spec::{Candidate, OnDrift, OnFailure, Policies, Spec, Step, Strategy};
pub use state::{Phase, Stage, State};
pub use templates::Template;
pub use timeline::{Happened, TimelineEntry, Wording};
pub use writes::{Objects, StepObjects};

/// A release's number, shown as `R-1042`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ReleaseId(pub i64);

impl ReleaseId {
    /// Reads `R-1042`, `r-1042` or `1042`; anything else is no release.
    pub fn parse(text: &str) -> Result<Self, Refusal> {
        let digits = text.strip_prefix("R-").or_else(|| text.strip_prefix("r-")).unwrap_or(text);
        let good = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
        let number = if good { digits.parse().ok() } else { None };
        number.map(Self).ok_or_else(|| {
            let shown: String = text.chars().take(40).collect();
            Refusal::new(Code::ReleaseNotFound).arg("id", shown)
        })
    }
}

impl fmt::Display for ReleaseId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "R-{}", self.0)
    }
}

/// A release as it stands.
#[derive(Clone, Debug, PartialEq)]
pub struct Release {
    pub id: ReleaseId,
    pub spec: Spec,
    pub state: State,
    /// Grows with every stored transition; what `If-Match` names.
    pub seq: u64,
    pub created_ms: i64,
    /// The latest transition.
    pub changed_ms: i64,
    /// When the attempt of now was started; a retry after the end is a new one.
    pub started_ms: Option<i64>,
    /// When it reached a final phase.
    pub ended_ms: Option<i64>,
    /// Who made it.
    pub by: String,
    pub reason: String,
}

impl Release {
    /// The service that it moves.
    pub fn at(&self) -> &ServiceRef {
        &self.spec.service
    }

    /// The version that it brings.
    pub fn candidate(&self) -> &VersionName {
        self.spec.candidate.version()
    }

    /// Percent of requests that the candidate gets: as the release last wrote it, or, at its end, as it was then.
    pub fn share(&self) -> u8 {
        let state = &self.state;
        let candidate = self.candidate();
        if state.phase.is_final() && !state.ended_split.is_empty() {
            return state.ended_split.iter().find(|(name, _)| name == candidate).map_or(0, |(_, n)| *n);
        }
        if self.spec.strategy == Strategy::Replicas { self.share_of_pods() } else { state.aim.percent }
    }

    /// The step that begins when a person ends the wait of now: the one after an approval, a hold or an analysis, else
    /// the one under way. Steps that change nothing are passed over, as the machine does. `None` = none is left.
    pub fn next_step(&self) -> Option<&Step> {
        let (steps, state) = (&self.spec.steps, &self.state);
        let is_wait =
            |step: &Step| matches!(step, Step::Hold { .. } | Step::Analysis { .. } | Step::Approval);
        let from = state.step + usize::from(steps.get(state.step).is_some_and(is_wait));
        let idle = |step: &&Step| match step {
            Step::Weight { percent } => *percent == state.aim.percent,
            Step::Rules { when } => *when == state.aim.when,
            Step::Mirror { percent } => *percent == state.aim.mirror,
            _ => false,
        };
        steps.get(from..)?.iter().find(|step| !idle(step))
    }

    /// Pods of both versions once a step of this kind is done, where requests follow the pods.
    pub fn pods_after(&self, candidate: u32, stable: Option<u32>) -> PodNumbers {
        let state = &self.state;
        let had = state.stable_replicas.unwrap_or(0);
        if self.spec.candidate.is_in_place() {
            return PodNumbers { candidate, stable: had.saturating_sub(candidate) };
        }
        let now = state.pods_now.or(state.pods).map_or(had, |pods| pods.stable);
        PodNumbers { candidate, stable: stable.unwrap_or(now) }
    }

    /// What each version gets by its pods, as these versions of the service have them; `None` where neither is there.
    pub fn split_by_pods(&self, versions: &[Version]) -> Option<Weights> {
        let (stable, candidate) = (&self.spec.stable, self.candidate());
        let of = |name: &VersionName| {
            let version = versions.iter().find(|version| version.name == *name)?;
            let wanted = version.workloads.iter().map(|workload| u64::from(workload.wanted)).sum();
            // One workload is both versions where its pods are replaced.
            Some(if self.spec.candidate.is_in_place() { u64::from(version.total) } else { wanted })
        };
        let (has, had) = (of(candidate), of(stable));
        if has.is_none() && had.is_none() {
            return None;
        }
        let (has, had) = (has.unwrap_or(0), had.unwrap_or(0));
        let share = u8::try_from((has * 100 / (had + has).max(1)).min(100)).unwrap_or(100);
        Some(vec![(stable.clone(), 100 - share), (candidate.clone(), share)])
    }

    /// Without a mesh requests follow the pods: those that were seen last, else those that the steps so far have given
    /// each version.
    pub fn share_of_pods(&self) -> u8 {
        let (spec, state) = (&self.spec, &self.state);
        if let Some(pods) = state.pods_now.or(state.pods) {
            return pods.share();
        }
        let had = state.stable_replicas.unwrap_or(0);
        let (mine, all) = if spec.candidate.is_in_place() {
            (state.updated, had)
        } else {
            let done = spec.steps.iter().take(state.step).rev().find_map(|step| match step {
                Step::Replicas { candidate, stable } => Some((*candidate, stable.unwrap_or(had))),
                _ => None,
            });
            let (candidate, stable) = done.unwrap_or((state.candidate_replicas.unwrap_or(0), had));
            (candidate, candidate.saturating_add(stable))
        };
        let percent = u64::from(mine) * 100 / u64::from(all.max(1));
        u8::try_from(percent.min(100)).unwrap_or(100)
    }
}

/// A half-filled form that can be left and found again. `fields` is whatever the wizard keeps.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Draft {
    pub id: String,
    pub by: String,
    pub created_ms: i64,
    pub changed_ms: i64,
    /// Grows with every save: two tabs on one draft notice each other.
    pub seq: u64,
    pub fields: serde_json::Value,
}

/// A template of one's own.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct OwnTemplate {
    pub name: String,
    pub by: String,
    pub at_ms: i64,
    pub strategy: Strategy,
    pub steps: Vec<Step>,
    pub analysis: Option<Analysis>,
    pub policies: Policies,
}

/// What a person may do with templates.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TemplateRights {
    /// Why none may be added; `None` = may.
    pub add: Option<Refusal>,
    /// True when those of others may be deleted.
    pub delete_all: bool,
}
