//! One supervised watch per kind: list, then follow, without end. Fills the cache; called by [`Cluster::watch`].
//!
//! Ours rather than `kube::runtime::watcher`, which keeps asking for a resourceVersion that the server has
//! refused with 410, hides bookmarks (so that a broken watch looks like a quiet one), and parses whole objects.
//!
//! A list is buffered and swapped in at once: readers never see half of one, and what was deleted while nobody
//! watched disappears.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::sync::Arc;
use std::time::Duration;

use http_body_util::BodyExt;
use kube::client::Body;
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;
use tokio::time::{Instant, sleep, timeout_at};
use tokio_util::sync::CancellationToken;

use crate::domain::ids::{Kind, Namespace, ObjectRef};
use crate::domain::owner::Writers;

use super::cache::Cache;
use super::client;
use super::connection::Connection;
use super::error::ClusterError;
use super::kinds::Watched;
use super::rows::Row;
use super::served::VERSIONS;
use super::state::Facts;
use super::wire::{self, Answer, Call, query};
use super::words::{Word, Words};
use super::{Cluster, Limits, parse};

impl Cluster {
    /// Starts watching everything that the cache holds; ends when `stop` is cancelled. Returns at once: see
    /// [`Cache::is_ready`].
    pub fn watch(&self, stop: CancellationToken) -> Cache {
        let options = &self.inner.options;
        let facts = Facts {
            keys: options.version_keys.clone(),
            domain: Arc::clone(&options.cluster_domain),
            root_namespace: Arc::clone(&options.root_namespace),
            words: Arc::clone(&self.inner.words),
        };
        let watches: Vec<(Watched, Option<Namespace>)> = match &options.namespaces {
            None => Watched::ALL.into_iter().map(|kind| (kind, None)).collect(),
            // Namespaces are cluster-wide: a client that may see only some may not watch them.
            Some(namespaces) => Watched::ALL
                .into_iter()
                .filter(|kind| *kind != Watched::Namespace)
                .flat_map(|kind| namespaces.iter().map(move |namespace| (kind, Some(namespace.clone()))))
                .collect(),
        };
        let cache = Cache::new(facts, options.clock.clone(), watches.clone());
        for (kind, scope) in watches {
            let feed = Feed {
                kind,
                scope,
                connection: self.inner.clients.read.clone(),
                cache: cache.clone(),
                words: Arc::clone(&self.inner.words),
                writers: Arc::clone(&options.writers),
                limits: options.limits.clone(),
            };
            tokio::spawn(supervise(feed, stop.clone()));
        }
        cache
    }
}

/// Restarts a watch that ended, which only a fault of ours can cause.
async fn supervise(feed: Feed, stop: CancellationToken) {
    loop {
        let (one, stopped) = (feed.clone(), stop.clone());
        let task = tokio::spawn(async move { stopped.run_until_cancelled(one.follow_for_ever()).await });
        let ended = task.await;
        if stop.is_cancelled() {
            return;
        }
        let why = ended.err().map_or_else(|| "it ended".to_owned(), |error| error.to_string());
        tracing::error!(kind = feed.kind.as_str(), %why, "a watch stopped and is started again");
        feed.cache.failing(feed.kind, feed.scope.as_ref(), &ClusterError::Invalid(why));
        sleep(Duration::from_secs(1)).await;
    }
}

#[derive(Clone)]
struct Feed {
    kind: Watched,
    scope: Option<Namespace>,
    connection: Connection,
    cache: Cache,
    words: Arc<Words>,
    writers: Arc<Writers>,
    limits: Limits,
}

/// Why a list or the start of a watch did not come about.
struct Broken {
    status: Option<u16>,
    error: ClusterError,
}

impl From<&Answer> for Broken {
    fn from(answer: &Answer) -> Self {
        Self { status: Some(answer.status), error: answer.error("list or watch") }
    }
}

/// How a watch stream ended.
enum End {
    /// In order, or silent: go on from where it was.
    Closed,
    /// The server no longer knows our resourceVersion, or sent an error.
    Relist,
}

impl Feed {
    async fn follow_for_ever(self) {
        let mut failures = 0;
        let mut hasty = 0;
        loop {
            match self.list().await {
                Ok((rows, version)) => {
                    self.cache.replace(self.kind, self.scope.as_ref(), rows);
                    self.cache.reached(self.kind, self.scope.as_ref(), &version);
                    self.cache.listed(self.kind, self.scope.as_ref());
                    failures = 0;
                    let listed = Instant::now();
                    self.follow(version).await;
                    // A server whose watches fail at once must not be listed without a pause.
                    hasty = if listed.elapsed() < Duration::from_secs(1) { hasty + 1 } else { 0 };
                    if hasty > 0 {
                        sleep(backoff(hasty)).await;
                    }
                }
                Err(broken) => {
                    failures += 1;
                    let pause = self.tell(&broken, failures);
                    sleep(pause).await;
                }
            }
        }
    }

