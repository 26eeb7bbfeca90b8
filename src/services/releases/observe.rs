//! Observations: the service as the cache has it, and what the source of figures says of its versions. Nothing
//! here is what a write is decided on: the change path reads anew.

use crate::domain::ids::VersionName;
use crate::domain::observed::Observed;
use crate::domain::owner::{Owner, Role};
use crate::domain::refusal::Refusal;
use crate::domain::release::analysis::{Counts, Seen};
use crate::domain::release::{Metric, Release, Strategy};
use crate::domain::snapshot::Snapshot;
use crate::metrics::{Health, Latency, MetricsError};
use crate::release::{Event, Pods, World};
use crate::services::Services;

use super::locked;

impl Services {
    /// The service as it stands, cheaply; `Tick` when nothing is known of it.
    pub(super) fn world_of(&self, release: &Release) -> Event {
        let at = release.at();
        let Some(snapshot) = self.inner.cache.snapshot(at) else { return Event::Tick };
        let candidate = release.spec.candidate.version();
        let mut world = World {
            stable: pods(&snapshot, &release.spec.stable),
            candidate: pods(&snapshot, candidate),
            ..World::default()
        };
        if release.spec.candidate.is_in_place() {
            // One workload is both versions, whatever its template says just now.
            let both = [world.stable, world.candidate];
            world.stable = Pods {
                wanted: both.iter().map(|pods| pods.wanted).sum(),
                ready: both.iter().map(|pods| pods.ready).sum(),
            };
            world.candidate = world.stable;
            let seen = locked(&self.inner.releases.batches).get(&release.id).copied().unwrap_or_default();
            world.updated_ready = seen.updated;
            world.reverted = seen.reverted;
        }
        if release.spec.strategy != Strategy::Replicas {
            let routing = self.inner.routings.of(&snapshot);
            let declared = routing.declared();
            world.percent = declared.map(|weights| {
                weights.iter().find(|(version, _)| version == candidate).map_or(0, |(_, weight)| *weight)
            });
            world.drift = locked(&self.inner.releases.outside).get(at).cloned();
            if let Some(drift) = &mut world.drift {
                drift.percent = world.percent;
                drift.gitops = is_gitops(&snapshot);
            }
        }
        Event::World(world)
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
        for metric in &analysis.metrics {
            if let Metric::Latency { quantile, .. } = metric
                && let Err(error) = self.durations(&snapshot, release, *quantile, &mut seen).await
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

    /// Adds a quantile that the figures shared by all viewers do not hold.
    async fn durations(
        &self,
        snapshot: &Snapshot,
        release: &Release,
        quantile: u8,
        seen: &mut Seen,
    ) -> Result<(), MetricsError> {
        let window_s = release.spec.analysis.as_ref().map_or(60, |analysis| analysis.window_s);
        let both = [
            (release.spec.candidate.version(), &mut seen.candidate),
            (&release.spec.stable, &mut seen.stable),
        ];
        for (version, counts) in both {
            let Some(counts) = counts.as_mut().filter(|counts| counts.quantile(quantile).is_none()) else {
                continue;
            };
            let known = snapshot.versions.iter().find(|known| known.name == *version);
            let workloads = known.map_or(&[][..], |known| &known.workloads).iter();
            let asked = Latency {
                service: release.at().clone(),
                workloads: workloads.map(|workload| workload.name.clone()).collect(),
                quantile,
                window_s,
            };
            counts.measured(quantile, self.inner.metrics.latency(&asked).await?);
        }
        Ok(())
    }

    /// Tries a query of somebody's once: does it parse, answer in time, and give one number?
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

/// True where a controller writes the objects, too: what it wrote is not written over.
fn is_gitops(snapshot: &Snapshot) -> bool {
    let reverts = |owner: &Option<Owner>| owner.as_ref().is_some_and(|owner| owner.role >= Role::Unknown);
    snapshot.virtual_services.iter().any(|held| reverts(&held.object.meta.owner))
        || snapshot.destination_rules.iter().any(|held| reverts(&held.object.meta.owner))
}
