//! Queries about releases and their answers, for the pages and the API.

use std::time::Duration;

use tokio::time::Instant;

use crate::cluster::Visible;
use crate::domain::actor::{Actor, Identity};
use crate::domain::ids::{ServiceRef, VersionName};
use crate::domain::overview::{Difference, Happening, Overview, Rights};
use crate::domain::refusal::{Check, Code, Refusal};
use crate::domain::release::{Judgement, PauseReason, Phase, Release, ReleaseId, TimelineEntry, Word};
use crate::services::Services;
use crate::services::once::unavailable;
use crate::store::{Held, Place, ReleaseFilter};

/// Which releases are meant.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ReleaseAsk {
    pub show: ReleaseShow,
    /// A part of service, version, image or number.
    pub text: String,
    pub service: Option<ServiceRef>,
    /// 1..=500; 0 = 100.
    pub limit: usize,
    /// From [`ReleasePage::next`].
    pub cursor: Option<String>,
}

/// Which phases are shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum ReleaseShow {
    #[default]
    All,
    Active,
    /// Paused by itself, or in need of a person.
    Attention,
    Done,
}

/// One page of releases: those that wait for a person first, then those in progress, then those that were not
/// started, then those that ended; the newest of each first.
#[derive(Clone, Debug, Default)]
pub struct ReleasePage {
    pub items: Vec<Release>,
    pub next: Option<String>,
    /// Releases that move traffic now and that the person may see.
    pub active: usize,
}

/// One release with what its page needs besides.
#[derive(Clone, Debug)]
pub struct ReleaseDetail {
    pub release: Release,
    /// Newest first, at most 200.
    pub timeline: Vec<TimelineEntry>,
    /// Newest first, at most 200.
    pub judgements: Vec<Judgement>,
    /// The service as it stands; `None` when it is gone.
    pub overview: Option<Overview>,
    pub rights: Rights,
    /// The commands that it accepts now.
    pub words: Vec<Word>,
    /// Of these, what the person lacks a right for.
    pub denied: Vec<(Word, Refusal)>,
    /// What has to be accepted before the stable or the new version is deleted.
    pub reached: Vec<(VersionName, Vec<Check>)>,
    /// What was changed outside, while it stands still because of that.
    pub outside: Option<Difference>,
}

/// What a caller waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Until {
    /// Paused, or at its end.
    Settled,
    Final,
}

