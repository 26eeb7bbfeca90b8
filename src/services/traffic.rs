//! Changing traffic: preview and apply. Changes by people and the traffic actions of releases take this path.
//!
//! Fresh reading → plan (pure) → checks → dry run of several objects → durable intent row → ordered writes
//! with the resourceVersion that was read → outcome row → announcement. It runs in a task of its own:
//! a browser that goes away never cuts a change in the middle.

use serde_json::Value;

use crate::cluster::{ApplyError, until};
use crate::domain::actor::{Actor, Channel, Identity};
use crate::domain::audit::{Details, EditRecord, Ending, Entry, Intent, Outcome, ReleaseMark};
use crate::domain::class::Class;
use crate::domain::ids::{ObjectRef, Revision, ServiceRef};
use crate::domain::overview::{Applied, Happening, LastChange, Moving, Preview, Refused, Stale};
use crate::domain::plan::{Plan, Planned, Standing};
use crate::domain::refusal::{Check, Code, Refusal, Severity};
use crate::domain::routing::Weights;
use crate::routing;
use crate::store::Revise;

use super::Services;
use super::ask::{ChangeAsk, Wish};
use super::call::call_of;
use super::change::{Decided, Look, check_reason};
use super::once::unavailable;
use super::refused_attempts::Noted;
use super::retire::Removal;

/// From the first request to the last: no client waits for a change longer than 20 s.
pub(super) const WHOLE_CHANGE: std::time::Duration = std::time::Duration::from_secs(18);

impl Services {
    /// What a wish would do: effect, checks (a dry run of every object among them), diff. Writes nothing
    /// and records nothing.
    pub async fn preview(
        &self,
        who: &Actor,
        at: &ServiceRef,
        wish: &Wish,
        ack: &[String],
    ) -> Result<Preview, Refused> {
        self.must_see(who, at).await?;
        let look = self.known_look(&who.identity, self.look(at, false).await?).await?;
        let both = async {
            let removal = self.removal_of(&who.identity, at, &look, wish, false).await?;
            Ok((removal, self.decide(who, at, wish, &look, "preview").await?))
        };
        let (removal, decided) = match both.await {
            Ok(both) => both,
            Err(refusal) => return Err(self.shown_refusal(&who.identity, at, refusal).await.into()),
        };
        let Decided { planned, mut checks, observed, .. } = decided;
        checks.extend(removal.iter().flat_map(|removal| removal.checks.clone()));
        if let Some(Moving { id, .. }) = self.release_of(at) {
            checks.push(Check::new(Severity::Block, Code::ReleaseOwnsService).arg("id", id));
        }
        checks.sort_by_key(|check| std::cmp::Reverse(check.severity));
        let blocked = checks.iter().any(|check| check.severity == Severity::Block);
        let deletes = removal.as_ref().map(Removal::records).unwrap_or_default();
        let asks_nothing = planned.plan.is_empty() && deletes.is_empty();
        if !blocked && !asks_nothing {
            checks.push(match self.rehearse(&planned.plan, removal.as_ref()).await {
                Ok(()) => Check::new(Severity::Ok, Code::DryRunPassed),
                Err(refusal) => Check { code: refusal.code, severity: Severity::Block, args: refusal.args },
            });
            checks.sort_by_key(|check| std::cmp::Reverse(check.severity));
        }
        let refusal = if planned.plan.is_empty() && deletes.is_empty() {
            Some(Refusal::new(Code::NothingAsked))
        } else {
            Refusal::of_checks(&checks, ack)
        };
        let diffs =
            planned.plan.edits().map(|edit| (edit.object.clone(), routing::diff::yaml(edit))).collect();
        let preview = Preview {
            base: look.revision,
            preview_id: wish.preview_id(at, look.revision),
            call: call_of(at, wish, &planned.effect.after, &checks),
            planned,
            checks,
            refusal,
            diffs,
            rate: observed.map(|observed| observed.rate()),
            deletes,
        };
        Ok(self.shown_preview(&who.identity, &look, preview).await)
    }

    /// Lets the API server check everything that would be written or deleted, without doing any of it.
    async fn rehearse(&self, plan: &Plan, removal: Option<&Removal>) -> Result<(), Refusal> {
        self.inner.cluster.dry_run(plan).await.map_err(|error| error.refusal())?;
        let Some(removal) = removal else { return Ok(()) };
        self.try_deletions(&removal.writes()).await.map_err(|trouble| trouble.refusal().clone())
    }

