//! What the use cases answer: one service, a page of them, a preview, an applied change, a conflict.
//! `services` fills these, `views` and `web/api` show them.

use std::sync::Arc;

use serde_json::Value;

use super::actor::Channel;
use super::audit::{Action, Ending, Entry, WorkloadRecord};
use super::ids::{Namespace, ObjectRef, Revision, ServiceRef, VersionName};
use super::observed::{Hits, Observed};
use super::plan::{Effect, Planned};
use super::progress::Progress;
use super::refusal::{Check, Code, Finding, Refusal, Severity};
use super::release::{Judgement, PauseReason, Phase, Release, ReleaseId, Strategy};
use super::routing::{Route, Routing, Weights};
use super::snapshot::Snapshot;
use super::version_slots::VersionSlots;

/// The state of a service, worst first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum State {
    /// Requests fail or would fail: a route names a missing subset, weight on a version without pods,
    /// two objects claim the host.
    Broken,
    /// The last change from here failed, or its fate is unknown.
    LastFailed,
    /// A version that has traffic answers too much of it with errors.
    Failing,
    /// Observed shares are outside the interval of the declared ones.
    Drift,
    /// A fault, redirect or direct response of its route, or the lack of one, answers requests before any version
    /// sees them.
    Answered,
    /// The routing objects were changed from outside since the last change from here.
    ChangedOutside,
    /// Traffic cannot be shifted (the finding says why).
    NotRoutable,
    /// No routing object: requests are spread by pods.
    SpreadByPods,
    Steady,
}

impl State {
    pub const ALL: [Self; 9] = [
        Self::Broken,
        Self::LastFailed,
        Self::Failing,
        Self::Drift,
        Self::Answered,
        Self::ChangedOutside,
        Self::NotRoutable,
        Self::SpreadByPods,
        Self::Steady,
    ];

    /// The word of the API: `broken`, `last_failed`, `failing`, `drift`, `answered`, `changed_outside`, `not_routable`,
    /// `spread_by_pods`, `steady`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Broken => "broken",
            Self::LastFailed => "last_failed",
            Self::Failing => "failing",
            Self::Drift => "drift",
            Self::Answered => "answered",
            Self::ChangedOutside => "changed_outside",
            Self::NotRoutable => "not_routable",
            Self::SpreadByPods => "spread_by_pods",
            Self::Steady => "steady",
        }
    }

    /// True for states that a person should look at.
    pub fn needs_attention(self) -> bool {
        self <= Self::ChangedOutside
    }
}

/// How urgently a service needs a person, most urgent first: its state, and a release that waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Gravity {
    Broken,
    LastFailed,
    /// Its release stopped by itself, and waits for a person.
    ReleaseInTrouble,
    Failing,
    Drift,
    Answered,
    ChangedOutside,
    /// Its release waits for a person.
    ReleaseWaits,
    NotRoutable,
    SpreadByPods,
    Steady,
}

impl Gravity {
    pub const ALL: [Self; 11] = [
        Self::Broken,
        Self::LastFailed,
        Self::ReleaseInTrouble,
        Self::Failing,
        Self::Drift,
        Self::Answered,
        Self::ChangedOutside,
        Self::ReleaseWaits,
        Self::NotRoutable,
        Self::SpreadByPods,
        Self::Steady,
    ];

    /// Of a state; `waits` = a release of the service waits for a person, because of trouble (`true`) or as planned.
    pub fn of(state: State, waits: Option<bool>) -> Self {
        let own = match state {
            State::Broken => Self::Broken,
            State::LastFailed => Self::LastFailed,
            State::Failing => Self::Failing,
            State::Drift => Self::Drift,
            State::Answered => Self::Answered,
            State::ChangedOutside => Self::ChangedOutside,
            State::NotRoutable => Self::NotRoutable,
            State::SpreadByPods => Self::SpreadByPods,
            State::Steady => Self::Steady,
        };
        match waits {
            Some(true) => own.min(Self::ReleaseInTrouble),
            Some(false) => own.min(Self::ReleaseWaits),
            None => own,
        }
    }

    /// True for what a person should look at.
    pub fn needs_attention(self) -> bool {
        self <= Self::ReleaseWaits
    }
}

/// The latest applied, failed or outside change of a service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LastChange {
    pub at_ms: i64,
    pub by: String,
    pub channel: Channel,
    pub action: Action,
    pub ending: Ending,
    pub entry: i64,
}

/// Everything that is known of one service now.
#[derive(Clone, Debug)]
pub struct Overview {
    pub snapshot: Arc<Snapshot>,
    pub routing: Arc<Routing>,
    pub state: State,
    /// Why the state is what it is comes first; then everything else that was found.
    pub findings: Vec<Finding>,
    pub observed: Option<Observed>,
    pub revision: Revision,
    pub last: Option<LastChange>,
    /// How far the change has come that made this revision; `None` = it was not made here.
    pub progress: Option<Progress>,
    /// The release that moves its traffic now.
    pub release: Option<Moving>,
    /// Which colour each version has, those that are gone among them.
    pub slots: VersionSlots,
}

