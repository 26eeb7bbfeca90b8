//! The list of services: one page of it, put together once for all who ask for the same, and kept while
//! nothing that it shows changes. Pages, the API and live streams call it.
//!
//! What a person may see is asked for every request and is part of the question, so a kept page never shows
//! more than a new one would.

use std::borrow::Cow;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use moka::future::Cache;

use crate::cluster::Visible;
use crate::domain::actor::Actor;
use crate::domain::ids::{Namespace, ServiceRef};
use crate::domain::overview::{Counts, Gravity, ListAsk, ListPage, Show, Sort, State};
use crate::domain::refusal::{Check, Code, Refusal};

use super::Services;
use super::catalog::window_of;
use super::index::{Row, Sorted, count, nearest};

/// A page is put together again after this long, whatever happened: figures grow old, and pages say how long
/// ago things were.
const KEEP_MS: i64 = 1_000;
/// How many services are kept on pages, all pages together.
const MOST: u64 = 10_000;

/// The pages that were asked for lately.
pub(super) struct Lists {
    kept: Cache<Key, Arc<Kept>>,
    numbers: AtomicU64,
}

/// What a page answers, and for whom.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Key {
    ask: ListAsk,
    visible: Visible,
}

struct Kept {
    stands_on: World,
    at_ms: i64,
    page: Arc<ListPage>,
}

/// Everything that a page is made of, as numbers that rise with each change of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct World {
    cluster: u64,
    history: u64,
    figures: u64,
    order: u64,
}

impl Default for Lists {
    fn default() -> Self {
        let weight = |key: &Key, kept: &Arc<Kept>| {
            let seen = if let Visible::Some(namespaces) = &key.visible { namespaces.len() } else { 0 };
            let shown = kept.page.items.len() + kept.page.namespaces.len() / 8 + seen / 8;
            u32::try_from(shown + key.ask.text.len() / 64 + 1).unwrap_or(u32::MAX)
        };
        let kept = Cache::builder().max_capacity(MOST).weigher(weight);
        Self { kept: kept.time_to_live(Duration::from_secs(5)).build(), numbers: AtomicU64::new(0) }
    }
}

impl Services {
    /// One page of the services that the person may see.
    pub async fn list(&self, who: &Actor, ask: &ListAsk) -> Result<Arc<ListPage>, Refusal> {
        let key = Key { ask: ask.clone(), visible: self.visible(&who.identity).await? };
        let now = self.inner.clock.now_ms();
        self.inner.looked_at.store(now, Ordering::Relaxed);
        // Read before anything else is: what changes from here on makes the page an old one.
        let sorted = self.inner.index.sorted();
        let world = self.world(&sorted);
        let notices = self.notices();
        if let Some(kept) = self.inner.lists.kept.get(&key).await
            && kept.stands_on == world
            && (0..KEEP_MS).contains(&(now - kept.at_ms))
            && kept.page.notices == notices
        {
            return Ok(self.shown_page(&who.identity, kept.page.clone()).await);
        }
        let sorted = sorted.known_to(&key.visible);
        let page = Arc::new(self.put_together(&key, &sorted, notices).await?);
        let kept = Kept { stands_on: world, at_ms: now, page: page.clone() };
        self.inner.lists.kept.insert(key, Arc::new(kept)).await;
        Ok(self.shown_page(&who.identity, page).await)
    }

    fn world(&self, sorted: &Sorted) -> World {
        World {
            cluster: self.inner.cache.generation(),
            history: self.inner.store.generation(),
            figures: self.inner.metrics.generation(),
            order: sorted.number,
        }
    }

