//! Background tasks: changes of the cluster become rows of the list's index, entries about outside
//! edits, and announcements; figures are kept fresh while a page is open; the history's head is anchored.

use std::collections::{BTreeSet, HashSet};
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::sync::broadcast::error::RecvError;
use tokio::time::{MissedTickBehavior, interval, sleep, timeout};
use tokio_util::sync::CancellationToken;

use crate::cluster::Change;
use crate::domain::ids::{Namespace, ServiceRef};
use crate::domain::overview::Happening;
use crate::metrics::{Health, Look};
use crate::store::{ANCHOR_MESSAGE, ANCHOR_TARGET, Head};

use super::Services;
use super::standing::with_figures;

/// So many services are looked at before requests get their turn.
const A_WHILE: usize = 16;
/// Events are gathered for this long before they are acted on: latest wins.
const GATHER: Duration = Duration::from_millis(200);
/// How often figures are read again while a page is open.
const FIGURES: Duration = Duration::from_secs(10);
/// Figures are kept fresh for this long after the last request for some.
const LOOKING_MS: i64 = 120_000;
/// How often it is looked whether the history can be written.
const LOOK_AFTER: Duration = Duration::from_secs(1);
/// How often the head of the history goes into the log stream, out of reach of the owner of the file.
const ANCHOR: Duration = Duration::from_mins(5);

/// Follows the cluster until `stop`.
pub(super) async fn run(services: Services, stop: CancellationToken) {
    let mut changes = services.inner.cache.changes();
    tokio::select! {
        () = first_look(&services) => {}
        () = stop.cancelled() => return,
    }
    loop {
        let mut touched = HashSet::new();
        let mut everything = false;
        let first = tokio::select! {
            change = changes.recv() => change,
            () = stop.cancelled() => return,
        };
        let mut next = Some(first);
        let until = tokio::time::Instant::now() + GATHER;
        loop {
            match next.take() {
                Some(Ok(Change::Service(at))) => {
                    touched.insert(at);
                }
                Some(Ok(Change::Resync) | Err(RecvError::Lagged(_))) => everything = true,
                Some(Err(RecvError::Closed)) => return,
                None => break,
            }
            next = tokio::time::timeout_at(until, changes.recv()).await.ok();
        }
        if everything {
            touched = services.inner.cache.services().iter().cloned().collect();
            touched.extend(services.inner.index.sorted().name.iter().map(|row| row.at.clone()));
        }
        let touched: Vec<ServiceRef> = touched.into_iter().collect();
        reindex(&services, &touched).await;
        notice_outside_edits(&services, &touched).await;
        for at in &touched {
            services.inner.releases.wake_service(at);
        }
        if everything {
            services.announce(Happening::Resync);
        } else {
            for at in touched {
                services.announce(Happening::Service(at));
            }
        }
    }
}

/// Before the first event counts: the first lists are in, what a crash cut off is cleared up, and every
/// service's state is known, so that what changes from now on is a change.
async fn first_look(services: &Services) {
    services.read_slots().await;
    while !services.inner.cache.is_ready() {
        sleep(Duration::from_millis(20)).await;
    }
    while let Err(refusal) = services.learn_from_history().await {
        tracing::warn!(%refusal, "the history cannot be read yet");
        sleep(Duration::from_secs(1)).await;
    }
    let all = services.inner.cache.services();
    reindex(services, &all).await;
    let cut_off = loop {
        match services.cut_off().await {
            Ok(cut_off) => break cut_off,
            Err(refusal) => tracing::warn!(%refusal, "what was cut off cannot be read yet"),
        }
        sleep(Duration::from_secs(1)).await;
    };
    let mut left = services.clear_up(&cut_off).await.unwrap_or(cut_off);
    if !left.is_empty() {
        let later = services.clone();
        tokio::spawn(async move {
            while !left.is_empty() {
                sleep(Duration::from_secs(5)).await;
                match later.clear_up(&left).await {
                    Ok(open) => left = open,
                    Err(refusal) => tracing::debug!(%refusal, "not cleared up yet"),
                }
            }
        });
    }
    notice_outside_edits(services, &all).await;
    services.inner.settled.store(true, Ordering::Release);
    services.announce(Happening::Resync);
}

/// Records edits of these services from outside.
async fn notice_outside_edits(services: &Services, all: &[ServiceRef]) {
    for some in all.chunks(A_WHILE) {
        for at in some {
            if let Err(refusal) = services.notice_outside_edit(at).await {
                tracing::debug!(service = %at, %refusal, "could not look for outside edits");
            }
        }
        tokio::task::yield_now().await;
    }
}

/// Brings the index up to date for these services.
async fn reindex(services: &Services, touched: &[ServiceRef]) {
    for part in touched.chunks(500) {
        let states = match services.inner.store.states_of(part).await {
            Ok(states) => states,
            Err(error) => {
                tracing::warn!(%error, "the list goes on without the history's states");
                vec![None; part.len()]
            }
        };
        for (some, states) in part.chunks(A_WHILE).zip(states.chunks(A_WHILE)) {
            let mut rows = Vec::with_capacity(some.len());
            for (at, last) in some.iter().zip(states) {
                rows.push((at.clone(), services.row_of(at, last.as_deref()).await));
            }
            services.inner.index.update(rows);
            tokio::task::yield_now().await;
        }
    }
    services.inner.index.sort();
    services.keep_slots().await;
}

