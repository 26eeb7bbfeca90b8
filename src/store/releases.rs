//! Releases: the state that the engine goes on from, with the history's row of each transition in the same
//! transaction. Compare-and-set by `version`, so that no two drivers move one release.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use sqlx::sqlite::SqliteRow;
use sqlx::{Row, SqliteConnection};

use crate::domain::actor::Identity;
use crate::domain::audit::{Entry, Intent, Outcome};
use crate::domain::ids::{Revision, ServiceRef};
use crate::domain::release::{Judgement, Release, ReleaseId, Spec, TimelineEntry};

use super::record::{self, Revise};
use super::row::{Kind, unreadable};
use super::{Store, StoreError, kept};

/// A release with what only the engine needs.
#[derive(Clone, Debug, PartialEq)]
pub struct Held {
    pub release: Release,
    /// What the next write must name.
    pub version: i64,
    /// Who made it.
    pub owner: Identity,
}

impl Held {
    /// In whose name it writes, and by whose rights: who gave the latest command that writes, else who made it.
    pub fn acting(&self) -> &Identity {
        self.release.state.acting.as_deref().unwrap_or(&self.owner)
    }
}

/// A transition as it is to be stored.
#[derive(Clone, Debug)]
pub struct Step {
    /// The release after it; `seq` is taken in the transaction.
    pub after: Held,
    /// The transition's row of the history and its entry of the timeline; `None` = nothing to report.
    pub told: Option<(Intent, Outcome, TimelineEntry)>,
    pub judgement: Option<Judgement>,
    /// The webhook receivers: one message each.
    pub receivers: Arc<[String]>,
}

/// How storing a transition ended.
#[derive(Clone, Debug, PartialEq)]
pub enum Stored {
    Done(Box<Held>),
    /// Another version was stored meanwhile.
    Stale,
    /// Another release moves this service.
    Owned(ReleaseId),
}

/// What a message to the outside says.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Message {
    pub id: i64,
    pub release: ReleaseId,
    /// For whom.
    pub receiver: String,
    pub body: String,
    pub tries: u32,
}

pub(super) const COLUMNS: &str =
    "id, seq, version, spec, state, owner, reason, created_ms, changed_ms, started_ms, ended_ms";

