//! The use cases. Each one: authorise → decide (pure) → record → act → announce.
//!
//! HTML and JSON call the same functions, so neither can hold a rule that the other lacks. Read
//! [`traffic`] first: it is what the product is for.

pub mod ask;

mod besides;
mod call;
mod change;
mod objects;
mod reached;
mod retire;
pub mod traffic;
pub use change::check_reason;

pub mod as_of;
mod beyond;
pub mod catalog;
pub mod history;
mod host_config;
mod index;
mod left_behind;
mod lists;
mod live_object;
mod progress;
mod shown;
mod slots;
mod standing;
mod unread;
mod way_back;

pub mod access;
pub mod once;
mod refused_attempts;
mod refused_tokens;
pub mod sessions;
pub mod sign_in;

pub mod releases;

mod happenings;
pub mod instances;
mod outside;
mod recovery;
mod shared_objects;

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicI64};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::broadcast;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::clock::Clock;
use crate::cluster::{Cache, Cluster};
use crate::domain::ids::ServiceRef;
use crate::domain::overview::Happening;
use crate::metrics::Metrics;
use crate::routing::Policy;
use crate::store::Store;

/// How the use cases decide; one value a process.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    pub policy: Policy,
    /// Receivers of the transitions of releases.
    pub webhooks: Vec<releases::Webhook>,
    /// How this instance announces itself to others; `None` = it does not, and looks for none.
    pub instance: Option<instances::Instance>,
    /// There is no sign-in: `--auth none` and the demo.
    pub open: bool,
}

/// Every use case, over the modules that do I/O. Cheap to share.
#[derive(Clone)]
pub struct Services {
    inner: Arc<Inner>,
}

/// How long giving back the history may take.
const GIVE_BACK: Duration = Duration::from_secs(3);

struct Inner {
    cluster: Cluster,
    cache: Cache,
    store: Store,
    metrics: Metrics,
    clock: Clock,
    settings: Settings,
    index: index::Index,
    slots: slots::Slots,
    routings: catalog::Routings,
    lists: lists::Lists,
    outside: outside::Known,
    host_config: host_config::Known,
    followed: progress::Followed,
    releases: releases::Room,
    locks: Mutex<HashMap<ServiceRef, Arc<tokio::sync::Mutex<()>>>>,
    /// What has begun to touch the cluster. Closed when Sluice ends: nothing more is begun by itself then.
    under_way: TaskTracker,
    happenings: broadcast::Sender<Happening>,
    /// Ids of sessions, as they end.
    session_ends: broadcast::Sender<Arc<str>>,
    refused_attempts: refused_attempts::RefusedAttempts,
    refused_tokens: refused_tokens::RefusedTokens,
    identities: sign_in::Identities,
    others: instances::Others,
    /// When a page or call last asked for figures, milliseconds since 1970.
    looked_at: AtomicI64,
    /// True once the state of every service is known, so that what changes from now on is a change.
    settled: AtomicBool,
}

impl std::fmt::Debug for Services {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Services").field("settings", &self.inner.settings).finish_non_exhaustive()
    }
}

impl Services {
    /// Connects the modules. Nothing runs until [`Services::spawn`].
    pub fn new(
        cluster: Cluster,
        cache: Cache,
        store: Store,
        metrics: Metrics,
        clock: Clock,
        settings: Settings,
    ) -> Self {
        let (happenings, _) = broadcast::channel(4096);
        let (session_ends, _) = broadcast::channel(256);
        let inner = Inner {
            cluster,
            cache,
            store,
            metrics,
            clock,
            settings,
            index: index::Index::default(),
            slots: slots::Slots::default(),
            routings: catalog::Routings::default(),
            lists: lists::Lists::default(),
            outside: outside::Known::default(),
            host_config: host_config::Known::default(),
            followed: progress::Followed::default(),
            releases: releases::Room::default(),
            locks: Mutex::default(),
            under_way: TaskTracker::new(),
            happenings,
            session_ends,
            refused_attempts: refused_attempts::RefusedAttempts::default(),
            refused_tokens: refused_tokens::RefusedTokens::default(),
            identities: sign_in::Identities::default(),
            others: instances::Others::default(),
            looked_at: AtomicI64::new(0),
            settled: AtomicBool::new(false),
        };
        Self { inner: Arc::new(inner) }
    }

    /// Starts what goes on by itself: clearing up changes that a crash cut off, watching for outside
    /// edits, keeping the list's index, announcing. All of it ends with `stop`.
    pub fn spawn(&self, stop: CancellationToken) -> Vec<tokio::task::JoinHandle<()>> {
        let instance = self.inner.settings.instance.clone();
        let instance = instance.map(|own| tokio::spawn(instances::follow(self.clone(), own, stop.clone())));
        let tasks = [
            tokio::spawn(happenings::run(self.clone(), stop.clone())),
            tokio::spawn(happenings::keep_figures_fresh(self.clone(), stop.clone())),
            tokio::spawn(host_config::follow(self.clone(), stop.clone())),
            tokio::spawn(progress::look(self.clone(), stop.clone())),
            tokio::spawn(sessions::follow(self.clone(), stop.clone())),
            tokio::spawn(happenings::anchor_history(self.clone(), stop.clone())),
            tokio::spawn(happenings::watch_history(self.clone(), stop.clone())),
            tokio::spawn(happenings::verify_history(self.clone(), stop.clone())),
            tokio::spawn(releases::drive(self.clone(), stop.clone())),
            tokio::spawn(releases::deliver(self.clone(), stop)),
        ];
        tasks.into_iter().chain(instance).collect()
    }

    /// Ends, after `stop`, once no request is left: changes and steps of releases that have begun may end, within
    /// the time that one may take; then the history is written into its one file and given back. What was not
    /// begun, or did not end, is taken up at the next start. Nothing works after this.
    pub async fn finish(&self) {
        self.inner.under_way.close();
        if timeout(traffic::WHOLE_CHANGE, self.inner.under_way.wait()).await.is_err() {
            tracing::warn!(left = self.inner.under_way.len(), "ending in the middle of changes");
        }
        self.flush_refused_tokens(true).await;
        self.flush_refused_attempts(true).await;
        match timeout(GIVE_BACK, self.inner.store.close()).await {
            Ok(head) => happenings::log_anchor(head.as_ref()),
            Err(_) => {
                tracing::warn!("the history is still in use: its newest rows stay in the file beside it");
            }
        }
    }

    /// The lock under which a service's traffic is changed and its revision counted.
    fn lock_of(&self, at: &ServiceRef) -> Arc<tokio::sync::Mutex<()>> {
        let mut locks = self.inner.locks.lock().unwrap_or_else(PoisonError::into_inner);
        if locks.len() > 4096 {
            locks.retain(|_, lock| Arc::strong_count(lock) > 1);
        }
        locks.entry(at.clone()).or_default().clone()
    }

    /// Sends an event to all receivers. No receiver is no error.
    fn announce(&self, happening: Happening) {
        let _ = self.inner.happenings.send(happening);
    }
}
