//! Writing the history: intents, outcomes, and entries that are both at once.

use sqlx::{Row, SqliteConnection};

use crate::domain::audit::{Entry, Intent, Outcome};

use super::chain::{self, GENESIS, Hash};
use super::row::{self, Columns, Encoded, Kind};
use super::{Head, Store, StoreError, keys, state, text};

/// What an outcome does to the revision of its service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Revise {
    /// The routing objects changed and now have this fingerprint: take the next revision.
    Next { fingerprint: String },
    /// Nothing of the service's routing changed, or it is unknown.
    Keep,
}

impl Store {
    /// Records what is about to be attempted. Durable when this returns; the number names it.
    pub async fn intent(&self, intent: &Intent) -> Result<i64, StoreError> {
        let mut entry = Entry { id: 0, intent: intent.clone(), outcome: None };
        let texts = row::encode(Kind::Intent, None, Some(&mut entry.intent), None)?;
        self.write(move |db| {
            Box::pin(async move {
                let seq = append(db, Kind::Intent, None, &entry, texts).await?;
                let open = "INSERT INTO open_intent (seq, change) VALUES (?1, ?2)";
                sqlx::query(open).bind(seq).bind(&entry.intent.change).execute(&mut *db).await?;
                Ok(seq)
            })
        })
        .await
    }

    /// Records how an intent ended, once; a second time it is [`StoreError::NotOpen`]. The revision is
    /// taken in the same transaction: what `outcome.revision` says does not matter.
    pub async fn outcome(
        &self,
        intent_id: i64,
        intent: &Intent,
        outcome: &Outcome,
        revise: Revise,
    ) -> Result<Entry, StoreError> {
        let entry = Entry { id: intent_id, intent: intent.clone(), outcome: Some(outcome.clone()) };
        self.write(move |db| {
            Box::pin(async move {
                let close = "DELETE FROM open_intent WHERE seq = ?1 AND change = ?2";
                let closed =
                    sqlx::query(close).bind(intent_id).bind(&entry.intent.change).execute(&mut *db).await?;
                if closed.rows_affected() != 1 {
                    return Err(StoreError::NotOpen { id: intent_id, change: entry.intent.change });
                }
                finish(db, Kind::Outcome, entry, &revise).await
            })
        })
        .await
    }

    /// Records something that needs no cluster between intent and outcome: a refusal, an outside edit,
    /// a sign-in, a reason.
    pub async fn single(
        &self,
        intent: &Intent,
        outcome: &Outcome,
        revise: Revise,
    ) -> Result<Entry, StoreError> {
        let mut all = self.singles(vec![(intent.clone(), outcome.clone(), revise)]).await?;
        all.pop().ok_or(StoreError::Interrupted)
    }

    /// Several of them, all or none, in one transaction.
    pub async fn singles(&self, all: Vec<(Intent, Outcome, Revise)>) -> Result<Vec<Entry>, StoreError> {
        self.write(move |db| {
            Box::pin(async move {
                let mut out = Vec::with_capacity(all.len());
                for (intent, outcome, revise) in all {
                    let entry = Entry { id: 0, intent, outcome: Some(outcome) };
                    out.push(finish(db, Kind::Single, entry, &revise).await?);
                }
                Ok(out)
            })
        })
        .await
    }

    /// The last row and its hash; `None` before the first row.
    pub async fn head(&self) -> Result<Option<Head>, StoreError> {
        let mut db = self.inner.readers.acquire().await?;
        let (seq, hash) = last(&mut db).await?;
        Ok((seq > 0).then(|| Head { seq, hash: hex::encode(hash) }))
    }
}

