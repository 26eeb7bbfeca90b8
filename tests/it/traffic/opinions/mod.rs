//! The demo's router and real Envoy, asked the same questions: hundreds of drawn configurations, all of them in
//! one cluster, each with its requests. Same version, same path, or the same refusal every time.

mod draw;

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use futures::StreamExt;
use kube::api::ListParams;
use serde_json::{Value, json};
use sluice::demo::random::Random;
use sluice::demo::router::{Caller, End, Proxy, Request, Routed, route};
use sluice::demo::world::World;

use self::draw::Configuration;
use crate::support::cluster::{Mesh, Options, RealCluster};
use crate::support::mesh::{Ask, Got, Load, Town};
use crate::support::wait_for;

const CONFIGURATIONS: usize = 240;
const REQUESTS: usize = 24;
/// How often the demo's router is asked, because chance may have a part; and how often before it is blamed.
const FEW: u64 = 10;
const MANY: u64 = 1_000;

/// In a cluster of their own: so many objects keep istiod from being quick for anybody else.
#[tokio::test]
async fn the_demos_router_and_real_envoy_agree() {
    let options = Options { mesh: Mesh::Started, ..Options::default() };
    let Some(cluster) = RealCluster::start(options) else { return };
    agree(&cluster, "opinions", "client", 8080).await;
    agree(&cluster, "gates", "gateway", 80).await;
}

async fn agree(cluster: &RealCluster, namespace: &str, from: &str, port: u16) {
    let town = Town::new(cluster, namespace).await;
    town.deploy("client", "v1", 1, 8080, json!({})).await;
    for version in ["v1", "v2", "v3"] {
        town.deploy("web", version, 1, 8080, json!({})).await;
    }
    // Nobody behind it: an image that never gets ready.
    let labels = json!({"app": "web", "version": "v4"});
    let pod = json!({"metadata": {"labels": labels}, "spec": {"containers": [{"name": "web", "image": "web:unready"}]}});
    let spec = json!({"replicas": 1, "selector": {"matchLabels": labels}, "template": pod});
    let object =
        json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web-v4"}, "spec": spec});
    town.create("Deployment", object).await.unwrap();
    let gate = (from == "gateway").then(|| "gate".to_owned());
    if let Some(name) = &gate {
        let server =
            json!({"port": {"number": 80, "name": "http", "protocol": "HTTP"}, "hosts": ["*.example.com"]});
        let spec = json!({"selector": {"istio": "ingressgateway"}, "servers": [server]});
        town.istio("Gateway", name, spec).await;
    }

    let mut random = Random::new(1_409);
    let drawn: Vec<Configuration> = (0..CONFIGURATIONS)
        .map(|n| draw::configuration(&mut random, namespace, gate.as_deref(), n))
        .collect();
    let to = &town;
    let accepted: Vec<&Configuration> = futures::stream::iter(&drawn)
        .map(|one| async move { write(to, one).await.then_some(one) })
        .buffered(16)
        .filter_map(async |one| one)
        .collect()
        .await;
    assert!(accepted.len() >= 200, "istiod refuses too many: {} are left", accepted.len());

    let from = if gate.is_none() {
        town.sidecar(from).await
    } else {
        cluster.ask("proxy/start?name=gateway", "", std::time::Duration::from_mins(1)).await;
        "gateway".to_owned()
    };
    let ready = draw::last(namespace, gate.as_deref());
    assert!(write(&town, &ready).await);
    // web-v4 never gets ready, so not `settled`.
    let probe =
        Load { from, port, requests: vec![Ask::to(&ready.host)], count: 1, each: true, ..Load::default() };
    wait_for("the proxy has everything", async || {
        (town.load(&probe).await.each.first()?.status == 299).then_some(())
    })
    .await;

    let asks: Vec<(usize, Ask)> = accepted
        .iter()
        .enumerate()
        .flat_map(|(at, one)| {
            let mut random = Random::new(one.host.len() as u64 * 1_000 + at as u64);
            (0..REQUESTS).map(move |_| (at, draw::ask(&mut random, one))).collect::<Vec<_>>()
        })
        .collect();
    let requests: Vec<Ask> = asks.iter().map(|(_, ask)| ask.clone()).collect();
    let count = u32::try_from(requests.len()).unwrap();
    let load = Load { requests, count, streams: 4, ..probe };
    // Once over: clusters may still be warming when the last route is there.
    town.load(&load).await;
    let got = town.load(&load).await.each;

    let all = everything(&town).await;
    let caller = caller(&all, gate.is_some(), namespace);
    let mut differences = BTreeMap::new();
    for (at, one) in accepted.iter().enumerate() {
        let world = World::of(all.iter().filter(|object| concerns(object, one)).cloned());
        for ((_, ask), got) in asks.iter().zip(&got).filter(|((of, _), _)| *of == at) {
            let seen = said(got);
            let mut expected = expected(&world, &caller, ask, port, 0..FEW);
            if !expected.contains(&seen) {
                expected.extend(self::expected(&world, &caller, ask, port, FEW..MANY));
            }
            if !expected.contains(&seen) {
                let vs: Vec<&Value> = one.objects.iter().map(|(_, _, spec)| spec).collect();
                differences.entry(at).or_insert_with(|| {
                    format!("{ask:?}\n  Envoy: {seen}\n  demo:  {expected:?}\n  {}", json!(vs))
                });
            }
        }
    }
    let told: Vec<&String> = differences.values().take(6).collect();
    assert!(
        told.is_empty(),
        "{} of {} configurations differ:\n{}",
        differences.len(),
        accepted.len(),
        told.iter().map(|text| text.as_str()).collect::<Vec<_>>().join("\n")
    );
}

