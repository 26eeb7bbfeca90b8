//! Who gets in, with what, and that a browser really sent what it seems to have sent.

use serde_json::json;
use sluice::config::{Auth, Web};
use sluice::web::{Access, routes};

use super::frame::filled;
use crate::support::app::{AUDITOR, Answer, RELEASER, TestApp, VIEWER, people};

const TRAFFIC: &str = "/api/v1/services/bookinfo/reviews/traffic";

async fn with_body(app: &TestApp, method: &str, path: &str, token: Option<&str>) -> Answer {
    let mut ask = app.ask(method, path).header("if-match", "\"0\"");
    if let Some(token) = token {
        ask = ask.token(token);
    }
    if method == "GET" { ask.send().await } else { ask.json(&json!({})).send().await }
}

#[tokio::test]
async fn nobody_gets_behind_a_door_without_an_identity() {
    let app = TestApp::with_people().await;
    for route in routes() {
        let path = filled(&route.path);
        let answer = with_body(&app, route.method.as_str(), &path, None).await;
        let what = format!("{} {path}", route.method);
        match route.access {
            Access::Open => assert_ne!(answer.status, 401, "{what}"),
            Access::Api => assert_eq!(answer.problem(), (401, "unauthenticated".into()), "{what}"),
            Access::Page if route.method == "GET" => {
                assert_eq!(answer.status, 303, "{what}");
                assert!(answer.header("location").starts_with("/login?next="), "{what}");
            }
            Access::Page => assert_eq!(answer.status, 401, "{what}"),
        }
        if route.access == Access::Api {
            assert_eq!(answer.header("www-authenticate"), "Bearer realm=\"sluice\"", "{what}");
            let wrong = with_body(&app, route.method.as_str(), &path, Some("nobody's")).await;
            assert!(matches!(wrong.status, 401 | 429), "{what}: {}", wrong.status);
        }
    }
}

/// Every route of the API with every person: who may not see gets what is not there, who may not change gets
/// the missing right, and nobody gets a fault.
#[tokio::test]
async fn every_route_judges_every_person() {
    let app = TestApp::with_people().await;
    for route in routes().into_iter().filter(|route| route.access == Access::Api && route.path != "/events") {
        for (token, sees_weather) in [(VIEWER, false), (RELEASER, false), (AUDITOR, true)] {
            let method = route.method.as_str();
            let what = format!("{method} {} {token}", route.path);
            let elsewhere = filled(&route.path).replace("/bookinfo/reviews", "/weather/forecast");
            let elsewhere = elsewhere
                .replace("/VirtualService/weather/forecast", "/VirtualService/weather/forecast-route");
            let body = if route.path.ends_with("takeover") {
                json!({"version": "v2", "reason": "x"})
            } else if route.path.ends_with("retire") {
                json!({"version": "v1", "confirm": "forecast v1", "reason": "x"})
            } else if route.path.ends_with("switch-back") {
                json!({"revision": 0})
            } else {
                json!({"weights": {"v1": 0, "v2": 100}, "reason": "x"})
            };
            let ask = app.ask(method, &elsewhere).token(token).header("if-match", "\"0\"");
            let answer = if method == "GET" { ask.send().await } else { ask.json(&body).send().await };
            assert!(answer.status < 500, "{what}: {} {}", answer.status, answer.body);
            if !elsewhere.contains("/weather/") {
                continue;
            }
            if !sees_weather {
                assert_eq!(answer.problem(), (404, "service_not_found".into()), "{what}");
            } else if method == "GET" {
                assert_eq!(answer.status, 200, "{what}");
            } else {
                assert_eq!(answer.problem(), (403, "forbidden".into()), "{what}: {}", answer.body);
            }
        }
    }
}

