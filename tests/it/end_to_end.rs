//! The main job on a real Kubernetes API server: the program as users start it, real tokens, real RBAC,
//! exactly the rights of `deploy/`, and the objects read back from the cluster.

use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::Service;
use kube::api::{Api, ApiResource, DynamicObject, GroupVersionKind, PostParams};
use serde_json::{Value, json};

use crate::services::releases_real::releases_on_a_real_api_server;
use crate::support::cluster::{Istio, Options, RealCluster, Samples};
use crate::support::deploy::{rights_granted, rights_used};
use crate::support::served::{Served, verify};
use crate::support::wait_for;
use crate::web::sessions_real::identities_on_a_real_api_server;

fn objects(client: kube::Client, kind: &str, plural: &str, namespace: &str) -> Api<DynamicObject> {
    let kind = GroupVersionKind::gvk("networking.istio.io", "v1", kind);
    Api::namespaced_with(client, namespace, &ApiResource::from_gvk_with_plural(&kind, plural))
}

async fn reviews_route(cluster: &RealCluster) -> Value {
    let client = cluster.client("admin").await;
    let object =
        objects(client, "VirtualService", "virtualservices", "bookinfo").get("reviews").await.unwrap();
    object.data["spec"]["http"][0].clone()
}

fn weights(route: &Value) -> Vec<i64> {
    route["route"].as_array().unwrap().iter().map(|to| to["weight"].as_i64().unwrap()).collect()
}

#[tokio::test]
async fn the_main_job_on_a_real_api_server() {
    let Some(cluster) = RealCluster::start(Options { samples: Samples::Applied, ..Options::default() })
    else {
        return;
    };
    let mut sluice = Served::on(&cluster, &["--lease-namespace", "sluice"]).await;
    let amy = cluster.token("amy").to_owned();
    let call = async |method: &str, path: &str, body: Option<Value>, headers: &[(&str, &str)]| {
        sluice.call(method, path, Some(&amy), body, headers).await
    };
    let reviews = "/api/v1/services/bookinfo/reviews";
    let traffic = "/api/v1/services/bookinfo/reviews/traffic";
    let before = reviews_route(&cluster).await;

    // See.
    let list = call("GET", "/api/v1/services?namespace=bookinfo", None, &[]).await;
    let names: Vec<&str> =
        list.body["items"].as_array().unwrap().iter().map(|item| item["name"].as_str().unwrap()).collect();
    assert!(names.contains(&"reviews") && names.contains(&"ratings"), "{names:?}");
    let seen = call("GET", reviews, None, &[]).await;
    assert_eq!((seen.status, seen.etag.as_deref()), (200, Some("\"0\"")));
    assert_eq!(seen.body["declared"], json!({"v1": 100, "v2": 0, "v3": 0}));

    // Change, carefully.
    let split = json!({"weights": {"v1": 30, "v2": 70, "v3": 0}, "reason": "REV-231"});
    assert_eq!(call("PUT", traffic, Some(split.clone()), &[]).await.code(), "precondition_required");
    let jump = call("PUT", traffic, Some(split.clone()), &[("if-match", "\"0\"")]).await;
    assert_eq!((jump.status, jump.code()), (422, "big_jump"));
    assert_eq!(reviews_route(&cluster).await, before, "a refusal writes nothing");
    let mut accepted = split.clone();
    accepted["ack"] = json!(["big_jump"]);
    let done = call("PUT", traffic, Some(accepted.clone()), &[("if-match", "\"0\"")]).await;
    assert_eq!(done.status, 200, "{:?}", done.body);
    let route = reviews_route(&cluster).await;
    assert_eq!(weights(&route), [30, 70, 0]);
    let without_weights = |route: &Value| {
        let mut route = route.clone();
        for to in route["route"].as_array_mut().unwrap() {
            to.as_object_mut().unwrap().remove("weight");
        }
        route
    };
    assert_eq!(without_weights(&route), without_weights(&before), "only numbers changed");
    let late = call("PUT", traffic, Some(accepted), &[("if-match", "\"0\"")]).await;
    assert_eq!((late.status, late.code()), (412, "stale_revision"));

    // Take over, and back.
    let take = json!({"version": "v3", "reason": "all of it", "ack": ["big_jump", "few_pods"]});
    let taken = call("POST", &format!("{traffic}/takeover"), Some(take), &[]).await;
    assert_eq!(taken.status, 200, "{:?}", taken.body);
    assert_eq!(weights(&reviews_route(&cluster).await), [0, 0, 100]);
    let back = call("POST", &format!("{traffic}/switch-back"), Some(json!({"revision": 1})), &[]).await;
    assert_eq!(back.status, 200, "{:?}", back.body);
    assert_eq!(weights(&reviews_route(&cluster).await), [30, 70, 0]);

    // Where nothing exists, it is created.
    let create = json!({"weights": {"v1": 100}, "reason": "declare first"});
    let created = call(
        "PUT",
        "/api/v1/services/weather/recommendation/traffic",
        Some(create),
        &[("if-match", "\"0\"")],
    )
    .await;
    assert_eq!(created.status, 200, "{:?}", created.body);

    // No ready pods, no traffic.
    let ratings = json!({"weights": {"v1": 90, "v2": 10}, "reason": "r", "ack": ["big_jump", "few_pods"]});
    let ratings_path = "/api/v1/services/bookinfo/ratings";
    let etag = call("GET", ratings_path, None, &[]).await.etag.unwrap();
    let broken = call("PUT", &format!("{ratings_path}/traffic"), Some(ratings), &[("if-match", &etag)]).await;
    assert_eq!((broken.status, broken.code()), (422, "no_ready_pods"), "{:?}", broken.body);

    // Somebody else.
    let admin = objects(cluster.client("admin").await, "VirtualService", "virtualservices", "bookinfo");
    let mut theirs = admin.get("reviews").await.unwrap();
    theirs.data["spec"]["http"][0]["route"][0]["weight"] = json!(50);
    theirs.data["spec"]["http"][0]["route"][1]["weight"] = json!(50);
    let outsider = PostParams { field_manager: Some("kubectl-edit".into()), ..PostParams::default() };
    admin.replace("reviews", &outsider, &theirs).await.unwrap();
    let outside = wait_for("the outside edit is in the history", async || {
        let path = "/api/v1/audit?service=bookinfo/reviews&action=outside_edit";
        let found = call("GET", path, None, &[]).await;
        found.body["items"].as_array()?.first().cloned()
    })
    .await;
    assert_eq!(outside["actor"], json!("kubectl-edit"), "{outside}");
    let audit = call("GET", "/api/v1/audit?service=bookinfo/reviews", None, &[]).await;
    let results: Vec<&str> =
        audit.body["items"].as_array().unwrap().iter().map(|item| item["result"].as_str().unwrap()).collect();
    assert_eq!(
        results,
        ["outside", "applied", "applied", "refused", "applied", "refused"],
        "{:?}",
        audit.body
    );

    the_way_back_to_before_sluice(&cluster, &sluice).await;
    others_are_kept_out(&cluster, &sluice).await;
    a_stateful_service_and_objects_elsewhere(&cluster, &sluice).await;

    Box::pin(releases_on_a_real_api_server(&cluster)).await;

    identities_on_a_real_api_server(&cluster, &sluice).await;

    // Every right of deploy/ was needed, and no other.
    assert_eq!(rights_used(&cluster), rights_granted());

    assert!(sluice.end(), "an orderly end");
    // All of it is in the one file then.
    let copy = sluice.history().with_file_name("copy.db");
    std::fs::copy(sluice.history(), &copy).unwrap();
    let (report, good) = verify(&copy);
    assert!(good, "{report}");
}

