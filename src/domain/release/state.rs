//! The state of a release. All of it is data that is stored with every transition, so that a process that
//! restarts continues exactly here.

use serde::{Deserialize, Serialize};

use super::analysis::Verdict;
use super::pause::{PauseReason, Paused};
use super::pods::PodNumbers;
use super::runs::{Changed, Runs};
use super::spec::Step;
use crate::domain::actor::{Identity, Person};
use crate::domain::ids::Revision;
use crate::domain::refusal::Refusal;
use crate::domain::routing::{Condition, Weights};

/// The large stages of a release's life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    Draft,
    /// Checked and stored, not started.
    Validated,
    /// Waits for a second person.
    PendingApproval,
    /// Waits for its time.
    Scheduled,
    Running,
    /// On its way to 100 % past the steps.
    Promoting,
    /// All traffic is on the candidate; rule and copies are being taken away.
    Finalising,
    Succeeded,
    Paused,
    /// On its way back.
    Aborting,
    RolledBack,
    /// Could not finish by itself; a person must look. `needs` of the state says what for.
    NeedsAttention,
    /// Ended before it began.
    Cancelled,
    /// Another release took its place before it began.
    Superseded,
}

impl Phase {
    pub const ALL: [Self; 14] = [
        Self::Draft,
        Self::Validated,
        Self::PendingApproval,
        Self::Scheduled,
        Self::Running,
        Self::Promoting,
        Self::Finalising,
        Self::Succeeded,
        Self::Paused,
        Self::Aborting,
        Self::RolledBack,
        Self::NeedsAttention,
        Self::Cancelled,
        Self::Superseded,
    ];

    /// The word of the API.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Draft => "draft",
            Self::Validated => "validated",
            Self::PendingApproval => "pending_approval",
            Self::Scheduled => "scheduled",
            Self::Running => "running",
            Self::Promoting => "promoting",
            Self::Finalising => "finalising",
            Self::Succeeded => "succeeded",
            Self::Paused => "paused",
            Self::Aborting => "aborting",
            Self::RolledBack => "rolled_back",
            Self::NeedsAttention => "needs_attention",
            Self::Cancelled => "cancelled",
            Self::Superseded => "superseded",
        }
    }

    /// Reads the word of the API.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|phase| phase.as_str() == word)
    }

    /// True when nothing more happens by itself and the service is free for others.
    pub fn is_final(self) -> bool {
        matches!(
            self,
            Self::Succeeded | Self::RolledBack | Self::NeedsAttention | Self::Cancelled | Self::Superseded
        )
    }

    /// True while the release alone moves the service's traffic.
    pub fn owns_service(self) -> bool {
        matches!(self, Self::Running | Self::Promoting | Self::Finalising | Self::Paused | Self::Aborting)
    }

    /// True before anything was touched.
    pub fn is_before(self) -> bool {
        matches!(self, Self::Draft | Self::Validated | Self::PendingApproval | Self::Scheduled)
    }
}

/// Where within a step (or a way back) the release is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stage {
    /// Looking whether the step may be done: pods ready, no edit from outside.
    Preflight,
    /// An action is stored and is being carried out.
    Applying,
    /// Applied; waiting until it is true in the cluster.
    Converging,
    /// Holding, and measuring where there is something to measure.
    Soaking,
    /// Waiting for a person or a verdict.
    Gate,
}

/// Where traffic shall be: the whole of it, absolute.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Aim {
    /// Of the requests that no rule catches, for the candidate; the rest is the stable version's.
    pub percent: u8,
    /// Requests that go to the candidate before that; empty = no rule.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub when: Vec<Vec<Condition>>,
    /// Copies to the candidate, percent; 0 = none.
    #[serde(default)]
    pub mirror: u8,
}

impl Aim {
    /// What a release declares before its first step: the share that the candidate has already, percent; `None` = none
    /// is declared.
    pub fn begin(percent: Option<u8>) -> Self {
        Self { percent: percent.unwrap_or(0).min(100), ..Self::default() }
    }

    /// What a step makes of it; `None` = the step moves no traffic.
    pub fn after(&self, step: &Step) -> Option<Self> {
        match step {
            Step::Weight { percent } => Some(Self { percent: (*percent).min(100), ..self.clone() }),
            Step::Rules { when } => Some(Self { when: when.clone(), ..self.clone() }),
            Step::Mirror { percent } => Some(Self { mirror: (*percent).min(100), ..self.clone() }),
            Step::Replicas { .. } | Step::Hold { .. } | Step::Approval | Step::Analysis { .. } => None,
        }
    }

