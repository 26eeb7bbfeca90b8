//! Observations: the service as the cache has it, and what the source of figures says of its versions. Nothing
//! here is what a write is decided on: the change path reads the cluster itself.

use crate::domain::ids::VersionName;
use crate::domain::observed::Observed;
use crate::domain::owner::{Owner, Role};
use crate::domain::refusal::Refusal;
use crate::domain::release::analysis::{Counts, Seen, Since};
use crate::domain::release::{Metric, Release, Runs, Strategy};
use crate::domain::routing::Weights;
use crate::domain::service::{Version, Workload, WorkloadKind};
use crate::domain::snapshot::Snapshot;
use crate::metrics::{Health, Latency, MetricsError, Notice};
use crate::release::{Event, Pods, World};
use crate::services::Services;

use super::locked;
use super::traffic::percent_now;

/// A split that was written has reached every proxy after this time, milliseconds.
const REACHED_MS: i64 = 10_000;

impl Services {
    /// The service as it stands, cheaply; `Tick` when nothing is known of it.
    pub(super) fn world_of(&self, release: &Release) -> Event {
        let at = release.at();
        let Some(snapshot) = self.inner.cache.snapshot(at) else { return Event::Tick };
        let candidate = release.spec.candidate.version();
        let mut world = World {
            stable: pods(&snapshot, &release.spec.stable),
            candidate: pods(&snapshot, candidate),
            stable_gone: is_gone(&snapshot, &release.spec.stable),
            candidate_gone: is_gone(&snapshot, candidate),
            runs: runs(&snapshot, candidate),
            ..World::default()
        };
        if release.spec.candidate.is_in_place() {
            // One workload is both versions, whatever its template says just now.
            let both = [world.stable, world.candidate];
            world.stable = Pods {
                wanted: whole_set(&snapshot, release)
                    .unwrap_or_else(|| both.iter().map(|pods| pods.wanted).sum()),
                ready: both.iter().map(|pods| pods.ready).sum(),
            };
            world.candidate = world.stable;
            world.stable_gone &= world.candidate_gone;
            world.candidate_gone = world.stable_gone;
            world.runs = set_of(&snapshot, release).map(Runs::of).into_iter().collect();
            let seen = locked(&self.inner.releases.batches).get(&release.id).copied().unwrap_or_default();
            world.updated_ready = seen.updated;
            world.reverted = seen.reverted;
        }
        if release.spec.strategy != Strategy::Replicas {
            let routing = self.inner.routings.of(&snapshot);
            world.percent = percent_now(&routing, candidate);
            world.drift = locked(&self.inner.releases.outside).get(at).cloned();
            if let Some(drift) = &mut world.drift {
                drift.percent = world.percent;
                drift.gitops = is_gitops(&snapshot);
            }
        }
        Event::World(world)
    }

    /// The versions of a release that lack ready pods, as the cache has them.
    pub fn lacking_pods(&self, release: &Release) -> Vec<Version> {
        let snapshot = self.inner.cache.snapshot(release.at());
        snapshot.map_or_else(Vec::new, |snapshot| {
            release.lacking(&snapshot.versions).into_iter().cloned().collect()
        })
    }

    /// What each version gets now: as declared, or, without a mesh, by pods. And whether nothing is declared although
    /// the release moves weights: then the split is about what the pods get.
    pub(super) fn split_now(&self, release: &Release) -> (Weights, bool) {
        let Some(snapshot) = self.inner.cache.snapshot(release.at()) else { return (Weights::new(), false) };
        if release.spec.strategy == Strategy::Replicas {
            return (Self::split_of_pods(release, &snapshot), false);
        }
        match self.inner.routings.of(&snapshot).declared() {
            Some(weights) => (weights, false),
            None => (release.split_by_pods(&snapshot.versions).unwrap_or_default(), true),
        }
    }

    fn split_of_pods(release: &Release, snapshot: &Snapshot) -> Weights {
        if release.spec.candidate.is_in_place() {
            let share = release.share_of_pods();
            let both = (release.spec.stable.clone(), release.candidate().clone());
            return vec![(both.0, 100 - share), (both.1, share)];
        }
        release.split_by_pods(&snapshot.versions).unwrap_or_default()
    }

