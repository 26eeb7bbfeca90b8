//! Sessions listed and ended: by oneself, by administrators, by command; on the page and through the API.

use std::process::Output;

use serde_json::{Value, json};
use sluice::clock::Clock;
use sluice::demo::api::{Person, Right};

use super::live::Line;
use crate::support::app::{AUDITOR, Answer, RELEASER, TestApp, VIEWER};
use crate::support::wait_for;

const ADMIN: &str = "token-of-ada";
const API: &str = "/api/v1/sessions";
const FIREFOX: &str = "Mozilla/5.0 (X11; Linux x86_64; rv:145.0) Gecko/20100101 Firefox/145.0";

/// People, and one who may list and end everybody's sessions.
async fn app() -> TestApp {
    let app = TestApp::with_people().await;
    app.demo.api.add_person(Person { token: ADMIN.into(), name: "ada".into(), ..Person::default() });
    app.demo.api.grant(Right {
        subject: "ada".into(),
        verbs: vec!["list".into(), "delete".into()],
        groups: vec!["sluice.io".into()],
        resources: vec!["sessions".into()],
        ..Right::default()
    });
    app
}

async fn sign_in(app: &TestApp, token: &str) -> String {
    let ask = app.ask("POST", "/login").header("user-agent", FIREFOX);
    let answer = ask.form(&[("token", token)]).send().await;
    assert_eq!(answer.status, 303, "{}", answer.body);
    answer.header("set-cookie").split(';').next().unwrap().to_owned()
}

async fn by_cookie(app: &TestApp, method: &str, path: &str, cookie: &str) -> Answer {
    let csrf = if method == "GET" { String::new() } else { app.csrf(cookie).await };
    app.ask(method, path).header("cookie", cookie).header("x-csrf-token", &csrf).send().await
}

async fn items(app: &TestApp, path: &str, token: &str) -> Vec<Value> {
    let answer = app.ask("GET", path).token(token).send().await;
    assert_eq!(answer.status, 200, "{path}: {}", answer.body);
    answer.json()["items"].as_array().unwrap().clone()
}

async fn is_in(app: &TestApp, cookie: &str) -> bool {
    app.ask("GET", "/services").header("cookie", cookie).send().await.status == 200
}

#[tokio::test]
async fn everybody_sees_and_ends_their_own_sessions() {
    let app = app().await;
    let (first, second) = (sign_in(&app, VIEWER).await, sign_in(&app, VIEWER).await);
    let other = sign_in(&app, RELEASER).await;
    let own = by_cookie(&app, "GET", API, &first).await.json();
    let own = own["items"].as_array().unwrap();
    assert_eq!(own.len(), 2);
    for session in own {
        assert_eq!((&session["user"], &session["channel"]), (&json!("vera"), &json!("browser")));
        assert_eq!(session["agent"], "Firefox, Linux");
        assert_eq!(session["created_at"], "2026-01-02T03:04:05.000Z");
        assert!(session["address"].is_string() && session["ends_at"].is_string());
        let text = session.to_string();
        assert!(!first.contains(session["id"].as_str().unwrap()));
        for secret in [first.as_str(), second.as_str(), VIEWER] {
            assert!(!text.contains(secret.trim_start_matches("sluice=")), "{text}");
        }
    }
    assert_eq!(own.iter().filter(|session| session["current"] == true).count(), 1);
    let theirs = &items(&app, API, RELEASER).await[0];
    assert_eq!(theirs["current"], false, "a bearer has no session");

    // What others have is neither shown nor ended, and not distinguished from what is not there.
    for path in [format!("{API}?scope=all"), format!("{API}?user=rolf")] {
        let refused = app.ask("GET", &path).token(VIEWER).send().await;
        assert_eq!(refused.problem(), (403, "sessions_forbidden".into()), "{path}");
    }
    let hidden = format!("{API}/{}", theirs["id"].as_str().unwrap());
    let refused = app.ask("DELETE", &hidden).token(VIEWER).send().await;
    let absent = app.ask("DELETE", &format!("{API}/0123456789abcdef")).token(VIEWER).send().await;
    assert_eq!(refused.problem(), (404, "session_not_found".into()));
    assert_eq!(refused.problem(), absent.problem());
    let refused = app.ask("DELETE", &format!("{API}?user=rolf")).token(VIEWER).send().await;
    assert_eq!(refused.problem(), (403, "sessions_forbidden".into()));
    assert!(is_in(&app, &other).await);

    let current = own.iter().find(|session| session["current"] == true).unwrap();
    let id = current["id"].as_str().unwrap();
    let forged = app.ask("DELETE", &format!("{API}/{id}")).header("cookie", &second).send().await;
    assert_eq!(forged.problem(), (403, "csrf".into()));
    let ended = by_cookie(&app, "DELETE", &format!("{API}/{id}?reason=lost%20laptop"), &second).await;
    assert_eq!((ended.status, ended.json()["revoked"].as_i64()), (200, Some(1)), "{}", ended.body);
    assert!(!is_in(&app, &first).await && is_in(&app, &second).await);
    let again = app.ask("DELETE", &format!("{API}/{id}")).token(VIEWER).send().await;
    assert_eq!(again.status, 404, "it is over");
    let ended = app.ask("DELETE", &format!("{API}?user=vera")).token(VIEWER).send().await;
    assert_eq!(ended.json()["revoked"], 1);
    assert!(!is_in(&app, &second).await && is_in(&app, &other).await);

    let rows = items(&app, "/api/v1/audit?action=revoke_session", AUDITOR).await;
    assert_eq!(rows.len(), 2, "refusals of strangers' ids are no revocations");
    assert_eq!((&rows[1]["reason"], &rows[1]["actor"]), (&json!("lost laptop"), &json!("vera")));
    assert_eq!(rows[1]["session"], json!({"id": id, "user": "vera"}));
}

