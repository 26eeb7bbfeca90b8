//! The cache that watches fill and pages read: cheap to clone, never waits for the network. `services` and
//! `Cluster::read_fresh` call it. Nothing is decided on it that is then written: it may be a second old.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, RwLock, RwLockReadGuard};
use std::time::Duration;

use serde_json::Value;
use tokio::sync::{broadcast, watch};
use tokio::time::{Instant, timeout_at};

use crate::clock::Clock;
use crate::domain::ids::{Kind, Namespace, ObjectRef, ServiceRef};
use crate::domain::labels::LabelSet;
use crate::domain::refusal::{Code, Refusal};
use crate::domain::snapshot::Snapshot;

use super::choosers::{Chooser, Departing};
use super::error::ClusterError;
use super::join::service_ref;
use super::kinds::Watched;
use super::rows::{NamespaceRow, Row};
use super::state::{Facts, State, Touched};
use super::words::Words;

/// An event of more services than this is sent as [`Change::Resync`].
const MANY: usize = 256;

/// The cluster as it was heard of last.
#[derive(Clone)]
pub struct Cache {
    inner: Arc<Inner>,
}

struct Inner {
    held: RwLock<Held>,
    slots: RwLock<Vec<Slot>>,
    generation: AtomicU64,
    changes: broadcast::Sender<Change>,
    /// Rises whenever a routing object was heard of.
    echo: watch::Sender<u64>,
    /// The specs of routing objects that were deleted lately, the newest last.
    gone: Mutex<VecDeque<(ObjectRef, Value)>>,
    clock: Clock,
}

/// So many deleted objects are remembered.
const GONE: usize = 64;

struct Held {
    state: State,
    /// Sorted lists, made when asked for and dropped when the set changes.
    services: OnceLock<Arc<[ServiceRef]>>,
    namespaces: OnceLock<Arc<[Namespace]>>,
}

/// Something that readers may want to look at again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// The service's snapshot is another one, or the service came or went.
    Service(ServiceRef),
    /// The set of services changed, or more of them than are worth naming.
    Resync,
}

/// How well a kind is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Health {
    /// The first list is under way.
    Listing,
    Live,
    /// The cluster does not serve the kind. Tried again now and then: it may be installed later.
    Missing,
    /// Sluice may not list or watch it; the API server's words.
    Forbidden {
        message: String,
    },
    /// Neither lists nor watches work since then (milliseconds since 1970); what is known is that old.
    Failing {
        since_ms: i64,
        message: String,
        /// What is wrong, as the code of a refusal.
        code: Code,
    },
}

/// A kind and how well it is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KindHealth {
    pub kind: &'static str,
    pub state: Health,
    /// When the API server last sent anything about it (milliseconds since 1970).
    pub last_heard_ms: Option<i64>,
}

/// A watch: of one kind, in one namespace or everywhere.
struct Slot {
    kind: Watched,
    scope: Option<Namespace>,
    health: Health,
    last_heard_ms: Option<i64>,
    listed: bool,
    /// The resourceVersion that the rows stand for; empty = none yet.
    version: String,
}

impl Cache {
    /// An empty cache that waits for these watches.
    pub(super) fn new(facts: Facts, clock: Clock, watches: Vec<(Watched, Option<Namespace>)>) -> Self {
        let slot = |(kind, scope)| Slot {
            kind,
            scope,
            health: Health::Listing,
            last_heard_ms: None,
            listed: false,
            version: String::new(),
        };
        let held = Held { state: State::new(facts), services: OnceLock::new(), namespaces: OnceLock::new() };
        let inner = Inner {
            held: RwLock::new(held),
            slots: RwLock::new(watches.into_iter().map(slot).collect()),
            generation: AtomicU64::new(0),
            changes: broadcast::Sender::new(4096),
            echo: watch::Sender::new(0),
            gone: Mutex::default(),
            clock,
        };
        Self { inner: Arc::new(inner) }
    }

    /// Remembers what a routing object was when it was deleted.
    pub(super) fn keep_gone(&self, object: ObjectRef, spec: Value) {
        let mut gone = self.inner.gone.lock().unwrap_or_else(PoisonError::into_inner);
        gone.retain(|(other, _)| *other != object);
        if gone.len() >= GONE {
            gone.pop_front();
        }
        gone.push_back((object, spec));
    }

