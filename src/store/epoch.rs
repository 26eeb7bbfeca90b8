//! Ended sessions stay ended when an older copy of the database is put back.
//!
//! Each session that is ended on purpose is counted, in the database and in a small file beside it. A database
//! that counts less than the file, that has another id, or that has no such file is an older copy or one from
//! elsewhere: people who signed out since would be signed in again, so all of its sessions end when it is opened.
//! The file goes first: a crash between the two ends sessions too many, never too few.
//!
//! Rejected: sessions in memory only (each restart would sign everybody out in the middle of a release), and a key
//! beside the database that sessions are bound to (it would not change when an older copy comes back).

use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};

use sqlx::sqlite::SqlitePool;
use sqlx::{Row, SqliteConnection};
use tokio::sync::Mutex;

use super::StoreError;
use super::schema::beside;

/// The count that the file beside the database holds.
pub(super) struct Epoch {
    path: PathBuf,
    id: String,
    state: Mutex<State>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct State {
    id: String,
    ended: i64,
}

impl Epoch {
    /// Compares database and file; ends every session when they do not belong together.
    pub async fn check(database: &Path, writer: &SqlitePool) -> Result<Self, StoreError> {
        let path = beside(database, ".sessions");
        let mut all = writer.begin_with("BEGIN IMMEDIATE").await?;
        let stored = stored(&mut all).await?;
        let known = read(&path);
        let state = match stored {
            Some(stored) if known.as_ref() == Some(&stored) => stored,
            _ => {
                let dropped = sqlx::query("DELETE FROM session").execute(&mut *all).await?.rows_affected();
                if dropped > 0 {
                    tracing::warn!(
                        sessions = dropped,
                        "the database is an older copy, or the file that counts ended sessions is missing: everybody signs in again"
                    );
                }
                let mut id = [0_u8; 8];
                getrandom::fill(&mut id).map_err(StoreError::NoRandomness)?;
                let fresh = State { id: hex::encode(id), ended: 0 };
                keep(&mut all, &fresh).await?;
                fresh
            }
        };
        all.commit().await?;
        if known.as_ref() != Some(&state) {
            write(&path, &state)?;
        }
        Ok(Self { path, id: state.id.clone(), state: Mutex::new(state) })
    }

    /// Names the database for as long as it is neither restored nor copied.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Counts one more end, in the file; the answer is what the database must be given in the transaction that
    /// ends the session.
    pub async fn advance(&self) -> Result<i64, StoreError> {
        let mut state = self.state.lock().await;
        let next = State { id: state.id.clone(), ended: state.ended + 1 };
        let path = self.path.clone();
        let written = next.clone();
        tokio::task::spawn_blocking(move || write(&path, &written))
            .await
            .map_err(|_| StoreError::Interrupted)??;
        *state = next;
        Ok(state.ended)
    }
}

/// Gives the database the count that the file has. Two ends that pass each other leave the higher one.
pub(super) async fn counted(db: &mut SqliteConnection, ended: i64) -> Result<(), StoreError> {
    sqlx::query("UPDATE session_epoch SET ended = max(ended, ?1)").bind(ended).execute(db).await?;
    Ok(())
}

async fn stored(db: &mut SqliteConnection) -> Result<Option<State>, StoreError> {
    let found = sqlx::query("SELECT id, ended FROM session_epoch").fetch_optional(db).await?;
    let Some(found) = found else { return Ok(None) };
    Ok(Some(State { id: found.try_get(0)?, ended: found.try_get(1)? }))
}

async fn keep(db: &mut SqliteConnection, state: &State) -> Result<(), StoreError> {
    sqlx::query("INSERT OR REPLACE INTO session_epoch (one, id, ended) VALUES (1, ?1, ?2)")
        .bind(&state.id)
        .bind(state.ended)
        .execute(db)
        .await?;
    Ok(())
}

/// What the file says; `None` when it is missing or says nothing that we wrote.
fn read(path: &Path) -> Option<State> {
    let text = fs::read_to_string(path).ok()?;
    let (id, ended) = text.trim_end().split_once(' ')?;
    Some(State { id: id.to_owned(), ended: ended.parse().ok()? })
}

/// Replaces the file as a whole, durably.
fn write(path: &Path, state: &State) -> Result<(), StoreError> {
    let failed = |source| StoreError::File { path: path.to_owned(), source };
    let draft = beside(path, ".new");
    let mut how = OpenOptions::new();
    how.create(true).write(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut how, 0o600);
    let mut file = how.open(&draft).map_err(failed)?;
    writeln!(file, "{} {}", state.id, state.ended).and_then(|()| file.sync_all()).map_err(failed)?;
    fs::rename(&draft, path).map_err(failed)?;
    // The new name itself is durable only when the folder is.
    if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        File::open(folder).and_then(|folder| folder.sync_all()).map_err(failed)?;
    }
    Ok(())
}
