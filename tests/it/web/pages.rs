//! Pages that only show: what they hold for whom, and that nothing foreign becomes markup.

use crate::support::app::{AUDITOR, RELEASER, TestApp, VIEWER, sample};

#[tokio::test]
async fn the_list_filters_on_the_server_and_answers_fragments() {
    let app = TestApp::open().await;
    let all = app.get("/services").await;
    assert!(all.body.contains("row-bookinfo.reviews") && all.body.contains("row-weather.forecast"));
    let some = app.get("/services?ns=bookinfo&q=review").await;
    assert!(some.body.contains("row-bookinfo.reviews") && !some.body.contains("row-bookinfo.ratings"));
    assert!(some.body.contains("value=\"review\""), "the filter stays in its field");
    let part = app.ask("GET", "/services?q=review").header("hx-request", "true").send().await;
    assert!(part.body.trim_start().starts_with("<div id=\"results\""), "{}", part.body);
    let none = app.get("/services?q=reviewz").await;
    assert!(none.body.contains("/services/bookinfo/reviews"), "the nearest name is offered: {}", none.body);
    for broken in ["show=x", "sort=y", "win=7", "ns=A!", "limit=-1"] {
        let page = app.get(&format!("/services?{broken}")).await;
        assert_eq!(page.status, 400, "{broken}: what it would have left out is not shown");
    }
    for broken in ["/releases?service=garbage", "/releases?show=x", "/events?topic=services?ns=A!"] {
        assert_eq!(app.get(broken).await.status, 400, "{broken}");
    }
    assert_eq!(app.get("/").await.header("location"), "/services");
}

#[tokio::test]
async fn metrics_are_shown_with_their_sample() {
    let app = TestApp::open().await;
    *app.figures.0.lock().unwrap() = vec![sample("v1", 940.0), sample("v2", 60.0)];
    app.clock.advance_ms(60_000);
    let service = app.get("/api/v1/services/bookinfo/reviews").await.json();
    assert_eq!(service["observed"], serde_json::json!({"v1": 94.0, "v2": 6.0, "v3": 0.0}));
    assert_eq!(service["figures"]["requests"], 1000.0);
    let page = app.get("/services/bookinfo/reviews").await;
    assert!(page.body.contains("1,000") && page.body.contains("38 ms"), "{}", page.body);
}

#[tokio::test]
async fn a_viewer_sees_everything_and_can_press_nothing() {
    let app = TestApp::with_people().await;
    let cookie = app.sign_in(VIEWER).await;
    let page = app.ask("GET", "/services/bookinfo/reviews").header("cookie", &cookie).send().await;
    assert_eq!(page.status, 200);
    assert!(page.body.contains("virtualservices.networking.istio.io"), "the right that is missing is named");
    assert!(!page.body.contains("id=\"apply-btn\""), "no enabled control");
    let csrf = app.csrf(&cookie).await;
    let ask = app.ask("POST", "/services/bookinfo/reviews/traffic/apply").header("cookie", &cookie);
    let fields = [("csrf", csrf.as_str()), ("w.v1", "30"), ("w.v2", "70"), ("w.v3", "0"), ("reason", "x")];
    let answer = ask.form(&fields).send().await;
    assert_eq!(answer.status, 403, "{}", answer.body);
    let hidden = app.ask("GET", "/services/weather/forecast").header("cookie", &cookie).send().await;
    assert_eq!(hidden.status, 404);
    let releaser = app.sign_in(RELEASER).await;
    let page = app.ask("GET", "/services/bookinfo/reviews").header("cookie", &releaser).send().await;
    assert!(page.body.contains("id=\"apply-btn\""));
    let auditor = app.sign_in(AUDITOR).await;
    let page = app.ask("GET", "/services/weather/forecast").header("cookie", &auditor).send().await;
    assert!(page.status == 200 && !page.body.contains("id=\"apply-btn\""));
}

#[tokio::test]
async fn nothing_foreign_becomes_markup() {
    let app = TestApp::open().await;
    let evil = "%3Cscript%3Ealert(1)%3C/script%3E%22%27%3E%3Cimg%20src=x%20onerror=alert(1)%3E";
    for path in [
        format!("/services?q={evil}&ns={evil}"),
        format!("/services/bookinfo/reviews?route={evil}&restore={evil}&applied={evil}"),
        format!("/audit?q={evil}&actor={evil}&service={evil}&from={evil}"),
        format!("/services/bookinfo/reviews/traffic/takeover?version={evil}"),
        format!("/services/bookinfo/reviews/traffic/switch-back?revision={evil}"),
        format!("/services/bookinfo/reviews/traffic/retire?version={evil}"),
        format!("/services/bookinfo/reviews?retired={evil}"),
        format!("/services/bookinfo/reviews/objects/VirtualService/bookinfo/{evil}"),
        format!("/nowhere/{evil}"),
        format!("/services/{evil}/x"),
    ] {
        let page = app.get(&path).await;
        assert!(page.status < 500, "{path}: {}", page.status);
        for bad in ["<script>alert", "<img src=x", "\"'><"] {
            assert!(!page.body.contains(bad), "{path} holds {bad}");
        }
    }
    let people = TestApp::with_people().await;
    let login = people.get(&format!("/login?next=/{evil}")).await;
    assert!(!login.body.contains("<script>alert"));
    let ask = app.ask("PUT", "/api/v1/services/bookinfo/reviews/traffic").header("if-match", "\"0\"");
    let reason = "<script>alert(1)</script>\"'><img src=x onerror=alert(1)>";
    let body = serde_json::json!({"weights": {"v1": 90, "v2": 10}, "reason": reason, "ack": ["few_pods"]});
    assert_eq!(ask.json(&body).send().await.status, 200);
    let id = app.get("/api/v1/audit").await.json()["items"][0]["id"].as_i64().unwrap();
    for path in ["/audit".to_owned(), format!("/audit/{id}"), "/services/bookinfo/reviews".to_owned()] {
        let page = app.get(&path).await;
        assert!(!page.body.contains("<script>alert") && !page.body.contains("<img src=x"), "{path}");
    }
}

