//! Creating a release, starting it, and commands to it. Each is judged by the person's rights, and each
//! attempt that was understood is a row of the history.

use crate::domain::actor::{Actor, Identity, Person};
use crate::domain::audit::{Action as Act, Details, Intent};
use crate::domain::ids::ServiceRef;
use crate::domain::overview::Happening;
use crate::domain::refusal::{Code, Refusal};
use crate::domain::release::{Command, Happened, Phase, Release, ReleaseId, Spec, State, Word};
use crate::domain::removal;
use crate::release::Event;
use crate::services::Services;
use crate::services::change::check_reason;
use crate::services::once::unavailable;
use crate::store::Held;

use super::driver::By;
use super::workloads::{deletions, source_of};

/// A command with what comes with it.
#[derive(Clone, Debug)]
pub struct CommandAsk<'a> {
    pub command: Command,
    /// Codes that the person accepts.
    pub ack: Vec<String>,
    /// The `seq` that the person saw; abort and pause may leave it out.
    pub expected: Option<u64>,
    pub reason: &'a str,
    pub request_id: &'a str,
}

impl Services {
    /// Stores a release that can be meant, without starting it. Otherwise every refusal, each with its field.
    pub async fn create_release(
        &self,
        who: &Actor,
        spec: Spec,
        reason: &str,
        request_id: &str,
    ) -> Result<Release, Vec<Refusal>> {
        let one = |refusal: Refusal| vec![refusal];
        self.must_see(who, &spec.service).await.map_err(one)?;
        let reason = check_reason(reason, true).map_err(one)?;
        let plan = self.plan_release(who, &spec).await.map_err(one)?;
        if let Some(refusal) = plan.refusals.iter().find(|refusal| refusal.code == Code::Forbidden) {
            let intent = self.release_intent(who, &spec.service, &reason, request_id);
            return Err(one(self.refuse(intent, refusal.clone()).await.refusal));
        }
        if !plan.refusals.is_empty() {
            return Err(plan.refusals);
        }
        let now_ms = self.inner.clock.now_ms();
        let release = Release {
            id: ReleaseId(0),
            spec,
            state: State::new(),
            seq: 0,
            created_ms: now_ms,
            changed_ms: now_ms,
            started_ms: None,
            ended_ms: None,
            by: who.identity.user.clone(),
            reason: reason.clone(),
        };
        let held = Held { release, version: 0, owner: Identity::clone(&who.identity) };
        let by = By {
            who: Some(who.clone()),
            reason,
            request_id: request_id.to_owned(),
            expected: None,
            ack: Vec::new(),
        };
        let before = held.release.clone();
        let (intent, outcome, entry) = Self::told(&before, &held, vec![Happened::Created], now_ms, &by);
        let stored = self.inner.store.create_release(held, intent, outcome, entry, self.receivers()).await;
        let release = stored.map_err(|error| one(unavailable(error)))?.release;
        let (id, service, phase) = (release.id, release.at().clone(), release.state.phase);
        self.announce(Happening::Release { id, service, phase });
        Ok(release)
    }

    /// Makes a release and starts it.
    pub async fn start_release(
        &self,
        who: &Actor,
        spec: Spec,
        reason: &str,
        request_id: &str,
    ) -> Result<Release, Vec<Refusal>> {
        let release = self.create_release(who, spec, reason, request_id).await?;
        let told = self.command_release(who, release.id, Command::Start, None, reason, request_id).await;
        told.map_err(|refusal| vec![refusal])
    }

    /// Gives a command that accepts nothing.
    pub async fn command_release(
        &self,
        who: &Actor,
        id: ReleaseId,
        command: Command,
        expected: Option<u64>,
        reason: &str,
        request_id: &str,
    ) -> Result<Release, Refusal> {
        self.give_command(who, id, CommandAsk { command, ack: Vec::new(), expected, reason, request_id })
            .await
    }

    /// Gives a command to a release.
    pub async fn give_command(
        &self,
        who: &Actor,
        id: ReleaseId,
        ask: CommandAsk<'_>,
    ) -> Result<Release, Refusal> {
        let at = self.held_release(who, id).await?.release.at().clone();
        match self.take_command(who, id, ask).await {
            Ok(release) => Ok(self.shown_release(&who.identity, release).await),
            Err(refusal) => Err(self.shown_refusal(&who.identity, &at, refusal).await),
        }
    }