    /// The spec of a routing object that was deleted lately, as the watch had it last.
    pub fn gone(&self, object: &ObjectRef) -> Option<Value> {
        let gone = self.inner.gone.lock().unwrap_or_else(PoisonError::into_inner);
        gone.iter().find(|(other, _)| other == object).map(|(_, spec)| spec.clone())
    }

    /// The snapshot of a service; `None` when there is no such service. Its objects hold no JSON.
    pub fn snapshot(&self, at: &ServiceRef) -> Option<Arc<Snapshot>> {
        self.held().state.snapshot(at)
    }

    /// The Services of its namespace, besides a service itself, that select pods that go. In no order.
    pub fn services_selecting(&self, but: &ServiceRef, departing: &Departing<'_>) -> Vec<Chooser> {
        self.held().state.services_selecting(but, departing)
    }

    /// The Services of its namespace, besides a service itself, that would select a pod with these labels. In no order.
    pub fn services_matching(&self, but: &ServiceRef, labels: &LabelSet) -> Vec<ServiceRef> {
        self.held().state.services_matching(but, labels)
    }

    /// Every service, by namespace and name.
    pub fn services(&self) -> Arc<[ServiceRef]> {
        let held = self.held();
        Arc::clone(held.services.get_or_init(|| {
            let mut all: Vec<ServiceRef> = held.state.services().map(|row| service_ref(row)).collect();
            all.sort_unstable();
            all.into()
        }))
    }

    /// Every namespace that exists or has services, by name.
    pub fn namespaces(&self) -> Arc<[Namespace]> {
        let held = self.held();
        Arc::clone(held.namespaces.get_or_init(|| {
            let shards = held.state.namespaces.iter();
            let shown = shards.filter(|(_, shard)| shard.row.is_some() || !shard.services.is_empty());
            let mut all: Vec<Namespace> = shown.map(|(name, _)| Namespace::trusted(name.clone())).collect();
            all.sort_unstable();
            all.into()
        }))
    }

    /// Rises with every change of anything that is shown.
    pub fn generation(&self) -> u64 {
        self.inner.generation.load(Ordering::Acquire)
    }

    /// Changes from now on. A reader that lags behind gets an error from the channel and should treat it as
    /// [`Change::Resync`].
    pub fn changes(&self) -> broadcast::Receiver<Change> {
        self.inner.changes.subscribe()
    }

    /// How well each kind is known.
    pub fn health(&self) -> Vec<KindHealth> {
        let slots = self.slots();
        let of_kind = |kind: Watched| {
            let of: Vec<&Slot> = slots.iter().filter(|slot| slot.kind == kind).collect();
            let worst = of.iter().max_by_key(|slot| severity(&slot.health))?;
            let last_heard_ms = of.iter().map(|slot| slot.last_heard_ms).min().flatten();
            Some(KindHealth { kind: kind.as_str(), state: worst.health.clone(), last_heard_ms })
        };
        Watched::ALL.into_iter().filter_map(of_kind).collect()
    }

    /// True once every watch has had its first list, or an answer that there is nothing to list.
    pub fn is_ready(&self) -> bool {
        let known =
            |slot: &Slot| slot.listed || matches!(slot.health, Health::Missing | Health::Forbidden { .. });
        self.slots().iter().all(known)
    }

    fn held(&self) -> RwLockReadGuard<'_, Held> {
        self.inner.held.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn slots(&self) -> RwLockReadGuard<'_, Vec<Slot>> {
        self.inner.slots.read().unwrap_or_else(PoisonError::into_inner)
    }
}

fn severity(health: &Health) -> u8 {
    match health {
        Health::Live => 0,
        Health::Missing => 1,
        Health::Listing => 2,
        Health::Failing { .. } => 3,
        Health::Forbidden { .. } => 4,
    }
}

/// What watches and writes tell and ask.
impl Cache {
    /// One event, or several that came together.
    pub(super) fn update(&self, apply: impl FnOnce(&mut State, &mut Touched)) {
        let mut touched = Touched::default();
        {
            let mut held = self.inner.held.write().unwrap_or_else(PoisonError::into_inner);
            apply(&mut held.state, &mut touched);
            if touched.is_empty() {
                return;
            }
            held.state.forget(&touched);
            if touched.set {
                held.services.take();
            }
            if touched.set || touched.namespaces {
                held.namespaces.take();
            }
            self.inner.generation.fetch_add(1, Ordering::Release);
        }
        self.announce(touched);
    }

