//! The common part of every change of traffic: an uncached read of the service, the command that a
//! wish amounts to, and the decision. Used by `traffic` (preview and apply); writes nothing itself
//! except the history's row about an outside edit that the look discovers.

use std::borrow::Cow;

use sha2::{Digest, Sha256};

use crate::domain::actor::{Actor, Channel, Identity};
use crate::domain::audit::Action;
use crate::domain::command::{Command, TrafficChange};
use crate::domain::ids::{Kind, ObjectRef, Revision, ServiceRef};
use crate::domain::observed::Observed;
use crate::domain::plan::{Effect, Planned};
use crate::domain::refusal::{Check, Code, Refusal, Severity};
use crate::domain::routing::Routing;
use crate::domain::snapshot::Snapshot;
use crate::metrics::Health;
use crate::routing::{self, ChangeStamp};

use super::Services;
use super::access::not_found;
use super::ask::Wish;
use super::once::unavailable;

/// So many later changes are looked through for subsets that were added; those of older ones stay.
const LATER: u32 = 500;
/// The longest reason, in characters.
const REASON_MAX: usize = 2_000;

/// A service as it stands now, read freshly.
pub(super) struct Look {
    pub snapshot: Snapshot,
    pub routing: Routing,
    pub revision: Revision,
}

/// A wish, thought through on a [`Look`].
pub(super) struct Decided {
    pub planned: Planned,
    /// The plan's checks and those on metrics, worst first.
    pub checks: Vec<Check>,
    pub observed: Option<Observed>,
    pub to_revision: Option<Revision>,
}

impl Wish {
    /// What the history calls it.
    pub fn action(&self) -> Action {
        match self {
            Self::Set(_) | Self::Retire(_) => Action::SetTraffic,
            Self::TakeOver(_) => Action::TakeOver,
            Self::SwitchBack(_) => Action::SwitchBack,
        }
    }

    /// True when a reason must be given: forward is careful, back is fast.
    pub fn needs_reason(&self) -> bool {
        !matches!(self, Self::SwitchBack(_))
    }

    /// Names exactly this wish for exactly this revision of this service (16 hex digits).
    pub fn preview_id(&self, at: &ServiceRef, revision: Revision) -> String {
        let hash = Sha256::digest(format!("{at}\n{revision}\n{self:?}"));
        hex::encode(&hash[..8])
    }
}

/// Trims a reason; refuses an empty one where it is required, and one that is too long.
pub fn check_reason(reason: &str, required: bool) -> Result<String, Refusal> {
    let reason = reason.trim();
    if reason.is_empty() && required {
        return Err(Refusal::new(Code::ReasonRequired).field("reason"));
    }
    if reason.chars().count() > REASON_MAX {
        return Err(Refusal::new(Code::ReasonTooLong).field("reason").arg("n", REASON_MAX));
    }
    Ok(reason.to_owned())
}

impl Services {
    /// Reads the service freshly. What was changed outside since the last known state is recorded first,
    /// so that the revision in the answer names what was read. The caller may hold the service's lock
    /// (`locked`), else it is taken when something has to be recorded.
    pub(super) async fn look(&self, at: &ServiceRef, locked: bool) -> Result<Look, Refusal> {
        let look = self.read_now(at).await?;
        if self.is_known(at, &look.snapshot, &look.routing).await? {
            return Ok(look);
        }
        let turn = self.lock_of(at);
        let _held = if locked { None } else { Some(turn.lock().await) };
        let mut look = self.read_now(at).await?;
        if let Some(revision) = self.record_if_outside(at, &look.snapshot, &look.routing).await? {
            look.revision = revision;
        }
        Ok(look)
    }

    async fn read_now(&self, at: &ServiceRef) -> Result<Look, Refusal> {
        let read = self.inner.cluster.read_fresh(at, &self.inner.cache).await;
        let snapshot = read.map_err(|error| error.refusal())?.ok_or_else(|| not_found(at))?;
        let routing = routing::read(&snapshot);
        let revision = self.revision_of(at).await?;
        Ok(Look { snapshot, routing, revision })
    }

