//! What is shown of an object needs the right to get it: history, exports, previews and pages say that there is one to
//! everybody who may see the service, and its name and the rest to whoever may read it.

use serde_json::{Value, json};

use super::{
    FAR, LOOKS, OWNER, RELEASES, ROUTES_ONLY, SECOND, SECRET, command, history, town, until, waiting, wish,
};
use crate::support::app::TestApp;

async fn changed(app: &TestApp) -> i64 {
    let body = json!({"weights": {"v1": 80, "v2": 20}, "reason": "r", "ack": ["big_jump", "no_metrics"]});
    let made = app.ask("PUT", FAR).token(OWNER).header("if-match", "\"0\"").json(&body).send().await;
    assert_eq!(made.status, 200, "{}", made.body);
    made.json()["entry"].as_i64().unwrap()
}

async fn page(app: &TestApp, token: &str, path: &str) -> String {
    let cookie = app.sign_in(token).await;
    let page = app.ask("GET", path).header("cookie", &cookie).send().await;
    assert_eq!(page.status, 200, "{path}: {}", page.body);
    page.body
}

#[tokio::test]
async fn the_history_shows_an_object_to_whoever_may_get_it() {
    let app = town().await;
    let entry = changed(&app).await;
    for (token, may) in [(OWNER, true), (LOOKS, false)] {
        let full = app.ask("GET", &format!("/api/v1/audit/{entry}")).token(token).send().await.json();
        let edit = full["edits"].as_array().unwrap().iter().find(|edit| edit["kind"] == "VirtualService");
        let edit = edit.expect("that it was written is shown");
        let named = if may { ("platform", "reviews") } else { ("hidden", "hidden-1") };
        assert_eq!((&edit["namespace"], &edit["name"]), (&json!(named.0), &json!(named.1)));
        assert_eq!((&edit["shown"], edit["after"].is_null()), (&json!(may), !may), "{edit}");
        for path in ["/api/v1/audit/export", "/api/v1/audit/export?format=csv"] {
            let file = app.ask("GET", path).token(token).send().await;
            assert_eq!((file.status, file.body.contains(SECRET)), (200, may), "{path} by {token}");
            assert_eq!(file.body.contains("platform"), may, "{path} by {token}: its name");
        }
        let then = app.ask("GET", "/api/v1/services/bookinfo/reviews/as-of").token(token).send().await.json();
        assert_eq!((&then["revision"], &then["made_by"]["id"]), (&json!(1), &json!(entry)), "{then}");
        let objects = then["objects"].as_array().unwrap();
        let at =
            objects.iter().find(|at| at["kind"] == "VirtualService").expect("that it was there is shown");
        assert_eq!((at["spec"].is_null(), then.to_string().contains(SECRET)), (!may, may), "{then}");
        let path = "/audit/as-of?service=bookinfo/reviews&date=2026-01-02&time=03:04:05";
        assert_eq!(page(&app, token, path).await.contains(SECRET), may, "{path} by {token}");
        for path in ["/audit.csv", "/audit.json"] {
            let shown = page(&app, token, path).await;
            assert_eq!(shown.contains(SECRET), may, "{path} by {token}");
        }
        let detail = page(&app, token, &format!("/audit/{entry}")).await;
        assert_eq!(detail.contains("not shown: this needs permission"), !may, "{token}: {detail}");
    }
}

#[tokio::test]
async fn a_rule_of_an_object_that_one_may_not_get_has_no_conditions() {
    let app = town().await;
    for (token, may) in [(OWNER, true), (LOOKS, false)] {
        let path = "/api/v1/services/bookinfo/reviews";
        let service = app.ask("GET", path).token(token).send().await.json();
        let rules = service["rules"].as_array().unwrap();
        assert_eq!(rules.len(), 1, "{service}");
        assert_eq!(service.to_string().contains(SECRET), may, "{token}");
        assert_eq!(rules[0]["opaque"] == json!(["hidden"]), !may, "{}", rules[0]);
        assert_eq!(page(&app, token, "/services/bookinfo/reviews").await.contains(SECRET), may, "{token}");
    }
}

