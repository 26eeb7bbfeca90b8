//! `sluice audit verify`: recomputes the whole history of a database file or of a copy of one, offline,
//! without its owner. Reads only.
//!
//! Every bad row is named, not only the first. Found: a row that was changed, removed, put in or swapped; columns
//! and indexes that differ from the rows; outcomes without intent; gaps in revisions; missing triggers. Rows cut
//! off at the end (or a chain whose hashes were all computed again) are found with an anchor: a head that was kept
//! elsewhere, as the log line `sluice::audit::anchor` does every five minutes (`--anchor`, `--anchors-from`). Not
//! compared: the index of text search.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::Path;

use futures::TryStreamExt;
use sqlx::sqlite::{SqliteConnectOptions, SqliteRow};
use sqlx::{ConnectOptions, Connection, Row, SqliteConnection};

use crate::domain::audit::{Entry, Intent};

use super::chain::{self, GENESIS, Hash, Head};
use super::row::{self, Columns, Kind};
use super::text::Searchable;
use super::{Damage, Store, StoreError, corrected, keys, schema, state};

pub use super::report::{Bad, Report};

/// Verifies a database file. With an anchor, also that the history still holds that row.
pub async fn verify(path: &Path, anchor: Option<&Head>) -> Result<Report, StoreError> {
    verify_against(path, anchor.map(std::slice::from_ref).unwrap_or_default()).await
}

/// Verifies a database file, and that it still holds the row of each anchor.
pub async fn verify_against(path: &Path, anchors: &[Head]) -> Result<Report, StoreError> {
    let mut db = open_read_only(path).await?;
    let report = check(&mut db, anchors).await?;
    db.close().await?;
    Ok(report)
}

impl Store {
    /// Verifies the history while it is in use, and remembers what is bad. Beside the readers; the writer does not
    /// wait for it.
    pub async fn verify_own(&self) -> Result<Report, StoreError> {
        let mut db = self.inner.readers.acquire().await?;
        let report = check(&mut db, &[]).await?;
        if let Some(bad) = &report.first_bad {
            self.inner.condition.damaged(Damage { row: bad.seq, why: bad.why.clone() });
        }
        Ok(report)
    }
}

async fn check(db: &mut SqliteConnection, anchors: &[Head]) -> Result<Report, StoreError> {
    // One transaction: what is appended meanwhile is not seen by half.
    let mut tx = db.begin().await?;
    let mut check = Check::default();
    for anchor in anchors {
        check.anchors.entry(anchor.seq).or_default().insert(&anchor.hash);
    }
    match check.all(&mut tx).await {
        Ok(()) => {}
        Err(Stop::Bad(bad)) => check.bad.push(bad),
        Err(Stop::Error(error)) => return Err(error),
    }
    tx.rollback().await?;
    let mut bad = check.bad.into_iter();
    Ok(Report {
        rows: check.rows,
        open: check.open.len(),
        first_bad: bad.next(),
        more_bad: bad.collect(),
        anchors: check.fitting,
        head: (check.rows > 0).then(|| Head { seq: check.rows, hash: hex::encode(check.good) }),
    })
}

/// Opens a database file, or a copy of one, so that nothing of it can change.
pub(super) async fn open_read_only(path: &Path) -> Result<SqliteConnection, StoreError> {
    let meta = |path: &Path| std::fs::metadata(path);
    meta(path).map_err(|source| StoreError::File { path: path.to_owned(), source })?;
    // A copy has no log beside it and may lie on a medium that cannot be written: nothing but the file is touched.
    let live = meta(&schema::beside(path, "-wal")).is_ok_and(|log| log.len() > 0);
    let options = SqliteConnectOptions::new()
        .filename(path)
        .read_only(true)
        .immutable(!live)
        .pragma("query_only", "ON")
        .disable_statement_logging();
    Ok(options.connect().await?)
}

/// Why checking ended early.
enum Stop {
    Bad(Bad),
    Error(StoreError),
}

impl From<sqlx::Error> for Stop {
    fn from(error: sqlx::Error) -> Self {
        // A damaged file is a finding; anything else says nothing about the history.
        if matches!(error, sqlx::Error::ColumnDecode { .. }) {
            return bad(None, format!("a column holds what was never written there ({error})"));
        }
        match error.as_database_error().and_then(sqlx::error::DatabaseError::code).as_deref() {
            Some("11" | "26" | "267" | "523" | "779") => bad(None, format!("the file is damaged ({error})")),
            _ => Self::Error(error.into()),
        }
    }
}

