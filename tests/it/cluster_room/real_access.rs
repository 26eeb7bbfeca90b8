//! On a real API server: Istio's kinds in `v1beta1` only, and credentials and certificates that do not fit.

use std::time::Duration;

use serde_json::{Value, json};
use sluice::cluster::{Cluster, ClusterError, Health, Options, Target};
use sluice::domain::audit::Ending;
use sluice::domain::ids::{Kind, ObjectRef, ServiceRef};
use sluice::domain::owner::Role;
use sluice::domain::plan::{Edit, Plan};
use sluice::domain::refusal::Code;
use tokio_util::sync::CancellationToken;

use super::scene::{destination_rule, service, split, subsets, virtual_service};
use crate::support::cluster::{self, RealCluster};
use crate::support::wait_for;

fn target(kubeconfig: std::path::PathBuf) -> Target {
    Target::Infer { kubeconfig: Some(kubeconfig), files: Vec::new(), context: None }
}

/// Sends as the administrator; the answer must be a good one.
async fn admin(real: &RealCluster, method: &str, path: &str, body: Value) -> Value {
    let request =
        http::Request::builder().method(method).uri(path).header("content-type", "application/json");
    real.client("admin").await.request(request.body(body.to_string().into_bytes()).unwrap()).await.unwrap()
}

const WRITERS: &str = "/apis/networking.istio.io/v1/namespaces/writers";
const BETA: &str = "/apis/networking.istio.io/v1beta1/namespaces/older";

#[tokio::test]
async fn a_real_server_with_v1beta1_only_is_read_watched_and_written() {
    let Some(real) = RealCluster::start(cluster::Options::default()) else { return };
    for kind in ["virtualservices", "destinationrules"] {
        let path =
            format!("/apis/apiextensions.k8s.io/v1/customresourcedefinitions/{kind}.networking.istio.io");
        let mut definition = admin(&real, "GET", &path, Value::Null).await;
        for version in definition["spec"]["versions"].as_array_mut().unwrap() {
            version["served"] = json!(version["name"] == "v1beta1");
        }
        admin(&real, "PUT", &path, definition).await;
    }
    let served = |kind: &'static str| {
        let real = &real;
        async move || {
            let request = http::Request::builder().uri(format!("/apis/networking.istio.io/v1/{kind}"));
            let asked = real.client("admin").await.request_text(request.body(Vec::new()).unwrap()).await;
            asked.is_err().then_some(())
        }
    };
    wait_for("v1 is gone", served("virtualservices")).await;
    wait_for("v1 is gone", served("destinationrules")).await;

    admin(&real, "POST", "/api/v1/namespaces", json!({"metadata": {"name": "older"}})).await;
    let inside = |mut object: Value| {
        object["metadata"]["namespace"] = json!("older");
        if object["kind"] == "Service" {
            object["spec"].as_object_mut().unwrap().remove("clusterIP");
        } else {
            object["apiVersion"] = json!("networking.istio.io/v1beta1");
        }
        object
    };
    admin(&real, "POST", "/api/v1/namespaces/older/services", inside(service("reviews"))).await;
    let rule = inside(destination_rule("reviews", subsets("reviews", &["v1", "v2"])));
    admin(&real, "POST", &format!("{BETA}/destinationrules"), rule).await;
    let route = inside(virtual_service("reviews", split("reviews", [70, 30])));
    admin(&real, "POST", &format!("{BETA}/virtualservices"), route).await;

    let cluster = Cluster::connect(target(real.kubeconfig("sluice")), Options::default()).await.unwrap();
    let stop = CancellationToken::new();
    let cache = cluster.watch(stop.clone());
    let _stop = stop.drop_guard();
    assert!(cache.ready_within(Duration::from_secs(20)).await, "{:?}", cache.health());
    assert!(cache.health().iter().all(|kind| kind.state == Health::Live), "{:?}", cache.health());
    let at = ServiceRef::new("older", "reviews");
    let snapshot = cluster.read_fresh(&at, &cache).await.unwrap().unwrap();
    assert!(snapshot.mesh.installed);
    assert_eq!((snapshot.virtual_services.len(), snapshot.destination_rules.len()), (1, 1));
    let held = &snapshot.virtual_services[0];
    let before = held.json.clone().unwrap();
    let mut after = Value::clone(&before);
    after["spec"] = split("reviews", [30, 70]);
    let object = held.object.at(Kind::VirtualService);
    let plan = Plan::new(vec![], vec![Edit { object, before: Some(before), after: Some(after) }], vec![]);
    assert_eq!(cluster.dry_run(&plan).await, Ok(vec![]));
    let applied = cluster.apply(&plan, "change-1", &cache).await;
    assert_eq!((applied.ending, applied.error), (Ending::Applied, None));
    let written = admin(&real, "GET", &format!("{BETA}/virtualservices/reviews"), Value::Null).await;
    assert_eq!(written["spec"]["http"][0]["route"][1]["weight"], 70);
    // The watch has seen it, else the barrier of the change would have timed out.
    let cached = cache.snapshot(&at).unwrap();
    assert_eq!(cached.virtual_services[0].object.spec.http[0].route[1].weight, 70);
    // What is planned for v1 is created as it is served.
    let mut after = destination_rule("details", subsets("details", &["v1"]));
    after["metadata"]["namespace"] = json!("older");
    let created = Edit {
        object: ObjectRef::new(Kind::DestinationRule, "older", "details"),
        before: None,
        after: Some(after),
    };
    let plan = Plan::new(vec![created], vec![], vec![]);
    assert_eq!(cluster.dry_run(&plan).await, Ok(vec![]));
    let applied = cluster.apply(&plan, "change-2", &cache).await;
    assert_eq!((applied.ending, applied.error), (Ending::Applied, None));
}

