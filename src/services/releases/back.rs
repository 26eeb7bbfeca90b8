//! The way back of a release that is done: what its service had before it began, and what a switch back gives it.
//! The question on the page, the check of the command and the action all ask here, so that they say the same.

use serde_json::Value;

use crate::cluster::Ask;
use crate::domain::actor::Actor;
use crate::domain::audit::{Entry, Filter};
use crate::domain::command::TrafficChange;
use crate::domain::ids::{Revision, ServiceRef, VersionName};
use crate::domain::plan::Effect;
use crate::domain::refusal::{Code, Refusal};
use crate::domain::release::{Candidate, Phase, Release, ReleaseId, Strategy, Word};
use crate::domain::routing::Weights;
use crate::domain::service::WorkloadKind;
use crate::domain::split::Split;
use crate::release::workload;
use crate::services::Services;
use crate::services::ask::Wish;
use crate::services::change::Look;
use crate::services::once::unavailable;
use crate::store::Held;

use super::workloads::source_of;

/// So many revisions can be chosen from.
pub const REVISIONS: usize = 20;

/// What a switch back gives the service.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct WayBack {
    /// The service's revision before the release; `None` where it wrote no routing object.
    pub revision: Option<Revision>,
    /// What the routing says now and would say then; empty without a mesh.
    pub now: Weights,
    pub then: Weights,
    /// Rules and copies change, too.
    pub rules: bool,
    pub mirror: bool,
    /// Numbers of pods that change: workload, now, then.
    pub pods: Vec<(String, u32, u32)>,
    /// The StatefulSet whose pods run their former image again: its name, and the image.
    pub image: Option<(String, String)>,
}

impl Services {
    /// What a switch back of this release would give its service now, or why it is not possible. Writes nothing.
    pub async fn way_back(&self, who: &Actor, id: ReleaseId) -> Result<WayBack, Refusal> {
        let held = self.held_release(who, id).await?;
        match self.way_back_of(who, &held).await {
            Ok(back) => Ok(back),
            Err(refusal) => Err(self.shown_refusal(&who.identity, held.release.at(), refusal).await),
        }
    }

    /// The service's revision before a release began; `None` where it wrote no routing object.
    pub async fn revision_before(&self, release: &Release) -> Result<Option<Revision>, Refusal> {
        let first =
            self.inner.store.first_revision_of(release.id, release.at()).await.map_err(unavailable)?;
        Ok(first.map(|first| first.saturating_sub(1)))
    }

    /// Of these revisions of a service those that need a version that is gone, with the refusal.
    pub async fn revisions_gone(
        &self,
        at: &ServiceRef,
        revisions: &[Revision],
    ) -> Result<Vec<(Revision, Refusal)>, Refusal> {
        let look = self.look(at, false).await?;
        let mut out = Vec::new();
        for revision in revisions {
            match self.effect_of_revision(at, *revision, &look).await {
                Err(refusal) if refusal.code == Code::UnknownVersion => out.push((*revision, refusal)),
                _ => {}
            }
        }
        Ok(out)
    }

    /// Why a release cannot be rolled back to any revision: each needs a version that is gone. `None` = there is one, or
    /// it is not known.
    pub(super) async fn no_revision_left(&self, release: &Release) -> Option<Refusal> {
        if !release.state.may(Word::Rollback) || release.spec.strategy == Strategy::Replicas {
            return None;
        }
        // While both versions are there, what was in force before the release can be restored.
        let snapshot = self.inner.cache.snapshot(release.at())?;
        let is_there = |name: &VersionName| {
            snapshot.versions.iter().any(|version| version.name == *name && !version.is_gone())
        };
        if is_there(&release.spec.stable) && is_there(release.candidate()) {
            return None;
        }
        let revisions = self.revisions_before(release.at()).await.ok()?;
        let mut gone = self.revisions_gone(release.at(), &revisions).await.ok()?;
        let all = !revisions.is_empty() && gone.len() == revisions.len();
        if all { gone.pop().map(|(_, refusal)| refusal) } else { None }
    }

    /// The latest revisions of a service but the present one, newest first, and revision 0: those that a person can
    /// choose.
    async fn revisions_before(&self, at: &ServiceRef) -> Result<Vec<Revision>, Refusal> {
        let filter = Filter { service: Some(at.clone()), ..Filter::default() };
        let page = self.inner.store.entries(&filter, None, 200).await.map_err(unavailable)?;
        let of = |entry: &Entry| entry.outcome.as_ref().and_then(|outcome| outcome.revision);
        let all: Vec<Revision> = page.items.iter().filter_map(of).collect();
        if all.is_empty() {
            return Ok(all);
        }
        Ok(all.into_iter().skip(1).take(REVISIONS).chain([0]).collect())
    }

