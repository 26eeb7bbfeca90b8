//! Which subset stands for a version, and where a missing one is added. Called by everything that gives a
//! version a share.
//!
//! Labels of an existing subset are never touched: changing them would move traffic at once. A new
//! version gets a new name in the rule that the service's own namespace uses; where that namespace has
//! no rule, one is created that starts from what it would shadow.

use serde_json::{Map, Value, json};

use crate::domain::ids::{Kind, ObjectRef, VersionName};
use crate::domain::istio::Subset;
use crate::domain::refusal::{Check, Code, Refusal, Severity};
use crate::domain::routing::Dest;
use crate::domain::service::Version;

use super::super::json;
use super::super::read::{destination_rule, versions_of};
use super::Planner;

/// A subset that this plan adds.
#[derive(Clone, Debug)]
pub struct Added {
    pub version: VersionName,
    pub name: String,
}

impl Planner<'_> {
    /// The version of the service with this name.
    pub fn version(&self, name: &VersionName) -> Option<&Version> {
        self.snapshot.versions.iter().find(|version| version.name == *name)
    }

    /// A subset that holds exactly this version where the route is used, if there is one: preferably one
    /// that a route already names.
    pub fn existing_subset(&self, version: &VersionName, client: usize) -> Option<String> {
        if let Some(added) = self.added.iter().find(|added| added.version == *version) {
            return Some(added.name.clone());
        }
        // What the route's clients do not see, but the service's own namespace has, is there: another one
        // would not be seen either, and the checks say who is blind.
        self.seen_subset(version, client).or_else(|| self.seen_subset(version, 0))
    }

    fn seen_subset(&self, version: &VersionName, client: usize) -> Option<String> {
        let namer = self.before.namer(client);
        let holds = |name: &str| namer.subset(name) == Dest::Version(version.clone());
        let used = (0..self.before.spots.len()).find_map(|at| {
            let targets = &self.before.route(at).targets;
            let entry = targets.iter().position(|target| target.to == Dest::Version(version.clone()))?;
            self.before.subset_of(at, entry).filter(|name| holds(name))
        });
        let listed = || {
            let rule = namer.plain?;
            let all = || rule.subsets.iter().map(|subset| &*subset.name).filter(|name| holds(name));
            all().find(|name| *name == version.as_str()).or_else(|| all().next())
        };
        used.or_else(listed).map(str::to_owned)
    }

    /// The subset for a version, added to the DestinationRule when there is none.
    pub fn subset(&mut self, version: &VersionName, client: usize) -> Result<String, Refusal> {
        match self.existing_subset(version, client) {
            Some(name) => Ok(name),
            None => self.add_subset(version),
        }
    }

    fn add_subset(&mut self, name: &VersionName) -> Result<String, Refusal> {
        let version = self
            .version(name)
            .cloned()
            .ok_or_else(|| Refusal::new(Code::UnknownVersion).field("weights").arg("v", name))?;
        if !self.can_be_told(&version) {
            return Err(Refusal::new(Code::NoLabel).arg("v", name));
        }
        let Some(at) = self.rule_at_home() else {
            self.create_rule(name)?;
            let added = self.added.iter().find(|added| added.version == *name);
            return added
                .map(|added| added.name.clone())
                .ok_or_else(|| Refusal::new(Code::NoLabel).arg("v", name));
        };
        let subset = self.free_subset_name(name);
        let object = self.drafts.open(self.snapshot, &at)?;
        let list =
            json::subsets_mut(object).ok_or_else(|| Refusal::new(Code::Malformed).arg("object", &at))?;
        list.push(subset_json(&subset, &version));
        self.note(
            Check::new(Severity::Info, Code::AddsSubset)
                .arg("v", name)
                .arg("subset", &subset)
                .arg("object", &at),
        );
        self.added.push(Added { version: name.clone(), name: subset.clone() });
        Ok(subset)
    }

    /// True when labels select this version's pods and no other's.
    pub fn can_be_told(&self, version: &Version) -> bool {
        let boxed = |text: &str| -> Box<str> { text.into() };
        let subset = Subset {
            name: Box::default(),
            labels: version.subset_labels.iter().map(|(key, value)| (boxed(key), boxed(value))).collect(),
        };
        let mut held = versions_of(&subset, &self.snapshot.versions);
        !version.subset_labels.is_empty()
            && held.next().is_some_and(|only| only.name == version.name)
            && held.next().is_none()
    }

    /// The DestinationRule that the service's own namespace uses, when it stands in that namespace.
    fn rule_at_home(&self) -> Option<ObjectRef> {
        let service = &self.snapshot.service.at.namespace;
        let first = self.before.plain(0)?.from.first()?;
        let at = destination_rule(self.snapshot, *first);
        (at.namespace == *service).then_some(at)
    }

    /// Creates the service's DestinationRule with one subset a version. What its namespace used before
    /// (a rule of the root namespace) would be shadowed by it, so it is taken over as it is.
    fn create_rule(&mut self, needed: &VersionName) -> Result<(), Refusal> {
        let at = self.free_object_name(Kind::DestinationRule);
        let shadowed: Vec<ObjectRef> = self
            .before
            .plain(0)
            .map(|rule| rule.from.iter().map(|at| destination_rule(self.snapshot, *at)).collect())
            .unwrap_or_default();
        let mut spec = Map::new();
        let mut subsets: Vec<Value> = Vec::new();
        for object in &shadowed {
            let Some(held) = self.drafts.peek(self.snapshot, object).and_then(|held| held.get("spec")) else {
                continue;
            };
            if let Some(policy) = held.get("trafficPolicy").filter(|policy| !policy.is_null()) {
                spec.entry("trafficPolicy").or_insert_with(|| policy.clone());
            }
            for subset in held.get("subsets").and_then(Value::as_array).into_iter().flatten() {
                if !subsets.iter().any(|other| other.get("name") == subset.get("name")) {
                    subsets.push(subset.clone());
                }
            }
        }
        spec.insert("host".to_owned(), json!(self.before.host));
        let versions: Vec<Version> = self.snapshot.versions.clone();
        for version in versions {
            if !self.can_be_told(&version) {
                if version.name == *needed {
                    return Err(Refusal::new(Code::NoLabel).arg("v", needed));
                }
                continue;
            }
            let name = self
                .existing_subset(&version.name, 0)
                .filter(|name| subsets.iter().any(|subset| subset["name"] == **name));
            if let Some(name) = name {
                self.added.push(Added { version: version.name.clone(), name });
                continue;
            }
            let name = self.free_subset_name(&version.name);
            subsets.push(subset_json(&name, &version));
            self.added.push(Added { version: version.name.clone(), name });
        }
        spec.insert("subsets".to_owned(), Value::Array(subsets));
        self.drafts.create(at.clone(), json::created(&at, Value::Object(spec)));
        Ok(())
    }

    /// A DNS label for a version that no rule for the host uses yet.
    /// A name that means nothing else to anybody. A rule of another namespace that already has a subset of
    /// this name with the same labels means the same pods: its clients then follow the route too.
    fn free_subset_name(&self, version: &VersionName) -> String {
        let service = self.snapshot.service.at.namespace.as_str();
        let wanted = self.version(version).map(|version| &version.subset_labels);
        let same = |subset: &Subset| {
            wanted.is_some_and(|wanted| {
                wanted.len() == subset.labels.len()
                    && wanted
                        .iter()
                        .all(|(key, value)| subset.labels.get(&**key).is_some_and(|v| **v == **value))
            })
        };
        let taken = |name: &str| {
            self.added.iter().any(|added| added.name == name)
                || self.snapshot.destination_rules.iter().any(|held| {
                    let elsewhere = *held.object.meta.namespace != *service;
                    let mut named = held.object.spec.subsets.iter().filter(|subset| &*subset.name == name);
                    named.any(|subset| !(elsewhere && same(subset)))
                })
        };
        numbered(&dns_label(version.as_str()), |name| !taken(name))
    }

    /// The service's name, or the nearest one that no object of the kind has.
    pub fn free_object_name(&self, kind: Kind) -> ObjectRef {
        let service = &self.snapshot.service.at;
        let at = |name: &str| ObjectRef::new(kind, service.namespace.as_str(), name);
        let name = [service.name.to_string(), format!("{}-sluice", service.name)]
            .into_iter()
            .find(|name| !self.drafts.holds(self.snapshot, &at(name)))
            .unwrap_or_else(|| {
                numbered(&format!("{}-sluice", service.name), |name| {
                    !self.drafts.holds(self.snapshot, &at(name))
                })
            });
        at(&name)
    }
}

