//! What the server holds: one ordered table a kind, one revision counter, the recent events, the watchers.
//!
//! Everything here happens under one lock, so that the revision that a write gets, the event that it makes and
//! the watcher that registers can never miss or see one another twice. Nothing here knows HTTP or rules.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use serde_json::Value;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use super::kinds::{KINDS, Kind};
use super::object::Object;

/// What a write did to an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// It is new.
    Added,
    /// It is another version.
    Modified,
    /// It is gone; the event holds its last state, at the revision of its deletion.
    Deleted,
}

/// One write, as watchers get it.
#[derive(Clone, Debug)]
pub struct Event {
    /// The kind of the object.
    pub kind: &'static Kind,
    /// What happened.
    pub change: Change,
    /// The object after the write.
    pub object: Arc<Object>,
    /// The object before it; `None` when it is new.
    pub before: Option<Arc<Object>>,
}

/// The write was decided on a version that is no longer the stored one: decide again.
#[derive(Debug)]
pub(super) struct Raced;

/// One kind's objects and recent history.
pub(super) struct Table {
    pub kind: &'static Kind,
    pub installed: bool,
    pub objects: BTreeMap<Box<str>, Arc<Object>>,
    history: VecDeque<Arc<Event>>,
    /// Events at or below this revision are forgotten.
    compacted: u64,
    watchers: Vec<Watcher>,
}

struct Watcher {
    scope: Scope,
    events: UnboundedSender<Arc<Event>>,
}

/// Which objects of a kind a list or a watch looks at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Scope {
    All,
    Namespace(Box<str>),
}

impl Scope {
    fn holds(&self, object: &Object) -> bool {
        match self {
            Self::All => true,
            Self::Namespace(namespace) => *namespace == object.namespace,
        }
    }
}

/// Everything behind the lock.
pub(super) struct State {
    pub revision: u64,
    pub tables: Vec<Table>,
    subscribers: Vec<UnboundedSender<Arc<Event>>>,
    history_limit: usize,
    serial: u64,
}

/// A watch that has begun: what it starts with, and what follows without gap.
pub(super) struct Beginning {
    pub revision: u64,
    pub objects: Vec<Arc<Object>>,
    pub missed: Vec<Arc<Event>>,
    pub events: UnboundedReceiver<Arc<Event>>,
}

/// Where a watch begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum From {
    /// With all objects of now, then what follows.
    Now,
    /// With what follows.
    NowWithoutObjects,
    /// With what happened after this revision.
    After(u64),
}

impl State {
    pub fn new(history_limit: usize) -> Self {
        let tables = KINDS.iter().map(Table::new).collect();
        // Not 1: a client that mixes up "0", "1" and "first" should be caught.
        Self { revision: 100, tables, subscribers: Vec::new(), history_limit, serial: 0 }
    }

    /// A number that no other object of this server got.
    pub fn next_serial(&mut self) -> u64 {
        self.serial += 1;
        self.serial
    }

    /// The place of an installed kind.
    pub fn table_of(&self, group: &str, version: &str, plural: &str) -> Option<usize> {
        self.tables.iter().position(|t| {
            t.installed && t.kind.group == group && t.kind.version == version && t.kind.plural == plural
        })
    }

    /// The place of a kind by the word of its `kind` field, installed or not.
    pub fn table_by_kind(&self, kind: &str) -> Option<usize> {
        self.tables.iter().position(|t| t.kind.kind == kind)
    }

    pub fn namespace_exists(&self, name: &str) -> bool {
        self.table_by_kind("Namespace").is_some_and(|t| self.tables[t].objects.contains_key(name))
    }

    /// Stores `value` when the stored version is still the one that `decided_on` names (0: none).
    pub fn store(&mut self, table: usize, value: Value, decided_on: u64) -> Result<Arc<Object>, Raced> {
        let kind = self.tables[table].kind;
        let object = Arc::new(Object::new(kind, value, self.revision + 1));
        let key = kind.key(&object.namespace, &object.name);
        let before = self.tables[table].objects.get(&key).cloned();
        if before.as_ref().map_or(0, |o| o.revision) != decided_on {
            return Err(Raced);
        }
        self.revision += 1;
        let change = if before.is_some() { Change::Modified } else { Change::Added };
        self.tables[table].objects.insert(key, object.clone());
        self.announce(table, Event { kind, change, object: object.clone(), before });
        Ok(object)
    }

