//! The services that a person may see: a page of them, and each by itself.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex, PoisonError};

use futures::StreamExt;

use crate::cluster::{Health, KindHealth};
use crate::domain::actor::Actor;
use crate::domain::audit::{Action, Ending, Entry, Filter};
use crate::domain::ids::{Kind, Namespace, ServiceRef};
use crate::domain::observed::{Hits, Observed, RouteHits};
use crate::domain::overview::{Detail, Overview, ReleaseStory, Rights};
use crate::domain::refusal::{Check, Code, Refusal, Severity};
use crate::domain::routing::{Route, Routing, Rule};
use crate::domain::snapshot::Snapshot;
use crate::metrics::{Health as Figures, Look};
use crate::routing;

use super::Services;
use super::access::not_found;
use super::beyond::Beyond;
use super::index::Row;
use super::once::unavailable;
use super::standing::{Aim, Seen, standing, with_figures};
use super::traffic::last_of;

/// The window in which the hits of rules are counted, seconds.
const HITS_S: u32 = 300;
/// Rows of the history on the page of a service.
const HISTORY_ROWS: usize = 10;
/// How many are read for them.
const HISTORY_READ: usize = 50;
/// How many readings are kept: a few screens' worth.
const KEPT: usize = 2_048;

/// What was read out of snapshots lately, by the snapshot itself.
#[derive(Default)]
pub(super) struct Routings(Mutex<Kept>);

type Kept = HashMap<ServiceRef, (Arc<Snapshot>, Arc<Routing>)>;

impl Routings {
    /// The routing of a snapshot, read once and kept.
    pub fn of(&self, snapshot: &Arc<Snapshot>) -> Arc<Routing> {
        if let Some(routing) = self.kept(snapshot) {
            return routing;
        }
        let at = &snapshot.service.at;
        let routing = Arc::new(routing::read(snapshot));
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() >= KEPT {
            kept.clear();
        }
        kept.insert(at.clone(), (snapshot.clone(), routing.clone()));
        routing
    }

    /// The same without keeping it: for a walk over all services, which would drive out those on screens.
    pub fn glance(&self, snapshot: &Arc<Snapshot>) -> Arc<Routing> {
        self.kept(snapshot).unwrap_or_else(|| Arc::new(routing::read(snapshot)))
    }

    fn kept(&self, snapshot: &Arc<Snapshot>) -> Option<Arc<Routing>> {
        let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (of, routing) = kept.get(&snapshot.service.at)?;
        Arc::ptr_eq(of, snapshot).then(|| routing.clone())
    }
}

/// The entries that the page of a service shows: what made a revision or is no release's, and of each release the newest
/// that says how it stands. The rest is in the whole history, and on the page of the release.
fn told_once(items: Vec<Entry>) -> Vec<Entry> {
    let mut told = BTreeSet::new();
    let mut is_shown = |entry: &Entry| {
        let outcome = entry.outcome.as_ref();
        let mark = outcome.and_then(|outcome| outcome.details.release.as_deref());
        let Some(mark) = mark.or(entry.intent.details.release.as_deref()) else { return true };
        match entry.intent.action {
            // Rows of an earlier version are not known to be routine before they are read.
            Action::Release => !entry.is_routine() && told.insert(mark.id),
            Action::Workload => outcome.is_none_or(|outcome| outcome.ending != Ending::Applied),
            _ => true,
        }
    };
    items.into_iter().filter(|entry| is_shown(entry)).take(HISTORY_ROWS).collect()
}

impl Services {
    /// Names of services that the person may see, in order, at most `most`: for menus.
    pub async fn names(&self, who: &Actor, most: usize) -> Result<Vec<ServiceRef>, Refusal> {
        let visible = self.visible(&who.identity).await?;
        let sorted = self.inner.index.sorted();
        let seen = sorted.name.iter().map(|row| &row.at).filter(|at| visible.contains(&at.namespace));
        Ok(seen.take(most).cloned().collect())
    }

