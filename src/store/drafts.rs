//! Drafts of the release wizard, and custom templates. Nothing here is audited.

use sqlx::Row;
use sqlx::sqlite::SqliteRow;

use crate::domain::release::{Draft, OwnTemplate};

use super::row::unreadable;
use super::{Store, StoreError};

/// Drafts that were not changed for this long are deleted.
const KEPT_MS: i64 = 90 * 86_400_000;

/// Drafts that one person may have, and their bytes together.
const DRAFTS: i64 = 50;
const DRAFT_BYTES: usize = 1024 * 1024;

/// What became of a draft that was to be saved.
#[derive(Clone, Debug, PartialEq)]
pub enum Saved {
    As(Draft),
    /// It is another one by now, or gone.
    Stale,
    /// The person has as many as one may have.
    Full,
}

impl Store {
    /// Saves a draft. `expected` = the `seq` that the person saw. `seq` 0 makes a new one.
    pub async fn save_draft(&self, draft: Draft, expected: Option<u64>) -> Result<Saved, StoreError> {
        let now = self.now_ms();
        self.write(move |db| {
            Box::pin(async move {
                sqlx::query("DELETE FROM release_draft WHERE changed_ms < ?1")
                    .bind(now - KEPT_MS)
                    .execute(&mut *db)
                    .await?;
                let fields = draft.fields.to_string();
                let (others, bytes): (i64, i64) = sqlx::query_as(
                    "SELECT count(*), coalesce(sum(length(fields)), 0) FROM release_draft WHERE owner = ?1 AND id <> ?2",
                )
                .bind(&draft.by)
                .bind(&draft.id)
                .fetch_one(&mut *db)
                .await?;
                let bytes = usize::try_from(bytes).unwrap_or(usize::MAX).saturating_add(fields.len());
                if others >= DRAFTS || bytes > DRAFT_BYTES {
                    return Ok(Saved::Full);
                }
                if draft.seq == 0 {
                    sqlx::query("INSERT INTO release_draft VALUES (?1, ?2, ?3, ?3, 1, ?4)")
                        .bind(&draft.id)
                        .bind(&draft.by)
                        .bind(now)
                        .bind(fields)
                        .execute(db)
                        .await?;
                    return Ok(Saved::As(Draft { created_ms: now, changed_ms: now, seq: 1, ..draft }));
                }
                let row = sqlx::query(
                    "UPDATE release_draft SET fields = ?3, changed_ms = ?4, seq = seq + 1
                     WHERE id = ?1 AND owner = ?2 AND (?5 IS NULL OR seq = ?5)
                     RETURNING id, owner, created_ms, changed_ms, seq, fields",
                )
                .bind(&draft.id)
                .bind(&draft.by)
                .bind(fields)
                .bind(now)
                .bind(expected.map(u64::cast_signed))
                .fetch_optional(db)
                .await?;
                Ok(row.as_ref().map(read).transpose()?.map_or(Saved::Stale, Saved::As))
            })
        })
        .await
    }

    /// A draft of one person.
    pub async fn draft(&self, owner: &str, id: &str) -> Result<Option<Draft>, StoreError> {
        let sql = "SELECT id, owner, created_ms, changed_ms, seq, fields FROM release_draft
                   WHERE id = ?1 AND owner = ?2";
        let row = sqlx::query(sql).bind(id).bind(owner).fetch_optional(&self.inner.readers).await?;
        row.as_ref().map(read).transpose()
    }

    /// All drafts of one person, newest first.
    pub async fn drafts(&self, owner: &str) -> Result<Vec<Draft>, StoreError> {
        let sql = "SELECT id, owner, created_ms, changed_ms, seq, fields FROM release_draft
                   WHERE owner = ?1 ORDER BY changed_ms DESC LIMIT 100";
        let rows = sqlx::query(sql).bind(owner).fetch_all(&self.inner.readers).await?;
        rows.iter().map(read).collect()
    }

    /// Forgets a draft; true when there was one.
    pub async fn delete_draft(&self, owner: &str, id: &str) -> Result<bool, StoreError> {
        let (owner, id) = (owner.to_owned(), id.to_owned());
        self.write(move |db| {
            Box::pin(async move {
                let sql = "DELETE FROM release_draft WHERE id = ?1 AND owner = ?2";
                Ok(sqlx::query(sql).bind(id).bind(owner).execute(db).await?.rows_affected() == 1)
            })
        })
        .await
    }

    /// Keeps a template under its name.
    pub async fn save_template(&self, template: OwnTemplate) -> Result<(), StoreError> {
        self.write(move |db| {
            Box::pin(async move {
                let sql = "INSERT INTO release_template (name, body) VALUES (?1, ?2)
                           ON CONFLICT (name) DO UPDATE SET body = excluded.body";
                let body = serde_json::to_string(&template)?;
                sqlx::query(sql).bind(&template.name).bind(body).execute(db).await?;
                Ok(())
            })
        })
        .await
    }

    /// All templates, by name.
    pub async fn templates(&self) -> Result<Vec<OwnTemplate>, StoreError> {
        let sql = "SELECT body FROM release_template ORDER BY name LIMIT 200";
        let rows: Vec<String> = sqlx::query_scalar(sql).fetch_all(&self.inner.readers).await?;
        Ok(rows
            .iter()
            .filter_map(|body| match serde_json::from_str(body) {
                Ok(template) => Some(template),
                Err(error) => {
                    tracing::warn!(%error, "a template that cannot be read is left out");
                    None
                }
            })
            .collect())
    }

    /// Forgets a template; true when there was one.
    pub async fn delete_template(&self, name: &str) -> Result<bool, StoreError> {
        let name = name.to_owned();
        self.write(move |db| {
            Box::pin(async move {
                let sql = "DELETE FROM release_template WHERE name = ?1";
                Ok(sqlx::query(sql).bind(name).execute(db).await?.rows_affected() == 1)
            })
        })
        .await
    }
}

fn read(row: &SqliteRow) -> Result<Draft, StoreError> {
    let seq: i64 = row.try_get(4)?;
    let fields: String = row.try_get(5)?;
    Ok(Draft {
        id: row.try_get(0)?,
        by: row.try_get(1)?,
        created_ms: row.try_get(2)?,
        changed_ms: row.try_get(3)?,
        seq: seq.cast_unsigned(),
        fields: serde_json::from_str(&fields).map_err(|error| unreadable(seq, error))?,
    })
}
