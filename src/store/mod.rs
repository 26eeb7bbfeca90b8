//! The audit log, sessions, idempotency keys and releases, in SQLite. The only module with SQL in it.
//!
//! `services` calls it; `main` calls [`verify`] for `sluice audit verify`. It decides nothing: it must
//! never drop, change or reorder a row of the history, and never hold a secret.
//!
//! - Writing: [`Store::intent`] before the cluster is touched, [`Store::outcome`] exactly once after it,
//!   [`Store::single`] for what needs no cluster. Each is durable (WAL, `synchronous = FULL`) before it
//!   returns, and runs in a task of its own, so that a caller who goes away cuts nothing in the middle.
//! - Reading: pages, counts and exports are ranges of one index (`listing`), newest written first. Rows
//!   are ordered by `seq`, the order of writing, because a page or an export that is being read must
//!   not miss a row whose clock was set back.
//! - Proving: every row holds the hash of the one before; [`verify`] recomputes all of it offline.

mod condition;
mod corrected;
mod error;
mod group;
mod schema;

mod chain;
mod keys;
mod row;
mod text;

mod record;
mod state;

mod course;
mod filtered;
mod read;

mod epoch;
mod once;
mod seal;
mod session_file;
mod sessions;
mod slots;

mod drafts;
mod kept;
mod release_list;
mod release_mirror;
mod releases;

mod anchors;
mod backup;
mod report;
pub mod verify;

pub use anchors::{MESSAGE as ANCHOR_MESSAGE, TARGET as ANCHOR_TARGET, anchors_in};
pub use chain::Head;
pub use condition::{Cause, Damage, Trouble};
pub use course::{RevisionOf, WeightsAt};
pub use drafts::Saved;
pub use error::StoreError;
pub use once::Begin;
pub use read::{Count, Loaded, Page};
pub use record::Revise;
pub use release_list::{Place, ReleaseFilter};
pub use releases::past_release;
pub use releases::{Held, Message, Step, Stored};
pub use schema::{LEAST_SQLITE, check_sqlite};
pub use session_file::{list_sessions, revoke_sessions};
pub use sessions::{NewSession, OpenSession, Revocation, Sessions, SignIn};
pub use state::ServiceState;

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use futures::future::BoxFuture;
use sqlx::sqlite::{SqliteConnectOptions, SqlitePool, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{ConnectOptions, Connection, SqliteConnection};
use tracing::Instrument;

use crate::clock::Clock;

/// How to open a store.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Connections that read beside the one that writes.
    pub readers: u32,
    /// Refuse to let the file grow over this many pages (4 KiB each), as a full disk would.
    pub max_pages: Option<u32>,
}

impl Default for Options {
    fn default() -> Self {
        Self { readers: 4, max_pages: None }
    }
}

/// Every so many looks at a history that is fine, something is written.
const PROBE_EVERY: u32 = 30;

/// The database of one Sluice. Cheap to share.
#[derive(Clone)]
pub struct Store {
    inner: Arc<Inner>,
}

struct Inner {
    path: PathBuf,
    clock: Clock,
    /// One connection: SQLite has one writer, and a queue here is fairer than its busy handler.
    writer: SqlitePool,
    queue: group::Queue,
    /// `query_only`, so that nothing is written past the writer.
    readers: SqlitePool,
    condition: Arc<condition::Condition>,
    /// Looks at the condition since the last probe.
    looks: AtomicU32,
    /// Write transactions that have ended.
    writes: AtomicU64,
    states: state::Kept,
    epoch: epoch::Epoch,
    /// Held for as long as the store lives: exactly one process owns the file.
    _lock: File,
}

impl std::fmt::Debug for Store {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Store").field("path", &self.inner.path).finish_non_exhaustive()
    }
}

impl Store {
    /// Opens the database, or makes it. Refuses a file that another process has open, one that a newer
    /// Sluice wrote, and a SQLite with the WAL-reset bug (<https://sqlite.org/wal.html#walresetbug>).
    pub async fn open(path: &Path, clock: Clock) -> Result<Self, StoreError> {
        Self::open_with(path, clock, Options::default()).await
    }

    /// The same with limits of one's own.
    pub async fn open_with(path: &Path, clock: Clock, options: Options) -> Result<Self, StoreError> {
        let lock = schema::lock(path)?;
        schema::create_private(path)?;
        let base = SqliteConnectOptions::new()
            .filename(path)
            .synchronous(SqliteSynchronous::Full)
            .foreign_keys(true)
            // A request writes a few times (session, key, intent): together they stay within its 20 s.
            .busy_timeout(Duration::from_secs(2))
            .disable_statement_logging();
        let mut writing = base
            .clone()
            .journal_mode(sqlx::sqlite::SqliteJournalMode::Wal)
            // A fuller log before it is copied back: pages that many rows touch are copied once.
            .pragma("wal_autocheckpoint", "4000")
            .pragma("journal_size_limit", "67108864")
            .pragma("cache_size", "-16000");
        if let Some(pages) = options.max_pages {
            writing = writing.pragma("max_page_count", pages.to_string());
        }
        let pool = || {
            SqlitePoolOptions::new()
                .acquire_timeout(Duration::from_secs(10))
                .idle_timeout(None)
                .max_lifetime(None)
                .test_before_acquire(false)
        };
        let writer = pool().max_connections(1).connect_with(writing).await?;
        schema::prepare(&writer, path).await?;
        let epoch = epoch::Epoch::check(path, &writer).await?;
        let condition = Arc::new(condition::Condition::new(path, clock.clone()));
        let reading = base.pragma("query_only", "ON").pragma("cache_size", "-8000");
        let many = options.readers.max(1);
        let watched = condition.clone();
        // All of them now: one that is opened later could find another file under the name.
        let readers = pool().min_connections(many).max_connections(many).after_connect(move |_, _| {
            let same = watched.same_files().map_err(|error| sqlx::Error::Protocol(error.to_string()));
            Box::pin(async move { same })
        });
        let readers = readers.connect_with(reading).await?;
        let inner = Inner {
            path: path.to_owned(),
            clock,
            queue: group::Queue::on(writer.clone(), condition.clone()),
            writer,
            readers,
            condition,
            looks: AtomicU32::new(0),
            writes: AtomicU64::new(0),
            states: state::Kept::default(),
            epoch,
            _lock: lock,
        };
        let store = Self { inner: Arc::new(inner) };
        store.forget_unfinished().await?;
        let head = record::last(&mut *store.inner.readers.acquire().await?).await?;
        store.inner.condition.begin(head)?;
        Ok(store)
    }