#[tokio::test]
async fn who_else_writes_an_object_is_known_by_its_field_manager() {
    let Some(real) = RealCluster::shared() else { return };
    admin(real, "POST", "/api/v1/namespaces", json!({"metadata": {"name": "writers"}})).await;
    let inside = |mut object: Value| {
        object["metadata"]["namespace"] = json!("writers");
        if object["kind"] == "Service" {
            object["spec"].as_object_mut().unwrap().remove("clusterIP");
        }
        object
    };
    admin(real, "POST", "/api/v1/namespaces/writers/services", inside(service("reviews"))).await;
    let route = inside(virtual_service("reviews", split("reviews", [70, 30])));
    let path = format!("{WRITERS}/virtualservices?fieldManager=kubectl-create");
    let mut object = admin(real, "POST", &path, route).await;
    let cluster = Cluster::connect(target(real.kubeconfig("sluice")), Options::default()).await.unwrap();
    let stop = CancellationToken::new();
    let cache = cluster.watch(stop.clone());
    let _stop = stop.drop_guard();
    assert!(cache.ready_within(Duration::from_secs(20)).await, "{:?}", cache.health());
    let at = ServiceRef::new("writers", "reviews");
    let owner = async || {
        let snapshot = cluster.read_fresh(&at, &cache).await.unwrap().unwrap();
        let owner = snapshot.virtual_services[0].object.meta.owner.clone();
        owner.map(|owner| (owner.role, owner.tool.to_string()))
    };
    assert_eq!(owner().await, None, "a person's tool");
    // Who sets a label only does not write the routes.
    object["metadata"]["labels"] = json!({"team": "a"});
    let path = |manager: &str| format!("{WRITERS}/virtualservices/reviews?fieldManager={manager}");
    object = admin(real, "PUT", &path("labeler"), object).await;
    assert_eq!(owner().await, None);
    object["spec"] = split("reviews", [60, 40]);
    object = admin(real, "PUT", &path("edge-operator"), object).await;
    assert_eq!(owner().await, Some((Role::Unknown, "edge-operator".to_owned())));
    object["spec"] = split("reviews", [80, 20]);
    admin(real, "PUT", &path("rollouts-controller"), object).await;
    assert_eq!(owner().await, Some((Role::MovesTraffic, "Argo Rollouts".to_owned())));
}

#[tokio::test]
async fn what_is_wrong_with_the_connection_is_named() {
    let Some(real) = RealCluster::shared() else { return };
    let folder = tempfile::tempdir().unwrap();
    let whole: Value =
        serde_saphyr::from_str(&std::fs::read_to_string(real.kubeconfig("sluice")).unwrap()).unwrap();
    let with = |name: &str, change: &dyn Fn(&mut Value)| {
        let mut config = whole.clone();
        change(&mut config);
        let path = folder.path().join(name);
        std::fs::write(&path, config.to_string()).unwrap();
        path
    };
    let ask = async |kubeconfig: std::path::PathBuf| -> ClusterError {
        let cluster = Cluster::connect(target(kubeconfig), Options::default()).await.unwrap();
        let stop = CancellationToken::new();
        let cache = cluster.watch(stop.clone());
        let asked = cluster.read_fresh(&ServiceRef::new("bookinfo", "reviews"), &cache).await;
        stop.cancel();
        asked.expect_err("an error")
    };

    let refused = with("token", &|config| config["users"][0]["user"] = json!({"token": "wrong"}));
    let error = ask(refused).await;
    assert_eq!(error.refusal().code, Code::ClusterUnauthenticated, "{error}");

    // The certificate is a good one, but of another name.
    let untrusted = with("name", &|config| {
        config["clusters"][0]["cluster"]["tls-server-name"] = json!("elsewhere.example.com");
    });
    let error = ask(untrusted).await;
    assert_eq!(error.refusal().code, Code::ClusterUntrusted, "{error}");

    let nowhere = with("nowhere", &|config| {
        config["clusters"][0]["cluster"]["server"] = json!("https://127.0.0.1:9");
    });
    let error = ask(nowhere).await;
    assert_eq!(error.refusal().code, Code::ClusterUnreachable, "{error}");

    let error = ask(real.kubeconfig("nobody")).await;
    assert_eq!(error.refusal().code, Code::ClusterForbids, "{error}");

    // A token file that ends with a line break, as every editor leaves it.
    let file = folder.path().join("secret");
    std::fs::write(&file, format!("{}\n", real.token("sluice"))).unwrap();
    let lined = with("lined", &|config| config["users"][0]["user"] = json!({"tokenFile": file}));
    let cluster = Cluster::connect(target(lined), Options::default()).await.unwrap();
    let stop = CancellationToken::new();
    let cache = cluster.watch(stop.clone());
    assert!(cache.ready_within(Duration::from_secs(20)).await, "{:?}", cache.health());
    stop.cancel();
}
