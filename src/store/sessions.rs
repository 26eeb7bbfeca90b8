//! Browser sessions: begun, found by their cookie, listed, ended. Of a cookie only the SHA-256 is kept; the token
//! that a session began with is sealed (`seal`).
//!
//! `services::sign_in` decides whether a session still holds; nothing here asks the cluster.

use std::sync::Arc;

use sha2::{Digest, Sha256};
use sqlx::sqlite::SqliteRow;
use sqlx::{Row, SqliteConnection};

use crate::domain::actor::{BearerToken, Channel, Identity};
use crate::domain::audit::{Entry, Intent, Outcome};
use crate::domain::session::Session;

use super::row::{self, Kind};
use super::{Revise, Store, StoreError, epoch, record, seal};

/// A session ends this long after it began, whatever happens.
const LONGEST_MS: i64 = 12 * 60 * 60 * 1000;
/// A session ends this long after it was last used.
const IDLE_MS: i64 = 30 * 60 * 1000;
/// Sessions of one person at a time: with one more the one that was not used for longest ends.
const MOST_EACH: i64 = 50;

/// A session with the token that it began with.
#[derive(Clone, Debug)]
pub struct OpenSession {
    pub session: Session,
    pub token: BearerToken,
}

/// What a session begins with.
#[derive(Clone, Debug)]
pub struct SignIn {
    pub identity: Arc<Identity>,
    pub token: BearerToken,
    pub address: Option<String>,
    pub agent: String,
    /// When the token itself ends, milliseconds since 1970; `None` = it does not say.
    pub token_ends_ms: Option<i64>,
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

/// Which sessions are meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Sessions {
    /// The one with this id; with a user only if it is theirs.
    One {
        id: String,
        user: Option<String>,
    },
    /// All of a person.
    Of(String),
    All,
}

/// One that was ended by `sluice sessions revoke`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Revocation {
    pub id: i64,
    pub session: String,
    pub user: String,
    pub by: String,
    pub reason: String,
    pub at_ms: i64,
}

impl Store {
    /// Begins a session. Those that are over are cleared away on the occasion.
    pub async fn begin_session(&self, begin: SignIn) -> Result<NewSession, StoreError> {
        let mut secret = [0_u8; 32];
        getrandom::fill(&mut secret).map_err(StoreError::NoRandomness)?;
        let (hash, csrf) = hashes(&secret);
        let now = self.now_ms();
        let longest = now + LONGEST_MS;
        let session = Session {
            id: id_of(&hash),
            identity: begin.identity,
            csrf,
            created_ms: now,
            seen_ms: now,
            ends_ms: begin.token_ends_ms.map_or(longest, |ends| ends.min(longest)),
            checked_ms: now,
            address: begin.address,
            agent: begin.agent,
            channel: Channel::Browser,
        };
        // A token that cannot be sealed could not be asked about again; its session could never be used.
        let token = seal::seal(&secret, &begin.token).ok_or(StoreError::Interrupted)?;
        let identity = serde_json::to_string(&session.identity)?;
        let new = session.clone();
        self.write(move |db| {
            Box::pin(async move {
                sqlx::query("DELETE FROM session WHERE ends_ms <= ?1 OR seen_ms <= ?2")
                    .bind(now)
                    .bind(now - IDLE_MS)
                    .execute(&mut *db)
                    .await?;
                sqlx::query(
                    "DELETE FROM session WHERE hash IN
                     (SELECT hash FROM session WHERE user = ?1 ORDER BY seen_ms DESC, hash LIMIT -1 OFFSET ?2)",
                )
                .bind(&new.identity.user)
                .bind(MOST_EACH - 1)
                .execute(&mut *db)
                .await?;
                sqlx::query(
                    "INSERT INTO session
                     (hash, user, identity, created_ms, seen_ms, ends_ms, token, checked_ms, address, agent, channel)
                     VALUES (?1, ?2, ?3, ?4, ?4, ?5, ?6, ?4, ?7, ?8, ?9)",
                )
                .bind(hash.as_slice())
                .bind(&new.identity.user)
                .bind(identity)
                .bind(now)
                .bind(new.ends_ms)
                .bind(token)
                .bind(&new.address)
                .bind(&new.agent)
                .bind(new.channel.as_str())
                .execute(db)
                .await?;
                Ok(())
            })
        })
        .await?;
        Ok(NewSession { secret: hex::encode(secret), session })
    }

