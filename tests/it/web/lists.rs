//! The list is kept between requests: whatever it shows, a page or a call of the API after a change shows the
//! change, each person sees what is theirs alone, and nothing of one person or language reaches another.

use std::io::Read as _;
use std::sync::Arc;

use flate2::read::GzDecoder;
use http_body_util::BodyExt;
use serde_json::{Value, json};
use sluice::domain::actor::{Actor, Channel, Identity};
use sluice::domain::overview::ListAsk;
use sluice::views::chrome::Chrome;
use sluice::views::services::{Bottom, ServicesPage, Top};

use crate::support::app::{AUDITOR, RELEASER, START_MS, TestApp, VIEWER, sample};
use crate::support::wait_for;

/// The item of `bookinfo/reviews` in the list of the API.
async fn reviews(app: &TestApp) -> Value {
    let list = app.get("/api/v1/services").await.json();
    let items = list["items"].as_array().unwrap().clone();
    items.into_iter().find(|item| item["name"] == "reviews").unwrap()
}

/// Its row on the page.
async fn row(app: &TestApp, path: &str) -> String {
    app.get(path).await.between("<tr id=\"row-bookinfo.reviews\"", "</tr>").to_owned()
}

#[tokio::test]
async fn an_unchanged_list_is_put_together_once_a_second() {
    let app = TestApp::open().await;
    let identity = Arc::new(Identity::local("somebody"));
    let who = Actor { identity, channel: Channel::Api, address: None };
    let list = async |ask: &ListAsk| app.services.list(&who, ask).await.unwrap();
    let all = ListAsk::default();
    // What happens at the start has happened.
    let same = async || {
        let (one, other) = (list(&all).await, list(&all).await);
        Arc::ptr_eq(&one, &other).then_some(one)
    };
    let first = wait_for("a quiet world", same).await;
    let named = list(&ListAsk { text: "reviews".into(), ..ListAsk::default() }).await;
    assert_eq!((named.total, named.items.len()), (1, 1), "another question is another page");
    assert_ne!(named.number, first.number);
    app.clock.advance_ms(1_000);
    let later = list(&all).await;
    assert_ne!(later.number, first.number, "times and figures grow old");
}

#[tokio::test]
async fn a_change_is_in_the_list_at_once() {
    let app = TestApp::open().await;
    assert_eq!(reviews(&app).await["revision"], 0);
    let before = row(&app, "/services").await;
    app.set_reviews(0, 30, 70).await;
    let item = reviews(&app).await;
    assert_eq!((&item["revision"], &item["declared"]), (&json!(1), &json!({"v1": 30, "v2": 70, "v3": 0})));
    assert_eq!(
        (&item["last_change"]["by"], &item["last_change"]["result"]),
        (&json!("demo"), &json!("applied"))
    );
    let after = row(&app, "/services").await;
    assert_ne!(before, after);
    assert!(after.contains("v1 30% · v2 70%"), "{after}");
    let part = app.ask("GET", "/services").header("hx-request", "true").send().await;
    assert!(part.body.contains("v1 30% · v2 70%"), "{}", part.body);
}

#[tokio::test]
async fn an_edit_from_outside_changes_state_and_order() {
    let app = TestApp::open().await;
    wait_for("the first look is over", async || app.services.ready().ok()).await;
    assert_eq!(reviews(&app).await["state"], "steady");
    let mut object = app.demo.api.get("VirtualService", "bookinfo", "reviews").unwrap();
    object["spec"]["http"][0]["route"][0]["weight"] = json!(95);
    object["spec"]["http"][0]["route"][1]["weight"] = json!(5);
    app.demo.api.put_as(object, "kubectl-edit").unwrap();
    let outside = async || (reviews(&app).await["state"] == "changed_outside").then_some(());
    wait_for("the edit from outside in the list", outside).await;
    let attention = async || {
        let page = app.get("/services?show=attention").await;
        page.body.contains("row-bookinfo.reviews").then_some(page)
    };
    let page = wait_for("it needs attention", attention).await;
    let first = page.between("<tbody id=\"rows\"", "</tbody>").matches("<tr ").count();
    assert_eq!(
        page.between("aria-current=\"true\">", "</a>").split("<small>").nth(1),
        Some(&*format!("{first}</small>"))
    );
}

