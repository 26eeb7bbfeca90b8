//! Who may come in: browser sessions. Of a session's secret only the SHA-256 is kept.

use std::sync::Arc;

use sha2::{Digest, Sha256};
use sqlx::Row;
use sqlx::sqlite::SqliteRow;

use crate::domain::actor::Identity;

use super::{Store, StoreError, row};

/// A session ends this long after it began, whatever happens.
const LONGEST_MS: i64 = 12 * 60 * 60 * 1000;
/// A session ends this long after it was last used.
const IDLE_MS: i64 = 30 * 60 * 1000;
/// "Last used" is written at most this often.
const TOUCH_MS: i64 = 60 * 1000;

/// A browser session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Session {
    /// Names the session in lists; of no use to get in.
    pub id: String,
    pub identity: Arc<Identity>,
    /// What forms of this session must carry. Computed from the secret, stored nowhere; empty in lists.
    pub csrf: String,
    pub created_ms: i64,
    pub seen_ms: i64,
    pub ends_ms: i64,
}

/// A session that has just begun.
#[derive(Clone)]
pub struct NewSession {
    /// For the cookie; kept nowhere else. 64 hexadecimal digits (256 random bits).
    pub secret: String,
    pub session: Session,
}

impl std::fmt::Debug for NewSession {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("NewSession").field("session", &self.session).finish_non_exhaustive()
    }
}

impl Store {
    /// Begins a session. Those that are over are cleared away on the occasion.
    pub async fn begin_session(&self, identity: &Identity) -> Result<NewSession, StoreError> {
        let mut secret = [0_u8; 32];
        getrandom::fill(&mut secret).map_err(StoreError::NoRandomness)?;
        let (hash, csrf) = hashes(&secret);
        let now = self.now_ms();
        let session = Session {
            id: id_of(&hash),
            identity: Arc::new(identity.clone()),
            csrf,
            created_ms: now,
            seen_ms: now,
            ends_ms: now + LONGEST_MS,
        };
        let (user, identity) = (identity.user.clone(), serde_json::to_string(identity)?);
        self.write(move |db| {
            Box::pin(async move {
                sqlx::query("DELETE FROM session WHERE ends_ms <= ?1 OR seen_ms <= ?2")
                    .bind(now)
                    .bind(now - IDLE_MS)
                    .execute(&mut *db)
                    .await?;
                sqlx::query(
                    "INSERT INTO session (hash, user, identity, created_ms, seen_ms, ends_ms)
                     VALUES (?1, ?2, ?3, ?4, ?4, ?5)",
                )
                .bind(hash.as_slice())
                .bind(user)
                .bind(identity)
                .bind(now)
                .bind(now + LONGEST_MS)
                .execute(db)
                .await?;
                Ok(())
            })
        })
        .await?;
        Ok(NewSession { secret: hex::encode(secret), session })
    }

    /// The session that a cookie names; `None` when it is unknown or over. Prolongs its idle time.
    pub async fn session(&self, secret: &str) -> Result<Option<Session>, StoreError> {
        let Some((hash, csrf)) = parse(secret) else { return Ok(None) };
        let found =
            sqlx::query("SELECT hash, identity, created_ms, seen_ms, ends_ms FROM session WHERE hash = ?1")
                .bind(hash.as_slice())
                .fetch_optional(&self.inner.readers)
                .await?;
        let Some(found) = found else { return Ok(None) };
        let mut session = read(&found)?;
        session.csrf = csrf;
        let now = self.now_ms();
        if now >= session.ends_ms || now - session.seen_ms >= IDLE_MS {
            return Ok(None);
        }
        if now - session.seen_ms >= TOUCH_MS {
            session.seen_ms = now;
            let touched = self.touch(hash, now).await;
            if let Err(error) = touched {
                // Whoever is in may go on reading while the disk is full.
                tracing::debug!(%error, "the last use of a session was not noted");
            }
        }
        Ok(Some(session))
    }

    async fn touch(&self, hash: [u8; 32], now: i64) -> Result<(), StoreError> {
        self.write(move |db| {
            Box::pin(async move {
                let sql = "UPDATE session SET seen_ms = ?2 WHERE hash = ?1 AND seen_ms < ?2";
                sqlx::query(sql).bind(hash.as_slice()).bind(now).execute(db).await?;
                Ok(())
            })
        })
        .await
    }

    /// Ends the session that a cookie names, at once.
    pub async fn end_session(&self, secret: &str) -> Result<(), StoreError> {
        let Some((hash, _)) = parse(secret) else { return Ok(()) };
        self.write(move |db| {
            Box::pin(async move {
                let sql = "DELETE FROM session WHERE hash = ?1";
                sqlx::query(sql).bind(hash.as_slice()).execute(db).await?;
                Ok(())
            })
        })
        .await
    }

    /// The sessions of a person that are not over, newest first.
    pub async fn sessions(&self, user: &str) -> Result<Vec<Session>, StoreError> {
        let now = self.now_ms();
        let found = sqlx::query(
            "SELECT hash, identity, created_ms, seen_ms, ends_ms FROM session
             WHERE user = ?1 AND ends_ms > ?2 AND seen_ms > ?3 ORDER BY created_ms DESC, hash LIMIT 1000",
        )
        .bind(user)
        .bind(now)
        .bind(now - IDLE_MS)
        .fetch_all(&self.inner.readers)
        .await?;
        found.iter().map(read).collect()
    }

    /// Ends a person's session by its `id`, or all of them. Returns how many.
    pub async fn revoke_sessions(&self, user: &str, id: Option<&str>) -> Result<u64, StoreError> {
        let (user, id) = (user.to_owned(), id.map(str::to_owned));
        self.write(move |db| {
            Box::pin(async move {
                let sql = "DELETE FROM session
                    WHERE user = ?1 AND (?2 IS NULL OR lower(hex(substr(hash, 1, 8))) = ?2)";
                Ok(sqlx::query(sql).bind(user).bind(id).execute(db).await?.rows_affected())
            })
        })
        .await
    }
}

fn parse(secret: &str) -> Option<([u8; 32], String)> {
    let mut bytes = [0_u8; 32];
    hex::decode_to_slice(secret, &mut bytes).ok()?;
    Some(hashes(&bytes))
}

/// What is stored of a secret, and what its forms must carry. Neither leads back to it, nor to the other.
fn hashes(secret: &[u8; 32]) -> ([u8; 32], String) {
    let stored: [u8; 32] = Sha256::digest(secret).into();
    let csrf = Sha256::new().chain_update(b"csrf").chain_update(secret).finalize();
    (stored, hex::encode(csrf))
}

fn id_of(hash: &[u8]) -> String {
    hex::encode(&hash[..hash.len().min(8)])
}

fn read(found: &SqliteRow) -> Result<Session, StoreError> {
    let hash: &[u8] = found.try_get(0)?;
    let identity: &str = found.try_get(1)?;
    Ok(Session {
        id: id_of(hash),
        identity: serde_json::from_str(identity).map_err(|error| row::unreadable(0, error))?,
        csrf: String::new(),
        created_ms: found.try_get(2)?,
        seen_ms: found.try_get(3)?,
        ends_ms: found.try_get(4)?,
    })
}