/// Revision 0 is as it was: what Sluice created, and nobody else has edited, is gone.
async fn the_way_back_to_before_sluice(cluster: &RealCluster, sluice: &Served) {
    let admin = cluster.client("admin").await;
    let there = async |kind: &str, plural: &str| {
        objects(admin.clone(), kind, plural, "weather").get_opt("recommendation").await.unwrap().is_some()
    };
    assert!(
        there("VirtualService", "virtualservices").await
            && there("DestinationRule", "destinationrules").await
    );
    let path = "/api/v1/services/weather/recommendation/traffic/switch-back";
    let amy = Some(cluster.token("amy"));
    let back = sluice.call("POST", path, amy, Some(json!({"revision": 0})), &[]).await;
    assert_eq!(back.status, 200, "{:?}", back.body);
    assert!(!there("VirtualService", "virtualservices").await, "{:?}", back.body);
    assert!(!there("DestinationRule", "destinationrules").await, "{:?}", back.body);
}

/// A StatefulSet, a second version that comes later (its subset is added to the DestinationRule that Sluice
/// made), and objects in another namespace that matter to the service.
async fn a_stateful_service_and_objects_elsewhere(cluster: &RealCluster, sluice: &Served) {
    let admin = cluster.client("admin").await;
    let core: Api<Service> = Api::namespaced(admin.clone(), "weather");
    let sets: Api<StatefulSet> = Api::namespaced(admin.clone(), "weather");
    let post = PostParams::default();
    let service = json!({"metadata": {"name": "ledger"}, "spec": {
        "selector": {"app": "ledger"}, "ports": [{"name": "http", "port": 8080}]}});
    core.create(&post, &serde_json::from_value(service).unwrap()).await.unwrap();
    let set = |version: &str| -> StatefulSet {
        let labels = json!({"app": "ledger", "version": version});
        let pod = json!({"metadata": {"labels": labels, "annotations": {"sidecar.istio.io/status": "{}"}},
            "spec": {"containers": [{"name": "ledger", "image": "shop/ledger:1"}]}});
        serde_json::from_value(json!({"metadata": {"name": format!("ledger-{version}")}, "spec": {
            "serviceName": "ledger", "replicas": 1, "selector": {"matchLabels": labels}, "template": pod}}))
        .unwrap()
    };
    let amy = Some(cluster.token("amy"));
    let path = "/api/v1/services/weather/ledger";
    let ready = async |version: &str| {
        sets.create(&post, &set(version)).await.unwrap();
        wait_for("a ready pod", async || {
            let seen = sluice.call("GET", path, amy, None, &[]).await;
            let versions = seen.body["versions"].as_array()?.clone();
            let one = versions.iter().find(|one| one["version"] == json!(version))?;
            (one["ready"] == json!(1)).then_some(seen.etag?)
        })
        .await
    };
    let put = async |etag: &str, weights: Value| {
        let body =
            json!({"weights": weights, "reason": "ledger", "ack": ["big_jump", "few_pods", "host_shared"]});
        let answer =
            sluice.call("PUT", &format!("{path}/traffic"), amy, Some(body), &[("if-match", etag)]).await;
        assert_eq!(answer.status, 200, "{:?}", answer.body);
    };
    put(&ready("v1").await, json!({"v1": 100})).await;
    // In another namespace: a gateway's route to it, and a rule of that namespace for its host.
    let host = "ledger.weather.svc.cluster.local";
    let create = async |kind: &str, plural: &str, spec: Value| {
        let object = json!({"apiVersion": "networking.istio.io/v1", "kind": kind,
            "metadata": {"name": "ledger", "namespace": "bookinfo"}, "spec": spec});
        let object: DynamicObject = serde_json::from_value(object).unwrap();
        objects(admin.clone(), kind, plural, "bookinfo").create(&post, &object).await.unwrap();
    };
    let subsets =
        json!([{"name": "v1", "labels": {"version": "v1"}}, {"name": "v2", "labels": {"version": "v2"}}]);
    create("DestinationRule", "destinationrules", json!({"host": host, "subsets": subsets})).await;
    let route = json!([{"route": [{"destination": {"host": host, "subset": "v1"}}]}]);
    let gateway = json!({"hosts": ["ledger.example.com"], "gateways": ["bookinfo/edge"], "http": route});
    create("VirtualService", "virtualservices", gateway).await;
    put(&ready("v2").await, json!({"v1": 90, "v2": 10})).await;
    let rules =
        objects(admin.clone(), "DestinationRule", "destinationrules", "weather").get("ledger").await.unwrap();
    assert_eq!(rules.data["spec"]["subsets"].as_array().unwrap().len(), 2, "{:?}", rules.data);
}

