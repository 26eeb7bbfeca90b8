//! `ServiceEntries` and Sidecars: what they do to a service is among its findings, by the names that the reader may have;
//! and where Sluice may not read them, it says that it has not looked.

use serde_json::{Value, json};
use sluice::config::{Auth, Web};
use sluice::demo::api::{Person, Right};

use crate::support::app::TestApp;
use crate::support::wait_for;

const REVIEWS: &str = "/api/v1/services/bookinfo/reviews";

fn object(kind: &str, namespace: &str, name: &str, spec: Value) -> Value {
    json!({"apiVersion": "networking.istio.io/v1", "kind": kind,
        "metadata": {"namespace": namespace, "name": name}, "spec": spec})
}

fn codes(service: &Value) -> Vec<String> {
    let findings = service["findings"].as_array().into_iter().flatten();
    findings.filter_map(|finding| finding["code"].as_str().map(str::to_owned)).collect()
}

fn right(subject: &str, namespace: Option<&str>, verbs: &[&str], resources: &[&str]) -> Right {
    let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect();
    Right {
        subject: subject.into(),
        namespace: namespace.map(str::to_owned),
        verbs: words(verbs),
        groups: words(&["*"]),
        resources: words(resources),
        names: Vec::new(),
    }
}

async fn app() -> TestApp {
    TestApp::start(Web { auth: Auth::Token, demo: false, ..Web::open() }, |demo| {
        let host = "reviews.bookinfo.svc.cluster.local";
        for object in [
            object(
                "ServiceEntry",
                "weather",
                "secretse-qq",
                json!({"hosts": [host], "resolution": "STATIC"}),
            ),
            object("ServiceEntry", "bookinfo", "elsewhere", json!({"hosts": ["example.com"]})),
            object(
                "Sidecar",
                "weather",
                "secretsc-qq",
                json!({"workloadSelector": {"labels": {"app": "frontend"}}, "egress": [{"hosts": ["./*"]}]}),
            ),
            object("Sidecar", "bookinfo", "all", json!({"egress": [{"hosts": ["*/*"]}]})),
            object("Sidecar", "bookinfo", "own", json!({"egress": [{"hosts": ["./*", "istio-system/*"]}]})),
            object("Sidecar", "bookinfo", "plain", json!({})),
        ] {
            demo.api.put(object).unwrap();
        }
        for (token, name) in [("token-of-olga", "olga"), ("token-of-vic", "vic")] {
            demo.api.add_person(Person { token: token.into(), name: name.into(), ..Person::default() });
        }
        for all in ["system:anonymous", "olga"] {
            demo.api.grant(right(all, None, &["*"], &["*"]));
        }
        let routes = ["services", "virtualservices", "destinationrules"];
        demo.api.grant(right("vic", Some("bookinfo"), &["get", "list"], &routes));
    })
    .await
}

#[tokio::test]
async fn a_service_says_which_other_objects_answer_for_its_host_or_keep_it_from_callers() {
    let app = app().await;
    let ask = async |token: &str| app.ask("GET", REVIEWS).token(token).send().await.json();
    let seen = wait_for("they are read", async || {
        let seen = ask("token-of-olga").await;
        codes(&seen).contains(&"host_elsewhere".to_owned()).then_some(seen)
    })
    .await;
    assert!(codes(&seen).contains(&"sidecar_hides".to_owned()), "{seen}");
    let text = seen["findings"].to_string();
    for named in ["ServiceEntry weather/secretse-qq", "Sidecar weather/secretsc-qq (app=frontend)"] {
        assert!(text.contains(named), "{named}: {text}");
    }
    for none in ["bookinfo/elsewhere", "bookinfo/all", "bookinfo/own", "bookinfo/plain"] {
        assert!(!text.contains(none), "{none}: {text}");
    }
    let notices = app.ask("GET", "/api/v1/services").token("token-of-olga").send().await.body;
    assert!(!notices.contains("kinds_not_read"), "{notices}");
    // Whoever does not see the namespace learns that there are some.
    for path in [REVIEWS, "/api/v1/services?namespace=bookinfo"] {
        let text = app.ask("GET", path).token("token-of-vic").send().await.body;
        assert!(text.contains("host_elsewhere") && text.contains("sidecar_hides"), "{path}: {text}");
        assert!(!text.contains("secret") && !text.contains("weather"), "{path}: {text}");
    }
}

#[tokio::test]
async fn what_may_not_be_read_is_said_to_be_not_looked_at() {
    let app = TestApp::start(Web { auth: Auth::Token, demo: false, ..Web::open() }, |demo| {
        demo.api.add_person(Person {
            token: "token-of-olga".into(),
            name: "olga".into(),
            ..Person::default()
        });
        demo.api.grant(right("olga", None, &["*"], &["*"]));
        let rest = [
            "services",
            "pods",
            "namespaces",
            "endpointslices",
            "deployments",
            "statefulsets",
            "virtualservices",
            "destinationrules",
            "tokenreviews",
            "subjectaccessreviews",
            "leases",
            "serviceentries",
        ];
        demo.api.grant(right("system:anonymous", None, &["*"], &rest));
    })
    .await;
    wait_for("the page says it", async || {
        let cookie = app.sign_in("token-of-olga").await;
        let page = app.ask("GET", "/services").header("cookie", &cookie).send().await.body;
        (page.contains("does not read these kinds in this cluster: Sidecar")).then_some(())
    })
    .await;
}
