//! The names of objects that a reader may not get, and of their namespaces, are in nothing that is answered: pages,
//! REST, exports, events, plans. The walk takes every route that answers GET from the document of the API.

use serde_json::{Value, json};

use super::{FAR, LOOKS, NOBODY, OWNER, RELEASES, SECOND, town, wish};
use crate::support::app::TestApp;
use crate::support::wait_for;

/// Names of objects of `platform`, which are in nothing else.
const OBJECTS: [&str; 3] = ["secretvs-qq", "secretdr-qq", "secretdg-qq"];

/// The town with a route, a rule of callers and a delegate in `platform` for `bookinfo/details`, and a version of
/// `bookinfo/ratings` whose workload has a name that only the owner may read.
async fn place() -> TestApp {
    let app = town().await;
    let api = &app.demo.api;
    let host = "details.bookinfo.svc.cluster.local";
    let object = |kind: &str, name: &str, spec: Value| {
        json!({"apiVersion": "networking.istio.io/v1", "kind": kind,
            "metadata": {"namespace": "platform", "name": name}, "spec": spec})
    };
    let to = json!([{"destination": {"host": host, "subset": "v9"}}]);
    let route = json!({"hosts": [host], "exportTo": [".", "bookinfo"], "http": [
        {"match": [{"uri": {"prefix": "/x"}}], "delegate": {"name": "secretdg-qq", "namespace": "platform"}},
        {"match": [{"uri": {"prefix": "/y"}}], "route": to.clone()},
        {"route": to},
    ]});
    api.put(object("VirtualService", "secretvs-qq", route)).unwrap();
    let rule = json!({"host": host, "subsets": [{"name": "v1", "labels": {"version": "v2"}}]});
    api.put(object("DestinationRule", "secretdr-qq", rule)).unwrap();
    wait_for("the objects are seen", async || {
        let seen = app.ask("GET", "/api/v1/services/bookinfo/details").token(OWNER).send().await.body;
        (seen.contains("secretvs-qq") && seen.contains("secretdr-qq")).then_some(())
    })
    .await;
    app
}

/// Every address that the API answers on GET, with the parameters of this place.
async fn addresses(app: &TestApp, release: &str) -> Vec<String> {
    let document = app.ask("GET", "/api/openapi.json").token(OWNER).send().await.json();
    let services = [("bookinfo", "details"), ("bookinfo", "reviews")];
    let rows = app.ask("GET", "/api/v1/audit?limit=100").token(OWNER).send().await.json();
    let rows: Vec<i64> =
        rows["items"].as_array().unwrap().iter().filter_map(|row| row["id"].as_i64()).collect();
    assert!(rows.len() > 3, "{rows:?}");
    let mut out = Vec::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        if item.get("get").is_none() || path.contains("events") {
            continue;
        }
        for (namespace, name) in services {
            let path = path.replace("{namespace}", namespace).replace("{name}", name);
            match path.as_str() {
                _ if path.contains("audit/{") => {
                    out.extend(rows.iter().map(|id| format!("/api/v1/audit/{id}")));
                    break;
                }
                // Drafts are their owners', and an object is asked for by its name.
                _ if path.contains("drafts/{") || path.contains("/objects/") => break,
                _ => out.push(path.replace("{id}", release)),
            }
        }
    }
    out.push("/api/v1/audit/export?format=csv".to_owned());
    out.sort();
    out.dedup();
    assert!(out.len() > 12 && out.iter().all(|path| !path.contains('{')), "{out:?}");
    out
}

const PAGES: [&str; 14] = [
    "/services",
    "/services?namespace=bookinfo",
    "/services/bookinfo/details",
    "/services/bookinfo/reviews",
    "/services/bookinfo/details/traffic/takeover?version=v1",
    "/services/bookinfo/reviews/traffic/takeover?version=v2",
    "/services/bookinfo/reviews/traffic/switch-back?revision=0",
    "/services/bookinfo/reviews/traffic/retire?version=v3",
    "/releases",
    "/releases/new?service=bookinfo/details&strategy=canary",
    "/releases/new?service=bookinfo/reviews&strategy=canary",
    "/audit",
    "/audit.csv",
    "/audit/as-of?service=bookinfo/reviews",
];

