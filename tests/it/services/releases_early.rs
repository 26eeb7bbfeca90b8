//! Who reaches the pods of a version that a release makes before its steps say so: it has to be accepted before the
//! start, by name.

use serde_json::{Value, json};
use sluice::domain::refusal::Check;
use sluice::domain::release::{PauseReason, Spec};
use sluice::services::Settings;

use super::releases::wish;
use crate::support::house::{House, anna, at};

/// A release of `shop/pricing` (one version at 100 %, two pods) to an image that nobody has tried.
fn pricing() -> Spec {
    wish(|w| {
        w["service"] = json!({"namespace": "shop", "name": "pricing"});
        w["candidate"]["image"] = json!("shop/pricing:v9");
    })
}

async fn accepts(house: &House, spec: &Spec) -> Vec<Check> {
    house.services.plan_release(&anna(), spec).await.unwrap().accepts
}

/// Waits until the plan asks exactly for these codes, and that the start is refused for each of them.
async fn asks(house: &House, spec: &Spec, codes: &[&str]) -> Vec<Check> {
    let accepts = house
        .until("the plan asks for what is there", async |house| {
            let accepts = accepts(house, spec).await;
            (accepts.iter().map(|check| check.code.as_str()).collect::<Vec<_>>() == codes).then_some(accepts)
        })
        .await;
    let refused =
        house.services.start_release(&anna(), spec.clone(), "r", "q").await.err().unwrap_or_default();
    let open: Vec<(&str, Option<&str>)> =
        refused.iter().map(|no| (no.code.as_str(), no.field.as_deref())).collect();
    assert_eq!(open, codes.iter().map(|code| (*code, Some("policies.accept"))).collect::<Vec<_>>());
    accepts
}

fn arg<'c>(check: &'c Check, name: &str) -> &'c str {
    check.args.iter().find(|(key, _)| key == name).map_or("", |(_, value)| value.as_str())
}

fn service(name: &str, selector: &Value) -> Value {
    json!({"apiVersion": "v1", "kind": "Service", "metadata": {"namespace": "shop", "name": name},
        "spec": {"selector": selector, "ports": [{"name": "http", "port": 8080}]}})
}

/// The samples with `shop/pricing`: v1 with two ready pods has everything.
async fn shop() -> House {
    let house = House::alive(None, Settings::default()).await;
    let labels = json!({"app": "pricing", "version": "v1"});
    let template = json!({"metadata": {"labels": labels}, "spec": {"containers": [
        {"name": "pricing", "image": "shop/pricing:v1", "ports": [{"containerPort": 8080}]}]}});
    let workload = json!({"apiVersion": "apps/v1", "kind": "Deployment",
        "metadata": {"namespace": "shop", "name": "pricing-v1", "labels": labels},
        "spec": {"replicas": 2, "selector": {"matchLabels": labels}, "template": template}});
    let istio = |kind: &str, spec: &Value| {
        json!({"apiVersion": "networking.istio.io/v1", "kind": kind,
            "metadata": {"namespace": "shop", "name": "pricing"}, "spec": spec})
    };
    let subsets = json!({"host": "pricing", "subsets": [{"name": "v1", "labels": {"version": "v1"}}]});
    let route = json!({"hosts": ["pricing"], "http": [
        {"route": [{"destination": {"host": "pricing", "subset": "v1"}, "weight": 100}]}]});
    let objects = [
        service("pricing", &json!({"app": "pricing"})),
        workload,
        istio("DestinationRule", &subsets),
        istio("VirtualService", &route),
    ];
    for object in objects {
        house.api.put(object).unwrap();
    }
    house
        .until("both pods are ready", async |house| {
            let snapshot = house.cache.snapshot(&at("shop", "pricing"))?;
            snapshot.versions.first().is_some_and(|version| version.ready == 2).then_some(())
        })
        .await;
    house
}

#[tokio::test]
async fn a_new_version_that_only_the_steps_reach_asks_for_nothing() {
    let house = shop().await;
    assert!(accepts(&house, &pricing()).await.is_empty());
    // Nothing is declared: that is done before the pods are made.
    let bare = wish(|w| w["service"]["name"] = json!("details"));
    assert!(accepts(&house, &bare).await.is_empty());
}

#[tokio::test]
async fn callers_for_whom_the_split_does_not_hold_reach_a_new_version_at_once() {
    let house = shop().await;
    house.edit_outside("VirtualService", "shop", "pricing", |object| {
        object["spec"]["gateways"] = json!(["shop-gateway"]);
        object["spec"]["hosts"] = json!(["shop.example.com"]);
    });
    let asked = asks(&house, &pricing(), &["early_in_mesh"]).await;
    assert_eq!((arg(&asked[0], "v"), arg(&asked[0], "n")), ("v9", "50"));
}

#[tokio::test]
async fn traffic_of_a_port_without_a_route_reaches_a_new_version_at_once() {
    let house = shop().await;
    house.edit_outside("Service", "shop", "pricing", |object| {
        let ports = object["spec"]["ports"].as_array_mut().unwrap();
        ports.push(json!({"name": "tcp-x", "port": 9182}));
        ports.push(json!({"name": "dns", "port": 5353, "protocol": "UDP"}));
    });
    let asked = asks(&house, &pricing(), &["early_by_port", "early_by_port"]).await;
    let ports: Vec<(&str, &str)> =
        asked.iter().map(|check| (arg(check, "protocol"), arg(check, "port"))).collect();
    assert_eq!(ports, [("TCP", "9182 (tcp-x)"), ("UDP", "5353 (dns)")]);
}

#[tokio::test]
async fn a_route_whose_destination_holds_the_new_pods_reaches_them_at_once() {
    let house = shop().await;
    house.edit_outside("VirtualService", "shop", "pricing", |object| {
        let rule = json!({"name": "admin", "match": [{"uri": {"prefix": "/admin"}}],
            "route": [{"destination": {"host": "pricing"}}]});
        object["spec"]["http"].as_array_mut().unwrap().insert(0, rule);
    });
    let asked = asks(&house, &pricing(), &["early_by_route"]).await;
    assert_eq!(arg(&asked[0], "object"), "VirtualService shop/pricing");
    // A subset that holds the stable version alone only while there is no other.
    let house = shop().await;
    house.edit_outside("DestinationRule", "shop", "pricing", |object| {
        object["spec"]["subsets"][0]["labels"] = json!({"app": "pricing"});
    });
    house
        .until("the subset is read", async |house| {
            let asked = accepts(house, &pricing()).await;
            asked.iter().any(|check| check.code.as_str() == "early_by_route").then_some(())
        })
        .await;
}

#[tokio::test]
async fn another_service_that_selects_the_new_pods_is_named_and_accepted_by_its_code() {
    let house = shop().await;
    house.api.put(service("pricing-v1", &json!({"app": "pricing", "version": "v1"}))).unwrap();
    house.api.put(service("pricing-v9", &json!({"app": "pricing", "version": "v9"}))).unwrap();
    house.api.put(service("elsewhere", &json!({"app": "search"}))).unwrap();
    house.api.put(service("e3b", &json!({"app": "pricing"}))).unwrap();
    let asked = asks(&house, &pricing(), &["early_by_service"]).await;
    assert_eq!((arg(&asked[0], "object"), arg(&asked[0], "n")), ("Service e3b", "50"));
    // Accepted, it starts, and nothing stops it before its first approval.
    let spec = Spec {
        policies: serde_json::from_value(json!({"accept": ["early_by_service"]})).unwrap(),
        ..pricing()
    };
    let id = house.start(spec).await.id;
    house.until_paused(id, PauseReason::Gate).await;
}