    /// Notes what is wrong; returns how long to wait before the next attempt.
    fn tell(&self, broken: &Broken, failures: u32) -> Duration {
        let scope = self.scope.as_ref();
        match broken.status {
            // Once may be an API server that is starting; while nothing is known it costs nothing to believe it.
            Some(404) if self.kind.is_optional() && (failures > 1 || !self.cache.is_live(self.kind)) => {
                if self.cache.missing(self.kind, scope) {
                    let versions = VERSIONS.join(", ");
                    tracing::warn!(
                        kind = self.kind.as_str(),
                        versions,
                        "the cluster serves this kind in no known version"
                    );
                }
                return self.limits.probe;
            }
            Some(403) => {
                if self.cache.forbidden(self.kind, scope, broken.error.to_string()) {
                    tracing::warn!(kind = self.kind.as_str(), error = %broken.error, "may not list or watch");
                }
                return if failures > 1 { self.limits.probe } else { backoff(failures) };
            }
            _ => {}
        }
        tracing::warn!(kind = self.kind.as_str(), error = %broken.error, failures, "cannot list or watch");
        if failures > 1 {
            self.cache.failing(self.kind, scope, &broken.error);
        }
        backoff(failures)
    }

    /// The whole list, page by page, and the resourceVersion that it stands for.
    async fn list(&self) -> Result<(Vec<Row>, String), Broken> {
        let limit = self.limits.page.to_string();
        let mut rows = Vec::new();
        let mut token = String::new();
        loop {
            let mut pairs = vec![("limit", limit.as_str())];
            if !token.is_empty() {
                pairs.push(("continue", token.as_str()));
            }
            let path = self.kind.collection(self.scope.as_ref().map(Namespace::as_str)) + &query(&pairs);
            let sent =
                wire::send(&self.connection, &Call::get(path), Instant::now() + self.limits.read).await;
            let answer = sent.map_err(|failed| Broken { status: None, error: failed.error("list") })?;
            if !answer.is_success() {
                return Err(Broken::from(&answer));
            }
            let page: Page<'_> = serde_json::from_slice(&answer.body)
                .map_err(|error| Broken { status: None, error: ClusterError::Invalid(error.to_string()) })?;
            rows.extend(page.items().filter_map(|item| self.row(item.get())));
            if page.metadata.next.is_empty() {
                rows.shrink_to_fit();
                return Ok((rows, page.metadata.resource_version));
            }
            token = page.metadata.next;
            // Pages are large; others may have something to do.
            tokio::task::yield_now().await;
        }
    }

    /// Follows from a resourceVersion until a new list is needed.
    async fn follow(&self, mut version: String) {
        let mut heard = Instant::now();
        let mut failures = 0;
        loop {
            if heard.elapsed() >= self.limits.silence || failures >= 3 {
                return;
            }
            match self.open(&version).await {
                Ok(lines) => {
                    self.cache.heard(self.kind, self.scope.as_ref());
                    let before = heard;
                    if let End::Relist = self.drain(lines, &mut version, &mut heard).await {
                        return;
                    }
                    if heard > before {
                        failures = 0;
                    } else {
                        // A server (or a proxy before it) that only closes must not be asked without a pause.
                        sleep(backoff(1)).await;
                    }
                }
                // 410: the server no longer knows this version. 403, 404: the list will say what that means.
                Err(Broken { status: Some(401 | 403 | 404 | 410), .. }) => return,
                Err(broken) => {
                    failures += 1;
                    let pause = self.tell(&broken, failures);
                    sleep(pause).await;
                }
            }
        }
    }

    async fn open(&self, version: &str) -> Result<Lines, Broken> {
        let seconds = self.limits.watch.as_secs().to_string();
        let pairs = [
            ("watch", "true"),
            ("allowWatchBookmarks", "true"),
            ("resourceVersion", version),
            ("timeoutSeconds", seconds.as_str()),
        ];
        let path = self.kind.collection(self.scope.as_ref().map(Namespace::as_str)) + &query(&pairs);
        let opened =
            wire::stream(&self.connection, &Call::get(path), Instant::now() + self.limits.read).await;
        match opened {
            Ok(Ok(body)) => Ok(Lines { body, rest: Vec::new() }),
            Ok(Err(answer)) => Err(Broken::from(&answer)),
            Err(failed) => Err(Broken { status: None, error: failed.error("watch") }),
        }
    }

    /// Takes events until the stream ends or is silent.
    async fn drain(&self, mut lines: Lines, version: &mut String, heard: &mut Instant) -> End {
        loop {
            let idle = Instant::now() + self.limits.watch + Duration::from_secs(5);
            let end = idle.min(*heard + self.limits.silence);
            let Ok(Ok(Some(batch))) = timeout_at(end, lines.next()).await else { return End::Closed };
            match self.take(&batch, version) {
                Ok(()) => {
                    *heard = Instant::now();
                    self.cache.reached(self.kind, self.scope.as_ref(), version);
                    self.cache.heard(self.kind, self.scope.as_ref());
                    self.cache.echoed(self.kind);
                }
                Err(why) => {
                    tracing::debug!(kind = self.kind.as_str(), %why, "the watch is started anew with a list");
                    return End::Relist;
                }
            }
        }
    }

