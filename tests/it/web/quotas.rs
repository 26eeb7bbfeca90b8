//! Quotas are counted by person where there is one, and turned against nobody else.

use std::num::NonZeroU32;

use http_body_util::BodyExt;
use serde_json::json;
use sluice::config::{Auth, Web};
use sluice::demo::api::Person;
use sluice::web::listen::Limits;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::support::app::{AUDITOR, RELEASER, TestApp, VIEWER, people};
use crate::support::wait_for;

const TRAFFIC: &str = "/api/v1/services/bookinfo/reviews/traffic";

fn token() -> Web {
    Web { auth: Auth::Token, demo: false, ..Web::open() }
}

/// 31 bad bearers and more bad sign-ins from one address: whoever has a token there still gets in.
#[tokio::test]
async fn guesses_are_held_against_the_guess_and_not_against_the_address() {
    let app = TestApp::with_people().await;
    for n in 0..31 {
        let guess = app.ask("GET", "/api/v1/me").token(&format!("guess-{n}")).send().await;
        assert!(matches!(guess.status, 401 | 429), "{}", guess.status);
        app.ask("POST", "/login").form(&[("token", &*format!("guess-{n}"))]).send().await;
    }
    assert_eq!(app.ask("GET", "/api/v1/me").token(VIEWER).send().await.status, 200);
    app.sign_in(RELEASER).await;
    let mut last = 0;
    for _ in 0..7 {
        last = app.ask("GET", "/api/v1/me").token("the same guess").send().await.status;
    }
    assert_eq!(last, 429);
}

/// 130 sessions of one person, each with a few streams, used up everybody's.
#[tokio::test]
async fn one_person_has_a_share_of_all_streams() {
    let settings = Web { max_streams: 8, max_streams_per_session: 2, max_streams_per_person: 5, ..token() };
    let app = TestApp::start(settings, people).await;
    let mut open = Vec::new();
    for _ in 0..5 {
        let cookie = app.sign_in(VIEWER).await;
        for _ in 0..2 {
            let ask = app.ask("GET", "/events?topic=services").header("cookie", &cookie);
            let (status, body) = ask.open().await;
            if status == 200 {
                open.push(body);
            } else {
                assert_eq!(status, 429);
            }
        }
    }
    assert_eq!(open.len(), 5);
    let (status, mut body) = app.ask("GET", "/events?topic=services").token(RELEASER).open().await;
    assert_eq!(status, 200, "the others have their streams");
    assert!(body.frame().await.is_some());
}

#[tokio::test]
async fn previews_are_counted_by_person_and_keep_no_way_back() {
    let settings = Web { max_previews_per_minute: NonZeroU32::new(5), ..token() };
    let app = TestApp::start(settings, people).await;
    let preview = async |token: &str| {
        let ask = app.ask("POST", &format!("{TRAFFIC}/preview")).token(token);
        ask.json(&json!({"weights": {"v1": 50, "v2": 50}})).send().await.status
    };
    for _ in 0..5 {
        assert_eq!(preview(RELEASER).await, 200);
    }
    assert_eq!(preview(RELEASER).await, 429);
    let plan = json!({"spec": {"service": {"namespace": "bookinfo", "name": "reviews"}, "strategy": "canary",
        "stable": "v1", "candidate": {"from": "adopt", "version": "v2"}, "steps": [{"kind": "weight", "percent": 100}]}});
    let planned = app.ask("POST", "/api/v1/releases/plan").token(RELEASER).json(&plan).send().await;
    assert_eq!(planned.problem(), (429, "rate_limited".into()), "a plan asks the cluster as well");
    let dry = app.ask("PUT", &format!("{TRAFFIC}?dry_run=true")).token(RELEASER).header("if-match", "\"0\"");
    let dry = dry.json(&json!({"weights": {"v1": 50, "v2": 50}, "reason": "x"})).send().await;
    assert_eq!(dry.status, 429, "and so does a dry run");
    assert_ne!(preview(VIEWER).await, 429, "others have their own");
    let cookie = app.sign_in(RELEASER).await;
    for _ in 0..8 {
        let back = "/services/bookinfo/reviews/traffic/switch-back?revision=0";
        let page = app.ask("GET", back).header("cookie", &cookie).send().await;
        assert_eq!(page.status, 200, "the question before a way back is always asked");
    }
    app.clock.advance_ms(60_000);
    assert_eq!(preview(RELEASER).await, 200);
}

