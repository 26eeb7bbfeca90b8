//! What holds for every plan, whatever the objects.

use std::collections::BTreeSet;

use proptest::prelude::*;
use serde_json::{Value, json};
use sluice::domain::command::{Command, MirrorWish, TrafficChange};
use sluice::domain::ids::{Kind, ObjectRef, VersionName};
use sluice::domain::plan::{Edit, Planned};
use sluice::domain::refusal::Severity;
use sluice::domain::split::Split;
use sluice::routing::lookup::{self, Rules};
use sluice::routing::{hosts, saved};

use super::support::{World, codes, held, reviews, take_over};

const HOST: &str = "reviews.shop.svc.cluster.local";

// ------------------------------------------------------------------ worlds

fn unknown() -> impl Strategy<Value = Value> {
    prop_oneof![Just(json!({"deep": [1, {"er": null}]})), Just(json!("3s")), Just(json!(7)), Just(json!([]))]
}

/// An object with some fields that Sluice does not know.
fn odd(value: Value) -> impl Strategy<Value = Value> {
    prop::option::weighted(0.3, unknown()).prop_map(move |extra| {
        let mut value = value.clone();
        if let (Some(map), Some(extra)) = (value.as_object_mut(), extra) {
            map.insert("notOurs".to_owned(), extra);
        }
        value
    })
}

fn destination() -> impl Strategy<Value = Value> {
    let host =
        prop_oneof![6 => Just("reviews"), 6 => Just(HOST), 1 => Just("ratings.shop.svc.cluster.local")];
    let subset = prop_oneof![
        8 => prop_oneof![Just(Some("v1")), Just(Some("v2")), Just(Some("v3"))],
        1 => Just(None),
        1 => Just(Some("twin")),
        1 => Just(Some("nowhere")),
    ];
    let weight = prop_oneof![4 => (0..=100_i64).prop_map(Some), 1 => Just(None), 1 => Just(Some(0)), 1 => Just(Some(1000))];
    (host, subset, weight, any::<bool>()).prop_flat_map(|(host, subset, weight, port)| {
        let mut to = json!({"host": host});
        if let Some(subset) = subset {
            to["subset"] = json!(subset);
        }
        if port {
            to["port"] = json!({"number": 9080});
        }
        odd(to).prop_flat_map(move |to| {
            let mut entry = json!({"destination": to});
            if let Some(weight) = weight {
                entry["weight"] = json!(weight);
            }
            odd(entry)
        })
    })
}

fn http_route(catch_all: bool) -> impl Strategy<Value = Value> {
    let name = prop::option::of(prop_oneof![Just("a"), Just("b"), Just("canary")]);
    let mirror = prop::option::weighted(0.2, prop_oneof![Just("v2"), Just("v3")]);
    let does = prop_oneof![12 => Just(None), 1 => Just(Some("redirect"))];
    (name, prop::collection::vec(destination(), 1..4), mirror, does, 0..6_u8).prop_flat_map(
        move |(name, entries, mirror, does, key)| {
            let mut route = json!({});
            if let Some(name) = name {
                route["name"] = json!(name);
            }
            if !catch_all {
                route["match"] = json!([{"headers": {format!("x-{key}"): {"exact": "1"}}}]);
            }
            match does {
                Some(does) if !catch_all => route[does] = json!({"uri": "/elsewhere"}),
                _ => route["route"] = Value::Array(entries),
            }
            if let Some(subset) = mirror {
                route["mirror"] = json!({"host": HOST, "subset": subset});
                route["mirrorPercentage"] = json!({"value": 5});
            }
            odd(route)
        },
    )
}

