//! Which rows a filter means: as ranges of the `listing` index, or as a question to the text index. Gives
//! row numbers only, newest first; `read` loads the rows.

use sqlx::SqliteConnection;

use crate::domain::audit::{Action, Ending, Entry, Filter};

use super::text::{self, Question};
use super::{StoreError, corrected, keys};

/// A filter, ready to be asked.
#[derive(Clone, Debug)]
pub(super) struct Search {
    filter: Filter,
    keys: Vec<i64>,
    question: Option<Question>,
    from_ms: i64,
    to_ms: i64,
    /// The rows that can be meant: `low..high`.
    low: i64,
    high: i64,
    /// Rows that were recorded as applied and count as what is asked for.
    corrected: Option<Corrected>,
}

/// Where rows with a corrected result are listed.
#[derive(Clone, Debug)]
struct Corrected {
    ending: Ending,
    keys: Vec<i64>,
    question: Option<Question>,
}

/// One key: a range of the index.
const UNDER_ONE_KEY: &str = "
    SELECT seq FROM listing
    WHERE key = ?1 AND seq >= ?2 AND seq < ?3 AND at_ms >= ?4 AND at_ms < ?5
      AND (?7 = 0 OR NOT EXISTS (SELECT 1 FROM routine r WHERE r.seq = listing.seq))
      AND (?8 = 0 OR NOT EXISTS (SELECT 1 FROM corrected c WHERE c.seq = listing.seq))
    ORDER BY seq DESC LIMIT ?6";

/// Several keys: first the newest row under each; only keys among whose newest rows the page can lie are
/// read further, and none of them further than one page.
const UNDER_KEYS: &str = "
    WITH heads (key, seq) AS MATERIALIZED (
        SELECT j.value, (
            SELECT l.seq FROM listing l
            WHERE l.key = j.value AND l.seq >= ?2 AND l.seq < ?3 AND l.at_ms >= ?4 AND l.at_ms < ?5
              AND (?7 = 0 OR NOT EXISTS (SELECT 1 FROM routine r WHERE r.seq = l.seq))
      AND (?8 = 0 OR NOT EXISTS (SELECT 1 FROM corrected c WHERE c.seq = l.seq))
            ORDER BY l.seq DESC LIMIT 1)
        FROM json_each(?1) j),
    lowest (seq) AS MATERIALIZED (
        SELECT coalesce((SELECT seq FROM heads WHERE seq IS NOT NULL ORDER BY seq DESC LIMIT 1 OFFSET ?6 - 1), ?2))
    SELECT l.seq
    FROM heads h CROSS JOIN listing l
    WHERE h.seq >= (SELECT seq FROM lowest)
      AND l.key = h.key AND l.seq <= h.seq AND l.at_ms >= ?4 AND l.at_ms < ?5
      AND (?7 = 0 OR NOT EXISTS (SELECT 1 FROM routine r WHERE r.seq = l.seq))
      AND (?8 = 0 OR NOT EXISTS (SELECT 1 FROM corrected c WHERE c.seq = l.seq))
      AND l.seq >= coalesce((
            SELECT f.seq FROM listing f
            WHERE f.key = h.key AND f.seq >= (SELECT seq FROM lowest) AND f.seq <= h.seq
              AND f.at_ms >= ?4 AND f.at_ms < ?5
              AND (?7 = 0 OR NOT EXISTS (SELECT 1 FROM routine r WHERE r.seq = f.seq))
      AND (?8 = 0 OR NOT EXISTS (SELECT 1 FROM corrected c WHERE c.seq = f.seq))
            ORDER BY f.seq DESC LIMIT 1 OFFSET ?6 - 1), (SELECT seq FROM lowest))
    ORDER BY l.seq DESC LIMIT ?6";

const WITH_TEXT: &str = "
    SELECT t.rowid FROM audit_text t CROSS JOIN audit a ON a.seq = t.rowid
    WHERE t.audit_text MATCH ?1 AND t.rowid >= ?2 AND t.rowid < ?3 AND a.at_ms >= ?4 AND a.at_ms < ?5
      AND (?7 = 0 OR NOT EXISTS (SELECT 1 FROM routine r WHERE r.seq = a.seq))
      AND (?9 = 0 OR NOT EXISTS (SELECT 1 FROM corrected c WHERE c.seq = a.seq))
      AND NOT EXISTS (
        SELECT 1 FROM json_each(?8) w
        WHERE instr(a.search, w.value) = 0 AND instr(a.ids, char(9) || w.value || char(9)) = 0)
    ORDER BY t.rowid DESC LIMIT ?6";