impl Store {
    /// Stores a new release with its first row of the history.
    pub async fn create_release(
        &self,
        held: Held,
        intent: Intent,
        outcome: Outcome,
        entry: TimelineEntry,
        receivers: Arc<[String]>,
    ) -> Result<Held, StoreError> {
        self.write(move |db| {
            Box::pin(async move {
                let release = &held.release;
                let id: i64 = sqlx::query_scalar(
                    "INSERT INTO release (service, phase, owns, live, seq, version, spec, state, owner, reason,
                         created_ms, changed_ms)
                     VALUES (?1, ?2, 0, 0, 1, 1, ?3, ?4, ?5, ?6, ?7, ?7) RETURNING id",
                )
                .bind(release.spec.service.to_string())
                .bind(release.state.phase.as_str())
                .bind(serde_json::to_string(&release.spec)?)
                .bind(serde_json::to_string(&release.state)?)
                .bind(serde_json::to_string(&held.owner)?)
                .bind(&release.reason)
                .bind(release.created_ms)
                .fetch_one(&mut *db)
                .await?;
                let mut held = held;
                held.release.id = ReleaseId(id);
                held.release.seq = 1;
                held.version = 1;
                tell(db, &held, intent, outcome, entry, &receivers).await?;
                Ok(held)
            })
        })
        .await
    }

    /// Stores a transition: state, pending actions, timeline, look, message and the history's row, all or none.
    pub async fn step_release(&self, step: Step) -> Result<Stored, StoreError> {
        self.write(move |db| {
            Box::pin(async move {
                let mut held = step.after;
                let release = &mut held.release;
                if step.told.is_some() {
                    release.seq += 1;
                }
                let phase = release.state.phase;
                let stored: Option<(String, String, String)> =
                    sqlx::query_as("SELECT spec, state, owner FROM release WHERE id = ?1")
                        .bind(release.id.0)
                        .fetch_optional(&mut *db)
                        .await?;
                let (spec, state, owner) = stored.unwrap_or_default();
                if phase.owns_service() {
                    let other: Option<i64> =
                        sqlx::query_scalar("SELECT id FROM release WHERE service = ?1 AND owns = 1 AND id <> ?2")
                            .bind(release.spec.service.to_string())
                            .bind(release.id.0)
                            .fetch_optional(&mut *db)
                            .await?;
                    if let Some(other) = other {
                        return Ok(Stored::Owned(ReleaseId(other)));
                    }
                }
                let done = sqlx::query(
                    "UPDATE release SET phase = ?3, owns = ?4, live = ?5, seq = ?6, version = version + 1, spec = ?7,
                         state = ?8, owner = ?9, reason = ?10, changed_ms = ?11, started_ms = ?12, ended_ms = ?13
                     WHERE id = ?1 AND version = ?2",
                )
                .bind(release.id.0)
                .bind(held.version)
                .bind(phase.as_str())
                .bind(i64::from(phase.owns_service()))
                .bind(i64::from(is_live(release)))
                .bind(release.seq.cast_signed())
                .bind(kept::over(&spec, &release.spec)?)
                .bind(kept::over(&state, &release.state)?)
                .bind(kept::over(&owner, &held.owner)?)
                .bind(&release.reason)
                .bind(release.changed_ms)
                .bind(release.started_ms)
                .bind(release.ended_ms)
                .execute(&mut *db)
                .await?;
                if done.rows_affected() != 1 {
                    return Ok(Stored::Stale);
                }
                held.version += 1;
                if let Some(judgement) = &step.judgement {
                    sqlx::query("INSERT INTO release_look (release, at_ms, body) VALUES (?1, ?2, ?3)")
                        .bind(held.release.id.0)
                        .bind(judgement.at_ms)
                        .bind(serde_json::to_string(judgement)?)
                        .execute(&mut *db)
                        .await?;
                }
                if let Some((intent, outcome, entry)) = step.told {
                    tell(db, &held, intent, outcome, entry, &step.receivers).await?;
                }
                Ok(Stored::Done(Box::new(held)))
            })
        })
        .await
    }

    /// One release; `None` = there is no such.
    pub async fn release(&self, id: ReleaseId) -> Result<Option<Held>, StoreError> {
        let sql = format!("SELECT {COLUMNS} FROM release WHERE id = ?1");
        let found =
            sqlx::query(sqlx::AssertSqlSafe(sql)).bind(id.0).fetch_optional(&self.inner.readers).await?;
        found.as_ref().map(read).transpose()
    }

    /// All in which something may still happen: what a driver takes up when it starts.
    pub async fn live_releases(&self) -> Result<Vec<Held>, StoreError> {
        let sql = format!("SELECT {COLUMNS} FROM release WHERE live = 1 ORDER BY id");
        let rows = sqlx::query(sqlx::AssertSqlSafe(sql)).fetch_all(&self.inner.readers).await?;
        readable(&rows)
    }

    /// The timeline, newest first; `after` = only what came later.
    pub async fn release_timeline(
        &self,
        id: ReleaseId,
        after: Option<u64>,
        limit: usize,
    ) -> Result<Vec<TimelineEntry>, StoreError> {
        let sql = "SELECT entry, body FROM release_event WHERE release = ?1 AND seq > ?2 ORDER BY seq DESC LIMIT ?3";
        let rows = sqlx::query(sql)
            .bind(id.0)
            .bind(after.unwrap_or(0).cast_signed())
            .bind(i64::try_from(limit).unwrap_or(i64::MAX))
            .fetch_all(&self.inner.readers)
            .await?;
        let mut out = Vec::with_capacity(rows.len());
        for row in &rows {
            let (entry, body): (i64, String) = (row.try_get(0)?, row.try_get(1)?);
            match serde_json::from_str::<TimelineEntry>(&body) {
                Ok(held) => out.push(TimelineEntry { entry: Some(entry), ..held }),
                Err(error) => tracing::warn!(release = %id, entry, %error, "left out of the timeline"),
            }
        }
        Ok(out)
    }

    /// The first revision of its service that a release made in its latest run; `None` when it made none.
    pub async fn first_revision_of(
        &self,
        id: ReleaseId,
        at: &ServiceRef,
    ) -> Result<Option<Revision>, StoreError> {
        // The plus keeps the range of rows from being walked: the revisions of one service are few.
        let sql = "SELECT o.revision FROM audit o JOIN audit i ON i.seq = o.intent
             WHERE o.service = ?2 AND o.revision IS NOT NULL
               AND +o.seq > (SELECT coalesce(max(entry), 0) FROM release_event
                             WHERE release = ?1 AND instr(body, '\"what\":\"began\"') > 0)
               AND json_extract(i.body, '$.intent.details.release.id') = ?1
             ORDER BY o.revision LIMIT 1";
        let found: Option<i64> = sqlx::query_scalar(sql)
            .bind(id.0)
            .bind(at.to_string())
            .fetch_optional(&self.inner.readers)
            .await?;
        Ok(found.map(i64::cast_unsigned))
    }

    /// What was seen, newest first.
    pub async fn release_looks(&self, id: ReleaseId, limit: usize) -> Result<Vec<Judgement>, StoreError> {
        let sql = "SELECT body FROM release_look WHERE release = ?1 ORDER BY id DESC LIMIT ?2";
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let rows: Vec<String> =
            sqlx::query_scalar(sql).bind(id.0).bind(limit).fetch_all(&self.inner.readers).await?;
        Ok(rows
            .iter()
            .filter_map(|body| match serde_json::from_str(body) {
                Ok(look) => Some(look),
                Err(error) => {
                    tracing::warn!(release = %id, %error, "a look that cannot be read is left out");
                    None
                }
            })
            .collect())
    }

    /// Gives every receiver its own copy of the messages that were written before messages had one.
    pub async fn address_messages(&self, receivers: Arc<[String]>) -> Result<(), StoreError> {
        self.write(move |db| {
            Box::pin(async move {
                for receiver in receivers.iter() {
                    let sql = "INSERT INTO webhook_outbox (release, receiver, body, due_ms)
                         SELECT release, ?1, body, due_ms FROM webhook_outbox WHERE receiver = '' ORDER BY id";
                    sqlx::query(sql).bind(receiver).execute(&mut *db).await?;
                }
                sqlx::query("DELETE FROM webhook_outbox WHERE receiver = ''").execute(&mut *db).await?;
                Ok(())
            })
        })
        .await
    }

    /// Messages that are due, oldest first. One before which an earlier one of the same release waits for its next
    /// try with the same receiver waits, too: each hears in the order of happening.
    pub async fn messages_due(&self, now_ms: i64, limit: u32) -> Result<Vec<Message>, StoreError> {
        let sql = "SELECT id, release, body, tries, receiver FROM webhook_outbox w
             WHERE due_ms <= ?1 AND NOT EXISTS (
                 SELECT 1 FROM webhook_outbox e
                 WHERE e.release = w.release AND e.receiver = w.receiver AND e.id < w.id AND e.due_ms > ?1)
             ORDER BY id LIMIT ?2";
        let rows = sqlx::query(sql).bind(now_ms).bind(limit).fetch_all(&self.inner.readers).await?;
        let mut out = Vec::with_capacity(rows.len());
        for row in &rows {
            let tries: i64 = row.try_get(3)?;
            out.push(Message {
                id: row.try_get(0)?,
                release: ReleaseId(row.try_get(1)?),
                receiver: row.try_get(4)?,
                body: row.try_get(2)?,
                tries: u32::try_from(tries).unwrap_or(u32::MAX),
            });
        }
        Ok(out)
    }

    /// Ends a message (`None`), or has it tried again later.
    pub async fn message_done(&self, id: i64, again_ms: Option<i64>) -> Result<(), StoreError> {
        self.write(move |db| {
            Box::pin(async move {
                let query = match again_ms {
                    None => sqlx::query("DELETE FROM webhook_outbox WHERE id = ?1").bind(id),
                    Some(at) => {
                        sqlx::query("UPDATE webhook_outbox SET tries = tries + 1, due_ms = ?2 WHERE id = ?1")
                            .bind(id)
                            .bind(at)
                    }
                };
                query.execute(db).await?;
                Ok(())
            })
        })
        .await
    }
}