/// 200 refused switch-backs were 11 MB of history.
#[tokio::test]
async fn refused_attempts_are_folded_and_soon_wait() {
    let app = TestApp::with_people().await;
    let back = async || {
        let ask = app.ask("POST", &format!("{TRAFFIC}/switch-back")).token(VIEWER);
        ask.json(&json!({"revision": 0})).send().await
    };
    let mut refused = 0;
    for turn in 0..2 {
        for _ in 0..120 {
            if back().await.status == 403 {
                refused += 1;
            }
        }
        assert_eq!(back().await.problem(), (429, "rate_limited".into()), "turn {turn}");
        let other = app.ask("POST", &format!("{TRAFFIC}/switch-back")).token(RELEASER);
        let other = other.json(&json!({"revision": 99})).send().await;
        assert_eq!(other.problem().1, "unknown_revision", "somebody else's way back is open");
        app.clock.advance_ms(10_000);
    }
    assert_eq!(refused, 240);
    app.clock.advance_ms(60_000);
    let rows = async || {
        let path = "/api/v1/audit?action=switch_back&result=refused";
        let all = app.ask("GET", path).token(AUDITOR).send().await.json();
        let all = all["items"].as_array().unwrap().clone();
        all.iter().map(|row| row["times"].as_u64().unwrap()).collect::<Vec<_>>()
    };
    wait_for("the minute is written", async || (rows().await.len() == 2).then_some(())).await;
    assert_eq!(rows().await, [239, 1], "one row at once, and one that stands for the others");
    let report = sluice::store::verify::verify(&app.history_file(), None).await;
    assert!(report.unwrap().is_good(), "the chain holds");
}

/// Drafts of 125 kB at 44 a second by somebody without any right.
#[tokio::test]
async fn drafts_need_a_right_and_have_a_quota() {
    let app = TestApp::start(token(), |demo| {
        people(demo);
        demo.api.add_person(Person { token: "nina's".into(), name: "nina".into(), ..Person::default() });
    })
    .await;
    let keep = async |token: &str, fields: serde_json::Value| {
        app.ask("POST", "/api/v1/releases/drafts").token(token).json(&json!({"fields": fields})).send().await
    };
    let named = keep("nina's", json!({"service": "bookinfo/reviews"})).await;
    assert_eq!(named.problem(), (404, "service_not_found".into()), "what nina may not see");
    let reviews = json!({"service": "bookinfo/reviews"});
    assert_eq!(keep(VIEWER, reviews.clone()).await.problem(), (403, "forbidden".into()));
    let hidden = keep(RELEASER, json!({"service": "weather/forecast"})).await;
    assert_eq!(hidden.problem(), (404, "service_not_found".into()));
    let large = json!({"service": "bookinfo/reviews", "text": "x".repeat(120_000)});
    let mut kept = 0;
    while keep(RELEASER, large.clone()).await.status == 200 {
        kept += 1;
        assert!(kept < 20, "there is no bound");
    }
    assert_eq!(kept, 8);
    let full = keep(RELEASER, large).await;
    assert_eq!(full.problem(), (422, "too_many_drafts".into()));
    for _ in kept..50 {
        assert_eq!(keep(RELEASER, reviews.clone()).await.status, 200);
    }
    assert_eq!(keep(RELEASER, reviews.clone()).await.problem(), (422, "too_many_drafts".into()));
    for _ in 0..120 {
        keep(RELEASER, reviews.clone()).await;
    }
    assert_eq!(keep(RELEASER, reviews).await.problem(), (429, "rate_limited".into()));
}

#[tokio::test]
async fn the_address_is_that_of_the_client_behind_trusted_proxies() {
    for (trusted, address) in [("10.0.0.0/8", "127.0.0.1"), ("127.0.0.0/8", "192.0.2.7")] {
        let settings = Web { trusted_proxies: vec![trusted.parse().unwrap()], ..Web::open() };
        let app = TestApp::start(settings, |_| {}).await;
        let ask = app.ask("PUT", TRAFFIC).header("if-match", "\"0\"");
        let ask = ask.header("x-forwarded-for", "1.1.1.1, 192.0.2.7, 127.0.0.9");
        let body =
            json!({"weights": {"v1": 90, "v2": 10, "v3": 0}, "reason": "x", "ack": ["big_jump", "few_pods"]});
        assert_eq!(ask.json(&body).send().await.status, 200);
        let row = app.get("/api/v1/audit").await.json()["items"][0].clone();
        assert_eq!(row["address"], address, "{trusted}");
    }
}

/// 50 idle connections shut out their address.
#[tokio::test]
async fn idle_connections_give_way() {
    let app = TestApp::with_people().await;
    let at = app.listen(Limits { per_address: 5, connections: 8, ..Limits::default() }).await;
    let ask = async |stream: &mut TcpStream| {
        stream.write_all(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
        let mut first = [0; 15];
        stream
            .read_exact(&mut first)
            .await
            .is_ok_and(|_| first.ends_with(b" 200 O") || first.starts_with(b"HTTP/1.1 200"))
    };
    let mut idle = Vec::new();
    for turn in 0..20 {
        let mut stream = TcpStream::connect(at).await.unwrap();
        assert!(ask(&mut stream).await, "connection {turn}");
        idle.push(stream);
    }
}
