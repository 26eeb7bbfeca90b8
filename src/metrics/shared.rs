//! One reading for everybody: each namespace and window is asked for once, however many look, and kept
//! for a few seconds. Called by `services`; must never make a page wait longer than [`PATIENCE`].

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures::future::BoxFuture;
use moka::future::Cache;
use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout};

use super::mapping;
use super::source::{Latency, MetricsError, Notice, Source};
use crate::clock::Clock;
use crate::domain::ids::{Namespace, VersionName};
use crate::domain::observed::{Observed, RouteHits, Sample};
use crate::domain::snapshot::Snapshot;

/// How long a page waits for figures before it is shown without them; the question goes on behind it.
pub const PATIENCE: Duration = Duration::from_secs(2);

/// How long a page waits while the source is known to be slow.
const LITTLE_PATIENCE: Duration = Duration::from_millis(50);
/// A question that takes longer than this has failed.
const LIMIT: Duration = Duration::from_secs(10);
/// How long an answer is good.
const FRESH_MS: i64 = 5_000;
/// How long a failure is repeated without asking again.
const FAILURE_MS: i64 = 2_000;
/// Up to this age the latest answer stands in while a slow source is being asked again; it says its age.
const STAND_IN_MS: i64 = 15_000;
/// Questions to the source at one time.
const AT_ONCE: usize = 4;
/// Namespaces × windows that are remembered.
const REMEMBERED: u64 = 10_000;
/// The windows that can be asked for, seconds.
const WINDOWS: [u32; 3] = [60, 300, 3600];
/// The windows with which something young is looked at, longest first, so that all who look share them.
const SINCE: [u32; 7] = [300, 120, 60, 45, 30, 20, 10];
/// The windows in which a version without requests is looked for, seconds.
const QUIET: [u32; 9] = [60, 120, 300, 600, 900, 1_200, 1_800, 3_600, 7_200];
/// By so much more than a shorter one a window counts, where it counts anything besides: sources extrapolate.
const MORE: f64 = 1.05;
/// The windows over which samples of a low rate are counted, longest first.
const COUNTED: [u32; 18] =
    [21_600, 14_400, 7_200, 3_600, 2_700, 1_800, 1_200, 900, 600, 450, 300, 240, 180, 150, 120, 90, 75, 60];

/// The metrics of all services, shared by all who look.
#[derive(Clone)]
pub struct Metrics(Arc<Inner>);

struct Inner {
    source: Option<Arc<dyn Source>>,
    clock: Clock,
    readings: Cache<Key, Arc<Reading>>,
    /// Readings that were made.
    made: AtomicU64,
    /// What is being asked now.
    under_way: Mutex<HashSet<Key>>,
    /// True once a caller stopped waiting, until an answer comes in time.
    slow: AtomicBool,
    permits: Semaphore,
    outage: Mutex<Option<Outage>>,
}

/// The source gives nothing to anybody.
#[derive(Clone, Copy)]
struct Outage {
    notice: Notice,
    last_ms: i64,
}

type Key = (Namespace, u32);

struct Reading {
    at_ms: i64,
    result: Result<HashMap<Arc<str>, Vec<Sample>>, Notice>,
}

impl Reading {
    fn is_fresh(&self, now_ms: i64) -> bool {
        let keep = if self.result.is_ok() { FRESH_MS } else { FAILURE_MS };
        (0..keep).contains(&(now_ms - self.at_ms))
    }

    fn can_stand_in(&self, now_ms: i64) -> bool {
        self.result.is_ok() && (0..STAND_IN_MS).contains(&(now_ms - self.at_ms))
    }
}

/// What was read of a namespace at one time, for as many of its services as one likes.
#[derive(Clone)]
pub struct Look {
    reading: Arc<Reading>,
    window_s: u32,
}

impl Look {
    /// What was seen of a service of this namespace; `None` = nothing.
    pub fn of(&self, snapshot: &Snapshot) -> Option<Observed> {
        let services = self.reading.result.as_ref().ok()?;
        mapping::observed(snapshot, services, self.window_s, self.reading.at_ms)
    }
}

