//! Who may do what, by the right of whoever asks: a service whose route lives in another namespace, people with
//! different rights on it, and everything that each of them can send.

mod approvals;
mod escalations;
mod matrix;
mod names;
mod object_names;
mod objects;
mod real;
mod retire;
mod shown;

use serde_json::{Value, json};
use sluice::config::{Auth, Web};
use sluice::demo::Demo;
use sluice::demo::api::{Person, Right};

use crate::support::app::{Answer, TestApp};
use crate::support::wait_for;

/// May do everything, everywhere.
pub const OWNER: &str = "token-of-olga";
/// The same, and another person.
pub const SECOND: &str = "token-of-wanda";
/// Sees `bookinfo`, and may read and change routing objects there: no workloads, nothing in `platform`.
pub const ROUTES_ONLY: &str = "token-of-rut";
/// May do everything in `weather`, and sees nothing else.
pub const ELSEWHERE: &str = "token-of-elsa";
/// Sees `bookinfo` and may read its objects.
pub const LOOKS: &str = "token-of-vic";
/// May sign in, and nothing else.
pub const NOBODY: &str = "token-of-noor";
/// A `ServiceAccount` that may change routing in `weather`.
pub const PORTAL: &str = "token-of-portal";

/// Everybody with the name that the cluster has for them.
pub const EVERYBODY: [(&str, &str); 7] = [
    (OWNER, "olga"),
    (SECOND, "wanda"),
    (ROUTES_ONLY, "rut"),
    (ELSEWHERE, "elsa"),
    (LOOKS, "vic"),
    (NOBODY, "noor"),
    (PORTAL, "system:serviceaccount:platform:portal"),
];

/// Stands in the VirtualService in `platform`: a header that it sets, and a value that it matches.
pub const SECRET: &str = "s3cret-of-platform";

/// The service whose VirtualService lives in `platform`.
pub const FAR: &str = "/api/v1/services/bookinfo/reviews/traffic";
pub const RELEASES: &str = "/api/v1/releases";

/// The samples, with the VirtualService of `bookinfo/reviews` in `platform`, and the people above.
pub async fn town() -> TestApp {
    TestApp::start(Web { auth: Auth::Token, demo: false, ..Web::open() }, |demo| {
        people(demo);
        let mut route = demo.api.get("VirtualService", "bookinfo", "reviews").unwrap();
        demo.api.delete("VirtualService", "bookinfo", "reviews").unwrap();
        demo.api
            .put(json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "platform"}}))
            .unwrap();
        route["metadata"] = json!({"name": "reviews", "namespace": "platform"});
        // A rule and a header that are nobody else's to read.
        let mut rule = route["spec"]["http"][0].clone();
        rule["name"] = json!("partners");
        rule["match"] = json!([{"headers": {"x-partner": {"exact": SECRET}}}]);
        rule["headers"] = json!({"request": {"set": {"x-key": SECRET}}});
        let all = route["spec"]["http"].as_array_mut().unwrap();
        all.insert(0, rule);
        demo.api.put(route).unwrap();
    })
    .await
}

fn people(demo: &Demo) {
    for (token, name) in EVERYBODY {
        demo.api.add_person(Person { token: token.into(), name: name.into(), ..Person::default() });
    }
    let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
    let grant = |subject: &str, namespace: Option<&str>, verbs: &[&str], resources: &[&str]| {
        demo.api.grant(Right {
            subject: subject.into(),
            namespace: namespace.map(str::to_owned),
            verbs: words(verbs),
            groups: words(&["*"]),
            resources: words(resources),
            names: Vec::new(),
        });
    };
    let routes = ["virtualservices", "destinationrules"];
    // Sluice itself comes without a token.
    for all in ["system:anonymous", "olga", "wanda"] {
        grant(all, None, &["*"], &["*"]);
    }
    grant("rut", Some("bookinfo"), &["get", "list"], &["services"]);
    grant("rut", Some("bookinfo"), &["get", "list", "create", "update"], &routes);
    grant("elsa", Some("weather"), &["*"], &["*"]);
    grant("vic", Some("bookinfo"), &["get", "list"], &["services", "pods", "deployments", "statefulsets"]);
    grant("vic", Some("bookinfo"), &["get", "list"], &routes);
    let portal = "system:serviceaccount:platform:portal";
    grant(portal, Some("weather"), &["get", "list"], &["services"]);
    grant(portal, Some("weather"), &["get", "list", "create", "update"], &routes);
}

/// A release of `bookinfo/<service>` from v1 to v2, which runs already: 30 %, a person, all.
pub fn wish(service: &str) -> Value {
    json!({
        "service": {"namespace": "bookinfo", "name": service}, "strategy": "canary", "stable": "v1",
        "candidate": {"from": "adopt", "version": "v2"},
        "steps": [{"kind": "weight", "percent": 30}, {"kind": "approval"}, {"kind": "weight", "percent": 100}],
    })
}

/// Starts it for the owner and waits for its approval step.
pub async fn waiting(app: &TestApp, spec: &Value) -> String {
    let body = json!({"spec": spec, "reason": "REV-231"});
    let made = app.ask("POST", RELEASES).token(OWNER).json(&body).send().await;
    assert_eq!(made.status, 200, "{}", made.body);
    let id = made.json()["id"].as_str().unwrap().to_owned();
    until(app, &id, "it waits for approval", |release| release["paused"]["reason"] == "gate").await;
    id
}

pub async fn until(app: &TestApp, id: &str, what: &str, is: impl Fn(&Value) -> bool) -> Value {
    wait_for(what, async || {
        let release = app.ask("GET", &format!("{RELEASES}/{id}")).token(OWNER).send().await.json();
        is(&release).then_some(release)
    })
    .await
}

pub async fn command(app: &TestApp, token: &str, id: &str, body: &Value) -> Answer {
    app.ask("POST", &format!("{RELEASES}/{id}/commands")).token(token).json(body).send().await
}

/// What Sluice could have written: every routing object and workload with its resourceVersion.
pub fn written(app: &TestApp) -> Vec<String> {
    let kinds = ["VirtualService", "DestinationRule", "Deployment", "StatefulSet", "Pod", "Service"];
    let of = |kind: &str| {
        app.demo.api.list(kind, None).into_iter().map(move |object| format!("{object:?}")).collect::<Vec<_>>()
    };
    kinds.into_iter().flat_map(of).collect()
}

/// Entries of the history, newest first.
pub async fn history(app: &TestApp, query: &str) -> Vec<Value> {
    let page = app.ask("GET", &format!("/api/v1/audit?limit=200&{query}")).token(OWNER).send().await.json();
    page["items"].as_array().unwrap().clone()
}
