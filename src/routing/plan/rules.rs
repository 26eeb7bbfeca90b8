//! Rules: the whole list in its new order. A rule that is only moved keeps its JSON; changed conditions
//! replace its match, changed targets its numbers; a new rule becomes an http route of its own.

use serde_json::{Map, Value, json};

use crate::domain::ids::ObjectRef;
use crate::domain::refusal::{Code, Refusal};
use crate::domain::routing::{Condition, Op, RouteKind, Rule, Subject, Weights};
use crate::domain::service::Labels;
use crate::domain::split::Split;

use super::super::read::{Scope, short_hash};
use super::super::{cookies, hosts, json, rule_input};
use super::Planner;
use super::arrange::{Item, arrange};

/// Everything that a match entry may hold as far as Istio's documentation goes.
const KNOWN: [&str; 14] = [
    "uri",
    "scheme",
    "method",
    "authority",
    "headers",
    "withoutHeaders",
    "queryParams",
    "port",
    "gateways",
    "sourceLabels",
    "sourceNamespace",
    "ignoreUriCase",
    "statPrefix",
    "name",
];

/// What a route does to the requests that it takes, besides choosing who gets them. Mirrors are not among it: the
/// mirror is a setting of the default route alone, which is switched off there.
const TREATMENT: [&str; 6] = ["rewrite", "timeout", "retries", "fault", "corsPolicy", "headers"];

/// The list that rules are written in.
pub struct Place {
    pub object: ObjectRef,
    /// Position of the default route; `None` when there is none.
    pub default: Option<usize>,
    pub scope: Scope,
    /// True when a new rule before the default route concerns this service only.
    pub open: bool,
}

/// The versions that get a share at all.
fn sent(to: &Weights) -> Weights {
    to.iter().filter(|(_, weight)| *weight > 0).cloned().collect()
}