    /// One service, for a person who may see it.
    pub async fn overview(&self, who: &Actor, at: &ServiceRef, window_s: u32) -> Result<Overview, Refusal> {
        self.must_see(who, at).await?;
        let one = self.overviews(std::slice::from_ref(at), window_of(window_s)).await?;
        let one = one.into_iter().next();
        let one = one.ok_or_else(|| self.inner.cache.blindness().unwrap_or_else(|| not_found(at)))?;
        Ok(self.shown_overview(&who.identity, one).await)
    }

    /// One service with what its page needs besides. Its revision is that of the objects as they are now:
    /// an outside edit that was not recorded yet is recorded first.
    pub async fn detail(&self, who: &Actor, at: &ServiceRef, window_s: u32) -> Result<Detail, Refusal> {
        self.must_see(who, at).await?;
        // The cluster may be away; then what was last known is shown, and the notices say so.
        if let Err(refusal) = self.notice_outside_edit(at).await {
            tracing::debug!(service = %at, %refusal, "could not look for outside edits");
        }
        let overview = self.overview(who, at, window_s).await?;
        let change = self.change_right(&who.identity, at).await.unwrap_or_else(Some);
        // What a release records by itself is on its page; here it would crowd the changes out.
        let filter = Filter { service: Some(at.clone()), changes_only: true, ..Filter::default() };
        let history = match self.entries(who, &filter, None, HISTORY_READ).await {
            Ok(page) => told_once(page.items),
            Err(refusal) => {
                tracing::debug!(service = %at, %refusal, "the page goes out without history");
                Vec::new()
            }
        };
        // A history that cannot be read costs these, not the page.
        let missing =
            |refusal: Refusal| tracing::debug!(service = %at, %refusal, "the page goes out without it");
        let mut back = self.back_of(&overview).await.map_err(missing).ok().flatten();
        if let Some(back) = &mut back {
            self.hide_effect(&who.identity, at, &mut back.effect).await;
        }
        let undo = match back {
            Some(_) => None,
            None => self.undo_of(&overview).await.map_err(missing).ok().flatten(),
        };
        let origin = self.origin_of(at, overview.revision).await.map_err(missing).ok().flatten();
        let unchanged = self.unchanged_by(&overview, &history, origin.as_ref()).await.map_err(missing);
        let unchanged = unchanged.unwrap_or_default();
        let stable = self.stable_of(&overview).await.map_err(missing).ok().flatten();
        let release = match self.story_of(&overview).await.map_err(missing).ok().flatten() {
            Some(story) => Some(Box::new(ReleaseStory {
                release: self.shown_release(&who.identity, story.release).await,
                judgement: story.judgement,
            })),
            None => None,
        };
        let hits = self.hits(&overview);
        let unread = self.unreadable(&who.identity, &overview.routing.objects).await;
        let mut retire = self.retirements(&who.identity, &overview).await;
        if let Some(unread) = self.unread_at(&who.identity, at).await {
            for one in &mut retire {
                unread.checks(&mut one.open);
                one.state = one.state.clone().map_err(|refusal| unread.refusal(refusal));
            }
        }
        let notices = self.notices();
        Ok(Detail {
            overview,
            rights: Rights { change },
            back,
            undo,
            origin,
            unchanged,
            stable,
            release,
            retire,
            unread,
            history,
            hits,
            notices,
        })
    }