    /// The service's revision; 0 when nothing was ever recorded.
    pub(super) async fn revision_of(&self, at: &ServiceRef) -> Result<Revision, Refusal> {
        Ok(self.inner.store.revision(at).await.map_err(unavailable)?.map_or(0, |state| state.revision))
    }

    /// The command that a wish amounts to.
    async fn command(&self, at: &ServiceRef, wish: &Wish) -> Result<Command, Refusal> {
        Ok(match wish {
            Wish::Set(change) => {
                if change.is_empty() {
                    return Err(Refusal::new(Code::NothingAsked));
                }
                Command::Set(change.clone())
            }
            Wish::TakeOver(version) => Command::TakeOver { version: version.clone() },
            Wish::Retire(version) => Command::Retire { version: version.clone() },
            Wish::SwitchBack(revision) => {
                let specs = self.inner.store.specs_at(at, *revision).await.map_err(unavailable)?;
                let specs = specs.ok_or_else(|| {
                    Refusal::new(Code::UnknownRevision).field("revision").arg("r", revision).arg("svc", at)
                })?;
                let weights = self.weights_at(at, *revision).await?;
                Command::SwitchBack {
                    revision: *revision,
                    specs,
                    weights,
                    added: self.added_since(at, *revision).await?,
                }
            }
        })
    }

    /// The subsets that changes from here added to DestinationRules after a revision, as they were written.
    async fn added_since(
        &self,
        at: &ServiceRef,
        revision: Revision,
    ) -> Result<Vec<(ObjectRef, serde_json::Value)>, Refusal> {
        let later = self.inner.store.since(at, revision, LATER).await.map_err(unavailable)?;
        let mut added = Vec::new();
        for outcome in later.iter().filter(|entry| entry.intent.channel != Channel::Outside) {
            let late = outcome.outcome.as_ref().map(|outcome| &outcome.details.edits);
            let edits = late.filter(|edits| !edits.is_empty()).unwrap_or(&outcome.intent.details.edits);
            for edit in edits.iter().filter(|edit| edit.object.kind == Kind::DestinationRule) {
                let (Some(before), Some(after)) = (&edit.before, &edit.after) else { continue };
                let list = |spec: &serde_json::Value| spec["subsets"].as_array().cloned().unwrap_or_default();
                let was = list(before);
                let new =
                    list(after).into_iter().filter(|one| !was.iter().any(|old| old["name"] == one["name"]));
                added.extend(new.map(|subset| (edit.object.clone(), subset)));
            }
        }
        Ok(added)
    }

    /// Decides, without touching anything: rights, plan, checks.
    pub(super) async fn decide(
        &self,
        who: &Actor,
        at: &ServiceRef,
        wish: &Wish,
        look: &Look,
        change: &str,
    ) -> Result<Decided, Refusal> {
        if let Some(refusal) = self.change_right(&who.identity, at).await? {
            return Err(refusal);
        }
        let command = self.command(at, wish).await?;
        let snapshot = &*self.with_named(&who.identity, &look.snapshot, &command).await?;
        let stamp = ChangeStamp {
            change: change.to_owned(),
            revision: Some(look.revision + 1),
            actor: who.identity.user.clone(),
        };
        let mut policy = self.inner.settings.policy.clone();
        let mut planned = routing::plan(&command, snapshot, &policy, &stamp)?;
        // The way back must not end at a missing right to tidy up: what may not be deleted stays, without effect.
        if !self.deletions_allowed(&who.identity, &planned.plan).await? {
            policy.may_delete = false;
            planned = routing::plan(&command, snapshot, &policy, &stamp)?;
        }
        if let Some(refusal) = self.plan_rights(&who.identity, at, &planned.plan).await? {
            return Err(refusal);
        }
        let observed = self.inner.metrics.observed(snapshot, 60).await;
        let mut checks = planned.checks.clone();
        let health = self.inner.metrics.health();
        if health != Health::Absent {
            let seen = observed.as_ref().ok().and_then(Option::as_ref);
            let down_since = match health {
                Health::Down(notice) => notice.since_ms,
                _ => None,
            };
            let policy = &self.inner.settings.policy;
            checks.extend(routing::checks::observe(&planned, snapshot, seen, down_since, &command, policy));
        }
        if command.goes_back() {
            routing::checks::relax(&mut checks);
        }
        checks.extend(self.edited_besides(at, look, &planned.plan).await?);
        checks.push(Check::new(Severity::Ok, Code::NobodyElse).arg("r", look.revision));
        checks.sort_by_key(|check| std::cmp::Reverse(check.severity));
        let to_revision = match wish {
            Wish::SwitchBack(revision) => Some(*revision),
            _ => None,
        };
        Ok(Decided { planned, checks, observed: observed.ok().flatten(), to_revision })
    }

