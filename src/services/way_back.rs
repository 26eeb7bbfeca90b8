//! Where *switch back* on a service's page leads, and what the page says of the service's releases. Reads only.

use crate::domain::audit::Entry;
use crate::domain::command::Command;
use crate::domain::ids::{Revision, ServiceRef, VersionName};
use crate::domain::overview::{Back, Overview, ReleaseStory};
use crate::domain::plan::{Effect, deltas};
use crate::domain::refusal::{Code, Refusal};
use crate::domain::release::{Judgement, Phase, Release, ReleaseId, Word};
use crate::domain::routing::Weights;
use crate::domain::snapshot::Snapshot;
use crate::routing::{self, ChangeStamp};
use crate::store::{RevisionOf, WeightsAt};

use super::Services;
use super::once::unavailable;

/// How many revisions are looked through for one to go back to.
const LOOKED_AT: usize = 200;
/// Of how many of them it is worked out what restoring them would do.
const TRIED: usize = 8;
/// The longest course of changes that is followed to its beginning, revisions.
const COURSE: u32 = 50;
/// How long the page of a service tells of a release that went back, unless something else happens before.
const SHOWN_MS: i64 = 24 * 3_600_000;

/// How a release ended that reached its aim.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Ended {
    Done,
    /// It was done, and somebody switched it back: its end, and what it went back to, can both be restored.
    SwitchedBack,
}

impl Services {
    /// Where *switch back* leads from the present state of a service.
    pub(super) async fn back_of(&self, item: &Overview) -> Result<Option<Back>, Refusal> {
        let at = item.at();
        let written =
            self.inner.store.revisions_to(at, item.revision, LOOKED_AT).await.map_err(unavailable)?;
        let mut known: Option<(ReleaseId, Option<Ended>)> = None;
        let mut later: Option<(ReleaseId, bool)> = None;
        let mut refused = None;
        let mut whole = None;
        let mut tried = 0;
        // Revision 0 has no entry of its own: it is what the first change found.
        let origin = RevisionOf { revision: 0, release: None, is_back: false };
        for RevisionOf { revision, release, is_back } in written.into_iter().chain([origin]) {
            // What a release wrote on its way is one change, and its way back another.
            let part = release.map(|id| (id, is_back));
            let step = part.is_some() && part == later;
            later = part;
            if revision == item.revision || step {
                continue;
            }
            if let Some(id) = release {
                let ended = match known.filter(|(of, _)| *of == id) {
                    Some((_, ended)) => ended,
                    None => self.ended_well(id).await?,
                };
                known = Some((id, ended));
                match ended {
                    Some(_) => {}
                    None => continue,
                }
            }
            tried += 1;
            if tried > TRIED {
                break;
            }
            let present = match &whole {
                Some(present) => present,
                None => whole.insert(self.whole_of(item).await?),
            };
            match self.effect_of_restoring(at, present, revision).await? {
                Some(Ok(effect)) if effect.is_nothing() => {}
                Some(Ok(effect)) => return Ok(Some(Back { revision, effect })),
                Some(Err(refusal)) => {
                    tracing::debug!(service = %at, revision, %refusal, "cannot be restored");
                    // A version that is gone is no way back.
                    if refused.is_none() && refusal.code != Code::UnknownVersion {
                        let after = self.weights_at(at, revision).await?.unwrap_or_default();
                        let before = item.routing.declared().unwrap_or_default();
                        let effect = Effect { before, after, ..Effect::default() };
                        // The dialog says why it is not possible; what has these shares already is no way back.
                        refused = (!effect.is_nothing()).then_some(Back { revision, effect });
                    }
                }
                None => {}
            }
        }
        Ok(refused)
    }

    /// The service with its routing objects whole, as a plan needs them: the watch cache does not keep them. As they
    /// were recorded at its revision; read freshly where they were not.
    async fn whole_of(&self, item: &Overview) -> Result<Snapshot, Refusal> {
        let specs = self.inner.store.specs_at(item.at(), item.revision).await.map_err(unavailable)?;
        let whole = specs.and_then(|specs| routing::recorded(&item.snapshot, &item.routing.objects, &specs));
        match whole {
            Some(whole) => Ok(whole),
            None => Ok(self.look(item.at(), false).await?.snapshot),
        }
    }

    /// The version that had the traffic before this course of changes began, while it has any of it: it keeps its
    /// name until it is at 0. `None` where nothing says so; then it is the version with the largest share.
    pub(super) async fn stable_of(&self, item: &Overview) -> Result<Option<VersionName>, Refusal> {
        let Some(declared) = item.routing.declared() else { return Ok(None) };
        let has =
            |version: &VersionName| declared.iter().any(|(name, weight)| name == version && *weight > 0);
        let mut first = None;
        let course = self.inner.store.weights_to(item.at(), item.revision, COURSE).await;
        let mut goes_on_at = item.revision;
        for WeightsAt { revision, weights, restores, stable } in course.map_err(unavailable)? {
            if revision > goes_on_at {
                continue;
            }
            // What was restored has the course that it had: the one that was left counts for nothing.
            if let Some(restored) = restores.filter(|restored| *restored < revision) {
                goes_on_at = restored;
                continue;
            }
            let had = |version: &VersionName| weights.iter().any(|(name, n)| name == version && *n > 0);
            if let Some(stable) = stable.filter(|stable| has(stable) && had(stable)) {
                first = Some(stable);
                break;
            }
            let Some((version, weight)) = weights.iter().rev().max_by_key(|(_, weight)| *weight) else {
                break;
            };
            if !has(version) {
                break;
            }
            first = Some(version.clone());
            if *weight == 100 {
                break;
            }
        }
        Ok(first)
    }