const COUNT_UNDER_KEYS: &str = "
    SELECT count(*) FROM (
        SELECT 1 FROM json_each(?1) j CROSS JOIN listing l
        WHERE l.key = j.value AND l.seq >= ?2 AND l.seq < ?3 AND l.at_ms >= ?4 AND l.at_ms < ?5
          AND (?7 = 0 OR NOT EXISTS (SELECT 1 FROM routine r WHERE r.seq = l.seq))
      AND (?8 = 0 OR NOT EXISTS (SELECT 1 FROM corrected c WHERE c.seq = l.seq))
        LIMIT ?6)";

const COUNT_WITH_TEXT: &str = "
    SELECT count(*) FROM (
        SELECT 1 FROM audit_text t CROSS JOIN audit a ON a.seq = t.rowid
        WHERE t.audit_text MATCH ?1 AND t.rowid >= ?2 AND t.rowid < ?3 AND a.at_ms >= ?4 AND a.at_ms < ?5
          AND (?7 = 0 OR NOT EXISTS (SELECT 1 FROM routine r WHERE r.seq = a.seq))
      AND (?9 = 0 OR NOT EXISTS (SELECT 1 FROM corrected c WHERE c.seq = a.seq))
          AND NOT EXISTS (
            SELECT 1 FROM json_each(?8) w
            WHERE instr(a.search, w.value) = 0 AND instr(a.ids, char(9) || w.value || char(9)) = 0)
        LIMIT ?6)";

const CORRECTED_UNDER_KEYS: &str = "
    SELECT c.seq FROM corrected c CROSS JOIN json_each(?1) j
    CROSS JOIN listing l ON l.key = j.value AND l.seq = c.seq
    WHERE c.ending = ?7 AND c.seq >= ?2 AND c.seq < ?3 AND l.at_ms >= ?4 AND l.at_ms < ?5
    ORDER BY c.seq DESC LIMIT ?6";

const CORRECTED_WITH_TEXT: &str = "
    SELECT t.rowid FROM audit_text t CROSS JOIN corrected c ON c.seq = t.rowid CROSS JOIN audit a ON a.seq = t.rowid
    WHERE t.audit_text MATCH ?1 AND c.ending = ?7
      AND t.rowid >= ?2 AND t.rowid < ?3 AND a.at_ms >= ?4 AND a.at_ms < ?5
      AND NOT EXISTS (
        SELECT 1 FROM json_each(?8) w
        WHERE instr(a.search, w.value) = 0 AND instr(a.ids, char(9) || w.value || char(9)) = 0)
    ORDER BY t.rowid DESC LIMIT ?6";

impl Search {
    /// Reads a filter. Looks up which rows its times can lie in; `None` when nothing can match.
    pub async fn of(db: &mut SqliteConnection, filter: &Filter) -> Result<Option<Self>, StoreError> {
        let mut search = Self {
            keys: keys::of_filter(filter),
            question: Question::of(filter),
            from_ms: filter.from_ms.unwrap_or(i64::MIN),
            to_ms: filter.to_ms.unwrap_or(i64::MAX),
            low: 0,
            high: i64::MAX,
            corrected: Corrected::of(filter),
            filter: filter.clone(),
        };
        if search.keys.is_empty() {
            return Ok(None);
        }
        if filter.from_ms.is_some() || filter.to_ms.is_some() {
            let blocks: (Option<i64>, Option<i64>) = sqlx::query_as(
                "SELECT min(block), max(block) FROM span WHERE last_ms >= ?1 AND first_ms < ?2",
            )
            .bind(search.from_ms)
            .bind(search.to_ms)
            .fetch_one(db)
            .await?;
            // No finished row at all: open intents may still match.
            (search.low, search.high) = match blocks {
                (Some(first), Some(last)) => (first << 10, (last + 1) << 10),
                _ => (0, 0),
            };
        }
        Ok(Some(search))
    }