async fn others_are_kept_out(cluster: &RealCluster, sluice: &Served) {
    let reviews = "/api/v1/services/bookinfo/reviews";
    let change = json!({"weights": {"v1": 100}, "reason": "r", "ack": ["big_jump"]});
    let nobody_at_all = sluice.call("GET", reviews, None, None, &[]).await;
    assert_eq!((nobody_at_all.status, nobody_at_all.code()), (401, "unauthenticated"));
    let forged = sluice.call("GET", reviews, Some("not-a-token"), None, &[]).await;
    assert_eq!((forged.status, forged.code()), (401, "bad_token"));
    let vic = Some(cluster.token("vic"));
    let etag = sluice.call("GET", reviews, vic, None, &[]).await.etag.expect("vic may look");
    let path = format!("{reviews}/traffic");
    let denied = sluice.call("PUT", &path, vic, Some(change.clone()), &[("if-match", &etag)]).await;
    assert_eq!((denied.status, denied.code()), (403, "forbidden"));
    let told = sluice.call("GET", "/api/v1/audit?actor=vic", vic, None, &[]).await;
    assert_eq!(told.body["items"][0]["result"], json!("refused"), "{:?}", told.body);
    let hidden = sluice.call("GET", "/api/v1/services/weather/forecast", vic, None, &[]).await;
    let missing = sluice.call("GET", "/api/v1/services/bookinfo/no-such", vic, None, &[]).await;
    assert_eq!((hidden.status, hidden.code()), (missing.status, missing.code()));
    assert_eq!(hidden.status, 404);
    let none = sluice.call("GET", "/api/v1/services", Some(cluster.token("nobody")), None, &[]).await;
    assert_eq!(none.body["items"], json!([]));
    let auditor = Some(cluster.token("aud"));
    let all = sluice.call("GET", "/api/v1/audit", auditor, None, &[]).await;
    assert!(all.body["items"].as_array().is_some_and(|items| items.len() >= 8), "{:?}", all.body);
    let denied = sluice.call("PUT", &path, auditor, Some(change), &[("if-match", &etag)]).await;
    assert_eq!(denied.status, 403);
}

#[tokio::test]
async fn without_istio_there_is_a_notice_and_no_crash() {
    let Some(cluster) = RealCluster::start(Options { istio: Istio::NotInstalled, ..Options::default() })
    else {
        return;
    };
    let sluice = Served::on(&cluster, &[]).await;
    let page = sluice.call("GET", "/api/v1/services", Some(cluster.token("amy")), None, &[]).await;
    assert_eq!(page.status, 200, "{:?}", page.body);
}