    /// Several services at once: figures are asked once a namespace. A service that has gone is left out.
    pub(super) async fn overviews(
        &self,
        refs: &[ServiceRef],
        window_s: u32,
    ) -> Result<Vec<Overview>, Refusal> {
        self.inner.looked_at.store(self.inner.clock.now_ms(), std::sync::atomic::Ordering::Relaxed);
        let states = self.inner.store.states_of(refs).await.map_err(unavailable)?;
        let namespaces: BTreeSet<&Namespace> = refs.iter().map(|at| &at.namespace).collect();
        // Asked before they are streamed: a closure in the stream would tie the future to one lifetime.
        let asked: Vec<_> =
            namespaces.iter().map(|namespace| self.inner.metrics.look(namespace, window_s)).collect();
        let looks: Vec<_> = futures::stream::iter(asked).buffered(16).collect().await;
        let looks: BTreeMap<&Namespace, Look> =
            namespaces.into_iter().zip(looks).filter_map(|(at, look)| Some((at, look.ok()?))).collect();
        let host_config = self.inner.host_config.now();
        let joined = refs.iter().zip(states).filter_map(|(at, last)| {
            let snapshot = self.inner.cache.snapshot(at)?;
            let routing = self.inner.routings.of(&snapshot);
            let revision = last.as_ref().map_or(0, |state| state.revision);
            let progress = last.as_ref().and_then(|state| self.progress_of(at, state));
            let last = last.as_deref().map(last_of);
            let observed = looks.get(&at.namespace).and_then(|look| look.of(&snapshot));
            let release = self.release_of(at);
            let seen = observed.as_ref().map(|observed| self.seen(observed, &snapshot));
            let (state, mut findings) = standing(&routing, seen, last.as_ref());
            findings.extend(host_config.findings(&snapshot));
            let slots = self.slots_of(&snapshot);
            Some(Overview {
                snapshot,
                routing,
                state,
                findings,
                observed,
                revision,
                last,
                progress,
                release,
                slots,
            })
        });
        Ok(joined.collect())
    }