/// A release that moves a service's traffic, in few words.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Moving {
    pub id: ReleaseId,
    pub phase: Phase,
    pub strategy: Strategy,
    /// What the new version gets of all requests, percent.
    pub percent: u8,
    /// It paused itself, and a person should look.
    pub trouble: bool,
    /// It waits for an approval.
    pub waits: bool,
}

impl Moving {
    pub fn of(release: &Release) -> Self {
        let state = &release.state;
        Self {
            id: release.id,
            phase: state.phase,
            strategy: release.spec.strategy,
            percent: release.share(),
            trouble: state.phase == Phase::Paused
                && state.pause_reason().is_some_and(PauseReason::is_trouble),
            waits: state.is_waiting(),
        }
    }
}

impl Overview {
    /// The service that is described.
    pub fn at(&self) -> &ServiceRef {
        &self.snapshot.service.at
    }

    /// What makes every change of this service impossible; a weight on a version without pods, say, does
    /// not: moving it away is what the change is for.
    pub fn barrier(&self) -> Option<&Finding> {
        barriers(&self.findings).next()
    }

    /// True when nothing declares weights: requests follow the pods.
    pub fn is_by_pods(&self) -> bool {
        self.findings.iter().any(|finding| finding.code == Code::SpreadByPods)
    }
}

/// Those among the findings that make every change of the service impossible.
pub fn barriers(findings: &[Finding]) -> impl Iterator<Item = &Finding> {
    let bars = |finding: &&Finding| finding.severity == Severity::Block && BARRIERS.contains(&finding.code);
    findings.iter().filter(bars)
}

/// Findings that every plan answers with a refusal.
const BARRIERS: [Code; 10] = [
    Code::NoIstio,
    Code::Headless,
    Code::ExternalName,
    Code::ServiceNotExported,
    Code::DelegateMissing,
    Code::DelegateInvalid,
    Code::HostConflict,
    Code::OwnedByController,
    Code::Malformed,
    Code::Deleting,
];

/// What the person who asks may do with one service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rights {
    /// `None` = may change traffic; else why not.
    pub change: Option<Refusal>,
}

/// One service with what its page needs besides.
#[derive(Clone, Debug)]
pub struct Detail {
    pub overview: Overview,
    pub rights: Rights,
    /// Where "switch back" leads; `None` when there is nothing to go back to.
    pub back: Option<Back>,
    /// The release that was done by pods alone: no revision holds what was before it, the release itself leads back.
    pub undo: Option<Box<Release>>,
    /// What was declared before the first change from here (empty = requests were spread by pods), where revision 0
    /// can be restored and is not the present one.
    pub origin: Option<Weights>,
    /// Revisions of `history`, and 0, whose restoring would change nothing.
    pub unchanged: Vec<Revision>,
    /// The version that had the traffic before this course of changes began; `None` = the one with the largest share.
    pub stable: Option<VersionName>,
    /// The release that moves the service now, else the one that went back and left it as it is.
    pub release: Option<Box<ReleaseStory>>,
    /// Of each version whether it can be retired.
    pub retire: Vec<Retirement>,
    /// Routing objects that the person may not get.
    pub unread: Vec<ObjectRef>,
    /// The newest entries of this service, newest first, at most 10.
    pub history: Vec<Entry>,
    /// How often each rule was taken; `None` where the source of figures cannot tell.
    pub hits: Option<Hits>,
    /// What is wrong with our own sources (metrics down, cluster down …).
    pub notices: Vec<Check>,
}

/// The latest state before the present one that a person would go back to: none that a failed release wrote, no
/// step of a release that went on, and none that is like the present one.
#[derive(Clone, Debug, PartialEq)]
pub struct Back {
    pub revision: Revision,
    /// What restoring it would do now.
    pub effect: Effect,
}

/// Whether a version can be retired by the person who asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Retirement {
    pub version: VersionName,
    /// For how many seconds at least it has had no requests (`None` = there are no figures); else why it stays.
    pub state: Result<Option<u32>, Refusal>,
    /// What has to be accepted before.
    pub open: Vec<Check>,
}

/// A release as its service's page tells of it.
#[derive(Clone, Debug, PartialEq)]
pub struct ReleaseStory {
    pub release: Release,
    /// The latest measurement, where something is measured.
    pub judgement: Option<Judgement>,
}

/// Which services are meant.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct ListAsk {
    pub namespace: Option<Namespace>,
    /// Part of a name, namespace, image or version.
    pub text: String,
    pub show: Show,
    pub sort: Sort,
    /// Metrics window in seconds: 60, 300 or 3600; 0 = 60.
    pub window_s: u32,
    /// 1..=500; 0 = 100.
    pub limit: usize,
    /// Opaque, from [`ListPage::next`].
    pub cursor: Option<String>,
}

/// Which states are shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Show {
    #[default]
    All,
    /// Services whose traffic a release moves.
    Releasing,
    Attention,
    NotRoutable,
}

