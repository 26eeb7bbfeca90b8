//! Reading the history: pages, single entries, counts, exports, and what a service looked like before.

use std::collections::HashMap;

use futures::stream::{self, Stream, StreamExt, TryStreamExt};
use serde_json::Value;
use sha2::{Digest, Sha256};
use sqlx::sqlite::SqliteRow;
use sqlx::{Row, SqliteConnection};

use crate::domain::{
    audit::{Entry, Filter, Intent},
    ids::{ObjectRef, Revision, ServiceRef},
    routing::Weights,
};

use super::filtered::Search;
use super::row::{self, Body};
use super::{Cause, Damage, Store, StoreError, keys, state};

/// Some entries, newest written first. Their details lack `edits`, `specs` and `specs_before`, which
/// [`Store::entry`] and [`Store::export`] give.
#[derive(Clone, Debug, PartialEq)]
pub struct Page {
    pub items: Vec<Entry>,
    /// Rows that belong here and cannot be read.
    pub damaged: Vec<i64>,
    /// What to pass to get the entries after these; `None` at the end.
    pub next: Option<String>,
}

/// An entry, or the row that should hold it and cannot be read.
pub type Loaded = Result<Entry, Damage>;

/// How many entries match.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Count {
    Exactly(u64),
    /// So many that counting them all would take long.
    MoreThan(u64),
}

const COUNT_TO: u64 = 10_000;
const EXPORT_STEP: usize = 500;
/// Entries with their objects that are in memory at once.
const EXPORT_LOAD: usize = 50;

impl Store {
    /// A page of at most `limit` entries that match: finished ones and open intents. `cursor` is the `next` of the
    /// page before; anything else is [`StoreError::BadCursor`].
    pub async fn entries(
        &self,
        filter: &Filter,
        cursor: Option<&str>,
        limit: usize,
    ) -> Result<Page, StoreError> {
        let below = cursor.map_or(Ok(i64::MAX), read_cursor)?;
        let limit = limit.max(1);
        // One transaction: an intent that ends between two statements would be in neither or in both.
        let mut db = self.inner.readers.begin().await?;
        let Some(search) = Search::of(&mut db, filter).await? else {
            return Ok(Page { items: Vec::new(), damaged: Vec::new(), next: None });
        };
        let open = self.open_matching(&mut db, &search, below).await?;
        let mut rows = search.rows(&mut db, below, limit + 1).await?;
        rows.extend(open.iter().map(|entry| entry.id));
        rows.sort_unstable_by_key(|seq| std::cmp::Reverse(*seq));
        let more = rows.len() > limit;
        rows.truncate(limit);
        let next = rows.last().filter(|_| more).map(|seq| write_cursor(*seq));
        let loaded = self.load(&mut db, &rows, With::Columns).await?;
        drop(db);
        let (mut items, mut damaged) = (Vec::with_capacity(rows.len()), Vec::new());
        for (row, loaded) in rows.into_iter().zip(loaded) {
            match loaded {
                Ok(entry) => items.push(entry),
                Err(_) => damaged.push(row),
            }
        }
        Ok(Page { items, damaged, next })
    }

    /// One entry with everything, by its number or by the number of its intent.
    pub async fn entry(&self, id: i64) -> Result<Option<Entry>, StoreError> {
        let mut db = self.inner.readers.acquire().await?;
        let listed = "SELECT coalesce((SELECT seq FROM audit WHERE intent = ?1), ?1)";
        let seq: i64 = sqlx::query_scalar(listed).bind(id).fetch_one(&mut *db).await?;
        let here =
            sqlx::query("SELECT 1 FROM audit WHERE seq = ?1").bind(seq).fetch_optional(&mut *db).await?;
        if here.is_none() {
            return Ok(None);
        }
        match self.load(&mut db, &[seq], With::Objects).await?.pop() {
            Some(Err(damage)) => Err(row::unreadable(seq, damage.why)),
            found => Ok(found.and_then(Result::ok)),
        }
    }

    /// The reasons that were added to an entry later, oldest first.
    pub async fn reasons(&self, id: i64) -> Result<Vec<Entry>, StoreError> {
        let mut db = self.inner.readers.acquire().await?;
        let rows = sqlx::query_scalar("SELECT seq FROM audit WHERE about = ?1 ORDER BY seq DESC LIMIT 100");
        let rows: Vec<i64> = rows.bind(id).fetch_all(&mut *db).await?;
        let mut entries = sound(self.load(&mut db, &rows, With::Columns).await?);
        entries.reverse();
        Ok(entries)
    }

