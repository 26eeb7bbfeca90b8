//! A new version whose pods never run: the page of its release and the API name each pod with its cause, and nothing
//! says that the version is deployed.

use serde_json::{Value, json};

use sluice::demo::controller::{Controller, Start};

use super::releases::API;
use crate::support::app::TestApp;
use crate::support::wait_for;

async fn start(app: &TestApp, image: &str) -> String {
    let spec = json!({
        "service": {"namespace": "weather", "name": "forecast"}, "strategy": "canary", "stable": "v1",
        "candidate": {"from": "image", "version": "v2", "image": image, "replicas": 1},
        "steps": [{"kind": "weight", "percent": 10}, {"kind": "approval"}, {"kind": "weight", "percent": 100}],
    });
    let answer = app.ask("POST", API).json(&json!({"spec": spec, "reason": "REV-231"})).send().await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    answer.json()["id"].as_str().unwrap().to_owned()
}

/// What the controllers of a cluster do: pods for each workload.
fn make_pods(app: &TestApp) {
    Controller::new(app.demo.api.clone(), app.clock.clone()).reconcile(Start::AlreadyUp);
}

#[tokio::test]
async fn a_pod_whose_image_cannot_be_pulled_is_named_with_its_cause() {
    let app = TestApp::open().await;
    let id = start(&app, "shop/forecast:broken").await;
    let release: Value = wait_for("the pod waits", async || {
        make_pods(&app);
        let release = app.get(&format!("{API}/{id}")).await.json();
        (release["waiting_pods"][0]["reason"] == "ImagePullBackOff").then_some(release)
    })
    .await;
    let pod = &release["waiting_pods"][0];
    let name = pod["pod"].as_str().unwrap();
    assert!(name.starts_with("forecast-v2-"), "{pod}");
    assert_eq!(pod["version"], "v2");
    assert!(pod["message"].as_str().unwrap().contains("shop/forecast:broken"), "{pod}");
    let service = app.get("/api/v1/services/weather/forecast").await.json();
    let version = service["versions"].as_array().unwrap().iter().find(|one| one["version"] == "v2").unwrap();
    assert_eq!(version["waiting"][0], *pod);
    for (lang, title, next) in [
        ("en", "v2: 0 of 1 pods ready", "waits until all pods of v2 are ready"),
        ("zh", "v2：0/1 个容器组就绪", "等待 v2 的全部容器组就绪"),
    ] {
        let page = app
            .ask("GET", &format!("/releases/{id}"))
            .header("cookie", &format!("lang={lang}"))
            .send()
            .await
            .body;
        for words in [title, next, name, "ImagePullBackOff", "Back-off pulling image"] {
            assert!(page.contains(words), "{lang}: {words} in {page}");
        }
        let steps = page.split("id=\"rel-steps\"").nth(1).unwrap();
        let first = steps.split("</li>").next().unwrap();
        assert!(!first.contains("i-ok"), "{first}");
        assert!(first.contains("aria-current"), "{first}");
    }
}

#[tokio::test]
async fn a_new_version_that_runs_has_its_tick_and_names_no_pod() {
    let app = TestApp::open().await;
    let id = start(&app, "shop/forecast:2.0").await;
    let release = wait_for("it waits for approval", async || {
        make_pods(&app);
        let release = app.get(&format!("{API}/{id}")).await.json();
        (release["paused"]["reason"] == "gate").then_some(release)
    })
    .await;
    assert_eq!(release["waiting_pods"], json!([]));
    let page = app.get(&format!("/releases/{id}")).await.body;
    let first = page.split("id=\"rel-steps\"").nth(1).unwrap().split("</li>").next().unwrap();
    assert!(first.contains("i-ok") && first.contains("1 of 1 pods ready"), "{first}");
    assert!(page.contains("id=\"rel-pods\" data-live hidden"), "{page}");
}