    /// The session that a cookie names; `None` when it is unknown, over, or its token cannot be opened.
    pub async fn session(&self, secret: &str) -> Result<Option<OpenSession>, StoreError> {
        let Some(secret) = parse(secret) else { return Ok(None) };
        let (hash, csrf) = hashes(&secret);
        let found = sqlx::query(
            "SELECT hash, identity, created_ms, seen_ms, ends_ms, checked_ms, address, agent, channel, token
             FROM session WHERE hash = ?1",
        )
        .bind(hash.as_slice())
        .fetch_optional(&self.inner.readers)
        .await?;
        let Some(found) = found else { return Ok(None) };
        let session = Session { csrf, ..read(&found)? };
        let now = self.now_ms();
        if now >= session.ends_ms || now - session.seen_ms >= IDLE_MS {
            return Ok(None);
        }
        let sealed: &[u8] = found.try_get(9)?;
        Ok(seal::open(&secret, sealed).map(|token| OpenSession { session, token }))
    }

    /// Notes when and how a session was last used, when its token was last found good, and whose it is now.
    pub async fn use_session(&self, session: &Session) -> Result<(), StoreError> {
        let session = session.clone();
        let identity = serde_json::to_string(&session.identity)?;
        self.write(move |db| {
            Box::pin(async move {
                sqlx::query(
                    "UPDATE session SET seen_ms = max(seen_ms, ?2), checked_ms = max(checked_ms, ?3),
                     identity = ?4, channel = ?5 WHERE lower(hex(substr(hash, 1, 8))) = ?1",
                )
                .bind(&session.id)
                .bind(session.seen_ms)
                .bind(session.checked_ms)
                .bind(identity)
                .bind(session.channel.as_str())
                .execute(db)
                .await?;
                Ok(())
            })
        })
        .await
    }

    /// Ends sessions on purpose, for good: also an older copy of the database does not bring them back. Returns
    /// those that were not over yet.
    pub async fn end_sessions(&self, which: Sessions) -> Result<Vec<Session>, StoreError> {
        let ended = self.inner.epoch.advance().await?;
        let now = self.now_ms();
        self.write(move |db| {
            Box::pin(async move {
                epoch::counted(db, ended).await?;
                end(db, &which, now).await
            })
        })
        .await
    }

    /// The sessions that are not over, the one that began last first; at most `most`, after the one that began at
    /// this moment with this id.
    pub async fn sessions(
        &self,
        which: &Sessions,
        after: Option<(i64, &str)>,
        most: u32,
    ) -> Result<Vec<Session>, StoreError> {
        let mut db = self.inner.readers.acquire().await?;
        list(&mut db, which, self.now_ms(), after, most).await
    }

    /// What `sluice sessions revoke` ended and the history does not hold yet.
    pub async fn revocations(&self) -> Result<Vec<Revocation>, StoreError> {
        let sql = "SELECT id, session, user, by, reason, at_ms FROM session_revocation ORDER BY id LIMIT 100";
        let found = sqlx::query(sql).fetch_all(&self.inner.readers).await?;
        let read = |row: &SqliteRow| -> Result<Revocation, StoreError> {
            Ok(Revocation {
                id: row.try_get(0)?,
                session: row.try_get(1)?,
                user: row.try_get(2)?,
                by: row.try_get(3)?,
                reason: row.try_get(4)?,
                at_ms: row.try_get(5)?,
            })
        };
        found.iter().map(read).collect()
    }