fn subset_json(name: &str, version: &Version) -> Value {
    let labels: Map<String, Value> =
        version.subset_labels.iter().map(|(key, value)| (key.to_string(), json!(&**value))).collect();
    json!({ "labels": labels, "name": name })
}

/// `base`, or `base-2`, `base-3`, … whichever is the first that is free.
fn numbered(base: &str, free: impl Fn(&str) -> bool) -> String {
    if free(base) {
        return base.to_owned();
    }
    (2..100_000_u32)
        .map(|n| {
            let tail = format!("-{n}");
            let room = 63_usize.saturating_sub(tail.len());
            format!("{}{tail}", base.get(..base.len().min(room)).unwrap_or(base))
        })
        .find(|name| free(name))
        .unwrap_or_else(|| base.to_owned())
}

/// `v1.16` → `v1-16`: only what an RFC 1123 label may hold, at most 63 characters.
pub fn dns_label(text: &str) -> String {
    let mut out: String = text
        .chars()
        .map(|c| c.to_ascii_lowercase())
        .map(|c| if c.is_ascii_alphanumeric() { c } else { '-' })
        .take(63)
        .collect();
    while out.starts_with('-') {
        out.remove(0);
    }
    while out.ends_with('-') {
        out.pop();
    }
    if out.is_empty() { "version".to_owned() } else { out }
}