    /// The same, judged by the rights of the person who asks for it: each object that would be written.
    pub(super) async fn way_back_of(&self, who: &Actor, held: &Held) -> Result<WayBack, Refusal> {
        let release = &held.release;
        let look = self.known_look(&who.identity, self.look(release.at(), false).await?).await?;
        let mut versions = look.snapshot.versions.iter();
        let known = versions.any(|version| version.name == release.spec.stable && !version.is_gone());
        if !known && !release.spec.candidate.is_in_place() {
            return Err(Refusal::new(Code::StableGone).arg("v", &release.spec.stable));
        }
        let mut back = WayBack::default();
        if let Some((revision, wish)) = self.routing_before(release, &look).await? {
            let decided = self.decide(who, release.at(), &wish, &look, "preview").await?;
            let Effect { before, after, rules_before, rules_after, mirror_before, mirror_after, .. } =
                decided.planned.effect;
            back.revision = Some(revision);
            back.rules = rules_before != rules_after;
            back.mirror = mirror_before != mirror_after;
            back.now = before;
            back.then = after;
        }
        self.pods_before(held, &look, &mut back).await?;
        let namespace = || release.at().namespace.clone();
        let mut asks = Vec::new();
        if let Some((set, _)) = &back.image {
            asks.push(Ask::workload("update", WorkloadKind::StatefulSet, namespace()).named(set));
            // A pod that never gets ready is deleted on the way.
            asks.push(Ask::pods("delete", namespace()));
        }
        if !back.pods.is_empty() {
            let both = [&release.spec.stable, release.spec.candidate.version()].into_iter();
            let known = both.filter_map(|name| Some(source_of(&look.snapshot, name).ok()?.1));
            asks.extend(
                known.map(|source| Ask::workload("update", source.kind, namespace()).named(&source.name)),
            );
        }
        match self.judge(&who.identity, release.at(), asks).await? {
            Some(refusal) => Err(refusal),
            None => Ok(back),
        }
    }

    /// The request that restores the routing from before the release; `None` when the release wrote none.
    pub(super) async fn routing_before(
        &self,
        release: &Release,
        look: &Look,
    ) -> Result<Option<(Revision, Wish)>, Refusal> {
        if release.spec.strategy == Strategy::Replicas {
            return Ok(None);
        }
        let Some(revision) = self.revision_before(release).await? else { return Ok(None) };
        let effect = self.effect_of_revision(release.at(), revision, look).await?;
        if !effect.after.is_empty() {
            return Ok(Some((revision, Wish::SwitchBack(revision))));
        }
        // Requests were spread by pods, and the new version had none. Now it has: what the old one had is all of them.
        let (stable, candidate) = (&release.spec.stable, release.spec.candidate.version());
        let there = look.snapshot.versions.iter().find(|version| version.name == *candidate);
        let aborts = release.state.phase == Phase::Aborting && !release.state.switch_back;
        if aborts && there.is_none_or(|version| version.total == 0 && version.ready == 0) {
            return Ok(Some((revision, Wish::SwitchBack(revision))));
        }
        let both = look.snapshot.versions.iter().any(|version| version.name == *candidate);
        let split = if both {
            Split::new(vec![(stable.clone(), 100), (candidate.clone(), 0)])?
        } else {
            Split::all_to(stable.clone())
        };
        let rules = (effect.rules_after != effect.rules_before).then_some(effect.rules_after);
        let mirror = effect.mirror_after != effect.mirror_before;
        // Where nothing was declared nothing was copied.
        let change = TrafficChange {
            weights: Some(split),
            rules,
            mirror: mirror.then_some(None),
            ..TrafficChange::default()
        };
        Ok(Some((revision, Wish::Set(change))))
    }

    async fn pods_before(&self, held: &Held, look: &Look, back: &mut WayBack) -> Result<(), Refusal> {
        let release = &held.release;
        if release.spec.candidate.is_in_place() {
            let gone = || Refusal::new(Code::StableGone).arg("v", &release.spec.stable);
            // A later release may have given its pods another version's name.
            let any = || {
                let mut all = look.snapshot.versions.iter().flat_map(|version| &version.workloads);
                all.find(|workload| workload.kind == WorkloadKind::StatefulSet)
            };
            let named = super::stateful::set_of(&look.snapshot, held).map(|(_, workload)| workload);
            let source = named.or_else(any).ok_or_else(gone)?;
            let at = &look.snapshot.service.at.namespace;
            let read = self.inner.cluster.workload(WorkloadKind::StatefulSet, at, &source.name).await;
            let set: Value = read.map_err(|error| error.refusal())?.ok_or_else(gone)?;
            let Candidate::Image { image, .. } = &release.spec.candidate else { return Ok(()) };
            workload::may_revert(&set, image)?;
            let noted = workload::noted_image(&set).unwrap_or_default().to_owned();
            back.image = Some((source.name.to_string(), noted));
            return Ok(());
        }
        let state = &release.state;
        let mut add = |name, had: Option<u32>, fits: &dyn Fn(u32, u32) -> bool| {
            let (Ok((_, source)), Some(had)) = (source_of(&look.snapshot, name), had) else { return };
            if fits(source.wanted, had) {
                back.pods.push((source.name.to_string(), source.wanted, had));
            }
        };
        add(&release.spec.stable, state.stable_replicas, &|now, had| now < had);
        if release.spec.strategy == Strategy::Replicas {
            add(release.spec.candidate.version(), state.candidate_replicas, &|now, had| now > had);
        }
        Ok(())
    }
}
