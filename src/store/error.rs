//! Errors of the store. `services` turns them into refusals; the inside text is for the log.

use std::path::PathBuf;

use crate::domain::refusal::{Code, Refusal};

use super::condition::Cause;

/// Why the store did not do it.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    #[error("the history at `{}` is in use by another process", .0.display())]
    InUse(PathBuf),
    #[error("SQLite {found} can lose committed rows (WAL-reset bug); this needs {least} or newer")]
    OldSqlite { found: String, least: &'static str },
    #[error("the database has schema {found}, this Sluice knows up to {known}: it was used by a newer one")]
    NewerSchema { found: i64, known: i64 },
    #[error("migration {0} of the database differs from the one that this Sluice was built with")]
    AlteredMigration(i64),
    #[error("`{}` was written by an older Sluice, which kept no such sessions: start the newer one on it once", .0.display())]
    NoSessions(PathBuf),
    #[error("intent {id} of change {change} is not open")]
    NotOpen { id: i64, change: String },
    #[error("not a cursor of the history")]
    BadCursor,
    #[error("row {seq} of the history cannot be read: {why}")]
    Unreadable { seq: i64, why: String },
    #[error("release R-{id} cannot be read: {why}")]
    UnreadableRelease { id: i64, why: String },
    #[error("cannot write a value as JSON: {0}")]
    Json(#[from] serde_json::Error),
    #[error("the system gives no random numbers: {0}")]
    NoRandomness(getrandom::Error),
    #[error("`{}`: {source}", path.display())]
    File { path: PathBuf, source: std::io::Error },
    /// Disk full, I/O error, or the file is held by another process or is not the one that was opened: nothing
    /// was written that a restart would find.
    #[error("the history cannot be written, {cause}: {why}")]
    CannotWrite { cause: Cause, why: String },
    #[error("the database does not answer: {0}")]
    Unavailable(#[from] sqlx::Error),
    /// The task that wrote was ended with the process, or panicked: its transaction was rolled back.
    #[error("a write was interrupted")]
    Interrupted,
}

impl StoreError {
    /// The refusal for what the asking person did wrong; `None` when the trouble is ours.
    pub fn cursor_refusal(&self) -> Option<Refusal> {
        matches!(self, Self::BadCursor).then(|| Refusal::new(Code::BadCursor).field("cursor"))
    }

    /// What the caller gets: `bad_cursor`, or one of the codes of an audit log that cannot be used.
    pub fn refusal(&self) -> Refusal {
        let code = match self {
            Self::CannotWrite { cause, .. } => cause.code(),
            Self::Unreadable { seq, .. } if *seq > 0 => {
                return Refusal::new(Code::HistoryDamaged).arg("row", seq);
            }
            _ => Code::HistoryUnavailable,
        };
        self.cursor_refusal().unwrap_or_else(|| Refusal::new(code))
    }

    /// The same error for everybody in the group when the file cannot be written; `None` when only the one write
    /// went wrong.
    pub(super) fn broken(&self) -> Option<Self> {
        match self {
            Self::CannotWrite { cause, why } => Some(Self::CannotWrite { cause: *cause, why: why.clone() }),
            Self::Unavailable(error) => {
                Cause::of(error).map(|cause| Self::CannotWrite { cause, why: error.to_string() })
            }
            _ => None,
        }
    }
}
