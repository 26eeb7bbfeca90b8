//! What a command to a release may do: every object that it leads to being written or deleted, with the right that
//! its commander needs for it, asked before anything is stored. Each write is judged once more when it is made.
//!
//! Nothing here may ask for less than what is written. What cannot be foreseen exactly (a version that has no pods
//! yet) is asked for with every object that could be meant.

use crate::cluster::{Ask, asks_of};
use crate::domain::actor::Identity;
use crate::domain::audit::{Action as Act, Ending, Entry, Filter, Written};
use crate::domain::command::{Command as Traffic, TrafficChange};
use crate::domain::ids::{Kind, ObjectRef, ServiceRef};
use crate::domain::plan::Plan;
use crate::domain::refusal::Refusal;
use crate::domain::release::state::{Action, ActionKind, Aim, Side};
use crate::domain::release::{
    Candidate, Command, Phase, Release, ReleaseId, Spec, State, Step, Strategy, Word,
};
use crate::domain::routing::{Dest, Route, Routing};
use crate::domain::service::{Workload, WorkloadKind};
use crate::domain::snapshot::Snapshot;
use crate::domain::split::Split;
use crate::release::workload;
use crate::routing::{self, ChangeStamp, Policy};
use crate::services::Services;
use crate::services::change::Look;
use crate::services::once::unavailable;
use crate::services::retire::workloads_of;

use super::workloads::source_of;

/// What a command leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reach {
    /// It stops, or goes back to where the release itself came from: as fast as can be, on what is known already.
    Brake,
    /// It goes on: every object that a step to come writes.
    Forward,
    /// All of the routing, and the workloads with it, as they were at a revision.
    Revision(u64),
    /// A version goes: rules, subset, workload.
    Remove(Side),
}

impl Reach {
    /// What a command leads to, by how the release stands.
    pub fn of(command: &Command, state: &State) -> Self {
        match command {
            // What a switch back writes is judged where it is found out (`way_back_of`).
            Command::Pause | Command::Abort | Command::SwitchBack => Self::Brake,
            Command::Rollback { revision } => Self::Revision(*revision),
            Command::Retire { .. } => Self::Remove(Side::Stable),
            Command::DeleteVersion { .. } => Self::Remove(Side::Candidate),
            // The way back that is under way, or could not be completed, once more.
            Command::Retry if state.retries_way_back() => state.back_to.map_or(Self::Brake, Self::Revision),
            Command::Start
            | Command::Resume
            | Command::Promote
            | Command::PromoteAll
            | Command::Retry
            | Command::ChangeSteps { .. } => Self::Forward,
        }
    }
}

/// True when the action belongs to the release's own way back: to its own stable version, with the pods that it had.
/// It alone needs no person's right at the moment when it is done.
pub(super) fn is_own_way_back(release: &Release, action: &Action) -> bool {
    let state = &release.state;
    let back = match &action.kind {
        ActionKind::Traffic { aim } => *aim == Aim::default(),
        ActionKind::Scale { .. }
        | ActionKind::Batch { updated: 0, .. }
        | ActionKind::Heal
        | ActionKind::Restore
        | ActionKind::Settle => true,
        _ => false,
    };
    // A finished release that is switched back carries out a command of now.
    back && state.phase == Phase::Aborting && state.back_to.is_none() && !state.switch_back
}

/// So many entries of a service are looked through for what a release wrote.
const LOOK_BACK: usize = 2_000;

impl Services {
    /// Why a release must not write this plan on its own way back: an object that it never wrote, and that whoever it
    /// acts for may not write either (a route that was moved meanwhile). `None` = it may.
    pub(in crate::services) async fn strange_to(
        &self,
        id: ReleaseId,
        at: &ServiceRef,
        acting: &Identity,
        plan: &Plan,
    ) -> Result<Option<Refusal>, Refusal> {
        let Some(refusal) = self.plan_rights(acting, at, plan).await? else { return Ok(None) };
        let mut open: Vec<&ObjectRef> = plan.edits().map(|edit| &edit.object).collect();
        let filter = Filter { service: Some(at.clone()), ..Filter::default() };
        let (mut cursor, mut seen) = (None, 0);
        while !open.is_empty() && seen < LOOK_BACK {
            let page =
                self.inner.store.entries(&filter, cursor.as_deref(), 200).await.map_err(unavailable)?;
            seen += page.items.len();
            for entry in page.items.iter().filter(|entry| wrote(entry, id)) {
                // A page holds no objects.
                let whole = self.inner.store.entry(entry.id).await.map_err(unavailable)?;
                let outcome = whole.and_then(|entry| entry.outcome);
                let edits = outcome.map(|outcome| outcome.details.edits).unwrap_or_default();
                open.retain(|object| {
                    !edits.iter().any(|edit| edit.object == **object && edit.written != Written::No)
                });
                if open.is_empty() {
                    break;
                }
            }
            cursor = page.next;
            if cursor.is_none() {
                break;
            }
        }
        Ok((!open.is_empty()).then_some(refusal))
    }