    /// Makes a change, or says why not and what became of the cluster. Every attempt that was understood
    /// leaves exactly one entry in the history.
    pub async fn apply(&self, who: &Actor, ask: ChangeAsk) -> Result<Applied, Refused> {
        let (this, reader, at) = (self.clone(), who.identity.clone(), ask.service.clone());
        let who = who.clone();
        let deadline = tokio::time::Instant::now() + WHOLE_CHANGE;
        let change = async move { Box::pin(this.change(&who, ask, None, None)).await };
        let task = self.inner.under_way.spawn(until(deadline, Box::pin(change)));
        match task.await {
            Ok(answer) => self.shown_answer(&reader, &at, answer).await,
            Err(error) => {
                tracing::error!(%error, "a change ended abnormally; its intent stays open until the next start");
                Err(Refused { ending: Ending::Unknown, ..Refused::from(Code::OutcomeUnknown) })
            }
        }
    }

    /// The same for a release, in its own task already. `own` = it is the release's own way back: whoever it acts for
    /// needs no right on the objects that the release wrote before, and every right on any other.
    pub(super) async fn change_for(
        &self,
        who: &Actor,
        ask: ChangeAsk,
        mark: ReleaseMark,
        own: Option<&Identity>,
    ) -> Result<Applied, Refused> {
        let deadline = tokio::time::Instant::now() + WHOLE_CHANGE;
        until(deadline, Box::pin(self.change(who, ask, Some(mark), own))).await
    }

    async fn change(
        &self,
        who: &Actor,
        ask: ChangeAsk,
        mark: Option<ReleaseMark>,
        way_back: Option<&Identity>,
    ) -> Result<Applied, Refused> {
        let at = ask.service.clone();
        self.not_too_often(who, &at)?;
        self.must_see(who, &at).await?;
        let reason = check_reason(&ask.reason, ask.wish.needs_reason())?;
        let turn = self.lock_of(&at);
        let _held = turn.lock().await;
        let mut intent = self.intent_of(who, &ask, reason);
        let own = mark.as_ref().map(|mark| mark.id);
        intent.details.release = mark.map(Box::new);
        // A running release owns the service: changes by anyone else are refused.
        if let Some(Moving { id, .. }) = self.release_of(&at).filter(|moving| own != Some(moving.id)) {
            let refusal = Refusal::new(Code::ReleaseOwnsService).arg("id", id);
            return Err(self.refuse(intent, refusal).await);
        }
        let look = match self.look(&at, true).await {
            Ok(look) => look,
            Err(refusal) if refusal.code == Code::ServiceNotFound => return Err(refusal.into()),
            Err(refusal) => return Err(self.refuse(intent, refusal).await),
        };
        let look = self.known_look(&who.identity, look).await?;
        intent.details.before = look.routing.declared();
        if ask.expected.is_some_and(|expected| expected != look.revision) {
            let stale = self.stale(who, &ask, &look).await?;
            let refusal = Refusal::new(Code::StaleRevision)
                .arg("svc", &at)
                .arg("who", stale.by.as_ref().map_or("", |by| &by.by))
                .arg("r", look.revision);
            let refused = self.refuse(intent, refusal).await;
            return Err(Refused { stale: Some(stale), ..refused });
        }
        if ask.preview_id.as_ref().is_some_and(|id| *id != ask.wish.preview_id(&at, look.revision)) {
            return Err(self.refuse(intent, Refusal::new(Code::PreviewMismatch)).await);
        }
        let removal = match self.removal_of(&who.identity, &at, &look, &ask.wish, own.is_some()).await {
            Ok(removal) => removal,
            Err(refusal) if refusal.field.is_some() => return Err(refusal.into()),
            Err(refusal) => return Err(self.refuse(intent, refusal).await),
        };
        let mut decided = match self.decide(who, &at, &ask.wish, &look, &intent.change).await {
            Ok(decided) => decided,
            // A value that cannot be: nothing was attempted, so there is nothing to record.
            Err(refusal) if refusal.field.is_some() => return Err(refusal.into()),
            Err(refusal) => return Err(self.refuse(intent, refusal).await),
        };
        decided.checks.extend(removal.iter().flat_map(|removal| removal.checks.clone()));
        decided.checks.sort_by_key(|check| std::cmp::Reverse(check.severity));
        let effect = &decided.planned.effect;
        intent.details.route.clone_from(&effect.route);
        intent.details.after = Some(effect.after.clone());
        intent.details.rules = effect.rule_changes.clone().map(Box::new);
        intent.details.mirror = effect.mirror_change().map(Box::new);
        intent.details.checks.clone_from(&decided.checks);
        intent.details.to_revision = decided.to_revision;
        let deletes = removal.as_ref().is_some_and(|removal| !removal.records().is_empty());
        if decided.planned.plan.is_empty() && !deletes {
            return Err(Refusal::new(Code::NothingAsked).into());
        }
        if let (Some(acting), Some(id)) = (way_back, intent.details.release.as_ref().map(|mark| mark.id))
            && let Some(refusal) = self.strange_to(id, &at, acting, &decided.planned.plan).await?
        {
            return Err(self.refuse(intent, refusal).await);
        }
        if let Some(refusal) = Refusal::of_checks(&decided.checks, &ask.ack) {
            return Err(self.refuse(intent, refusal).await);
        }
        // What is tried first: several objects, and routing before workloads are deleted. One object alone is refused
        // by its own write as well, with nothing written; trying it first would only cost the cluster its time twice.
        let one = decided.planned.plan.edits().nth(1).is_none() && !deletes;
        if !one && let Err(error) = self.inner.cluster.dry_run(&decided.planned.plan).await {
            let conflict = matches!(error.refusal().code, Code::Conflict);
            intent.details.error = Some(error.to_string());
            let refused = self.refuse(intent, error.refusal()).await;
            let stale = if conflict { Some(self.stale_now(who, &ask, &look).await?) } else { None };
            return Err(Refused { stale, ..refused });
        }
        if let Some(removal) = &removal
            && let Err(trouble) = self.try_deletions(&removal.writes()).await
        {
            intent.details.workloads = removal.records();
            return Err(self.refuse(intent, trouble.refusal().clone()).await);
        }
        intent.details.accepted_ms = Some(self.inner.clock.now_ms());
        let Some(removal) = removal else {
            return Box::pin(self.write(who, &at, intent, &ask, &look, decided)).await;
        };
        let alone = decided.planned.plan.is_empty();
        let (later, effect) = (self.removal_intent(&intent, &removal, alone), decided.planned.effect.clone());
        let applied = if alone {
            None
        } else {
            Some(Box::pin(self.write(who, &at, intent, &ask, &look, decided)).await?)
        };
        Box::pin(self.delete_removed(who, &look, later, &removal, (applied, &effect))).await
    }

