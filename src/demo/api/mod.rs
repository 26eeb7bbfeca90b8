//! A Kubernetes API server in memory, faithful on the wire.
//!
//! The demo's cluster, and the cluster of the tests: clients reach it through the real `kube` client (a tower
//! service), or over TCP. `tests/it/cluster/behaviours` is one list of behaviours that runs against this server
//! **and** against a real kube-apiserver, so that this one cannot lie. Where the two differ, this one is wrong.
//!
//! ```text
//! request ─► wire ─┬─ discovery                        kinds     the table of resources
//!                  ├─ list, watch ──► storage          object    one version of one object, as bytes
//!                  └─ write ─┬─ change, managed (pure) people    tokens, rights, reviews
//!                            ├─ fields, shapes (pure)  faults    troubles that tests order, request log
//!                            ├─ metadata, builtin (p.) failure   Status answers
//!                            └─ admission (pure)
//! ```
//!
//! It must never learn what Sluice is: it knows Kubernetes and the kinds in its table.
//!
//! What it does not do: server-side apply (415), controllers (nothing makes pods; deletion of a namespace is
//! immediate), merge keys of strategic patches, OpenAPI documents, tables for `kubectl get`.

mod admission;
mod builtin;
mod change;
mod discovery;
mod failure;
mod faults;
mod fields;
mod kinds;
mod list;
mod managed;
mod metadata;
mod object;
mod people;
mod request;
mod responses;
mod seed;
mod selector;
mod serve;
mod shapes;
mod storage;
mod watch;
mod wire;
mod write;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde_json::Value;
use tokio::sync::mpsc::UnboundedReceiver;

use crate::clock::Clock;

pub use self::failure::{Failure, FieldError};
pub use self::faults::{Logged, On, Times, Trouble, Verb};
pub use self::kinds::{Generation, KINDS, Kind, NameRule};
pub use self::object::Object;
pub use self::people::{Person, Right};
pub use self::serve::{ApiService, Dropped};
pub use self::storage::{Change, Event};

/// The server. Clones share everything.
#[derive(Clone)]
pub struct ApiServer {
    inner: Arc<Inner>,
}

struct Inner {
    clock: Clock,
    state: Mutex<storage::State>,
    people: Mutex<people::People>,
    faults: faults::Faults,
    webhook: AtomicBool,
    bookmark_every: Mutex<Duration>,
    frozen: tokio::sync::watch::Sender<bool>,
    cut: tokio::sync::watch::Sender<(u64, Cut)>,
}

/// How running watches are ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cut {
    /// The stream ends, as after its time-out.
    Cleanly,
    /// The connection breaks in the middle.
    Broken,
}

const ISTIO_GROUP: &str = "networking.istio.io";

/// Events a kind that can be resumed from, as the watch cache of a real server holds some.
const HISTORY: usize = 8192;

impl ApiServer {
    /// An empty server with the namespaces of every cluster; time comes from `clock`.
    pub fn new(clock: Clock) -> Self {
        let inner = Inner {
            clock,
            state: Mutex::new(storage::State::new(HISTORY)),
            people: Mutex::default(),
            faults: faults::Faults::default(),
            webhook: AtomicBool::new(true),
            bookmark_every: Mutex::new(Duration::from_mins(1)),
            frozen: tokio::sync::watch::Sender::new(false),
            cut: tokio::sync::watch::Sender::new((0, Cut::Cleanly)),
        };
        let server = Self { inner: Arc::new(inner) };
        for name in ["default", "kube-node-lease", "kube-public", "kube-system"] {
            server.ensure_namespace(name);
        }
        server
    }

    // ---- objects, for the demo and for tests that set a scene

    /// Stores an object as `kubectl apply` would leave it: creates it or replaces its fields, whatever the version.
    /// Makes its namespace when that is missing. `status` is stored too, and the webhook is not asked.
    ///
    /// # Errors
    /// When the kind is unknown or not installed, or the object is not valid.
    pub fn put(&self, object: Value) -> Result<Arc<Object>, Failure> {
        self.put_as(object, "kubectl-client-side-apply")
    }

    /// [`Self::put`] with the name of the manager that `managedFields` then tells, e.g. `argocd-controller`.
    pub fn put_as(&self, mut object: Value, manager: &str) -> Result<Arc<Object>, Failure> {
        let word = object["kind"].as_str().unwrap_or_default().to_owned();
        let (table, kind) = self.find(&word)?;
        write::complete(kind, &mut object);
        let namespace = object::meta_text(&object, "namespace").to_owned();
        if kind.namespaced && namespace.is_empty() {
            return Err(Failure::bad_request("an empty namespace may not be set during creation"));
        }
        if kind.namespaced {
            self.ensure_namespace(&namespace);
        }
        self.seed(table, kind, &namespace, object, manager)
    }

    /// The object, parsed; `None` when there is none. `namespace` is empty for cluster-scoped kinds.
    pub fn get(&self, kind: &str, namespace: &str, name: &str) -> Option<Value> {
        let state = self.state();
        let table = &state.tables[state.table_by_kind(kind)?];
        let object = table.objects.get(&table.kind.key(namespace, name)).cloned();
        drop(state);
        object.map(|o| o.value())
    }

    /// All objects of a kind in list order; `None` as namespace means all.
    pub fn list(&self, kind: &str, namespace: Option<&str>) -> Vec<Arc<Object>> {
        let state = self.state();
        let scope = namespace.map_or(storage::Scope::All, |n| storage::Scope::Namespace(n.into()));
        state.table_by_kind(kind).map(|t| state.tables[t].now(&scope)).unwrap_or_default()
    }

