//! Sessions and identities as time goes by: asked about again, listed, ended by others, recorded.

use std::time::Duration;

use serde_json::{Value, json};
use sluice::demo::api::{On, Person, Right, Times, Trouble};

use super::live::Line;
use crate::support::app::{AUDITOR, RELEASER, TestApp, VIEWER};
use crate::support::wait_for;

const MINUTE: i64 = 60_000;
const PORTAL: &str = "token-of-portal";
const PORTAL_USER: &str = "system:serviceaccount:platform:portal";

async fn page(app: &TestApp, cookie: &str) -> u16 {
    app.ask("GET", "/services").header("cookie", cookie).send().await.status
}

/// The history's newest entries of an action, as an auditor reads them.
async fn history(app: &TestApp, query: &str) -> Vec<Value> {
    let found = app.ask("GET", &format!("/api/v1/audit?{query}")).token(AUDITOR).send().await;
    assert_eq!(found.status, 200, "{}", found.body);
    found.json()["items"].as_array().unwrap().clone()
}

/// A ServiceAccount with a token and the rights to release in `bookinfo`.
fn add_portal(app: &TestApp) {
    let account = json!({"apiVersion": "v1", "kind": "ServiceAccount",
        "metadata": {"namespace": "platform", "name": "portal"}});
    let account = app.demo.api.put(account).unwrap().value();
    let uid = account["metadata"]["uid"].as_str().unwrap().to_owned();
    let person = Person { token: PORTAL.into(), name: PORTAL_USER.into(), uid, ..Person::default() };
    app.demo.api.add_person(person);
    let right = |verbs: &[&str], resources: &[&str]| Right {
        subject: PORTAL_USER.into(),
        namespace: Some("bookinfo".into()),
        verbs: verbs.iter().map(|verb| (*verb).to_owned()).collect(),
        groups: vec!["*".into()],
        resources: resources.iter().map(|one| (*one).to_owned()).collect(),
        names: Vec::new(),
    };
    app.demo.api.grant(right(&["get", "list"], &["services"]));
    app.demo.api.grant(right(&["create", "update"], &["virtualservices", "destinationrules"]));
}

/// What a deleted ServiceAccount is on a real cluster: its tokens are refused, its bindings stay.
fn delete_portal(app: &TestApp) {
    app.demo.api.delete("ServiceAccount", "platform", "portal").unwrap();
    app.demo.api.withdraw(PORTAL);
}

#[tokio::test]
async fn a_deleted_service_account_is_out_within_a_minute() {
    let app = TestApp::with_people().await;
    add_portal(&app);
    let cookie = app.sign_in(PORTAL).await;
    let other = app.sign_in(VIEWER).await;
    let mut line = Line::open(&app, "services", &[("cookie", &cookie)]).await;
    let mut theirs = Line::open(&app, "services", &[("cookie", &other)]).await;
    assert_eq!(page(&app, &cookie).await, 200);
    delete_portal(&app);
    app.clock.advance_ms(MINUTE);
    assert_eq!(page(&app, &cookie).await, 303, "the cookie");
    while line.next().await.is_some() {}
    let answer = app.ask("GET", "/api/v1/services").header("cookie", &cookie).send().await;
    assert_eq!(answer.problem(), (401, "unauthenticated".into()));
    assert_eq!(page(&app, &other).await, 200, "nobody else's");
    assert_eq!(theirs.next().await.unwrap().0, "ping");
    let rows = history(&app, "action=revoke_session").await;
    assert_eq!(rows.len(), 1, "{rows:?}");
    assert_eq!((&rows[0]["actor"], &rows[0]["channel"]), (&json!(PORTAL_USER), &json!("automatic")));
    assert_eq!(rows[0]["refusal"]["code"], "session_token_ended");
    assert_eq!(rows[0]["session"]["user"], PORTAL_USER);
}

/// Lets the streams' own timers pass, and nothing else.
async fn half_a_minute() {
    tokio::time::pause();
    tokio::time::advance(Duration::from_secs(5)).await;
    tokio::time::resume();
}