#[tokio::test]
async fn a_person_sees_their_namespaces_only() {
    let app = TestApp::with_people().await;
    let list = async |token| {
        let list = app.ask("GET", "/api/v1/services?sort=name").token(token).send().await.json();
        let items = list["items"].as_array().unwrap().clone();
        items
            .iter()
            .map(|item| item["namespace"].as_str().unwrap().to_owned())
            .collect::<std::collections::BTreeSet<_>>()
    };
    assert_eq!(list(VIEWER).await.into_iter().collect::<Vec<_>>(), ["bookinfo"]);
    assert!(list(AUDITOR).await.len() > 1);
    let hidden = app.ask("GET", "/api/v1/services/weather/forecast").token(VIEWER).send().await;
    let absent = app.ask("GET", "/api/v1/services/nowhere/forecast").token(VIEWER).send().await;
    assert_eq!(hidden.problem(), absent.problem());
    let me = app.ask("GET", "/api/v1/me").token(VIEWER).send().await.json();
    assert_eq!(me["user"], "vera");
}

#[tokio::test]
async fn a_viewer_is_told_what_right_is_missing() {
    let app = TestApp::with_people().await;
    let ask = app.ask("PUT", TRAFFIC).token(VIEWER).header("if-match", "\"0\"");
    let answer = ask.json(&json!({"weights": {"v1": 100}, "reason": "x"})).send().await;
    assert_eq!(answer.problem(), (403, "forbidden".into()));
    let said = answer.json()["detail"].as_str().unwrap().to_owned();
    assert!(said.contains("virtualservices") && said.contains("bookinfo"), "{said}");
}

#[tokio::test]
async fn a_session_begins_and_ends_with_a_cookie_that_scripts_cannot_read() {
    let app = TestApp::with_people().await;
    let page = app.get("/login?next=/audit?q=x").await;
    assert_eq!(page.status, 200);
    let answer = app.ask("POST", "/login").form(&[("token", RELEASER), ("next", "/audit")]).send().await;
    assert_eq!((answer.status, answer.header("location")), (303, "/audit"), "{}", answer.body);
    let cookie = answer.header("set-cookie").to_owned();
    assert!(
        cookie.starts_with("sluice=") && cookie.contains("HttpOnly") && cookie.contains("SameSite=Strict"),
        "{cookie}"
    );
    assert!(
        cookie.contains("Path=/") && !cookie.contains("Domain") && !cookie.contains("Secure"),
        "{cookie}"
    );
    let cookie = cookie.split(';').next().unwrap().to_owned();
    assert_eq!(app.ask("GET", "/services").header("cookie", &cookie).send().await.status, 200);
    assert_eq!(app.ask("GET", "/login").header("cookie", &cookie).send().await.status, 303, "already in");
    let csrf = app.csrf(&cookie).await;
    let out = app.ask("POST", "/logout").header("cookie", &cookie).form(&[("csrf", &csrf)]).send().await;
    assert_eq!((out.status, out.header("location")), (303, "/login"));
    assert!(out.header("set-cookie").contains("Max-Age=0"), "{}", out.header("set-cookie"));
    let after = app.ask("GET", "/services").header("cookie", &cookie).send().await;
    assert_eq!(after.status, 303, "the session is over at once");
}

#[tokio::test]
async fn with_https_the_cookie_is_bound_to_this_host_and_the_browser_to_https() {
    let url = "https://sluice.example".parse().unwrap();
    let settings = Web { auth: Auth::Token, public_url: Some(url), ..Web::open() };
    let app = TestApp::start(settings, people).await;
    let answer = app.ask("POST", "/login").form(&[("token", RELEASER)]).send().await;
    let cookie = answer.header("set-cookie");
    assert!(cookie.starts_with("__Host-sluice=") && cookie.contains("; Secure"), "{cookie}");
    assert!(answer.header("strict-transport-security").contains("max-age="));
}

#[tokio::test]
async fn a_wrong_token_gets_one_sentence_and_soon_a_pause() {
    let app = TestApp::with_people().await;
    for token in ["", "wrong", "a b", &"x".repeat(20_000)] {
        let answer =
            app.ask("POST", "/login").form(&[("token", token), ("next", "//evil.example")]).send().await;
        assert_eq!(answer.status, 401, "{token:.20}");
        assert!(token.is_empty() || !answer.body.contains(&format!("value=\"{token}\"")), "kept in the form");
        assert!(!answer.body.contains("evil.example"), "a foreign return address is dropped");
    }
    let mut last = 0;
    for _ in 0..6 {
        last = app.ask("POST", "/login").form(&[("token", "wrong")]).send().await.status;
    }
    assert_eq!(last, 429, "the same wrong token is not looked at again");
    app.sign_in(RELEASER).await;
    app.clock.advance_ms(120_000);
    assert_eq!(app.ask("POST", "/login").form(&[("token", "wrong")]).send().await.status, 401);
}

