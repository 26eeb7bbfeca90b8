//! Sessions of a database file from outside the server: `sluice sessions list|revoke`. Works while a server has the
//! file, too: SQLite's own locks keep the two apart. Only the server writes the history, so a revocation is left
//! for it in a table of its own; the session itself is gone at once.

use std::path::Path;
use std::time::Duration;

use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{Connection, SqliteConnection};

use crate::domain::session::Session;

use super::sessions::{Sessions, end, list};
use super::{StoreError, schema};

/// More sessions than this are not listed.
const MOST: u32 = 10_000;

/// The sessions that are not over at `now_ms`, the one that began last first.
pub async fn list_sessions(file: &Path, which: &Sessions, now_ms: i64) -> Result<Vec<Session>, StoreError> {
    let mut db = open(file, true).await?;
    let found = list(&mut db, which, now_ms, None, MOST).await?;
    db.close().await?;
    Ok(found)
}

/// Ends sessions at once; the server gives each its row in the history, with `by` and `reason`.
pub async fn revoke_sessions(
    file: &Path,
    which: &Sessions,
    by: &str,
    reason: &str,
    now_ms: i64,
) -> Result<Vec<Session>, StoreError> {
    let mut db = open(file, false).await?;
    let mut all = db.begin_with("BEGIN IMMEDIATE").await?;
    let ended = end(&mut all, which, now_ms).await?;
    for session in &ended {
        sqlx::query(
            "INSERT INTO session_revocation (session, user, by, reason, at_ms) VALUES (?1, ?2, ?3, ?4, ?5)",
        )
        .bind(&session.id)
        .bind(&session.identity.user)
        .bind(by)
        .bind(reason)
        .bind(now_ms)
        .execute(&mut *all)
        .await?;
    }
    all.commit().await?;
    db.close().await?;
    Ok(ended)
}

async fn open(file: &Path, read_only: bool) -> Result<SqliteConnection, StoreError> {
    let options = SqliteConnectOptions::new()
        .filename(file)
        .create_if_missing(false)
        .read_only(read_only)
        .busy_timeout(Duration::from_secs(5));
    let mut db = SqliteConnection::connect_with(&options).await?;
    let version: String = sqlx::query_scalar("SELECT sqlite_version()").fetch_one(&mut db).await?;
    schema::check_sqlite(&version)?;
    let sql = "SELECT count(*) FROM sqlite_schema WHERE name = 'session_revocation'";
    let known: i64 = sqlx::query_scalar(sql).fetch_one(&mut db).await?;
    if known == 0 {
        return Err(StoreError::NoSessions(file.to_owned()));
    }
    Ok(db)
}