    /// Takes one look at the figures.
    pub(super) async fn look_at(&self, release: &Release) -> Seen {
        let failed = |error: String| Seen { error: Some(error), ..Seen::default() };
        let Some(analysis) = &release.spec.analysis else { return Seen::default() };
        let Some(snapshot) = self.inner.cache.snapshot(release.at()) else {
            return failed("the service is not known".to_owned());
        };
        let observed = match self.inner.metrics.observed(&snapshot, analysis.window_s).await {
            Ok(observed) => observed,
            Err(notice) => return failed(notice.error.to_string()),
        };
        let candidate = release.spec.candidate.version();
        let of = |version: &VersionName| observed.as_ref().and_then(|seen| counts(seen, version));
        let mut seen = Seen { candidate: of(candidate), stable: of(&release.spec.stable), ..Seen::default() };
        let least = f64::from(analysis.min_requests);
        if seen.candidate.is_none_or(|counts| counts.requests < least) {
            seen.since = match self.counted_since(release, &snapshot).await {
                Ok(since) => since,
                Err(notice) => return failed(notice.error.to_string()),
            };
        }
        for metric in &analysis.metrics {
            if let Metric::Latency { quantile, .. } = metric
                && let Err(error) = self.all_durations(&snapshot, release, *quantile, &mut seen).await
            {
                return failed(error.to_string());
            }
            let answer = match metric {
                Metric::Custom { query, .. } => {
                    let ask = async |version: &VersionName| {
                        let query = filled(query, release, version, analysis.window_s);
                        self.inner.metrics.number(&query).await.ok().flatten()
                    };
                    (ask(candidate).await, ask(&release.spec.stable).await)
                }
                _ => (None, None),
            };
            seen.custom.push(answer);
        }
        seen
    }

    /// What was counted since the split of the step under way was seen in the figures; where that was never seen
    /// (too few requests to be sure), since it must have reached every proxy. `None` = it is too early.
    async fn counted_since(&self, release: &Release, snapshot: &Snapshot) -> Result<Option<Since>, Notice> {
        let Some(written_ms) = release.state.aim_ms else { return Ok(None) };
        let state = self.inner.store.revision(release.at()).await.ok().flatten();
        let seen_ms = state.and_then(|state| state.steps?.seen_ms).filter(|seen_ms| *seen_ms >= written_ms);
        let from_ms = seen_ms.unwrap_or_else(|| written_ms.saturating_add(REACHED_MS));
        let Some(observed) = self.inner.metrics.counted_since(snapshot, from_ms).await? else {
            return Ok(None);
        };
        Ok(Some(Since {
            seconds: observed.window_s,
            candidate: counts(&observed, release.spec.candidate.version()),
            stable: counts(&observed, &release.spec.stable),
        }))
    }

    async fn all_durations(
        &self,
        snapshot: &Snapshot,
        release: &Release,
        quantile: u8,
        seen: &mut Seen,
    ) -> Result<(), MetricsError> {
        let window_s = release.spec.analysis.as_ref().map_or(60, |analysis| analysis.window_s);
        let pair = (&mut seen.candidate, &mut seen.stable);
        self.durations(snapshot, release, (quantile, window_s), pair).await?;
        if let Some(since) = &mut seen.since {
            let pair = (&mut since.candidate, &mut since.stable);
            self.durations(snapshot, release, (quantile, since.seconds), pair).await?;
        }
        Ok(())
    }

    /// Adds a quantile that the figures shared by all viewers do not hold.
    async fn durations(
        &self,
        snapshot: &Snapshot,
        release: &Release,
        (quantile, window_s): (u8, u32),
        (candidate, stable): (&mut Option<Counts>, &mut Option<Counts>),
    ) -> Result<(), MetricsError> {
        let both = [(release.spec.candidate.version(), candidate), (&release.spec.stable, stable)];
        for (version, counts) in both {
            let Some(counts) = counts.as_mut().filter(|counts| counts.quantile(quantile).is_none()) else {
                continue;
            };
            let known = snapshot.versions.iter().find(|known| known.name == *version);
            let workloads = known.map_or(&[][..], |known| &known.workloads).iter();
            let asked = Latency {
                service: release.at().clone(),
                siblings: snapshot.siblings().cloned().collect(),
                workloads: workloads.map(|workload| workload.name.clone()).collect(),
                quantile,
                window_s,
            };
            counts.measured(quantile, self.inner.metrics.latency(&asked).await?);
        }
        Ok(())
    }

