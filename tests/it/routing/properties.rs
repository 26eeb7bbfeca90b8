//! What holds for every plan, whatever the objects.

use std::collections::BTreeSet;

use proptest::prelude::*;
use serde_json::{Value, json};
use sluice::domain::command::Command;
use sluice::domain::ids::{Kind, ObjectRef, VersionName};
use sluice::domain::plan::{Edit, Planned};
use sluice::domain::refusal::Severity;
use sluice::domain::routing::{Condition, Op, Rule, Subject};
use sluice::routing::lookup::{self, Rules};
use sluice::routing::{hosts, saved};

use super::support::{World, codes, held, reviews, take_over};
use super::worlds::{HOST, any_json, at, choice, command, world};

/// Every (object, subset, client) of which requests are answered 503: the route sends requests to a
/// subset that the client's DestinationRule lacks. Written independently here, from the JSON.
fn broken(world: &World) -> BTreeSet<(String, String, String)> {
    let snapshot = &world.snapshot;
    let rules = Rules::new(snapshot, HOST);
    let mut out = BTreeSet::new();
    for client in lookup::client_namespaces(snapshot) {
        let first = |list: &str| {
            lookup::claimants(snapshot, HOST, client).into_iter().map(|(vs, _)| vs).find(|vs| {
                let json = snapshot.virtual_services[*vs].json.as_ref();
                json.is_some_and(|json| json["spec"][list].as_array().is_some_and(|list| !list.is_empty()))
            })
        };
        let effective = rules.effective(client);
        let known = |subset: &str| {
            effective
                .iter()
                .rfind(|rule| rule.for_everybody())
                .is_some_and(|rule| rule.subset(subset).is_some())
        };
        for (position, held) in snapshot.virtual_services.iter().enumerate() {
            let object = &held.object;
            let namespace = &*object.meta.namespace;
            if lookup::reach(&object.spec.export_to, namespace, client).is_none() {
                continue;
            }
            let Some(json) = &held.json else { continue };
            let claims = lookup::claims(&object.spec, namespace, "cluster.local", HOST).is_some();
            let at_gateway = object.spec.gateways.iter().any(|gateway| {
                hosts::gateway_namespace(gateway, namespace)
                    .is_some_and(|owner| owner == client || client == lookup::ANY_OTHER)
            });
            for list in ["http", "tcp"] {
                let acts = lookup::in_mesh(&object.spec) && (!claims || first(list) == Some(position));
                if !acts && !at_gateway {
                    continue;
                }
                for route in json["spec"][list].as_array().into_iter().flatten() {
                    let entries = route["route"].as_array().cloned().unwrap_or_default();
                    for entry in &entries {
                        let heavy = entries.len() == 1 || entry["weight"].as_i64().unwrap_or(0) > 0;
                        let host = entry["destination"]["host"].as_str().unwrap_or_default();
                        let own = hosts::resolve(host, namespace, "cluster.local") == HOST;
                        let Some(subset) = entry["destination"]["subset"].as_str().filter(|_| heavy && own)
                        else {
                            continue;
                        };
                        if !known(subset) {
                            let name = object.at(Kind::VirtualService).to_string();
                            out.insert((name, subset.to_owned(), client.to_owned()));
                        }
                    }
                }
            }
        }
    }
    out
}

/// The first prefix of these edits after which something is broken that was not before.
fn breaks(world: &World, edits: &[Edit]) -> Option<usize> {
    let before = broken(world);
    let mut now = world.clone();
    edits.iter().enumerate().find_map(|(position, edit)| {
        now.put(&edit.object, edit.after.clone());
        (!broken(&now).is_subset(&before)).then_some(position)
    })
}

fn edits(planned: &Planned) -> Vec<Edit> {
    planned.plan.edits().cloned().collect()
}

fn routes(object: &Value) -> Vec<&Value> {
    ["http", "tls", "tcp"]
        .iter()
        .flat_map(|list| object["spec"][*list].as_array().into_iter().flatten())
        .collect()
}