    /// Why the person may not give this command; `None` = may.
    pub(super) async fn command_right(
        &self,
        who: &Identity,
        release: &Release,
        command: &Command,
    ) -> Result<Option<Refusal>, Refusal> {
        if who.unrestricted {
            return Ok(None);
        }
        if let Some(refusal) = self.brake_right(who, &release.spec).await? {
            return Ok(Some(refusal));
        }
        let reach = Reach::of(command, &release.state);
        if reach == Reach::Brake {
            return Ok(None);
        }
        let changed = match command {
            Command::ChangeSteps { steps } => Spec { steps: steps.clone(), ..release.spec.clone() },
            _ => release.spec.clone(),
        };
        let look = self.known_look(who, self.look(release.at(), false).await?).await?;
        self.reach_right(who, &changed, &release.state, reach, &look).await
    }

    /// Commands that are possible now and that the person may not give, each with the right that is missing: what the
    /// page says beforehand. The command itself is judged once more.
    pub(super) async fn commands_denied(
        &self,
        who: &Identity,
        release: &Release,
    ) -> Result<Vec<(Word, Refusal)>, Refusal> {
        if who.unrestricted || release.state.words().is_empty() {
            return Ok(Vec::new());
        }
        let Some(snapshot) = self.inner.cache.snapshot(release.at()) else { return Ok(Vec::new()) };
        let routing = Routing::clone(&self.inner.routings.of(&snapshot));
        let known = Look { snapshot: Snapshot::clone(&snapshot), routing, revision: 0 };
        // Nothing can be planned on what the watch keeps, so it asks for every object that could be meant: who may
        // write all of them may give every command, without anything being read.
        if self.denied_on(who, release, &known).await?.is_empty() {
            return Ok(Vec::new());
        }
        let look = self.look(release.at(), false).await?;
        self.denied_on(who, release, &look).await
    }

    async fn denied_on(
        &self,
        who: &Identity,
        release: &Release,
        look: &Look,
    ) -> Result<Vec<(Word, Refusal)>, Refusal> {
        let mut judged: Vec<(Reach, Option<Refusal>)> = Vec::new();
        let mut out = Vec::new();
        for word in release.state.words() {
            let reach = match word {
                Word::Start | Word::Resume | Word::Promote | Word::PromoteAll | Word::ChangeSteps => {
                    Reach::Forward
                }
                Word::Retry if !release.state.retries_way_back() => Reach::Forward,
                Word::Retire => Reach::Remove(Side::Stable),
                Word::DeleteVersion => Reach::Remove(Side::Candidate),
                // Which objects these write depends on the revision; their questions say it.
                Word::Pause | Word::Abort | Word::SwitchBack | Word::Rollback | Word::Retry => continue,
            };
            let known = judged.iter().find(|(known, _)| *known == reach).map(|(_, found)| found.clone());
            let found = match known {
                Some(found) => found,
                None => self.reach_right(who, &release.spec, &release.state, reach, look).await?,
            };
            out.extend(found.clone().map(|refusal| (word, refusal)));
            judged.push((reach, found));
        }
        Ok(out)
    }

    /// Why the person may not make (and start) a release by this wish; `None` = may.
    pub(super) async fn wish_right(
        &self,
        who: &Identity,
        spec: &Spec,
        look: &Look,
    ) -> Result<Option<Refusal>, Refusal> {
        if who.unrestricted {
            return Ok(None);
        }
        if let Some(refusal) = self.brake_right(who, spec).await? {
            return Ok(Some(refusal));
        }
        self.reach_right(who, spec, &State::new(), Reach::Forward, look).await
    }