fn virtual_service() -> impl Strategy<Value = Value> {
    let shape = prop_oneof![
        6 => Just(("reviews", "shop", json!(["reviews"]), Value::Null, Value::Null)),
        2 => Just(("theirs", "client", json!([HOST]), Value::Null, json!(["."]))),
        2 => Just(("edge", "front", json!(["shop.example.com"]), json!(["istio-system/gw"]), Value::Null)),
        1 => Just(("both", "shop", json!(["reviews", "ratings"]), json!(["mesh", "gw"]), Value::Null)),
    ];
    let lists =
        (prop::collection::vec(http_route(false), 0..4), prop::option::weighted(0.9, http_route(true)));
    let tcp = prop::option::weighted(0.2, prop::collection::vec(destination(), 1..3));
    (shape, lists, tcp).prop_flat_map(|((name, namespace, hosts, gateways, export), (rules, rest), tcp)| {
        let mut spec = json!({"hosts": hosts});
        if !gateways.is_null() {
            spec["gateways"] = gateways;
        }
        if !export.is_null() {
            spec["exportTo"] = export;
        }
        let http: Vec<Value> = rules.into_iter().chain(rest).collect();
        if !http.is_empty() {
            spec["http"] = Value::Array(http);
        }
        if let Some(tcp) = tcp {
            spec["tcp"] = json!([{"route": tcp}]);
        }
        odd(spec).prop_map(move |spec| {
            json!({
                "apiVersion": "networking.istio.io/v1", "kind": "VirtualService",
                "metadata": {"name": name, "namespace": namespace, "resourceVersion": "3", "labels": {"a": "b"}},
                "spec": spec,
            })
        })
    })
}

fn destination_rule() -> impl Strategy<Value = Value> {
    let place = prop_oneof![
        6 => Just(("reviews", "shop", "reviews")),
        1 => Just(("wide", "shop", "*.shop.svc.cluster.local")),
        2 => Just(("mine", "client", HOST)),
        2 => Just(("default", "istio-system", "*.local")),
    ];
    let export = prop_oneof![8 => Just(Value::Null), 1 => Just(json!(["."])), 1 => Just(json!(["client"]))];
    let subsets = prop::collection::vec(
        prop_oneof![
            Just(("v1", "v1")),
            Just(("v2", "v2")),
            Just(("v3", "v3")),
            Just(("twin", "v1")),
            Just(("stale", "v0")),
        ],
        0..5,
    );
    (place, export, subsets).prop_flat_map(|((name, namespace, host), export, subsets)| {
        let mut seen = BTreeSet::new();
        let subsets: Vec<Value> = subsets
            .into_iter()
            .filter(|(name, _)| seen.insert(*name))
            .map(|(name, version)| json!({"name": name, "labels": {"version": version}, "trafficPolicy": {"x": 1}}))
            .collect();
        let mut spec = json!({"host": host, "subsets": subsets});
        if !export.is_null() {
            spec["exportTo"] = export;
        }
        odd(spec).prop_map(move |spec| {
            json!({
                "apiVersion": "networking.istio.io/v1", "kind": "DestinationRule",
                "metadata": {"name": name, "namespace": namespace, "resourceVersion": "3"},
                "spec": spec,
            })
        })
    })
}

fn at(kind: Kind, object: &Value) -> ObjectRef {
    let text = |key: &str| object["metadata"][key].as_str().unwrap_or_default();
    ObjectRef::new(kind, text("namespace"), text("name"))
}

fn world() -> impl Strategy<Value = World> {
    let pods = prop::collection::vec(prop_oneof![1 => Just(0_u32), 4 => 1..5_u32], 1..4);
    let services = prop::collection::vec(virtual_service(), 0..3);
    let rules = prop::collection::vec(destination_rule(), 0..3);
    (pods, services, rules).prop_map(|(pods, services, rules)| {
        let mut world = reviews();
        for (at, ready) in pods.into_iter().enumerate() {
            let name = format!("v{}", at + 1);
            world = world.pods(
                &name,
                ready,
                4,
                &format!("app=reviews,version={name}"),
                &format!("version={name}"),
            );
        }
        for object in services {
            world.write(&at(Kind::VirtualService, &object), object);
        }
        for object in rules {
            world.write(&at(Kind::DestinationRule, &object), object);
        }
        world
    })
}

