//! Random worlds, commands and JSON for the properties.

use std::collections::BTreeSet;

use proptest::prelude::*;
use serde_json::{Value, json};
use sluice::domain::command::{Command, MirrorWish, TrafficChange};
use sluice::domain::ids::{Kind, ObjectRef, VersionName};
use sluice::domain::split::Split;

use super::support::{World, reviews};

pub const HOST: &str = "reviews.shop.svc.cluster.local";

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

pub fn at(kind: Kind, object: &Value) -> ObjectRef {
    let text = |key: &str| object["metadata"][key].as_str().unwrap_or_default();
    ObjectRef::new(kind, text("namespace"), text("name"))
}

pub fn world() -> impl Strategy<Value = World> {
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
pub fn command(world: &World, choice: (u8, u64, u64, u64)) -> Command {
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

pub fn choice() -> impl Strategy<Value = (u8, u64, u64, u64)> {
    (any::<u8>(), 0..1000_u64, 0..1000_u64, 0..1000_u64)
}

pub fn any_json() -> impl Strategy<Value = Value> {
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