/// Appends a listed row with everything that is derived from it. For an outcome, `entry.id` is the intent's
/// row.
pub(super) async fn finish(
    db: &mut SqliteConnection,
    kind: Kind,
    mut entry: Entry,
    revise: &Revise,
) -> Result<Entry, StoreError> {
    let of = (kind == Kind::Outcome).then_some(entry.id);
    let known = match &entry.intent.service {
        Some(service) => state::of(db, service).await?,
        None => None,
    };
    if let Some(outcome) = &mut entry.outcome {
        outcome.revision = match (revise, &entry.intent.service) {
            (Revise::Next { .. }, Some(_)) => Some(known.as_ref().map_or(0, |state| state.revision) + 1),
            _ => None,
        };
    }
    let change = entry.intent.change.clone();
    let own_intent = (kind == Kind::Single).then_some(&mut entry.intent);
    let texts = row::encode(kind, of.map(|of| (of, change.as_str())), own_intent, entry.outcome.as_mut())?;
    let seq = append(db, kind, of, &entry, texts).await?;
    entry.id = seq;
    if let (Some(service), Some(outcome)) = (&entry.intent.service, &entry.outcome)
        && let Some(next) = state::after(known, &entry.intent, outcome, seq, revise)
    {
        state::put(db, service, &next).await?;
    }
    Ok(entry)
}

/// Appends one row to the chain.
async fn append(
    db: &mut SqliteConnection,
    kind: Kind,
    of: Option<i64>,
    entry: &Entry,
    texts: Encoded,
) -> Result<i64, StoreError> {
    let (last, prev) = last(db).await?;
    let seq = last + 1;
    let columns = Columns::of(entry);
    let hash = chain::link(&prev, &texts.body);
    let (search, ids) = match &columns.text {
        Some(text) => (Some(text.search.as_str()), Some(text.ids.as_str())),
        None => (None, None),
    };
    sqlx::query(
        "INSERT INTO audit (seq, kind, at_ms, intent, service, revision, about, search, ids, prev, hash, body, objects)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13)",
    )
    .bind(seq)
    .bind(kind.as_str())
    .bind(columns.at_ms)
    .bind(of)
    .bind(&columns.service)
    .bind(columns.revision)
    .bind(columns.about)
    .bind(search)
    .bind(ids)
    .bind(prev.as_slice())
    .bind(hash.as_slice())
    .bind(&texts.body)
    .bind(&texts.objects)
    .execute(&mut *db)
    .await?;
    if let Some(words) = &columns.text {
        list(db, seq, columns.at_ms, entry, &text::document(entry, words)).await?;
    }
    Ok(seq)
}

/// Everything by which a listed row is found.
async fn list(
    db: &mut SqliteConnection,
    seq: i64,
    at_ms: i64,
    entry: &Entry,
    document: &str,
) -> Result<(), StoreError> {
    sqlx::query("INSERT INTO listing (key, seq, at_ms) SELECT value, ?2, ?3 FROM json_each(?1)")
        .bind(keys::json(&keys::of_entry(entry)))
        .bind(seq)
        .bind(at_ms)
        .execute(&mut *db)
        .await?;
    if entry.is_routine() {
        sqlx::query("INSERT INTO routine (seq) VALUES (?1)").bind(seq).execute(&mut *db).await?;
    }
    sqlx::query("INSERT INTO audit_text (rowid, grams) VALUES (?1, ?2)")
        .bind(seq)
        .bind(document)
        .execute(&mut *db)
        .await?;
    sqlx::query(
        "INSERT INTO span (block, first_ms, last_ms) VALUES (?1 >> 10, ?2, ?2)
         ON CONFLICT (block) DO UPDATE
         SET first_ms = min(first_ms, excluded.first_ms), last_ms = max(last_ms, excluded.last_ms)",
    )
    .bind(seq)
    .bind(at_ms)
    .execute(&mut *db)
    .await?;
    sqlx::query("INSERT INTO actor (name) VALUES (?1) ON CONFLICT DO NOTHING")
        .bind(&entry.intent.actor)
        .execute(&mut *db)
        .await?;
    Ok(())
}

/// The last row and its hash; row 0 before the first one.
pub(super) async fn last(db: &mut SqliteConnection) -> Result<(i64, Hash), StoreError> {
    let found =
        sqlx::query("SELECT seq, hash FROM audit ORDER BY seq DESC LIMIT 1").fetch_optional(db).await?;
    let Some(found) = found else { return Ok((0, GENESIS)) };
    let seq: i64 = found.try_get(0)?;
    let hash: Vec<u8> = found.try_get(1)?;
    let hash = hash.try_into().map_err(|_| row::unreadable(seq, "its hash is not 32 bytes"))?;
    Ok((seq, hash))
}
