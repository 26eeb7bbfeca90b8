//! Live streams: what is sent, to whom, how many, and when they end.

use std::time::Duration;

use axum::body::Body;
use http_body_util::BodyExt;
use serde_json::{Value, json};
use sluice::config::{Auth, Web};

use crate::support::app::{RELEASER, TestApp, VIEWER, people};

pub(super) struct Line {
    body: Body,
    text: String,
}

impl Line {
    pub(super) async fn open(app: &TestApp, topic: &str, headers: &[(&str, &str)]) -> Self {
        let mut ask = app.ask("GET", &format!("/events?topic={topic}"));
        for (name, value) in headers {
            ask = ask.header(name, value);
        }
        let (status, body) = ask.open().await;
        assert_eq!(status, 200, "{topic}");
        Self { body, text: String::new() }
    }

    /// The next event; `None` when the stream is over.
    pub(super) async fn next(&mut self) -> Option<(String, Value)> {
        loop {
            if let Some((event, rest)) = self.text.split_once("\n\n") {
                let (mut name, mut data) = (String::new(), Value::Null);
                for line in event.lines() {
                    if let Some(said) = line.strip_prefix("event: ") {
                        said.clone_into(&mut name);
                    } else if let Some(said) = line.strip_prefix("data: ") {
                        data = serde_json::from_str(said).unwrap();
                    }
                }
                let rest = rest.to_owned();
                self.text = rest;
                return Some((name, data));
            }
            let frame = tokio::time::timeout(Duration::from_secs(10), self.body.frame());
            let frame = frame.await.expect("silence").transpose().unwrap()?;
            self.text.push_str(std::str::from_utf8(&frame.into_data().unwrap()).unwrap());
        }
    }

    /// The next event for which `wanted` holds; everything before it is thrown away.
    pub(super) async fn until(&mut self, wanted: impl Fn(&str, &Value) -> bool) -> Value {
        loop {
            let (name, data) = self.next().await.expect("the stream is over");
            if wanted(&name, &data) {
                return data;
            }
        }
    }
}

pub(super) fn frag(id: &'static str) -> impl Fn(&str, &Value) -> bool {
    move |name, data| name == "frag" && data["id"] == id
}

#[tokio::test]
async fn a_change_reaches_the_page_of_its_service() {
    let app = TestApp::open().await;
    let page = app.get("/services/bookinfo/reviews").await;
    let topic = page.between("data-topic=\"", "\"").replace("&#38;", "%26").replace("&amp;", "%26");
    let topic = topic.replace('?', "%3F").replace('=', "%3D");
    let mut line = Line::open(&app, &topic, &[]).await;
    assert_eq!(line.next().await.unwrap().0, "ping", "the page learns at once that it is live");
    app.set_reviews(0, 30, 70).await;
    let said = line.until(|name, _| name == "revision").await;
    assert_eq!(said, json!({"service": "bookinfo/reviews", "revision": 1, "by": "demo"}));
    let said = line.until(frag("t-declared")).await;
    assert!(said["html"].as_str().unwrap().contains("70"), "{said}");
}

#[tokio::test]
async fn what_changed_between_page_and_stream_is_sent_when_it_opens() {
    let app = TestApp::open().await;
    let page = app.get("/services/bookinfo/reviews").await;
    let topic = page.between("data-topic=\"", "\"").to_owned();
    let stamp = topic.rsplit_once("stamp=").unwrap().1;
    app.set_reviews(0, 30, 70).await;
    let mut late = Line::open(&app, &format!("service:bookinfo/reviews%3Fstamp%3D{stamp}"), &[]).await;
    let said = late.until(frag("t-declared")).await;
    assert!(said["html"].as_str().unwrap().contains("70"), "{said}");
}

#[tokio::test]
async fn rows_of_the_list_follow_and_only_those_on_the_page() {
    let app = TestApp::open().await;
    let mut line = Line::open(&app, "services%3Fns%3Dbookinfo", &[]).await;
    let mut other = Line::open(&app, "services%3Fns%3Dweather", &[]).await;
    app.set_reviews(0, 30, 70).await;
    let is_new = |name: &str, data: &Value| {
        name == "frag"
            && data["id"] == "row-bookinfo.reviews"
            && data["html"].as_str().unwrap().contains("70")
    };
    line.until(is_new).await;
    app.shut();
    while let Some((_, data)) = other.next().await {
        assert!(!data["id"].to_string().contains("bookinfo"), "{data}");
    }
}

