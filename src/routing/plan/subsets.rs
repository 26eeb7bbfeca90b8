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
use crate::domain::service::{Labels, Version};

use super::super::json;
use super::super::lookup::Merged;
use super::super::read::{destination_rule, is_by, scope, selected, within};
use super::Planner;

/// A subset that this plan adds.
#[derive(Clone, Debug)]
pub struct Added {
    pub version: VersionName,
    /// Only pods with these labels, too.
    pub scope: Labels,
    pub name: String,
}

impl Planner<'_> {
    /// The version of the service with this name.
    pub fn version(&self, name: &VersionName) -> Option<&Version> {
        self.snapshot.versions.iter().find(|version| version.name == *name)
    }

    /// A subset that holds exactly this version where the route is used, if there is one: preferably one
    /// that a route already names. `scope`: only the pods with these labels.
    pub fn existing_subset(&self, version: &VersionName, scope: &Labels, client: usize) -> Option<String> {
        let is_it = |added: &&Added| added.version == *version && added.scope == *scope;
        if let Some(added) = self.added.iter().find(is_it) {
            return Some(added.name.clone());
        }
        // What the route's clients do not see, but the service's own namespace has, is there: another one
        // would not be seen either, and the checks say who is blind.
        let version = self.version(version)?;
        self.seen_subset(version, scope, client).or_else(|| self.seen_subset(version, scope, 0))
    }

    fn seen_subset(&self, version: &Version, scope: &Labels, client: usize) -> Option<String> {
        let namer = self.before.namer(client);
        let wanted = within(version, scope);
        // Where there is no such pod, the labels say which subset is meant.
        let labels = both(&version.subset_labels, scope);
        let holds = |name: &str| {
            if wanted.groups.is_empty() {
                return namer.defined(name).is_some_and(|subset| is_by(subset, &labels));
            }
            matches!(&namer.selected(name)[..], [only] if *only == wanted)
        };
        let used = (0..self.before.spots.len()).find_map(|at| {
            let entries = 0..self.before.route(at).targets.len();
            entries.filter_map(|entry| self.before.subset_of(at, entry)).find(|name| holds(name))
        });
        let listed = || {
            let rule = namer.plain?;
            let all = || rule.subsets.iter().map(|subset| &*subset.name).filter(|name| holds(name));
            all().find(|name| *name == version.name.as_str()).or_else(|| all().next())
        };
        used.or_else(listed).map(str::to_owned)
    }

    /// The labels that the subsets of a route's entries have besides those of the version, when they select a part of
    /// a version only: another version must be given the pods with the same labels.
    pub fn scope_of(&self, route: usize) -> Result<Labels, Refusal> {
        let namer = self.before.namer(self.before.home(route));
        let read = self.before.route(route);
        let mut parts = false;
        let mut scopes: Vec<(Labels, &str)> = Vec::new();
        let served = read.targets.iter().any(|target| target.percent > 0);
        for (entry, target) in read.targets.iter().enumerate() {
            let (Dest::Version(_), Some(name)) = (&target.to, self.before.subset_of(route, entry)) else {
                continue;
            };
            let held = namer.selected(name);
            let (Some(subset), [only]) = (namer.defined(name), &held[..]) else { continue };
            if served && target.percent == 0 {
                continue;
            }
            parts |= !only.is_whole();
            let scope = scope(subset, only.version, &self.snapshot.versions);
            if !scopes.iter().any(|(other, _)| *other == scope) {
                scopes.push((scope, name));
            }
        }
        match &scopes[..] {
            _ if !parts => Ok(Labels::new()),
            [] => Ok(Labels::new()),
            [(only, _)] => Ok(only.clone()),
            [(_, one), (_, other), ..] => Err(Refusal::new(Code::MixedSubsets)
                .field("weights")
                .arg("subset", one)
                .arg("other", other)
                .arg("route", &read.id)),
        }
    }

    /// False for an entry without weight that selects another part of its version than the route's other entries do.
    pub fn fits(&self, route: usize, entry: usize) -> bool {
        if self.before.route(route).targets[entry].percent > 0 {
            return true;
        }
        let namer = self.before.namer(self.before.home(route));
        let Some(name) = self.before.subset_of(route, entry) else { return true };
        let held = namer.selected(name);
        match (&held[..], self.scope_of(route)) {
            ([only], Ok(scope)) => *only == within(only.version, &scope),
            _ => true,
        }
    }

    /// The subset for all pods of a version, added to the DestinationRule when there is none.
    pub fn subset(&mut self, version: &VersionName, client: usize) -> Result<String, Refusal> {
        self.subset_within(version, &Labels::new(), client)
    }

    /// The same for those of its pods that have further labels.
    pub fn subset_within(
        &mut self,
        version: &VersionName,
        scope: &Labels,
        client: usize,
    ) -> Result<String, Refusal> {
        match self.existing_subset(version, scope, client) {
            Some(name) => Ok(name),
            None => self.add_subset(version, scope),
        }
    }

    fn add_subset(&mut self, name: &VersionName, scope: &Labels) -> Result<String, Refusal> {
        let version = self
            .version(name)
            .cloned()
            .ok_or_else(|| Refusal::new(Code::UnknownVersion).field("weights").arg("v", name))?;
        if !self.can_be_told(&version) {
            return Err(Refusal::new(Code::NoLabel).arg("v", name));
        }
        if within(&version, scope).groups.is_empty() {
            return Err(Refusal::new(Code::NoMatchingPods)
                .field("weights")
                .arg("v", name)
                .arg("labels", shown(scope)));
        }
        let Some(at) = self.rule_at_home() else {
            self.create_rule(name, scope)?;
            let added = self.added.iter().find(|added| added.version == *name && added.scope == *scope);
            return added
                .map(|added| added.name.clone())
                .ok_or_else(|| Refusal::new(Code::NoLabel).arg("v", name));
        };
        let labels = both(&version.subset_labels, scope);
        let subset = self.free_subset_name(&base_name(name, scope), &labels);
        let held = self.drafts.peek(self.snapshot, &at).and_then(|json| json["spec"]["subsets"].as_array());
        let policy = self.policy_beside(name, scope, held.map_or(&[][..], Vec::as_slice));
        let object = self.drafts.open(self.snapshot, &at)?;
        let list =
            json::subsets_mut(object).ok_or_else(|| Refusal::new(Code::Malformed).arg("object", &at))?;
        list.push(subset_json(&subset, &labels, policy.as_ref()));
        self.note_policy(&at, &subset, policy.as_ref());
        self.note(
            Check::new(Severity::Info, Code::AddsSubset)
                .arg("v", name)
                .arg("subset", &subset)
                .arg("object", &at),
        );
        self.added.push(Added { version: name.clone(), scope: scope.clone(), name: subset.clone() });
        Ok(subset)
    }

    /// The `trafficPolicy` that a new subset takes over, with the subset that has it: TLS and pool settings of the
    /// version that serves most requests, among these subsets. `None` where it has none, or where versions that serve
    /// equally many have different ones.
    fn policy_beside(&self, new: &VersionName, scope: &Labels, subsets: &[Value]) -> Option<(String, Value)> {
        let declared = self.before.routing.declared().unwrap_or_default();
        let share = |name: &VersionName| {
            declared.iter().find(|(known, _)| known == name).map_or(0, |(_, weight)| *weight)
        };
        let mut beside: Vec<(u8, &Value)> = Vec::new();
        for version in self.snapshot.versions.iter().filter(|version| version.name != *new) {
            let name = self.existing_subset(&version.name, scope, 0);
            let found = name.and_then(|name| subsets.iter().find(|subset| subset["name"] == *name));
            beside.extend(found.map(|subset| (share(&version.name), subset)));
        }
        let most = beside.iter().map(|(share, _)| *share).max()?;
        let mut serving = beside.into_iter().filter(|(share, _)| *share == most).map(|(_, subset)| subset);
        let first = serving.next()?;
        let policy = first.get("trafficPolicy").filter(|policy| !policy.is_null())?;
        let alike = serving.all(|other| other.get("trafficPolicy") == Some(policy));
        alike.then(|| (first["name"].as_str().unwrap_or_default().to_owned(), policy.clone()))
    }

    /// The plan names what a new subset takes over.
    fn note_policy(&mut self, at: &ObjectRef, subset: &str, policy: Option<&(String, Value)>) {
        let Some((from, policy)) = policy else { return };
        let parts: Vec<&str> =
            policy.as_object().into_iter().flat_map(Map::keys).map(String::as_str).collect();
        let check = Check::new(Severity::Info, Code::CopiesPolicy).arg("subset", subset).arg("from", from);
        self.note(check.arg("list", parts.join(", ")).arg("object", at));
    }

    /// True when labels select this version's pods and no other's.
    pub fn can_be_told(&self, version: &Version) -> bool {
        let boxed = |text: &str| -> Box<str> { text.into() };
        let subset = Subset {
            name: Box::default(),
            labels: version.subset_labels.iter().map(|(key, value)| (boxed(key), boxed(value))).collect(),
        };
        let held = selected(&subset, &self.snapshot.versions);
        !version.subset_labels.is_empty()
            && matches!(&held[..], [only] if only.version.name == version.name && only.is_whole())
    }

    /// The service's own DestinationRule that its namespace uses, when it stands in that namespace. A rule with a
    /// wildcard as host belongs to other services, too, and is never written.
    pub fn rule_at_home(&self) -> Option<ObjectRef> {
        let service = &self.snapshot.service.at.namespace;
        let first = *self.before.plain(0)?.from.first()?;
        let at = destination_rule(self.snapshot, first);
        (at.namespace == *service && self.before.is_own_rule(first)).then_some(at)
    }

    /// Creates the service's DestinationRule with one subset a version. What its namespace used before (a rule of
    /// the root namespace, or one with a wildcard as host) would be shadowed by it: Istio merges nothing of two
    /// hosts, so it is taken over as it is.
    fn create_rule(&mut self, needed: &VersionName, scope: &Labels) -> Result<(), Refusal> {
        let at = self.free_object_name(Kind::DestinationRule);
        // Of two hosts the closer one counts, for the workloads that a wildcard's rule selects, too: they would lose it.
        let wide = |rule: &&Merged<'_>| {
            !rule.for_everybody() && !rule.from.iter().any(|at| self.before.is_own_rule(*at))
        };
        let selective = self.before.effective.first().into_iter().flatten().find(wide);
        if let Some(first) = selective.and_then(|rule| rule.from.first()) {
            return Err(Refusal::new(Code::SelectorShadowed)
                .arg("object", destination_rule(self.snapshot, *first))
                .arg("host", &self.before.host));
        }
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
            let to = held.get("exportTo").filter(|to| !to.is_null() && object.namespace == at.namespace);
            if let Some(to) = to {
                spec.entry("exportTo").or_insert_with(|| to.clone());
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
            let everything = Labels::new();
            let scope = if version.name == *needed { scope } else { &everything };
            let name = self
                .existing_subset(&version.name, scope, 0)
                .filter(|name| subsets.iter().any(|subset| subset["name"] == **name));
            let (version, scope) = (version, scope.clone());
            if let Some(name) = name {
                self.added.push(Added { version: version.name.clone(), scope, name });
                continue;
            }
            let labels = both(&version.subset_labels, &scope);
            let name = self.free_subset_name(&base_name(&version.name, &scope), &labels);
            // No route named a subset of it before: what its pods get stays the policy of the whole rule.
            subsets.push(subset_json(&name, &labels, None));
            self.added.push(Added { version: version.name.clone(), scope, name });
        }
        spec.insert("subsets".to_owned(), Value::Array(subsets));
        self.drafts.create(at.clone(), json::created(&at, Value::Object(spec)));
        if let Some(shadowed) = shadowed.first() {
            let check = Check::new(Severity::Info, Code::CopiesRule);
            self.note(check.arg("object", &at).arg("other", shadowed));
        }
        Ok(())
    }

    /// A name that means nothing else to anybody who looks the service's subsets up. A rule of another namespace that
    /// already has a subset of this name with the same labels means the same pods: its clients then follow the route
    /// too.
    pub fn free_subset_name(&self, base: &str, labels: &Labels) -> String {
        let service = self.snapshot.service.at.namespace.as_str();
        let same = |subset: &Subset| is_by(subset, labels);
        let taken = |name: &str| {
            self.added.iter().any(|added| added.name == name)
                || self.before.effective.iter().flatten().any(|rule| {
                    let of = |at: &usize| &*self.snapshot.destination_rules[*at].object.meta.namespace;
                    let elsewhere = rule.from.iter().all(|at| of(at) != service);
                    let mut named = rule.subsets.iter().filter(|subset| &*subset.name == name);
                    named.any(|subset| !(elsewhere && same(subset)))
                })
        };
        numbered(&dns_label(base), |name| !taken(name))
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

fn subset_json(name: &str, labels: &Labels, policy: Option<&(String, Value)>) -> Value {
    let labels: Map<String, Value> =
        labels.iter().map(|(key, value)| (key.to_string(), json!(&**value))).collect();
    let mut subset = json!({ "labels": labels, "name": name });
    if let Some((_, policy)) = policy {
        subset["trafficPolicy"] = policy.clone();
    }
    subset
}

/// The labels of a version and those of a part of it; of equal keys, the version's.
fn both(version: &Labels, scope: &Labels) -> Labels {
    scope.iter().chain(version).map(|(key, value)| (key.clone(), value.clone())).collect()
}

/// `v2`, or `v2-public` for a part of it.
fn base_name(version: &VersionName, scope: &Labels) -> String {
    let values = scope.values().map(|value| &**value);
    std::iter::once(version.as_str()).chain(values).collect::<Vec<_>>().join("-")
}

/// `role=public, tier=web`
fn shown(labels: &Labels) -> String {
    labels.iter().map(|(key, value)| format!("{key}={value}")).collect::<Vec<_>>().join(", ")
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