/// The history names rules by their conditions: to whoever may read the object that holds them.
#[tokio::test]
async fn an_entry_about_a_rule_has_its_conditions_for_whoever_may_get_the_object() {
    let app = town().await;
    let at = json!({"in": "header", "name": "x-plan", "op": "exact", "value": "gold-7741"});
    let body = json!({
        "rules": [{"when": [[at]], "to": {"v2": 100}}], "reason": "r", "ack": ["big_jump", "few_pods", "no_metrics"],
    });
    let made = app.ask("PUT", FAR).token(OWNER).header("if-match", "\"0\"").json(&body).send().await;
    assert_eq!(made.status, 200, "{}", made.body);
    let entry = made.json()["entry"].as_i64().unwrap();
    for (token, may) in [(OWNER, true), (LOOKS, false)] {
        for path in ["/api/v1/audit", "/api/v1/audit/export", "/api/v1/audit/export?format=csv"] {
            let shown = app.ask("GET", path).token(token).send().await;
            assert_eq!((shown.status, shown.body.contains("gold-7741")), (200, may), "{path} by {token}");
        }
        for path in ["/audit", &format!("/audit/{entry}"), "/services/bookinfo/reviews?applied=1"] {
            assert_eq!(page(&app, token, path).await.contains("gold-7741"), may, "{path} by {token}");
        }
    }
}

#[tokio::test]
async fn a_difference_that_stops_a_release_is_shown_to_whoever_may_get_the_object() {
    let app = town().await;
    let id = waiting(&app, &wish("reviews")).await;
    let mut route = app.demo.api.get("VirtualService", "platform", "reviews").unwrap();
    route["spec"]["http"][1]["route"][0]["weight"] = json!(60);
    route["spec"]["http"][1]["route"][1]["weight"] = json!(40);
    route["spec"]["http"][0]["match"][0]["headers"]["x-partner"]["exact"] = json!(format!("{SECRET}-2"));
    app.demo.api.put_as(route, "kubectl").unwrap();
    until(&app, &id, "it stops", |release| release["paused"]["reason"] == "drift").await;
    for (token, may) in [(SECOND, true), (LOOKS, false)] {
        let release = app.ask("GET", &format!("{RELEASES}/{id}")).token(token).send().await.json();
        let edits: &Vec<Value> = release["outside"]["edits"].as_array().unwrap();
        let namespace = if may { "platform" } else { "hidden" };
        assert!(edits.iter().any(|edit| edit["namespace"] == namespace && edit["shown"] == may), "{edits:?}");
        assert_eq!(release.to_string().contains(SECRET), may, "{token}");
        assert_eq!(page(&app, token, &format!("/releases/{id}")).await.contains(SECRET), may, "{token}");
    }
    let resumed = command(&app, SECOND, &id, &json!({"command": "resume"})).await;
    assert_eq!(resumed.status, 200, "{}", resumed.body);
}

/// An auditor reads who did what everywhere; what stands in an object is the object's.
#[tokio::test]
async fn the_whole_history_is_no_right_to_every_object() {
    let app = town().await;
    let entry = changed(&app).await;
    app.demo.api.grant(sluice::demo::api::Right {
        subject: "noor".into(),
        namespace: None,
        verbs: vec!["list".into()],
        groups: vec!["sluice.io".into()],
        resources: vec!["audit".into()],
        names: Vec::new(),
    });
    let file = app.ask("GET", "/api/v1/audit/export").token(super::NOBODY).send().await;
    assert!(file.body.contains("olga") && !file.body.contains(SECRET), "{}", file.body);
    assert_eq!(history(&app, "actor=olga").await[0]["id"].as_i64(), Some(entry));
}

