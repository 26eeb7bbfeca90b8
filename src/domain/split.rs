//! The split: version → weight, whole numbers 0..=100, sum exactly 100. Cannot be built otherwise.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::ids::VersionName;
use super::refusal::{Code, Refusal};

/// Versions that a split may name. What is written for people and proxies is read by people.
pub const MAX_VERSIONS: usize = 64;

/// Whole percents per version, in the order in which they were given; they sum to 100.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Vec<(VersionName, u8)>", into = "Vec<(VersionName, u8)>")]
pub struct Split(Vec<(VersionName, u8)>);

impl Split {
    /// Checks that every weight is 0..=100, no version stands twice, the sum is 100 and the list is no longer than
    /// [`MAX_VERSIONS`].
    ///
    /// Refuses with `too_many_items`, `weight_range`, `duplicate_version` or `sum` (args `n` = the sum, `missing` = 100 − sum).
    pub fn new(weights: Vec<(VersionName, u8)>) -> Result<Self, Refusal> {
        if weights.len() > MAX_VERSIONS {
            return Err(Refusal::too_many("weights", weights.len(), MAX_VERSIONS));
        }
        let mut seen = BTreeSet::new();
        for (version, weight) in &weights {
            if *weight > 100 {
                return Err(Refusal::new(Code::WeightRange)
                    .field("weights")
                    .arg("v", version)
                    .arg("n", weight));
            }
            if !seen.insert(version.as_str()) {
                return Err(Refusal::new(Code::DuplicateVersion).field("weights").arg("v", version));
            }
        }
        let sum: u32 = weights.iter().map(|(_, weight)| u32::from(*weight)).sum();
        if sum != 100 {
            return Err(Self::wrong_sum(sum));
        }
        Ok(Self(weights))
    }

    /// The refusal for weights that sum to something else than 100.
    pub fn wrong_sum(sum: u32) -> Refusal {
        let code = if sum < 100 { Code::SumMissing } else { Code::Sum };
        Refusal::new(code).field("weights").arg("n", sum).arg("missing", sum.abs_diff(100))
    }

    /// All of it to one version.
    pub fn all_to(version: VersionName) -> Self {
        Self(vec![(version, 100)])
    }

    /// Whole percents by largest remainder from any non-negative parts; `None` when the parts sum to 0.
    /// Ties go to the earlier version. A part above zero may become 0 when it is below half a percent.
    pub fn rounded(parts: &[(VersionName, u64)]) -> Option<Self> {
        let total: u128 = parts.iter().map(|(_, part)| u128::from(*part)).sum();
        if total == 0 {
            return None;
        }
        let exact = |part: u64| (u128::from(part) * 100 / total, u128::from(part) * 100 % total);
        let mut whole: Vec<u8> =
            parts.iter().map(|(_, part)| u8::try_from(exact(*part).0).unwrap_or(100)).collect();
        let mut left = 100 - whole.iter().map(|w| u32::from(*w)).sum::<u32>();
        let mut order: Vec<usize> = (0..parts.len()).collect();
        order.sort_by_key(|at| std::cmp::Reverse(exact(parts[*at].1).1));
        for at in order {
            if left == 0 {
                break;
            }
            whole[at] += 1;
            left -= 1;
        }
        Some(Self(parts.iter().zip(whole).map(|((version, _), weight)| (version.clone(), weight)).collect()))
    }

    /// The weight of a version, 0 when it is not named.
    pub fn of(&self, version: &VersionName) -> u8 {
        self.0.iter().find(|(name, _)| name == version).map_or(0, |(_, weight)| *weight)
    }

    /// Versions and weights in order.
    pub fn iter(&self) -> impl Iterator<Item = (&VersionName, u8)> {
        self.0.iter().map(|(version, weight)| (version, *weight))
    }

    /// The version that has all 100, if one does.
    pub fn sole(&self) -> Option<&VersionName> {
        self.0.iter().find(|(_, weight)| *weight == 100).map(|(version, _)| version)
    }
}

impl TryFrom<Vec<(VersionName, u8)>> for Split {
    type Error = Refusal;
    fn try_from(weights: Vec<(VersionName, u8)>) -> Result<Self, Refusal> {
        Self::new(weights)
    }
}

impl From<Split> for Vec<(VersionName, u8)> {
    fn from(split: Split) -> Self {
        split.0
    }
}