#[tokio::test]
async fn no_page_holds_inline_script_or_style() {
    let app = TestApp::open().await;
    app.set_reviews(0, 30, 70).await;
    for path in [
        "/services",
        "/services/bookinfo/reviews",
        "/services/bookinfo/reviews?applied=1",
        "/services/bookinfo/reviews/traffic/takeover?version=v2",
        "/services/bookinfo/reviews/traffic/retire?version=v3",
        "/services/bookinfo/reviews/objects/VirtualService/bookinfo/reviews",
        "/audit",
        "/audit/1",
        "/api/docs",
        "/nowhere",
    ] {
        let page = app.get(path).await;
        let lower = page.body.to_lowercase();
        for bad in [" style=\"", " onclick", " onload", "javascript:", "<style"] {
            assert!(!lower.contains(bad), "{path} holds {bad}");
        }
        for script in lower.split("<script").skip(1) {
            assert!(script.trim_start().starts_with("src="), "{path} holds an inline script");
        }
    }
}

#[tokio::test]
async fn a_part_of_the_split_that_is_no_versions_is_named_in_the_bar_and_beside_the_total() {
    let app = TestApp::open().await;
    let edit = |kind: &str, edit: &dyn Fn(&mut serde_json::Value)| {
        let mut object = app.demo.api.get(kind, "bookinfo", "reviews").unwrap();
        edit(&mut object);
        app.demo.api.put_as(object, "kubectl").unwrap();
    };
    let subsets = serde_json::json!([
        {"name": "v1", "labels": {"version": "v1"}},
        {"name": "all", "labels": {"app": "reviews"}},
    ]);
    edit("DestinationRule", &|rule| rule["spec"]["subsets"] = subsets.clone());
    edit("VirtualService", &|route| {
        let to = |subset: &str, weight: u8| serde_json::json!({"destination": {"host": "reviews", "subset": subset}, "weight": weight});
        route["spec"]["http"] = serde_json::json!([{"route": [to("v1", 70), to("all", 20), to("v2", 10)]}]);
    });
    crate::support::wait_for("the new route is known", async || {
        let service = app.get("/api/v1/services/bookinfo/reviews").await.json();
        (service["declared_shared"][0]["percent"] == 20).then_some(())
    })
    .await;
    for (lang, total, row, rest) in [
        ("en", "70", "10% fails: no subset, 503", "all (v1, v2, v3) 20% · v2 fails, 503 10%"),
        ("zh", "70", "10% 失败：无子集，503", "all (v1, v2, v3) 20% · v2 失败，503 10%"),
    ] {
        let cookie = format!("lang={lang}");
        let page = app.ask("GET", "/services/bookinfo/reviews").header("cookie", &cookie).send().await;
        assert_eq!(page.between("id=\"total\">", "</b>"), total);
        assert!(page.between("data-version=\"v2\"", "</fieldset>").contains(row), "{lang}: {row}");
        assert!(!page.between("data-version=\"v1\"", "</fieldset>").contains("503"), "{lang}");
        assert!(page.between("id=\"rest\"", "</p>").contains(rest), "{lang}: {rest}");
        let bar = page.between("<dl class=\"bars\">", "</dl>");
        let part = rest.split(" · ").nth(1).unwrap();
        assert!(bar.contains(part), "{lang}: {bar}");
    }
}

/// What a reader sees: no tags, and nothing of elements that show source text.
fn visible(html: &str) -> String {
    let mut out = String::new();
    let mut hidden = false;
    for piece in html.split('<').skip(1) {
        let (tag, text) = piece.split_once('>').unwrap_or((piece, ""));
        match tag.split([' ', '\n']).next().unwrap_or_default() {
            "script" | "style" | "pre" => hidden = true,
            "/script" | "/style" | "/pre" => hidden = false,
            _ => {}
        }
        if !hidden {
            out.push_str(text);
        }
    }
    out
}

#[tokio::test]
async fn no_mark_of_a_sentence_is_shown_raw() {
    let app = TestApp::open().await;
    let all = app.get("/api/v1/services?limit=500").await.json();
    let mut code = 0;
    for service in all["items"].as_array().unwrap() {
        let at = format!("{}/{}", service["namespace"].as_str().unwrap(), service["name"].as_str().unwrap());
        for language in ["en", "zh"] {
            let page = app.ask("GET", &format!("/services/{at}")).header("accept-language", language);
            let page = page.send().await.body;
            let text = visible(&page);
            if let Some(mark) = text.find(['`']) {
                let near: String = text[..mark].chars().rev().take(60).collect();
                panic!("{at}: {}", near.chars().rev().collect::<String>());
            }
            code += page.matches("<code>").count();
        }
    }
    assert!(code > 0, "names are shown as code");
}