/// What a command on weights must leave as it is: everything but weights, appended entries and subsets,
/// and our annotations.
fn rest(object: &Value, like: &Value) -> Value {
    let mut object = object.clone();
    if let Some(metadata) = object["metadata"].as_object_mut() {
        metadata.remove("annotations");
    }
    if let Some(subsets) = object["spec"]["subsets"].as_array_mut() {
        subsets.truncate(like["spec"]["subsets"].as_array().map_or(0, Vec::len));
    }
    if object["spec"]["subsets"].as_array().is_some_and(Vec::is_empty)
        && let Some(spec) = object["spec"].as_object_mut()
    {
        spec.remove("subsets");
    }
    for list in ["http", "tls", "tcp"] {
        let Some(routes) = object["spec"].get_mut(list).and_then(Value::as_array_mut) else { continue };
        for (position, route) in routes.iter_mut().enumerate() {
            let old = &like["spec"][list][position]["route"];
            let spread =
                old.as_array().is_some_and(|old| old.len() == 1 && old[0]["destination"]["subset"].is_null());
            let Some(entries) = route.get_mut("route").and_then(Value::as_array_mut) else { continue };
            if spread {
                entries.clear();
                continue;
            }
            entries.truncate(old.as_array().map_or(0, Vec::len));
            for entry in entries {
                if let Some(entry) = entry.as_object_mut() {
                    entry.remove("weight");
                }
            }
        }
    }
    object
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 250, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_plan_breaks_a_request_at_any_point(world in world(), choice in choice()) {
        let Ok(planned) = world.plan(&command(&world, choice)) else { return Ok(()) };
        if codes(&planned, Severity::Block).is_empty() {
            prop_assert_eq!(breaks(&world, &edits(&planned)), None, "{:#?}", planned.plan);
        }
    }

    #[test]
    fn weights_that_are_written_sum_to_100(world in world(), choice in choice()) {
        let Ok(planned) = world.plan(&command(&world, choice)) else { return Ok(()) };
        for (edit, after) in planned.plan.edits().filter_map(|edit| Some((edit, edit.after.as_ref()?))) {
            let before: Vec<Value> =
                edit.before.as_deref().map(|old| routes(old).into_iter().map(|r| r["route"].clone()).collect()).unwrap_or_default();
            for route in routes(after).into_iter().filter(|route| !before.contains(&route["route"])) {
                let Some(entries) = route["route"].as_array() else { continue };
                let weights: Vec<i64> = entries.iter().map(|entry| entry["weight"].as_i64().unwrap_or(0)).collect();
                prop_assert!(weights.iter().all(|weight| (0..=100).contains(weight)), "{}", route);
                prop_assert_eq!(weights.iter().sum::<i64>(), 100, "{}", route);
                prop_assert!(weights != [0]);
            }
        }
    }

    #[test]
    fn what_the_command_is_not_about_stays(world in world(), choice in choice()) {
        let command = command(&world, choice);
        let about_weights = match &command {
            Command::TakeOver { .. } => true,
            Command::Set(wish) => wish.weights.is_some(),
            Command::SwitchBack { .. } | Command::Retire { .. } => false,
        };
        let Ok(planned) = world.plan(&command) else { return Ok(()) };
        for edit in planned.plan.edits() {
            let (Some(before), Some(after)) = (edit.before.as_deref(), &edit.after) else { continue };
            prop_assert_eq!(&after["metadata"]["labels"], &before["metadata"]["labels"]);
            prop_assert_eq!(&after["metadata"]["resourceVersion"], &before["metadata"]["resourceVersion"]);
            prop_assert_eq!(&after["spec"]["notOurs"], &before["spec"]["notOurs"]);
            if about_weights {
                prop_assert_eq!(rest(after, before), rest(before, before));
            }
        }
    }

    #[test]
    fn a_plan_on_its_own_result_is_empty(world in world(), choice in choice()) {
        // Two unnamed routes with one and the same match differ only in their place, so putting
        // them into the other order is never done.
        if world.read().routes.iter().any(|route| route.id.as_str().ends_with("-2")) {
            return Ok(());
        }
        let command = command(&world, choice);
        let Ok(planned) = world.plan(&command) else { return Ok(()) };
        if !codes(&planned, Severity::Block).is_empty() {
            return Ok(());
        }
        let after = world.after(&planned);
        match after.plan(&command) {
            Ok(again) => prop_assert!(again.plan.is_empty(), "{:#?}\n{:#?}", planned.plan, again.plan),
            Err(refusal) => prop_assert!(false, "{refusal}"),
        }
    }

    #[test]
    fn take_over_and_back_is_where_one_was(world in world(), version in 0..3_usize) {
        let name = world.snapshot.versions[version % world.snapshot.versions.len()].name.clone();
        let Ok(planned) = world.plan(&take_over(name.as_str())) else { return Ok(()) };
        // What is blocked is never written.
        if !codes(&planned, Severity::Block).is_empty() {
            return Ok(());
        }
        let there = world.after(&planned);
        let back = Command::SwitchBack { revision: 1, specs: saved(&world.snapshot), weights: world.read().declared(), added: Vec::new() };
        let Ok(planned) = there.plan(&back) else { return Ok(()) };
        let here = there.after(&planned);
        for held in &world.snapshot.virtual_services {
            let at = held.object.at(Kind::VirtualService);
            prop_assert_eq!(here.spec_at(&at), world.spec_at(&at));
        }
    }

    #[test]
    fn deltas_add_up_to_what_moves(world in world(), choice in choice()) {
        let Ok(planned) = world.plan(&command(&world, choice)) else { return Ok(()) };
        let effect = &planned.effect;
        let sum = |weights: &[(VersionName, u8)]| weights.iter().map(|(_, weight)| i32::from(*weight)).sum::<i32>();
        let deltas = effect.deltas();
        prop_assert_eq!(
            deltas.iter().map(|(_, delta)| *delta).sum::<i32>(),
            sum(&effect.after) - sum(&effect.before)
        );
        prop_assert!(deltas.iter().all(|(_, delta)| *delta != 0));
        let gains: i32 = deltas.iter().map(|(_, delta)| (*delta).max(0)).sum();
        prop_assert_eq!(i32::from(effect.moved()), gains.min(100));
    }

    #[test]
    fn the_cache_says_the_same_as_a_fresh_reading(world in world()) {
        let mut cached = world.clone();
        for held in &mut cached.snapshot.virtual_services {
            held.json = None;
        }
        for held in &mut cached.snapshot.destination_rules {
            held.json = None;
        }
        prop_assert_eq!(cached.read(), world.read());
    }

    #[test]
    fn ids_are_unique(world in world()) {
        let routing = world.read();
        let ids: BTreeSet<_> = routing.routes.iter().map(|route| route.id.clone()).collect();
        prop_assert_eq!(ids.len(), routing.routes.len());
        prop_assert!(routing.routes.iter().filter(|route| route.is_default).count() <= 1);
    }
}