#[tokio::test]
async fn a_stream_alone_ends_with_the_identity_behind_it() {
    let app = TestApp::with_people().await;
    add_portal(&app);
    let cookie = app.sign_in(PORTAL).await;
    let bearer = format!("Bearer {PORTAL}");
    for header in [("cookie", cookie.as_str()), ("authorization", bearer.as_str())] {
        let mut line = Line::open(&app, "audit", &[header]).await;
        line.next().await.unwrap();
        if header.0 == "authorization" {
            delete_portal(&app);
            app.clock.advance_ms(MINUTE);
        } else {
            app.demo.api.withdraw(PORTAL);
            app.clock.advance_ms(MINUTE);
        }
        let mut over = false;
        for _ in 0..12 {
            half_a_minute().await;
            over = line.next().await.is_none();
            if over {
                break;
            }
        }
        assert!(over, "the stream of the {} goes on", header.0);
        if header.0 == "cookie" {
            app.demo.api.delete("ServiceAccount", "platform", "portal").unwrap();
            add_portal(&app);
            app.clock.advance_ms(MINUTE);
        }
    }
}

#[tokio::test]
async fn groups_are_those_of_now() {
    let app = TestApp::with_people().await;
    let cookie = app.sign_in(VIEWER).await;
    let list =
        async || app.ask("GET", "/api/v1/services?namespace=weather").header("cookie", &cookie).send().await;
    assert_eq!(list().await.json()["items"], json!([]));
    app.demo.api.grant(Right {
        subject: "group:everything".into(),
        verbs: vec!["list".into()],
        groups: vec!["*".into()],
        resources: vec!["services".into()],
        ..Right::default()
    });
    app.demo.api.withdraw(VIEWER);
    let groups = vec!["everything".to_owned()];
    app.demo.api.add_person(Person {
        token: VIEWER.into(),
        name: "vera".into(),
        groups,
        ..Person::default()
    });
    app.clock.advance_ms(MINUTE);
    assert_ne!(list().await.json()["items"], json!([]), "who joins a group need not sign in again");
    app.demo.api.withdraw(VIEWER);
    app.demo.api.add_person(Person { token: VIEWER.into(), name: "vera".into(), ..Person::default() });
    app.clock.advance_ms(MINUTE);
    assert_eq!(list().await.json()["items"], json!([]), "and who leaves it sees nothing of it");
    app.demo.api.withdraw(VIEWER);
    app.demo.api.add_person(Person { token: VIEWER.into(), name: "somebody".into(), ..Person::default() });
    app.clock.advance_ms(MINUTE);
    assert_eq!(list().await.status, 401, "a token that is another's now");
}

#[tokio::test]
async fn while_nobody_can_be_asked_a_session_is_believed_for_five_minutes() {
    let app = TestApp::with_people().await;
    let cookie = app.sign_in(AUDITOR).await;
    let me = async || app.ask("GET", "/api/v1/me").header("cookie", &cookie).send().await;
    assert_eq!(me().await.status, 200);
    app.demo.api.trouble(On::any().of("tokenreviews"), Trouble::Answer(503), Times::Always);
    app.clock.advance_ms(4 * MINUTE);
    assert_eq!(me().await.status, 200);
    app.clock.advance_ms(MINUTE);
    let refused = me().await;
    assert_eq!(refused.status, 503, "{}", refused.body);
    app.demo.api.heal();
    assert_eq!(me().await.status, 200, "it was not ended");
}