    /// Gives these their rows in the history, in the transaction that forgets them.
    pub async fn record_revocations(&self, rows: Vec<(i64, Intent, Outcome)>) -> Result<(), StoreError> {
        let ended = self.inner.epoch.advance().await?;
        self.write(move |db| {
            Box::pin(async move {
                epoch::counted(db, ended).await?;
                for (id, intent, outcome) in rows {
                    let sql = "DELETE FROM session_revocation WHERE id = ?1";
                    if sqlx::query(sql).bind(id).execute(&mut *db).await?.rows_affected() == 1 {
                        let entry = Entry { id: 0, intent, outcome: Some(outcome) };
                        record::finish(db, Kind::Single, entry, &Revise::Keep).await?;
                    }
                }
                Ok(())
            })
        })
        .await
    }
}

/// The condition for [`Sessions`]: `?1` = id or NULL, `?2` = user or NULL.
fn binds(which: &Sessions) -> (Option<&str>, Option<&str>) {
    match which {
        Sessions::One { id, user } => (Some(id), user.as_deref()),
        Sessions::Of(user) => (None, Some(user)),
        Sessions::All => (None, None),
    }
}

/// Ends sessions; returns those that were not over.
pub(super) async fn end(
    db: &mut SqliteConnection,
    which: &Sessions,
    now: i64,
) -> Result<Vec<Session>, StoreError> {
    let (id, user) = binds(which);
    let found = sqlx::query(
        "DELETE FROM session WHERE (?1 IS NULL OR lower(hex(substr(hash, 1, 8))) = ?1) AND (?2 IS NULL OR user = ?2)
         RETURNING hash, identity, created_ms, seen_ms, ends_ms, checked_ms, address, agent, channel",
    )
    .bind(id)
    .bind(user)
    .fetch_all(db)
    .await?;
    let ended: Result<Vec<Session>, StoreError> = found.iter().map(read).collect();
    Ok(ended?.into_iter().filter(|one| one.ends_ms > now && one.seen_ms > now - IDLE_MS).collect())
}

/// Lists sessions that are not over.
pub(super) async fn list(
    db: &mut SqliteConnection,
    which: &Sessions,
    now: i64,
    after: Option<(i64, &str)>,
    most: u32,
) -> Result<Vec<Session>, StoreError> {
    let (id, user) = binds(which);
    let found = sqlx::query(
        "SELECT hash, identity, created_ms, seen_ms, ends_ms, checked_ms, address, agent, channel FROM session
         WHERE (?1 IS NULL OR lower(hex(substr(hash, 1, 8))) = ?1) AND (?2 IS NULL OR user = ?2)
           AND ends_ms > ?3 AND seen_ms > ?4
           AND (?5 IS NULL OR (created_ms, lower(hex(substr(hash, 1, 8)))) < (?5, ?6))
         ORDER BY created_ms DESC, lower(hex(substr(hash, 1, 8))) DESC LIMIT ?7",
    )
    .bind(id)
    .bind(user)
    .bind(now)
    .bind(now - IDLE_MS)
    .bind(after.map(|(created_ms, _)| created_ms))
    .bind(after.map(|(_, id)| id))
    .bind(most)
    .fetch_all(db)
    .await?;
    found.iter().map(read).collect()
}

fn parse(secret: &str) -> Option<[u8; 32]> {
    let mut bytes = [0_u8; 32];
    hex::decode_to_slice(secret, &mut bytes).ok()?;
    Some(bytes)
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
    let channel: &str = found.try_get(8)?;
    Ok(Session {
        id: id_of(hash),
        identity: serde_json::from_str(identity).map_err(|error| row::unreadable(0, error))?,
        csrf: String::new(),
        created_ms: found.try_get(2)?,
        seen_ms: found.try_get(3)?,
        ends_ms: found.try_get(4)?,
        checked_ms: found.try_get(5)?,
        address: found.try_get(6)?,
        agent: found.try_get(7)?,
        channel: Channel::parse(channel).unwrap_or(Channel::Browser),
    })
}
