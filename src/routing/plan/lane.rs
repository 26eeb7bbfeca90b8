//! A lane: the requests that one version gets whatever the weights say, written as one http route before each
//! route that chooses among the service's versions. Each takes that route's own match and everything else that
//! the route says (rewrite, time-out, retries, headers), so that a request is treated as before, only by
//! another version. Called for the step `rules` of a release.

use std::collections::HashSet;

use serde_json::{Map, Value, json};

use crate::domain::command::Lane;
use crate::domain::ids::ObjectRef;
use crate::domain::istio::HttpMatch;
use crate::domain::refusal::{Code, Refusal};
use crate::domain::routing::{Condition, RouteKind};

use super::super::takes_all::{self, Takes};
use super::super::{json, rule_input};
use super::Planner;
use super::rules::{Place, condition_json};

impl Planner<'_> {
    /// Writes the routes of a lane, or takes them away when it has no conditions. Routes of the lane that are
    /// there already keep what others added to them.
    ///
    /// # Errors
    /// `lane_overlap` where a route has a condition of its own on the same header, query parameter, path or
    /// method: one match cannot hold both. `rule_takes_all` for conditions that every request meets.
    pub fn set_lane(&mut self, place: &Place, created: bool, lane: &Lane) -> Result<(), Refusal> {
        let when = if lane.when.is_empty() { Vec::new() } else { rule_input::conditions(&lane.when, 0)? };
        if self.version(&lane.to).is_none() && !when.is_empty() {
            return Err(Refusal::new(Code::UnknownVersion).arg("v", &lane.to));
        }
        if !when.is_empty() && takes_everything(&when, &self.before.host) {
            return Err(Refusal::new(Code::RuleTakesAll).arg("n", &lane.name).arg("object", &place.object));
        }
        let list = json::routes(self.drafts.open(self.snapshot, &place.object)?, RouteKind::Http).to_vec();
        let choosing: HashSet<usize> = if created {
            (0..list.len()).collect()
        } else {
            (0..self.before.spots.len())
                .filter(|at| {
                    let spot = &self.before.spots[*at];
                    let route = self.before.route(*at);
                    route.object == place.object && spot.kind == RouteKind::Http
                })
                .filter(|at| !self.before.is_of_others(*at) && self.before.reaches_service(*at))
                .filter(|at| self.before.route(*at).fixed.is_none())
                .map(|at| self.before.spots[at].index)
                .collect()
        };
        let (ours, others): (Vec<_>, Vec<_>) =
            list.into_iter().enumerate().partition(|(_, route)| lane.owns(route["name"].as_str()));
        let mut kept: Vec<Value> = ours.into_iter().map(|(_, route)| route).collect();
        let mut names: HashSet<String> =
            others.iter().filter_map(|(_, route)| route["name"].as_str()).map(str::to_owned).collect();
        let client = self.before.default.map_or(0, |at| self.before.home(at));
        let subset = if when.is_empty() { String::new() } else { self.subset(&lane.to, client)? };
        let mut out = Vec::with_capacity(others.len() * 2);
        for (index, route) in others {
            if !when.is_empty() && choosing.contains(&index) {
                let matches =
                    product(&route, &when).map_err(|on| overlap(&place.object, &route, index, &on))?;
                let same = kept.iter().position(|held| held["match"] == matches);
                let base = same.map_or_else(|| route.clone(), |at| kept.remove(at));
                let own = self.own_entry(json::destinations(&route), place.object.namespace.as_str());
                let model = own.unwrap_or_else(|| json!({ "destination": { "host": self.before.host } }));
                let destination = json::sibling(&model, &subset, 100);
                out.push(laned(base, matches, destination, lane, &mut names));
            }
            out.push(route);
        }
        let object = self.drafts.open(self.snapshot, &place.object)?;
        if let Some(slot) = json::routes_mut(object, RouteKind::Http) {
            *slot = out;
        }
        Ok(())
    }
}

/// True when one of the alternatives leaves nothing to choose from: such a lane is a share of 100 %.
fn takes_everything(when: &[Vec<Condition>], host: &str) -> bool {
    let entries = product(&json!({}), when).unwrap_or_default();
    let read: Vec<HttpMatch> = serde_json::from_value(entries).unwrap_or_default();
    read.iter().any(|entry| takes_all::conditions(entry, host) == Takes::All)
}

/// `base` as a route of the lane.
fn laned(
    mut base: Value,
    matches: Value,
    destination: Value,
    lane: &Lane,
    names: &mut HashSet<String>,
) -> Value {
    let kept = base["name"].as_str().filter(|name| lane.owns(Some(name)) && !names.contains(*name));
    let name = match kept {
        Some(name) => name.to_owned(),
        // One more than there are names, so one of them is free.
        None => (1..=names.len() + 1)
            .map(|n| if n == 1 { lane.name.clone() } else { format!("{}-{n}", lane.name) })
            .find(|name| !names.contains(name))
            .unwrap_or_else(|| lane.name.clone()),
    };
    names.insert(name.clone());
    if let Some(map) = base.as_object_mut() {
        map.insert("name".to_owned(), json!(name));
        map.insert("match".to_owned(), matches);
        map.insert("route".to_owned(), json!([destination]));
    }
    base
}

/// Every entry of the route's match with every alternative of the lane added. `Err` names what both state.
fn product(route: &Value, when: &[Vec<Condition>]) -> Result<Value, String> {
    let entries = route["match"].as_array().filter(|entries| !entries.is_empty()).cloned();
    let entries = entries.unwrap_or_else(|| vec![json!({})]);
    let mut out = Vec::with_capacity(entries.len() * when.len());
    for entry in &entries {
        for alternative in when {
            let mut entry = entry.as_object().cloned().unwrap_or_default();
            for condition in alternative {
                add(&mut entry, condition)?;
            }
            out.push(Value::Object(entry));
        }
    }
    Ok(Value::Array(out))
}

fn add(entry: &mut Map<String, Value>, condition: &Condition) -> Result<(), String> {
    let (field, name, value) = condition_json(condition);
    let Some(name) = name else {
        return match entry.get(field) {
            Some(held) if *held != value => Err(field.to_owned()),
            _ => {
                entry.insert(field.to_owned(), value);
                Ok(())
            }
        };
    };
    let on = || format!("{field}.{name}");
    let map = entry.entry(field).or_insert_with(|| json!({}));
    let map = map.as_object_mut().ok_or_else(on)?;
    match map.iter().find(|(held, _)| held.eq_ignore_ascii_case(name)) {
        Some((_, held)) if *held != value => Err(on()),
        Some(_) => Ok(()),
        None => {
            map.insert(name.to_owned(), value);
            Ok(())
        }
    }
}

fn overlap(object: &ObjectRef, route: &Value, index: usize, on: &str) -> Refusal {
    let name = route["name"].as_str().map_or_else(|| (index + 1).to_string(), str::to_owned);
    Refusal::new(Code::LaneOverlap).arg("object", object).arg("n", name).arg("on", on)
}