/// Walks everything as one person; the answers that have one of the words.
async fn walk(app: &TestApp, token: &str, release: &str, words: &[&str]) -> Vec<String> {
    let mut found = Vec::new();
    let mut see = |what: &str, body: &str| {
        // The refusal of a missing right says in which namespace: nobody could grant it otherwise.
        let granted = ["in `platform`", "in platform", "in <code>platform</code>"];
        let body = granted.iter().fold(body.to_owned(), |text, words| text.replace(words, ""));
        for word in words {
            if let Some(at) = body.find(word) {
                let from =
                    (0..=at.saturating_sub(160)).rev().find(|at| body.is_char_boundary(*at)).unwrap_or(0);
                found.push(format!("{what}: …{}", body[from..].chars().take(260).collect::<String>()));
            }
        }
    };
    let addresses = addresses(app, release).await;
    for path in &addresses {
        let answer = app.ask("GET", path).token(token).send().await;
        assert!(answer.status < 500, "{path}: {}", answer.body);
        see(path, &answer.body);
    }
    for service in ["details", "reviews"] {
        let at = format!("/api/v1/services/bookinfo/{service}/traffic");
        let candidate = if service == "details" { "v1" } else { "v2" };
        for (path, body) in [
            (format!("{at}/preview"), json!({"weights": {"v1": 100}, "reason": "r"})),
            (format!("{at}/takeover?dry_run=true"), json!({"version": candidate, "reason": "r"})),
            (
                format!("{at}/retire?dry_run=true"),
                json!({"version": "v3", "confirm": "reviews v3", "reason": "r"}),
            ),
            (format!("{RELEASES}/plan"), json!({"spec": wish(service)})),
        ] {
            let answer = app.ask("POST", &path).token(token).json(&body).send().await;
            assert!(answer.status < 500, "{path}: {}", answer.body);
            // Who lacks a right is told in which namespace: nobody could grant it otherwise.
            let text =
                answer.body.replace("in namespace `platform`", "").replace("in namespace platform", "");
            see(&format!("{path} {body}"), &text);
        }
    }
    let cookie = app.sign_in(token).await;
    let rows: Vec<String> = addresses
        .iter()
        .filter_map(|path| path.strip_prefix("/api/v1").filter(|path| path.starts_with("/audit/")))
        .filter(|path| path[7..].parse::<i64>().is_ok())
        .map(str::to_owned)
        .collect();
    let release = format!("/releases/{release}");
    for path in PAGES.iter().copied().chain(rows.iter().map(String::as_str)).chain([&*release]) {
        let page = app.ask("GET", path).header("cookie", &cookie).send().await;
        assert!(page.status < 500, "{path}: {}", page.body);
        see(&format!("page {path}"), &page.body);
    }
    found
}

#[tokio::test]
async fn no_answer_names_an_object_that_its_reader_may_not_get() {
    let app = place().await;
    // Rows that have objects and workloads: a change, a refusal, a release that makes a version, a deletion.
    let body = json!({"weights": {"v1": 80, "v2": 20}, "reason": "r", "ack": ["big_jump", "no_metrics"]});
    let made = app.ask("PUT", FAR).token(OWNER).header("if-match", "\"0\"").json(&body).send().await;
    assert_eq!(made.status, 200, "{}", made.body);
    let body = json!({"weights": {"v1": 100, "v2": 0}, "reason": "r", "ack": ["big_jump", "no_metrics"]});
    let made = app.ask("PUT", FAR).token(OWNER).header("if-match", "\"1\"").json(&body).send().await;
    assert_eq!(made.status, 200, "{}", made.body);
    let ask = app.ask("POST", "/api/v1/services/bookinfo/details/traffic/takeover").token(OWNER);
    let refused = ask.json(&json!({"version": "v1", "reason": "r"})).send().await;
    assert!(refused.status < 500, "{}", refused.body);
    let mut spec = wish("reviews");
    spec["candidate"] =
        json!({"from": "image", "version": "secretwl-qq", "image": "registry.example/reviews:2"});
    let body = json!({"spec": spec, "reason": "r"});
    let made = app.ask("POST", RELEASES).token(OWNER).json(&body).send().await;
    assert_eq!(made.status, 200, "{}", made.body);
    let id = made.json()["id"].as_str().unwrap().to_owned();
    let rows = "/api/v1/audit?action=workload&limit=100";
    wait_for("its workload was made", async || {
        let rows = app.ask("GET", rows).token(OWNER).send().await.json();
        rows["items"].as_array().is_some_and(|rows| !rows.is_empty()).then_some(())
    })
    .await;

    // The version's name is its own: what is looked for is the name of the workload.
    let workload = "reviews-secretwl-qq";
    let names: Vec<&str> = OBJECTS.iter().copied().chain([workload]).collect();
    let mut both = names.clone();
    both.push("platform");
    // vic may get workloads in `bookinfo`.
    assert_eq!(walk(&app, LOOKS, &id, &both[..3]).await, Vec::<String>::new());
    assert_eq!(walk(&app, LOOKS, &id, &["platform"]).await, Vec::<String>::new());
    // noor sees the services of `bookinfo`, and nothing else.
    app.demo.api.grant(sluice::demo::api::Right {
        subject: "noor".into(),
        namespace: Some("bookinfo".into()),
        verbs: vec!["list".into()],
        groups: vec![String::new()],
        resources: vec!["services".into()],
        names: Vec::new(),
    });
    assert_eq!(walk(&app, NOBODY, &id, &both).await, Vec::<String>::new());
    // The walk comes to them: whoever may get the objects reads every name.
    let told = walk(&app, SECOND, &id, &both).await;
    for word in [&names[..], &["page /", "/api/v1/audit/", "/preview", "/plan", "platform"][..]].concat() {
        assert!(told.iter().any(|line| line.contains(word)), "{word}: {told:#?}");
    }
}
