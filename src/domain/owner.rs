//! Who else writes an object: controllers that move traffic (they and we would fight), tools that put back what is
//! in Git, controllers that nobody described, and installers. Found by owner references, labels, annotations and
//! field managers; the products that Sluice knows are in [`products`].

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

mod products;

pub use products::{Mark, PRODUCTS, Product, TOOLS};

/// Another writer of an object.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Owner {
    /// The product as its users call it; of a controller that is not known, what the object calls it.
    pub tool: Arc<str>,
    /// The application, release or rollout that owns the object, as the product names it.
    pub name: Arc<str>,
    pub role: Role,
    /// Chooses the advice in the catalogues; empty = the general one.
    pub advice: Arc<str>,
}

/// What another writer does with an object, the mildest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Writes it when a person asks: the next installation may set other weights.
    Installs,
    /// A controller that Sluice does not know.
    Unknown,
    /// Puts back what is in Git (or in a template) by itself, within minutes.
    Reverts,
    /// Moves the traffic itself: two controllers of one route are refused outright.
    MovesTraffic,
}

/// What an object says about its writers.
#[derive(Clone, Copy, Debug)]
pub struct Marks<'a> {
    pub labels: &'a BTreeMap<String, String>,
    pub annotations: &'a BTreeMap<String, String>,
    pub owners: &'a [Reference<'a>],
    /// Field managers of the spec.
    pub managers: &'a [&'a str],
}

/// One entry of `ownerReferences`.
#[derive(Clone, Copy, Debug)]
pub struct Reference<'a> {
    pub api_version: &'a str,
    pub kind: &'a str,
    pub name: &'a str,
    /// `controller: true`: it manages the object, and is not only deleted together with it.
    pub controller: bool,
}

impl Reference<'_> {
    fn group(&self) -> &str {
        self.api_version.rsplit_once('/').map_or("", |(group, _)| group)
    }
}

/// Names of writers that the installation adds to those known here; `*` at the end stands for any rest.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Writers {
    /// Field managers, or kinds of owners (`Kind.group`), that move traffic.
    pub controllers: Vec<String>,
    /// Field managers, or kinds of owners, that only act when a person asks.
    pub tools: Vec<String>,
}

impl Writers {
    fn is_tool(&self, name: &str) -> bool {
        self.tools.iter().any(|pattern| fits(pattern, name))
    }

    fn is_controller(&self, name: &str) -> bool {
        self.controllers.iter().any(|pattern| fits(pattern, name))
    }

    /// The writer of an object that has the most to say; `None` when only people's tools wrote it.
    pub fn owner_of(&self, marks: &Marks<'_>) -> Option<Owner> {
        let found = self
            .by_reference(marks)
            .chain(by_marks(marks))
            .chain(marks.managers.iter().filter_map(|manager| self.by_manager(manager, marks)));
        // Of equal ones the first: references say more than marks, and marks more than field managers.
        found.fold(None, |best: Option<Owner>, other| match best {
            Some(best) if best.role >= other.role => Some(best),
            _ => Some(other),
        })
    }

    fn by_reference<'a>(&'a self, marks: &'a Marks<'a>) -> impl Iterator<Item = Owner> + 'a {
        marks.owners.iter().filter_map(move |owner| {
            let kind = format!("{}.{}", owner.kind, owner.group());
            let kind = kind.trim_end_matches('.');
            if self.is_tool(kind) {
                return None;
            }
            if self.is_controller(kind) {
                return Some(of_name(kind, owner.name, Role::MovesTraffic));
            }
            let known = PRODUCTS.iter().find(|product| product.owns(owner));
            match known {
                Some(product) => Some(product.owner(owner.name)),
                None if owner.controller => Some(of_name(kind, owner.name, Role::Unknown)),
                None => None,
            }
        })
    }

    fn by_manager(&self, manager: &str, marks: &Marks<'_>) -> Option<Owner> {
        if self.is_tool(manager) {
            return None;
        }
        if self.is_controller(manager) {
            return Some(of_name(manager, manager, Role::MovesTraffic));
        }
        let known =
            PRODUCTS.iter().find(|product| product.managers.iter().any(|pattern| fits(pattern, manager)));
        if let Some(product) = known {
            let instance = marks.labels.get("app.kubernetes.io/instance");
            let name = instance.filter(|_| product.role == Role::Reverts).map_or(manager, String::as_str);
            return Some(product.owner(name));
        }
        let is_tool = TOOLS.iter().any(|pattern| fits(pattern, manager));
        (!is_tool).then(|| of_name(manager, manager, Role::Unknown))
    }
}

fn by_marks<'a>(marks: &'a Marks<'a>) -> impl Iterator<Item = Owner> + 'a {
    PRODUCTS.iter().filter_map(|product| {
        let name = product.marks.iter().find_map(|mark| mark.name(marks))?;
        Some(product.owner(name))
    })
}

fn of_name(tool: &str, name: &str, role: Role) -> Owner {
    Owner { tool: tool.into(), name: name.into(), role, advice: "".into() }
}

/// `name` is the pattern, or begins with it where it ends with `*`; case does not count.
fn fits(pattern: &str, name: &str) -> bool {
    match pattern.strip_suffix('*') {
        Some(start) => name.get(..start.len()).is_some_and(|head| head.eq_ignore_ascii_case(start)),
        None => name.eq_ignore_ascii_case(pattern),
    }
}

impl Product {
    fn owner(&self, name: &str) -> Owner {
        Owner { tool: self.tool.into(), name: name.into(), role: self.role, advice: self.advice.into() }
    }

    fn owns(&self, owner: &Reference<'_>) -> bool {
        let group = owner.group();
        self.owners.iter().any(|(kind, of)| {
            // Without a group only the kind can be compared, and a group without a kind is every kind of it.
            (kind.is_empty() || *kind == owner.kind)
                && (group == *of || (group.is_empty() && *kind == owner.kind))
        })
    }
}

impl Mark {
    /// What the mark names; `None` when the object does not carry it.
    fn name<'a>(&'a self, marks: &Marks<'a>) -> Option<&'a str> {
        let either = |key: &str| marks.annotations.get(key).or_else(|| marks.labels.get(key));
        match self {
            Self::Key(key) => either(key).map(String::as_str),
            Self::Tracking(key) => {
                let id = either(key)?;
                Some(id.split(':').next().unwrap_or(id))
            }
            Self::Present(start) => marks
                .annotations
                .keys()
                .chain(marks.labels.keys())
                .find(|key| fits(start, key))
                .map(String::as_str),
            Self::Value { key, value, name_in } => {
                let held = either(key).filter(|held| held.eq_ignore_ascii_case(value))?;
                Some(either(name_in).map_or(held.as_str(), String::as_str))
            }
        }
    }
}