    async fn put_together(
        &self,
        Key { ask, visible }: &Key,
        sorted: &Sorted,
        notices: Vec<Check>,
    ) -> Result<ListPage, Refusal> {
        let waits = self.waiting_by_service(visible);
        let gravity = |row: &Row| Gravity::of(row.state, waits.get(&row.at).copied());
        let rows: Cow<'_, [Arc<Row>]> = match ask.sort {
            Sort::Worst if waits.is_empty() => Cow::Borrowed(&sorted.worst),
            Sort::Worst => {
                let mut rows = sorted.worst.to_vec();
                rows.sort_by(|a, b| (gravity(a), &a.at).cmp(&(gravity(b), &b.at)));
                Cow::Owned(rows)
            }
            Sort::Name => Cow::Borrowed(&sorted.name),
        };
        let limit = if ask.limit == 0 { 100 } else { ask.limit.clamp(1, 500) };
        let words = ask.text.trim().to_lowercase();
        let releasing = self.releasing();
        let wanted = |row: &&Arc<Row>| {
            visible.contains(&row.at.namespace)
                && ask.namespace.as_ref().is_none_or(|namespace| *namespace == row.at.namespace)
                && match ask.show {
                    Show::All => true,
                    Show::Releasing => releasing.contains(&row.at),
                    Show::Attention => gravity(row).needs_attention(),
                    Show::NotRoutable => row.state == State::NotRoutable,
                }
                && words.split_whitespace().all(|word| row.words.contains(word))
        };
        let after = ask.cursor.as_deref().map(parse_cursor).transpose()?;
        let begins = after.map_or(0, |(state, at)| {
            rows.partition_point(|row| match ask.sort {
                Sort::Worst => (gravity(row), &row.at) <= (state, &at),
                Sort::Name => row.at <= at,
            })
        });
        let plain = matches!(visible, Visible::All)
            && ask.namespace.is_none()
            && ask.show == Show::All
            && words.is_empty();
        let total = if plain { rows.len() } else { rows.iter().filter(wanted).count() };
        let mut page: Vec<&Arc<Row>> = rows[begins..].iter().filter(wanted).take(limit + 1).collect();
        let more = page.len() > limit;
        page.truncate(limit);
        let next = page.last().filter(|_| more).map(|row| cursor_of(gravity(row), row));
        let window = window_of(ask.window_s);
        let refs: Vec<ServiceRef> = page.iter().map(|row| row.at.clone()).collect();
        let items = self.overviews(&refs, window).await?;
        let worst: Vec<ServiceRef> = sorted
            .worst
            .iter()
            .take_while(|row| row.state.needs_attention())
            .filter(|row| visible.contains(&row.at.namespace))
            .take(5)
            .map(|row| row.at.clone())
            .collect();
        // Those of releases that wait, whose services are fine otherwise.
        let wait_only = |at: &ServiceRef| {
            let row =
                sorted.name.binary_search_by(|row| row.at.cmp(at)).ok().map(|found| &sorted.name[found]);
            row.is_some_and(|row| !row.state.needs_attention())
        };
        let waiting = waits.keys().filter(|at| wait_only(at)).count();
        let counts = match visible {
            Visible::All => sorted.counts,
            Visible::Some(_) => count(&sorted.name, visible),
        };
        let namespaces: Vec<Namespace> = {
            let all = self.inner.cache.namespaces();
            all.iter().filter(|namespace| visible.contains(namespace)).cloned().collect()
        };
        let has = |namespace: &&Namespace| {
            let first = sorted.name.partition_point(|row| row.at.namespace < **namespace);
            sorted.name.get(first).is_some_and(|row| row.at.namespace == **namespace)
        };
        let populated = namespaces.iter().filter(has).count();
        Ok(ListPage {
            number: self.inner.lists.numbers.fetch_add(1, Ordering::Relaxed) + 1,
            nearest: (total == 0 && !words.is_empty())
                .then(|| nearest(&sorted.name, visible, &words))
                .flatten(),
            attention: self.overviews(&worst, window).await?,
            waiting: self.waiting_releases(visible, 5),
            items,
            total,
            counts: Counts {
                releasing: releasing.iter().filter(|at| visible.contains(&at.namespace)).count(),
                attention: counts.attention + waiting,
                ..counts
            },
            next,
            namespaces,
            populated,
            notices,
        })
    }
}

fn cursor_of(gravity: Gravity, row: &Row) -> String {
    hex::encode(format!("{}:{}", gravity as u8, row.at))
}

fn parse_cursor(text: &str) -> Result<(Gravity, ServiceRef), Refusal> {
    let bad = || Refusal::new(Code::BadCursor).field("cursor");
    let bytes = hex::decode(text).map_err(|_| bad())?;
    let text = String::from_utf8(bytes).map_err(|_| bad())?;
    let (state, at) = text.split_once(':').ok_or_else(bad)?;
    let state = state.parse::<usize>().ok().and_then(|n| Gravity::ALL.get(n).copied()).ok_or_else(bad)?;
    Ok((state, ServiceRef::parse_path(at).map_err(|_| bad())?))
}