/// A past release in a file (or a copy of one), oldest look first; `None` = there is no such. Reads only.
pub async fn past_release(
    path: &std::path::Path,
    id: ReleaseId,
) -> Result<Option<(Spec, Vec<Judgement>)>, StoreError> {
    let mut db = super::verify::open_read_only(path).await?;
    let spec: Option<String> = sqlx::query_scalar("SELECT spec FROM release WHERE id = ?1")
        .bind(id.0)
        .fetch_optional(&mut db)
        .await?;
    let Some(spec) = spec else { return Ok(None) };
    let sql = "SELECT body FROM release_look WHERE release = ?1 ORDER BY id";
    let rows: Vec<String> = sqlx::query_scalar(sql).bind(id.0).fetch_all(&mut db).await?;
    let looks: Result<Vec<Judgement>, _> = rows.iter().map(|body| serde_json::from_str(body)).collect();
    let spec = serde_json::from_str(&spec).map_err(|error| unreadable(id.0, error))?;
    Ok(Some((spec, looks.map_err(|error| unreadable(id.0, error))?)))
}

/// Something may still happen by itself.
fn is_live(release: &Release) -> bool {
    let phase = release.state.phase;
    phase.owns_service()
        || phase == crate::domain::release::Phase::Scheduled
        || !release.state.pending.is_empty()
}

