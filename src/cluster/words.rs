//! Texts that repeat (labels, namespaces, names, images) are kept once, whoever holds them.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};

use crate::domain::service::Labels;

/// A shared text.
pub(super) type Word = Arc<str>;

/// A key and its value.
pub(super) type Pair = (Word, Word);

const SHARDS: usize = 16;

/// The texts that are in use. A text that nobody holds any more is dropped at the next sweep of its shard.
pub(super) struct Words([Mutex<Shard>; SHARDS]);

#[derive(Default)]
struct Shard {
    texts: HashSet<Word>,
    /// Sweep when the shard has grown to this.
    sweep_at: usize,
}

impl Default for Words {
    fn default() -> Self {
        Self(std::array::from_fn(|_| Mutex::default()))
    }
}

impl Words {
    /// The shared copy of a text.
    pub fn get(&self, text: &str) -> Word {
        let mut shard = self.0[shard_of(text)].lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(word) = shard.texts.get(text) {
            return Arc::clone(word);
        }
        if shard.texts.len() >= shard.sweep_at.max(64) {
            shard.texts.retain(|word| Arc::strong_count(word) > 1);
            let left = shard.texts.len();
            shard.texts.shrink_to(left * 3 / 2);
            shard.sweep_at = left * 2;
        }
        let word: Word = text.into();
        shard.texts.insert(Arc::clone(&word));
        word
    }

    /// How many texts are held, dropped ones that were not swept yet included.
    #[cfg(test)]
    fn len(&self) -> usize {
        self.0.iter().map(|shard| shard.lock().unwrap_or_else(PoisonError::into_inner).texts.len()).sum()
    }
}

/// Any spread will do; the last bytes of Kubernetes names differ most.
fn shard_of(text: &str) -> usize {
    let tail = text.bytes().rev().take(8);
    tail.fold(text.len(), |hash, byte| hash.wrapping_mul(31).wrapping_add(usize::from(byte))) % SHARDS
}

/// Labels, sorted by key: a tenth of a map's size.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct LabelSet(Box<[Pair]>);

impl LabelSet {
    /// Takes pairs in any order; the last of equal keys wins.
    pub fn new(mut pairs: Vec<Pair>) -> Self {
        pairs.sort_by(|a, b| a.0.cmp(&b.0));
        pairs.dedup_by(|later, earlier| {
            let same = later.0 == earlier.0;
            if same {
                std::mem::swap(later, earlier);
            }
            same
        });
        Self(pairs.into_boxed_slice())
    }

    pub fn get(&self, key: &str) -> Option<&Word> {
        let at = self.0.binary_search_by(|pair| (*pair.0).cmp(key)).ok()?;
        Some(&self.0[at].1)
    }

    pub fn iter(&self) -> impl Iterator<Item = &Pair> {
        self.0.iter()
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// True when `labels` hold every pair of this selector.
    pub fn selects(&self, labels: &Self) -> bool {
        self.0.iter().all(|(key, value)| labels.get(key) == Some(value))
    }

    /// As the domain writes labels.
    pub fn to_labels(&self) -> Labels {
        self.0.iter().cloned().collect()
    }
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
    fn labels_keep_the_last_of_equal_keys() {
        let pair = |key: &str, value: &str| (Word::from(key), Word::from(value));
        let labels = LabelSet::new(vec![pair("b", "1"), pair("a", "2"), pair("b", "3")]);
        assert_eq!(labels.get("b").map(AsRef::as_ref), Some("3"));
        assert_eq!(labels.get("a").map(AsRef::as_ref), Some("2"));
        assert_eq!(labels.get("c"), None);
        assert!(LabelSet::new(vec![pair("a", "2")]).selects(&labels));
        assert!(!labels.selects(&LabelSet::default()));
    }
}
