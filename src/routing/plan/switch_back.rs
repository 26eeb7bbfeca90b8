//! Switch back: the split, the rules and the mirror of an earlier revision, in the objects as they are
//! now. Everything else that was changed since stays. What Sluice made since then, and nobody else has
//! edited, goes: first the VirtualServices, then the DestinationRules that no route names any more
//! (`give_back`). What was strange then is restored as it was; the checks say which requests will fail.

use std::collections::HashSet;

use serde_json::{Value, json};

use crate::domain::ids::{Kind, ObjectRef, VersionName};
use crate::domain::plan::FIELD_MANAGER;
use crate::domain::refusal::{Check, Code, Refusal, Severity};
use crate::domain::routing::{Dest, Fixed, RouteKind};

use super::super::read::{Inspected, inspect, scope};
use super::super::{hosts, json};
use super::Planner;
use super::arrange::{Item, arrange};
use super::drafts::with_specs;
use super::give_back::decides;
use super::mirror;

/// What is known of the revision.
pub struct Then<'t> {
    pub specs: &'t [(ObjectRef, Value)],
    /// The declared weights.
    pub weights: &'t [(VersionName, u8)],
    /// Subsets that Sluice added since.
    pub added: &'t [(ObjectRef, Value)],
}

impl Planner<'_> {
    /// Restores what the specs of that revision declared about the service.
    pub fn switch_back(&mut self, known: &Then<'_>, may_delete: bool) -> Result<(), Refusal> {
        let specs = known.specs;
        let versions = &self.snapshot.versions;
        let there = |name: &VersionName| versions.iter().any(|v| v.name == *name && !v.is_gone());
        let gone = known.weights.iter().find(|(name, weight)| *weight > 0 && !there(name));
        self.gone = gone.map(|(name, _)| name.clone());
        let then = with_specs(self.snapshot, specs);
        let then = inspect(&then);
        let mut todo: Vec<ObjectRef> = Vec::new();
        for route in then.routing.routes.iter().chain(&self.before.routing.routes) {
            if !todo.contains(&route.object) {
                todo.push(route.object.clone());
            }
        }
        for at in todo {
            let known = self.snapshot.virtual_services.iter().any(|held| held.object.at(at.kind) == at);
            let was = specs.iter().find(|(object, _)| *object == at).map(|(_, spec)| spec);
            match was {
                Some(spec) if known => {
                    for kind in [RouteKind::Http, RouteKind::Tls, RouteKind::Tcp] {
                        self.restore(&at, &then, spec, kind)?;
                    }
                }
                Some(spec) => self.recreate(&at, &then, spec)?,
                None if may_delete && self.is_only_ours(&at) => self.drafts.remove(self.snapshot, &at)?,
                None => {
                    self.neutralise(&at)?;
                    self.note(Check::new(Severity::Info, Code::StaysBehind).arg("object", &at));
                }
            }
        }
        self.drop_rules(specs, may_delete)?;
        self.give_back(known, may_delete)
    }

    /// Takes away the DestinationRules that did not exist then, unless a route still names one of their subsets.
    fn drop_rules(&mut self, specs: &[(ObjectRef, Value)], may_delete: bool) -> Result<(), Refusal> {
        let after = self.drafts.applied(self.snapshot, |at, _| at.kind == Kind::VirtualService);
        let candidates: Vec<ObjectRef> = self
            .before
            .routing
            .objects
            .iter()
            .filter(|at| at.kind == Kind::DestinationRule && !specs.iter().any(|(known, _)| known == *at))
            .cloned()
            .collect();
        for at in candidates {
            let needed = decides(&after, &at, &self.before.host);
            if may_delete && self.is_only_ours(&at) && !needed {
                self.drafts.remove(self.snapshot, &at)?;
            } else if self.made_here(&at) {
                self.note(Check::new(Severity::Info, Code::StaysBehind).arg("object", &at));
            }
        }
        Ok(())
    }

    /// True for an object that Sluice made.
    fn made_here(&self, at: &ObjectRef) -> bool {
        self.drafts.peek(self.snapshot, at).is_some_and(json::is_made_here)
    }

    /// True for an object that Sluice made and that no other client has written since; a status is no edit.
    fn is_only_ours(&self, at: &ObjectRef) -> bool {
        let Some(object) = self.drafts.peek(self.snapshot, at) else { return false };
        let entries = object["metadata"]["managedFields"].as_array();
        let others = entries.into_iter().flatten().any(|entry| {
            entry["subresource"].as_str().is_none_or(str::is_empty) && entry["manager"] != FIELD_MANAGER
        });
        self.made_here(at) && !others
    }

    /// Brings one list of an object back.
    fn restore(
        &mut self,
        at: &ObjectRef,
        then: &Inspected<'_>,
        spec: &Value,
        kind: RouteKind,
    ) -> Result<(), Refusal> {
        let old_list = list_of(spec, kind);
        let list = json::routes(self.drafts.open(self.snapshot, at)?, kind).to_vec();
        let ours = |inspected: &Inspected<'_>| -> Vec<usize> {
            (0..inspected.spots.len())
                .filter(|spot| {
                    let route = inspected.route(*spot);
                    route.object == *at && route.kind == kind && !inspected.is_of_others(*spot)
                })
                .collect()
        };
        let (old, now) = (ours(then), ours(&self.before));
        if old.is_empty() && now.is_empty() {
            return Ok(());
        }
        let default_then = then.default.filter(|spot| old.contains(spot));
        let default_now = self.before.default.filter(|spot| now.contains(spot));
        let mut used: HashSet<usize> = HashSet::new();
        let mut pair = |spot: usize| -> Option<usize> {
            let id = &then.route(spot).id;
            let twin = now.iter().copied().find(|other| self.before.route(*other).id == *id);
            let free = |other: usize| {
                Some(spot) == default_then
                    && !old.iter().any(|o| then.route(*o).id == self.before.route(other).id)
            };
            let found = twin.or_else(|| default_now.filter(|other| free(*other)));
            found.filter(|other| used.insert(*other))
        };
        let pairs: Vec<(usize, Option<usize>)> = old.iter().map(|spot| (*spot, pair(*spot))).collect();
        let index = |spot: usize| self.before.spots[spot].index;
        let anchor = pairs.iter().find(|(spot, twin)| Some(*spot) == default_then && twin.is_some());
        let anchor = anchor.and_then(|(_, twin)| *twin).map(index);
        let barrier = anchor.unwrap_or(list.len());
        let movable: Vec<usize> =
            now.iter().map(|spot| index(*spot)).filter(|at| Some(*at) != anchor).collect();
        let then_barrier = default_then.map_or(usize::MAX, |spot| then.spots[spot].index);
        let froms: Vec<Option<usize>> = pairs.iter().map(|(_, twin)| twin.map(index)).collect();

        let mut list = list;
        let mut items = Vec::new();
        for ((spot, twin), from) in pairs.into_iter().zip(froms) {
            let old_json = old_list.get(then.spots[spot].index).cloned().unwrap_or_default();
            let json = match (twin, from.and_then(|from| list.get(from)).cloned()) {
                (Some(twin), Some(held)) => self.restored(held, twin, &old_json, spot, then)?,
                _ => self.returned(old_json, spot, then)?,
            };
            if from.is_some() && from == anchor {
                list[barrier] = json;
                continue;
            }
            items.push(Item { from, json, dead: then.spots[spot].index > then_barrier });
        }
        let arranged = arrange(list, &movable, barrier, items);
        let object = self.drafts.open(self.snapshot, at)?;
        match json::routes_mut(object, kind) {
            Some(slot) => *slot = arranged,
            None if arranged.is_empty() => {}
            None => {
                if let Some(spec) = object.get_mut("spec").and_then(Value::as_object_mut) {
                    spec.insert(kind.as_str().to_owned(), Value::Array(arranged));
                }
            }
        }
        Ok(())
    }

    /// A route that exists then and now: its match, shares and mirror as then, the rest as now.
    fn restored(
        &mut self,
        mut held: Value,
        twin: usize,
        old: &Value,
        spot: usize,
        then: &Inspected<'_>,
    ) -> Result<Value, Refusal> {
        let fixed = |route: Option<Fixed>| route.filter(|fixed| *fixed != Fixed::Delegate);
        if fixed(then.route(spot).fixed) != fixed(self.before.route(twin).fixed) {
            return self.returned(old.clone(), spot, then);
        }
        let entries = json::destinations(&held).to_vec();
        let entries = self.entries_then(old, spot, then, &entries, self.before.home(twin))?;
        let copies = self.mirror_then(old, spot, then, self.before.home(twin))?;
        let Some(held_map) = held.as_object_mut() else { return Ok(held) };
        if then.route(spot).kind == RouteKind::Http {
            for field in mirror::FIELDS {
                match copies.get(field) {
                    Some(value) => drop(held_map.insert(field.to_owned(), value.clone())),
                    None => drop(held_map.remove(field)),
                }
            }
        }
        match old.get("match") {
            Some(value) => drop(held_map.insert("match".to_owned(), value.clone())),
            None => drop(held_map.remove("match")),
        }
        if then.route(spot).fixed.is_none() {
            held_map.insert("route".to_owned(), Value::Array(entries));
        }
        Ok(held)
    }

    /// A route that was removed since: as it was, with the subsets of today.
    fn returned(&mut self, old: Value, spot: usize, then: &Inspected<'_>) -> Result<Value, Refusal> {
        let home = then.clients.get(then.home(spot));
        let client = self.before.clients.iter().position(|now| Some(now) == home).unwrap_or(0);
        let entries = self.entries_then(&old, spot, then, &[], client)?;
        let copies = self.mirror_then(&old, spot, then, client)?;
        let mut back = old;
        if let Some(map) = back.as_object_mut() {
            if then.route(spot).fixed.is_none() {
                map.insert("route".to_owned(), Value::Array(entries));
            }
            for (field, value) in copies.as_object().into_iter().flatten() {
                map.insert(field.clone(), value.clone());
            }
        }
        Ok(back)
    }

    /// The destinations as they were: entries that are still there keep what they say besides the weight.
    fn entries_then(
        &mut self,
        old: &Value,
        spot: usize,
        then: &Inspected<'_>,
        now: &[Value],
        client: usize,
    ) -> Result<Vec<Value>, Refusal> {
        let namespace = then.route(spot).object.namespace.as_str().to_owned();
        let old_entries = json::destinations(old);
        let targets = then.route(spot).targets.clone();
        let mut used: HashSet<usize> = HashSet::new();
        let mut out = Vec::with_capacity(targets.len());
        for (target, was) in targets.iter().zip(old_entries) {
            let subset = was.pointer("/destination/subset").and_then(Value::as_str).unwrap_or_default();
            let heavy = target.percent > 0 || (targets.len() > 1 && target.weight > 0);
            if !heavy && targets.len() > 1 && self.is_nobodys(&target.to, subset) {
                continue;
            }
            let subset = self.subset_now(&target.to, subset, heavy, client, (then, spot))?;
            let mut wanted = was.clone();
            if !subset.is_empty() {
                json::set_subset(&mut wanted, Some(&subset));
            }
            let key = |entry: &Value| self.key(entry, &namespace);
            let twin = (0..now.len()).find(|at| !used.contains(at) && key(&now[*at]) == key(&wanted));
            if let Some(twin) = twin {
                used.insert(twin);
                let weight = wanted.get("weight").cloned();
                wanted = now[twin].clone();
                match (weight, wanted.as_object_mut()) {
                    (Some(weight), Some(entry)) => drop(entry.insert("weight".to_owned(), weight)),
                    (None, Some(entry)) => drop(entry.remove("weight")),
                    (_, None) => {}
                }
            }
            out.push(wanted);
        }
        Ok(out)
    }

    /// True for a subset whose version has gone with it: without requests it is not brought back.
    fn is_nobodys(&self, to: &Dest, subset: &str) -> bool {
        let gone = match to {
            Dest::Nobody { .. } => true,
            Dest::Version(version) => {
                self.snapshot.versions.iter().any(|known| known.name == *version && known.is_gone())
            }
            _ => false,
        };
        gone && !(0..self.before.clients.len()).any(|now| self.before.namer(now).defined(subset).is_some())
    }

    /// What makes two entries the same destination.
    fn key(&self, entry: &Value, namespace: &str) -> (String, String, Value) {
        let text = |key: &str| entry["destination"][key].as_str().unwrap_or_default();
        let host = hosts::resolve(text("host"), namespace, &self.snapshot.mesh.cluster_domain);
        (host.into_owned(), text("subset").to_owned(), entry["destination"]["port"]["number"].clone())
    }

    /// The subset that means today what a destination meant then; empty for none. Of a destination that meant no
    /// version the name comes back, with its definition where that is gone.
    fn subset_now(
        &mut self,
        to: &Dest,
        subset: &str,
        heavy: bool,
        client: usize,
        (then, spot): (&Inspected<'_>, usize),
    ) -> Result<String, Refusal> {
        // The whole service, or another Service that stands for a version.
        if subset.is_empty() {
            return Ok(String::new());
        }
        let home = then.namer(then.home(spot));
        let wanted = home.selected(subset);
        // Who sees the rule that defines it is as it was, too: the name of then is the name of now.
        let same = (0..self.before.clients.len()).any(|now| {
            self.before.namer(now).defined(subset).is_some()
                && self.before.namer(now).selected(subset) == wanted
        });
        if heavy
            && matches!(to, Dest::Nobody { .. } | Dest::Missing { .. })
            && let Some(gone) = &self.gone
        {
            return Err(Refusal::new(Code::UnknownVersion).field("revision").arg("v", gone));
        }
        match to {
            Dest::Whole => Ok(String::new()),
            Dest::Version(_) | Dest::Several { .. } if same => Ok(subset.to_owned()),
            // A part of a version is the same part again.
            Dest::Version(version) => match (home.defined(subset), &wanted[..]) {
                (Some(defined), [only]) if !only.is_whole() => {
                    let scope = scope(defined, only.version, &self.snapshot.versions);
                    self.subset_within(version, &scope, client)
                }
                _ => self.subset(version, client),
            },
            Dest::Several { .. } | Dest::Nobody { .. } => match home.defined(subset) {
                Some(defined) => self.subset_as_then(defined, client),
                None => Ok(subset.to_owned()),
            },
            Dest::Foreign { .. } | Dest::Missing { .. } => Ok(subset.to_owned()),
        }
    }

    /// The fields of the mirror as they were.
    fn mirror_then(
        &mut self,
        old: &Value,
        spot: usize,
        then: &Inspected<'_>,
        client: usize,
    ) -> Result<Value, Refusal> {
        let mut fields = serde_json::Map::new();
        for field in mirror::FIELDS {
            if let Some(value) = old.get(field) {
                fields.insert(field.to_owned(), value.clone());
            }
        }
        let mut fields = Value::Object(fields);
        let Some(mirror) = then.mirror_of(spot) else { return Ok(fields) };
        let namespace = then.route(spot).object.namespace.as_str().to_owned();
        let mut points: Vec<String> = vec!["/mirror".to_owned()];
        points.extend(
            (0..fields["mirrors"].as_array().map_or(0, Vec::len))
                .map(|at| format!("/mirrors/{at}/destination")),
        );
        for point in points {
            let Some(destination) = fields.pointer_mut(&point).and_then(Value::as_object_mut) else {
                continue;
            };
            let subset = destination.get("subset").and_then(Value::as_str).unwrap_or_default().to_owned();
            let own = self.own_entry(&[json!({ "destination": destination.clone() })], &namespace).is_some();
            if subset.is_empty() || !own {
                continue;
            }
            let to = then.namer(then.home(spot)).subset(&subset);
            let heavy = mirror.to == to;
            let subset = self.subset_now(&to, &subset, heavy, client, (then, spot))?;
            destination.insert("subset".to_owned(), json!(subset));
        }
        Ok(fields)
    }

    /// An object that was deleted since.
    fn recreate(&mut self, at: &ObjectRef, then: &Inspected<'_>, spec: &Value) -> Result<(), Refusal> {
        if self.drafts.holds(self.snapshot, at) {
            return Err(Refusal::new(Code::Conflict).arg("object", at));
        }
        let mut spec = spec.clone();
        for spot in 0..then.spots.len() {
            let (kind, index) = (then.spots[spot].kind, then.spots[spot].index);
            if then.route(spot).object != *at {
                continue;
            }
            let old = list_of(&spec, kind).get(index).cloned().unwrap_or_default();
            let back = self.returned(old, spot, then)?;
            let slot = spec.get_mut(kind.as_str()).and_then(Value::as_array_mut);
            if let Some(slot) = slot.and_then(|list| list.get_mut(index)) {
                *slot = back;
            }
        }
        self.drafts.create(at.clone(), json::created(at, spec));
        Ok(())
    }

    /// An object that did not exist then: it stays, without rules and mirror, and spreads by pods.
    fn neutralise(&mut self, at: &ObjectRef) -> Result<(), Refusal> {
        let ours: Vec<usize> = (0..self.before.spots.len())
            .filter(|spot| self.before.route(*spot).object == *at && self.before.reaches_service(*spot))
            .filter(|spot| self.before.route(*spot).fixed.is_none())
            .collect();
        let rule = |spot: &usize| self.before.rule_spots.contains(spot);
        let keep_rules =
            !ours.iter().any(|spot| self.before.spots[*spot].kind == RouteKind::Http && !rule(spot));
        let gone: Vec<usize> = ours
            .iter()
            .filter(|spot| rule(spot) && !keep_rules)
            .map(|spot| self.before.spots[*spot].index)
            .collect();
        let places: Vec<(RouteKind, usize)> = ours
            .iter()
            .filter(|spot| !rule(spot) || keep_rules)
            .map(|spot| (self.before.spots[*spot].kind, self.before.spots[*spot].index))
            .collect();
        for (kind, index) in places {
            let held = self.drafts.open(self.snapshot, at)?;
            let Some(route) = json::routes_mut(held, kind).and_then(|list| list.get(index)).cloned() else {
                continue;
            };
            let Some(mut entry) = self.own_entry(json::destinations(&route), at.namespace.as_str()) else {
                continue;
            };
            json::set_subset(&mut entry, None);
            json::set_weight(&mut entry, 100);
            let held = self.drafts.open(self.snapshot, at)?;
            let slot = json::routes_mut(held, kind).and_then(|list| list.get_mut(index));
            if let Some(slot) = slot.and_then(Value::as_object_mut) {
                slot.insert("route".to_owned(), json!([entry]));
                for field in mirror::FIELDS {
                    slot.remove(field);
                }
            }
        }
        let held = self.drafts.open(self.snapshot, at)?;
        if let Some(list) = json::routes_mut(held, RouteKind::Http) {
            let mut index = 0;
            list.retain(|_| {
                index += 1;
                !gone.contains(&(index - 1))
            });
        }
        Ok(())
    }
}

fn list_of(spec: &Value, kind: RouteKind) -> &[Value] {
    spec.get(kind.as_str()).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}
