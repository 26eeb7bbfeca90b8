//! The list of releases: its order, its filters, and a page of it. The places are a generated column of the table.

use crate::domain::ids::{Namespace, ServiceRef};

use sqlx::Row;

use super::releases::{COLUMNS, Held, read, readable};
use super::{Store, StoreError};

/// Where a release stands in the list: it changes with the release's phase.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place(pub i64);

/// Which releases are meant.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ReleaseFilter {
    pub service: Option<ServiceRef>,
    /// Only those in which something may still happen.
    pub live: Option<bool>,
    /// Only these phases; empty = all.
    pub phases: Vec<&'static str>,
    /// Of those that are paused only these reasons; empty = all.
    pub pauses: Vec<&'static str>,
    pub namespaces: Option<Vec<Namespace>>,
    /// Only those that the list has after this place.
    pub after: Option<Place>,
    /// A part of service, version, image or number.
    pub text: String,
}

/// One page of the list: a range of the index `release_place`, so that the rows before it are not read.
fn list_sql() -> String {
    format!(
        "SELECT {COLUMNS}, place FROM release r
         WHERE r.place > ?3 AND (?1 IS NULL OR r.service = ?1) AND (?2 IS NULL OR r.live = ?2)
           AND (?4 = '[]' OR r.phase IN (SELECT value FROM json_each(?4)))
           AND (?5 IS NULL OR substr(r.service, 1, instr(r.service, '/') - 1) IN
                (SELECT value FROM json_each(?5)))
           AND (?8 = '[]' OR r.phase <> 'paused' OR json_extract(r.state, '$.paused.reason') IN
                (SELECT value FROM json_each(?8)))
           AND (?6 = '' OR instr(lower(r.spec), ?6) > 0 OR instr('r-' || r.id, ?6) > 0)
         ORDER BY r.place LIMIT ?7"
    )
}

impl Store {
    /// Releases that match, at most `limit`, with the place of the last one when there are more: those that wait for
    /// a person first, then those in progress, then those that were not started; the newest of each first.
    pub async fn releases(
        &self,
        filter: &ReleaseFilter,
        limit: usize,
    ) -> Result<(Vec<Held>, Option<Place>), StoreError> {
        let sql = list_sql();
        let namespaces = filter.namespaces.as_ref().map(serde_json::to_string).transpose()?;
        let rows = sqlx::query(sqlx::AssertSqlSafe(sql))
            .bind(filter.service.as_ref().map(ToString::to_string))
            .bind(filter.live.map(i64::from))
            .bind(filter.after.map_or(i64::MIN, |place| place.0))
            .bind(serde_json::to_string(&filter.phases)?)
            .bind(namespaces)
            .bind(filter.text.trim().to_lowercase())
            .bind(i64::try_from(limit).unwrap_or(i64::MAX).saturating_add(1))
            .bind(serde_json::to_string(&filter.pauses)?)
            .fetch_all(&self.inner.readers)
            .await?;
        let shown = &rows[..rows.len().min(limit)];
        let last = shown.last().filter(|_| rows.len() > limit);
        let next = last.map(|row| row.try_get("place").map(Place)).transpose()?;
        Ok((readable(shown)?, next))
    }

    /// The newest release of a service.
    pub async fn latest_release_of(&self, at: &ServiceRef) -> Result<Option<Held>, StoreError> {
        let sql = format!("SELECT {COLUMNS} FROM release WHERE service = ?1 ORDER BY id DESC LIMIT 1");
        let found = sqlx::query(sqlx::AssertSqlSafe(sql))
            .bind(at.to_string())
            .fetch_optional(&self.inner.readers)
            .await?;
        found.as_ref().map(read).transpose()
    }
}

#[cfg(test)]
mod tests {
    use sqlx::{Connection, SqliteConnection};

    #[tokio::test]
    async fn a_page_of_the_list_begins_by_a_seek_and_sorts_nothing() {
        let mut db = SqliteConnection::connect("sqlite::memory:").await.unwrap();
        for file in [
            include_str!("../../migrations/sqlite/0001_history.sql"),
            include_str!("../../migrations/sqlite/0003_releases.sql"),
            include_str!("../../migrations/sqlite/0011_release_place.sql"),
        ] {
            sqlx::raw_sql(file).execute(&mut db).await.unwrap();
        }
        let sql = format!("EXPLAIN QUERY PLAN {}", super::list_sql());
        let plan: Vec<(i64, i64, i64, String)> =
            sqlx::query_as(sqlx::AssertSqlSafe(sql)).fetch_all(&mut db).await.unwrap();
        let steps: Vec<&str> = plan.iter().map(|step| step.3.as_str()).collect();
        assert!(steps.contains(&"SEARCH r USING INDEX release_place (place>?)"), "{steps:?}");
        assert!(!steps.iter().any(|step| step.contains("ORDER BY")), "{steps:?}");
    }
}
