//! The audit log: the content of one row.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::actor::Channel;
use super::ids::{Namespace, ObjectRef, Revision, RouteId, ServiceRef, VersionName};
use super::plan::Edit;
use super::refusal::{Check, Refusal};
use super::release::{Happened, Phase, Release, ReleaseId, Step, Wording};
use super::routing::Weights;
use super::rule_changes::{MirrorChange, RuleChanges};

/// What was attempted or seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    SetTraffic,
    TakeOver,
    SwitchBack,
    /// A change of the routing objects that was not made here.
    OutsideEdit,
    /// A reason that was added to an earlier entry.
    AddReason,
    /// A transition of a release.
    Release,
    /// A workload was made, scaled, changed or deleted for a release.
    Workload,
    SignIn,
    SignOut,
    /// A session was ended in another way than by signing out.
    RevokeSession,
    /// A call with a bearer token that was not accepted.
    Authenticate,
}

impl Action {
    pub const ALL: [Self; 11] = [
        Self::SetTraffic,
        Self::TakeOver,
        Self::SwitchBack,
        Self::OutsideEdit,
        Self::AddReason,
        Self::Release,
        Self::Workload,
        Self::SignIn,
        Self::SignOut,
        Self::RevokeSession,
        Self::Authenticate,
    ];

    /// The word of the API and of filters.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::SetTraffic => "set_traffic",
            Self::TakeOver => "take_over",
            Self::SwitchBack => "switch_back",
            Self::OutsideEdit => "outside_edit",
            Self::AddReason => "add_reason",
            Self::Release => "release",
            Self::Workload => "workload",
            Self::SignIn => "sign_in",
            Self::SignOut => "sign_out",
            Self::RevokeSession => "revoke_session",
            Self::Authenticate => "authenticate",
        }
    }

    /// Reads the word of the API.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|action| action.as_str() == word)
    }
}

/// How it ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ending {
    /// Written to the cluster (or, for sign-in and reasons, done).
    Applied,
    /// Not allowed by a rule; nothing was written.
    Refused,
    /// Something broke; nothing of it remains in the cluster.
    Failed,
    /// Something broke and a part of it remains in the cluster.
    Partial,
    /// The cluster did not say whether it took the change, and could not be asked.
    Unknown,
    /// Seen in the cluster, not made here.
    Outside,
}

impl Ending {
    pub const ALL: [Self; 6] =
        [Self::Applied, Self::Refused, Self::Failed, Self::Partial, Self::Unknown, Self::Outside];

    /// The word of the API and of filters.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Applied => "applied",
            Self::Refused => "refused",
            Self::Failed => "failed",
            Self::Partial => "partial",
            Self::Unknown => "unknown",
            Self::Outside => "outside",
        }
    }

    /// Reads the word of the API.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|ending| ending.as_str() == word)
    }
}

/// What is known before the cluster is touched: who wants what, and why. Written first.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Intent {
    /// One id for intent and outcome (`UUIDv7`); also annotated on the objects that are written.
    pub change: String,
    pub at_ms: i64,
    /// `None` for sign-in and sign-out.
    pub service: Option<ServiceRef>,
    pub actor: String,
    pub groups: Vec<String>,
    pub channel: Channel,
    pub address: Option<String>,
    pub action: Action,
    pub reason: String,
    pub request_id: String,
    pub details: Details,
}

/// How an intent ended. Written last, exactly once.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Outcome {
    pub at_ms: i64,
    pub ending: Ending,
    /// The service's revision that the change made; `None` when nothing changed.
    pub revision: Option<Revision>,
    pub details: Details,
}

/// What is kept with a row besides its columns. All of it is foreign text as far as pages are concerned.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Details {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub route: Option<RouteId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub before: Option<Weights>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub after: Option<Weights>,
    /// What it does to match rules, where it changes them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rules: Option<Box<RuleChanges>>,
    /// What it does to the mirror, where it changes it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mirror: Option<Box<MirrorChange>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub edits: Vec<EditRecord>,
    /// The specs of all routing objects of the service after the change: what switch back restores.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub specs: Vec<(ObjectRef, Value)>,
    /// The same before the change, kept where no earlier row holds it. `Some` of nothing = there were none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub specs_before: Option<Vec<(ObjectRef, Value)>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub checks: Vec<Check>,
    /// When every object had passed its dry run, milliseconds since 1970.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub accepted_ms: Option<i64>,
    /// When the last object was stored, milliseconds since 1970.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub written_ms: Option<i64>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub acknowledged: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub refusal: Option<Refusal>,
    /// The cluster's own words, when it refused or failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// Field managers of an outside edit.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub managers: Vec<String>,
    /// The revision that a switch back restores.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub to_revision: Option<Revision>,
    /// The entry that a later reason belongs to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub about: Option<i64>,
    /// The browser session that began or ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub session: Option<SessionRecord>,
    /// How often it happened within the minute that this row stands for; `None` = once.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub times: Option<u64>,
    /// The release that it belongs to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub release: Option<Box<ReleaseMark>>,
    /// The version that leaves the routing, before its workloads are deleted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retired: Option<VersionName>,
    /// Workloads that are made, changed or deleted for a release.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub workloads: Vec<WorkloadRecord>,
}

/// A browser session, as lists name it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionRecord {
    pub id: String,
    /// Whose it is.
    pub user: String,
}

/// What the history keeps of a release with each of its rows: enough to say it in words by itself, whatever
/// becomes of the release.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ReleaseMark {
    pub id: ReleaseId,
    pub from: Phase,
    pub to: Phase,
    /// The step under way, counted from 0.
    pub step: usize,
    pub happened: Vec<Happened>,
    pub stable: VersionName,
    pub candidate: VersionName,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub in_place: bool,
    /// Which way it goes back, or went; `None` = it does not, or an earlier version recorded it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub way_back: Option<WayBack>,
    /// The steps that `happened` speaks of.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub steps: BTreeMap<usize, Step>,
    /// The numbers that people know them by, where that is not the place in the list.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub numbers: BTreeMap<usize, usize>,
}