#[tokio::test]
async fn a_release_stops_when_its_owner_is_gone_and_goes_on_in_the_name_of_who_resumes_it() {
    let app = TestApp::with_people().await;
    add_portal(&app);
    let spec = json!({
        "service": {"namespace": "bookinfo", "name": "reviews"}, "strategy": "canary", "stable": "v1",
        "candidate": {"from": "adopt", "version": "v2"},
        "steps": [{"kind": "weight", "percent": 10}, {"kind": "hold", "seconds": 120},
            {"kind": "weight", "percent": 50}, {"kind": "approval"}, {"kind": "weight", "percent": 100}],
    });
    let body = json!({"spec": spec, "reason": "REV-231"});
    let answer = app.ask("POST", "/api/v1/releases").token(PORTAL).json(&body).send().await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    let path = format!("/api/v1/releases/{}", answer.json()["id"].as_str().unwrap());
    let release = async || app.ask("GET", &path).token(RELEASER).send().await.json();
    wait_for("it holds", async || (release().await["step"] == 1).then_some(())).await;
    delete_portal(&app);
    app.clock.advance_ms(2 * MINUTE);
    let paused = wait_for("it is paused", async || {
        let release = release().await;
        (release["phase"] == "paused").then_some(release)
    })
    .await;
    assert_eq!(paused["paused"]["reason"], "lost_permission", "{paused}");
    assert_eq!(paused["paused"]["detail"]["code"], "owner_gone", "{paused}");
    let said = paused["paused"]["detail"]["text"].as_str().unwrap();
    assert!(said.contains(PORTAL_USER), "{said}");
    assert_eq!(paused["percent"], 10, "nothing was written in a name that nobody has");

    let say = json!({"command": "resume", "reason": "the portal moved"});
    let answer = app.ask("POST", &format!("{path}/commands")).token(RELEASER).json(&say).send().await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    wait_for("it waits for approval", async || {
        let release = release().await;
        assert_ne!(release["paused"]["reason"], "lost_permission", "{release}");
        (release["paused"]["reason"] == "gate").then_some(())
    })
    .await;
    let rows = history(&app, "service=bookinfo/reviews&action=set_traffic").await;
    assert_eq!((&rows[0]["actor"], &rows[1]["actor"]), (&json!("rolf"), &json!(PORTAL_USER)));
}

#[tokio::test]
async fn the_way_back_needs_no_owner() {
    let app = TestApp::with_people().await;
    add_portal(&app);
    let spec = json!({
        "service": {"namespace": "bookinfo", "name": "reviews"}, "strategy": "canary", "stable": "v1",
        "candidate": {"from": "adopt", "version": "v2"},
        "steps": [{"kind": "weight", "percent": 10}, {"kind": "approval"}, {"kind": "weight", "percent": 100}],
    });
    let body = json!({"spec": spec, "reason": "REV-231"});
    let answer = app.ask("POST", "/api/v1/releases").token(PORTAL).json(&body).send().await;
    let path = format!("/api/v1/releases/{}", answer.json()["id"].as_str().unwrap());
    let release = async || app.ask("GET", &path).token(RELEASER).send().await.json();
    wait_for("it waits", async || (release().await["paused"]["reason"] == "gate").then_some(())).await;
    delete_portal(&app);
    app.clock.advance_ms(2 * MINUTE);
    let say = json!({"command": "abort", "reason": "nobody owns it"});
    let answer = app.ask("POST", &format!("{path}/commands")).token(RELEASER).json(&say).send().await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    wait_for("it is back", async || (release().await["phase"] == "rolled_back").then_some(())).await;
}

#[tokio::test]
async fn tokens_that_are_not_accepted_are_counted_in_the_history() {
    let app = TestApp::with_people().await;
    for n in 0..12 {
        app.ask("GET", "/api/v1/me").token(&format!("guess-{n}")).send().await;
    }
    for n in 0..3 {
        app.ask("POST", "/login").form(&[("token", &format!("guess-{n}"))]).send().await;
    }
    app.clock.advance_ms(MINUTE);
    for (action, first, more) in [("authenticate", "api", 11), ("sign_in", "browser", 2)] {
        let rows = wait_for("the minute is over", async || {
            let rows = history(&app, &format!("action={action}&result=refused")).await;
            (rows.len() == 2).then_some(rows)
        })
        .await;
        assert_eq!((&rows[0]["times"], &rows[1]["times"]), (&json!(more), &json!(1)), "{rows:?}");
        for row in rows {
            assert_eq!(row["actor"], "system:anonymous");
            assert_eq!((&row["channel"], &row["refusal"]["code"]), (&json!(first), &json!("bad_token")));
            assert!(row["address"].is_string() && !row.to_string().contains("guess"), "{row}");
        }
    }
    let cookie = app.sign_in(RELEASER).await;
    let rows = history(&app, "action=sign_in&result=applied").await;
    let id = rows[0]["session"]["id"].as_str().unwrap().to_owned();
    assert!(id.len() == 16 && !cookie.contains(&id), "{rows:?}");
}