    /// From here on the cluster is touched: intent first, outcome last.
    async fn write(
        &self,
        who: &Actor,
        at: &ServiceRef,
        mut intent: Intent,
        ask: &ChangeAsk,
        look: &Look,
        decided: Decided,
    ) -> Result<Applied, Refused> {
        let plan = &decided.planned.plan;
        intent.details.edits = plan.edits().map(EditRecord::planned).collect();
        let known = self.inner.store.has_specs_at(at, look.revision).await.map_err(unavailable)?;
        if !known {
            intent.details.specs_before = Some(routing::saved_of(&look.snapshot, &look.routing.objects));
        }
        let id = self.inner.store.intent(&intent).await.map_err(unavailable)?;
        let mut written = self.inner.cluster.apply(plan, &intent.change, &self.inner.cache).await;
        // A refusal of the one object there is: nothing was written, as after a refused dry run. A fault of the API
        // server stays a failure.
        if plan.edits().nth(1).is_none()
            && written.ending == Ending::Failed
            && !written.error.as_ref().is_some_and(ApplyError::is_fault)
            && let Some(refusal) = written.refusal()
        {
            written.ending = ending_of(&refusal);
        }
        let written_ms = self.inner.clock.now_ms();
        let mut refusal = written.refusal();
        if let (Ending::Applied, Some(object)) = (written.ending, written.altered.first()) {
            // Only what decides about traffic counts: a policy may add a time-out to what it likes.
            let (_, stored) = self.after(at, look, &decided.planned, Ending::Partial).await;
            if stored.is_some_and(|stored| stored != decided.planned.after.fingerprint) {
                written.ending = Ending::Partial;
                refusal = Some(Refusal::new(Code::StoredOtherwise).arg("object", object));
            }
        }
        let (after, fingerprint) = self.after(at, look, &decided.planned, written.ending).await;
        let mut details = Details {
            edits: written.records,
            error: written.error.as_ref().map(ToString::to_string),
            refusal: refusal.clone(),
            written_ms: (written.ending == Ending::Applied).then_some(written_ms),
            ..Details::default()
        };
        let revise = match (&fingerprint, written.ending) {
            (Some(fingerprint), Ending::Applied | Ending::Partial | Ending::Unknown)
                if written.ending == Ending::Applied || *fingerprint != look.routing.fingerprint =>
            {
                details.specs = after;
                Revise::Next { fingerprint: fingerprint.clone() }
            }
            _ => Revise::Keep,
        };
        let outcome =
            Outcome { at_ms: self.inner.clock.now_ms(), ending: written.ending, revision: None, details };
        let entry = match self.inner.store.outcome(id, &intent, &outcome, revise.clone()).await {
            Ok(entry) => entry,
            Err(error) => {
                // The cluster has it and the history has the intent.
                tracing::error!(%error, change = intent.change, "the outcome of a change is recorded later");
                let refusal = error.refusal();
                self.outcome_later(id, intent, outcome, revise);
                return Err(Refused { ending: Ending::Unknown, ..refusal.into() });
            }
        };
        if let (Some(fingerprint), true) = (fingerprint, entry_revision(&entry).is_some()) {
            let version =
                |edit: &EditRecord| Some((edit.object.clone(), edit.resource_version_after.clone()?));
            let stored = outcome.details.edits.iter().filter(|_| outcome.ending == Ending::Applied);
            let stored = stored.filter_map(version).collect();
            let weights = Some(decided.planned.effect.after.clone());
            self.inner.outside.learn(at, &fingerprint, weights, stored);
        }
        let progress = self.follow(at, &entry);
        self.tell(at, &entry);
        match refusal {
            None => Ok(Applied {
                revision: entry_revision(&entry).unwrap_or(look.revision),
                progress,
                before: decided.planned.effect.before.clone(),
                after: decided.planned.effect.after.clone(),
                kept: decided.planned.effect.kept.clone(),
                back: Some(look.revision),
                deleted: Vec::new(),
                notes: Vec::new(),
                entry,
            }),
            Some(refusal) => {
                let stale = match refusal.code {
                    Code::Conflict => Some(self.stale_now(who, ask, look).await?),
                    _ => None,
                };
                Err(Refused { refusal, entry: Some(entry.id), stale, ending: outcome.ending })
            }
        }
    }