#[test]
fn the_property_sees_a_plan_in_the_wrong_order() {
    let subset = json!({"name": "v1", "labels": {"version": "v1"}});
    let mut world = reviews().version("v1", 1).version("v2", 1);
    for (kind, object) in [
        (
            Kind::DestinationRule,
            json!({"metadata": {"name": "reviews", "namespace": "shop"}, "spec": {"host": "reviews", "subsets": [subset]}}),
        ),
        (
            Kind::VirtualService,
            json!({"metadata": {"name": "reviews", "namespace": "shop"}, "spec": {"hosts": ["reviews"], "http": [{"route": [{"destination": {"host": "reviews", "subset": "v1"}}]}]}}),
        ),
    ] {
        world.write(&at(kind, &object), object);
    }
    let planned = world.plan(&take_over("v2")).expect("a plan");
    let mut order = edits(&planned);
    assert_eq!(breaks(&world, &order), None);
    order.reverse();
    assert_eq!(breaks(&world, &order), Some(0), "routes before their subsets: 503 until the second write");
}

/// A list of rules `r0`, `r1`, … with a route of another service among them and, behind the catch-all,
/// some that nothing reaches.
fn listed(live: usize, dead: usize, other: usize) -> World {
    let rule = |at: usize| {
        json!({
            "name": format!("r{at}"),
            "match": [{"headers": {"x": {"exact": at.to_string()}}}],
            "route": [{"destination": {"host": "reviews", "subset": "v1"}}],
        })
    };
    let mut http: Vec<Value> = (0..live).map(rule).collect();
    let foreign = json!({"name": "other", "match": [{"uri": {"prefix": "/o"}}], "route": [{"destination": {"host": "ratings"}}]});
    http.insert(other.min(live), foreign);
    http.push(json!({"route": [{"destination": {"host": "reviews", "subset": "v1"}}]}));
    http.extend((live..live + dead).map(rule));
    let mut world = reviews().version("v1", 1).version("v2", 1);
    let subsets =
        json!([{"name": "v1", "labels": {"version": "v1"}}, {"name": "v2", "labels": {"version": "v2"}}]);
    for (kind, object) in [
        (
            Kind::DestinationRule,
            json!({"metadata": {"name": "reviews", "namespace": "shop"}, "spec": {"host": "reviews", "subsets": subsets}}),
        ),
        (
            Kind::VirtualService,
            json!({"metadata": {"name": "reviews", "namespace": "shop"}, "spec": {"hosts": ["reviews", "ratings"], "http": http}}),
        ),
    ] {
        world.write(&at(kind, &object), object);
    }
    world
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn rules_are_read_in_the_order_in_which_they_were_wanted(
        live in 0..5_usize,
        dead in 0..3_usize,
        other in 0..6_usize,
        order in prop::collection::vec((any::<u16>(), any::<bool>()), 8),
        fresh in prop::collection::vec(0..8_usize, 0..3),
    ) {
        let world = listed(live, dead, other);
        let mut wanted: Vec<(u16, Rule)> = world
            .read()
            .rules
            .into_iter()
            .zip(&order)
            .filter(|(_, (_, kept))| *kept)
            .map(|(rule, (key, _))| (*key, rule))
            .collect();
        wanted.sort_by_key(|(key, _)| *key);
        let mut wanted: Vec<Rule> = wanted.into_iter().map(|(_, rule)| rule).collect();
        for (number, place) in fresh.iter().enumerate() {
            let when = vec![vec![Condition {
                on: Subject::Cookie("user".into()),
                op: Op::Exact,
                value: format!("n.{number}"),
            }]];
            let rule = Rule { id: None, name: None, when, opaque: Vec::new(), to: vec![("v2".into(), 100)], action: None };
            wanted.insert((*place).min(wanted.len()), rule);
        }
        let planned = world.plan(&super::support::rules(wanted.clone())).expect("a plan");
        let after = world.after(&planned);
        let read = after.read().rules;
        let told = |rules: &[Rule]| rules.iter().map(|rule| rule.when.clone()).collect::<Vec<_>>();
        prop_assert_eq!(told(&read), told(&wanted));
        // What is new is reached: nothing that is wanted lies behind a catch-all, unless it lay there before.
        let http = after.spec_at(&ObjectRef::new(Kind::VirtualService, "shop", "reviews"))["http"].clone();
        let list = http.as_array().expect("a list");
        let barrier = list.iter().position(|route| route["match"].is_null()).expect("a catch-all");
        let behind = list[barrier + 1..].iter().all(|route| route["name"].as_str().is_some_and(|name| name.starts_with('r')));
        prop_assert!(behind, "{}", http);
        let others: Vec<&Value> = list.iter().filter(|route| route["name"] == "other").collect();
        prop_assert_eq!(others.len(), 1);
        prop_assert!(after.plan(&super::support::rules(wanted)).expect("a plan").plan.is_empty());
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 800, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_json_makes_it_panic(vs in any_json(), dr in any_json(), choice in choice()) {
        let mut world = reviews().version("v1", 1).version("v2", 0);
        let object = |spec: &Value| json!({"metadata": {"name": "reviews", "namespace": "shop"}, "spec": spec});
        world.snapshot.virtual_services.push(held(object(&vs), 1));
        world.snapshot.destination_rules.push(held(object(&dr), 1));
        world.read();
        let command = command(&world, choice);
        let _ = world.plan(&command);
        let back = Command::SwitchBack {
            revision: 1,
            specs: vec![
                (ObjectRef::new(Kind::VirtualService, "shop", "reviews"), dr),
                (ObjectRef::new(Kind::DestinationRule, "shop", "reviews"), vs),
            ],
            weights: None,
            added: vec![(ObjectRef::new(Kind::DestinationRule, "shop", "reviews"), Value::Null)],
        };
        let _ = world.plan(&back);
    }

    #[test]
    fn no_text_makes_the_rules_panic(text in ".{0,80}") {
        let _ = sluice::routing::rule_input::regex(&text);
        let _ = sluice::routing::rule_input::header_name(&text);
    }
}
