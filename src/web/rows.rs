//! Rendered rows of the list, kept while nothing that they show changes: the list is asked for far more often
//! than its rows change. Called by the page and by the live topics; holds nothing that differs from person
//! to person.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::{Mutex, PoisonError};

use crate::domain::ids::ServiceRef;
use crate::domain::overview::Overview;
use crate::views::chrome::Chrome;
use crate::views::lang::Lang;
use crate::views::services::{Row, ServiceRow};

/// How many rows are kept: some thousand kilobytes at most.
const KEPT: usize = 4_096;

/// The kept rows.
#[derive(Default)]
pub struct Rows(Mutex<HashMap<Key, (u64, Row)>>);

type Key = (ServiceRef, Lang, i16);

impl Rows {
    /// The rows of these services, each rendered only when it shows something else than last time.
    pub fn of(&self, chrome: &Chrome, items: &[Overview]) -> Vec<Row> {
        items.iter().map(|item| self.one(chrome, item)).collect()
    }

    fn one(&self, chrome: &Chrome, item: &Overview) -> Row {
        let key = (item.at().clone(), chrome.clock.lang, chrome.clock.offset_min);
        let shows = looks(chrome, item);
        let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, row)) = kept.get(&key).filter(|(shown, _)| *shown == shows) {
            return row.clone();
        }
        drop(kept);
        let row = Row::from(&ServiceRow::of(chrome.clock, chrome.now_ms, item));
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() >= KEPT {
            kept.clear();
        }
        kept.insert(key, (shows, row.clone()));
        row
    }
}

/// A hash of everything that a row shows.
fn looks(chrome: &Chrome, item: &Overview) -> u64 {
    let mut hasher = DefaultHasher::new();
    super::live::stamp_one(item, &mut hasher);
    for finding in &item.findings {
        (finding.code, finding.severity as u8).hash(&mut hasher);
    }
    item.observed.as_ref().map(|seen| seen.window_s).hash(&mut hasher);
    if let Some(last) = &item.last {
        let when = chrome.clock.moment(last.at_ms, chrome.now_ms);
        (&last.by, when.ago, when.exact).hash(&mut hasher);
    }
    hasher.finish()
}