impl Planner<'_> {
    /// Brings the rules into the wanted order and form.
    pub fn set_rules(&mut self, place: &Place, wanted: &[Rule]) -> Result<(), Refusal> {
        rule_input::count(wanted)?;
        let known = self.known_rules(wanted)?;
        let list = json::routes(self.drafts.open(self.snapshot, &place.object)?, RouteKind::Http).to_vec();
        let movable: Vec<usize> =
            self.before.rule_spots.iter().map(|spot| self.before.spots[*spot].index).collect();
        let barrier = place.default.unwrap_or_else(|| {
            let open = |route: &Value| route.get("match").and_then(Value::as_array).is_none_or(Vec::is_empty);
            list.iter().position(open).unwrap_or(list.len())
        });
        let mut items = Vec::with_capacity(wanted.len());
        let mut names: Vec<String> =
            list.iter().filter_map(|route| route["name"].as_str()).map(str::to_owned).collect();
        for (at, rule) in wanted.iter().enumerate() {
            let item = if let Some(current) = known[at] {
                let spot = self.before.rule_spots[current];
                let index = self.before.spots[spot].index;
                let held = list.get(index).cloned().unwrap_or_default();
                let json = self.changed_rule(held, current, rule, at, &place.scope)?;
                Item { from: Some(index), json, dead: false }
            } else {
                if !place.open {
                    return Err(self.no_default().field(format!("rules.{at}")));
                }
                let model = place.default.and_then(|index| list.get(index));
                if self.is_default_already(rule, at, place, model)? {
                    continue;
                }
                let json = self.new_rule(rule, at, place, model, &mut names)?;
                Item { from: None, json, dead: false }
            };
            items.push(item);
        }
        let arranged = arrange(list, &movable, barrier, items);
        let object = self.drafts.open(self.snapshot, &place.object)?;
        if let Some(slot) = json::routes_mut(object, RouteKind::Http) {
            *slot = arranged;
        }
        Ok(())
    }

    /// True for a rule that takes every request and is the default route since an earlier call.
    fn is_default_already(
        &self,
        rule: &Rule,
        at: usize,
        place: &Place,
        default: Option<&Value>,
    ) -> Result<bool, Refusal> {
        let when = rule_input::conditions(&rule.when, at)?;
        let same = default.is_some_and(|route| route["match"] == match_json(&when, &place.scope, &[]));
        let read = self.before.default.map(|at| self.before.route(at));
        let split = read.and_then(crate::domain::routing::Route::weights);
        Ok(same && split.is_some_and(|split| sent(&split) == sent(&rule.to)))
    }

    /// For each wanted rule the position of the rule that it is now; `None` = new.
    fn known_rules(&self, wanted: &[Rule]) -> Result<Vec<Option<usize>>, Refusal> {
        let current = &self.before.routing.rules;
        let mut known: Vec<Option<usize>> = wanted
            .iter()
            .map(|rule| current.iter().position(|held| held.id == rule.id && rule.id.is_some()))
            .collect();
        // A repeated request says "new" of a rule that is there by now, or names it by the id that it had
        // before its conditions changed.
        for (at, rule) in wanted.iter().enumerate() {
            if known[at].is_some() {
                continue;
            }
            let same = |held: &Rule| {
                held.opaque.is_empty()
                    && normal(&held.when) == normal(&rule.when)
                    && (rule.name.is_none() || rule.name == held.name)
            };
            known[at] =
                (0..current.len()).find(|held| same(&current[*held]) && !known.contains(&Some(*held)));
            if known[at].is_none()
                && let Some(id) = &rule.id
            {
                return Err(Refusal::new(Code::UnknownRule)
                    .field(format!("rules.{at}.id"))
                    .arg("rule", id)
                    .arg("n", at + 1));
            }
        }
        for (at, held) in known.iter().enumerate() {
            if held.is_some() && known[..at].contains(held) {
                return Err(Refusal::new(Code::BadRule).field(format!("rules.{at}.id")));
            }
        }
        Ok(known)
    }

    fn changed_rule(
        &mut self,
        mut held: Value,
        current: usize,
        rule: &Rule,
        at: usize,
        scope: &Scope,
    ) -> Result<Value, Refusal> {
        let now = self.before.routing.rules[current].clone();
        if normal(&rule.when) != normal(&now.when) {
            let unknown = held["match"].as_array().into_iter().flatten().any(|entry| {
                entry.as_object().is_some_and(|entry| entry.keys().any(|key| !KNOWN.contains(&key.as_str())))
            });
            if !now.opaque.is_empty() || unknown {
                return Err(Refusal::new(Code::RuleFixed)
                    .field(format!("rules.{at}.when"))
                    .arg("n", at + 1)
                    .arg("fields", now.opaque.join(", ")));
            }
            let when = rule_input::conditions(&rule.when, at)?;
            if let Some(held) = held.as_object_mut() {
                let old = held.get("match").and_then(Value::as_array).cloned().unwrap_or_default();
                held.insert("match".to_owned(), match_json(&when, scope, &old));
            }
        }
        if let Some(name) = rule.name.as_ref().filter(|name| now.name.as_ref() != Some(*name)) {
            rule_input::name(name, at)?;
            if let Some(held) = held.as_object_mut() {
                held.insert("name".to_owned(), json!(name));
            }
        }
        // A rule that was read as doing something else is sent back without targets: it goes on doing what it
        // does, also when that has become a choice among versions meanwhile (its subset was made).
        let kept = rule.to.is_empty() && rule.action.is_some();
        // A version with 0 % is named only where a subset for it is known, which the same change may have made.
        if sent(&rule.to) != sent(&now.to) && !kept {
            rule_input::targets(rule, at)?;
            let field = |refusal: Refusal| refusal.field(format!("rules.{at}.to"));
            let split = Split::new(rule.to.clone()).map_err(field)?;
            let mut entries = json::destinations(&held).to_vec();
            self.weigh(self.before.rule_spots[current], &mut entries, &split).map_err(field)?;
            if let Some(held) = held.as_object_mut() {
                held.insert("route".to_owned(), Value::Array(entries));
            }
        }
        Ok(held)
    }

    /// Istio's routes inherit nothing, so a new rule gets what the default route does to its requests
    /// ([`TREATMENT`]): those that it takes away from there shall not behave otherwise than before, only reach another
    /// version.
    ///
    /// # Errors
    /// `rule_rewrites` for a condition on the path where the default route rewrites it: what is rewritten is the part
    /// that matched, so the version would get other paths than before.
    fn new_rule(
        &mut self,
        rule: &Rule,
        at: usize,
        place: &Place,
        default: Option<&Value>,
        names: &mut Vec<String>,
    ) -> Result<Value, Refusal> {
        let when = rule_input::conditions(&rule.when, at)?;
        if let Some(name) = &rule.name {
            rule_input::name(name, at)?;
        }
        rule_input::targets(rule, at)?;
        let field = |refusal: Refusal| refusal.field(format!("rules.{at}.to"));
        let split = Split::new(rule.to.clone()).map_err(field)?;
        let namespace = place.object.namespace.as_str();
        let own = default.and_then(|route| self.own_entry(json::destinations(route), namespace));
        let model = own.unwrap_or_else(|| json!({ "destination": { "host": self.before.host } }));
        let client = self.before.default.map_or(0, |default| self.before.home(default));
        let scope =
            self.before.default.map_or_else(|| Ok(Labels::new()), |default| self.scope_of(default))?;
        let mut entries = Vec::new();
        for (version, weight) in split.iter() {
            if self.version(version).is_none() {
                return Err(field(Refusal::new(Code::UnknownVersion).arg("v", version)));
            }
            if weight > 0 {
                let subset = self.subset_within(version, &scope, client)?;
                entries.push(json::sibling(&model, &subset, weight));
            }
        }
        let base = rule.name.clone().unwrap_or_else(|| format!("sluice-{}", short_hash(&normal(&when))));
        // One more than there are names, so one of them is free.
        let name = (1..=names.len() + 1)
            .map(|n| if n == 1 { base.clone() } else { format!("{base}-{n}") })
            .find(|name| !names.contains(name))
            .unwrap_or(base);
        names.push(name.clone());
        let mut route = Map::new();
        route.insert("name".to_owned(), json!(name));
        route.insert("match".to_owned(), match_json(&when, &place.scope, &[]));
        route.insert("route".to_owned(), Value::Array(entries));
        let rewrites = default.is_some_and(|route| {
            ["uri", "uriRegexRewrite"].iter().any(|key| !route["rewrite"][key].is_null())
        });
        if rewrites && when.iter().flatten().any(|condition| condition.on == Subject::Path) {
            return Err(Refusal::new(Code::RuleRewrites)
                .field(format!("rules.{at}.when"))
                .arg("n", at + 1)
                .arg("object", &place.object));
        }
        for key in TREATMENT {
            if let Some(value) = default.and_then(|route| route.get(key)) {
                route.insert(key.to_owned(), value.clone());
            }
        }
        Ok(Value::Object(route))
    }

    /// The first destination of a list, of an object of `namespace`, that is the service.
    pub fn own_entry(&self, entries: &[Value], namespace: &str) -> Option<Value> {
        let domain = &*self.snapshot.mesh.cluster_domain;
        let host = |entry: &Value| {
            let host = entry.pointer("/destination/host").and_then(Value::as_str).unwrap_or_default();
            hosts::is(host, namespace, domain, &self.before.host)
        };
        entries.iter().find(|entry| host(entry)).cloned()
    }
}

