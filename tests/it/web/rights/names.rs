//! Every surface that names something of a service's routing, read by people who may not get the object that holds it:
//! no answer, check, refusal, note, plan, page or row of the history has a name out of it.

use serde_json::{Value, json};

use super::{LOOKS, OWNER, RELEASES, ROUTES_ONLY, town, wish};
use crate::support::app::TestApp;
use crate::support::wait_for;

/// Stands in every name that the object of `platform` holds, and nowhere else.
const WORD: &str = "vault";

const SERVICE: &str = "/api/v1/services/bookinfo/reviews";

/// The route of `bookinfo/reviews` beside the service, and an object of `platform` that sends to it, too: routes with
/// names and conditions, a gateway, hosts, a mirror, a delegate.
async fn place() -> TestApp {
    let app = town().await;
    let api = &app.demo.api;
    let mut near = api.get("VirtualService", "platform", "reviews").unwrap();
    api.delete("VirtualService", "platform", "reviews").unwrap();
    near["metadata"] = json!({"name": "reviews", "namespace": "bookinfo"});
    near["spec"]["http"].as_array_mut().unwrap().retain(|route| route["name"] != "partners");
    api.put(near).unwrap();
    let to = |subset: &str, weight: u8| {
        let host = "reviews.bookinfo.svc.cluster.local";
        json!({"destination": {"host": host, "subset": subset}, "weight": weight})
    };
    let beyond = json!({"destination": {"host": "vault-host.platform.svc.cluster.local"}, "weight": 10});
    let when = |path: &str| json!([{"uri": {"prefix": path}}]);
    let spec = json!({
        "hosts": ["vault.example.com"],
        "gateways": ["vault-gateway"],
        "http": [
            {"name": "vault-rule", "match": when("/vault"), "route": [to("v1", 50), to("v2", 50)]},
            {"name": "vault-shared", "match": when("/shared"), "route": [to("v1", 90), beyond]},
            {"name": "vault-faulty", "match": when("/faulty"), "route": [to("v1", 100)],
                "fault": {"abort": {"percentage": {"value": 100}, "httpStatus": 555}}},
            {"name": "vault-gone", "match": when("/gone"), "route": [to("v9", 100)]},
            {"match": when("/more"), "delegate": {"name": "vault-delegate", "namespace": "platform"}},
            {"name": "vault-route", "route": [to("v1", 70), to("v2", 30)],
                "mirror": {"host": "vault-mirror.platform.svc.cluster.local"}},
        ],
    });
    let edge = |name: &str, spec: &Value| {
        json!({"apiVersion": "networking.istio.io/v1", "kind": "VirtualService",
            "metadata": {"name": name, "namespace": "platform"}, "spec": spec})
    };
    api.put(edge("edge", &spec)).unwrap();
    // A service whose only routes are there: which of them is meant has to be asked.
    let to = json!([{"destination": {"host": "details.bookinfo.svc.cluster.local"}}]);
    let spec = json!({
        "hosts": ["vault-two.example.com"],
        "gateways": ["vault-gateway"],
        "http": [
            {"name": "vault-a", "match": when("/a"), "route": to.clone()},
            {"name": "vault-b", "match": when("/b"), "route": to},
        ],
    });
    api.put(edge("edge-two", &spec)).unwrap();
    wait_for("the routes are seen", async || {
        let seen = app.ask("GET", SERVICE).token(OWNER).send().await.json();
        let routes = seen["routes"].as_array()?.clone();
        (routes.iter().any(|route| route["name"] == "edge")
            && routes.iter().any(|route| route["namespace"] == "bookinfo"))
        .then_some(())
    })
    .await;
    app
}

/// What is asked for, in turn; nothing of it has the word itself.
fn asked() -> Vec<(&'static str, String, Value)> {
    let at = |rest: &str| format!("{SERVICE}{rest}");
    let details = |rest: &str| format!("/api/v1/services/bookinfo/details{rest}");
    let ack =
        json!(["big_jump", "few_pods", "no_metrics", "routes_stay", "host_shared", "answered_by_proxy"]);
    let weights = |v1: u8| json!({"weights": {"v1": v1, "v2": 100 - v1, "v3": 0}, "reason": "r", "ack": ack});
    let rule = json!([{"when": [[{"in": "header", "name": "x-beta", "op": "exact", "value": "1"}]], "to": {"v3": 100}}]);
    let spec = wish("reviews");
    let mut asked = vec![
        ("GET", at(""), Value::Null),
        ("GET", details(""), Value::Null),
        ("GET", "/api/v1/services?namespace=bookinfo".to_owned(), Value::Null),
        ("GET", "/api/v1/services?namespace=bookinfo&show=attention".to_owned(), Value::Null),
        ("POST", at("/traffic/preview"), weights(40)),
        ("POST", at("/traffic/preview"), json!({"rules": rule, "reason": "r"})),
        ("POST", at("/traffic/preview"), json!({"mirror": {"version": "v3", "percent": 5}, "reason": "r"})),
        ("POST", at("/traffic/preview"), json!({"route": "strange", "weights": {"v1": 100}, "reason": "r"})),
        ("POST", details("/traffic/preview"), json!({"weights": {"v1": 100}, "reason": "r"})),
        ("PUT", at("/traffic"), weights(40)),
        ("PUT", details("/traffic"), json!({"weights": {"v1": 100}, "reason": "r", "ack": ack})),
        ("POST", at("/traffic/takeover"), json!({"version": "v2", "reason": "r"})),
        ("POST", at("/traffic/takeover"), json!({"version": "v3", "reason": "r", "ack": ack})),
        ("POST", at("/traffic/switch-back"), json!({"revision": 0, "reason": "r", "ack": ack})),
        ("POST", at("/traffic/switch-back"), json!({"revision": 1, "reason": "r"})),
        ("POST", format!("{RELEASES}/plan"), json!({"spec": spec})),
        ("POST", RELEASES.to_owned(), json!({"spec": spec, "reason": "r", "start": false})),
        ("GET", RELEASES.to_owned(), Value::Null),
        ("GET", at("/as-of"), Value::Null),
    ];
    for query in ["", "?service=bookinfo/reviews", "?service=bookinfo/details", "?result=refused"] {
        asked.push(("GET", format!("/api/v1/audit{query}"), Value::Null));
        asked.push(("GET", format!("/api/v1/audit/export{query}"), Value::Null));
    }
    asked
}

