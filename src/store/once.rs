//! Requests that carry an `Idempotency-Key`: done once, answered alike for 24 hours.

use super::{Store, StoreError};

/// Answers are given again for this long.
const KEPT_MS: i64 = 24 * 60 * 60 * 1000;
/// A request that has not been answered after this long is taken for lost.
const LOST_MS: i64 = 2 * 60 * 1000;

/// What is known of a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Begin {
    /// Nothing. It is now under way: call [`Store::finish_once`] when it is answered.
    Fresh,
    /// It was answered like this.
    Replay { status: u16, body: String },
    /// It came with another request.
    Mismatch,
    /// The same request is under way.
    InProgress,
}

impl Store {
    /// Begins a keyed request of an actor. `request` is a hash of what is asked. Of two that begin at
    /// once, one is fresh.
    pub async fn begin_once(&self, actor: &str, key: &str, request: &str) -> Result<Begin, StoreError> {
        let now = self.now_ms();
        let (actor, key, request) = (actor.to_owned(), key.to_owned(), request.to_owned());
        self.write(move |db| {
            Box::pin(async move {
                sqlx::query(
                    "DELETE FROM once WHERE created_ms <= ?1 OR (status IS NULL AND created_ms <= ?2)",
                )
                .bind(now - KEPT_MS)
                .bind(now - LOST_MS)
                .execute(&mut *db)
                .await?;
                let sql = "SELECT request, status, body FROM once WHERE actor = ?1 AND key = ?2";
                let known: Option<(String, Option<i64>, Option<String>)> =
                    sqlx::query_as(sql).bind(&actor).bind(&key).fetch_optional(&mut *db).await?;
                Ok(match known {
                    Some((known, _, _)) if known != request => Begin::Mismatch,
                    Some((_, Some(status), body)) => Begin::Replay {
                        status: u16::try_from(status).unwrap_or(500),
                        body: body.unwrap_or_default(),
                    },
                    Some(_) => Begin::InProgress,
                    None => {
                        let sql =
                            "INSERT INTO once (actor, key, request, created_ms) VALUES (?1, ?2, ?3, ?4)";
                        let insert = sqlx::query(sql).bind(actor).bind(key).bind(request).bind(now);
                        insert.execute(db).await?;
                        Begin::Fresh
                    }
                })
            })
        })
        .await
    }

    /// Ends a keyed request: with an answer to give again, or with none, so that it may be tried again.
    pub async fn finish_once(
        &self,
        actor: &str,
        key: &str,
        answer: Option<(u16, &str)>,
    ) -> Result<(), StoreError> {
        let (actor, key) = (actor.to_owned(), key.to_owned());
        let answer = answer.map(|(status, body)| (status, body.to_owned()));
        self.write(move |db| {
            Box::pin(async move {
                let query = match answer {
                    Some((status, body)) => sqlx::query(
                        "UPDATE once SET status = ?3, body = ?4
                         WHERE actor = ?1 AND key = ?2 AND status IS NULL",
                    )
                    .bind(actor)
                    .bind(key)
                    .bind(i64::from(status))
                    .bind(body),
                    None => sqlx::query("DELETE FROM once WHERE actor = ?1 AND key = ?2 AND status IS NULL")
                        .bind(actor)
                        .bind(key),
                };
                query.execute(db).await?;
                Ok(())
            })
        })
        .await
    }

    /// What was under way when the process ended will not be answered any more. Trying again is safe:
    /// a change names the revision that it was made for.
    pub(super) async fn forget_unfinished(&self) -> Result<(), StoreError> {
        let mut db = self.inner.writer.acquire().await?;
        sqlx::query("DELETE FROM once WHERE status IS NULL").execute(&mut *db).await?;
        Ok(())
    }
}