    /// True when the candidate answers or hears any request.
    pub fn touches_candidate(&self) -> bool {
        self.percent > 0 || !self.when.is_empty() || self.mirror > 0
    }

    /// True when `self` gives the candidate something that `other` does not.
    pub fn raises(&self, other: &Self) -> bool {
        self.percent > other.percent
            || self.mirror > other.mirror
            || (!self.when.is_empty() && self.when != other.when)
    }
}

/// Something to be done to the cluster. Absolute, so that doing it twice does what doing it once does.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Action {
    /// Unique within the release; never used twice.
    pub id: u64,
    pub kind: ActionKind,
}

/// What is to be done.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "do", rename_all = "snake_case")]
pub enum ActionKind {
    /// Make the candidate's workload out of the stable one's, if it is not there.
    Deploy {
        replicas: Option<u32>,
    },
    /// Pods of a version.
    Scale {
        side: Side,
        replicas: u32,
    },
    /// So many of the StatefulSet's pods run the candidate's image (`partition`).
    Batch {
        updated: u32,
        number: u32,
    },
    Traffic {
        aim: Aim,
    },
    /// Switch back to a revision of the service.
    SwitchBack {
        revision: Revision,
    },
    /// Split, rules and mirror as they were before the release began.
    Restore,
    /// Delete the pods of the StatefulSet that block its way back: not ready at the revision that was taken back.
    Heal,
    /// The StatefulSet's `partition` as it was before the release began.
    Settle,
    /// Ask the source of figures.
    Measure,
    /// Take the version's rules, subset and workload away.
    Remove {
        side: Side,
    },
}

/// One of the two versions of a release.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Side {
    Stable,
    Candidate,
}

/// Everything that a release remembers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own about what was written")]
pub struct State {
    pub phase: Phase,
    /// The step under way (from 0); the number of steps when all are done.
    pub step: usize,
    pub stage: Stage,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub paused: Option<Paused>,
    /// When the timer of the step ends (hold, schedule), milliseconds since 1970.
    pub due_ms: Option<i64>,
    /// When waiting ends and the policy acts, milliseconds since 1970.
    pub deadline_ms: Option<i64>,
    /// When the next look is taken.
    pub measure_ms: Option<i64>,
    /// Stored, not answered.
    #[serde(default)]
    pub pending: Vec<Action>,
    /// The number of the next action.
    pub next_action: u64,
    /// What traffic the release last wrote.
    pub aim: Aim,
    /// The workload whose pods are replaced in place (`kind/name`), found when it began. The driver's note.
    #[serde(default)]
    pub workload: Option<String>,
    /// Pods of the stable version when it began.
    pub stable_replicas: Option<u32>,
    /// The same of the candidate.
    #[serde(default)]
    pub candidate_replicas: Option<u32>,
    /// When that was written, milliseconds since 1970: samples of this share are younger.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub aim_ms: Option<i64>,
    /// True once the release's first aim is what the routing says.
    #[serde(default)]
    pub declared: bool,
    /// Requests were spread by pods when it began.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub by_pods: bool,
    /// The aim shall be written once more.
    #[serde(default)]
    pub reassert: bool,
    /// The row of the latest outside edit that was dealt with.
    #[serde(default)]
    pub seen_entry: i64,
    /// True once it scaled the stable version down.
    #[serde(default)]
    pub stable_lowered: bool,
    /// True once the candidate's workload is there.
    #[serde(default)]
    pub deployed: bool,
    /// Pods of the StatefulSet that run the candidate's image.
    #[serde(default)]
    pub updated: u32,
    /// Passes and failures in a row.
    #[serde(default)]
    pub passes: u32,
    #[serde(default)]
    pub failures: u32,
    #[serde(default)]
    pub latest: Option<Verdict>,
    /// True from a look that failed until one passes: a new step, an undecided look or a resumption is no pass.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub failing: bool,
    /// What failed then: `success_rate`, `p95`, the name of a query.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub failed: Vec<String>,
    /// When that was, milliseconds since 1970: an old pass is none.
    #[serde(default)]
    pub latest_ms: Option<i64>,
    /// What an aborting release goes back to; `None` = all to the stable version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub back_to: Option<Revision>,
    /// Whom it waits for, or what is wrong, when it needs attention.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub needs: Option<Refusal>,
    /// When what was written outside was written over, milliseconds since 1970 (at most the last two).
    #[serde(default)]
    pub reasserted_ms: Vec<i64>,
    /// Who started it.
    #[serde(default)]
    pub started_by: Option<String>,
    /// The same, as an identity that can be compared.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub starter: Option<Person>,
    /// Who changed the steps last: another person has to approve them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub changer: Option<Person>,
    /// True while the steps are others than those that were approved (with `second_person` only).
    #[serde(default)]
    pub unapproved: bool,
    /// Who gave the latest command that writes: in whose name, and by whose rights, it goes on. `None` = who made it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub acting: Option<Box<Identity>>,
    /// Which versions were taken away at the end.
    #[serde(default)]
    pub removed: Vec<Side>,
    /// A removal that is under way after the end.
    #[serde(default)]
    pub removing: Option<Side>,
    /// True when it was done and goes back (or went back) to what was before it began.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub switch_back: bool,
    /// True once the way back has scaled the stable version: a second time would fight another client's number.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub scaled_back: bool,
    /// True once the way back has taken the StatefulSet's template back: its pods are waited for.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub reverting: bool,
    /// What the routing (without a mesh: the pods) gave each version when it ended: the record, whatever comes later.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ended_split: Weights,
    /// True when nothing was declared then although the release moves weights: pods spread the requests, and the split
    /// is about what they get.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub ended_by_pods: bool,
    /// Without a mesh: the pods of each version as the latest step left them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pods: Option<PodNumbers>,
    /// What the new version's workloads ran when it was deployed or adopted, or as it was accepted since; empty = not
    /// known yet.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub runs: Vec<Runs>,
    /// Something else was seen since, and nobody has accepted it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub changed: Option<Box<Changed>>,
    /// Other numbers that were seen since: scaled from outside.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pods_now: Option<PodNumbers>,
    /// It was reported in this step that the new version is ready: the old one gives its pods up after that.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub said_ready: bool,
    /// Actions that were tried in vain in a row.
    #[serde(default)]
    pub tries: u32,
    /// Until then a person has let it on in spite of a freeze window, milliseconds since 1970.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unfrozen_ms: Option<i64>,
    /// Nothing is tried again before this time, milliseconds since 1970.
    #[serde(default)]
    pub not_before_ms: Option<i64>,
}