    /// Tries a person's query once: does it parse, answer in time, and give one number?
    pub(super) async fn try_query(&self, release: &Release, query: &str) -> Result<(), Refusal> {
        if self.inner.metrics.health() == Health::Absent {
            return Ok(());
        }
        let query = filled(query, release, &release.spec.stable, 60);
        match self.inner.metrics.number(&query).await {
            Ok(_) => Ok(()),
            Err(error) => Err(error.of_query()),
        }
    }
}

/// A query with the names of what it is about, as values: they can never end a string.
fn filled(query: &str, release: &Release, version: &VersionName, window_s: u32) -> String {
    let escape = crate::metrics::queries::escape;
    query
        .replace("{{service}}", &escape(&release.at().name))
        .replace("{{namespace}}", &escape(release.at().namespace.as_str()))
        .replace("{{version}}", &escape(version.as_str()))
        .replace("{{window}}", &format!("{window_s}s"))
}

fn counts(seen: &Observed, version: &VersionName) -> Option<Counts> {
    let found = seen.of(version.as_str())?;
    Some(Counts { requests: found.requests, errors: found.errors, p95_ms: found.p95_ms, ..Counts::default() })
}

fn pods(snapshot: &Snapshot, version: &VersionName) -> Pods {
    snapshot.versions.iter().find(|known| known.name == *version).map_or_else(Pods::default, |known| Pods {
        wanted: known.workloads.iter().map(|workload| workload.wanted).sum(),
        ready: known.ready,
    })
}

/// All pods of the StatefulSet that is replaced in place, whatever the versions are called that they are now.
fn whole_set(snapshot: &Snapshot, release: &Release) -> Option<u32> {
    let name = &set_of(snapshot, release)?.name;
    let all =
        snapshot.versions.iter().flat_map(|version| &version.workloads).filter(|workload| is_set(workload));
    Some(all.filter(|workload| workload.name == *name).map(|workload| workload.wanted).sum())
}

/// The StatefulSet that is replaced in place, as one of the versions has it.
fn set_of<'a>(snapshot: &'a Snapshot, release: &Release) -> Option<&'a Workload> {
    [&release.spec.stable, release.candidate()].into_iter().find_map(|name| {
        let version = snapshot.versions.iter().find(|known| known.name == *name)?;
        version.workloads.iter().find(|workload| is_set(workload))
    })
}

fn is_set(workload: &Workload) -> bool {
    workload.kind == WorkloadKind::StatefulSet
}

/// What the workloads of a version run, by name.
fn runs(snapshot: &Snapshot, version: &VersionName) -> Vec<Runs> {
    let found = snapshot.versions.iter().find(|known| known.name == *version);
    let mut out: Vec<Runs> = found.iter().flat_map(|version| &version.workloads).map(Runs::of).collect();
    out.sort_by(|a, b| a.workload.cmp(&b.workload));
    out
}

/// True where nothing of a version is left that could answer a request.
fn is_gone(snapshot: &Snapshot, version: &VersionName) -> bool {
    let found = snapshot.versions.iter().find(|known| known.name == *version);
    found.is_none_or(|known| known.workloads.is_empty() && known.ready == 0)
}

/// True where a controller writes the objects, too: what it wrote is not written over.
fn is_gitops(snapshot: &Snapshot) -> bool {
    let reverts = |owner: &Option<Owner>| owner.as_ref().is_some_and(|owner| owner.role >= Role::Unknown);
    snapshot.virtual_services.iter().any(|held| reverts(&held.object.meta.owner))
        || snapshot.destination_rules.iter().any(|held| reverts(&held.object.meta.owner))
}