    /// How many entries match, counted up to 10,000.
    pub async fn count(&self, filter: &Filter) -> Result<Count, StoreError> {
        let mut db = self.inner.readers.begin().await?;
        let Some(search) = Search::of(&mut db, filter).await? else { return Ok(Count::Exactly(0)) };
        let open = self.open_matching(&mut db, &search, i64::MAX).await?.len() as u64;
        let all = open + search.count(&mut db, COUNT_TO + 1).await?;
        Ok(if all > COUNT_TO { Count::MoreThan(COUNT_TO) } else { Count::Exactly(all) })
    }

    /// Everybody who ever acted, in order.
    pub async fn actors(&self) -> Result<Vec<String>, StoreError> {
        let all = sqlx::query_scalar("SELECT name FROM actor ORDER BY name LIMIT 1000");
        Ok(all.fetch_all(&self.inner.readers).await?)
    }

    /// Every entry that matches at this moment, newest written first, with everything. A row that cannot be read
    /// is named in its place, and cuts nothing off. Read in portions: neither the writer nor a transaction is held
    /// while the caller is slow.
    pub fn export(&self, filter: Filter) -> impl Stream<Item = Result<Loaded, StoreError>> + Send + use<> {
        let this = self.clone();
        let opened = async move {
            let mut db = this.inner.readers.begin().await?;
            let top: i64 =
                sqlx::query_scalar("SELECT coalesce(max(seq), 0) + 1 FROM audit").fetch_one(&mut *db).await?;
            let search = Search::of(&mut db, &filter).await?;
            let open = match &search {
                Some(search) => this.open_matching(&mut db, search, top).await?,
                None => Vec::new(),
            };
            drop(db);
            let open: Vec<i64> = open.into_iter().map(|entry| entry.id).collect();
            let rows = stream::try_unfold((this.clone(), top), move |(this, below)| {
                let (search, open) = (search.clone(), open.clone());
                async move {
                    portion(&this, search.as_ref(), &open, below)
                        .await
                        .map(|step| step.map(|(rows, below)| (rows, (this, below))))
                }
            });
            Ok::<_, StoreError>(rows.map_ok(move |rows| loaded(this.clone(), rows)).try_flatten())
        };
        stream::once(opened).try_flatten()
    }

    /// Every intent without an outcome, oldest first, with everything.
    pub async fn open_intents(&self) -> Result<Vec<(i64, Intent)>, StoreError> {
        let mut db = self.inner.readers.acquire().await?;
        let rows = sqlx::query_scalar("SELECT seq FROM open_intent").fetch_all(&mut *db).await?;
        let mut entries = sound(self.load(&mut db, &rows, With::Objects).await?);
        entries.sort_unstable_by_key(|entry| entry.id);
        Ok(entries.into_iter().map(|entry| (entry.id, entry.intent)).collect())
    }

    /// The specs of a service's routing objects at a revision; `None` when the history does not hold them, or
    /// they cannot be read any more.
    pub async fn specs_at(
        &self,
        service: &ServiceRef,
        revision: Revision,
    ) -> Result<Option<Vec<(ObjectRef, Value)>>, StoreError> {
        let mut db = self.inner.readers.acquire().await?;
        let at = self.at_revision(&mut db, service, revision, With::Objects).await?;
        let at = at.and_then(|entry| entry.outcome).map(|outcome| outcome.details.specs);
        if at.as_ref().is_some_and(|specs| !specs.is_empty()) {
            return Ok(at);
        }
        let next = self.at_revision(&mut db, service, revision.saturating_add(1), With::Objects).await?;
        let before = next.and_then(|next| {
            let recorded = next.outcome.and_then(|outcome| outcome.details.specs_before);
            recorded.or(next.intent.details.specs_before)
        });
        // A revision that was recorded without objects is one at which there were none.
        Ok(before.or(at))
    }

    /// The entry that made the revision of a service which was in force at a moment, and the one that ended it,
    /// each with its objects. A revision is in force from [`Entry::in_force_ms`] on, that moment included.
    pub async fn in_force(
        &self,
        service: &ServiceRef,
        at_ms: i64,
    ) -> Result<(Option<Entry>, Option<Entry>), StoreError> {
        let mut db = self.inner.readers.begin().await?;
        // An entry is in force after its intent was written, so only a few of these are too late.
        let rows: Vec<i64> = sqlx::query_scalar(
            "SELECT seq FROM audit WHERE service = ?1 AND revision IS NOT NULL AND at_ms <= ?2
             ORDER BY revision DESC LIMIT 20",
        )
        .bind(service.to_string())
        .bind(at_ms)
        .fetch_all(&mut *db)
        .await?;
        let entries = sound(self.load(&mut db, &rows, With::Objects).await?);
        let made = entries.into_iter().find(|entry| entry.in_force_ms() <= at_ms);
        let revision = made.as_ref().and_then(|entry| entry.outcome.as_ref()?.revision).unwrap_or(0);
        let ended = self.at_revision(&mut db, service, revision.saturating_add(1), With::Objects).await?;
        Ok((made, ended))
    }