/// What a person can see of `bookinfo/details`, surface by surface, without what every reading has of its own.
async fn surfaces(app: &TestApp, token: &str) -> Vec<(&'static str, String)> {
    let mut out = Vec::new();
    for (what, path) in [
        ("service", "/api/v1/services/bookinfo/details"),
        ("list", "/api/v1/services?namespace=bookinfo"),
        ("attention", "/api/v1/services?namespace=bookinfo&show=attention"),
        ("history", "/api/v1/audit?service=bookinfo/details"),
        ("export", "/api/v1/audit/export?service=bookinfo/details"),
    ] {
        let answer = app.ask("GET", path).token(token).send().await;
        assert_eq!(answer.status, 200, "{path} by {token}: {}", answer.body);
        out.push((what, answer.body));
    }
    for (what, path) in
        [("page", "/services/bookinfo/details"), ("list page", "/services?namespace=bookinfo")]
    {
        out.push((what, page(app, token, path).await));
    }
    let ask = app.ask("POST", "/api/v1/services/bookinfo/details/traffic/preview").token(token);
    let preview = ask.json(&json!({"weights": {"v1": 100}})).send().await;
    out.push(("preview", preview.body));
    out
}

/// Whether anything of it says that the host does not exist.
fn tells(text: &str) -> bool {
    ["host_missing", "no_host", "\"broken\"", "Broken", "does not exist"]
        .iter()
        .any(|word| text.contains(word))
}

#[tokio::test]
async fn whether_a_service_of_another_namespace_exists_is_for_whoever_sees_that_namespace() {
    let app = town().await;
    let to = |host: &str, weight: u8| json!({"destination": {"host": host}, "weight": weight});
    let route = json!([to("details", 90), to("vault.platform.svc.cluster.local", 10)]);
    app.demo
        .api
        .put(json!({
            "apiVersion": "networking.istio.io/v1", "kind": "VirtualService",
            "metadata": {"namespace": "bookinfo", "name": "details"},
            "spec": {"hosts": ["details"], "http": [{"route": route}]},
        }))
        .unwrap();
    let path = "/api/v1/services/bookinfo/details";
    crate::support::wait_for("the owner sees that it is missing", async || {
        let service = app.ask("GET", path).token(OWNER).send().await.json();
        let list =
            app.ask("GET", "/api/v1/services?namespace=bookinfo&show=attention").token(OWNER).send().await;
        (service["state"] == "broken" && list.body.contains("host_missing")).then_some(())
    })
    .await;
    for (token, may) in [(OWNER, true), (SECOND, true), (ROUTES_ONLY, false), (LOOKS, false)] {
        for (surface, text) in surfaces(&app, token).await {
            let tells = tells(&text);
            assert_eq!(
                tells,
                may && !matches!(surface, "history" | "export"),
                "{surface} by {token}: {text}"
            );
        }
    }
    let state = async |token: &str| app.ask("GET", path).token(token).send().await.json()["split"].clone();
    let before = state(LOOKS).await;
    let mut vault = app.demo.api.get("Service", "bookinfo", "details").unwrap();
    vault["metadata"] = json!({"namespace": "platform", "name": "vault"});
    app.demo.api.put(vault).unwrap();
    crate::support::wait_for("the owner sees that it is there", async || {
        (app.ask("GET", path).token(OWNER).send().await.json()["state"] != "broken").then_some(())
    })
    .await;
    assert_eq!(state(LOOKS).await, before, "it is there or not: the same to whoever may not know");

    // The way back to a route whose host is gone is refused, and the row of it says so to whoever may know.
    app.demo.api.delete("Service", "platform", "vault").unwrap();
    let mut plain = app.demo.api.get("VirtualService", "bookinfo", "details").unwrap();
    plain["spec"]["http"] = json!([{"route": [to("details", 100)]}]);
    app.demo.api.put_as(plain, "kubectl").unwrap();
    let revision = crate::support::wait_for("the edit is a revision", async || {
        let service = app.ask("GET", path).token(OWNER).send().await.json();
        let plain = service["split"].as_array().is_some_and(|split| split.len() == 1);
        service["revision"].as_u64().filter(|revision| plain && *revision > 1)
    })
    .await;
    let ask = app.ask("POST", &format!("{path}/traffic/switch-back")).token(OWNER);
    let ask = ask.header("if-match", &format!("\"{revision}\""));
    let refused = ask.json(&json!({"revision": revision - 1, "reason": "r"})).send().await;
    assert_eq!(
        (refused.status, refused.json()["code"].as_str()),
        (422, Some("host_missing")),
        "{}",
        refused.body
    );
    for (token, may) in [(OWNER, true), (LOOKS, false)] {
        for (surface, text) in surfaces(&app, token).await {
            if matches!(surface, "history" | "export") {
                assert!(text.contains("switch_back"), "{surface} by {token}: {text}");
                assert_eq!(tells(&text), may, "{surface} by {token}: {text}");
            }
        }
    }
}

