//! Commands that once did what their commander may not: a rollback that wrote a route in another namespace, and a
//! retirement by somebody without any right on workloads, in somebody else's name.

use serde_json::{Value, json};

use super::{
    FAR, OWNER, RELEASES, ROUTES_ONLY, SECOND, command, history, town, until, waiting, wish, written,
};
use crate::support::app::TestApp;
use crate::support::wait_for;

async fn set(app: &TestApp, token: &str, v1: u8, expected: u64) -> crate::support::app::Answer {
    let ack = ["big_jump", "few_pods", "no_metrics", "shared_delegate", "host_shared"];
    let body = json!({"weights": {"v1": v1, "v2": 100 - v1}, "reason": "a test", "ack": ack});
    let ask = app.ask("PUT", FAR).token(token).header("if-match", &format!("\"{expected}\""));
    ask.json(&body).send().await
}

#[tokio::test]
async fn a_rollback_writes_by_the_right_of_who_gives_it() {
    let app = town().await;
    let first = set(&app, OWNER, 80, 0).await;
    assert_eq!(first.status, 200, "{}", first.body);
    let second = set(&app, OWNER, 100, 1).await;
    assert_eq!(second.status, 200, "{}", second.body);
    let before = written(&app);
    // What already held: a change and a switch back of traffic.
    assert_eq!(set(&app, ROUTES_ONLY, 50, 2).await.problem(), (403, "forbidden".into()));
    let back = app.ask("POST", &format!("{FAR}/switch-back")).token(ROUTES_ONLY);
    let back = back.json(&json!({"revision": 1})).send().await;
    assert_eq!(back.problem(), (403, "forbidden".into()));
    // A release of one's own, whose first write would be in `platform`: nothing is stored.
    let body = json!({"spec": wish("reviews"), "reason": "mine"});
    let own = app.ask("POST", RELEASES).token(ROUTES_ONLY).json(&body).send().await;
    assert_eq!(own.problem(), (403, "forbidden".into()));
    let none = app.ask("GET", RELEASES).token(OWNER).send().await.json();
    assert_eq!(none["items"], json!([]));
    assert_eq!(written(&app), before);

    let id = waiting(&app, &wish("reviews")).await;
    let before = written(&app);
    let refused = command(&app, ROUTES_ONLY, &id, &json!({"command": "rollback", "revision": 1})).await;
    assert_eq!(refused.problem(), (403, "forbidden".into()));
    let said = refused.json()["detail"].as_str().unwrap().to_owned();
    assert!(said.contains("platform") && said.contains("virtualservices"), "{said}");
    for word in ["resume", "promote", "promote_all"] {
        let refused = command(&app, ROUTES_ONLY, &id, &json!({"command": word, "reason": "r"})).await;
        assert_eq!(refused.problem(), (403, "forbidden".into()), "{word}");
    }
    let steps =
        json!({"command": "change_steps", "reason": "r", "steps": [{"kind": "weight", "percent": 100}]});
    assert_eq!(command(&app, ROUTES_ONLY, &id, &steps).await.problem(), (403, "forbidden".into()));
    assert_eq!(written(&app), before);
    // The first is a row at once; the same again within a minute is one row that counts them.
    app.clock.advance_ms(60_000);
    let attempts = wait_for("the minute is written", async || {
        let rows = history(&app, "actor=rut&result=refused&action=release").await;
        let times: u64 = rows.iter().filter_map(|row| row["times"].as_u64()).sum();
        (times >= 5).then_some(rows)
    })
    .await;
    assert_eq!(attempts.len(), 2, "{attempts:?}");

    // Somebody else's rollback is theirs, in the history too.
    let done = command(&app, SECOND, &id, &json!({"command": "rollback", "revision": 1})).await;
    assert_eq!(done.status, 200, "{}", done.body);
    until(&app, &id, "it is rolled back", |release| release["phase"] == "rolled_back").await;
    let written = history(&app, "action=switch_back&result=applied").await;
    assert_eq!(written[0]["actor"], "wanda", "{:?}", written[0]);
}

#[tokio::test]
async fn the_way_back_to_its_own_baseline_needs_no_right_in_the_namespace_of_the_route() {
    let app = town().await;
    let id = waiting(&app, &wish("reviews")).await;
    // The brake: whoever may change the service may stop what moves it.
    let aborted = command(&app, ROUTES_ONLY, &id, &json!({"command": "abort"})).await;
    assert_eq!(aborted.status, 200, "{}", aborted.body);
    let back = until(&app, &id, "it is back", |release| release["phase"] == "rolled_back").await;
    assert_eq!(back["percent"], 0);
    let route = app.demo.api.get("VirtualService", "platform", "reviews").unwrap();
    assert_eq!(route["spec"]["http"][0]["route"][0]["weight"], 100, "{route}");
    let rows = history(&app, "action=set_traffic&result=applied").await;
    assert_eq!(rows[0]["actor"], "rut", "who aborted it: {:?}", rows[0]);
}