    /// What everybody needs who says anything to a release: the right to change what moves its requests.
    pub(super) async fn brake_right(&self, who: &Identity, spec: &Spec) -> Result<Option<Refusal>, Refusal> {
        if spec.strategy != Strategy::Replicas {
            return self.change_right(who, &spec.service).await;
        }
        let namespace = spec.service.namespace.clone();
        let snapshot = self.inner.cache.snapshot(&spec.service);
        let known = snapshot.as_ref().and_then(|snapshot| {
            let names = [&spec.stable, spec.candidate.version()];
            names.into_iter().find_map(|name| source_of(snapshot, name).ok())
        });
        let ask = match known {
            Some((_, source)) => Ask::workload("update", source.kind, namespace).named(&source.name),
            None => Ask::workload("update", WorkloadKind::Deployment, namespace),
        };
        self.judge(who, &spec.service, vec![ask]).await
    }

    async fn reach_right(
        &self,
        who: &Identity,
        spec: &Spec,
        state: &State,
        reach: Reach,
        look: &Look,
    ) -> Result<Option<Refusal>, Refusal> {
        let mut asks = Vec::new();
        match reach {
            Reach::Brake => {}
            Reach::Forward => {
                if spec.strategy != Strategy::Replicas {
                    asks.extend(self.routes_forward(spec, look));
                }
                asks.extend(workloads_forward(spec, state, look));
            }
            Reach::Revision(revision) => {
                if spec.strategy != Strategy::Replicas {
                    let specs =
                        self.inner.store.specs_at(&spec.service, revision).await.map_err(unavailable)?;
                    let specs = specs.unwrap_or_default();
                    let named: Vec<ObjectRef> = specs.iter().map(|(object, _)| object.clone()).collect();
                    // Which subsets go is found out when it is written, too.
                    let back = Traffic::SwitchBack { revision, specs, weights: None, added: Vec::new() };
                    asks.extend(self.planned(&back, look).unwrap_or_else(|| all_of(look, &named)));
                }
                if !state.phase.is_final() || spec.strategy == Strategy::Replicas {
                    asks.extend(workloads_back(spec, state, look));
                }
            }
            Reach::Remove(side) => {
                let version = match side {
                    Side::Stable => &spec.stable,
                    Side::Candidate => spec.candidate.version(),
                };
                if look.routing.declared().is_some() {
                    let retire = Traffic::Retire { version: version.clone() };
                    asks.extend(self.planned(&retire, look).unwrap_or_else(|| all_of(look, &[])));
                }
                for source in workloads_of(&look.snapshot, version) {
                    asks.push(on(source, "delete", spec));
                }
            }
        }
        self.judge(who, &spec.service, asks).await
    }

    /// The rights that a plan for a command needs; `None` where none can be made now.
    fn planned(&self, command: &Traffic, look: &Look) -> Option<Vec<Ask>> {
        let stamp = ChangeStamp { change: String::new(), revision: None, actor: String::new() };
        // Whether what was created is deleted or stays is found out when it is written, by the right of then.
        let policy = Policy { may_delete: false, ..self.inner.settings.policy.clone() };
        let planned = routing::plan(command, &look.snapshot, &policy, &stamp).ok()?;
        Some(asks_of(&planned.plan))
    }

    /// The routing objects that the steps write: planned with requests to both versions where both are known.
    fn routes_forward(&self, spec: &Spec, look: &Look) -> Vec<Ask> {
        let candidate = spec.candidate.version();
        let split_between = |stable: u8, new: u8| {
            let split = Split::new(vec![(spec.stable.clone(), stable), (candidate.clone(), new)]).ok()?;
            let change = TrafficChange { weights: Some(split), ..TrafficChange::default() };
            self.planned(&Traffic::Set(change), look).filter(|asks| !asks.is_empty())
        };
        let rules = spec.steps.iter().any(|step| matches!(step, Step::Rules { .. }));
        let planned = if rules { None } else { split_between(50, 50).or_else(|| split_between(0, 100)) };
        planned.unwrap_or_else(|| foreseen(look, rules))
    }
}

/// True for a change of routing that a release has written, or may have.
fn wrote(entry: &Entry, id: ReleaseId) -> bool {
    let mine = entry.intent.details.release.as_ref().is_some_and(|mark| mark.id == id);
    let routing = !matches!(entry.intent.action, Act::Release | Act::Workload);
    let ending = entry.outcome.as_ref().map(|outcome| outcome.ending);
    mine && routing && matches!(ending, Some(Ending::Applied | Ending::Partial | Ending::Unknown))
}

