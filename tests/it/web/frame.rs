//! What holds for every answer, whatever was asked.

use http::Method;
use sluice::web::{frame, routes};

use crate::support::app::{RELEASER, TestApp};
use crate::support::wait_for;

/// An address of a route with something real in its places.
pub fn filled(path: &str) -> String {
    path.replace("{namespace}", "bookinfo")
        .replace("{id}", "1")
        .replace("{draft}", "d1")
        .replace("{session}", "0123456789abcdef")
        .replace("{template}", "Weekend")
        .replace("/static/{name}", "/static/app.css")
        .replace("{kind}", "VirtualService")
        .replace("{object_namespace}", "bookinfo")
        .replace("{object}", "reviews")
        .replace("{name}", "reviews")
}

#[tokio::test]
async fn every_answer_carries_the_security_headers_and_an_id() {
    let app = TestApp::with_people().await;
    let mut asks: Vec<(Method, String)> =
        routes().into_iter().map(|route| (route.method, filled(&route.path))).collect();
    asks.push((Method::GET, "/nowhere".into()));
    asks.push((Method::DELETE, "/services".into()));
    asks.push((Method::GET, "/api/v1/nowhere".into()));
    asks.push((Method::GET, "/services?lang=zh".into()));
    for (method, path) in asks {
        for token in [None, Some(RELEASER)] {
            let ask = app.ask(method.as_str(), &path);
            let answer = match token {
                // A stream has no end to wait for.
                Some(_) if path.starts_with("/events") => continue,
                Some(token) => ask.token(token).send().await,
                None => ask.send().await,
            };
            let said = |name| answer.header(name);
            let what = format!("{method} {path} {}", answer.status);
            assert_eq!(said("content-security-policy"), frame::POLICY, "{what}");
            assert_eq!(said("x-content-type-options"), "nosniff", "{what}");
            // With no-referrer a browser on plain HTTP hides the origin of the sign-in form.
            let signs_in = answer.body.contains("name=\"token\"");
            let policy = if signs_in { "same-origin" } else { "no-referrer" };
            assert_eq!(said("referrer-policy"), policy, "{what}");
            assert_eq!(said("cross-origin-opener-policy"), "same-origin", "{what}");
            assert!(said("permissions-policy").contains("camera=()"), "{what}");
            assert!(said("x-request-id").len() == 36, "{what}");
            assert_eq!(said("strict-transport-security"), "", "{what}: not on plain HTTP");
            if path.starts_with("/static") {
                assert_eq!(said("cache-control"), "no-cache", "{what}");
            } else {
                assert_eq!(said("cache-control"), "no-store", "{what}");
            }
            assert_ne!(answer.status, 500, "{what}: {}", answer.body);
        }
    }
}

#[test]
fn the_policy_allows_nothing_inline_and_nothing_from_elsewhere() {
    for bad in ["unsafe", "*", "http:", "https:", "data:", "blob:", "nonce"] {
        assert!(!frame::POLICY.contains(bad), "{bad}");
    }
}

#[tokio::test]
async fn what_is_not_there_is_said_in_the_words_of_the_door() {
    let app = TestApp::open().await;
    let page = app.get("/nowhere").await;
    assert_eq!((page.status, page.header("content-type")), (404, "text/html; charset=utf-8"));
    assert!(page.body.contains(page.header("x-request-id")), "the page shows the request's id");
    let fragment = app.ask("GET", "/nowhere").header("hx-request", "true").send().await;
    assert_eq!(fragment.status, 404);
    assert!(!fragment.body.contains("<html"), "{}", fragment.body);
    assert_eq!(app.get("/api/v1/nowhere").await.problem(), (404, "not_found".into()));
    let wrong = app.ask("DELETE", "/api/v1/services").send().await;
    assert_eq!(wrong.problem(), (405, "method_not_allowed".into()));
    assert_eq!(wrong.header("allow"), "GET,HEAD");
    let wrong = app.ask("PATCH", "/services").send().await;
    assert_eq!((wrong.status, wrong.header("allow")), (405, "GET,HEAD"));
}