/// A command that fits the world more often than not.
fn command(world: &World, choice: (u8, u64, u64, u64)) -> Command {
    let (what, a, b, c) = choice;
    let versions = &world.snapshot.versions;
    let pick = |n: u64| versions[usize::try_from(n).unwrap_or(0) % versions.len()].name.clone();
    let parts: Vec<(VersionName, u64)> = versions
        .iter()
        .zip([a % 101, b % 101, c % 101])
        .map(|(version, part)| (version.name.clone(), part))
        .collect();
    let split = Split::rounded(&parts).unwrap_or_else(|| Split::all_to(pick(a)));
    let routing = world.read();
    match what % 5 {
        0 => Command::TakeOver { version: pick(a) },
        1 => {
            let mut rules = routing.rules;
            if !rules.is_empty() {
                let length = rules.len();
                rules.rotate_left(usize::try_from(a).unwrap_or(0) % length);
                if b % 2 == 0 {
                    rules.pop();
                }
                if let Some(rule) = rules.first_mut().filter(|rule| !rule.to.is_empty() && c % 2 == 0) {
                    rule.to = split.into();
                }
            }
            Command::Set(TrafficChange { rules: Some(rules), ..TrafficChange::default() })
        }
        2 => {
            let wish = (b % 3 > 0).then(|| MirrorWish { version: pick(a), percent: 10.0 });
            Command::Set(TrafficChange { mirror: Some(wish), ..TrafficChange::default() })
        }
        3 if !routing.routes.is_empty() => {
            let route = &routing.routes[usize::try_from(a).unwrap_or(0) % routing.routes.len()];
            Command::Set(TrafficChange {
                route: Some(route.id.clone()),
                weights: Some(split),
                ..TrafficChange::default()
            })
        }
        _ => Command::Set(TrafficChange { weights: Some(split), ..TrafficChange::default() }),
    }
}

fn choice() -> impl Strategy<Value = (u8, u64, u64, u64)> {
    (any::<u8>(), 0..1000_u64, 0..1000_u64, 0..1000_u64)
}

// -------------------------------------------------------------- properties

/// Every (object, subset, client) of which requests are answered 503: the route sends requests to a
/// subset that the client's DestinationRule lacks. Written anew here, from the JSON.
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
        now.write(&edit.object, edit.after.clone());
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
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

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
        for edit in planned.plan.edits() {
            let before: Vec<Value> =
                edit.before.as_deref().map(|old| routes(old).into_iter().map(|r| r["route"].clone()).collect()).unwrap_or_default();
            for route in routes(&edit.after).into_iter().filter(|route| !before.contains(&route["route"])) {
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
            Command::SwitchBack { .. } => false,
        };
        let Ok(planned) = world.plan(&command) else { return Ok(()) };
        for edit in planned.plan.edits() {
            let Some(before) = edit.before.as_deref() else { continue };
            prop_assert_eq!(&edit.after["metadata"]["labels"], &before["metadata"]["labels"]);
            prop_assert_eq!(&edit.after["metadata"]["resourceVersion"], &before["metadata"]["resourceVersion"]);
            prop_assert_eq!(&edit.after["spec"]["notOurs"], &before["spec"]["notOurs"]);
            if about_weights {
                prop_assert_eq!(rest(&edit.after, before), rest(before, before));
            }
        }
    }

    #[test]
    fn a_plan_on_its_own_result_is_empty(world in world(), choice in choice()) {
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
        let there = world.after(&planned);
        let back = Command::SwitchBack { revision: 1, specs: saved(&world.snapshot) };
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

// --------------------------------------------------------------- any JSON

fn any_json() -> impl Strategy<Value = Value> {
    let keys = prop_oneof![
        Just("hosts"),
        Just("http"),
        Just("tcp"),
        Just("tls"),
        Just("route"),
        Just("match"),
        Just("destination"),
        Just("host"),
        Just("subset"),
        Just("weight"),
        Just("mirror"),
        Just("mirrors"),
        Just("delegate"),
        Just("name"),
        Just("headers"),
        Just("uri"),
        Just("exact"),
        Just("subsets"),
        Just("labels"),
        Just("exportTo"),
        Just("gateways"),
        Just("workloadSelector"),
        Just("port"),
        Just("number"),
        Just("percentage"),
        Just("value"),
        Just("version"),
    ];
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(|n| json!(n)),
        prop_oneof![Just("reviews"), Just("v1"), Just("*"), Just("."), Just(""), Just("mesh"), Just("/")]
            .prop_map(Value::from),
        ".{0,12}".prop_map(Value::from),
    ];
    leaf.prop_recursive(6, 60, 5, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map(keys.clone().prop_map(str::to_owned), inner, 0..6)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1500, failure_persistence: None, ..ProptestConfig::default() })]

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
        };
        let _ = world.plan(&back);
    }

    #[test]
    fn no_text_makes_the_rules_panic(text in ".{0,80}") {
        let _ = sluice::routing::rule_input::regex(&text);
        let _ = sluice::routing::rule_input::header_name(&text);
    }
}