    /// What stands in the cluster after a write: by our own plan when all of it was written, else by
    /// asking. `None` when it cannot be asked.
    async fn after(
        &self,
        at: &ServiceRef,
        look: &Look,
        planned: &Planned,
        ending: Ending,
    ) -> (Vec<(ObjectRef, Value)>, Option<String>) {
        match ending {
            Ending::Applied => {
                let Standing { objects, fingerprint } = &planned.after;
                let specs = routing::saved_after(&look.snapshot, &planned.plan, objects);
                (specs, Some(fingerprint.clone()))
            }
            Ending::Refused | Ending::Failed | Ending::Outside => (Vec::new(), None),
            Ending::Partial | Ending::Unknown => {
                match self.inner.cluster.read_fresh(at, &self.inner.cache).await.ok().flatten() {
                    Some(snapshot) => (routing::saved(&snapshot), Some(routing::read(&snapshot).fingerprint)),
                    None => (Vec::new(), None),
                }
            }
        }
    }

    /// Records a refusal, or counts it with an earlier one; the refusal itself is the answer even when it cannot be recorded.
    pub(super) async fn refuse(&self, mut intent: Intent, refusal: Refusal) -> Refused {
        intent.details.refusal = Some(refusal.clone());
        let ending = ending_of(&refusal);
        let now_ms = self.inner.clock.now_ms();
        let mut first = None;
        if intent.channel != Channel::Automatic {
            match self.inner.refused_attempts.note(&intent, refusal.code, ending, now_ms) {
                Noted::First(key) => first = Some(key),
                Noted::Again(entry) => return Refused { refusal, entry, stale: None, ending },
            }
        }
        let outcome = Outcome { at_ms: now_ms, ending, revision: None, details: Details::default() };
        let entry = match self.inner.store.single(&intent, &outcome, Revise::Keep).await {
            Ok(entry) => {
                if let Some(at) = &intent.service {
                    self.tell(at, &entry);
                }
                Some(entry.id)
            }
            Err(error) => {
                tracing::error!(%error, "a refusal was not recorded");
                None
            }
        };
        if let Some(key) = first {
            self.inner.refused_attempts.written(&key, entry);
        }
        Refused { refusal, entry, stale: None, ending }
    }