    /// Deletes an object; finalizers count.
    ///
    /// # Errors
    /// When it does not exist.
    pub fn delete(&self, kind: &str, namespace: &str, name: &str) -> Result<(), Failure> {
        let (table, _) = self.find(kind)?;
        self.remove(table, namespace, name, &write::DeleteOptions::default()).map(drop)
    }

    /// Every later event of every kind, in order, without gap.
    pub fn subscribe(&self) -> UnboundedReceiver<Arc<Event>> {
        self.state().subscribe()
    }

    /// The newest resourceVersion.
    pub fn revision(&self) -> u64 {
        self.state().revision
    }

    // ---- what is installed, who may do what

    /// Takes a kind away with all its objects, as on a cluster without its CRD: its URLs answer "404 page not found".
    pub fn uninstall(&self, kind: &str) {
        let mut state = self.state();
        if let Some(table) = state.table_by_kind(kind) {
            let kind = state.tables[table].kind;
            state.tables[table] = storage::Table::new(kind);
            state.tables[table].installed = false;
        }
    }

    /// Gives the server a kind that it did not have, or one that was uninstalled.
    pub fn install(&self, kind: &'static Kind) {
        let mut state = self.state();
        match state.tables.iter().position(|t| t.kind == kind) {
            Some(table) => state.tables[table].installed = true,
            None => state.tables.push(storage::Table::new(kind)),
        }
    }

    /// Serves Istio's kinds in this version only (`v1`, `v1beta1`, `v1alpha3`), without any object of theirs.
    pub fn serve_istio_as(&self, version: &str) {
        let mut state = self.state();
        let all = KINDS.iter().chain(kinds::OLDER_ISTIO.iter().flatten());
        for kind in all.filter(|kind| kind.version == version && kind.group == ISTIO_GROUP) {
            if let Some(table) = state.table_by_kind(kind.kind) {
                state.tables[table] = storage::Table::new(kind);
            }
        }
    }

    /// Adds a user with a token. From the first user on, rights are checked.
    pub fn add_person(&self, person: Person) {
        self.people().people.push(person);
    }

    /// Makes a token worthless: who comes with it is answered with 401.
    pub fn withdraw(&self, token: &str) {
        self.people().people.retain(|person| person.token != token);
    }

    /// Adds a right.
    pub fn grant(&self, right: Right) {
        self.people().rights.push(right);
    }

    /// Takes all rights of a subject away.
    pub fn revoke(&self, subject: &str) {
        self.people().rights.retain(|r| r.subject != subject);
    }

    /// Switches istiod's validating webhook; it is on at first.
    pub fn set_webhook(&self, on: bool) {
        self.inner.webhook.store(on, Ordering::SeqCst);
    }

    // ---- troubles

    /// Orders a trouble for the requests that it meets.
    pub fn trouble(&self, on: On, trouble: Trouble, times: Times) {
        self.inner.faults.order(on, trouble, times);
    }

    /// Ends all ordered troubles and the frost.
    pub fn heal(&self) {
        self.inner.faults.clear();
        self.thaw();
    }

    /// From now on nothing is answered and no watch tells anything, until [`Self::thaw`].
    pub fn freeze(&self) {
        self.inner.frozen.send_replace(true);
    }

    /// Ends [`Self::freeze`].
    pub fn thaw(&self) {
        self.inner.frozen.send_replace(false);
    }

    /// Forgets all history, as etcd's compaction does: a watch that resumes from before gets 410 in its stream.
    pub fn compact(&self) {
        self.state().compact();
    }

    /// Ends all running watches.
    pub fn end_watches(&self, how: Cut) {
        self.inner.cut.send_modify(|(count, cut)| {
            *count += 1;
            *cut = how;
        });
    }

    /// How often watches get bookmarks; a minute at first.
    pub fn set_bookmark_every(&self, every: Duration) {
        *self.inner.bookmark_every.lock().unwrap_or_else(PoisonError::into_inner) = every;
    }

    // ---- the request log

    /// The requests so far, oldest first.
    pub fn log(&self) -> Vec<Logged> {
        self.inner.faults.log()
    }

    /// How many requests with this method had `part` in their path.
    pub fn count(&self, method: &str, part: &str) -> usize {
        self.log().iter().filter(|l| l.method == method && l.path.contains(part)).count()
    }

    /// Forgets the requests so far.
    pub fn clear_log(&self) {
        self.inner.faults.clear_log();
    }

    // ---- for the files of this folder

    fn state(&self) -> MutexGuard<'_, storage::State> {
        self.inner.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn people(&self) -> MutexGuard<'_, people::People> {
        self.inner.people.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn faults(&self) -> &faults::Faults {
        &self.inner.faults
    }

    fn now(&self) -> jiff::Timestamp {
        self.inner.clock.now()
    }

    fn webhook_on(&self) -> bool {
        self.inner.webhook.load(Ordering::SeqCst)
    }

    fn bookmark_every(&self) -> Duration {
        *self.inner.bookmark_every.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn cut(&self) -> tokio::sync::watch::Receiver<(u64, Cut)> {
        self.inner.cut.subscribe()
    }

    async fn thawed(&self) {
        let mut frozen = self.inner.frozen.subscribe();
        // The sender lives as long as `self`; an error cannot happen and would mean "not frozen".
        drop(frozen.wait_for(|frozen| !frozen).await);
    }

    fn kinds(&self) -> Vec<&'static Kind> {
        self.state().tables.iter().filter(|t| t.installed).map(|t| t.kind).collect()
    }

    fn find(&self, word: &str) -> Result<(usize, &'static Kind), Failure> {
        let state = self.state();
        let table = state.table_by_kind(word).filter(|t| state.tables[*t].installed);
        let table = table.ok_or_else(|| Failure::bad_request(format!("no matches for kind \"{word}\"")))?;
        Ok((table, state.tables[table].kind))
    }
}