const PAGES: [&str; 10] = [
    "/services?namespace=bookinfo",
    "/services/bookinfo/reviews",
    "/services/bookinfo/details",
    "/services/bookinfo/reviews/traffic/takeover?version=v2",
    "/services/bookinfo/reviews/traffic/switch-back?revision=0",
    "/releases",
    "/releases/new?service=bookinfo/reviews&strategy=canary",
    "/audit",
    "/audit?service=bookinfo/reviews",
    "/audit/as-of?service=bookinfo/reviews",
];

/// Asks for everything as one person; returns the surfaces whose answer has the word.
async fn walk(app: &TestApp, token: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut see = |what: String, body: &str| {
        if let Some(at) = body.find(WORD) {
            let from = (0..=at.saturating_sub(160)).rev().find(|at| body.is_char_boundary(*at)).unwrap_or(0);
            found.push(format!("{what}: …{}", body[from..].chars().take(260).collect::<String>()));
        }
    };
    let mut made = Vec::new();
    for (method, path, body) in asked() {
        let mut ask = app.ask(method, &path).token(token);
        if path.contains("/traffic") && !path.contains("preview") {
            let service = path.split("/traffic").next().unwrap();
            let tag = app.ask("GET", service).token(token).send().await.header("etag").to_owned();
            ask = ask.header("if-match", &tag);
        }
        let answer = if body.is_null() { ask.send().await } else { ask.json(&body).send().await };
        assert!(answer.status < 500, "{method} {path}: {}", answer.body);
        see(format!("{method} {path} {body} -> {}", answer.status), &answer.body);
        if path == RELEASES && method == "POST" && answer.status < 300 {
            made.extend(answer.json()["id"].as_str().map(str::to_owned));
        }
    }
    for id in made {
        for rest in ["", "/timeline", "/judgements"] {
            let path = format!("{RELEASES}/{id}{rest}");
            see(path.clone(), &app.ask("GET", &path).token(token).send().await.body);
        }
        for said in ["start", "abort", "rollback"] {
            let path = format!("{RELEASES}/{id}/commands");
            let body = json!({"command": said, "reason": "r", "revision": 0});
            let answer = app.ask("POST", &path).token(token).json(&body).send().await;
            see(format!("{said} -> {}", answer.status), &answer.body);
        }
    }
    let rows = app.ask("GET", "/api/v1/audit?service=bookinfo/reviews").token(token).send().await.json();
    let cookie = app.sign_in(token).await;
    for row in rows["items"].as_array().into_iter().flatten() {
        let id = row["id"].as_i64().unwrap();
        let path = format!("/api/v1/audit/{id}");
        see(path.clone(), &app.ask("GET", &path).token(token).send().await.body);
        let page = app.ask("GET", &format!("/audit/{id}")).header("cookie", &cookie).send().await;
        see(format!("page /audit/{id}"), &page.body);
    }
    for path in PAGES {
        let page = app.ask("GET", path).header("cookie", &cookie).send().await;
        assert!(page.status < 500, "{path}: {}", page.body);
        see(format!("page {path}"), &page.body);
    }
    found
}

#[tokio::test]
async fn nothing_that_is_answered_names_what_an_object_holds_that_one_may_not_get() {
    let app = place().await;
    assert!(!asked().iter().any(|(_, path, body)| path.contains(WORD) || body.to_string().contains(WORD)));
    for token in [LOOKS, ROUTES_ONLY] {
        assert_eq!(walk(&app, token).await, Vec::<String>::new(), "{token}");
    }
    // A reader who may get it sees it, in many places: the walk comes to them.
    let told = walk(&app, OWNER).await;
    for some in [
        "GET /api/v1/services/bookinfo/reviews ",
        "traffic/preview",
        "PUT ",
        "traffic/takeover",
        "/api/v1/audit",
        "page /audit",
        "page /services",
    ] {
        assert!(told.iter().any(|surface| surface.contains(some)), "{some}: {told:#?}");
    }
    // The rows of what the owner did are there for the others without it.
    for token in [LOOKS, ROUTES_ONLY] {
        assert_eq!(walk(&app, token).await, Vec::<String>::new(), "{token}, afterwards");
    }
}