impl Services {
    /// The releases that the person may see.
    pub async fn releases(&self, who: &Actor, ask: &ReleaseAsk) -> Result<ReleasePage, Refusal> {
        let visible = self.visible(&who.identity).await?;
        let of = |pick: &dyn Fn(Phase) -> bool| -> Vec<&'static str> {
            Phase::ALL.into_iter().filter(|phase| pick(*phase)).map(Phase::as_str).collect()
        };
        let after = match &ask.cursor {
            Some(cursor) => {
                Some(cursor.parse().map(Place).map_err(|_| Refusal::new(Code::BadCursor).field("cursor"))?)
            }
            None => None,
        };
        let namespaces = match &visible {
            Visible::All => None,
            Visible::Some(some) => Some(some.iter().cloned().collect()),
        };
        let filter = ReleaseFilter {
            service: ask.service.clone(),
            live: None,
            phases: match ask.show {
                ReleaseShow::All => Vec::new(),
                ReleaseShow::Active => of(&|phase| phase.owns_service() || phase == Phase::Scheduled),
                ReleaseShow::Attention => of(&|phase| matches!(phase, Phase::Paused | Phase::NeedsAttention)),
                ReleaseShow::Done => of(&Phase::is_final),
            },
            pauses: match ask.show {
                ReleaseShow::Attention => {
                    let all = PauseReason::ALL.into_iter().filter(|reason| reason.is_trouble());
                    all.map(PauseReason::as_str).collect()
                }
                _ => Vec::new(),
            },
            namespaces,
            after,
            text: ask.text.clone(),
        };
        let limit = if ask.limit == 0 { 100 } else { ask.limit.clamp(1, 500) };
        let (items, next) = self.inner.store.releases(&filter, limit).await.map_err(unavailable)?;
        let next = next.map(|place| place.0.to_string());
        let mut shown = Vec::with_capacity(items.len());
        for held in items {
            shown.push(self.shown_release(&who.identity, held.release).await);
        }
        let items = shown;
        let active = super::locked(&self.inner.releases.owners)
            .keys()
            .filter(|at| visible.contains(&at.namespace))
            .count();
        Ok(ReleasePage { items, next, active })
    }

    /// One release.
    pub async fn release(&self, who: &Actor, id: ReleaseId) -> Result<ReleaseDetail, Refusal> {
        let release = self.held_release(who, id).await?.release;
        let at = release.at().clone();
        let timeline = self.inner.store.release_timeline(id, None, 200).await.map_err(unavailable)?;
        let timeline = self.shown_timeline(&who.identity, &at, timeline).await;
        let mut judgements = self.inner.store.release_looks(id, 200).await.map_err(unavailable)?;
        // Those of an earlier attempt say nothing about this one.
        judgements.retain(|look| release.started_ms.is_some_and(|since| look.at_ms >= since));
        let overview = self.overview(who, &at, 60).await.ok();
        let rights = Rights { change: self.brake_right(&who.identity, &release.spec).await? };
        let words = release.state.words();
        // A reading that fails now is reported by the command itself.
        let mut denied = self.commands_denied(&who.identity, &release).await.unwrap_or_default();
        if let Some(refusal) = self.no_revision_left(&release).await {
            denied.push((Word::Rollback, refusal));
        }
        if let Some(refusal) = self.lacks_stable(&release) {
            denied.push((Word::Retry, refusal));
        }
        let outside = self.difference(who, &release).await?;
        let reached = match &overview {
            Some(item) => self.reached_versions(&who.identity, &release, item).await,
            None => Vec::new(),
        };
        Ok(ReleaseDetail { release, timeline, judgements, overview, rights, words, denied, reached, outside })
    }

    /// Of each version that can be deleted now, what has to be accepted before.
    async fn reached_versions(
        &self,
        who: &Identity,
        release: &Release,
        item: &Overview,
    ) -> Vec<(VersionName, Vec<Check>)> {
        let mut out = Vec::new();
        for (word, version) in
            [(Word::Retire, &release.spec.stable), (Word::DeleteVersion, release.candidate())]
        {
            if release.state.may(word) {
                let seen = item.observed.as_ref();
                let checks = self.reached(who, &item.snapshot, &item.routing, version, seen).await;
                out.push((version.clone(), checks));
            }
        }
        out
    }

    /// What happened since.
    pub async fn timeline(
        &self,
        who: &Actor,
        id: ReleaseId,
        after: Option<u64>,
        limit: usize,
    ) -> Result<Vec<TimelineEntry>, Refusal> {
        let at = self.held_release(who, id).await?.release.at().clone();
        let entries = self.inner.store.release_timeline(id, after, limit.clamp(1, 500)).await;
        Ok(self.shown_timeline(&who.identity, &at, entries.map_err(unavailable)?).await)
    }

    /// What was seen, newest first.
    pub async fn judgements(
        &self,
        who: &Actor,
        id: ReleaseId,
        limit: usize,
    ) -> Result<Vec<Judgement>, Refusal> {
        self.held_release(who, id).await?;
        self.inner.store.release_looks(id, limit.clamp(1, 2_000)).await.map_err(unavailable)
    }

    /// Waits until a release is where the caller wants it, at most `wait` (60 s); answers as it stands then.
    pub async fn await_release(
        &self,
        who: &Actor,
        id: ReleaseId,
        wait: Duration,
        until: Until,
    ) -> Result<Release, Refusal> {
        let mut happenings = self.happenings();
        let end = Instant::now() + wait.min(Duration::from_mins(1));
        loop {
            let release = self.held_release(who, id).await?.release;
            let phase = release.state.phase;
            let quiet = release.state.pending.is_empty();
            let there = (phase.is_final() && quiet) || (until == Until::Settled && phase == Phase::Paused);
            if there || Instant::now() >= end {
                return Ok(release);
            }
            loop {
                match tokio::time::timeout_at(end, happenings.recv()).await {
                    Ok(Ok(Happening::Release { id: about, .. })) if about != id => {}
                    Ok(Ok(Happening::Release { .. }) | Err(_)) | Err(_) => break,
                    Ok(Ok(_)) => {}
                }
            }
        }
    }

    /// The release that moves the service, once a transition that is just being stored is done: whoever read that
    /// the last one has ended may begin the next.
    pub(super) async fn owner_now(&self, at: &ServiceRef) -> Option<ReleaseId> {
        let id = self.release_of(at)?.id;
        if let Some(slot) = self.inner.releases.slot(id) {
            drop(slot.held.lock().await);
        }
        self.release_of(at).map(|moving| moving.id)
    }

    /// The release as it is stored; the same refusal for one that is hidden and one that is not there.
    pub(super) async fn held_release(&self, who: &Actor, id: ReleaseId) -> Result<Held, Refusal> {
        let none = || Refusal::new(Code::ReleaseNotFound).arg("id", id);
        let mut held = self.inner.store.release(id).await.map_err(unavailable)?.ok_or_else(none)?;
        if !self.visible(&who.identity).await?.contains(&held.release.at().namespace) {
            return Err(none());
        }
        held.release = self.shown_release(&who.identity, held.release).await;
        Ok(held)
    }
}