    /// The latest release of a service whose requests are spread by pods, where it is done and can be switched back.
    pub(super) async fn undo_of(&self, item: &Overview) -> Result<Option<Box<Release>>, Refusal> {
        if !item.routing.is_by_pods() || item.release.is_some() {
            return Ok(None);
        }
        let latest = self.inner.store.latest_release_of(item.at()).await.map_err(unavailable)?;
        let done = latest.map(|held| held.release).filter(|release| {
            let state = &release.state;
            state.phase == Phase::Succeeded && state.may(Word::SwitchBack)
        });
        Ok(done.map(Box::new))
    }

    /// How a release ended that reached its aim: what it wrote last is as good as what a person wrote. `None` = it
    /// has not ended, or went back before.
    async fn ended_well(&self, id: ReleaseId) -> Result<Option<Ended>, Refusal> {
        let held = self.inner.store.release(id).await.map_err(unavailable)?;
        Ok(held.and_then(|held| match held.release.state.phase {
            Phase::Succeeded => Some(Ended::Done),
            Phase::RolledBack if held.release.state.switch_back => Some(Ended::SwitchedBack),
            _ => None,
        }))
    }

    /// What restoring a revision would do to a service as it was read; `None` = the history does not hold it.
    async fn effect_of_restoring(
        &self,
        at: &ServiceRef,
        present: &Snapshot,
        revision: Revision,
    ) -> Result<Option<Result<Effect, Refusal>>, Refusal> {
        let specs = self.inner.store.specs_at(at, revision).await.map_err(unavailable)?;
        let Some(specs) = specs else { return Ok(None) };
        // Whether a version is gone decides if it is possible; which subsets go does not.
        let weights = self.weights_at(at, revision).await?;
        let command = Command::SwitchBack { revision, specs, weights, added: Vec::new() };
        let stamp = ChangeStamp { change: String::new(), revision: None, actor: String::new() };
        let planned = routing::plan(&command, present, &self.inner.settings.policy, &stamp);
        Ok(Some(planned.map(|planned| planned.effect)))
    }

    /// What was declared before the first change from here, where that can be restored and is not the present state.
    pub(super) async fn origin_of(&self, at: &ServiceRef, now: Revision) -> Result<Option<Weights>, Refusal> {
        if now == 0 || self.inner.store.specs_at(at, 0).await.map_err(unavailable)?.is_none() {
            return Ok(None);
        }
        Ok(Some(self.weights_at(at, 0).await?.unwrap_or_default()))
    }

    /// Of the revisions of a history, and of revision 0 where `origin` is what it had, those that are no way back:
    /// restoring them would change nothing, or send requests to a version that is gone. Only those with the present
    /// shares or with such a version are looked at: the others change at least the shares.
    pub(super) async fn unchanged_by(
        &self,
        item: &Overview,
        history: &[Entry],
        origin: Option<&Weights>,
    ) -> Result<Vec<Revision>, Refusal> {
        let declared = item.routing.declared().unwrap_or_default();
        let versions = &item.snapshot.versions;
        let lost = |(name, weight): &(VersionName, u8)| {
            *weight > 0 && !versions.iter().any(|version| version.name == *name && !version.is_gone())
        };
        let equal = |weights: Option<&Weights>| {
            weights.is_some_and(|weights| deltas(weights, &declared).is_empty() || weights.iter().any(lost))
        };
        let recorded = |entry: &Entry| {
            let outcome = entry.outcome.as_ref()?;
            let weights = outcome.details.after.as_ref().or(entry.intent.details.after.as_ref());
            outcome.revision.filter(|_| equal(weights))
        };
        let mut asked: Vec<Revision> = history.iter().filter_map(recorded).collect();
        asked.extend(equal(origin).then_some(0));
        asked.retain(|revision| *revision != item.revision);
        let (mut out, mut present) = (Vec::new(), None);
        for revision in asked {
            let present = match &present {
                Some(present) => present,
                None => present.insert(self.whole_of(item).await?),
            };
            let effect = self.effect_of_restoring(item.at(), present, revision).await?;
            let none = effect.is_some_and(|planned| match planned {
                Ok(effect) => effect.is_nothing(),
                Err(refusal) => refusal.code == Code::UnknownVersion,
            });
            out.extend(none.then_some(revision));
        }
        Ok(out)
    }

    /// The release that moves a service now; else the latest one, while it is the last that happened to the service
    /// and ended by going back.
    pub(super) async fn story_of(&self, item: &Overview) -> Result<Option<Box<ReleaseStory>>, Refusal> {
        let latest = match item.release {
            Some(moving) => self.inner.store.release(moving.id).await,
            None => self.inner.store.latest_release_of(item.at()).await,
        };
        let Some(release) = latest.map_err(unavailable)?.map(|held| held.release) else { return Ok(None) };
        let tells = release.state.phase.owns_service()
            || (release.state.phase == Phase::RolledBack
                && !release.state.switch_back
                && release.ended_ms.is_some_and(|ended_ms| {
                    let newest = item.last.as_ref().is_none_or(|last| last.at_ms <= ended_ms);
                    newest && self.inner.clock.now_ms() - ended_ms < SHOWN_MS
                }));
        if !tells {
            return Ok(None);
        }
        let judged = self.inner.store.release_looks(release.id, 1).await.map_err(unavailable)?;
        // A look of an earlier attempt says nothing about this one.
        let of_now = |look: &Judgement| release.started_ms.is_some_and(|since| look.at_ms >= since);
        Ok(Some(Box::new(ReleaseStory { judgement: judged.into_iter().find(of_now), release })))
    }
}