/// A sandboxed frame of any site says `Origin: null`; our own sign-in page lets the browser say its origin.
#[tokio::test]
async fn a_sign_in_that_does_not_come_from_here_is_refused() {
    let app = TestApp::with_people().await;
    assert_eq!(app.get("/login").await.header("referrer-policy"), "same-origin");
    for (name, value, status) in [
        ("origin", "null", 403),
        ("origin", "https://evil.example", 403),
        ("sec-fetch-site", "cross-site", 403),
        ("origin", "http://127.0.0.1:8080", 303),
        ("sec-fetch-site", "same-origin", 303),
    ] {
        let ask = app.ask("POST", "/login").header(name, value);
        assert_eq!(ask.form(&[("token", VIEWER)]).send().await.status, status, "{name}: {value}");
    }
}

#[tokio::test]
async fn return_addresses_stay_on_this_server() {
    let app = TestApp::with_people().await;
    for next in
        ["//evil.example", "https://evil.example", "/\\evil.example", "javascript:alert(1)", "/a\r\nX: y"]
    {
        let answer = app.ask("POST", "/login").form(&[("token", RELEASER), ("next", next)]).send().await;
        assert_eq!(answer.header("location"), "/services", "{next}");
    }
}

/// The matrix of forged requests: what the browser says, and the token of the session.
#[tokio::test]
async fn forged_forms_are_refused() {
    let app = TestApp::with_people().await;
    let cookie = app.sign_in(RELEASER).await;
    let csrf = app.csrf(&cookie).await;
    let path = "/services/bookinfo/reviews/traffic/preview";
    let send = async |headers: &[(&str, &str)], token: Option<&str>| {
        let mut ask = app.ask("POST", path).header("cookie", &cookie);
        for (name, value) in headers {
            ask = ask.header(name, value);
        }
        let fields: Vec<(&str, &str)> = token.map(|token| ("csrf", token)).into_iter().collect();
        ask.form(&fields).send().await.status
    };
    let ours: &[&[(&str, &str)]] = &[
        &[("sec-fetch-site", "same-origin")],
        &[("sec-fetch-site", "none")],
        &[("origin", "http://127.0.0.1:8080")],
        &[("origin", "null")],
        &[],
    ];
    for headers in ours {
        assert_eq!(send(headers, Some(&csrf)).await, 200, "{headers:?}");
        assert_eq!(send(headers, None).await, 403, "{headers:?} without token");
        assert_eq!(send(headers, Some("wrong")).await, 403, "{headers:?} with a wrong token");
    }
    let foreign: &[&[(&str, &str)]] = &[
        &[("sec-fetch-site", "cross-site")],
        &[("sec-fetch-site", "same-site")],
        &[("sec-fetch-site", "cross-site"), ("origin", "http://127.0.0.1:8080")],
        &[("origin", "http://127.0.0.1:8081")],
        &[("origin", "https://evil.example")],
        &[("origin", "http://127.0.0.1:8080.evil.example")],
    ];
    for headers in foreign {
        assert_eq!(send(headers, Some(&csrf)).await, 403, "{headers:?}");
    }
    let header = app.ask("POST", path).header("cookie", &cookie).header("x-csrf-token", &csrf).form(&[]);
    assert_eq!(header.send().await.status, 200, "the token may come in a header");
    let other = app.sign_in(RELEASER).await;
    assert_ne!(app.csrf(&other).await, csrf, "each session has its own token");
    let plain = app.ask("POST", path).header("cookie", &cookie).header("x-csrf-token", &csrf);
    assert_eq!(plain.bytes("text/plain", "a=b").send().await.status, 415);
}

