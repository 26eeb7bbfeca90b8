//! Texts that repeat (labels, namespaces, names, images) are kept once and shared.

use std::collections::HashSet;
use std::hash::Hash;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

pub(super) use crate::domain::labels::{LabelSet, Pair};

/// A shared text.
pub(super) type Word = Arc<str>;

const SHARDS: usize = 16;

/// The texts and label sets that are in use. What is no longer referenced is dropped at the next sweep of its shard.
pub(super) struct Words {
    texts: [Mutex<Shard<Word>>; SHARDS],
    labels: [Mutex<Shard<LabelSet>>; SHARDS],
}

struct Shard<T> {
    kept: HashSet<T>,
    /// Sweep when the shard has grown to this.
    sweep_at: usize,
}

impl<T> Default for Shard<T> {
    fn default() -> Self {
        Self { kept: HashSet::new(), sweep_at: 0 }
    }
}

impl<T: Hash + Eq> Shard<T> {
    fn keep(&mut self, one: T, is_used: impl Fn(&T) -> bool) {
        if self.kept.len() >= self.sweep_at.max(64) {
            self.kept.retain(is_used);
            let left = self.kept.len();
            self.kept.shrink_to(left * 3 / 2);
            self.sweep_at = left * 2;
        }
        self.kept.insert(one);
    }
}

fn lock<T>(shard: &Mutex<Shard<T>>) -> MutexGuard<'_, Shard<T>> {
    shard.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Default for Words {
    fn default() -> Self {
        Self {
            texts: std::array::from_fn(|_| Mutex::default()),
            labels: std::array::from_fn(|_| Mutex::default()),
        }
    }
}

impl Words {
    /// The shared copy of a text.
    pub fn get(&self, text: &str) -> Word {
        let mut shard = lock(&self.texts[shard_of(text)]);
        if let Some(word) = shard.kept.get(text) {
            return Arc::clone(word);
        }
        let word: Word = text.into();
        shard.keep(Arc::clone(&word), |word| Arc::strong_count(word) > 1);
        word
    }

    /// The shared copy of a set of labels: the pods of one template have the same.
    pub fn labels(&self, pairs: Vec<Pair>) -> LabelSet {
        let labels = LabelSet::new(pairs);
        let tail = labels.iter().next_back().map_or("", |(_, value)| &**value);
        let mut shard = lock(&self.labels[shard_of(tail)]);
        if let Some(held) = shard.kept.get(&labels) {
            return held.clone();
        }
        shard.keep(labels.clone(), |labels| !labels.is_alone());
        labels
    }

    /// How many texts are held, dropped ones that were not swept yet included.
    #[cfg(test)]
    fn len(&self) -> usize {
        self.texts.iter().map(|shard| lock(shard).kept.len()).sum()
    }
}

/// Any spread will do; the last bytes of Kubernetes names differ most.
fn shard_of(text: &str) -> usize {
    let tail = text.bytes().rev().take(8);
    tail.fold(text.len(), |hash, byte| hash.wrapping_mul(31).wrapping_add(usize::from(byte))) % SHARDS
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_shared_and_dropped_when_nobody_holds_them() {
        let words = Words::default();
        assert!(Arc::ptr_eq(&words.get("shop"), &words.get("shop")));
        for n in 0..100_000 {
            words.get(&format!("pod-{n}"));
        }
        assert!(words.len() < 5_000, "{} texts are held", words.len());
    }

    #[test]
    fn labels_are_shared_and_dropped_when_nobody_holds_them() {
        let words = Words::default();
        let labels = |n: u32| words.labels(vec![(words.get("app"), words.get(&format!("app-{n}")))]);
        let (one, same) = (labels(1), labels(1));
        assert_eq!(one, same);
        assert!(!one.is_alone());
        for n in 0..100_000 {
            labels(n);
        }
        let held: usize = words.labels.iter().map(|shard| lock(shard).kept.len()).sum();
        assert!(held < 5_000, "{held} sets are held");
    }
}