#[tokio::test]
async fn administrators_see_and_end_everybodys_sessions() {
    let app = app().await;
    let mut cookies = Vec::new();
    for token in [VIEWER, VIEWER, RELEASER, AUDITOR] {
        cookies.push(sign_in(&app, token).await);
        app.clock.advance_ms(1_000);
    }
    let users = |items: &[Value]| -> Vec<String> {
        items.iter().map(|item| item["user"].as_str().unwrap().to_owned()).collect()
    };
    let all = format!("{API}?scope=all");
    assert_eq!(users(&items(&app, &all, ADMIN).await), ["aude", "rolf", "vera", "vera"]);
    assert_eq!(users(&items(&app, &format!("{API}?user=vera"), ADMIN).await), ["vera", "vera"]);
    assert_eq!(items(&app, API, ADMIN).await, Vec::<Value>::new(), "none of her own");
    let page = app.ask("GET", &format!("{all}&limit=3")).token(ADMIN).send().await.json();
    let next = page["next"].as_str().unwrap();
    let rest = app.ask("GET", &format!("{all}&limit=3&cursor={next}")).token(ADMIN).send().await.json();
    assert_eq!((rest["items"].as_array().unwrap().len(), &rest["next"]), (1, &Value::Null));
    for (query, code) in [
        ("?scope=some", "bad_query"),
        ("?cursor=x", "bad_cursor"),
        ("?limit=0", "bad_query"),
        ("?nonsense=1", "bad_query"),
    ] {
        let refused = app.ask("GET", &format!("{API}{query}")).token(ADMIN).send().await;
        assert_eq!(refused.problem(), (400, code.into()), "{query}");
    }
    let refused = app.ask("DELETE", API).token(ADMIN).send().await;
    assert_eq!(refused.problem(), (400, "bad_query".into()), "whose, must be said");

    let mut line = Line::open(&app, "services", &[("cookie", &cookies[2])]).await;
    let rolfs = items(&app, &format!("{API}?user=rolf"), ADMIN).await[0]["id"].clone();
    let path = format!("{API}/{}", rolfs.as_str().unwrap());
    assert_eq!(app.ask("DELETE", &path).token(ADMIN).send().await.status, 200);
    while line.next().await.is_some() {}
    assert!(!is_in(&app, &cookies[2]).await);
    let ended = app.ask("DELETE", &format!("{API}?user=vera")).token(ADMIN).send().await;
    assert_eq!(ended.json()["revoked"], 2);
    assert!(!is_in(&app, &cookies[0]).await && !is_in(&app, &cookies[1]).await);
    assert!(is_in(&app, &cookies[3]).await);
}