    /// Puts a batch of events, each a line, into the cache. An error event is an error, and so is a line
    /// that cannot be read.
    fn take(&self, batch: &[u8], version: &mut String) -> Result<(), String> {
        let mut events: Vec<Event> = Vec::new();
        let mut wrong = None;
        for line in batch.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
            match self.event(line, version) {
                Ok(event) => events.extend(event),
                Err(why) => {
                    wrong = Some(why);
                    break;
                }
            }
        }
        self.cache.update(|state, touched| {
            for event in events {
                match event {
                    Event::Put(row) => state.put(row, touched),
                    Event::Gone(namespace, name) => state.remove(self.kind, &namespace, &name, touched),
                }
            }
        });
        wrong.map_or(Ok(()), Err)
    }

    fn event(&self, line: &[u8], version: &mut String) -> Result<Option<Event>, String> {
        let event: EventJson<'_> = serde_json::from_slice(line).map_err(|error| error.to_string())?;
        if event.kind == "ERROR" {
            return Err(event.object.get().to_owned());
        }
        let object: VersionJson =
            serde_json::from_str(event.object.get()).map_err(|error| error.to_string())?;
        *version = object.metadata.resource_version;
        let gone = || {
            let key =
                parse::key(self.kind, event.object.get(), &self.words).map_err(|error| error.to_string());
            key.map(|(namespace, name)| Some(Event::Gone(namespace, name)))
        };
        match &*event.kind {
            "ADDED" | "MODIFIED" => match self.row(event.object.get()) {
                Some(row) => Ok(Some(Event::Put(row))),
                // As in a list, where it would be left out.
                None => gone(),
            },
            "DELETED" => {
                self.remember(event.object.get());
                gone()
            }
            _ => Ok(None),
        }
    }

    /// Keeps what a routing object was: of one that Sluice never wrote nothing else is known.
    fn remember(&self, json: &str) {
        let kind = match self.kind {
            Watched::VirtualService => Kind::VirtualService,
            Watched::DestinationRule => Kind::DestinationRule,
            _ => return,
        };
        let object = serde_json::from_str::<Value>(json).ok().filter(|_| json.len() <= LARGEST_GONE);
        let Some(mut object) = object else { return };
        let text = |key: &str| object["metadata"][key].as_str().unwrap_or_default();
        let at = ObjectRef::new(kind, text("namespace"), text("name"));
        self.cache.keep_gone(at, object["spec"].take());
    }

    fn row(&self, json: &str) -> Option<Row> {
        parse::row(self.kind, json, &self.words, &self.writers)
            .inspect_err(
                |error| tracing::warn!(kind = self.kind.as_str(), %error, "an object cannot be read"),
            )
            .ok()
    }
}

/// A larger object is forgotten when it is deleted, in bytes of its JSON.
const LARGEST_GONE: usize = 32 * 1024;

enum Event {
    Put(Row),
    Gone(Word, Word),
}

/// A page of a list; items stay text until they are read one by one.
#[derive(Deserialize)]
pub(super) struct Page<'a> {
    #[serde(default)]
    pub metadata: PageMeta,
    /// `null` in a list of metadata that is empty.
    #[serde(borrow, default)]
    items: Option<Vec<&'a RawValue>>,
}

impl<'a> Page<'a> {
    pub fn items(&self) -> impl Iterator<Item = &'a RawValue> {
        self.items.iter().flatten().copied()
    }
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct PageMeta {
    pub resource_version: String,
    #[serde(rename = "continue")]
    pub next: String,
}

#[derive(Deserialize)]
struct EventJson<'a> {
    #[serde(rename = "type", borrow)]
    kind: std::borrow::Cow<'a, str>,
    #[serde(borrow)]
    object: &'a RawValue,
}

#[derive(Deserialize)]
struct VersionJson {
    #[serde(default)]
    metadata: PageMeta,
}

/// A body as whole lines.
struct Lines {
    body: Body,
    rest: Vec<u8>,
}

impl Lines {
    /// Every whole line that has come, at least one; `None` at the end.
    async fn next(&mut self) -> Result<Option<Vec<u8>>, String> {
        loop {
            let Some(frame) = self.body.frame().await else { return Ok(None) };
            let Ok(data) = frame.map_err(|error| client::words(&error))?.into_data() else { continue };
            self.rest.extend_from_slice(&data);
            if data.contains(&b'\n') {
                let to = self.rest.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
                let more = self.rest.split_off(to);
                return Ok(Some(std::mem::replace(&mut self.rest, more)));
            }
        }
    }
}

/// 0.5 s, 1 s, 2 s … 30 s, each up to a fifth longer so that watches do not come back all at once.
fn backoff(failures: u32) -> Duration {
    let base = Duration::from_millis(500 << failures.saturating_sub(1).min(6)).min(Duration::from_secs(30));
    #[expect(clippy::cast_precision_loss, reason = "any number between 0 and 1 will do")]
    let chance = RandomState::new().build_hasher().finish() as f64 / u64::MAX as f64;
    base.mul_f64(1.0 + chance / 5.0)
}