#[tokio::test]
async fn pods_that_go_are_gone_from_the_list() {
    let app = TestApp::open().await;
    let ready = |item: &Value| item["versions"][1]["ready"].as_u64().unwrap();
    let before = ready(&reviews(&app).await);
    let slices = app.demo.api.list("EndpointSlice", Some("bookinfo"));
    for slice in slices.iter().filter(|slice| slice.value().to_string().contains("reviews")) {
        let mut slice = slice.value();
        for endpoint in slice["endpoints"].as_array_mut().unwrap() {
            endpoint["conditions"]["ready"] = json!(false);
        }
        app.demo.api.put(slice).unwrap();
    }
    wait_for("fewer pods", async || (ready(&reviews(&app).await) < before).then_some(())).await;
}

#[tokio::test]
async fn new_figures_are_shown_when_the_old_ones_are_no_longer_fresh() {
    let app = TestApp::open().await;
    assert_eq!(reviews(&app).await["observed"], Value::Null);
    for (v1, share) in [(940.0, 94.0), (500.0, 89.3)] {
        *app.figures.0.lock().unwrap() = vec![sample("v1", v1), sample("v2", 60.0)];
        app.clock.advance_ms(60_000);
        assert_eq!(reviews(&app).await["observed"]["v1"], json!(share));
        let shown = row(&app, "/services").await;
        assert!(shown.contains(&format!("v1 {share:.0}")), "{shown}");
    }
    let hour = app.get("/api/v1/services?window=3600").await.json();
    assert_eq!(
        hour["items"].as_array().unwrap().iter().filter(|i| i["figures"]["window_s"] == 3600).count(),
        1
    );
}

#[tokio::test]
async fn how_long_ago_something_was_goes_on() {
    let app = TestApp::open().await;
    app.set_reviews(0, 30, 70).await;
    let now = row(&app, "/services").await;
    app.clock.advance_ms(7 * 60_000);
    let later = row(&app, "/services").await;
    assert!(!now.contains("7 min") && later.contains("7 min"), "{now}\n{later}");
}

#[tokio::test]
async fn each_language_and_zone_has_its_own() {
    let app = TestApp::open().await;
    app.set_reviews(0, 30, 70).await;
    let speaking = async |cookie: &str| app.ask("GET", "/services").header("cookie", cookie).send().await;
    for _ in 0..2 {
        let (en, zh) = (speaking("lang=en").await, speaking("lang=zh").await);
        assert!(en.body.contains("lang=\"en\"") && en.body.contains("Services"));
        assert!(zh.body.contains("lang=\"zh-CN\"") && zh.body.contains("服务"));
        assert_ne!(en.between("id=\"results\"", "</table>"), zh.between("id=\"results\"", "</table>"));
        assert!(!en.between("<table", "</table>").contains("就绪"));
        assert!(speaking("tz=60").await.body.contains("04:04"), "an hour east of Greenwich");
        assert!(speaking("tz=0").await.body.contains("03:04"));
        let call = async |lang: &str| {
            app.ask("GET", "/api/v1/services").header("accept-language", lang).send().await
        };
        let findings = |answer: crate::support::app::Answer| {
            let list = answer.json();
            let all = list["items"].as_array().unwrap().iter().map(|item| item["findings"].clone());
            all.collect::<Vec<_>>()
        };
        assert_ne!(findings(call("en").await), findings(call("zh").await));
    }
}

#[tokio::test]
async fn nobody_gets_the_list_of_somebody_else() {
    let app = TestApp::with_people().await;
    let call = async |token: &str| app.ask("GET", "/api/v1/services").token(token).send().await;
    for _ in 0..2 {
        let (viewer, auditor) = (call(VIEWER).await, call(AUDITOR).await);
        assert!(viewer.body.contains("reviews") && auditor.body.contains("reviews"));
        for hidden in ["weather", "forecast", "shop"] {
            assert!(!viewer.body.contains(hidden), "{hidden}: {}", viewer.body);
            assert!(auditor.body.contains(hidden), "{hidden}");
        }
        assert_ne!(viewer.json()["total"], auditor.json()["total"]);
    }
    let (viewer, releaser) = (app.sign_in(VIEWER).await, app.sign_in(RELEASER).await);
    let open = async |cookie: &str| app.ask("GET", "/services").header("cookie", cookie).send().await;
    let (one, other) = (open(&viewer).await, open(&releaser).await);
    assert!(one.body.contains("vera") && !one.body.contains("rolf"));
    assert!(other.body.contains("rolf") && !other.body.contains("vera"));
    assert_ne!(app.csrf(&viewer).await, app.csrf(&releaser).await);
    assert!(!one.body.contains("forecast") && !other.body.contains("forecast"));
}

