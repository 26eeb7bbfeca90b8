//! Whether the history can be written: which file it is, which row was written last, and what is in the way.
//! `group` asks before each commit and reports how it went; `services` shows what is known here.
//!
//! A file that was removed, moved or replaced takes every write and loses it at the next start. So the
//! identity (device and inode) of the database and of the two files beside it is compared before anything is
//! written and before a write is acknowledged. A file that was overwritten in place keeps its identity:
//! there the row that was written last must still have its hash, and when another process has modified the file,
//! all of it is verified, past the pages that our own connections remember. Ordinary second readers and writers
//! pass all of that.

use std::fmt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use sqlx::SqliteConnection;

use crate::clock::Clock;
use crate::domain::refusal::Code;

use super::chain::Hash;
use super::{Head, StoreError, schema, verify};

/// Why the history cannot be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// No space is left.
    DiskFull,
    /// Another process holds the file.
    Locked,
    /// The file, or one that belongs to it, is not where it was.
    Gone,
    /// Another file is where it was, or the file holds another history.
    Replaced,
    /// SQLite finds the file damaged.
    Damaged,
    /// Any other error of the disk or of SQLite.
    Failing,
}

impl Cause {
    /// What an error of SQLite says about the file; `None` when it is about the statement.
    pub(super) fn of(error: &sqlx::Error) -> Option<Self> {
        let code = match error {
            sqlx::Error::Database(error) => error.code().and_then(|code| code.parse::<i64>().ok()),
            sqlx::Error::Io(_) | sqlx::Error::PoolTimedOut | sqlx::Error::WorkerCrashed => {
                return Some(Self::Failing);
            }
            _ => return None,
        };
        // The low byte is the primary result code: <https://sqlite.org/rescode.html>.
        match code? & 0xff {
            13 => Some(Self::DiskFull),
            5 | 6 => Some(Self::Locked),
            11 | 26 => Some(Self::Damaged),
            // No memory, read-only, interrupted, I/O error, cannot open, locking protocol.
            7..=10 | 14 | 15 => Some(Self::Failing),
            _ => None,
        }
    }

    /// The code of notices and refusals.
    pub fn code(self) -> Code {
        match self {
            Self::DiskFull => Code::HistoryDiskFull,
            Self::Locked => Code::HistoryLocked,
            Self::Gone => Code::HistoryGone,
            Self::Replaced => Code::HistoryReplaced,
            Self::Damaged | Self::Failing => Code::HistoryUnavailable,
        }
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::DiskFull => "the disk is full",
            Self::Locked => "another process holds the file",
            Self::Gone => "the file is gone",
            Self::Replaced => "another file is in its place",
            Self::Damaged => "the file is damaged",
            Self::Failing => "the disk or SQLite fails",
        })
    }
}

/// That the history cannot be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Trouble {
    /// Milliseconds since 1970.
    pub since_ms: i64,
    pub cause: Cause,
}

/// What is known of the file.
pub(super) struct Condition {
    path: PathBuf,
    clock: Clock,
    now: Mutex<Now>,
}

#[derive(Default)]
struct Now {
    /// The files as they were opened.
    files: Vec<(PathBuf, Identity)>,
    /// The last row that is known to be durable.
    head: Option<(i64, Hash)>,
    /// The database after our own last commit. It changes when the log is copied back: by us, within a commit, or
    /// by another writer.
    stamp: Option<Stamp>,
    /// The database as it was found to hold something else, and why.
    rejected: Option<(Stamp, String)>,
    trouble: Option<Trouble>,
    damage: Option<Damage>,
}

/// What is wrong with rows that were written before. It hinders nothing: later rows continue the chain from the
/// hash that is there, so they can be proved all the same.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Damage {
    /// The first row that is known to be bad; `None` when it is about the file as a whole.
    pub row: Option<i64>,
    pub why: String,
}

#[derive(Clone, Copy, PartialEq, Eq)]
struct Identity {
    device: u64,
    inode: u64,
}

/// When a file was last modified, and its size.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Stamp {
    seconds: i64,
    nanoseconds: i64,
    size: u64,
}

impl Stamp {
    fn of(path: &Path) -> Option<Self> {
        let found = std::fs::metadata(path).ok()?;
        Some(Self { seconds: found.mtime(), nanoseconds: found.mtime_nsec(), size: found.size() })
    }
}

impl Identity {
    fn of(path: &Path) -> std::io::Result<Self> {
        // Never by opening it: closing any handle of the file gives up SQLite's own locks on it
        // (<https://sqlite.org/howtocorrupt.html>, section 2.2).
        let found = std::fs::metadata(path)?;
        Ok(Self { device: found.dev(), inode: found.ino() })
    }
}

impl Condition {
    pub fn new(path: &Path, clock: Clock) -> Self {
        Self { path: path.to_owned(), clock, now: Mutex::default() }
    }

