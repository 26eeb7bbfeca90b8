//! Labels as pods and workloads carry them: sorted by key, small, and shared between all that carry the same.
//! [`Labels`](super::service::Labels) is the map for what is looked at once; this is what is kept in numbers.

use std::collections::BTreeMap;
use std::sync::Arc;

/// A key and its value.
pub type Pair = (Arc<str>, Arc<str>);

/// Labels, sorted by key. A clone shares them.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LabelSet(Arc<[Pair]>);

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
        Self(pairs.into())
    }

    /// The value of a key.
    pub fn get(&self, key: &str) -> Option<&Arc<str>> {
        let at = self.0.binary_search_by(|pair| (*pair.0).cmp(key)).ok()?;
        Some(&self.0[at].1)
    }

    /// The pairs, by key.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = &Pair> {
        self.0.iter()
    }

    pub fn len(&self) -> usize {
        self.0.len()
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// True when `labels` hold every pair of this selector.
    pub fn selects(&self, labels: &Self) -> bool {
        self.0.iter().all(|(key, value)| labels.get(key) == Some(value))
    }

    /// True when the labels hold this pair.
    pub fn has(&self, key: &str, value: &str) -> bool {
        self.get(key).is_some_and(|held| **held == *value)
    }

    /// As a map.
    pub fn to_labels(&self) -> BTreeMap<Arc<str>, Arc<str>> {
        self.0.iter().cloned().collect()
    }

    /// True when this is the only copy: no other object shares it.
    pub fn is_alone(&self) -> bool {
        Arc::strong_count(&self.0) == 1
    }
}

impl FromIterator<Pair> for LabelSet {
    fn from_iter<I: IntoIterator<Item = Pair>>(pairs: I) -> Self {
        Self::new(pairs.into_iter().collect())
    }
}

/// Labels that Istio gives to endpoints by where they are: pods do not carry them.
const PLACES: [&str; 3] = ["topology.kubernetes.io/", "topology.istio.io/", "kubernetes.io/hostname"];

/// Labels that a controller puts on the pods that it makes: they are not in the template, and another value comes
/// with the next template. Subsets of other tools select by them; Sluice never makes one that does.
const GENERATED: [&str; 6] = [
    "pod-template-hash",
    "rollouts-pod-template-hash",
    "controller-revision-hash",
    "statefulset.kubernetes.io/pod-name",
    "apps.kubernetes.io/pod-index",
    "pod-template-generation",
];

/// Of those, the ones whose value is generated: it says nothing to a person.
const HASHES: [&str; 3] = ["pod-template-hash", "rollouts-pod-template-hash", "controller-revision-hash"];

/// True for a label whose value a controller computed from a template.
pub fn is_hash(key: &str) -> bool {
    HASHES.contains(&key)
}

/// True for a label that says where an endpoint is.
pub fn is_place(key: &str) -> bool {
    PLACES.iter().any(|place| key.starts_with(place))
}

/// True for a label that a workload's controller puts on its pods.
pub fn is_generated(key: &str) -> bool {
    GENERATED.contains(&key) || key.starts_with("rollouts.kruise.io/")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_keep_the_last_of_equal_keys() {
        let pair = |key: &str, value: &str| (Arc::from(key), Arc::from(value));
        let labels = LabelSet::new(vec![pair("b", "1"), pair("a", "2"), pair("b", "3")]);
        assert_eq!(labels.get("b").map(AsRef::as_ref), Some("3"));
        assert!(labels.has("a", "2") && !labels.has("c", "2"));
        assert!(LabelSet::new(vec![pair("a", "2")]).selects(&labels));
        assert!(!labels.selects(&LabelSet::default()));
    }
}