#[tokio::test]
async fn nobody_hears_of_what_they_may_not_see() {
    let app = TestApp::with_people().await;
    let token = format!("Bearer {VIEWER}");
    let viewer = [("authorization", token.as_str())];
    let hidden = app.ask("GET", "/events?topic=service:weather/forecast").token(VIEWER).send().await;
    let absent = app.ask("GET", "/events?topic=service:weather/nobody").token(VIEWER).send().await;
    assert_eq!(hidden.problem(), (404, "service_not_found".into()));
    assert_eq!(hidden.problem().0, absent.problem().0);
    let mut line = Line::open(&app, "services", &viewer).await;
    for (namespace, name) in [("weather", "forecast"), ("bookinfo", "ratings")] {
        let mut deployment = app.demo.api.get("Deployment", namespace, &format!("{name}-v1")).unwrap();
        deployment["spec"]["replicas"] = json!(7);
        app.demo.api.put(deployment).unwrap();
    }
    line.until(|_, data| {
        assert!(!data["id"].to_string().contains("weather"), "{data}");
        data["id"] == "row-bookinfo.ratings" && data["html"].as_str().unwrap().contains('7')
    })
    .await;
}

#[tokio::test]
async fn the_language_of_the_page_is_the_language_of_its_updates() {
    let app = TestApp::open().await;
    let mut english = Line::open(&app, "service:bookinfo/reviews", &[]).await;
    let mut chinese = Line::open(&app, "service:bookinfo/reviews", &[("cookie", "lang=zh")]).await;
    let (english, chinese) = (english.until(frag("svc-facts")).await, chinese.until(frag("svc-facts")).await);
    assert_ne!(english, chinese);
}

#[tokio::test]
async fn a_session_has_so_many_streams_and_all_together_have_so_many() {
    let settings = Web { auth: Auth::Token, max_streams: 3, max_streams_per_session: 2, ..Web::open() };
    let app = TestApp::start(settings, people).await;
    let (one, two) = (app.sign_in(VIEWER).await, app.sign_in(RELEASER).await);
    let first = Line::open(&app, "services", &[("cookie", &one)]).await;
    let _second = Line::open(&app, "audit", &[("cookie", &one)]).await;
    let third = app.ask("GET", "/events?topic=services").header("cookie", &one).send().await;
    assert_eq!(third.problem(), (429, "too_many_streams".into()));
    let _other = Line::open(&app, "services", &[("cookie", &two)]).await;
    let full = app.ask("GET", "/events?topic=services").header("cookie", &two).send().await;
    assert_eq!(full.problem(), (429, "too_many_streams".into()), "all places are taken");
    drop(first);
    Line::open(&app, "services", &[("cookie", &two)]).await;
}

#[tokio::test]
async fn streams_end_when_the_server_stops() {
    let app = TestApp::open().await;
    let mut line = Line::open(&app, "services", &[]).await;
    app.shut();
    while line.next().await.is_some() {}
}

#[tokio::test]
async fn a_stream_ends_with_its_session() {
    let app = TestApp::with_people().await;
    let cookie = app.sign_in(RELEASER).await;
    let mut line = Line::open(&app, "audit", &[("cookie", &cookie)]).await;
    line.next().await.unwrap();
    let csrf = app.csrf(&cookie).await;
    let out = app.ask("POST", "/logout").header("cookie", &cookie).form(&[("csrf", &csrf)]).send().await;
    assert_eq!(out.status, 303);
    for _ in 0..12 {
        // Only the stream's own timer is to pass; nothing else waits meanwhile.
        tokio::time::pause();
        tokio::time::advance(Duration::from_secs(5)).await;
        tokio::time::resume();
        if line.next().await.is_none() {
            return;
        }
    }
    panic!("the stream goes on without its session");
}

#[tokio::test]
async fn a_stream_is_not_for_other_sites_and_event_ids_mean_nothing() {
    let app = TestApp::open().await;
    for id in ["0", "-1", "999999999999999999999", "'; DROP TABLE", "💥"] {
        Line::open(&app, "services", &[("last-event-id", id)]).await;
    }
    let page = app.ask("GET", "/events?topic=services").header("sec-fetch-site", "cross-site").send().await;
    assert_eq!(page.problem(), (403, "csrf".into()));
}