    /// True when [`Self::specs_at`] has an answer. Objects may be large: they are not read where that is known.
    pub async fn has_specs_at(&self, service: &ServiceRef, revision: Revision) -> Result<bool, StoreError> {
        let at = {
            let mut db = self.inner.readers.acquire().await?;
            self.at_revision(&mut db, service, revision, With::Columns).await?
        };
        Ok(at.is_some_and(|entry| entry.outcome.is_some())
            || self.specs_at(service, revision).await?.is_some())
    }

    /// The entries that made a service's revisions after this one, newest first, with their objects.
    pub async fn since(
        &self,
        service: &ServiceRef,
        revision: Revision,
        limit: u32,
    ) -> Result<Vec<Entry>, StoreError> {
        let mut db = self.inner.readers.acquire().await?;
        let rows = sqlx::query_scalar(
            "SELECT seq FROM audit WHERE service = ?1 AND revision > ?2 ORDER BY revision DESC LIMIT ?3",
        );
        let rows = rows.bind(service.to_string()).bind(revision.cast_signed()).bind(limit);
        let rows: Vec<i64> = rows.fetch_all(&mut *db).await?;
        Ok(sound(self.load(&mut db, &rows, With::Objects).await?))
    }

    /// The declared weights of a service at a revision, where the history says them.
    pub async fn weights_at(
        &self,
        service: &ServiceRef,
        revision: Revision,
    ) -> Result<Option<Weights>, StoreError> {
        let mut db = self.inner.readers.acquire().await?;
        let at = self.at_revision(&mut db, service, revision, With::Columns).await?;
        let weights = at.and_then(|entry| state::weights_after(&entry.intent, entry.outcome.as_ref()?));
        if weights.is_some() {
            return Ok(weights);
        }
        let next = self.at_revision(&mut db, service, revision.saturating_add(1), With::Columns).await?;
        Ok(next.and_then(|entry| entry.intent.details.before))
    }
}

impl Store {
    /// Loads rows by number, in the given order, each with its intent. Remembers which cannot be read.
    pub(super) async fn load(
        &self,
        db: &mut SqliteConnection,
        rows: &[i64],
        with: With,
    ) -> Result<Vec<Loaded>, StoreError> {
        let mut found = match load_all(db, rows, with).await {
            Err(StoreError::Unavailable(error)) if Cause::of(&error) == Some(Cause::Damaged) => {
                // A page of the file is bad: one by one, what does not touch it can be read.
                let mut found = HashMap::with_capacity(rows.len());
                for row in rows {
                    match load_all(db, &[*row], with).await {
                        Ok(one) => found.extend(one),
                        Err(error) => drop(found.insert(*row, Err(damage(*row, &error)))),
                    }
                }
                found
            }
            other => other?,
        };
        let loaded: Vec<Loaded> = rows
            .iter()
            .map(|row| found.remove(row).unwrap_or_else(|| Err(damage(*row, &"it is missing"))))
            .collect();
        if let Some(Err(bad)) = loaded.iter().find(|loaded| loaded.is_err()) {
            self.inner.condition.damaged(bad.clone());
        }
        Ok(loaded)
    }

    /// The open intents before `below` that match, newest first.
    async fn open_matching(
        &self,
        db: &mut SqliteConnection,
        search: &Search,
        below: i64,
    ) -> Result<Vec<Entry>, StoreError> {
        let rows =
            sqlx::query_scalar("SELECT seq FROM open_intent WHERE seq < ?1 ORDER BY seq DESC").bind(below);
        let rows: Vec<i64> = rows.fetch_all(&mut *db).await?;
        let mut entries = sound(self.load(db, &rows, With::Columns).await?);
        entries.retain(|entry| search.matches_open(entry));
        Ok(entries)
    }

    async fn at_revision(
        &self,
        db: &mut SqliteConnection,
        service: &ServiceRef,
        revision: Revision,
        with: With,
    ) -> Result<Option<Entry>, StoreError> {
        let seq = sqlx::query_scalar("SELECT seq FROM audit WHERE service = ?1 AND revision = ?2")
            .bind(service.to_string())
            .bind(i64::try_from(revision).unwrap_or(i64::MAX))
            .fetch_optional(&mut *db)
            .await?;
        let Some(seq) = seq else { return Ok(None) };
        Ok(sound(self.load(db, &[seq], with).await?).pop())
    }
}

