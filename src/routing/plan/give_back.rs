//! The way back of DestinationRules: subsets that Sluice added since a revision go again when no other client has
//! edited them and no route names them; a subset that a restored route names comes back. Called by `switch_back`.

use serde_json::{Value, json};

use crate::domain::ids::{Kind, ObjectRef};
use crate::domain::istio::{Destination, Subset};
use crate::domain::refusal::{Check, Code, Refusal, Severity};
use crate::domain::service::Labels;
use crate::domain::snapshot::Snapshot;

use super::super::read::{Inspected, destination_rule, inspect};
use super::super::{hosts, json};
use super::Planner;
use super::drafts::with_spec;
use super::switch_back::Then;

impl Planner<'_> {
    /// Takes the subsets away that Sluice added since then to rules that existed then.
    pub fn give_back(&mut self, known: &Then<'_>, may_delete: bool) -> Result<(), Refusal> {
        let after = self.drafts.applied(self.snapshot, |at, _| at.kind == Kind::VirtualService);
        for position in 0..self.snapshot.destination_rules.len() {
            let at = destination_rule(self.snapshot, position);
            let Some((_, then)) = known.specs.iter().find(|(object, _)| *object == at) else { continue };
            let now =
                self.drafts.peek(self.snapshot, &at).map_or(&[][..], |json| list_of(&json["spec"])).to_vec();
            let was = list_of(then);
            let new = now.iter().filter(|subset| !was.iter().any(|other| other["name"] == subset["name"]));
            let mut going: Vec<Value> = Vec::new();
            for subset in new {
                let name = subset["name"].as_str().unwrap_or_default();
                let same_name = |one: &&(ObjectRef, Value)| one.0 == at && one.1["name"] == subset["name"];
                if !known.added.iter().any(|one| same_name(&one)) {
                    continue;
                }
                let unedited = known.added.iter().any(|(object, added)| *object == at && added == subset);
                let used = names_subset(&after, &self.before.host, |other| other == name);
                // Routes of other services may name a subset of a rule with a wildcard as host.
                let ours = self.before.is_own_rule(position) && !self.drafts.changes(&at);
                if may_delete && unedited && !used && ours {
                    going.push(subset.clone());
                } else {
                    let check = Check::new(Severity::Info, Code::SubsetStays);
                    self.note(check.arg("subset", name).arg("object", &at));
                }
            }
            if !going.is_empty() {
                self.take_away(&at, then, &going)?;
            }
        }
        Ok(())
    }

    fn take_away(&mut self, at: &ObjectRef, then: &Value, going: &[Value]) -> Result<(), Refusal> {
        let object = self.drafts.open(self.snapshot, at)?;
        let Some(list) = json::subsets_mut(object) else { return Ok(()) };
        list.retain(|subset| !going.contains(subset));
        let bare = list.is_empty() && then.get("subsets").is_none();
        if let Some(spec) = object.get_mut("spec").and_then(Value::as_object_mut).filter(|_| bare) {
            spec.remove("subsets");
        }
        self.drafts.write_last(at);
        let names: Vec<&str> = going.iter().filter_map(|subset| subset["name"].as_str()).collect();
        let check = Check::new(Severity::Info, Code::RemovesSubsets);
        self.note(check.arg("list", names.join(", ")).arg("object", at));
        Ok(())
    }

    /// The name of a subset that selects today what this one selected then: its own, where it is defined as it was
    /// or not at all.
    pub fn subset_as_then(&mut self, then: &Subset, client: usize) -> Result<String, Refusal> {
        let labels: Labels =
            then.labels.iter().map(|(key, value)| ((&**key).into(), (&**value).into())).collect();
        // Who sees the rule that defines it is as it was, too.
        let seen_by = |client: usize| {
            self.before.namer(client).defined(&then.name).is_some_and(|subset| subset.labels == then.labels)
        };
        if seen_by(client) || (0..self.before.clients.len()).any(seen_by) {
            return Ok(then.name.to_string());
        }
        // Without a rule to put it in the name alone comes back, and its requests fail as they would have.
        let Some(at) = self.rule_at_home() else { return Ok(then.name.to_string()) };
        let held = self.drafts.peek(self.snapshot, &at).map_or(&[][..], |json| list_of(&json["spec"]));
        let selector: Value =
            then.labels.iter().map(|(key, value)| (key.to_string(), json!(&**value))).collect();
        let drafted = held.iter().find(|subset| subset["labels"] == selector && subset["name"] == *then.name);
        if drafted.is_some() {
            return Ok(then.name.to_string());
        }
        let name = self.free_subset_name(&then.name, &labels);
        let object = self.drafts.open(self.snapshot, &at)?;
        let list =
            json::subsets_mut(object).ok_or_else(|| Refusal::new(Code::Malformed).arg("object", &at))?;
        list.push(json!({ "labels": selector, "name": name }));
        let check = Check::new(Severity::Info, Code::AddsSubset).arg("v", &name);
        self.note(check.arg("subset", &name).arg("object", &at));
        Ok(name)
    }
}

/// `spec.subsets`.
fn list_of(spec: &Value) -> &[Value] {
    spec["subsets"].as_array().map_or(&[], Vec::as_slice)
}

/// True when callers would find something else for a subset that some route or mirror names if a rule were gone.
pub fn decides(snapshot: &Snapshot, at: &ObjectRef, host: &str) -> bool {
    let without = with_spec(snapshot, at, None);
    let (with, without) = (inspect(snapshot), inspect(&without));
    let rule = snapshot.destination_rules.iter().find(|held| held.object.at(at.kind) == *at);
    let all = rule.into_iter().flat_map(|held| &held.object.spec.subsets);
    let named: Vec<&Subset> =
        all.filter(|subset| names_subset(snapshot, host, |name| name == &*subset.name)).collect();
    let labels = |inspected: &Inspected<'_>, client: &str, name: &str| {
        let at = inspected.clients.iter().position(|other| *other == client);
        let rules = at.and_then(|at| inspected.effective.get(at)).into_iter().flatten();
        rules.map(|rule| rule.subset(name).map(|subset| subset.labels.clone())).collect::<Vec<_>>()
    };
    let moved = |client: &str, subset: &Subset| {
        labels(&with, client, &subset.name) != labels(&without, client, &subset.name)
    };
    with.clients.iter().any(|client| named.iter().any(|subset| moved(client, subset)))
}

/// True when some route or mirror of the snapshot names such a subset of this host.
fn names_subset(snapshot: &Snapshot, host: &str, is: impl Fn(&str) -> bool) -> bool {
    let domain = &*snapshot.mesh.cluster_domain;
    snapshot.virtual_services.iter().any(|held| {
        let namespace = &*held.object.meta.namespace;
        let ours = |destination: &Destination| {
            let subset = destination.subset.as_deref().filter(|subset| !subset.is_empty());
            subset.is_some_and(&is) && hosts::is(&destination.host, namespace, domain, host)
        };
        let spec = &held.object.spec;
        let http = spec.http.iter().any(|route| {
            route.route.iter().any(|entry| ours(&entry.destination))
                || route.mirror.as_ref().is_some_and(ours)
                || route.mirrors.iter().any(|mirror| ours(&mirror.destination))
        });
        http || spec.tcp.iter().flat_map(|route| &route.route).any(|entry| ours(&entry.destination))
            || spec.tls.iter().flat_map(|route| &route.route).any(|entry| ours(&entry.destination))
    })
}