#[tokio::test]
async fn the_page_shows_and_ends_what_the_api_does() {
    let app = app().await;
    let (mine, admin) = (sign_in(&app, VIEWER).await, sign_in(&app, ADMIN).await);
    let shown = app.ask("GET", "/sessions").header("cookie", &mine).send().await;
    assert_eq!(shown.status, 200);
    assert!(shown.body.contains("Firefox, Linux") && shown.body.contains("this browser"), "{}", shown.body);
    // As a word: a token of the page may hold these letters.
    let ada = regex::Regex::new(r"\bada\b").unwrap();
    assert!(!ada.is_match(&shown.body) && !shown.body.contains("scope=all"), "{}", shown.body);
    assert!(shown.body.contains("href=\"/sessions\""), "the menu leads to it");
    let refused = app.ask("GET", "/sessions?scope=all").header("cookie", &mine).send().await;
    assert_eq!(refused.status, 403);
    let all = app.ask("GET", "/sessions?scope=all").header("cookie", &admin).send().await;
    assert!(all.body.contains("vera") && ada.is_match(&all.body), "{}", all.body);

    let post = async |cookie: &str, path: &str, fields: &[(&str, &str)]| {
        let csrf = app.csrf(cookie).await;
        let mut all = vec![("csrf", csrf.as_str())];
        all.extend_from_slice(fields);
        app.ask("POST", path).header("cookie", cookie).form(&all).send().await
    };
    let id = items(&app, API, VIEWER).await[0]["id"].as_str().unwrap().to_owned();
    let ended = post(&admin, &format!("/sessions/{id}/revoke"), &[]).await;
    assert_eq!((ended.status, ended.header("location")), (303, "/sessions"), "{}", ended.body);
    assert!(!is_in(&app, &mine).await);
    let ended = post(&admin, &format!("/sessions/{id}/revoke"), &[]).await;
    assert_eq!(ended.status, 404);
    let ended = post(&admin, "/sessions/revoke", &[("user", "ada")]).await;
    assert_eq!((ended.status, ended.header("location")), (303, "/login"), "one's own goes with it");
    assert!(ended.header("set-cookie").contains("Max-Age=0"));
    assert!(!is_in(&app, &admin).await);
}

fn sluice(arguments: &[&str]) -> Output {
    std::process::Command::new(env!("CARGO_BIN_EXE_sluice")).args(arguments).output().unwrap()
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

#[tokio::test]
async fn the_command_lists_and_ends_sessions_while_the_server_runs() {
    let app = app().await;
    // The command reads the machine's clock.
    let now = Clock::System.now_ms();
    app.clock.advance_ms(now - app.clock.now_ms());
    let (vera, rolf) = (sign_in(&app, VIEWER).await, sign_in(&app, RELEASER).await);
    let mut line = Line::open(&app, "services", &[("cookie", &vera)]).await;
    let file = app.history_file();
    let file = file.to_str().unwrap();
    let listed = said(&sluice(&["sessions", "list", file]));
    assert!(
        listed.contains("vera") && listed.contains("rolf") && listed.contains("Firefox, Linux"),
        "{listed}"
    );
    assert!(!listed.contains(vera.trim_start_matches("sluice=")), "{listed}");
    let only = said(&sluice(&["sessions", "list", file, "--user", "rolf"]));
    assert!(!only.contains("vera") && only.contains("rolf"), "{only}");
    let id = items(&app, API, VIEWER).await[0]["id"].as_str().unwrap().to_owned();

    let ended = sluice(&["sessions", "revoke", file, "--id", &id, "--reason", "left the company"]);
    assert!(ended.status.success() && said(&ended).contains(&id), "{}", said(&ended));
    assert!(!is_in(&app, &vera).await && is_in(&app, &rolf).await);
    while line.next().await.is_some() {}
    let row = wait_for("it is in the history", async || {
        items(&app, "/api/v1/audit?action=revoke_session", AUDITOR).await.first().cloned()
    })
    .await;
    assert_eq!((&row["channel"], &row["reason"]), (&json!("command"), &json!("left the company")));
    assert_eq!(row["session"], json!({"id": id, "user": "vera"}));
    assert!(row["actor"].as_str().unwrap().starts_with("os-user"), "{row}");

    let none = sluice(&["sessions", "revoke", file, "--id", &id]);
    assert!(!none.status.success() && said(&none).contains("No such session"), "{}", said(&none));
    let all = sluice(&["sessions", "revoke", file, "--all"]);
    assert!(all.status.success(), "{}", said(&all));
    assert!(!is_in(&app, &rolf).await);
    let unclear = sluice(&["sessions", "revoke", file]);
    assert_eq!(unclear.status.code(), Some(2), "which ones must be said");
    let absent = sluice(&["sessions", "list", "/nowhere/sluice.db"]);
    assert_eq!(absent.status.code(), Some(1), "{}", said(&absent));
}