/// What the steps of a version that has no pods yet will write: the VirtualService of the default route (with rules,
/// each that chooses among versions), and the DestinationRule that gets its subset; what is not there is created.
fn foreseen(look: &Look, rules: bool) -> Vec<Ask> {
    let home = || look.snapshot.service.at.namespace.clone();
    let chooses = |route: &Route| route.targets.iter().any(|target| matches!(target.to, Dest::Version(_)));
    let routes = look.routing.routes.iter().filter(|route| route.is_default || (rules && chooses(route)));
    let mut objects: Vec<&ObjectRef> = routes.map(|route| &route.object).collect();
    let of_hosts = || look.routing.objects.iter().filter(|object| object.kind == Kind::DestinationRule);
    // One in the service's own namespace is the one that counts for its callers.
    let near: Vec<&ObjectRef> = of_hosts().filter(|object| object.namespace == home()).collect();
    let hosts: Vec<&ObjectRef> = if near.is_empty() { of_hosts().collect() } else { near };
    let (no_route, no_host) = (objects.is_empty(), hosts.is_empty());
    objects.extend(hosts);
    let mut asks: Vec<Ask> = objects.into_iter().map(|object| Ask::route("update", object)).collect();
    asks.extend(no_route.then(|| Ask::write("create", Kind::VirtualService, home())));
    asks.extend(no_host.then(|| Ask::write("create", Kind::DestinationRule, home())));
    asks
}

/// Every routing object of the service, and those named besides; a kind of which there is none is created.
fn all_of(look: &Look, more: &[ObjectRef]) -> Vec<Ask> {
    let known = &look.routing.objects;
    let mut asks: Vec<Ask> = known.iter().map(|object| Ask::route("update", object)).collect();
    let gone = more.iter().filter(|object| !known.contains(object));
    asks.extend(gone.map(|object| Ask::write("create", object.kind, object.namespace.clone())));
    for kind in [Kind::VirtualService, Kind::DestinationRule] {
        if !known.iter().any(|object| object.kind == kind) {
            asks.push(Ask::write("create", kind, look.snapshot.service.at.namespace.clone()));
        }
    }
    asks
}

fn on(source: &Workload, verb: &'static str, spec: &Spec) -> Ask {
    Ask::workload(verb, source.kind, spec.service.namespace.clone()).named(&source.name)
}

/// What the steps do to workloads and pods.
fn workloads_forward(spec: &Spec, state: &State, look: &Look) -> Vec<Ask> {
    let Ok((_, stable)) = source_of(&look.snapshot, &spec.stable) else {
        // Nothing to copy: at most what is there of the new version is changed.
        let mine = workloads_of(&look.snapshot, spec.candidate.version()).iter();
        return mine.map(|source| on(source, "update", spec)).collect();
    };
    let mut asks = Vec::new();
    if spec.candidate.is_in_place() {
        asks.push(on(stable, "update", spec));
        // The pods of a batch are labelled with its number.
        asks.push(Ask::pods("update", spec.service.namespace.clone()));
        return asks;
    }
    let stepped = spec.steps.iter().any(|step| matches!(step, Step::Replicas { .. }));
    let lowers = spec.policies.stable_after.is_some()
        || spec.steps.iter().any(|step| matches!(step, Step::Replicas { stable: Some(_), .. }));
    if lowers {
        asks.push(on(stable, "update", spec));
    }
    match &spec.candidate {
        Candidate::Image { version, .. } => {
            let namespace = || spec.service.namespace.clone();
            let name = workload::name_of(&stable.name, &spec.stable, version);
            if !state.deployed {
                asks.push(Ask::workload("create", stable.kind, namespace()));
            }
            if stepped {
                asks.push(Ask::workload("update", stable.kind, namespace()).named(&name));
            }
            if spec.policies.delete_after_abort {
                asks.push(Ask::workload("delete", stable.kind, namespace()).named(&name));
            }
        }
        Candidate::Adopt { version } if stepped => {
            asks.extend(
                workloads_of(&look.snapshot, version).iter().map(|source| on(source, "update", spec)),
            );
        }
        Candidate::Adopt { .. } => {}
    }
    asks
}

/// What the way back does to workloads, where the release has touched any.
fn workloads_back(spec: &Spec, state: &State, look: &Look) -> Vec<Ask> {
    let touched = spec.strategy == Strategy::Replicas
        || state.stable_lowered
        || (spec.candidate.is_in_place() && state.updated > 0);
    if !touched {
        return Vec::new();
    }
    let both = [&spec.stable, spec.candidate.version()].into_iter();
    both.flat_map(|version| workloads_of(&look.snapshot, version))
        .map(|source| on(source, "update", spec))
        .collect()
}