/// The order of the list.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Sort {
    /// Worst state first, then namespace and name.
    #[default]
    Worst,
    /// Namespace, then name.
    Name,
}

/// One page of services.
#[derive(Clone, Debug, Default)]
pub struct ListPage {
    /// Names exactly this content: what was made of one page with a number may be shown for the other page
    /// with that number. 0 = no number was given.
    pub number: u64,
    pub items: Vec<Overview>,
    /// Services that match, on all pages.
    pub total: usize,
    /// Services that the person may see (before `show` and `text`), by what `show` would pick.
    pub counts: Counts,
    pub next: Option<String>,
    /// Namespaces that the person may see.
    pub namespaces: Vec<Namespace>,
    /// How many of them have services.
    pub populated: usize,
    /// The worst services that need attention, at most 5, whatever the filter.
    pub attention: Vec<Overview>,
    /// Releases that wait for a person, those in trouble first, at most 5, whatever the filter.
    pub waiting: Vec<Arc<Release>>,
    /// The nearest name when nothing matches.
    pub nearest: Option<ServiceRef>,
    pub notices: Vec<Check>,
}

/// How many services there are to show.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    pub all: usize,
    pub releasing: usize,
    pub attention: usize,
    pub not_routable: usize,
}

/// One line of a YAML diff.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DiffLine {
    pub sign: Sign,
    pub text: String,
}

/// What a line of a diff is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sign {
    Same,
    Add,
    Del,
    /// Instead of all lines: the reader may not read the object.
    Hidden,
}

impl DiffLine {
    /// What stands instead of the lines of an object that the reader may not read.
    pub fn hidden() -> Self {
        Self { sign: Sign::Hidden, text: String::new() }
    }
}

/// Edits of a service's routing from outside since it was last written from here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// The latest entry of the history that saw it.
    pub entry: i64,
    /// Milliseconds since 1970.
    pub at_ms: i64,
    /// Field managers of that edit.
    pub by: Vec<String>,
    /// From what was written from here to what is there now; empty = it is as it was written again.
    pub diffs: Vec<(ObjectRef, Vec<DiffLine>)>,
}

/// What would happen.
#[derive(Clone, Debug)]
pub struct Preview {
    /// The revision that it stands on.
    pub base: Revision,
    /// Names exactly this command on exactly this revision; Apply sends it back.
    pub preview_id: String,
    pub planned: Planned,
    /// All checks: the plan's, those on metrics, and the dry run's.
    pub checks: Vec<Check>,
    /// What Apply would answer now without further acknowledgement; `None` = nothing stands in the way.
    pub refusal: Option<Refusal>,
    pub diffs: Vec<(ObjectRef, Vec<DiffLine>)>,
    /// Requests a second of the service now, when known.
    pub rate: Option<f64>,
    /// Workloads that are deleted, when a version is retired.
    pub deletes: Vec<WorkloadRecord>,
    /// The same change as a call: method, path, body.
    pub call: (&'static str, String, Value),
}

/// A change that was written.
#[derive(Clone, Debug)]
pub struct Applied {
    pub entry: Entry,
    pub revision: Revision,
    /// The weights of the route that was changed.
    pub before: Weights,
    pub after: Weights,
    /// Routes that split the service's requests, too, and stay as they are.
    pub kept: Vec<Route>,
    /// The revision to switch back to.
    pub back: Option<Revision>,
    pub progress: Option<Progress>,
    /// Workloads that were deleted, when a version was retired.
    pub deleted: Vec<WorkloadRecord>,
    /// What is worth knowing of the deletion: what holds a workload back, what stays behind.
    pub notes: Vec<Check>,
}

/// Another change came first: three splits side by side.
#[derive(Clone, Debug, PartialEq)]
pub struct Stale {
    pub saw: (Revision, Option<Weights>),
    pub now: (Revision, Option<Weights>),
    pub yours: Option<Weights>,
    pub by: Option<LastChange>,
}

/// A change that was not (wholly) made.
#[derive(Clone, Debug)]
pub struct Refused {
    pub refusal: Refusal,
    /// The history's row about it, once there is one.
    pub entry: Option<i64>,
    pub stale: Option<Stale>,
    /// What became of the cluster: `Refused`, `Failed` (verified: nothing changed), `Partial`, `Unknown`.
    pub ending: Ending,
}

impl From<Refusal> for Refused {
    fn from(refusal: Refusal) -> Self {
        Self { refusal, entry: None, stale: None, ending: Ending::Refused }
    }
}

impl From<Code> for Refused {
    fn from(code: Code) -> Self {
        Refusal::new(code).into()
    }
}

/// Something happened that pages may want to show.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Happening {
    /// The service's objects, pods or figures changed.
    Service(ServiceRef),
    /// The service has a new revision.
    Revision { service: ServiceRef, revision: Revision, by: String },
    /// Metrics were read again, or a source went down or came back.
    Figures,
    /// A release made a transition.
    Release { id: ReleaseId, service: ServiceRef, phase: Phase },
    /// The set of services, or everything, may have changed.
    Resync,
}