/// A route in another namespace that sends a part to this service: whoever may not get the object learns what the
/// service gets, and that an object is there.
#[tokio::test]
async fn what_stands_in_an_object_that_one_may_not_get_is_not_in_the_service() {
    let app = town().await;
    app.demo
        .api
        .put(json!({
            "apiVersion": "networking.istio.io/v1", "kind": "VirtualService",
            "metadata": {"name": "edge", "namespace": "platform"},
            "spec": {
                "hosts": ["details.bookinfo.svc.cluster.local", "partner.example.com"],
                "gateways": ["mesh", "vault-gateway"],
                "http": [
                    {"name": "vault-rule", "match": [{"uri": {"prefix": "/vault"}}], "route": [
                        {"destination": {"host": "vault-host.platform.svc.cluster.local"}, "weight": 30},
                        {"destination": {"host": "details.bookinfo.svc.cluster.local"}, "weight": 70},
                    ]},
                    {"name": "vault-route", "route": [
                        {"destination": {"host": "details.bookinfo.svc.cluster.local"}, "weight": 90},
                        {"destination": {"host": "vault-host.platform.svc.cluster.local"}, "weight": 10},
                    ]},
                ],
            },
        }))
        .unwrap();
    let path = "/api/v1/services/bookinfo/details";
    let service = async |token: &str| app.ask("GET", path).token(token).send().await.json();
    crate::support::wait_for("the object is seen", async || {
        let seen = service(OWNER).await;
        seen["routes"].as_array().is_some_and(|routes| routes.len() == 2).then_some(())
    })
    .await;
    for (token, may) in [(OWNER, true), (LOOKS, false)] {
        let seen = service(token).await;
        let route = seen["routes"].as_array().unwrap().iter().find(|route| route["default"] == true).unwrap();
        let named = if may { ("platform", "edge") } else { ("hidden", "hidden-1") };
        assert_eq!((&route["namespace"], &route["name"]), (&json!(named.0), &json!(named.1)), "its name");
        assert_eq!(route["foreign_percent"], 10, "what the service gets stays: {route}");
        for word in ["vault", "partner.example.com"] {
            assert_eq!(seen.to_string().contains(word), may, "{word} for {token}: {seen}");
            let list = app.ask("GET", "/api/v1/services?namespace=bookinfo").token(token).send().await;
            assert_eq!(list.body.contains(word), may, "{word} for {token} in the list");
            for path in ["/services/bookinfo/details", "/audit/as-of?service=bookinfo/details"] {
                let shown = page(&app, token, path).await;
                assert!(may || !shown.contains(word), "{word} for {token} on {path}");
            }
            let then = "/api/v1/services/bookinfo/details/as-of";
            let then = app.ask("GET", then).token(token).send().await;
            assert!(may || !then.body.contains(word), "{word} for {token} in {}", then.body);
        }
        assert_eq!(seen["routes"][0]["hosts"] == json!(["hidden"]), !may, "{seen}");
    }
}