#[tokio::test]
async fn the_api_takes_a_cookie_for_reading_and_with_the_token_for_writing() {
    let app = TestApp::with_people().await;
    let cookie = app.sign_in(RELEASER).await;
    let csrf = app.csrf(&cookie).await;
    assert_eq!(app.ask("GET", "/api/v1/me").header("cookie", &cookie).send().await.status, 200);
    let body = json!({"weights": {"v1": 100}});
    let path = format!("{TRAFFIC}/preview");
    let forged = app.ask("POST", &path).header("cookie", &cookie).json(&body).send().await;
    assert_eq!(forged.problem(), (403, "csrf".into()));
    let ours = app
        .ask("POST", &path)
        .header("cookie", &cookie)
        .header("x-csrf-token", &csrf)
        .json(&body)
        .send()
        .await;
    assert_ne!(ours.status, 403, "{}", ours.body);
    let bearer = app
        .ask("POST", &path)
        .token(RELEASER)
        .header("sec-fetch-site", "cross-site")
        .json(&body)
        .send()
        .await;
    assert_ne!(bearer.status, 403, "who has a token does not come with a browser's cookie: {}", bearer.body);
}

#[tokio::test]
async fn where_nobody_is_asked_the_host_and_the_sender_decide() {
    let app = TestApp::open().await;
    for (host, status) in [
        ("127.0.0.1:8080", 200),
        ("localhost:1", 200),
        ("[::1]:8080", 200),
        ("sluice.localhost", 200),
        ("evil.example:8080", 403),
        ("10.0.0.1", 403),
        ("127.0.0.1.evil.example", 403),
    ] {
        let request = http::Request::builder().uri("/api/v1/services").header("host", host);
        let request = request.body(axum::body::Body::empty()).unwrap();
        let answer = tower::ServiceExt::oneshot(app.router.clone(), request).await.unwrap();
        assert_eq!(answer.status(), status, "{host}");
    }
    let body = json!({"weights": {"v1": 100}});
    let path = format!("{TRAFFIC}/preview");
    for (name, value, forged) in [
        ("x-nothing", "curl", false),
        ("sec-fetch-site", "same-origin", false),
        ("sec-fetch-site", "cross-site", true),
        ("origin", "https://evil.example", true),
        ("origin", "null", true),
    ] {
        let answer = app.ask("POST", &path).header(name, value).json(&body).send().await;
        assert_eq!(answer.status == 403, forged, "{name}: {value} {}", answer.body);
    }
    let page =
        app.ask("POST", "/services/bookinfo/reviews/traffic/preview").form(&[("w.v1", "100")]).send().await;
    assert_eq!(page.status, 403, "a form needs its token here too");
}

#[tokio::test]
async fn a_link_from_another_site_finds_the_session() {
    let app = TestApp::with_people().await;
    let link =
        app.ask("GET", "/services/bookinfo/reviews").header("sec-fetch-site", "cross-site").send().await;
    assert_eq!((link.status, link.header("refresh")), (200, "0; url=/services/bookinfo/reviews"));
    let again =
        app.ask("GET", "/services/bookinfo/reviews").header("sec-fetch-site", "same-origin").send().await;
    assert_eq!(again.status, 303, "who has no session is asked to sign in");
}

#[tokio::test]
async fn tokens_that_nobody_has_are_soon_not_looked_at() {
    let app = TestApp::with_people().await;
    let mut last = 0;
    for n in 0..40 {
        last = app.ask("GET", "/api/v1/me").token(&format!("guess-{n}")).send().await.status;
    }
    assert_eq!(last, 429);
    let valid = app.ask("GET", "/api/v1/me").token(VIEWER).send().await;
    assert_eq!(valid.status, 200, "guesses of others keep nobody out");
    app.clock.advance_ms(61_000);
    assert_eq!(app.ask("GET", "/api/v1/me").token("guess-40").send().await.status, 401);
    assert_eq!(app.ask("GET", "/api/v1/me").token(VIEWER).send().await.status, 200);
    for bad in ["Basic abc", "Bearer", "Bearer ", "bearer"] {
        let answer = app.ask("GET", "/api/v1/me").header("authorization", bad).send().await;
        assert_eq!(answer.status, 401, "{bad}");
    }
}