    /// The newest `most` finished rows before `below` that match.
    pub async fn rows(
        &self,
        db: &mut SqliteConnection,
        below: i64,
        most: usize,
    ) -> Result<Vec<i64>, StoreError> {
        let most = i64::try_from(most).unwrap_or(i64::MAX);
        let high = self.high.min(below);
        if high <= self.low || most == 0 {
            return Ok(Vec::new());
        }
        let query = match (&self.question, self.keys.as_slice()) {
            (Some(question), _) => sqlx::query_scalar(WITH_TEXT).bind(&question.expression),
            (None, [key]) => sqlx::query_scalar(UNDER_ONE_KEY).bind(*key),
            (None, keys) => sqlx::query_scalar(UNDER_KEYS).bind(keys::json(keys)),
        };
        let query = query.bind(self.low).bind(high).bind(self.from_ms).bind(self.to_ms).bind(most);
        let query = query.bind(self.filter.changes_only);
        let query = match &self.question {
            Some(question) => query.bind(&question.words),
            None => query,
        };
        let mut rows: Vec<i64> =
            query.bind(self.filter.ending == Some(Ending::Applied)).fetch_all(&mut *db).await?;
        let corrected = self.corrected(db, high, most).await?;
        if !corrected.is_empty() {
            rows.extend(corrected);
            rows.sort_unstable_by_key(|seq| std::cmp::Reverse(*seq));
            rows.truncate(usize::try_from(most).unwrap_or(usize::MAX));
        }
        Ok(rows)
    }

    /// The newest `most` rows before `high` that match and were recorded as applied.
    async fn corrected(
        &self,
        db: &mut SqliteConnection,
        high: i64,
        most: i64,
    ) -> Result<Vec<i64>, StoreError> {
        let Some(corrected) = &self.corrected else { return Ok(Vec::new()) };
        let query = match &corrected.question {
            Some(question) => sqlx::query_scalar(CORRECTED_WITH_TEXT).bind(&question.expression),
            None => sqlx::query_scalar(CORRECTED_UNDER_KEYS).bind(keys::json(&corrected.keys)),
        };
        let query = query.bind(self.low).bind(high).bind(self.from_ms).bind(self.to_ms).bind(most);
        let query = query.bind(corrected.ending.as_str());
        let query = match &corrected.question {
            Some(question) => query.bind(&question.words),
            None => query,
        };
        Ok(query.fetch_all(db).await?)
    }

    /// How many finished rows match, but not more than `most`.
    pub async fn count(&self, db: &mut SqliteConnection, most: u64) -> Result<u64, StoreError> {
        if self.high <= self.low {
            return Ok(0);
        }
        let query = match &self.question {
            Some(question) => sqlx::query_scalar::<_, i64>(COUNT_WITH_TEXT).bind(&question.expression),
            None => sqlx::query_scalar(COUNT_UNDER_KEYS).bind(keys::json(&self.keys)),
        };
        let query = query.bind(self.low).bind(self.high).bind(self.from_ms).bind(self.to_ms);
        let query = query.bind(most.cast_signed()).bind(self.filter.changes_only);
        let query = match &self.question {
            Some(question) => query.bind(&question.words),
            None => query,
        };
        let listed = query
            .bind(self.filter.ending == Some(Ending::Applied))
            .fetch_one(&mut *db)
            .await?
            .cast_unsigned();
        let corrected = self.corrected(db, self.high, most.cast_signed()).await?.len() as u64;
        Ok((listed + corrected).min(most))
    }

    /// True for an open intent that matches: there are few, so they have no index.
    pub fn matches_open(&self, entry: &Entry) -> bool {
        let (filter, intent) = (&self.filter, &entry.intent);
        let seen = match (&filter.namespaces, &intent.service) {
            (None, _) => true,
            (Some(namespaces), Some(service)) => namespaces.contains(&service.namespace),
            (Some(_), None) => filter.own.as_ref() == Some(&intent.actor),
        };
        seen && filter.service.as_ref().is_none_or(|service| intent.service.as_ref() == Some(service))
            && filter.actor.as_ref().is_none_or(|actor| intent.actor == *actor)
            && filter.action.is_none_or(|action| intent.action == action)
            && filter.ending.is_none()
            // An open intent is never routine: nothing is known of its end.
            && (self.from_ms..self.to_ms).contains(&intent.at_ms)
            && self.question.as_ref().is_none_or(|question| question.matches(&text::searchable(entry)))
    }
}

impl Corrected {
    /// For a filter by a result that a row of a release can count as; `None` for every other filter.
    fn of(filter: &Filter) -> Option<Self> {
        let ending = filter.ending.filter(|ending| *ending != Ending::Applied)?;
        if filter.action.is_some_and(|action| action != Action::Release) {
            return None;
        }
        let listed = corrected::listed_as(filter);
        Some(Self { ending, keys: keys::of_filter(&listed), question: Question::of(&listed) })
    }
}
