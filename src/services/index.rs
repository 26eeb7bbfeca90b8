//! The order of the list, kept ready: one small row a service, sorted worst first, so that a page costs
//! the same at ten services and at ten thousand. Rebuilt by [`super::happenings`], never by a request.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwap;

use crate::cluster::Visible;
use crate::domain::ids::ServiceRef;
use crate::domain::overview::{Counts, State};

use super::beyond::Beyond;
use super::standing::Aim;

/// What the list sorts and filters by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Row {
    pub at: ServiceRef,
    pub state: State,
    /// The state without any figures, and what figures would be held against.
    pub calm: State,
    pub aim: Option<Box<Aim>>,
    /// How it stands for readers who do not see all that its routes name.
    pub beyond: Option<Box<Beyond>>,
    /// The entry of the history that it stands on; 0 before any.
    pub entry: i64,
    /// Lower-case name, namespace, versions and images, for the text filter.
    pub words: Box<str>,
}

/// Every row in both orders.
#[derive(Default)]
pub(super) struct Sorted {
    /// Rises each time that they are sorted again.
    pub number: u64,
    pub worst: Box<[Arc<Row>]>,
    pub name: Box<[Arc<Row>]>,
    pub counts: Counts,
}

/// The rows and their orders. Readers take an `Arc` and never wait.
#[derive(Default)]
pub(super) struct Index {
    rows: Mutex<Rows>,
    sorted: ArcSwap<Sorted>,
}

#[derive(Default)]
struct Rows {
    all: BTreeMap<ServiceRef, Arc<Row>>,
    /// They are no longer as they were when they were sorted.
    differ: bool,
}

impl Sorted {
    /// The rows as a reader with this sight may know them.
    pub fn known_to(self: Arc<Self>, visible: &Visible) -> Arc<Self> {
        let hidden = |row: &Arc<Row>| -> Option<State> {
            let beyond = row.beyond.as_ref().filter(|beyond| beyond.is_hidden_from(visible))?;
            Some(beyond.state).filter(|_| visible.contains(&row.at.namespace))
        };
        if matches!(visible, Visible::All) || self.name.iter().all(|row| hidden(row).is_none()) {
            return self;
        }
        let known = |row: &Arc<Row>| match hidden(row) {
            Some(state) => Arc::new(Row { state, ..Row::clone(row) }),
            None => row.clone(),
        };
        Arc::new(Self::of(self.number, self.name.iter().map(known).collect()))
    }

    fn of(number: u64, name: Box<[Arc<Row>]>) -> Self {
        let mut worst = name.clone();
        worst.sort_by_key(|row| row.state);
        let counts = count(&name, &Visible::All);
        Self { number, worst, name, counts }
    }
}

impl Index {
    /// The rows as they were last sorted.
    pub fn sorted(&self) -> Arc<Sorted> {
        self.sorted.load_full()
    }

    /// Sets and removes rows. Readers see it after [`Self::sort`].
    pub fn update(&self, changes: Vec<(ServiceRef, Option<Row>)>) {
        let mut rows = self.rows.lock().unwrap_or_else(PoisonError::into_inner);
        for (at, row) in changes {
            rows.differ |= match row {
                Some(row) => {
                    rows.all.get(&at).is_none_or(|old| **old != row) && {
                        rows.all.insert(at, Arc::new(row));
                        true
                    }
                }
                None => rows.all.remove(&at).is_some(),
            };
        }
    }

    /// Sets the states of rows that are still these rows. Readers see it after [`Self::sort`].
    pub fn judge(&self, states: Vec<(Arc<Row>, State)>) {
        let mut rows = self.rows.lock().unwrap_or_else(PoisonError::into_inner);
        for (judged, state) in states {
            if let Some(row) = rows.all.get_mut(&judged.at).filter(|row| Arc::ptr_eq(row, &judged)) {
                *row = Arc::new(Row { state, ..Row::clone(&judged) });
                rows.differ = true;
            }
        }
    }

    /// Sorts again when a row differs.
    pub fn sort(&self) {
        let mut rows = self.rows.lock().unwrap_or_else(PoisonError::into_inner);
        if std::mem::take(&mut rows.differ) {
            let name: Box<[Arc<Row>]> = rows.all.values().cloned().collect();
            let number = self.sorted.load().number + 1;
            self.sorted.store(Arc::new(Sorted::of(number, name)));
        }
    }
}

/// How many of these rows the person would see under each `show` but that of releases, of which rows know nothing.
pub(super) fn count(rows: &[Arc<Row>], visible: &Visible) -> Counts {
    let mut counts = Counts::default();
    for row in rows.iter().filter(|row| visible.contains(&row.at.namespace)) {
        counts.all += 1;
        counts.attention += usize::from(row.state.needs_attention());
        counts.not_routable += usize::from(row.state == State::NotRoutable);
    }
    counts
}

/// The name that is nearest to what was typed: fewest edits, at most a third of its length.
pub(super) fn nearest(rows: &[Arc<Row>], visible: &Visible, text: &str) -> Option<ServiceRef> {
    let text: Vec<char> = text.trim().to_lowercase().chars().take(64).collect();
    let limit = (text.len() / 3).max(1);
    rows.iter()
        .filter(|row| visible.contains(&row.at.namespace))
        .map(|row| (edits(&text, &row.at.name), row))
        .filter(|(distance, _)| *distance <= limit)
        .min_by_key(|(distance, row)| (*distance, row.at.clone()))
        .map(|(_, row)| row.at.clone())
}

/// Insertions, deletions, substitutions and swaps of neighbours between two words.
fn edits(a: &[char], b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let (mut two_ago, mut before) = (Vec::new(), (0..=b.len()).collect::<Vec<usize>>());
    for i in 1..=a.len() {
        let mut now = vec![i; b.len() + 1];
        for j in 1..=b.len() {
            let same = usize::from(a[i - 1] != b[j - 1]);
            now[j] = (before[j] + 1).min(now[j - 1] + 1).min(before[j - 1] + same);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                let swapped: &Vec<usize> = &two_ago;
                now[j] = now[j].min(swapped[j - 2] + 1);
            }
        }
        two_ago = std::mem::replace(&mut before, now);
    }
    before[b.len()]
}