    /// How often the rules of a service were taken in the last five minutes, and how often none of them;
    /// `None` where the source of figures cannot tell.
    pub fn hits(&self, item: &Overview) -> Option<Hits> {
        let routing = &item.routing;
        let holder = routing.default_route()?;
        let counted = self.inner.metrics.hits(&holder.object.namespace, HITS_S);
        if counted.is_empty() {
            return None;
        }
        let of = |route: &Route| {
            let held = item
                .snapshot
                .virtual_services
                .iter()
                .find(|vs| vs.object.at(Kind::VirtualService) == route.object);
            let when =
                held.and_then(|vs| vs.object.spec.http.get(route.index)).map(|http| http.r#match.as_slice());
            let same = |hits: &&RouteHits| hits.object == route.object && Some(hits.when.as_slice()) == when;
            counted.iter().find(same).map_or(0.0, |hits| hits.requests)
        };
        let rule = |rule: &Rule| rule.id.as_ref().and_then(|id| routing.route(id)).map_or(0.0, of);
        Some(Hits { rules: routing.rules.iter().map(rule).collect(), rest: of(holder) })
    }

    /// What is missing or down among the things that Sluice reads from.
    pub fn notices(&self) -> Vec<Check> {
        let mut out = Vec::new();
        let health = self.inner.cache.health();
        let mut down = health.iter().filter_map(|kind| match &kind.state {
            Health::Failing { since_ms, code, message } => Some((*since_ms, *code, message)),
            _ => None,
        });
        if let Some((first, code, message)) = down.next() {
            let since = down.fold(first, |since, (other, ..)| since.min(other));
            // A fault of our own credentials is reported as such; all else is a cluster that does not answer.
            let code = if code.is_of_credentials() { code } else { Code::ClusterDown };
            out.push(Check::new(Severity::Block, code).arg("since", since).arg("message", message));
        }
        if health.iter().any(|kind| matches!(kind.state, Health::Listing)) {
            out.push(Check::new(Severity::Info, Code::StillListing));
        }
        let missing = |kind: &KindHealth| matches!(kind.state, Health::Missing);
        if health.iter().any(missing) {
            out.push(Check::new(Severity::Acknowledge, Code::NoIstio));
        }
        for kind in &health {
            if let Health::Forbidden { .. } = &kind.state {
                out.push(Check::new(Severity::Acknowledge, Code::KindForbidden).arg("kind", kind.kind));
            }
        }
        out.extend(self.kinds_not_read());
        match self.inner.metrics.health() {
            Figures::Absent => out.push(Check::new(Severity::Info, Code::NoPrometheus)),
            Figures::Down(notice) => {
                let since = notice.since_ms.unwrap_or_else(|| self.inner.clock.now_ms());
                out.push(Check::new(Severity::Acknowledge, Code::MetricsDown).arg("since", since));
            }
            Figures::Up => {}
        }
        out.extend(self.other_instances());
        if let Some(trouble) = self.inner.store.trouble() {
            out.push(Check::new(Severity::Block, trouble.cause.code()).arg("since", trouble.since_ms));
        }
        if let Some(damage) = self.inner.store.damage() {
            // Changes go on: an old row must not stop a switch back at night.
            let notice = Check::new(Severity::Acknowledge, Code::HistoryDamaged);
            out.push(match damage.row {
                Some(row) => notice.arg("row", row),
                None => notice,
            });
        }
        out
    }

    /// Fine once every watch that can list has its first list and the state of every service is known, and while
    /// the history can be written. Else the notices say what is missing.
    pub fn ready(&self) -> Result<(), Vec<Check>> {
        if self.has_started() && self.inner.store.trouble().is_none() { Ok(()) } else { Err(self.notices()) }
    }

    /// Why nothing can be changed and releases wait; `None` while the history can be written.
    pub fn history_trouble(&self) -> Option<Refusal> {
        self.inner
            .store
            .trouble()
            .map(|trouble| Refusal::new(trouble.cause.code()).arg("since", trouble.since_ms))
    }

    /// True once every watch that can list has its first list and the state of every service is known.
    pub fn has_started(&self) -> bool {
        self.inner.settled.load(std::sync::atomic::Ordering::Acquire) && self.inner.cache.is_ready()
    }

    /// Listens to what happens. Coalesced: at most about four times a second a service.
    pub fn happenings(&self) -> tokio::sync::broadcast::Receiver<crate::domain::overview::Happening> {
        self.inner.happenings.subscribe()
    }

    /// The figures of a service, and what they are held against.
    pub(super) fn seen<'a>(&self, observed: &'a Observed, snapshot: &'a Snapshot) -> Seen<'a> {
        Seen {
            observed,
            versions: &snapshot.versions,
            min_success_percent: self.inner.settings.policy.min_success_percent,
            is_released: self.release_of(&snapshot.service.at).is_some(),
        }
    }

    /// The index row of a service as it is now; `None` when it is gone.
    pub(super) async fn row_of(
        &self,
        at: &ServiceRef,
        last: Option<&crate::store::ServiceState>,
    ) -> Option<Row> {
        let snapshot = self.inner.cache.snapshot(at)?;
        self.slots_of(&snapshot);
        let routing = self.inner.routings.glance(&snapshot);
        let look = self.inner.metrics.known(&at.namespace, 60).await;
        let observed = look.and_then(|look| look.of(&snapshot));
        let entry = last.map_or(0, |last| last.entry);
        let last = last.map(last_of);
        let (calm, _) = standing(&routing, None, last.as_ref());
        let aim = Aim::of(&routing, last.as_ref()).map(Box::new);
        let seen = observed.as_ref().map(|observed| self.seen(observed, &snapshot));
        let state = with_figures(calm, aim.as_deref(), seen);
        let mut words = format!("{} {}", at.name, at.namespace);
        for version in &snapshot.versions {
            words.push(' ');
            words.push_str(version.name.as_str());
            words.push(' ');
            words.push_str(version.image());
        }
        let beyond = Beyond::of(&snapshot, &routing, last.as_ref()).map(Box::new);
        let words = words.to_lowercase().into();
        Some(Row { at: at.clone(), state, calm, aim, beyond, entry, words })
    }
}

/// The metrics window that is meant: 1 min, 5 min or 1 h.
pub(super) fn window_of(asked: u32) -> u32 {
    match asked {
        300 | 3600 => asked,
        _ => 60,
    }
}