/// The history's row, the timeline's entry and the messages of one transition.
async fn tell(
    db: &mut SqliteConnection,
    held: &Held,
    mut intent: Intent,
    outcome: Outcome,
    entry: TimelineEntry,
    receivers: &[String],
) -> Result<Entry, StoreError> {
    let release = &held.release;
    if let Some(mark) = &mut intent.details.release {
        mark.id = release.id;
    }
    let row = Entry { id: 0, intent, outcome: Some(outcome) };
    let row = record::finish(db, Kind::Single, row, &Revise::Keep).await?;
    let entry = TimelineEntry { seq: release.seq, entry: Some(row.id), ..entry };
    let body = serde_json::to_string(&entry)?;
    sqlx::query("INSERT INTO release_event (release, seq, entry, body) VALUES (?1, ?2, ?3, ?4)")
        .bind(release.id.0)
        .bind(release.seq.cast_signed())
        .bind(row.id)
        .bind(&body)
        .execute(&mut *db)
        .await?;
    if !receivers.is_empty() {
        let message = serde_json::json!({
            "release": release.id.to_string(), "service": release.spec.service.to_string(),
            "strategy": release.spec.strategy, "stable": release.spec.stable,
            "candidate": release.spec.candidate.version(), "phase": release.state.phase,
            "step": release.state.step, "steps": release.spec.steps.len(), "share": release.state.aim.percent,
            // A receiver has no right to any object.
            "transition": entry.clone().without_quotes(),
        });
        let message = message.to_string();
        for receiver in receivers {
            let sql = "INSERT INTO webhook_outbox (release, receiver, body, due_ms) VALUES (?1, ?2, ?3, ?4)";
            sqlx::query(sql)
                .bind(release.id.0)
                .bind(receiver)
                .bind(&message)
                .bind(entry.at_ms)
                .execute(&mut *db)
                .await?;
        }
    }
    Ok(row)
}

/// Those that can be read. One that cannot (damaged, or with words of a newer version) is left alone: the others
/// go on.
pub(super) fn readable(rows: &[SqliteRow]) -> Result<Vec<Held>, StoreError> {
    let mut out = Vec::with_capacity(rows.len());
    for row in rows {
        match read(row) {
            Ok(held) => out.push(held),
            Err(error @ StoreError::UnreadableRelease { .. }) => tracing::error!(%error, "it is left alone"),
            Err(other) => return Err(other),
        }
    }
    Ok(out)
}

pub(super) fn read(row: &SqliteRow) -> Result<Held, StoreError> {
    let id: i64 = row.try_get(0)?;
    let unreadable =
        |id, error: serde_json::Error| StoreError::UnreadableRelease { id, why: error.to_string() };
    let seq: i64 = row.try_get(1)?;
    let (spec, state, owner): (String, String, String) = (row.try_get(3)?, row.try_get(4)?, row.try_get(5)?);
    let owner: Identity = serde_json::from_str(&owner).map_err(|error| unreadable(id, error))?;
    Ok(Held {
        release: Release {
            id: ReleaseId(id),
            spec: serde_json::from_str(&spec).map_err(|error| unreadable(id, error))?,
            state: serde_json::from_str(&state).map_err(|error| unreadable(id, error))?,
            seq: seq.cast_unsigned(),
            created_ms: row.try_get(7)?,
            changed_ms: row.try_get(8)?,
            started_ms: row.try_get(9)?,
            ended_ms: row.try_get(10)?,
            by: owner.user.clone(),
            reason: row.try_get(6)?,
        },
        version: row.try_get(2)?,
        owner,
    })
}