/// How the source is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Health {
    /// None is configured.
    Absent,
    /// The latest question was answered (or none was asked yet).
    Up,
    /// No answer, since when and why.
    Down(Notice),
}

impl Metrics {
    pub fn new(source: Option<Arc<dyn Source>>, clock: Clock) -> Self {
        Self(Arc::new(Inner {
            source,
            clock,
            readings: Cache::builder().max_capacity(REMEMBERED).time_to_idle(Duration::from_mins(10)).build(),
            made: AtomicU64::new(0),
            under_way: Mutex::default(),
            slow: AtomicBool::new(false),
            permits: Semaphore::new(AT_ONCE),
            outage: Mutex::default(),
        }))
    }

    /// What was seen of a service in the last `window_s` seconds (60, 300 or 3600; others are rounded up
    /// to one of these). `Ok(None)` = the source answered, and has nothing about this service.
    pub async fn observed(&self, snapshot: &Snapshot, window_s: u32) -> Result<Option<Observed>, Notice> {
        Ok(self.look(&snapshot.service.at.namespace, window_s).await?.of(snapshot))
    }

    /// The same for all services of a namespace.
    pub async fn look(&self, namespace: &Namespace, window_s: u32) -> Result<Look, Notice> {
        let window_s = window(window_s);
        let reading = self.reading(namespace, window_s).await?;
        match &reading.result {
            Ok(_) => Ok(Look { reading, window_s }),
            Err(notice) => Err(*notice),
        }
    }

    /// Rises whenever something new was read: what was made of figures at a number holds while it stands
    /// and they are fresh.
    pub fn generation(&self) -> u64 {
        self.0.made.load(Ordering::Acquire)
    }

    /// What was seen of a service after `from_ms` and never before it, in the longest window that fits
    /// (at most 5 min). `Ok(None)` = nothing yet, or it is too early for any window.
    pub async fn since(&self, snapshot: &Snapshot, from_ms: i64) -> Result<Option<Observed>, Notice> {
        self.after(snapshot, from_ms, &SINCE).await
    }

    /// The same over as much of that time as possible: counts of a low rate.
    pub async fn counted_since(&self, snapshot: &Snapshot, from_ms: i64) -> Result<Option<Observed>, Notice> {
        self.after(snapshot, from_ms, &COUNTED).await
    }

    async fn after(
        &self,
        snapshot: &Snapshot,
        from_ms: i64,
        windows: &[u32],
    ) -> Result<Option<Observed>, Notice> {
        let at = &snapshot.service.at;
        let age_s = (self.0.clock.now_ms() - from_ms).div_euclid(1000);
        for window_s in windows.iter().copied().filter(|window_s| i64::from(*window_s) <= age_s) {
            let reading = self.reading(&at.namespace, window_s).await?;
            // A reading that was kept for others began earlier than one of now would.
            if reading.at_ms - i64::from(window_s) * 1000 < from_ms {
                continue;
            }
            let services = reading.result.as_ref().map_err(|notice| *notice)?;
            return Ok(mapping::observed(snapshot, services, window_s, reading.at_ms));
        }
        Ok(None)
    }

    /// For how many seconds at least a version has had no requests; `None` = it has had some within the last minute,
    /// or there are no figures of that time. A window is believed only where the next longer one has more requests of
    /// the service: they were counted before it. The longest first: what is idle mostly has been for long.
    pub async fn quiet(&self, snapshot: &Snapshot, version: &VersionName) -> Option<u32> {
        let counts = async |window_s: u32| {
            let reading = self.reading(&snapshot.service.at.namespace, window_s).await.ok()?;
            let services = reading.result.as_ref().ok()?;
            let seen = mapping::observed(snapshot, services, window_s, reading.at_ms);
            let own = seen.as_ref().and_then(|seen| Some(seen.of(version.as_str())?.requests));
            Some((seen.map_or(0.0, |seen| seen.requests()), own.unwrap_or(0.0)))
        };
        let [.., longest, beyond] = QUIET;
        let (all, own) = counts(longest).await?;
        if own <= 0.0 && counts(beyond).await?.0 > all * MORE {
            return Some(longest);
        }
        let (mut quiet, mut shorter) = (None, None);
        for window_s in QUIET {
            let (all, own) = counts(window_s).await?;
            if let Some((before_s, before)) = shorter
                && all > before * MORE
            {
                quiet = Some(before_s);
            }
            if own > 0.0 {
                break;
            }
            shorter = Some((window_s, all));
        }
        quiet
    }