/// Holds the figures that are known against what the services aim at. Of a service of which the history knows
/// something new, everything is looked at again.
async fn judge(services: &Services) {
    let sorted = services.inner.index.sorted();
    let mut look: Option<(Namespace, Option<Look>)> = None;
    let mut news = Vec::new();
    for rows in sorted.name.chunks(500) {
        let refs: Vec<ServiceRef> = rows.iter().map(|row| row.at.clone()).collect();
        let Ok(last) = services.inner.store.states_of(&refs).await else { return };
        let mut states = Vec::new();
        for (n, (row, last)) in rows.iter().zip(last).enumerate() {
            if n % (8 * A_WHILE) == 0 {
                tokio::task::yield_now().await;
            }
            if last.map_or(0, |last| last.entry) != row.entry {
                news.push(row.at.clone());
                continue;
            }
            if look.as_ref().is_none_or(|(of, _)| *of != row.at.namespace) {
                let known = services.inner.metrics.known(&row.at.namespace, 60).await;
                look = Some((row.at.namespace.clone(), known));
            }
            let Some(snapshot) = services.inner.cache.snapshot(&row.at) else { continue };
            let observed = look.as_ref().and_then(|(_, look)| look.as_ref()?.of(&snapshot));
            let seen = observed.as_ref().map(|observed| services.seen(observed, &snapshot));
            let state = with_figures(row.calm, row.aim.as_deref(), seen);
            if state != row.state {
                states.push((row.clone(), state));
            }
        }
        services.inner.index.judge(states);
    }
    reindex(services, &news).await;
    services.inner.index.sort();
}

/// Reads figures of every namespace in turn while there was a request within the last two minutes, so that
/// drift is noticed on services that are not on anybody's screen, at one query set a namespace.
pub(super) async fn keep_figures_fresh(services: Services, stop: CancellationToken) {
    let mut tick = interval(FIGURES);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _ = tick.tick() => {}
            () = stop.cancelled() => return,
        }
        let idle_ms = services.inner.clock.now_ms() - services.inner.looked_at.load(Ordering::Relaxed);
        if services.inner.metrics.health() == Health::Absent || idle_ms > LOOKING_MS {
            continue;
        }
        let all = services.inner.cache.services();
        let namespaces: BTreeSet<Namespace> = all.iter().map(|at| at.namespace.clone()).collect();
        for namespace in &namespaces {
            if stop.is_cancelled() {
                return;
            }
            let _ = timeout(Duration::from_secs(10), services.inner.metrics.prefetch([namespace], 60)).await;
        }
        judge(&services).await;
        services.announce(Happening::Figures);
    }
}

/// Verifies the whole history once, beside everything else. What is bad is logged and shown, and hinders nothing.
pub(super) async fn verify_history(services: Services, stop: CancellationToken) {
    let verified = async {
        while !services.inner.settled.load(Ordering::Acquire) {
            sleep(Duration::from_millis(100)).await;
        }
        services.inner.store.verify_own().await
    };
    let report = tokio::select! {
        report = verified => report,
        () = stop.cancelled() => return,
    };
    match report {
        Ok(report) if report.is_good() => {
            tracing::info!(rows = report.rows, "the history is as it was written");
        }
        // The store has logged it.
        Ok(_) => services.announce(Happening::Figures),
        Err(error) => tracing::warn!(%error, "the history cannot be verified"),
    }
}

/// Looks every second whether the history can be written, and shows it on every page when that changes.
pub(super) async fn watch_history(services: Services, stop: CancellationToken) {
    let mut tick = interval(LOOK_AFTER);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut known = None;
    loop {
        tokio::select! {
            _ = tick.tick() => {}
            () = stop.cancelled() => return,
        }
        let trouble = services.inner.store.look_after().await;
        if trouble == known {
            continue;
        }
        known = trouble;
        services.announce(Happening::Figures);
        if trouble.is_none() {
            services.inner.releases.wake_all();
        }
    }
}

/// Logs the head of the history's chain every five minutes, and once at the start; [`Services::finish`] logs the last.
pub(super) async fn anchor_history(services: Services, stop: CancellationToken) {
    let mut tick = interval(ANCHOR);
    loop {
        tokio::select! {
            _ = tick.tick() => {}
            () = stop.cancelled() => return,
        }
        match services.inner.store.head().await {
            Ok(head) => log_anchor(head.as_ref()),
            Err(error) => tracing::warn!(%error, "the history's head cannot be read"),
        }
    }
}

/// Logs the head of the history's chain. `store::anchors_in` reads these lines: target and message are its own.
pub(super) fn log_anchor(head: Option<&Head>) {
    if let Some(Head { seq, hash }) = head {
        tracing::info!(target: ANCHOR_TARGET, seq, hash, "{ANCHOR_MESSAGE}");
    }
}