impl State {
    /// A release that was not started.
    pub fn new() -> Self {
        Self {
            phase: Phase::Validated,
            step: 0,
            stage: Stage::Preflight,
            paused: None,
            due_ms: None,
            deadline_ms: None,
            measure_ms: None,
            pending: Vec::new(),
            next_action: 1,
            aim: Aim::default(),
            workload: None,
            stable_replicas: None,
            candidate_replicas: None,
            aim_ms: None,
            declared: false,
            by_pods: false,
            reassert: false,
            seen_entry: 0,
            stable_lowered: false,
            deployed: false,
            updated: 0,
            passes: 0,
            failures: 0,
            latest: None,
            failing: false,
            failed: Vec::new(),
            latest_ms: None,
            back_to: None,
            needs: None,
            reasserted_ms: Vec::new(),
            started_by: None,
            starter: None,
            changer: None,
            unapproved: false,
            acting: None,
            removed: Vec::new(),
            removing: None,
            switch_back: false,
            scaled_back: false,
            reverting: false,
            ended_split: Weights::new(),
            ended_by_pods: false,
            pods: None,
            runs: Vec::new(),
            changed: None,
            pods_now: None,
            said_ready: false,
            tries: 0,
            unfrozen_ms: None,
            not_before_ms: None,
        }
    }

    /// Who started it. A release of an earlier version has kept the name only.
    pub fn started_as(&self) -> Option<Person> {
        self.starter.clone().or_else(|| self.started_by.as_deref().map(Person::from))
    }

    /// Why it is paused, if it is.
    pub fn pause_reason(&self) -> Option<PauseReason> {
        self.paused.as_ref().map(|paused| paused.reason)
    }

    /// True when it waits for a person's approval.
    pub fn awaits_approval(&self) -> bool {
        self.phase == Phase::PendingApproval
            || (self.phase == Phase::Paused && self.unapproved)
            || self.pause_reason() == Some(PauseReason::Gate)
    }

    /// True when an approval is all that it waits for: trouble is named first.
    pub fn is_waiting(&self) -> bool {
        let trouble = self.pause_reason().is_some_and(PauseReason::is_trouble);
        self.phase == Phase::Paused && self.awaits_approval() && !trouble
    }
}

impl Default for State {
    fn default() -> Self {
        Self::new()
    }
}