    /// Removes an object when the stored version is still the one that `decided_on` names.
    pub fn remove(&mut self, table: usize, key: &str, decided_on: u64) -> Result<Arc<Object>, Raced> {
        let kind = self.tables[table].kind;
        let Some(before) = self.tables[table].objects.get(key).cloned() else { return Err(Raced) };
        if before.revision != decided_on {
            return Err(Raced);
        }
        self.tables[table].objects.remove(key);
        self.revision += 1;
        let object = Arc::new(Object::new(kind, before.value(), self.revision));
        self.announce(
            table,
            Event { kind, change: Change::Deleted, object: object.clone(), before: Some(before) },
        );
        Ok(object)
    }

    fn announce(&mut self, table: usize, event: Event) {
        let event = Arc::new(event);
        self.subscribers.retain(|s| s.send(event.clone()).is_ok());
        let limit = self.history_limit;
        self.tables[table].announce(event, limit);
    }

    /// Every later event of every kind, without gap.
    pub fn subscribe(&mut self) -> UnboundedReceiver<Arc<Event>> {
        let (sender, receiver) = unbounded_channel();
        self.subscribers.push(sender);
        receiver
    }

    /// Begins a watch; `Err` holds the oldest revision that can still be resumed from.
    pub fn watch(&mut self, table: usize, scope: Scope, from: From) -> Result<Beginning, u64> {
        let revision = self.revision;
        let table = &mut self.tables[table];
        let mut missed = Vec::new();
        if let From::After(after) = from {
            if after < table.compacted {
                return Err(table.compacted);
            }
            missed.extend(
                table.history.iter().filter(|e| e.object.revision > after && scope.holds(&e.object)).cloned(),
            );
        }
        let objects = if from == From::Now { table.now(&scope) } else { Vec::new() };
        let (sender, events) = unbounded_channel();
        table.watchers.push(Watcher { scope, events: sender });
        Ok(Beginning { revision, objects, missed, events })
    }

    /// Forgets all history: a watch, an exact list or a continue token from before gets 410.
    pub fn compact(&mut self) {
        // The compaction is itself a moment: a version read just before it is already too old.
        self.revision += 1;
        for table in &mut self.tables {
            table.compacted = self.revision;
            table.history.clear();
        }
    }
}

impl Table {
    pub fn new(kind: &'static Kind) -> Self {
        Self {
            kind,
            installed: true,
            objects: BTreeMap::new(),
            history: VecDeque::new(),
            compacted: 0,
            watchers: Vec::new(),
        }
    }

    fn announce(&mut self, event: Arc<Event>, limit: usize) {
        self.watchers.retain(|w| {
            if w.scope.holds(&event.object) {
                w.events.send(event.clone()).is_ok()
            } else {
                !w.events.is_closed()
            }
        });
        self.history.push_back(event);
        while self.history.len() > limit {
            if let Some(forgotten) = self.history.pop_front() {
                self.compacted = forgotten.object.revision;
            }
        }
    }

    /// The objects of a scope as they are now.
    pub fn now(&self, scope: &Scope) -> Vec<Arc<Object>> {
        match scope {
            Scope::All => self.objects.values().cloned().collect(),
            Scope::Namespace(namespace) => {
                let (first, end) = (format!("{namespace}/"), format!("{namespace}0"));
                self.objects
                    .range::<str, _>((
                        std::ops::Bound::Included(first.as_str()),
                        std::ops::Bound::Excluded(end.as_str()),
                    ))
                    .map(|(_, o)| o.clone())
                    .collect()
            }
        }
    }

    /// The objects of a scope as they were at `revision`; `None` when that is forgotten.
    pub fn at(&self, scope: &Scope, revision: u64) -> Option<Vec<Arc<Object>>> {
        if revision < self.compacted {
            return None;
        }
        if self.history.back().is_none_or(|e| e.object.revision <= revision) {
            return Some(self.now(scope));
        }
        let mut then: BTreeMap<Box<str>, Arc<Object>> =
            self.now(scope).into_iter().map(|o| (self.kind.key(&o.namespace, &o.name), o)).collect();
        for event in self.history.iter().rev().take_while(|e| e.object.revision > revision) {
            if !scope.holds(&event.object) {
                continue;
            }
            let key = self.kind.key(&event.object.namespace, &event.object.name);
            match &event.before {
                Some(before) => then.insert(key, before.clone()),
                None => then.remove(&key),
            };
        }
        Some(then.into_values().collect())
    }
}