    /// Names this database among others: new when it was restored from an older copy, or is a copy itself.
    pub fn id(&self) -> &str {
        self.inner.epoch.id()
    }

    /// Finishes what is being written and gives the file back. Calls after this fail. The last row of all, for an
    /// anchor; `None` when it cannot be read or there is none.
    pub async fn close(&self) -> Option<Head> {
        if let Err(error) = self.inner.condition.same_files() {
            // SQLite removes the files beside the database by name, and these may belong to another one by now.
            tracing::warn!(%error, "the history is not given back: another file may be in its place");
            std::mem::forget(self.clone());
            return None;
        }
        self.inner.queue.end().await;
        self.inner.readers.close().await;
        let mut writer = self.inner.writer.acquire().await.ok();
        let head = match &mut writer {
            Some(db) => record::last(db).await.ok(),
            None => None,
        };
        // Closed from here on: nothing is written after what was read.
        let closed = self.inner.writer.close();
        drop(writer);
        closed.await;
        self.copy_back().await;
        head.filter(|(seq, _)| *seq > 0).map(|(seq, hash)| Head { seq, hash: hex::encode(hash) })
    }

    /// SQLite copies its log back when the last connection is closed. One that is still being closed, or one of
    /// another process, keeps it from that: then it is tried again, for a second.
    async fn copy_back(&self) {
        let log = schema::beside(&self.inner.path, "-wal");
        let alone = SqliteConnectOptions::new()
            .filename(&self.inner.path)
            .create_if_missing(false)
            .busy_timeout(Duration::from_millis(100))
            .disable_statement_logging();
        for _ in 0..12 {
            if !log.exists() {
                return;
            }
            tracing::info!("somebody else still reads the history: its log is copied back again");
            tokio::time::sleep(Duration::from_millis(50)).await;
            let copied = async {
                let mut db = alone.connect().await?;
                sqlx::query("PRAGMA wal_checkpoint(TRUNCATE)").execute(&mut db).await?;
                db.close().await
            };
            if let Err(error) = copied.await {
                tracing::warn!(%error, "the log of the history is not copied back");
            }
        }
        tracing::warn!("the newest rows of the history stay in the file beside it");
    }

    /// Why nothing can be written, and since when; `None` when the last write went well.
    pub fn trouble(&self) -> Option<Trouble> {
        self.inner.condition.trouble()
    }

    /// What is known to be wrong with what was written before; `None` while nothing is.
    pub fn damage(&self) -> Option<Damage> {
        self.inner.condition.damage()
    }

    /// Looks whether the history can be written, for those who only ask. While it cannot, something without
    /// meaning is written each time, so that the trouble ends when its cause does; otherwise now and then.
    pub async fn look_after(&self) -> Option<Trouble> {
        let troubled = self.trouble().is_some();
        let looks = self.inner.looks.fetch_add(1, Ordering::Relaxed);
        if troubled || looks % PROBE_EVERY == PROBE_EVERY - 1 {
            // As much as a change with its objects: a page that just fits would not be enough for one.
            self.probe(if troubled { 64 * 1024 } else { 1 }).await;
        } else if let Err(StoreError::CannotWrite { cause, why }) = self.inner.condition.same_files() {
            self.inner.condition.failed(cause, &why);
        }
        self.trouble()
    }

    async fn probe(&self, bytes: i64) {
        let now = self.now_ms();
        // Past `write`: what is read stays as it is.
        let told = self.inner.queue.put(move |db| {
            Box::pin(async move {
                let sql = "INSERT INTO probe (id, at_ms, filler) VALUES (1, ?1, randomblob(?2))
                    ON CONFLICT (id) DO UPDATE SET at_ms = excluded.at_ms, filler = excluded.filler";
                sqlx::query(sql).bind(now).bind(bytes).execute(db).await?;
                Ok(())
            })
        });
        // The writer has noted how it went.
        let _ = told.await;
    }

    /// Rises with every write, before its caller hears of it: what was read at a number holds while it stands.
    pub fn generation(&self) -> u64 {
        self.inner.writes.load(Ordering::Acquire)
    }

    fn now_ms(&self) -> i64 {
        self.inner.clock.now_ms()
    }

    /// Runs one write transaction, in a task of its own: when the caller is dropped it still ends, one
    /// way or the other.
    async fn write<T, F>(&self, job: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: for<'c> FnOnce(&'c mut SqliteConnection) -> BoxFuture<'c, Result<T, StoreError>> + Send + 'static,
    {
        let inner = self.inner.clone();
        let told = inner.queue.put(job);
        let task = async move {
            let done = told.await.unwrap_or(Err(StoreError::Interrupted));
            // Also when it failed: what a commit with an error left behind is unknown.
            inner.writes.fetch_add(1, Ordering::Release);
            done
        };
        tokio::spawn(task.in_current_span()).await.map_err(|_| StoreError::Interrupted)?
    }
}