    async fn take_command(
        &self,
        who: &Actor,
        id: ReleaseId,
        ask: CommandAsk<'_>,
    ) -> Result<Release, Refusal> {
        let CommandAsk { command, ack, expected, reason, request_id } = ask;
        let mut held = self.held_release(who, id).await?;
        if held.release.state.phase == Phase::Paused && !command.word().goes_back() {
            // What is known of the service by now is part of what is decided on.
            let world = self.world_of(&held.release);
            self.observe(id, world, By::itself()).await?;
            held = self.held_release(who, id).await?;
        }
        let at = held.release.at().clone();
        self.not_too_often(who, &at)?;
        let word = command.word();
        let asked = held.release.state.asked(word);
        let reason = check_reason(reason, word.needs_reason() || !asked.is_empty())?;
        let mut intent = self.release_intent(who, &at, &reason, request_id);
        let phase = held.release.state.phase;
        intent.details.acknowledged.clone_from(&ack);
        intent.details.release = Some(Box::new(crate::domain::audit::ReleaseMark::of(
            &held.release,
            phase,
            vec![Happened::Told { word }],
        )));
        if let Some(refusal) = self.command_right(&who.identity, &held.release, &command).await? {
            return Err(self.refuse(intent, refusal).await.refusal);
        }
        let state = &held.release.state;
        let approves = word == Word::Promote && state.awaits_approval();
        let accepts = asked.iter().any(|no| no.code == Code::CandidateChanged)
            && ack.iter().any(|code| code == Code::CandidateChanged.as_str());
        if ((approves && held.release.spec.policies.second_person) || accepts) && expected.is_none() {
            // An approval is for what was seen, and nothing else.
            return Err(self.refuse(intent, Refusal::new(Code::PreconditionRequired)).await.refusal);
        }
        if matches!(command, Command::Start) {
            // What was true when it was made may not be any more.
            let plan = self.whole_plan(who, &held.release.spec).await?;
            if let Some(refusal) = plan.refusals.into_iter().next() {
                return Err(self.refuse(intent, refusal).await.refusal);
            }
        }
        if let Err(refusal) = self.may_remove(&who.identity, &held.release, &command, &ack).await {
            return Err(self.refuse(intent, refusal).await.refusal);
        }
        if let Command::Rollback { revision } = &command {
            let known = self.inner.store.specs_at(&at, *revision).await.map_err(unavailable)?;
            if known.is_none() {
                let refusal = Refusal::new(Code::UnknownRevision).field("revision");
                return Err(refusal.arg("r", revision).arg("svc", &at));
            }
            if held.release.state.may(word)
                && let Some((_, refusal)) = self.revisions_gone(&at, &[*revision]).await?.pop()
            {
                return Err(self.refuse(intent, refusal).await.refusal);
            }
        }
        if word == Word::Retry
            && let Some(refusal) = self.lacks_stable(&held.release)
        {
            return Err(self.refuse(intent, refusal).await.refusal);
        }
        if word == Word::SwitchBack
            && held.release.state.may(word)
            && let Err(refusal) = self.way_back_of(who, &held).await
        {
            return Err(self.refuse(intent, refusal).await.refusal);
        }
        let by = By {
            who: Some(who.clone()),
            reason,
            request_id: request_id.to_owned(),
            // The way back is never too late.
            expected: expected.filter(|_| !word.goes_back()),
            ack: ack.clone(),
        };
        let event = Event::Accepting { command, by: Person::from(&*who.identity), ack };
        match self.observe(id, event, by).await {
            Ok(release) => Ok(release),
            // A value that cannot be: nothing was attempted.
            Err(refusal) if refusal.field.is_some() => Err(refusal),
            Err(refusal) => Err(self.refuse(intent, refusal).await.refusal),
        }
    }

    /// Refuses a command that deletes a version which stays, which requests can still reach without that being accepted,
    /// or whose deletion the cluster refuses: all of it as it is now, before anything is written.
    async fn may_remove(
        &self,
        who: &Identity,
        release: &Release,
        command: &Command,
        ack: &[String],
    ) -> Result<(), Refusal> {
        let (version, confirm) = match command {
            Command::Retire { confirm } => (&release.spec.stable, confirm),
            Command::DeleteVersion { confirm } => (release.candidate(), confirm),
            _ => return Ok(()),
        };
        // What is not possible, or not confirmed, is reported first.
        if !release.state.may(command.word())
            || removal::confirmed(&release.at().name, version, confirm).is_err()
        {
            return Ok(());
        }
        let look = self.look(release.at(), false).await?;
        let going = self.departing(&look, version).await?;
        let observed = self.inner.metrics.observed(&look.snapshot, 60).await.ok().flatten();
        let reached = self.reached(who, &look.snapshot, &look.routing, version, observed.as_ref()).await;
        if let Some(refusal) = Refusal::of_checks(&reached, ack) {
            return Err(refusal);
        }
        self.try_deletions(&deletions(&going)).await.map_err(|trouble| trouble.refusal().clone())
    }

    /// Why an ended release cannot be retried: what it begins from, or goes back to, is not there any more. The page
    /// disables the command for the same reason.
    pub(super) fn lacks_stable(&self, release: &Release) -> Option<Refusal> {
        let state = &release.state;
        let needed = state.phase == Phase::RolledBack
            || (state.phase == Phase::NeedsAttention && state.back_to.is_none());
        if !needed || !state.may(Word::Retry) {
            return None;
        }
        let snapshot = self.inner.cache.snapshot(release.at())?;
        let there =
            release.spec.candidate.is_in_place() || source_of(&snapshot, &release.spec.stable).is_ok();
        (!there).then(|| Refusal::new(Code::StableGone).arg("v", &release.spec.stable))
    }

    fn release_intent(&self, who: &Actor, at: &ServiceRef, reason: &str, request_id: &str) -> Intent {
        Intent {
            change: uuid::Uuid::now_v7().to_string(),
            at_ms: self.inner.clock.now_ms(),
            service: Some(at.clone()),
            actor: who.identity.user.clone(),
            groups: who.identity.groups.clone(),
            channel: who.channel,
            address: who.address.clone(),
            action: Act::Release,
            reason: reason.to_owned(),
            request_id: request_id.to_owned(),
            details: Details::default(),
        }
    }
}
