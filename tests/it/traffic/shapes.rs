//! Every documented form of routing in a VirtualService, accepted by Istio's own webhook: a change of weights
//! through Sluice alters the numbers and nothing else, and Envoy serves the new split.
//!
//! Written from <https://istio.io/latest/docs/reference/config/networking/virtual-service/>, field by field.

use serde_json::{Value, json};

use super::{effects, subsets, to};
use crate::support::cluster::RealCluster;
use crate::support::mesh::{Ask, Change, Load, Town, weights};

/// The host of every service of this test.
fn host(app: &str) -> String {
    format!("{app}.shapes.svc.cluster.local")
}

fn pair(host: &str) -> Value {
    json!([to(host, "v1", 100), to(host, "v2", 0)])
}

/// The shapes of HTTP routing. In each, the last route is the catch-all over v1 and v2.
fn http() -> Vec<(&'static str, Value)> {
    let h = host("web");
    let to_all = |more: Value| {
        let mut route = json!({"route": pair(&h)});
        route.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        route
    };
    let first = |rule: Value| json!({"http": [rule, to_all(json!({}))]});
    let alone = |more: Value| json!({"http": [to_all(more)]});
    let v2 = json!([to(&h, "v2", 100)]);
    let matched = |when: Value| first(json!({"match": [when], "route": v2}));
    vec![
        ("plain", alone(json!({}))),
        ("named", alone(json!({"name": "everybody"}))),
        ("match-uri", matched(json!({"name": "one", "uri": {"exact": "/x"}, "ignoreUriCase": true}))),
        ("match-prefix", matched(json!({"uri": {"prefix": "/x"}, "method": {"exact": "POST"}}))),
        ("match-regex", matched(json!({"uri": {"regex": "/x/[0-9]+"}, "scheme": {"exact": "https"}}))),
        (
            "match-headers",
            matched(json!({"headers": {"end-user": {"exact": "jason"}, "x-b": {"prefix": "a"}, "x-c": {}}})),
        ),
        (
            "match-without",
            matched(json!({"uri": {"exact": "/x"}, "withoutHeaders": {"x-a": {"exact": "b"}}})),
        ),
        (
            "match-query",
            matched(
                json!({"queryParams": {"q": {"exact": "1"}, "r": {"regex": "[0-9]+"}, "s": {"prefix": "a"}}}),
            ),
        ),
        ("match-authority", matched(json!({"authority": {"exact": "elsewhere"}, "statPrefix": "other"}))),
        (
            "match-source",
            matched(json!({"sourceLabels": {"app": "other"}, "sourceNamespace": "other", "port": 9999})),
        ),
        ("match-gateways", matched(json!({"gateways": ["mesh"], "uri": {"exact": "/x"}}))),
        (
            "redirect",
            first(json!({"match": [{"uri": {"exact": "/old"}}],
            "redirect": {"uri": "/new", "authority": "a.example.com", "scheme": "https", "redirectCode": 308, "derivePort": "FROM_PROTOCOL_DEFAULT"}})),
        ),
        ("redirect-port", first(json!({"match": [{"uri": {"exact": "/old"}}], "redirect": {"port": 8443}}))),
        (
            "direct-response",
            first(json!({"match": [{"uri": {"exact": "/no"}}],
            "directResponse": {"status": 503, "body": {"string": "closed"}}, "headers": {"response": {"set": {"x-a": "b"}}}})),
        ),
        (
            "direct-bytes",
            first(json!({"match": [{"uri": {"exact": "/no"}}],
            "directResponse": {"status": 404, "body": {"bytes": "Y2xvc2Vk"}}})),
        ),
        ("rewrite", alone(json!({"rewrite": {"uri": "/", "authority": "web"}}))),
        (
            "rewrite-regex",
            alone(json!({"rewrite": {"uriRegexRewrite": {"match": "/a/(.*)", "rewrite": "/\\1"}}})),
        ),
        (
            "timeout-retries",
            alone(json!({"timeout": "3s",
            "retries": {"attempts": 3, "perTryTimeout": "1s", "retryOn": "gateway-error,connect-failure", "retryRemoteLocalities": true, "backoff": "50ms", "retryIgnorePreviousHosts": true}})),
        ),
        (
            "fault",
            alone(
                json!({"fault": {"delay": {"fixedDelay": "1s", "percentage": {"value": 0.1}}, "abort": {"httpStatus": 500, "percentage": {"value": 0}}}}),
            ),
        ),
        (
            "fault-abort",
            first(json!({"match": [{"uri": {"exact": "/abort"}}], "route": v2,
            "fault": {"abort": {"httpStatus": 418, "percentage": {"value": 100}}}})),
        ),
        (
            "fault-delay",
            first(json!({"match": [{"uri": {"exact": "/slow"}}], "route": v2,
            "fault": {"delay": {"fixedDelay": "300ms", "percentage": {"value": 100}}}})),
        ),
        (
            "fault-grpc",
            alone(json!({"fault": {"abort": {"grpcStatus": "UNAVAILABLE", "percentage": {"value": 0}}}})),
        ),
        (
            "mirror",
            alone(json!({"mirror": {"host": h, "subset": "v2"}, "mirrorPercentage": {"value": 12.5}})),
        ),
        (
            "mirrors",
            alone(
                json!({"mirrors": [{"destination": {"host": h, "subset": "v2"}, "percentage": {"value": 10}},
            {"destination": {"host": host("other"), "port": {"number": 8080}}, "percentage": {"value": 5}}]}),
            ),
        ),
        ("mirror-old", alone(json!({"mirror": {"host": h}, "mirror_percent": 5}))),
        (
            "cors",
            alone(
                json!({"corsPolicy": {"allowOrigins": [{"exact": "https://a.example.com"}, {"regex": ".*"}],
            "allowMethods": ["GET"], "allowHeaders": ["x-a"], "exposeHeaders": ["x-b"], "maxAge": "24h", "allowCredentials": true, "unmatchedPreflights": "IGNORE"}}),
            ),
        ),
        (
            "headers",
            alone(
                json!({"headers": {"request": {"set": {"x-a": "b"}, "add": {"x-c": "d"}, "remove": ["x-e"]}, "response": {"set": {"x-g": "h"}, "remove": ["x-own"]}}}),
            ),
        ),
        (
            "destination-headers",
            json!({"http": [{"route": [
            {"destination": {"host": h, "subset": "v1", "port": {"number": 8080}}, "weight": 100, "headers": {"response": {"add": {"x-from": "one"}}}},
            {"destination": {"host": h, "subset": "v2", "port": {"number": 8080}}, "weight": 0, "headers": {"response": {"add": {"x-from": "two"}}}}]}]}),
        ),
        ("unusual-sum", json!({"http": [{"route": [to(&h, "v1", 7), to(&h, "v2", 3)]}]})),
        ("one-destination", json!({"http": [{"route": [{"destination": {"host": h, "subset": "v1"}}]}]})),
        ("short-host", json!({"http": [{"route": pair("web")}]})),
        ("export-to", json!({"exportTo": [".", "istio-system"], "http": [to_all(json!({}))]})),
        (
            "several-hosts",
            json!({"hosts": [h, "web.example.com"], "gateways": ["mesh", "istio-system/edge"], "http": [to_all(json!({}))]}),
        ),
        (
            "many-routes",
            json!({"http": (0..12).map(|n| json!({"name": format!("r{n}"), "match": [{"uri": {"exact": format!("/r{n}")}}], "route": v2}))
            .chain([to_all(json!({"name": "rest"}))]).collect::<Vec<_>>()}),
        ),
    ]
}