/// Writes all objects of a configuration; false when istiod refuses one of them, with what was written gone.
async fn write(town: &Town<'_>, one: &Configuration) -> bool {
    let ports = json!([{"name": "http", "port": 8080, "targetPort": 8080}]);
    let spec = json!({"selector": {"app": "web"}, "ports": ports});
    let service =
        json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": one.name}, "spec": spec});
    town.create("Service", service).await.unwrap();
    let mut written: Vec<(&str, &str)> = vec![("Service", &one.name)];
    for (kind, name, spec) in &one.objects {
        let object = json!({"apiVersion": "networking.istio.io/v1", "kind": kind, "metadata": {"name": name}, "spec": spec});
        if let Err(error) = town.create(kind, object).await {
            let words = error.to_string();
            assert!(words.contains("validation.istio.io"), "{words}");
            for (kind, name) in written {
                town.delete(kind, name).await;
            }
            return false;
        }
        written.push((kind, name));
    }
    true
}

async fn everything(town: &Town<'_>) -> Vec<Value> {
    let mut all = Vec::new();
    for kind in ["Service", "Pod", "EndpointSlice", "VirtualService", "DestinationRule", "Gateway"] {
        for object in town.objects(kind).list(&ListParams::default()).await.unwrap().items {
            let mut object = serde_json::to_value(object).unwrap();
            object["kind"] = json!(kind);
            all.push(object);
        }
    }
    all
}

/// Only what one configuration is about: the demo's router looks at everything it is given.
fn concerns(object: &Value, one: &Configuration) -> bool {
    let name = object["metadata"]["name"].as_str().unwrap();
    match object["kind"].as_str().unwrap() {
        "Pod" | "Gateway" => true,
        "EndpointSlice" => object["metadata"]["labels"]["kubernetes.io/service-name"] == json!(one.name),
        "Service" => name == one.name,
        _ => one.objects.iter().any(|(_, of, _)| of == name),
    }
}

fn caller(all: &[Value], outside: bool, namespace: &str) -> Caller {
    if outside {
        return Caller::outside(&format!("{namespace}/gate"));
    }
    let client = all.iter().find(|object| {
        object["kind"] == json!("Pod") && object["metadata"]["labels"]["app"] == json!("client")
    });
    let labels = client.unwrap()["metadata"]["labels"].as_object().unwrap();
    Caller {
        namespace: namespace.into(),
        labels: labels.iter().map(|(k, v)| (k.as_str().into(), v.as_str().unwrap().into())).collect(),
        proxy: Proxy::Sidecar,
    }
}

/// All that the demo's router may answer.
fn expected(world: &World, from: &Caller, ask: &Ask, port: u16, seeds: Range<u64>) -> BTreeSet<String> {
    let (path, query) = ask.path.split_once('?').unwrap_or((&ask.path, ""));
    let query: Vec<(&str, &str)> = query
        .split('&')
        .filter(|part| !part.is_empty())
        .map(|part| part.split_once('=').unwrap_or((part, "")))
        .collect();
    let request = Request {
        authority: &ask.host,
        port,
        method: &ask.method,
        path,
        query: &query,
        headers: &ask.headers,
    };
    let tail = ask.path.split_once('?').map(|(_, query)| format!("?{query}")).unwrap_or_default();
    seeds
        .map(|seed| match route(world, from, &request, &mut Random::new(seed * 7_919)) {
            Routed { end: End::Pod(endpoint), path, .. } => format!("200 {} {path}{tail}", endpoint.version),
            Routed { end: End::Proxy { status, flag }, .. } => format!("{status} {flag}"),
        })
        .collect()
}

fn said(got: &Got) -> String {
    match got.status {
        200 if !got.version.is_empty() => format!("200 {} {}", got.version, got.path),
        0 => got.error.clone(),
        status => format!("{status} {}", if got.flags.is_empty() { "-" } else { &got.flags }),
    }
}