fn damage(row: i64, why: &impl ToString) -> Damage {
    Damage { row: Some(row), why: why.to_string() }
}

pub(super) fn sound(loaded: Vec<Loaded>) -> Vec<Entry> {
    loaded.into_iter().filter_map(Result::ok).collect()
}

/// What to load of a row.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum With {
    /// The body alone.
    Columns,
    Objects,
}

async fn load_all(
    db: &mut SqliteConnection,
    rows: &[i64],
    with: With,
) -> Result<HashMap<i64, Loaded>, StoreError> {
    if rows.is_empty() {
        return Ok(HashMap::new());
    }
    let query = match with {
        With::Columns => sqlx::query(
            "SELECT a.seq, a.body, i.body
             FROM json_each(?1) j CROSS JOIN audit a ON a.seq = j.value LEFT JOIN audit i ON i.seq = a.intent",
        ),
        With::Objects => sqlx::query(
            "SELECT a.seq, a.body, i.body, a.objects, i.objects
             FROM json_each(?1) j CROSS JOIN audit a ON a.seq = j.value LEFT JOIN audit i ON i.seq = a.intent",
        ),
    };
    let found = query.bind(keys::json(rows)).fetch_all(db).await?;
    let mut out = HashMap::with_capacity(found.len());
    for found in &found {
        let seq: i64 = found.try_get(0)?;
        let loaded = read(seq, found, with).map_err(|error| match error {
            StoreError::Unreadable { why, .. } => damage(seq, &why),
            other => damage(seq, &other),
        });
        out.insert(seq, loaded);
    }
    Ok(out)
}

fn read(seq: i64, found: &SqliteRow, with: With) -> Result<Entry, StoreError> {
    let part = |body: usize, objects: usize| -> Result<Option<Body>, StoreError> {
        let Some(text) = found.try_get::<Option<&str>, _>(body)? else { return Ok(None) };
        let mut body = row::decode(seq, text)?;
        if with == With::Objects {
            row::restore(seq, &mut body, found.try_get(objects)?)?;
        }
        Ok(Some(body))
    };
    let own = part(1, 3)?.ok_or_else(|| row::unreadable(seq, "it has no body"))?;
    let intent = match own.intent {
        Some(intent) => Some(intent),
        None => part(2, 4)?.and_then(|body| body.intent),
    };
    let intent = intent.ok_or_else(|| row::unreadable(seq, "its intent is missing"))?;
    Ok(Entry { id: seq, intent, outcome: own.outcome }.settled())
}

/// The next rows of an export and where they end; `None` at the end.
async fn portion(
    store: &Store,
    search: Option<&Search>,
    open: &[i64],
    below: i64,
) -> Result<Option<(Vec<i64>, i64)>, StoreError> {
    let Some(search) = search else { return Ok(None) };
    let mut db = store.inner.readers.acquire().await?;
    let mut rows = search.rows(&mut db, below, EXPORT_STEP).await?;
    let lowest = match rows.last() {
        Some(last) if rows.len() == EXPORT_STEP => *last,
        _ => 0,
    };
    rows.extend(open.iter().filter(|seq| (lowest..below).contains(seq)));
    rows.sort_unstable_by_key(|seq| std::cmp::Reverse(*seq));
    Ok(if rows.is_empty() { None } else { Some((rows, lowest)) })
}

fn loaded(store: Store, rows: Vec<i64>) -> impl Stream<Item = Result<Loaded, StoreError>> + Send {
    let parts: Vec<Vec<i64>> = rows.chunks(EXPORT_LOAD).map(<[i64]>::to_vec).collect();
    let load = move |rows: Vec<i64>| {
        let store = store.clone();
        async move {
            let mut db = store.inner.readers.acquire().await?;
            let entries = store.load(&mut db, &rows, With::Objects).await?;
            Ok::<_, StoreError>(stream::iter(entries).map(Ok))
        }
    };
    stream::iter(parts).then(load).try_flatten()
}

/// A position in the list, in a form that is only good for being given back.
fn write_cursor(seq: i64) -> String {
    format!("{seq:016x}{}", cursor_check(seq))
}

fn read_cursor(text: &str) -> Result<i64, StoreError> {
    let seq = text.get(..16).and_then(|digits| i64::from_str_radix(digits, 16).ok());
    let seq = seq.filter(|seq| *seq > 0).ok_or(StoreError::BadCursor)?;
    if write_cursor(seq) == text { Ok(seq) } else { Err(StoreError::BadCursor) }
}

fn cursor_check(seq: i64) -> String {
    let digest = Sha256::new().chain_update(b"history").chain_update(seq.to_le_bytes()).finalize();
    hex::encode(&digest[..4])
}