#[tokio::test]
async fn a_version_is_retired_by_the_right_and_in_the_name_of_who_says_so() {
    let app = town().await;
    let id = waiting(&app, &wish("ratings")).await;
    let all = command(&app, OWNER, &id, &json!({"command": "promote"})).await;
    assert_eq!(all.status, 200, "{}", all.body);
    until(&app, &id, "it has succeeded", |release| release["phase"] == "succeeded").await;
    let before = written(&app);
    // Whoever lacks the right on the workload reads that at the button, before anything is pressed.
    for (token, may) in [(ROUTES_ONLY, false), (SECOND, true)] {
        let cookie = app.sign_in(token).await;
        let page = app.ask("GET", &format!("/releases/{id}")).header("cookie", &cookie).send().await.body;
        let after = page.split("id=\"rel-after\"").nth(1).unwrap().split("</section>").next().unwrap();
        let why = after.split("id=\"rel-after-why\"").nth(1);
        assert_eq!(why.is_none(), may, "{after}");
        assert!(why.is_none_or(|why| why.contains("deployments")), "{after}");
    }
    let retire: Value = json!({"command": "retire", "confirm": "ratings v1", "reason": "old"});
    let refused = command(&app, ROUTES_ONLY, &id, &retire).await;
    assert_eq!(refused.problem(), (403, "forbidden".into()));
    let said = refused.json()["detail"].as_str().unwrap().to_owned();
    assert!(said.contains("delete") && said.contains("deployments"), "{said}");
    assert_eq!(written(&app), before);
    let attempt = &history(&app, "action=release&result=refused").await[0];
    assert_eq!(attempt["actor"], "rut", "{attempt}");

    let done = command(&app, SECOND, &id, &retire).await;
    assert_eq!(done.status, 200, "{}", done.body);
    until(&app, &id, "it is retired", |_| app.demo.api.get("Deployment", "bookinfo", "ratings-v1").is_none())
        .await;
    for action in ["workload", "set_traffic"] {
        let query = format!("action={action}&result=applied");
        let row =
            wait_for("the row of what was done", async || history(&app, &query).await.into_iter().next());
        let row = row.await;
        assert_eq!(row["actor"], "wanda", "{row}");
    }
}

#[tokio::test]
async fn a_finished_release_is_switched_back_by_the_right_of_who_says_so() {
    let app = town().await;
    let id = waiting(&app, &wish("reviews")).await;
    let all = command(&app, OWNER, &id, &json!({"command": "promote"})).await;
    assert_eq!(all.status, 200, "{}", all.body);
    until(&app, &id, "it has succeeded", |release| release["phase"] == "succeeded").await;
    let before = written(&app);
    let refused = command(&app, ROUTES_ONLY, &id, &json!({"command": "switch_back"})).await;
    assert_eq!(refused.problem(), (403, "forbidden".into()));
    assert_eq!(written(&app), before);
    let done = command(&app, SECOND, &id, &json!({"command": "switch_back"})).await;
    assert_eq!(done.status, 200, "{}", done.body);
    until(&app, &id, "it is back", |release| release["phase"] == "rolled_back").await;
    let row = &history(&app, "result=applied&service=bookinfo/reviews").await;
    let row = row.iter().find(|row| row["action"] != "release").unwrap();
    assert_eq!(row["actor"], "wanda", "{row}");
}

/// A right that is taken away while an action is under way stops it: what was checked when the command was given is
/// checked again at each write.
#[tokio::test]
async fn each_write_is_judged_again_when_it_is_made() {
    let app = town().await;
    let mut spec = wish("reviews");
    spec["steps"] = json!([{"kind": "weight", "percent": 30}, {"kind": "hold", "seconds": 60},
        {"kind": "weight", "percent": 100}]);
    let body = json!({"spec": spec, "reason": "REV-231"});
    let made = app.ask("POST", RELEASES).token(SECOND).json(&body).send().await;
    assert_eq!(made.status, 200, "{}", made.body);
    let id = made.json()["id"].as_str().unwrap().to_owned();
    until(&app, &id, "30 %", |release| release["percent"] == 30).await;
    app.demo.api.revoke("wanda");
    app.clock.advance_ms(120_000);
    let paused = until(&app, &id, "it stops", |release| release["phase"] == "paused").await;
    assert_eq!(paused["paused"]["reason"], "lost_permission", "{paused}");
    assert_eq!(paused["percent"], 30);
}

/// The way back is to what the release itself has written: a route that was moved to another namespace meanwhile is
/// somebody else's.
#[tokio::test]
async fn an_abort_writes_no_object_that_the_release_never_wrote() {
    let app = town().await;
    let id = waiting(&app, &wish("reviews")).await;
    let mut route = app.demo.api.get("VirtualService", "platform", "reviews").unwrap();
    app.demo.api.delete("VirtualService", "platform", "reviews").unwrap();
    route["metadata"] = json!({"name": "reviews", "namespace": "weather"});
    app.demo.api.put(route).unwrap();
    until(&app, &id, "it stops", |release| release["paused"]["reason"] == "drift").await;
    let before = app.demo.api.get("VirtualService", "weather", "reviews").unwrap();
    let aborted = command(&app, ROUTES_ONLY, &id, &json!({"command": "abort"})).await;
    assert_eq!(aborted.status, 200, "{}", aborted.body);
    let stuck = wait_for("it needs somebody", async || {
        app.clock.advance_ms(20_000);
        let release = app.ask("GET", &format!("{RELEASES}/{id}")).token(OWNER).send().await.json();
        (release["phase"] == "needs_attention").then_some(release)
    })
    .await;
    assert_eq!(stuck["needs"]["code"], "forbidden", "{stuck}");
    assert_eq!(app.demo.api.get("VirtualService", "weather", "reviews").unwrap(), before);
    // Whoever may write it there takes it back.
    let again = command(&app, SECOND, &id, &json!({"command": "abort"})).await;
    assert_eq!(again.status, 200, "{}", again.body);
    until(&app, &id, "it is back", |release| release["phase"] == "rolled_back").await;
}