#[tokio::test]
async fn language_and_theme_are_kept_in_cookies_and_the_page_stays() {
    let app = TestApp::open().await;
    let chosen = app.get("/services?ns=shop&lang=zh&theme=dark").await;
    assert_eq!((chosen.status, chosen.header("location")), (303, "/services?ns=shop"));
    let cookies: Vec<_> = chosen.headers.get_all("set-cookie").iter().map(|c| c.to_str().unwrap()).collect();
    assert_eq!(cookies.len(), 2, "{cookies:?}");
    assert!(cookies[0].starts_with("lang=zh; ") && cookies[1].starts_with("theme=dark; "), "{cookies:?}");
    let page = app.ask("GET", "/services").header("cookie", "lang=zh; theme=dark").send().await;
    assert!(page.body.contains("<html lang=\"zh-CN\" data-theme=\"dark\">"), "{}", page.body);
    let page = app.ask("GET", "/services").header("accept-language", "zh-TW,zh;q=0.9,en;q=0.8").send().await;
    assert!(page.body.contains("<html lang=\"zh-CN\""), "the browser's language counts until one is chosen");
    for (asked, to) in [("//evil.example/?lang=zh", "/"), ("/nowhere?theme=light", "/nowhere")] {
        assert_eq!(app.get(asked).await.header("location"), to, "{asked}");
    }
    assert_eq!(app.get("/services?lang=xx").await.status, 200, "an unknown language is no choice");
}

#[tokio::test]
async fn programs_hear_the_language_they_accept() {
    let app = TestApp::open().await;
    let path = "/api/v1/services/bookinfo/nobody";
    let english = app.get(path).await;
    let chinese = app.ask("GET", path).header("accept-language", "zh-CN").send().await;
    assert_eq!(english.header("content-language"), "en");
    assert_eq!(chinese.header("content-language"), "zh-CN");
    assert_eq!(english.json()["code"], chinese.json()["code"]);
    assert_ne!(english.json()["detail"], chinese.json()["detail"]);
}

#[tokio::test]
async fn files_are_kept_for_ever_under_the_address_that_pages_use() {
    let app = TestApp::open().await;
    let page = app.get("/services").await;
    let address = format!("/static/app.css?v={}", page.between("/static/app.css?v=", "\""));
    let file = app.get(&address).await;
    assert_eq!((file.status, file.header("content-type")), (200, "text/css; charset=utf-8"));
    assert_eq!(file.header("cache-control"), "public, max-age=31536000, immutable");
    assert_eq!(app.get("/static/app.css?v=old").await.header("cache-control"), "no-cache");
    let etag = file.header("etag");
    let again = app.ask("GET", &address).header("if-none-match", etag).send().await;
    assert_eq!((again.status, again.body.as_str()), (304, ""));
    let small = app.ask("GET", &address).header("accept-encoding", "br, gzip").send().await;
    assert_eq!(small.header("content-encoding"), "gzip");
    let plain = app.ask("GET", &address).header("accept-encoding", "gzip;q=0").send().await;
    assert_eq!(plain.header("content-encoding"), "");
    for missing in ["/static/../Cargo.toml", "/static/%2e%2e%2fCargo.toml", "/static/VENDORED.md", "/static/"]
    {
        assert_eq!(app.get(missing).await.status, 404, "{missing}");
    }
}

#[tokio::test]
async fn pages_and_answers_are_compressed_for_those_who_take_it() {
    let app = TestApp::open().await;
    let page = app.ask("GET", "/services").header("accept-encoding", "gzip").send().await;
    assert_eq!(page.header("content-encoding"), "gzip");
    let plain = app.ask("GET", "/services").header("accept-encoding", "identity;q=0").send().await;
    assert_eq!(plain.status, 200, "who takes nothing gets it plain");
}

#[tokio::test]
async fn a_body_above_the_limit_is_refused_whether_it_says_so_or_not() {
    let app = TestApp::open().await;
    let path = "/api/v1/services/bookinfo/reviews/traffic/preview";
    let big = "x".repeat(1024 * 1024);
    let declared = app.ask("POST", path).header("content-length", "1048576");
    let declared = declared.bytes("application/json", big.clone()).send().await;
    assert_eq!(declared.problem(), (413, "body_too_large".into()));
    let chunks = futures::stream::iter((0..64).map(|_| Ok::<_, std::io::Error>("x".repeat(16 * 1024))));
    let silent = app.ask("POST", path).bytes("application/json", axum::body::Body::from_stream(chunks));
    assert_eq!(silent.send().await.problem(), (413, "body_too_large".into()));
}

#[tokio::test]
async fn probes_tell_alive_from_ready() {
    let app = TestApp::open().await;
    assert_eq!(app.get("/healthz").await.json()["status"], "ok");
    // The lists are in; what was left open by an earlier run is looked at before anybody is served.
    wait_for("ready", async || match app.get("/readyz").await {
        answer if answer.status == 200 => Some(()),
        answer => {
            assert_eq!((answer.status, answer.json()["status"].as_str()), (503, Some("starting")));
            None
        }
    })
    .await;
}
