//! What a change does to the match rules of a service: which are new, changed or gone, and whether those that stay
//! are tried in another order. Pure. The history keeps it with the change; `views::rule_words` says it.

use serde::{Deserialize, Serialize};

use super::routing::{HIDDEN, Mirror, Rule};

/// So many rules are kept of one change; the others are only counted.
const KEPT: usize = 20;

/// The differences between two lists of rules.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct RuleChanges {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub added: Vec<Rule>,
    /// As it was, and as it is.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub changed: Vec<(Rule, Rule)>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub removed: Vec<Rule>,
    /// Rules that stay are tried in another order.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub moved: bool,
    /// How many more changed than are listed.
    #[serde(skip_serializing_if = "is_zero")]
    pub more: usize,
}

/// Where copies of requests went before a change and go after it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct MirrorChange {
    pub before: Option<Mirror>,
    pub after: Option<Mirror>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "the signature that serde asks for")]
fn is_zero(n: &usize) -> bool {
    *n == 0
}

impl RuleChanges {
    /// What differs; `None` when nothing does. Rules are the same one by their route, else by their conditions.
    pub fn between(before: &[Rule], after: &[Rule]) -> Option<Self> {
        if before == after {
            return None;
        }
        let same = |one: &Rule, other: &Rule| {
            (one.id.is_some() && one.id == other.id) || (one.when == other.when && one.opaque == other.opaque)
        };
        let mut left: Vec<usize> = (0..before.len()).collect();
        let mut out = Self::default();
        let mut places = Vec::new();
        let mut fresh: Vec<&Rule> = Vec::new();
        // By their routes first: two rules may have the same conditions.
        for rule in after {
            let by_id = left.iter().position(|at| rule.id.is_some() && before[*at].id == rule.id);
            let found = by_id.or_else(|| left.iter().position(|at| same(&before[*at], rule)));
            let Some(at) = found.map(|found| left.remove(found)) else {
                fresh.push(rule);
                continue;
            };
            places.push(at);
            let old = &before[at];
            if (&old.name, &old.when, &old.opaque, &old.to, &old.action)
                != (&rule.name, &rule.when, &rule.opaque, &rule.to, &rule.action)
            {
                out.changed.push((old.clone(), rule.clone()));
            }
        }
        out.added = fresh.into_iter().cloned().collect();
        out.removed = left.into_iter().map(|at| before[at].clone()).collect();
        out.moved = !places.is_sorted();
        let all = out.len();
        out.added.truncate(KEPT);
        out.changed.truncate(KEPT - out.added.len());
        out.removed.truncate(KEPT - out.added.len() - out.changed.len());
        out.more = all - out.len();
        (all > 0 || out.moved).then_some(out)
    }

    /// How many rules are listed.
    fn len(&self) -> usize {
        self.added.len() + self.changed.len() + self.removed.len()
    }

    /// How many rules are new, changed or gone.
    pub fn count(&self) -> usize {
        self.len() + self.more
    }

    /// The same for a reader who may not read the object that holds the conditions.
    #[must_use]
    pub fn without_conditions(mut self) -> Self {
        let both = self.changed.iter_mut().flat_map(|(old, new)| [old, new]);
        for rule in self.added.iter_mut().chain(&mut self.removed).chain(both) {
            rule.hide();
        }
        self
    }
}

impl Rule {
    /// Takes out what stands in an object that the reader may not get: whom the rule is for, its name, and who gets
    /// its requests where that is no version of the service.
    pub fn hide(&mut self) {
        self.when.clear();
        self.opaque = vec![HIDDEN.to_owned()];
        self.name = None;
        if self.action.is_some() {
            self.action = Some(HIDDEN.to_owned());
        }
    }
}

impl Rule {
    /// The name that a person or another tool gave it; `None` for one that was made here because nobody gave one
    /// ([`is_made`]).
    pub fn given_name(&self) -> Option<&str> {
        self.name.as_deref().filter(|name| !is_made(name))
    }
}

/// True for a name that was made here: `sluice-` and eight hexadecimal digits, and a number where that was taken.
pub fn is_made(name: &str) -> bool {
    name.strip_prefix("sluice-").is_some_and(|rest| {
        let (hash, number) = rest.split_once('-').unwrap_or((rest, "2"));
        let hex = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
        hash.len() == 8 && hash.bytes().all(hex) && number.bytes().all(|byte| byte.is_ascii_digit())
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::routing::{Condition, Op, Subject};

    fn rule(id: Option<&str>, user: &str, to: &str) -> Rule {
        let on = Subject::Header("end-user".to_owned());
        Rule {
            id: id.map(Into::into),
            name: None,
            when: vec![vec![Condition { on, op: Op::Exact, value: user.to_owned() }]],
            opaque: Vec::new(),
            to: vec![(to.into(), 100)],
            action: None,
        }
    }

    #[test]
    fn rules_are_new_changed_gone_or_moved() {
        let (a, b) = (rule(Some("a"), "ann", "v1"), rule(Some("b"), "bob", "v1"));
        let between = |before: &[Rule], after: &[Rule]| RuleChanges::between(before, after);
        assert_eq!(between(&[a.clone(), b.clone()], &[a.clone(), b.clone()]), None);
        let new = between(std::slice::from_ref(&a), &[a.clone(), b.clone()]).expect("one is new");
        assert_eq!((new.added.len(), new.count(), new.moved), (1, 1, false));
        let gone = between(&[a.clone(), b.clone()], std::slice::from_ref(&b)).expect("one is gone");
        assert_eq!((gone.removed, gone.moved), (vec![a.clone()], false));
        let moved = between(&[a.clone(), b.clone()], &[b.clone(), a.clone()]).expect("another order");
        assert_eq!((moved.count(), moved.moved), (0, true));
        let other = rule(Some("a"), "ann", "v2");
        let changed = between(std::slice::from_ref(&a), std::slice::from_ref(&other)).expect("it changed");
        assert_eq!(changed.changed, [(a.clone(), other)]);
        // A name makes another route of the same rule.
        let named = Rule { id: Some("named".into()), name: Some("named".to_owned()), ..a.clone() };
        assert_eq!(between(&[a], &[named]).expect("it changed").changed.len(), 1);
    }

    #[test]
    fn a_long_list_is_counted_to_its_end_and_kept_in_part() {
        let many: Vec<Rule> = (0..50).map(|n| rule(None, &format!("user-{n}"), "v1")).collect();
        let changes = RuleChanges::between(&[], &many).expect("all are new");
        assert_eq!((changes.added.len(), changes.more, changes.count()), (KEPT, 50 - KEPT, 50));
        assert!(changes.without_conditions().added.iter().all(|rule| rule.when.is_empty()));
    }
}