    /// What was last read of a namespace, without asking the source; `None` = nothing yet.
    pub async fn known(&self, namespace: &Namespace, window_s: u32) -> Option<Look> {
        let window_s = window(window_s);
        let reading = self.0.readings.get(&(namespace.clone(), window_s)).await?;
        Some(Look { reading, window_s })
    }

    /// Reads several namespaces at one time, so that the services of a page find their figures ready.
    pub async fn prefetch(&self, namespaces: impl IntoIterator<Item = &Namespace>, window_s: u32) {
        let window_s = window(window_s);
        let all = namespaces.into_iter().map(|namespace| self.reading(namespace, window_s));
        futures::future::join_all(all).await;
    }

    /// The one number that a person's query gives; `None` = no series, or no finite number.
    pub async fn number(&self, query: &str) -> Result<Option<f64>, MetricsError> {
        self.one_number(|source| source.number(query)).await
    }

    /// A quantile of durations; `None` = nothing was measured, or no pod answers for this version.
    pub async fn latency(&self, asked: &Latency) -> Result<Option<f64>, MetricsError> {
        if asked.workloads.is_empty() {
            return Ok(None);
        }
        self.one_number(|source| source.latency(asked)).await
    }

    async fn one_number<'a>(
        &'a self,
        question: impl FnOnce(&'a dyn Source) -> BoxFuture<'a, Result<Option<f64>, MetricsError>>,
    ) -> Result<Option<f64>, MetricsError> {
        let source = self.0.source.as_deref().ok_or(MetricsError::NotConfigured)?;
        let _permit = self.0.permits.acquire().await;
        let answer = timeout(LIMIT, question(source)).await.unwrap_or(Err(MetricsError::Timeout))?;
        Ok(answer.filter(|value| value.is_finite()))
    }

    /// How often the routes of the namespace's routing objects were taken; empty when the source cannot
    /// tell.
    pub fn hits(&self, namespace: &Namespace, window_s: u32) -> Vec<RouteHits> {
        self.0.source.as_ref().map(|source| source.hits(namespace, window(window_s))).unwrap_or_default()
    }

    /// Whether the source answers.
    pub fn health(&self) -> Health {
        if self.0.source.is_none() {
            return Health::Absent;
        }
        self.0.outage().map_or(Health::Up, |outage| Health::Down(outage.notice))
    }

    async fn reading(&self, namespace: &Namespace, window_s: u32) -> Result<Arc<Reading>, Notice> {
        let inner = &self.0;
        let Some(source) = inner.source.clone() else {
            return Err(Notice { since_ms: None, error: MetricsError::NotConfigured });
        };
        let key = (namespace.clone(), window_s);
        let before = inner.readings.get(&key).await;
        let now_ms = inner.clock.now_ms();
        if let Some(fresh) = before.as_ref().filter(|reading| reading.is_fresh(now_ms)) {
            return Ok(fresh.clone());
        }
        if let Some(notice) = inner.failed_just_now() {
            return Err(notice);
        }
        let slow = inner.slow.load(Ordering::Relaxed);
        if !(slow && inner.is_under_way(&key)) {
            // A task of its own: the first caller may leave without taking the answer from the others.
            let asking = tokio::spawn(ask(inner.clone(), source, key));
            match timeout(if slow { LITTLE_PATIENCE } else { PATIENCE }, asking).await {
                Ok(Ok(reading)) => return Ok(reading),
                Ok(Err(_)) => {
                    let error = MetricsError::Strange("reading it failed");
                    return Err(Notice { since_ms: Some(now_ms), error });
                }
                Err(_) => inner.slow.store(true, Ordering::Relaxed),
            }
        }
        let since = inner.outage().map_or(now_ms, |outage| outage.notice.since_ms.unwrap_or(now_ms));
        before
            .filter(|reading| reading.can_stand_in(now_ms))
            .ok_or(Notice { since_ms: Some(since), error: MetricsError::Timeout })
    }
}