#[tokio::test]
async fn a_right_that_was_taken_away_takes_the_rows_away() {
    let app = TestApp::with_people().await;
    let cookie = app.sign_in(VIEWER).await;
    let open = async || app.ask("GET", "/services").header("cookie", &cookie).send().await;
    assert!(open().await.body.contains("row-bookinfo.reviews"));
    app.demo.api.revoke("vera");
    // Rights are believed for a minute.
    app.clock.advance_ms(61_000);
    let page = open().await;
    assert!(page.status == 200 && !page.body.contains("row-"), "{}", page.body);
    let list = app.ask("GET", "/api/v1/services").token(VIEWER).send().await.json();
    assert_eq!((&list["total"], &list["items"], &list["namespaces"]), (&json!(0), &json!([]), &json!([])));
}

#[tokio::test]
async fn trouble_is_told_on_a_kept_list() {
    let app = TestApp::open().await;
    let codes = async || {
        let list = app.get("/api/v1/services").await.json();
        list["notices"].as_array().unwrap().iter().map(|notice| notice["code"].clone()).collect::<Vec<_>>()
    };
    assert_eq!(codes().await, Vec::<Value>::new());
    app.demo.api.uninstall("VirtualService");
    app.demo.api.end_watches(sluice::demo::api::Cut::Cleanly);
    wait_for("the missing kind", async || codes().await.contains(&json!("no_istio")).then_some(())).await;
}

#[tokio::test]
async fn compressed_it_is_the_same() {
    let app = TestApp::open().await;
    for (path, fragment) in [("/services", false), ("/services?q=re", true), ("/api/v1/services", false)] {
        let ask = || {
            if fragment { app.ask("GET", path).header("hx-request", "true") } else { app.ask("GET", path) }
        };
        let plain = ask().send().await;
        for accepted in ["gzip", "br, gzip;q=0.5"] {
            let (status, body) = ask().header("accept-encoding", accepted).open().await;
            let body = body.collect().await.unwrap().to_bytes();
            let mut text = String::new();
            GzDecoder::new(&*body).read_to_string(&mut text).unwrap();
            assert_eq!((status, &text), (200, &plain.body), "{path}");
            assert!(body.len() * 2 < text.len(), "{path}: {} of {}", body.len(), text.len());
        }
        let told = ask().header("accept-encoding", "gzip").send().await;
        assert_eq!((told.header("content-encoding"), told.header("vary")), ("gzip", "accept-encoding"));
        let none = ask().header("accept-encoding", "gzip;q=0, identity").send().await;
        assert_eq!((none.header("content-encoding"), &none.body), ("", &plain.body));
    }
}

#[tokio::test]
async fn a_page_in_pieces_is_the_whole_page() {
    let app = TestApp::open().await;
    let answer = app.get("/services").await;
    assert_eq!(answer.header("content-length"), answer.body.len().to_string());
    for once in ["<!doctype html>", "<main ", "</main>", "id=\"rows\"", "</html>"] {
        assert_eq!(answer.body.matches(once).count(), 1, "{once}");
    }
    let chrome = Chrome { now_ms: START_MS, csrf: "token".into(), ..Chrome::default() };
    let view = ServicesPage::of(
        &ListAsk::default(),
        &sluice::domain::overview::ListPage::default(),
        Vec::new(),
        chrome,
    );
    let (top, bottom) = (Top { chrome: &view.chrome }, Bottom { chrome: &view.chrome });
    assert_eq!(format!("{top}{}{bottom}", view.as_main()), view.to_string());
}

#[tokio::test]
async fn the_first_page_counts_the_namespaces_that_have_services() {
    let app = TestApp::open().await;
    let list = app.get("/api/v1/services?limit=200").await.json();
    let items = list["items"].as_array().unwrap();
    assert_eq!(json!(items.len()), list["total"]);
    let with: std::collections::BTreeSet<&str> =
        items.iter().map(|item| item["namespace"].as_str().unwrap()).collect();
    let all = list["namespaces"].as_array().unwrap().len();
    assert!(with.len() < all, "some namespace has no service: {all}");
    let words = format!("{} services in {} namespaces", items.len(), with.len());
    assert!(app.get("/services").await.body.contains(&words), "{words}");
}