    fn announce(&self, touched: Touched) {
        // No receiver is no error.
        let tell = |change| drop(self.inner.changes.send(change));
        if touched.all || touched.services.len() > MANY {
            return tell(Change::Resync);
        }
        for (namespace, name) in touched.services {
            tell(Change::Service(ServiceRef { namespace: Namespace::trusted(namespace), name }));
        }
        if touched.set || touched.namespaces {
            tell(Change::Resync);
        }
    }

    /// Makes rows all there is of a kind and scope.
    pub(super) fn replace(&self, kind: Watched, scope: Option<&Namespace>, rows: Vec<Row>) {
        self.update(|state, touched| state.replace(kind, scope.map(Namespace::as_str), rows, touched));
        self.echoed(kind);
    }

    /// Wakes those who wait for a written object to come back.
    pub(super) fn echoed(&self, kind: Watched) {
        if kind.is_optional() {
            self.inner.echo.send_modify(|n| *n += 1);
        }
    }

    /// Waits until the object is heard of at this resourceVersion, or at the generation that the write made
    /// or a later one; false when `end` comes first.
    pub(super) async fn heard_of(
        &self,
        object: &ObjectRef,
        version: &str,
        generation: i64,
        end: Instant,
    ) -> bool {
        let mut echo = self.inner.echo.subscribe();
        let waiting = async {
            loop {
                echo.borrow_and_update();
                let (seen, at) = self.version_of(object).unwrap_or_default();
                // A later write of another client may have come in between.
                if seen == version || (generation > 1 && at >= generation) {
                    return true;
                }
                if echo.changed().await.is_err() {
                    return false;
                }
            }
        };
        timeout_at(end, waiting).await.unwrap_or(false)
    }

    /// Waits until the object is heard of as gone; false when `end` comes first.
    pub(super) async fn heard_gone(&self, object: &ObjectRef, end: Instant) -> bool {
        let mut echo = self.inner.echo.subscribe();
        let waiting = async {
            loop {
                echo.borrow_and_update();
                if self.version_of(object).is_none() {
                    return true;
                }
                if echo.changed().await.is_err() {
                    return false;
                }
            }
        };
        timeout_at(end, waiting).await.unwrap_or(false)
    }

    fn version_of(&self, object: &ObjectRef) -> Option<(String, i64)> {
        self.routing_row(object)?.routing_meta().map(|meta| (meta.resource_version.clone(), meta.generation))
    }

    /// What is known of a routing object.
    pub(super) fn routing_row(&self, object: &ObjectRef) -> Option<Row> {
        let held = self.held();
        let (namespace, name) = (object.namespace.as_str(), &*object.name);
        Some(match object.kind {
            Kind::VirtualService => {
                Row::VirtualService(Arc::clone(held.state.routes.virtual_service(namespace, name)?))
            }
            Kind::DestinationRule => {
                Row::DestinationRule(Arc::clone(held.state.routes.destination_rule(namespace, name)?))
            }
        })
    }

    /// What is known of a namespace itself.
    pub(super) fn namespace_row(&self, namespace: &Namespace) -> Option<NamespaceRow> {
        self.held().state.namespaces.get(namespace.as_str())?.row.clone()
    }

    pub(super) fn words(&self) -> Arc<Words> {
        Arc::clone(&self.held().state.facts.words)
    }

    /// True when what is known of a kind is at most as old as a watch may be silent.
    pub(super) fn is_live(&self, kind: Watched) -> bool {
        self.slots().iter().filter(|slot| slot.kind == kind).all(|slot| slot.health == Health::Live)
    }

    /// The API server sent something about a kind.
    pub(super) fn heard(&self, kind: Watched, scope: Option<&Namespace>) {
        let now = self.inner.clock.now_ms();
        self.with_slot(kind, scope, |slot| {
            slot.last_heard_ms = Some(now);
            if slot.listed {
                slot.health = Health::Live;
            }
        });
    }

    /// What the watch of a kind has come to.
    pub(super) fn reached(&self, kind: Watched, scope: Option<&Namespace>, version: &str) {
        self.with_slot(kind, scope, |slot| version.clone_into(&mut slot.version));
    }