/// Conditions in an order of their own, for comparing: the JSON of a match has none.
fn normal(when: &[Vec<Condition>]) -> Vec<Vec<String>> {
    when.iter()
        .map(|alternative| {
            let mut all: Vec<String> = alternative
                .iter()
                .map(|condition| {
                    let on = match &condition.on {
                        Subject::Header(name) => format!("header {}", name.to_ascii_lowercase()),
                        Subject::Cookie(name) => format!("cookie {name}"),
                        Subject::Query(name) => format!("query {name}"),
                        Subject::Path => "path".to_owned(),
                        Subject::Method => "method".to_owned(),
                    };
                    let value = match (&condition.on, condition.op) {
                        (Subject::Cookie(_), Op::Regex) => cookies::within_value(&condition.value).ok(),
                        _ => None,
                    };
                    let value = value.as_deref().unwrap_or(&condition.value);
                    format!("{on} {} {value}", condition.op.as_str())
                })
                .collect();
            all.sort();
            all
        })
        .collect()
}

/// Where a condition stands in a match entry (field, and the name within it), and what stands there.
pub fn condition_json(condition: &Condition) -> (&'static str, Option<&str>, Value) {
    let value = match condition.op {
        Op::Present => json!({}),
        op => json!({ op.as_str(): condition.value }),
    };
    match &condition.on {
        Subject::Header(name) => ("headers", Some(name), value),
        Subject::Cookie(name) => {
            let regex = cookies::regex(name, condition.op, &condition.value);
            ("headers", Some("cookie"), json!({ "regex": regex }))
        }
        Subject::Query(name) => ("queryParams", Some(name), value),
        Subject::Path => ("uri", None, value),
        Subject::Method => ("method", None, value),
    }
}

/// The `match` of an http route. What an old entry says about statistics is kept.
fn match_json(when: &[Vec<Condition>], scope: &Scope, old: &[Value]) -> Value {
    let entries = when.iter().enumerate().map(|(at, alternative)| {
        let mut entry = Map::new();
        for condition in alternative {
            match condition_json(condition) {
                (field, None, value) => drop(entry.insert(field.to_owned(), value)),
                (field, Some(name), value) => {
                    let map = entry.entry(field).or_insert_with(|| json!({}));
                    if let Some(map) = map.as_object_mut() {
                        map.insert(name.to_owned(), value);
                    }
                }
            }
        }
        if let Some(port) = scope.port {
            entry.insert("port".to_owned(), json!(port));
        }
        if !scope.gateways.is_empty() {
            entry.insert("gateways".to_owned(), json!(scope.gateways));
        }
        for key in ["name", "statPrefix"] {
            if let Some(value) = old.get(at).filter(|_| old.len() == when.len()).and_then(|old| old.get(key))
            {
                entry.insert(key.to_owned(), value.clone());
            }
        }
        Value::Object(entry)
    });
    Value::Array(entries.collect())
}