async fn ask(inner: Arc<Inner>, source: Arc<dyn Source>, key: Key) -> Arc<Reading> {
    inner.set_under_way(&key, true);
    let entry = inner
        .readings
        .entry_by_ref(&key)
        .or_insert_with_if(async { Arc::new(inner.read(&*source, &key).await) }, |reading| {
            !reading.is_fresh(inner.clock.now_ms())
        })
        .await;
    if entry.is_fresh() {
        inner.made.fetch_add(1, Ordering::Release);
    }
    inner.set_under_way(&key, false);
    entry.into_value()
}

impl Inner {
    async fn read(&self, source: &dyn Source, (namespace, window_s): &Key) -> Reading {
        let started = Instant::now();
        let question = async {
            let _permit = self.permits.acquire().await;
            match self.failed_just_now() {
                // It failed for another caller while this one waited.
                Some(notice) => Err(notice.error),
                None => source.namespace(namespace, *window_s).await,
            }
        };
        let result = timeout(LIMIT, question).await.unwrap_or(Err(MetricsError::Timeout));
        let at_ms = self.clock.now_ms();
        let late = started.elapsed() > PATIENCE || result == Err(MetricsError::Timeout);
        self.slow.store(late, Ordering::Relaxed);
        let outage = self.note(result.as_ref().err().copied(), at_ms);
        let result = match result {
            Ok(samples) => Ok(by_service(samples)),
            Err(error) => Err(outage.unwrap_or(Notice { since_ms: Some(at_ms), error })),
        };
        Reading { at_ms, result }
    }

    /// Keeps track of the outage, and says it once in the log when it begins and when it ends.
    fn note(&self, error: Option<MetricsError>, now_ms: i64) -> Option<Notice> {
        let mut outage = self.outage.lock().unwrap_or_else(PoisonError::into_inner);
        match error {
            Some(error) if error.is_outage() => {
                if outage.is_none() {
                    tracing::warn!(%error, "no metrics");
                }
                let since_ms = outage.map_or(Some(now_ms), |known| known.notice.since_ms);
                let notice = Notice { since_ms, error };
                *outage = Some(Outage { notice, last_ms: now_ms });
                Some(notice)
            }
            _ => {
                if let Some(past) = outage.take() {
                    let down_ms = now_ms - past.notice.since_ms.unwrap_or(now_ms);
                    tracing::info!(down_ms, "metrics are back");
                }
                None
            }
        }
    }

    fn outage(&self) -> Option<Outage> {
        *self.outage.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The outage, while it is too early to ask again.
    fn failed_just_now(&self) -> Option<Notice> {
        let age_ms = |outage: &Outage| self.clock.now_ms() - outage.last_ms;
        self.outage().filter(|outage| (0..FAILURE_MS).contains(&age_ms(outage))).map(|outage| outage.notice)
    }

    fn is_under_way(&self, key: &Key) -> bool {
        self.under_way.lock().unwrap_or_else(PoisonError::into_inner).contains(key)
    }

    fn set_under_way(&self, key: &Key, on: bool) {
        let mut under_way = self.under_way.lock().unwrap_or_else(PoisonError::into_inner);
        if on {
            under_way.insert(key.clone());
        } else {
            under_way.remove(key);
        }
    }
}

fn by_service(samples: Vec<Sample>) -> HashMap<Arc<str>, Vec<Sample>> {
    let mut services: HashMap<Arc<str>, Vec<Sample>> = HashMap::new();
    for sample in samples {
        services.entry(sample.service.clone()).or_default().push(sample);
    }
    services
}

fn window(asked_s: u32) -> u32 {
    WINDOWS.into_iter().find(|window_s| asked_s <= *window_s).unwrap_or(3600)
}