fn bad(seq: Option<i64>, why: impl Into<String>) -> Stop {
    Stop::Bad(Bad { seq, why: why.into() })
}

/// So many bad rows are listed; reading ends there.
const MOST_BAD: usize = 1_000;

#[derive(Default)]
struct Check<'a> {
    /// Anchors whose row was not reached yet.
    anchors: BTreeMap<i64, BTreeSet<&'a str>>,
    fitting: usize,
    bad: Vec<Bad>,
    /// Rows that are missing or cannot be believed.
    bad_rows: BTreeSet<i64>,
    /// The last row before the first bad one, and its hash.
    rows: i64,
    good: Hash,
    /// The hash of the row before; after a bad row the next one says what it continues.
    hash: Hash,
    /// Intents whose outcome has not come yet.
    open: HashMap<i64, Intent>,
    /// Of each service the last revision.
    revisions: HashMap<String, i64>,
    /// What the index must hold, as a sum that does not depend on the order.
    listed: Sum,
    /// Rows that lists may leave out, in order.
    routine: Vec<i64>,
    /// Rows that count as another result than their body says, in order.
    corrected: Vec<(i64, String)>,
    /// Of each block of rows the first and last time.
    spans: HashMap<i64, (i64, i64)>,
}

impl Check<'_> {
    async fn all(&mut self, db: &mut SqliteConnection) -> Result<(), Stop> {
        let tables = "SELECT count(*) FROM sqlite_schema WHERE type = 'table' AND name = 'audit'";
        let tables: i64 = sqlx::query_scalar(tables).fetch_one(&mut *db).await?;
        if tables == 0 {
            return Err(bad(None, "the file holds no history"));
        }
        let all_read = self.rows(db).await?;
        for seq in std::mem::take(&mut self.anchors).into_keys() {
            let why = format!("row {seq} was anchored, but is not there: rows were cut off");
            self.bad.push(Bad { seq: None, why });
        }
        self.triggers(db).await?;
        // What is derived from the rows cannot be compared when some of them could not be read.
        if all_read {
            self.open_intents(db).await?;
            self.routine_rows(db).await?;
            self.corrected_rows(db).await?;
            self.states(db).await?;
            self.indexes(db).await?;
        }
        Ok(())
    }

    /// Checks every row. True when each of them is sound in itself.
    async fn rows(&mut self, db: &mut SqliteConnection) -> Result<bool, Stop> {
        self.hash = GENESIS;
        let (mut last, mut follows) = (0, false);
        let mut found = sqlx::query(
            "SELECT seq, kind, at_ms, intent, service, revision, about, search, ids, prev, hash, body, objects
             FROM audit ORDER BY seq",
        )
        .fetch(db);
        while let Some(found) = found.try_next().await? {
            let seq: i64 = found.try_get(0)?;
            if seq != last + 1 {
                let why = format!("row {} is missing", last + 1);
                self.bad.push(Bad { seq: Some(seq), why });
                self.bad_rows.extend(last + 1..seq);
                follows = true;
            }
            if follows {
                // What is wrong before is listed there; the row is checked against the hash that it names itself.
                self.hash = stored(&found, 9)?;
            }
            last = seq;
            self.hash = match self.row(seq, &found) {
                Ok(hash) => hash,
                Err(Stop::Error(error)) => return Err(Stop::Error(error)),
                Err(Stop::Bad(bad)) => {
                    self.bad_rows.insert(seq);
                    self.bad.push(bad);
                    stored(&found, 10)?
                }
            };
            follows = self.bad_rows.contains(&seq);
            self.anchored(seq);
            if self.bad.is_empty() {
                (self.rows, self.good) = (seq, self.hash);
            }
            if self.bad.len() >= MOST_BAD {
                break;
            }
        }
        Ok(self.bad_rows.is_empty())
    }

    /// Compares a row with the anchors that name it.
    fn anchored(&mut self, seq: i64) {
        let hash = hex::encode(self.hash);
        for anchor in self.anchors.remove(&seq).unwrap_or_default() {
            if *anchor == hash {
                self.fitting += 1;
            } else {
                let why =
                    "its hash is not the one that was anchored: the chain was computed again".to_owned();
                self.bad.push(Bad { seq: Some(seq), why });
            }
        }
    }

    /// Checks one row and returns its hash.
    fn row(&mut self, seq: i64, found: &SqliteRow) -> Result<Hash, Stop> {
        let wrong = |why: &str| bad(Some(seq), why);
        let (prev, hash): (&[u8], &[u8]) = (found.try_get(9)?, found.try_get(10)?);
        let (text, objects): (&str, Option<&str>) = (found.try_get(11)?, found.try_get(12)?);
        if prev != self.hash {
            return Err(wrong("it does not continue the row before"));
        }
        let computed = chain::link(&self.hash, text);
        if hash != computed {
            return Err(wrong("its hash does not match its body"));
        }
        let mut body = row::decode(seq, text).map_err(|error| bad(Some(seq), error.to_string()))?;
        if body.objects != objects.map(chain::digest) {
            return Err(wrong("its routing objects are not the ones that its body names"));
        }
        let kind: &str = found.try_get(1)?;
        let of: Option<i64> = found.try_get(3)?;
        if kind != body.kind.as_str() || of != body.of {
            return Err(wrong("its kind is not the one of its body"));
        }
        let intent = match (body.kind, body.intent.take(), of) {
            (Kind::Intent | Kind::Single, Some(intent), None) => intent,
            // Listed at the row of the intent: without it there is nothing to compare with.
            (Kind::Outcome, None, Some(of)) if self.bad_rows.contains(&of) => return Ok(computed),
            (Kind::Outcome, None, Some(of)) => {
                let intent = self.open.remove(&of).ok_or_else(|| wrong("no open intent belongs to it"))?;
                if body.change.as_ref() != Some(&intent.change) {
                    return Err(wrong("it names another change than its intent"));
                }
                intent
            }
            _ => return Err(wrong("its body is incomplete")),
        };
        let entry = Entry { id: seq, intent, outcome: body.outcome.take() };
        if entry.outcome.is_some() == (body.kind == Kind::Intent) {
            return Err(wrong("its body is incomplete"));
        }
        let text = match (found.try_get::<Option<String>, _>(7)?, found.try_get::<Option<String>, _>(8)?) {
            (Some(search), Some(ids)) => Some(Searchable { search, ids }),
            _ => None,
        };
        let columns = Columns {
            at_ms: found.try_get(2)?,
            service: found.try_get(4)?,
            revision: found.try_get(5)?,
            about: found.try_get(6)?,
            text,
        };
        if columns != Columns::of(&entry) {
            return Err(wrong("its columns say something else than its body"));
        }
        if let (Some(revision), Some(service)) = (columns.revision, columns.service) {
            let last = self.revisions.entry(service).or_default();
            // After a bad row a gap is no news.
            if revision != *last + 1 && self.bad_rows.is_empty() {
                return Err(bad(Some(seq), format!("its revision {revision} does not follow {last}")));
            }
            *last = revision;
        }
        match body.kind {
            Kind::Intent => {
                self.open.insert(seq, entry.intent);
            }
            Kind::Outcome | Kind::Single => {
                if entry.is_routine() {
                    self.routine.push(seq);
                }
                if let Some(ending) = corrected::of_entry(&entry) {
                    self.corrected.push((seq, ending.as_str().to_owned()));
                }
                for key in keys::of_entry(&entry) {
                    self.listed.add(key, seq, columns.at_ms);
                }
                let span = self.spans.entry(seq >> 10).or_insert((columns.at_ms, columns.at_ms));
                *span = (span.0.min(columns.at_ms), span.1.max(columns.at_ms));
            }
        }
        Ok(computed)
    }

    async fn triggers(&self, db: &mut SqliteConnection) -> Result<(), Stop> {
        let here: Vec<String> =
            sqlx::query_scalar("SELECT name FROM sqlite_schema WHERE type = 'trigger'").fetch_all(db).await?;
        for name in
            ["audit_no_update", "audit_no_delete", "audit_in_order", "listing_no_update", "listing_no_delete"]
        {
            if !here.iter().any(|other| other == name) {
                return Err(bad(
                    None,
                    format!("the trigger {name}, which keeps the history append-only, is missing"),
                ));
            }
        }
        Ok(())
    }

    async fn open_intents(&self, db: &mut SqliteConnection) -> Result<(), Stop> {
        let mut open: Vec<(i64, String)> =
            self.open.iter().map(|(seq, intent)| (*seq, intent.change.clone())).collect();
        open.sort_unstable();
        let kept: Vec<(i64, String)> =
            sqlx::query_as("SELECT seq, change FROM open_intent ORDER BY seq").fetch_all(db).await?;
        if kept == open { Ok(()) } else { Err(bad(None, "the list of open changes does not fit the rows")) }
    }

    /// Nothing is left out of lists that is not routine. A file of an earlier version has no such table.
    async fn routine_rows(&self, db: &mut SqliteConnection) -> Result<(), Stop> {
        let here = "SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = 'routine'";
        if sqlx::query(here).fetch_optional(&mut *db).await?.is_none() {
            return Ok(());
        }
        let mut kept = sqlx::query_scalar::<_, i64>("SELECT seq FROM routine").fetch(&mut *db);
        while let Some(seq) = kept.try_next().await? {
            if self.routine.binary_search(&seq).is_err() && !self.bad_rows.contains(&seq) {
                return Err(bad(Some(seq), "lists leave it out, and it is no routine event"));
            }
        }
        Ok(())
    }

    /// A filter by result finds what counts as it. A file of an earlier version has no such table.
    async fn corrected_rows(&self, db: &mut SqliteConnection) -> Result<(), Stop> {
        let here = "SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = 'corrected'";
        if sqlx::query(here).fetch_optional(&mut *db).await?.is_none() {
            return Ok(());
        }
        let kept: Vec<(i64, String)> =
            sqlx::query_as("SELECT seq, ending FROM corrected ORDER BY seq").fetch_all(db).await?;
        if kept == self.corrected {
            Ok(())
        } else {
            Err(bad(None, "the corrected results do not fit the rows"))
        }
    }

    async fn states(&self, db: &mut SqliteConnection) -> Result<(), Stop> {
        let kept = sqlx::query("SELECT service, revision, fingerprint, weights, last FROM service_state")
            .fetch_all(db)
            .await?;
        let mut with_revision = 0;
        for found in &kept {
            let service: String = found.try_get(0)?;
            let state = state::read(found).map_err(|error| bad(None, error.to_string()))?;
            let revision = self.revisions.get(&service).copied().unwrap_or(0);
            if state.revision.cast_signed() != revision {
                let why =
                    format!("the state of {service} says revision {}, its rows {revision}", state.revision);
                return Err(bad(None, why));
            }
            with_revision += usize::from(revision > 0);
        }
        if with_revision == self.revisions.len() {
            Ok(())
        } else {
            Err(bad(None, "the state of a service is missing"))
        }
    }

    /// What pages are made from: an entry that is missing there would be in the history but never seen.
    async fn indexes(&self, db: &mut SqliteConnection) -> Result<(), Stop> {
        let mut sum = Sum::default();
        let mut found =
            sqlx::query_as::<_, (i64, i64, i64)>("SELECT key, seq, at_ms FROM listing").fetch(&mut *db);
        while let Some((key, seq, at_ms)) = found.try_next().await? {
            sum.add(key, seq, at_ms);
        }
        drop(found);
        if sum != self.listed {
            return Err(bad(None, "the index of the pages does not fit the rows"));
        }
        let spans: Vec<(i64, i64, i64)> =
            sqlx::query_as("SELECT block, first_ms, last_ms FROM span").fetch_all(db).await?;
        let fit = spans.len() == self.spans.len()
            && spans.iter().all(|(block, first, last)| self.spans.get(block) == Some(&(*first, *last)));
        if fit { Ok(()) } else { Err(bad(None, "the index of times does not fit the rows")) }
    }
}

/// A hash as the row has it; zeros when it has none of the right length.
fn stored(found: &SqliteRow, column: usize) -> Result<Hash, Stop> {
    let bytes: &[u8] = found.try_get(column)?;
    Ok(bytes.try_into().unwrap_or(GENESIS))
}

/// A sum over the entries of the index.
#[derive(Default, PartialEq, Eq)]
struct Sum {
    count: u64,
    sum: u64,
}

impl Sum {
    fn add(&mut self, key: i64, seq: i64, at_ms: i64) {
        let mut mixed = key.cast_unsigned();
        for part in [seq, at_ms] {
            mixed = (mixed ^ part.cast_unsigned()).wrapping_mul(0x9e37_79b9_7f4a_7c15);
            mixed ^= mixed >> 29;
        }
        self.count += 1;
        self.sum = self.sum.wrapping_add(mixed);
    }
}