    /// The resourceVersion that what is known of a kind in a namespace stands for; `None` while its watch does not
    /// follow.
    pub(super) fn reached_in(&self, kind: Watched, namespace: &Namespace) -> Option<String> {
        let slots = self.slots();
        let slot = slots
            .iter()
            .find(|slot| slot.kind == kind && slot.scope.as_ref().is_none_or(|scope| scope == namespace))?;
        (slot.health == Health::Live && !slot.version.is_empty()).then(|| slot.version.clone())
    }

    /// The whole list of a kind is in.
    pub(super) fn listed(&self, kind: Watched, scope: Option<&Namespace>) {
        self.with_slot(kind, scope, |slot| slot.listed = true);
        if kind == Watched::Service {
            let scope = scope.map(|scope| self.words().get(scope.as_str()));
            self.update(|state, touched| state.set_listed(scope.as_ref(), touched));
        }
        self.heard(kind, scope);
        self.note_installed();
    }

    /// The cluster does not serve the kind; true when that is news.
    pub(super) fn missing(&self, kind: Watched, scope: Option<&Namespace>) -> bool {
        let now = self.inner.clock.now_ms();
        let mut news = false;
        self.replace(kind, scope, Vec::new());
        self.with_slot(kind, scope, |slot| {
            news = slot.health != Health::Missing;
            slot.listed = false;
            slot.last_heard_ms = Some(now);
            slot.health = Health::Missing;
        });
        self.note_installed();
        news
    }

    /// Sluice may not read the kind; true when that is news.
    pub(super) fn forbidden(&self, kind: Watched, scope: Option<&Namespace>, message: String) -> bool {
        let mut news = false;
        // What was known stays: a restarting API server forbids everything for a moment.
        self.with_slot(kind, scope, |slot| {
            news = !matches!(slot.health, Health::Forbidden { .. });
            slot.health = Health::Forbidden { message };
        });
        news
    }

    pub(super) fn failing(&self, kind: Watched, scope: Option<&Namespace>, error: &ClusterError) {
        let now = self.inner.clock.now_ms();
        self.with_slot(kind, scope, |slot| {
            let since_ms = if let Health::Failing { since_ms, .. } = slot.health { since_ms } else { now };
            let code = error.refusal().code;
            slot.health = Health::Failing { since_ms, message: error.to_string(), code };
        });
    }

    /// Why a service that is not known may exist all the same; `None` when what is known is all there is.
    pub fn blindness(&self) -> Option<Refusal> {
        let all = self.health();
        // Refused credentials show at one kind after the other.
        let ours = all.iter().find_map(|kind| match &kind.state {
            Health::Failing { code, message, .. } if code.is_of_credentials() => Some((*code, message)),
            _ => None,
        });
        if let Some((code, message)) = ours {
            return Some(Refusal::new(code).arg("message", message));
        }
        let services = all.into_iter().find(|health| health.kind == Watched::Service.as_str())?;
        match services.state {
            Health::Live | Health::Missing => None,
            Health::Listing => Some(Refusal::new(Code::NotReady)),
            Health::Forbidden { message } => Some(Refusal::new(Code::ClusterForbids).arg("message", message)),
            Health::Failing { code, message, .. } => Some(Refusal::new(code).arg("message", message)),
        }
    }

    fn note_installed(&self) {
        let missing = |slot: &Slot| slot.kind.is_optional() && slot.health == Health::Missing;
        let installed = !self.slots().iter().any(missing);
        self.update(|state, touched| state.set_installed(installed, touched));
    }

    fn with_slot(&self, kind: Watched, scope: Option<&Namespace>, set: impl FnOnce(&mut Slot)) {
        let mut slots = self.inner.slots.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(slot) = slots.iter_mut().find(|slot| slot.kind == kind && slot.scope.as_ref() == scope) {
            set(slot);
        }
    }

    /// Waits until every kind is known or `within` has passed; true when it is. For the start and for tests.
    pub async fn ready_within(&self, within: Duration) -> bool {
        let end = Instant::now() + within;
        while !self.is_ready() {
            if Instant::now() >= end {
                return false;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        true
    }
}

impl std::fmt::Debug for Cache {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Cache").field("generation", &self.generation()).finish_non_exhaustive()
    }
}