    /// Takes the files as they are now for the ones that were opened, and `head` for the last row.
    pub fn begin(&self, head: (i64, Hash)) -> Result<(), StoreError> {
        let mut files = Vec::new();
        for path in
            [self.path.clone(), schema::beside(&self.path, "-wal"), schema::beside(&self.path, "-shm")]
        {
            let identity = Identity::of(&path);
            let identity = identity.map_err(|source| StoreError::File { path: path.clone(), source })?;
            files.push((path, identity));
        }
        let stamp = Stamp::of(&self.path);
        let mut now = self.now();
        now.files = files;
        now.head = Some(head);
        now.stamp = stamp;
        Ok(())
    }

    /// Refuses when another process has modified the database and it is not the same history any more. What was
    /// known to be damaged before is not held against it.
    pub async fn same_contents(&self) -> Result<(), StoreError> {
        let found = Stamp::of(&self.path);
        let (anchor, known) = {
            let now = self.now();
            if now.stamp.is_none() || now.stamp == found {
                return Ok(());
            }
            if let Some((stamp, why)) = &now.rejected
                && Some(*stamp) == found
            {
                return Err(StoreError::CannotWrite { cause: Cause::Replaced, why: why.clone() });
            }
            let head = now.head.filter(|(seq, _)| *seq > 0);
            (head.map(|(seq, hash)| Head { seq, hash: hex::encode(hash) }), now.damage.clone())
        };
        let report = verify::verify(&self.path, anchor.as_ref()).await?;
        let bad = report.first_bad.filter(|bad| known.is_none_or(|known| known.row != bad.seq));
        let mut now = self.now();
        let Some(bad) = bad else {
            now.stamp = found;
            return Ok(());
        };
        let why = format!("another process has written over it: {}", bad.why);
        now.rejected = found.map(|stamp| (stamp, why.clone()));
        Err(StoreError::CannotWrite { cause: Cause::Replaced, why })
    }

    /// Refuses when a file is not the one that was opened.
    pub fn same_files(&self) -> Result<(), StoreError> {
        for (path, opened) in &self.now().files {
            let (cause, why) = match Identity::of(path) {
                Ok(found) if found == *opened => continue,
                Ok(_) => (Cause::Replaced, "another file has this name now".to_owned()),
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                    (Cause::Gone, "it was removed or moved while it is in use".to_owned())
                }
                Err(error) => (Cause::Failing, error.to_string()),
            };
            return Err(StoreError::CannotWrite { cause, why: format!("`{}`: {why}", path.display()) });
        }
        Ok(())
    }

    /// Refuses when the row that was written last is not in the file any more. Rows after it may be there:
    /// a command may have written them beside us.
    pub async fn same_rows(&self, db: &mut SqliteConnection) -> Result<(), StoreError> {
        let Some((seq, hash)) = self.now().head else { return Ok(()) };
        if seq == 0 {
            return Ok(());
        }
        let found: Option<Vec<u8>> =
            sqlx::query_scalar("SELECT hash FROM audit WHERE seq = ?1").bind(seq).fetch_optional(db).await?;
        if found.as_deref() == Some(&hash[..]) {
            return Ok(());
        }
        let why = format!("row {seq} is not the one that was written: this is an older or another history");
        Err(StoreError::CannotWrite { cause: Cause::Replaced, why })
    }

    /// A commit went well, and `head` is the last row.
    pub fn wrote(&self, head: (i64, Hash)) {
        let stamp = Stamp::of(&self.path);
        let mut now = self.now();
        now.head = Some(head);
        now.stamp = stamp;
        if now.trouble.take().is_some() {
            tracing::info!("the history can be written again");
        }
    }

    /// Nothing could be written. Logged when it begins, and when the cause is another one.
    pub fn failed(&self, cause: Cause, why: &str) {
        let mut now = self.now();
        let since_ms = now.trouble.map_or_else(|| self.clock.now_ms().max(1), |trouble| trouble.since_ms);
        if now.trouble.is_none_or(|known| known.cause != cause) {
            tracing::error!(
                path = %self.path.display(), %cause, why,
                "the history cannot be written: changes are refused and releases wait until it can"
            );
        }
        now.trouble = Some(Trouble { since_ms, cause });
    }

    /// Rows that are there are not as they were written. Logged once; what is known first stays known.
    pub fn damaged(&self, damage: Damage) {
        let mut now = self.now();
        if now.damage.is_none() {
            tracing::error!(
                path = %self.path.display(), row = damage.row, why = damage.why,
                "the history is damaged: changes go on, and `sluice audit verify` names every bad row"
            );
            now.damage = Some(damage);
        }
    }

    pub fn damage(&self) -> Option<Damage> {
        self.now().damage.clone()
    }

    pub fn trouble(&self) -> Option<Trouble> {
        self.now().trouble
    }

    fn now(&self) -> MutexGuard<'_, Now> {
        self.now.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
