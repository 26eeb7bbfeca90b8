//! What the proxies counted: requests, errors and durations by service, workload and version, second by second
//! for an hour; and how often each route was taken. Read by `app` as a source of metrics.
//!
//! Counted as the client's proxy does (`reporter="source"`): a request that no pod ever got is there, under the
//! workload `unknown`; a copy that goes to a mirror is not.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::clock::Clock;
use crate::domain::ids::{Namespace, ObjectRef};
use crate::domain::istio::HttpMatch;
use crate::domain::observed::{RouteHits, Sample};

use super::super::router::Taken;

/// How long seconds are kept.
const KEPT_S: i64 = 3_600;
/// Upper ends of the duration buckets, milliseconds; what is slower falls behind the last.
const BUCKETS: [f64; 15] =
    [1.0, 2.0, 4.0, 6.0, 9.0, 13.0, 19.0, 28.0, 42.0, 63.0, 95.0, 142.0, 320.0, 1_000.0, 5_000.0];

/// Shared by everybody who makes or reads traffic.
#[derive(Debug)]
pub struct Counters {
    clock: Clock,
    table: Mutex<Table>,
}

#[derive(Debug, Default)]
struct Table {
    rows: BTreeMap<Who, VecDeque<Second>>,
    hits: Vec<Hits>,
}

/// Whom a request reached.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Who {
    pub namespace: Arc<str>,
    pub service: Arc<str>,
    pub workload: Arc<str>,
    pub version: Arc<str>,
}

/// How it went.
#[derive(Clone, Copy, Debug)]
pub struct Counted {
    pub failed: bool,
    pub ms: f64,
}

#[derive(Debug)]
struct Second {
    at_s: i64,
    requests: u32,
    errors: u32,
    /// By duration; the last holds what is slower than all buckets.
    durations: [u16; BUCKETS.len() + 1],
}

#[derive(Debug)]
struct Hits {
    object: ObjectRef,
    when: Arc<[HttpMatch]>,
    seconds: VecDeque<(i64, u32)>,
}

impl Counters {
    pub fn new(clock: Clock) -> Self {
        Self { clock, table: Mutex::default() }
    }

    /// Counts one request (or connection) of second `at_s`.
    pub fn record(&self, at_s: i64, who: Who, counted: Counted) {
        let mut table = self.table();
        let seconds = table.rows.entry(who).or_default();
        let at = place(seconds, at_s, |second| second.at_s);
        if seconds.get(at).is_none_or(|second| second.at_s != at_s) {
            seconds.insert(at, Second { at_s, requests: 0, errors: 0, durations: [0; BUCKETS.len() + 1] });
        }
        if let Some(second) = seconds.get_mut(at) {
            second.requests += 1;
            second.errors += u32::from(counted.failed);
            let bucket = BUCKETS.partition_point(|end| *end < counted.ms);
            second.durations[bucket] = second.durations[bucket].saturating_add(1);
        }
        let oldest = self.now_s() - KEPT_S;
        while seconds.front().is_some_and(|second| second.at_s < oldest) {
            seconds.pop_front();
        }
    }

    /// Counts that a route was taken in second `at_s`.
    pub fn hit(&self, at_s: i64, taken: &Taken) {
        let mut table = self.table();
        let same = |hits: &Hits| {
            hits.object == taken.object && (Arc::ptr_eq(&hits.when, &taken.when) || hits.when == taken.when)
        };
        let at = table.hits.iter().position(same).unwrap_or_else(|| {
            let (object, when) = (taken.object.clone(), taken.when.clone());
            table.hits.push(Hits { object, when, seconds: VecDeque::new() });
            table.hits.len() - 1
        });
        let hits = &mut table.hits[at];
        // The next comparison is then one of addresses.
        hits.when = taken.when.clone();
        let at = place(&hits.seconds, at_s, |(at_s, _)| *at_s);
        match hits.seconds.get_mut(at).filter(|second| second.0 == at_s) {
            Some(second) => second.1 += 1,
            None => hits.seconds.insert(at, (at_s, 1)),
        }
        let oldest = self.now_s() - KEPT_S;
        while hits.seconds.front().is_some_and(|second| second.0 < oldest) {
            hits.seconds.pop_front();
        }
        table.hits.retain(|hits| !hits.seconds.is_empty());
    }