impl ReleaseMark {
    /// The mark of something that happened to a release; `from` is the phase before it.
    pub fn of(release: &Release, from: Phase, happened: Vec<Happened>) -> Self {
        let spec = &release.spec;
        let spoken = |one: &Happened| match one {
            Happened::StepBegan { step } | Happened::StepDone { step } => Some(*step),
            Happened::StepsChanged { from, .. } => Some(*from),
            _ => None,
        };
        let spoken: Vec<usize> = happened.iter().filter_map(spoken).collect();
        let numbers = spoken.iter().map(|at| (*at, spec.number_of(*at))).collect();
        let steps = spoken.into_iter().filter_map(|at| Some((at, spec.steps.get(at)?.clone()))).collect();
        Self {
            id: release.id,
            from,
            to: release.state.phase,
            step: release.state.step,
            happened,
            stable: spec.stable.clone(),
            candidate: spec.candidate.version().clone(),
            in_place: spec.candidate.is_in_place(),
            way_back: WayBack::of(release),
            steps,
            numbers,
        }
    }
}

/// What a person, or the release by itself, did to go back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WayBack {
    Abort,
    Rollback,
    SwitchBack,
}

impl WayBack {
    fn of(release: &Release) -> Option<Self> {
        let state = &release.state;
        match state.phase {
            Phase::Aborting | Phase::RolledBack if state.switch_back => Some(Self::SwitchBack),
            Phase::Aborting | Phase::RolledBack if state.back_to.is_some() => Some(Self::Rollback),
            Phase::Aborting | Phase::RolledBack => Some(Self::Abort),
            _ => None,
        }
    }

    /// The word of the texts.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Abort => "abort",
            Self::Rollback => "rollback",
            Self::SwitchBack => "switch_back",
        }
    }
}

impl Wording for ReleaseMark {
    fn stable(&self) -> &VersionName {
        &self.stable
    }

    fn candidate(&self) -> &VersionName {
        &self.candidate
    }

    fn in_place(&self) -> bool {
        self.in_place
    }

    fn step_at(&self, at: usize) -> Option<&Step> {
        self.steps.get(&at)
    }

    fn number_of(&self, at: usize) -> usize {
        self.numbers.get(&at).copied().unwrap_or(at + 1)
    }
}

/// One workload before and after.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct WorkloadRecord {
    /// `Deployment`, `StatefulSet` or `Pod`.
    pub kind: String,
    pub namespace: Namespace,
    pub name: String,
    /// What is to be done: `create`, `scale`, `batch`, `label` or `delete`.
    pub act: String,
    /// The part of the object that changes, before; `None` = created.
    pub before: Option<Value>,
    /// The same after; `None` = deleted.
    pub after: Option<Value>,
    pub written: Written,
}

/// One object before and after.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct EditRecord {
    pub object: ObjectRef,
    /// `spec` before; `None` = created.
    pub before: Option<Value>,
    /// `spec` after; `None` = deleted (seen from outside).
    pub after: Option<Value>,
    pub resource_version_before: Option<String>,
    pub resource_version_after: Option<String>,
    pub written: Written,
}

impl EditRecord {
    /// The record of an edit that is not written yet.
    pub fn planned(edit: &Edit) -> Self {
        Self {
            object: edit.object.clone(),
            before: edit.before.as_ref().and_then(|before| before.get("spec").cloned()),
            after: edit.after.as_ref().and_then(|after| after.get("spec").cloned()),
            resource_version_before: edit.resource_version().map(Into::into),
            resource_version_after: None,
            written: Written::No,
        }
    }

    /// True when whoever reads may not read the object: neither side is there.
    pub fn is_hidden(&self) -> bool {
        self.before.is_none() && self.after.is_none()
    }
}

impl WorkloadRecord {
    /// True when whoever reads may not read the object: neither side is there.
    pub fn is_hidden(&self) -> bool {
        self.before.is_none() && self.after.is_none()
    }
}

/// What became of one object of a change.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Written {
    /// Planned, or not reached.
    #[default]
    No,
    Yes,
    /// Written and put back after a later part failed.
    Undone,
    /// The answer was lost and the object could not be read again.
    Unknown,
}

impl Written {
    /// The word of the API.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::No => "no",
            Self::Yes => "yes",
            Self::Undone => "undone",
            Self::Unknown => "unknown",
        }
    }
}

/// One entry of the history as it is shown: an outcome with its intent.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    /// The row's number; grows with time.
    pub id: i64,
    pub intent: Intent,
    /// `None` while the change is under way, or was cut off and not yet cleared up.
    pub outcome: Option<Outcome>,
}

/// Which entries are meant; what is `None` does not restrict.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    pub service: Option<ServiceRef>,
    pub actor: Option<String>,
    pub action: Option<Action>,
    pub ending: Option<Ending>,
    /// Milliseconds since 1970, inclusive.
    pub from_ms: Option<i64>,
    /// Milliseconds since 1970, exclusive.
    pub to_ms: Option<i64>,
    /// Words in service, actor, reason, request id, change id or revision.
    pub text: Option<String>,
    /// Leaves out what releases record by themselves while they run as planned ([`Entry::is_routine`]).
    pub changes_only: bool,
    /// Entries of these namespaces only (and entries without a service, of the person itself);
    /// `None` = all.
    pub namespaces: Option<Vec<Namespace>>,
    /// With `namespaces`: the person whose own entries without a service are shown too.
    pub own: Option<String>,
}