    pub(super) fn tell(&self, at: &ServiceRef, entry: &Entry) {
        self.announce(Happening::Service(at.clone()));
        if let Some(revision) = entry_revision(entry) {
            let by = entry.intent.actor.clone();
            self.announce(Happening::Revision { service: at.clone(), revision, by });
        }
    }

    /// Another change came after revision `base`: three splits and the actor.
    pub async fn overtaken(
        &self,
        who: &Actor,
        at: &ServiceRef,
        base: Revision,
        now: (Revision, Option<Weights>),
        yours: Option<Weights>,
    ) -> Result<Stale, Refusal> {
        self.must_see(who, at).await?;
        let saw = self.weights_at(at, base).await?;
        let by = self.inner.store.revision(at).await.map_err(unavailable)?.as_ref().map(last_of);
        Ok(Stale { saw: (base, saw), now, yours, by })
    }

    async fn stale(&self, who: &Actor, ask: &ChangeAsk, look: &Look) -> Result<Stale, Refusal> {
        let at = &ask.service;
        let expected = ask.expected.unwrap_or(look.revision);
        let yours = match &ask.wish {
            Wish::Set(change) => {
                change.weights.as_ref().map(|split| split.iter().map(|(v, w)| (v.clone(), w)).collect())
            }
            Wish::TakeOver(version) => Some(vec![(version.clone(), 100)]),
            Wish::Retire(_) => None,
            Wish::SwitchBack(revision) => self.weights_at(at, *revision).await?,
        };
        self.overtaken(who, at, expected, (look.revision, look.routing.declared()), yours).await
    }

    /// The same after a conflict in the middle: what stands there now was read after it.
    async fn stale_now(&self, who: &Actor, ask: &ChangeAsk, look: &Look) -> Result<Stale, Refusal> {
        let mut stale = self.stale(who, ask, look).await?;
        stale.saw = (look.revision, look.routing.declared());
        if let Ok(now) = self.look(&ask.service, true).await {
            stale.now = (now.revision, now.routing.declared());
            stale.by =
                self.inner.store.revision(&ask.service).await.map_err(unavailable)?.as_ref().map(last_of);
        }
        Ok(stale)
    }

    fn intent_of(&self, who: &Actor, ask: &ChangeAsk, reason: String) -> Intent {
        Intent {
            change: uuid::Uuid::now_v7().to_string(),
            at_ms: self.inner.clock.now_ms(),
            service: Some(ask.service.clone()),
            actor: who.identity.user.clone(),
            groups: who.identity.groups.clone(),
            channel: who.channel,
            address: who.address.clone(),
            action: ask.wish.action(),
            reason,
            request_id: ask.request_id.clone(),
            details: Details {
                acknowledged: ask.ack.clone(),
                retired: match &ask.wish {
                    Wish::Retire(version) => Some(version.clone()),
                    _ => None,
                },
                ..Details::default()
            },
        }
    }
}

/// How a change ended of which nothing was written: refused by what was asked for, or failed by no fault of it.
fn ending_of(refusal: &Refusal) -> Ending {
    match refusal.code.class() {
        Class::Unavailable | Class::Unknown => Ending::Failed,
        // Sluice itself lacks a right: nothing that the person asked for is wrong.
        _ if refusal.code == Code::ClusterForbids => Ending::Failed,
        _ => Ending::Refused,
    }
}

fn entry_revision(entry: &Entry) -> Option<Revision> {
    entry.outcome.as_ref()?.revision
}

/// The last change as the store keeps it with the service's state.
pub(super) fn last_of(state: &crate::store::ServiceState) -> LastChange {
    LastChange {
        at_ms: state.at_ms,
        by: state.by.clone(),
        channel: state.channel,
        action: state.action,
        ending: state.ending,
        entry: state.entry,
    }
}