#[tokio::test]
async fn in_every_form_of_http_routing_only_the_numbers_change_and_envoy_follows() {
    let Some(cluster) = RealCluster::with_mesh() else { return };
    let town = Town::new(cluster, "shapes").await;
    town.app("client", 8080, &[("v1", 1)]).await;
    town.app("other", 8080, &[("v1", 1)]).await;
    town.app("web", 8080, &[("v1", 1), ("v2", 1)]).await;
    subsets(&town, &host("web"), &["v1", "v2"]).await;
    town.settled().await;
    let from = town.sidecar("client").await;
    let ask = Ask::to(&format!("{}:8080", host("web")));
    let load = Load { from, port: 8080, requests: vec![ask], streams: 2, ..Load::default() };
    let sluice = town.sluice().await;
    town.known(&sluice, "web", &[("v1", 1), ("v2", 1)]).await;
    for (form, mut spec) in http() {
        if spec["hosts"].is_null() {
            spec["hosts"] = json!([host("web")]);
        }
        town.istio("VirtualService", form, spec).await;
        let before = wait_for_spec(&town, form).await;
        knows(&town, &sluice, form).await;
        // Else the split that the form before was left with would pass for this one's.
        town.until_routes_of(&load.from, form).await;
        let (answer, _) = town.change(&sluice, "web", weights(&[("v1", 20), ("v2", 80)])).await;
        assert_eq!(answer.status, 200, "{form}: {:?}", answer.body);
        let after = wait_for_spec(&town, form).await;
        assert_eq!(
            numbers(&after).iter().rev().take(2).copied().collect::<Vec<_>>(),
            [80, 20],
            "{form}: {after}"
        );
        if form != "one-destination" {
            assert_eq!(without_numbers(&before), without_numbers(&after), "{form}");
        }
        town.until_split(&load, 600, &[("v1", 0.2), ("v2", 0.8)]).await;
        effects::hold(&town, &load, form).await;
        town.delete("VirtualService", form).await;
    }
}