    /// The snapshot with what is known of the Services that an earlier revision sent to: they may be gone, or stand for
    /// a version.
    async fn with_named<'s>(
        &self,
        who: &Identity,
        snapshot: &'s Snapshot,
        command: &Command,
    ) -> Result<Cow<'s, Snapshot>, Refusal> {
        let Command::SwitchBack { specs, .. } = command else { return Ok(Cow::Borrowed(snapshot)) };
        let mut wanted = routing::unknown_services(snapshot, specs);
        if wanted.is_empty() {
            return Ok(Cow::Borrowed(snapshot));
        }
        let visible = self.visible(who).await?;
        wanted.retain(|service| visible.contains(&service.namespace));
        let found = self.inner.cluster.services(&snapshot.service.at, &wanted, &self.inner.cache).await;
        let mut snapshot = snapshot.clone();
        snapshot.others.extend(found);
        Ok(Cow::Owned(snapshot))
    }

    /// What restoring a revision would do to the service as it stands. Nothing is checked or written here.
    pub(super) async fn effect_of_revision(
        &self,
        at: &ServiceRef,
        revision: Revision,
        look: &Look,
    ) -> Result<Effect, Refusal> {
        let command = self.command(at, &Wish::SwitchBack(revision)).await?;
        let stamp = ChangeStamp { change: String::new(), revision: None, actor: String::new() };
        Ok(routing::plan(&command, &look.snapshot, &self.inner.settings.policy, &stamp)?.effect)
    }

    /// The pending change that restoring a revision would be: what the service page is filled with when
    /// it is opened from the history. Nothing is checked or written here.
    pub async fn wish_of_revision(
        &self,
        who: &Actor,
        at: &ServiceRef,
        revision: Revision,
    ) -> Result<TrafficChange, Refusal> {
        self.must_see(who, at).await?;
        let look = self.known_look(&who.identity, self.look(at, false).await?).await?;
        let command = self.command(at, &Wish::SwitchBack(revision)).await?;
        let mut readable = true;
        if let Command::SwitchBack { specs, .. } = &command {
            for (object, _) in specs {
                readable &= self.may_get(&who.identity, object).await;
            }
        }
        let stamp = ChangeStamp { change: String::new(), revision: None, actor: who.identity.user.clone() };
        let planned = match routing::plan(&command, &look.snapshot, &self.inner.settings.policy, &stamp) {
            Ok(planned) => planned,
            Err(refusal) => return Err(self.shown_refusal(&who.identity, at, refusal).await),
        };
        let weights = crate::domain::split::Split::new(planned.effect.after.clone()).ok();
        // Whom a rule is for stands in an object.
        let rules = (readable && planned.effect.rules_before != planned.effect.rules_after)
            .then(|| planned.effect.rules_after.clone());
        let wanted = planned.effect.mirror_after.as_ref().and_then(|mirror| {
            let version = mirror.version()?.clone();
            Some(crate::domain::command::MirrorWish { version, percent: mirror.percent })
        });
        let mirror = (planned.effect.mirror_before != planned.effect.mirror_after).then_some(wanted);
        Ok(TrafficChange { route: None, weights, rules, mirror, lane: None })
    }
}
