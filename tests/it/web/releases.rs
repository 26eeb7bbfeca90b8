//! Releases through pages and API: every operation and every page, with good and bad input. What the engine does is
//! tested elsewhere; here it is asked, and its answers are shown.

use serde_json::{Value, json};

use crate::support::app::{Answer, RELEASER, TestApp, VIEWER};
use crate::support::wait_for;

pub(super) const API: &str = "/api/v1/releases";

/// reviews v1 → v2, which runs already: 30 %, a person, all.
pub(super) fn wish() -> Value {
    json!({
        "service": {"namespace": "bookinfo", "name": "reviews"}, "strategy": "canary", "stable": "v1",
        "candidate": {"from": "adopt", "version": "v2"},
        "steps": [{"kind": "weight", "percent": 30}, {"kind": "approval"}, {"kind": "weight", "percent": 100}],
    })
}

async fn start(app: &TestApp) -> Value {
    let body = json!({"spec": wish(), "reason": "REV-231"});
    let answer = app.ask("POST", API).json(&body).send().await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    answer.json()
}

/// A release that waits for its approval.
pub async fn waiting(app: &TestApp) -> String {
    let id = start(app).await["id"].as_str().unwrap().to_owned();
    wait_for("it waits for approval", async || {
        let release = app.get(&format!("{API}/{id}")).await.json();
        (release["paused"]["reason"] == "gate").then_some(())
    })
    .await;
    id
}

async fn say(app: &TestApp, id: &str, body: &Value) -> Answer {
    app.ask("POST", &format!("{API}/{id}/commands")).json(body).send().await
}

/// A form of the pages.
pub(super) async fn post(
    app: &TestApp,
    path: &str,
    fields: &[(&str, &str)],
    headers: &[(&str, &str)],
) -> Answer {
    let csrf = app.csrf("").await;
    let mut all = vec![("csrf", csrf.as_str())];
    all.extend_from_slice(fields);
    let mut ask = app.ask("POST", path).header("sec-fetch-site", "same-origin");
    for (name, value) in headers {
        ask = ask.header(name, value);
    }
    ask.form(&all).send().await
}

#[tokio::test]
async fn a_release_is_planned_made_told_and_followed_through_the_api() {
    let app = TestApp::open().await;
    let plan = app.ask("POST", &format!("{API}/plan")).json(&json!({"spec": wish()})).send().await.json();
    assert_eq!(plan["possible"], true, "{plan}");
    assert_eq!(plan["shares"].as_array().unwrap().last().unwrap()["percent"], 100);
    let id = waiting(&app).await;
    let answer = app.get(&format!("{API}/{id}?wait=1")).await;
    let release = answer.json();
    assert_eq!(answer.header("etag"), format!("\"{}\"", release["seq"]));
    assert_eq!((&release["phase"], &release["percent"]), (&json!("paused"), &json!(30)));
    assert!(release["commands"].as_array().unwrap().contains(&json!("promote")));
    let list = app.get(&format!("{API}?show=active&service=bookinfo/reviews")).await.json();
    assert_eq!((list["items"][0]["id"].as_str(), &list["active"]), (Some(id.as_str()), &json!(1)));
    let stale = app.ask("POST", &format!("{API}/{id}/commands")).header("if-match", "\"1\"");
    let stale = stale.json(&json!({"command": "promote"})).send().await;
    assert_eq!(stale.problem(), (412, "release_stale".into()));
    let told = say(&app, &id, &json!({"command": "promote"})).await;
    assert_eq!(told.status, 200, "{}", told.body);
    let done = app.get(&format!("{API}/{id}?wait=20")).await.json();
    assert_eq!((&done["phase"], &done["percent"]), (&json!("succeeded"), &json!(100)), "{done}");
    let events = app.get(&format!("{API}/{id}/timeline?limit=5")).await.json();
    assert!(!events["items"][0]["said"].as_array().unwrap().is_empty(), "{events}");
    assert_eq!(app.get(&format!("{API}/{id}/judgements")).await.json()["items"], json!([]));
    let illegal = say(&app, &id, &json!({"command": "pause"})).await;
    assert_eq!(illegal.problem(), (409, "release_illegal".into()));
}