#[tokio::test]
async fn in_every_form_of_tcp_and_tls_routing_only_the_numbers_change_and_envoy_follows() {
    let Some(cluster) = RealCluster::with_mesh() else { return };
    let town = Town::new(cluster, "forms").await;
    town.app("client", 8080, &[("v1", 1)]).await;
    town.settled().await;
    let from = town.sidecar("client").await;
    let sluice = town.sluice().await;
    for (app, protocol, port, form) in [
        ("mongo", "tcp", 27_017_u16, "plain"),
        ("redis", "tcp", 6_379, "match"),
        ("queue", "tcp", 5_672, "first-of-two"),
        ("vault", "tls", 8_443, "sni"),
        ("store", "tls", 9_443, "two-names"),
    ] {
        let ports = json!([{"name": protocol, "port": port, "targetPort": port}]);
        let spec = json!({"selector": {"app": app}, "ports": ports});
        let service = json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": app}, "spec": spec});
        town.create("Service", service).await.unwrap();
        for version in ["v1", "v2"] {
            town.deploy(app, version, 1, port, json!({})).await;
        }
        let full = format!("{app}.forms.svc.cluster.local");
        subsets(&town, &full, &["v1", "v2"]).await;
        let route = pair(&full);
        let spec = match form {
            "plain" => json!({"tcp": [{"route": route}]}),
            "match" => json!({"tcp": [{"match": [{"port": port}], "route": route}]}),
            "first-of-two" => json!({"tcp": [
                {"match": [{"port": 9999, "sourceLabels": {"app": "other"}}], "route": [to(&full, "v2", 100)]},
                {"match": [{"port": port, "sourceNamespace": "forms", "gateways": ["mesh"]}], "route": route}]}),
            "sni" => json!({"tls": [{"match": [{"port": port, "sniHosts": [full]}], "route": route}]}),
            _ => json!({"tls": [
                {"match": [{"port": port, "sniHosts": [format!("old.{full}")]}], "route": [to(&full, "v1", 100)]},
                {"match": [{"port": port, "sniHosts": [full]}], "route": route}]}),
        };
        let mut spec = spec;
        spec["hosts"] =
            if form == "two-names" { json!([full, format!("old.{full}")]) } else { json!([full]) };
        town.istio("VirtualService", app, spec).await;
        town.settled().await;
        town.known(&sluice, app, &[("v1", 1), ("v2", 1)]).await;
        let before = wait_for_spec(&town, app).await;
        // Where every route has a match, the person says which one is meant.
        let routes = town.seen(&sluice, app).await.body["routes"].clone();
        let meant =
            routes.as_array().unwrap().iter().find(|route| route["weights"] == json!({"v1": 100, "v2": 0}));
        let body = json!({"weights": {"v1": 25, "v2": 75}, "route": meant.unwrap()["id"]});
        let (answer, _) = town.change(&sluice, app, Change::Traffic(body)).await;
        assert_eq!(answer.status, 200, "{form}: {:?}", answer.body);
        let after = wait_for_spec(&town, app).await;
        assert_eq!(without_numbers(&before), without_numbers(&after), "{form}");
        let load = Load {
            from: from.clone(),
            port,
            speaks: protocol,
            requests: vec![Ask::to(&full)],
            streams: 2,
            ..Load::default()
        };
        town.until_split(&load, 400, &[("v1", 0.25), ("v2", 0.75)]).await;
    }
}

async fn wait_for_spec(town: &Town<'_>, name: &str) -> Value {
    town.get("VirtualService", name).await["spec"].clone()
}

/// Waits until Sluice's own watch has the object.
async fn knows(town: &Town<'_>, sluice: &crate::support::served::Served, name: &str) {
    crate::support::wait_for(name, async || {
        let seen = town.seen(sluice, "web").await.body;
        let routes = seen["routes"].as_array()?;
        (!routes.is_empty() && routes.iter().all(|route| route["name"] == json!(name))).then_some(())
    })
    .await;
}

/// Every weight in the spec, in order.
fn numbers(spec: &Value) -> Vec<i64> {
    match spec {
        Value::Array(items) => items.iter().flat_map(numbers).collect(),
        Value::Object(fields) => {
            let own = fields.get("weight").and_then(Value::as_i64);
            let nested =
                fields.iter().filter(|(key, _)| *key != "weight").flat_map(|(_, value)| numbers(value));
            own.into_iter().chain(nested).collect()
        }
        _ => Vec::new(),
    }
}

/// The spec with the weights of the default route taken out: what must not change.
fn without_numbers(spec: &Value) -> Value {
    match spec {
        Value::Array(items) => items.iter().map(without_numbers).collect(),
        Value::Object(fields) => fields
            .iter()
            .filter(|(key, _)| *key != "weight")
            .map(|(key, value)| (key.clone(), without_numbers(value)))
            .collect(),
        other => other.clone(),
    }
}