    /// What was counted for the services of a namespace in the last `window_s` seconds.
    pub fn window(&self, namespace: &Namespace, window_s: u32) -> Vec<Sample> {
        let after_s = self.now_s() - i64::from(window_s);
        let table = self.table();
        let own = table.rows.iter().filter(|(who, _)| *who.namespace == *namespace.as_str());
        own.filter_map(|(who, seconds)| sample(who, seconds, after_s)).collect()
    }

    /// A quantile of the durations of these workloads' answers for a service, milliseconds.
    pub fn latency(
        &self,
        (namespace, services): (&Namespace, &[Arc<str>]),
        workloads: &[Arc<str>],
        q: f64,
        window_s: u32,
    ) -> Option<f64> {
        let after_s = self.now_s() - i64::from(window_s);
        let table = self.table();
        let own = table.rows.iter().filter(|(who, _)| {
            *who.namespace == *namespace.as_str()
                && services.contains(&who.service)
                && workloads.contains(&who.workload)
        });
        let mut durations = [0.0; BUCKETS.len() + 1];
        for (_, seconds) in own {
            add_durations(seconds, after_s, &mut durations);
        }
        quantile(q, &durations)
    }

    /// How often the routes of a namespace's objects were taken in the last `window_s` seconds.
    pub fn hits(&self, namespace: &Namespace, window_s: u32) -> Vec<RouteHits> {
        let after_s = self.now_s() - i64::from(window_s);
        let table = self.table();
        let own = table.hits.iter().filter(|hits| hits.object.namespace == *namespace);
        own.map(|hits| {
            let recent = hits.seconds.iter().rev().take_while(|(at_s, _)| *at_s > after_s);
            RouteHits {
                object: hits.object.clone(),
                when: hits.when.to_vec(),
                requests: recent.map(|(_, count)| f64::from(*count)).sum(),
            }
        })
        .collect()
    }

    fn now_s(&self) -> i64 {
        self.clock.now_ms().div_euclid(1000)
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Where a second is, or belongs; nearly always the end.
fn place<T>(seconds: &VecDeque<T>, at_s: i64, of: impl Fn(&T) -> i64) -> usize {
    match seconds.back() {
        Some(last) if of(last) == at_s => seconds.len() - 1,
        Some(last) if of(last) > at_s => seconds.partition_point(|second| of(second) < at_s),
        _ => seconds.len(),
    }
}

fn sample(who: &Who, seconds: &VecDeque<Second>, after_s: i64) -> Option<Sample> {
    let (mut requests, mut errors) = (0.0, 0.0);
    let mut durations = [0.0; BUCKETS.len() + 1];
    for second in seconds.iter().rev().take_while(|second| second.at_s > after_s) {
        requests += f64::from(second.requests);
        errors += f64::from(second.errors);
    }
    add_durations(seconds, after_s, &mut durations);
    (requests > 0.0).then(|| Sample {
        service: who.service.clone(),
        workload: who.workload.clone(),
        version: who.version.clone(),
        requests,
        errors,
        p95_ms: quantile(0.95, &durations),
    })
}

fn add_durations(seconds: &VecDeque<Second>, after_s: i64, durations: &mut [f64; BUCKETS.len() + 1]) {
    for second in seconds.iter().rev().take_while(|second| second.at_s > after_s) {
        for (sum, count) in durations.iter_mut().zip(second.durations) {
            *sum += f64::from(count);
        }
    }
}

/// A quantile by linear interpolation inside its bucket, as `histogram_quantile` of Prometheus.
fn quantile(q: f64, durations: &[f64; BUCKETS.len() + 1]) -> Option<f64> {
    let all: f64 = durations.iter().sum();
    let rank = q * all;
    let (mut below, mut start) = (0.0, 0.0);
    for (end, count) in BUCKETS.iter().zip(durations) {
        if below + count >= rank && *count > 0.0 {
            return Some(start + (end - start) * (rank - below) / count);
        }
        below += count;
        start = *end;
    }
    (all > 0.0).then_some(start)
}