#[tokio::test]
async fn a_keyed_start_is_made_once() {
    let app = TestApp::open().await;
    let send = async || {
        let ask = app.ask("POST", API).header("idempotency-key", "k1");
        ask.json(&json!({"spec": wish(), "reason": "REV-231", "start": false})).send().await
    };
    let (one, two) = (send().await, send().await);
    assert_eq!((one.status, two.header("idempotency-replayed")), (200, "true"), "{}", one.body);
    assert_eq!(one.json()["id"], two.json()["id"]);
    assert_eq!(app.get(API).await.json()["items"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn every_wrong_field_is_told_at_once_and_nothing_is_made() {
    let app = TestApp::open().await;
    let mut wrong = wish();
    wrong["candidate"] = json!({"from": "image", "version": "No Label", "image": "::", "replicas": 0});
    wrong["steps"] = json!([{"kind": "weight", "percent": 30}, {"kind": "weight", "percent": 20}]);
    let answer = app.ask("POST", API).json(&json!({"spec": wrong, "reason": "r"})).send().await;
    assert_eq!(answer.status, 422);
    let errors = answer.json()["errors"].as_array().unwrap().clone();
    let fields: Vec<&str> = errors.iter().filter_map(|error| error["field"].as_str()).collect();
    for field in ["candidate.version", "candidate.image", "candidate.replicas", "steps.1.percent"] {
        assert!(fields.contains(&field), "{field} in {fields:?}");
    }
    let mut nowhere = wish();
    nowhere["service"]["name"] = json!("");
    for (body, code) in [
        (json!({}), "bad_json"),
        (json!({"spec": 1, "reason": "r"}), "bad_spec"),
        (json!({"spec": wish(), "reason": "r", "more": 1}), "bad_json"),
        (json!({"spec": wish(), "reason": ""}), "reason_required"),
        (json!({"spec": {"steps": [{"kind": "weight", "percent": -1}]}, "reason": "r"}), "step_range"),
        (json!({"spec": nowhere, "reason": "r"}), "bad_name"),
        (json!({"spec": {"steps": [{"kind": "hold", "seconds": 315_360_000}]}, "reason": "r"}), "hold_range"),
    ] {
        let answer = app.ask("POST", API).json(&body).send().await;
        assert_eq!(answer.problem().1, code, "{body}");
    }
    // Ten years, a thousand steps, a fall, an end below 100: each with its field, and the draft is kept.
    let draft =
        app.ask("POST", &format!("{API}/drafts")).json(&json!({"fields": {"version": "v9"}})).send().await;
    for (steps, code, field) in [
        (json!([{"kind": "hold", "seconds": 315_360_000}]), "hold_range", "steps.0.seconds"),
        (json!([{"kind": "hold", "seconds": -1}]), "hold_range", "steps.0.seconds"),
        (json!(vec![json!({"kind": "approval"}); 1_000]), "too_many_steps", "steps"),
        (
            json!([{"kind": "weight", "percent": 30}, {"kind": "weight", "percent": 20}]),
            "steps_fall",
            "steps.1.percent",
        ),
        (json!([{"kind": "weight", "percent": 30}]), "steps_end", "steps.0.percent"),
    ] {
        let mut wrong = wish();
        wrong["steps"] = steps;
        let answer = app.ask("POST", API).json(&json!({"spec": wrong, "reason": "r"})).send().await;
        let said = answer.json();
        assert!((400..500).contains(&answer.status), "{said}");
        let alone = std::slice::from_ref(&said);
        let all = said["errors"].as_array().map_or(alone, Vec::as_slice);
        assert!(all.iter().any(|one| one["code"] == code && one["field"] == field), "{code}: {said}");
    }
    let path = format!("{API}/drafts/{}", draft.json()["id"].as_str().unwrap());
    assert_eq!(app.get(&path).await.json()["fields"]["version"], "v9");
    let plan = app.ask("POST", &format!("{API}/plan")).json(&json!({"spec": nowhere})).send().await;
    assert_eq!(plan.problem().1, "bad_name");
    assert_eq!(app.get(API).await.json()["items"], json!([]));
    for (path, code) in [
        (format!("{API}/R-9"), "release_not_found"),
        (format!("{API}/x"), "release_not_found"),
        (format!("{API}?show=x"), "bad_query"),
        (format!("{API}?cursor=x"), "bad_cursor"),
        (format!("{API}/drafts/none"), "draft_not_found"),
    ] {
        assert_eq!(app.get(&path).await.problem().1, code, "{path}");
    }
}

#[tokio::test]
async fn drafts_notice_each_other_and_templates_are_kept() {
    let app = TestApp::open().await;
    let drafts = format!("{API}/drafts");
    let made = app.ask("POST", &drafts).json(&json!({"fields": {"version": "v9"}})).send().await.json();
    let path = format!("{drafts}/{}", made["id"].as_str().unwrap());
    let seen = format!("\"{}\"", made["seq"]);
    let save = async |version: &str| {
        let ask = app.ask("PUT", &path).header("if-match", &seen);
        ask.json(&json!({"fields": {"version": version}})).send().await
    };
    assert_eq!(save("v10").await.status, 200);
    // The answer was lost, and it is sent again.
    let again = save("v10").await;
    assert_eq!((again.status, again.json()["seq"].as_u64()), (200, Some(2)), "{}", again.body);
    assert_eq!(save("v11").await.problem(), (412, "draft_stale".into()));
    assert_eq!(app.get(&path).await.json()["fields"]["version"], "v10");
    let page = app.get(&format!("/releases/drafts/{}", made["id"].as_str().unwrap())).await;
    assert!(page.body.contains("value=\"v10\""), "{}", page.status);
    assert_eq!(app.ask("DELETE", &path).send().await.json()["items"], json!([]));
    let template = json!({"strategy": "canary", "steps": wish()["steps"]});
    let kept = app.ask("PUT", &format!("{API}/templates/Weekend")).json(&template).send().await;
    assert_eq!(kept.status, 200, "{}", kept.body);
    let mut never = template.clone();
    never["analysis"] = json!({"interval_s": 15, "window_s": 0, "min_requests": 20, "failures": 2,
        "metrics": [{"metric": "success_rate", "limit": {"absolute": 99.0}}]});
    let refused = app.ask("PUT", &format!("{API}/templates/Weekend")).json(&never).send().await;
    assert_eq!(refused.problem(), (422, "analysis_choice".into()), "no release could use it");
    assert_eq!(app.get(&format!("{API}/templates")).await.json()["items"][0]["analysis"], Value::Null);
    assert_eq!(app.get(&format!("{API}/templates")).await.json()["items"][0]["name"], "Weekend");
    assert!(app.get("/releases/new").await.body.contains("own:Weekend"));
    let left = app.ask("DELETE", &format!("{API}/templates/Weekend")).send().await.json();
    assert_eq!(left["items"], json!([]));
}

#[tokio::test]
async fn the_wizard_keeps_what_is_typed_and_says_what_is_wrong_at_the_field() {
    let app = TestApp::open().await;
    let page = app.get("/releases/new?service=bookinfo/reviews").await;
    assert!(page.status == 200 && page.body.contains("name=\"s.0.percent\""), "{}", page.status);
    let fields = |percent: &'static str| {
        vec![
            ("strategy", "canary"),
            ("service", "bookinfo/reviews"),
            ("stable", "v1"),
            ("from", "adopt"),
            ("adopt", "v2"),
            ("s.0.kind", "weight"),
            ("s.0.percent", "30"),
            ("s.0.then", "approval"),
            ("s.1.kind", "weight"),
            ("s.1.percent", percent),
            ("deadline", "10"),
            ("reason", "REV-231"),
        ]
    };
    let kept = post(&app, "/releases/drafts", &fields("20"), &[]).await;
    assert_eq!(kept.status, 303, "{}", kept.body);
    let path = kept.header("location").to_owned();
    let page = app.get(&path).await;
    assert!(page.body.contains("name=\"s.1.percent\" id=\"s-1-percent\" value=\"20\""));
    let slot = page.between("id=\"err-row-1\"", "</p>");
    assert!(slot.contains("20 comes after 30") && !slot.starts_with(" hidden"), "{slot}");
    assert!(page.body.contains("href=\"#w4\"") && page.body.contains("id=\"start-btn\""));
    // The live plan, as a part of the page.
    let id = path.rsplit('/').next().unwrap().to_owned();
    let mut more = fields("100");
    more.extend([("draft", id.as_str()), ("seq", "1")]);
    let part = post(&app, "/releases/drafts", &more, &[("hx-request", "true")]).await;
    assert!(part.body.contains("id=\"plan\"") && part.body.contains("<polyline"), "{}", part.body);
    assert!(part.body.contains("id=\"err-row-1\" hx-swap-oob=\"true\" hidden"), "{}", part.body);
    // Another tab with the older save gets a conflict.
    let mut older = fields("90");
    older.extend([("draft", id.as_str()), ("seq", "1")]);
    let other = post(&app, "/releases/drafts", &older, &[]).await;
    assert_eq!(other.status, 412);
    assert!(other.body.contains("another tab"), "{}", other.body);
    // Start refuses as the API does, with everything still in its field.
    let mut wrong = fields("abc");
    wrong.push(("draft", id.as_str()));
    let refused = post(&app, "/releases", &wrong, &[]).await;
    assert_eq!(refused.status, 422);
    assert!(refused.body.contains("value=\"abc\""));
    let mut good = fields("100");
    good.push(("draft", id.as_str()));
    let started = post(&app, "/releases", &good, &[]).await;
    assert_eq!(started.status, 303, "{}", started.body);
    assert!(started.header("location").starts_with("/releases/R-"));
    assert_eq!(app.get(&path).await.status, 404, "its draft is gone");
}

#[tokio::test]
async fn rows_are_added_and_removed_without_javascript() {
    let app = TestApp::open().await;
    let press = async |button: &str| {
        let fields = [("strategy", "canary"), ("s.0.kind", "weight"), ("s.0.percent", "10"), ("do", button)];
        let kept = post(&app, "/releases/drafts", &fields, &[]).await;
        app.get(kept.header("location")).await.body.matches("class=\"errrow\"").count()
    };
    let one = press("save").await;
    assert_eq!(press("add").await, one + 1);
    assert_eq!(press("insert:0").await, one + 1);
    assert_eq!(press("insert:7").await, one);
}

#[tokio::test]
async fn the_page_shows_the_release_and_its_buttons_do_what_they_say() {
    let app = TestApp::open().await;
    let id = waiting(&app).await;
    let page = app.get(&format!("/releases/{id}")).await;
    assert!(
        page.body.contains("Waiting for approval") && page.body.contains("Approve 100%"),
        "{}",
        page.body
    );
    assert!(page.body.contains("id=\"rel-steps\"") && page.body.contains("REV-231"));
    let list = app.get("/releases").await;
    assert!(list.body.contains(&format!("id=\"rel-{id}\"")));
    let service = app.get("/services/bookinfo/reviews").await;
    assert!(
        service.body.contains(&format!("href=\"/releases/{id}\""))
            && !service.body.contains("id=\"apply-btn\"")
    );
    let moved = app.get("/api/v1/services?show=releasing").await.json();
    assert_eq!(moved["items"].as_array().map(Vec::len), Some(1), "{moved}");
    let expected = json!({"id": id, "phase": "paused", "percent": 30});
    assert_eq!((&moved["items"][0]["name"], &moved["items"][0]["release"]), (&json!("reviews"), &expected));
    let services = app.get("/services?show=releasing").await;
    assert!(services.body.contains("Waiting for approval · 30%"), "{}", services.body);
    assert!(
        services.body.contains(&format!("href=\"/releases/{id}\""))
            && !services.body.contains("row-bookinfo.details")
    );
    let audit = app.get("/audit?action=release&show=all").await;
    assert!(audit.body.contains(&format!("href=\"/releases/{id}\"")));
    assert!(audit.body.contains("Step 1 · approval: started"), "what happened, counted as the page counts");
    let entries = app.get(&format!("/api/v1/audit?q={id}&action=release&limit=100")).await.json();
    let all = entries["items"].as_array().unwrap();
    assert!(all.iter().all(|entry| entry["release"]["id"] == json!(id)), "{entries}");
    let began = all.iter().find(|entry| entry["release"]["to"] == "paused").expect("the gate");
    assert_eq!(began["release"]["from"], "running");
    assert!(began["release"]["said"][0].as_str().unwrap().contains("v2"), "{began}");
    // The question names who gets everything, as a part and as a page.
    for headers in [&[][..], &[("hx-request", "true")][..]] {
        let mut ask = app.ask("GET", &format!("/releases/{id}/abort"));
        for (name, value) in headers {
            ask = ask.header(name, value);
        }
        let asked = ask.send().await;
        assert!(asked.status == 200 && asked.body.contains("Abort, send 100% to v1"), "{}", asked.body);
    }
    let early =
        post(&app, &format!("/releases/{id}/retire"), &[("confirm", "reviews v1"), ("reason", "r")], &[])
            .await;
    assert_eq!(early.status, 409, "{}", early.body);
    // What asks nothing is refused on the release's own page, with everything that is on it.
    let stale = post(&app, &format!("/releases/{id}/resume"), &[("seq", "0")], &[]).await;
    assert_eq!(stale.status, 412, "{}", stale.body);
    assert!(stale.body.contains("role=\"alert\"") && stale.body.contains("Approve 100%"), "{}", stale.body);
    assert!(!stale.body.contains(&format!("/releases/{id}/resume?")), "no link comes back to the form");
    let nothing = post(&app, &format!("/releases/{id}/promote-all"), &[], &[]).await;
    assert_eq!(nothing.status, 422);
    assert!(nothing.body.contains("id=\"act-why-error\""), "a reason is needed forward");
    let aborted = post(&app, &format!("/releases/{id}/abort"), &[], &[]).await;
    assert_eq!((aborted.status, aborted.header("location")), (303, format!("/releases/{id}").as_str()));
    let back = app.get(&format!("{API}/{id}?wait=20")).await.json();
    assert_eq!((&back["phase"], &back["percent"]), (&json!("rolled_back"), &json!(0)), "{back}");
    assert_eq!(app.get(&format!("/releases/{id}/no-such-word")).await.status, 404);
    assert_eq!(app.get("/releases/R-999").await.status, 404);
}

#[tokio::test]
async fn a_button_that_is_pressed_twice_acts_once() {
    let app = TestApp::open().await;
    let id = waiting(&app).await;
    let count = async || {
        let events = app.get(&format!("{API}/{id}/timeline")).await.json();
        let told = |event: &&Value| event["happened"].to_string().contains("\"resume\"");
        events["items"].as_array().unwrap().iter().filter(told).count()
    };
    let press = async || post(&app, &format!("/releases/{id}/pause"), &[("request_id", "one")], &[]).await;
    let (one, two) = (press().await, press().await);
    assert_eq!(one.status, two.status, "{} {}", one.body, two.body);
    assert_eq!(count().await, 0);
}

#[tokio::test]
async fn steps_to_come_are_changed_and_those_that_began_are_not() {
    let app = TestApp::open().await;
    let id = waiting(&app).await;
    let path = format!("/releases/{id}/change-steps");
    let page = app.get(&path).await;
    assert!(page.body.contains("value=\"100\"") && !page.body.contains("value=\"30\""), "{}", page.body);
    let rows =
        [("s.0.kind", "weight"), ("s.0.percent", "60"), ("s.1.kind", "weight"), ("s.1.percent", "100")];
    let mut wrong = rows.to_vec();
    (wrong[1], wrong[3]) = (("s.0.percent", "20"), ("s.1.percent", "100"));
    wrong.extend([("do", "change"), ("reason", "r")]);
    let refused = post(&app, &path, &wrong, &[]).await;
    assert_eq!(refused.status, 422, "{}", refused.body);
    let mut good = rows.to_vec();
    good.extend([("do", "change"), ("reason", "slower")]);
    let done = post(&app, &path, &good, &[]).await;
    assert_eq!(done.status, 303, "{}", done.body);
    let spec = app.get(&format!("{API}/{id}")).await.json()["spec"]["steps"].to_string();
    assert!(spec.contains("60") && spec.contains("30"), "{spec}");
}

#[tokio::test]
async fn who_may_not_change_sees_it_and_presses_nothing() {
    let app = TestApp::with_people().await;
    let body = json!({"spec": wish(), "reason": "REV-231", "start": false});
    let made = app.ask("POST", API).token(RELEASER).json(&body).send().await;
    assert_eq!(made.status, 200, "{}", made.body);
    let id = made.json()["id"].as_str().unwrap().to_owned();
    let refused = app.ask("POST", &format!("{API}/{id}/commands")).token(VIEWER);
    let refused = refused.json(&json!({"command": "start", "reason": "r"})).send().await;
    assert_eq!(refused.problem(), (403, "forbidden".into()));
    let cookie = app.sign_in(VIEWER).await;
    let page = app.ask("GET", &format!("/releases/{id}")).header("cookie", &cookie).send().await;
    assert!(
        page.status == 200 && page.body.contains("id=\"rel-start\" aria-disabled=\"true\""),
        "{}",
        page.body
    );
}

#[tokio::test]
async fn hostile_input_stays_text_on_every_page_of_releases() {
    let app = TestApp::open().await;
    let evil = "%3Cscript%3Ealert(1)%3C/script%3E%22%27%3E%3Cimg%20src=x%20onerror=alert(1)%3E";
    for path in [
        format!("/releases?q={evil}&show={evil}&service={evil}&cursor="),
        format!("/releases/new?service={evil}&version={evil}"),
        format!("/releases/{evil}"),
        format!("/releases/drafts/{evil}"),
        format!("/releases/R-1/{evil}"),
    ] {
        let page = app.get(&path).await;
        assert!(page.status < 500, "{path}: {}", page.status);
        assert!(!page.body.contains("<script>alert") && !page.body.contains("<img src=x"), "{path}");
    }
    let reason = "<script>alert(1)</script>";
    let fields = [
        ("service", reason),
        ("image", reason),
        ("s.0.kind", reason),
        ("s.0.percent", reason),
        ("reason", reason),
    ];
    let kept = post(&app, "/releases/drafts", &fields, &[]).await;
    let page = app.get(kept.header("location")).await;
    assert!(page.status == 200 && !page.body.contains("<script>alert"), "{}", page.body);
}

#[tokio::test]
async fn a_release_that_is_done_goes_back_in_one_press_and_says_the_result_before() {
    let app = TestApp::open().await;
    let id = waiting(&app).await;
    say(&app, &id, &json!({"command": "promote"})).await;
    let done = app.get(&format!("{API}/{id}?wait=20")).await.json();
    assert_eq!(done["phase"], json!("succeeded"), "{done}");
    assert!(done["commands"].as_array().unwrap().contains(&json!("switch_back")), "{done}");
    let page = app.get(&format!("/releases/{id}")).await;
    assert!(page.body.contains(&format!("/releases/{id}/switch-back")), "{}", page.body);
    let asked = app.get(&format!("/releases/{id}/switch-back")).await;
    let says = "<b>All requests go back to v1</b> (now v2 100%).";
    assert!(asked.status == 200 && asked.body.contains(says), "{}", asked.body);
    assert!(!asked.body.contains("<select"), "{}", asked.body);
    // Where a revision can be chosen, the one from before Sluice can be, and none of the release's own is chosen.
    let picker = app.get(&format!("/releases/{id}/rollback")).await;
    assert!(picker.body.contains("<option value=\"0\" selected>"), "{}", picker.body);
    let csrf = app.csrf("").await;
    let pressed = app.ask("POST", &format!("/releases/{id}/switch-back"));
    let pressed =
        pressed.header("sec-fetch-site", "same-origin").form(&[("csrf", csrf.as_str())]).send().await;
    assert_eq!(pressed.status, 303, "{}", pressed.body);
    let back = app.get(&format!("{API}/{id}?wait=20")).await.json();
    assert_eq!(
        (&back["phase"], &back["state"]),
        (&json!("rolled_back"), &json!("Switched back to v1")),
        "{back}"
    );
    let service = app.get("/api/v1/services/bookinfo/reviews").await.json();
    assert_eq!(service["declared"]["v1"], json!(100), "{service}");
    // The history says who pressed it.
    let events = app.get(&format!("{API}/{id}/timeline?limit=50")).await.json();
    let told = |event: &Value| event["said"].to_string().contains("Switch back");
    assert!(events["items"].as_array().unwrap().iter().any(told), "{events}");
    // A second time there is nothing to go back from.
    let again = say(&app, &id, &json!({"command": "switch_back"})).await;
    assert_eq!(again.problem(), (409, "release_illegal".into()));
}

#[tokio::test]
async fn the_page_of_an_ended_release_by_pods_says_when_the_pods_are_others_since_then() {
    let app = TestApp::open().await;
    let mut spec = wish();
    spec["strategy"] = json!("replicas");
    spec["steps"] = json!([{"kind": "replicas", "candidate": 1}, {"kind": "approval"},
        {"kind": "replicas", "candidate": 2}]);
    let made = app.ask("POST", API).json(&json!({"spec": spec, "reason": "REV-231"})).send().await;
    assert_eq!(made.status, 200, "{}", made.body);
    let id = made.json()["id"].as_str().unwrap().to_owned();
    wait_for("it waits for approval", async || {
        let release = app.get(&format!("{API}/{id}")).await.json();
        (release["paused"]["reason"] == "gate").then_some(())
    })
    .await;
    say(&app, &id, &json!({"command": "abort"})).await;
    let done = app.get(&format!("{API}/{id}?wait=20")).await.json();
    assert_eq!(done["phase"], json!("rolled_back"), "{done}");
    let page = async |lang: &str| {
        let ask = app.ask("GET", &format!("/releases/{id}")).header("cookie", &format!("lang={lang}"));
        ask.send().await.body
    };
    assert!(!page("en").await.contains("Changed since then"), "{}", page("en").await);
    let mut scaled = app.demo.api.get("Deployment", "bookinfo", "reviews-v2").unwrap();
    scaled["spec"]["replicas"] = json!(3);
    app.demo.api.put_as(scaled, "kubectl").unwrap();
    wait_for("the page says so", async || page("en").await.contains("Changed since then").then_some(()))
        .await;
    let says = page("en").await;
    assert!(says.contains("v1 25%") && says.contains("v2 75%"), "{says}");
    assert!(page("zh").await.contains("此后已有变更"), "{}", page("zh").await);
}
