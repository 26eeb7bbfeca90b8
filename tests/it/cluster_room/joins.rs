//! What stands behind a service: the shapes of workloads, pods and EndpointSlices that clusters really have.

use serde_json::{Value, json};
use sluice::demo::api::ApiServer;
use sluice::domain::service::{MOST_WAITING, PodCause, Shape, Version};
use sluice::domain::snapshot::Snapshot;

use super::scene::{Scene, deployment, destination_rule, pod, reviews, service, slice, virtual_service};

fn put(api: &ApiServer, object: Value) {
    api.put(object).unwrap();
}

/// A workload of one pod and its pod, both under names and labels of their own.
fn workload(api: &ApiServer, kind: &str, name: &str, labels: &Value) {
    let mut object = deployment("reviews", "v1");
    object["kind"] = json!(kind);
    object["metadata"]["name"] = json!(name);
    object["spec"]["selector"]["matchLabels"] = labels.clone();
    object["spec"]["template"]["metadata"]["labels"] = labels.clone();
    put(api, object);
    let mut object = pod("reviews", "v1");
    object["metadata"]["name"] = json!(format!("{name}-a"));
    object["metadata"]["labels"] = labels.clone();
    put(api, object);
}

fn shown(versions: &[Version]) -> Vec<(&str, u32, u32)> {
    versions.iter().map(|version| (version.name.as_str(), version.ready, version.total)).collect()
}

/// Cache and fresh reading see the same.
async fn both(scene: &Scene, name: &str) -> Snapshot {
    let cached = Snapshot::clone(&scene.snapshot(name).unwrap());
    let fresh = scene.fresh(name).await.unwrap();
    assert_eq!(format!("{:?}", cached.service), format!("{:?}", fresh.service));
    assert_eq!(cached.versions, fresh.versions);
    assert_eq!(cached.mesh, fresh.mesh);
    cached
}

#[tokio::test(start_paused = true)]
async fn a_version_is_what_its_label_says() {
    let scene = Scene::on(reviews).await;
    let snapshot = both(&scene, "reviews").await;
    assert_eq!(shown(&snapshot.versions), [("v1", 1, 1), ("v2", 1, 1)]);
    assert_eq!(snapshot.versions[0].image(), "registry.example/reviews:v1");
    assert_eq!((snapshot.mesh.pods, snapshot.mesh.meshed_pods, snapshot.mesh.installed), (2, 2, true));
    assert_eq!(snapshot.service.ports[0].number, 9080);
}

#[tokio::test(start_paused = true)]
async fn two_workloads_may_share_a_version() {
    let scene = Scene::on(|api| {
        put(api, service("reviews"));
        workload(api, "Deployment", "reviews-a", &json!({"app": "reviews", "version": "v1", "zone": "a"}));
        workload(api, "StatefulSet", "reviews-b", &json!({"app": "reviews", "version": "v1", "zone": "b"}));
        put(api, slice("reviews", "reviews-1", &[("reviews-a-a", true), ("reviews-b-a", false)]));
    })
    .await;
    let snapshot = both(&scene, "reviews").await;
    assert_eq!(shown(&snapshot.versions), [("v1", 1, 2)]);
    assert_eq!(snapshot.versions[0].workloads.len(), 2);
}

#[tokio::test(start_paused = true)]
async fn workloads_without_a_version_label_are_told_apart_by_what_differs() {
    let scene = Scene::on(|api| {
        put(api, service("reviews"));
        workload(api, "Deployment", "reviews", &json!({"app": "reviews", "track": "stable"}));
        workload(api, "Deployment", "reviews-canary", &json!({"app": "reviews", "track": "canary"}));
        put(api, slice("reviews", "reviews-1", &[("reviews-a", true), ("reviews-canary-a", true)]));
    })
    .await;
    let mut versions = shown(&both(&scene, "reviews").await.versions).len();
    assert_eq!(versions, 2);
    // One of them alone is named by itself.
    scene.api.delete("Deployment", "shop", "reviews-canary").unwrap();
    scene.api.delete("Pod", "shop", "reviews-canary-a").unwrap();
    let one = |cache: &sluice::cluster::Cache| {
        let snapshot = cache.snapshot(&super::scene::at("reviews"))?;
        (snapshot.versions.len() == 1).then(|| snapshot.versions[0].name.to_string())
    };
    assert_eq!(scene.until("one version", one).await, "reviews");
    versions = both(&scene, "reviews").await.versions.len();
    assert_eq!(versions, 1);
}

#[tokio::test(start_paused = true)]
async fn bare_pods_are_versions_too() {
    let scene = Scene::on(|api| {
        put(api, service("reviews"));
        put(api, pod("reviews", "v1"));
        put(api, slice("reviews", "reviews-1", &[("reviews-v1-a", true)]));
    })
    .await;
    let snapshot = both(&scene, "reviews").await;
    assert_eq!(shown(&snapshot.versions), [("v1", 1, 1)]);
    assert!(snapshot.versions[0].workloads.is_empty());
}

#[tokio::test(start_paused = true)]
async fn headless_and_external_services_say_so() {
    let scene = Scene::on(|api| {
        let mut headless = service("reviews");
        headless["spec"]["clusterIP"] = json!("None");
        put(api, headless);
        let mut external = service("ratings");
        external["spec"] = json!({"type": "ExternalName", "externalName": "www.example.com", "selector": {"app": "reviews"}});
        put(api, external);
        workload(api, "Deployment", "reviews-v1", &json!({"app": "reviews", "version": "v1"}));
        put(api, slice("reviews", "reviews-1", &[("reviews-v1-a", true)]));
    })
    .await;
    let headless = both(&scene, "reviews").await;
    assert_eq!((headless.service.shape, shown(&headless.versions)), (Shape::Headless, vec![("v1", 1, 1)]));
    let external = both(&scene, "ratings").await;
    assert_eq!((external.service.shape, external.versions.len()), (Shape::ExternalName, 0));
}

#[tokio::test(start_paused = true)]
async fn readiness_is_gathered_from_all_slices_of_the_service() {
    let scene = Scene::on(|api| {
        put(api, service("reviews"));
        for name in ["a", "b", "c", "d"] {
            let mut object = pod("reviews", "v1");
            object["metadata"]["name"] = json!(name);
            put(api, object);
        }
        put(api, slice("reviews", "one", &[("a", true), ("b", false)]));
        // The same pod by its second address family, and one that is going.
        let mut two = slice("reviews", "two", &[("a", true), ("c", true), ("d", true)]);
        two["endpoints"][2]["conditions"] = json!({"ready": true, "terminating": true});
        put(api, two);
        // Ready for another service is not ready for this one.
        put(api, slice("ratings", "three", &[("b", true)]));
    })
    .await;
    assert_eq!(shown(&both(&scene, "reviews").await.versions), [("v1", 2, 4)]);
}

#[tokio::test(start_paused = true)]
async fn a_pod_that_is_not_ready_says_why_and_an_ended_one_does_not_count() {
    let scene = Scene::on(|api| {
        reviews(api);
        let mut waiting = pod("reviews", "v2");
        waiting["status"] = json!({"phase": "Pending", "containerStatuses": [
            {"name": "istio-proxy", "state": {"waiting": {"reason": "PodInitializing"}}},
            {"name": "reviews", "state": {"waiting": {"reason": "ImagePullBackOff", "message": "x".repeat(5_000)}},
                "lastState": {"terminated": {"reason": "OOMKilled", "exitCode": 137}}},
        ]});
        put(api, waiting);
        let mut evicted = pod("reviews", "v1");
        evicted["metadata"]["name"] = json!("reviews-v1-evicted");
        evicted["status"] = json!({"phase": "Failed", "reason": "Evicted"});
        put(api, evicted);
        put(api, slice("reviews", "reviews-1", &[("reviews-v1-a", true), ("reviews-v2-a", false)]));
    })
    .await;
    let snapshot = both(&scene, "reviews").await;
    assert_eq!(shown(&snapshot.versions), [("v1", 1, 1), ("v2", 0, 1)]);
    assert_eq!(snapshot.versions[1].cause.as_deref(), Some("ImagePullBackOff"));
    let [waiting] = &snapshot.versions[1].waiting[..] else { panic!("{:?}", snapshot.versions[1]) };
    let cause = waiting.cause.as_ref().unwrap();
    assert_eq!((&*waiting.name, &*cause.reason), ("reviews-v2-a", "ImagePullBackOff"));
    assert_eq!(cause.message.len(), PodCause::LONGEST, "a message is cut");
    assert_eq!(cause.last_exit, Some(("OOMKilled".into(), 137)));
    assert!(snapshot.versions[0].waiting.is_empty());
}

#[tokio::test(start_paused = true)]
async fn of_many_pods_that_are_not_ready_a_few_are_kept_by_name() {
    let scene = Scene::on(|api| {
        reviews(api);
        for n in 0..40 {
            let mut waiting = pod("reviews", "v2");
            waiting["metadata"]["name"] = json!(format!("reviews-v2-{n:02}"));
            let reason = if n < 30 { json!({}) } else { json!({"reason": "CrashLoopBackOff"}) };
            waiting["status"] = json!({"phase": "Running", "containerStatuses": [
                {"name": "reviews", "state": {"waiting": reason}}]});
            put(api, waiting);
        }
    })
    .await;
    let snapshot = both(&scene, "reviews").await;
    let version = snapshot.versions.iter().find(|version| version.name.as_str() == "v2").unwrap();
    assert_eq!(version.waiting.len(), MOST_WAITING);
    assert!(version.waiting.iter().all(|pod| pod.cause.is_some()), "those that say why come first");
}

#[tokio::test(start_paused = true)]
async fn a_pod_is_meshed_by_its_sidecar_or_by_its_ambient_namespace() {
    let scene = Scene::on(|api| {
        put(api, service("reviews"));
        for (name, containers, init, labels) in [
            ("plain", json!([{"name": "app"}]), json!([]), json!({"app": "reviews"})),
            ("native", json!([{"name": "app"}]), json!([{"name": "istio-proxy"}]), json!({"app": "reviews"})),
            (
                "out",
                json!([{"name": "app"}]),
                json!([]),
                json!({"app": "reviews", "istio.io/dataplane-mode": "none"}),
            ),
        ] {
            let mut object = pod("reviews", "v1");
            object["metadata"]["name"] = json!(name);
            object["metadata"]["labels"] = labels;
            object["spec"] = json!({"containers": containers, "initContainers": init});
            put(api, object);
        }
    })
    .await;
    let mesh = both(&scene, "reviews").await.mesh;
    assert_eq!((mesh.meshed_pods, mesh.pods), (1, 3));
    put(
        &scene.api,
        json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shop", "labels": {"istio.io/dataplane-mode": "ambient"}}}),
    );
    let ambient = |cache: &sluice::cluster::Cache| {
        let mesh = cache.snapshot(&super::scene::at("reviews"))?.mesh.clone();
        (mesh.meshed_pods == 2).then_some(())
    };
    scene.until("the namespace is ambient", ambient).await;
    both(&scene, "reviews").await;
}

#[tokio::test(start_paused = true)]
async fn routing_objects_are_found_from_every_namespace_and_through_delegation() {
    let in_ns = |mut object: Value, namespace: &str| {
        object["metadata"]["namespace"] = json!(namespace);
        object
    };
    let host = "reviews.shop.svc.cluster.local";
    let scene = Scene::on(|api| {
        reviews(api);
        put(api, in_ns(destination_rule("everything", json!({"host": "*.local"})), "istio-system"));
        put(api, in_ns(destination_rule("client", json!({"host": host})), "bank"));
        put(api, in_ns(destination_rule("stranger", json!({"host": "reviews"})), "bank"));
        let to = |host: &str| json!([{"route": [{"destination": {"host": host}}]}]);
        put(api, in_ns(virtual_service("part", json!({"http": to(host)})), "team"));
        let root = json!({"hosts": ["shop.example.com"], "gateways": ["edge"],
            "http": [{"delegate": {"name": "part", "namespace": "team"}}]});
        put(api, in_ns(virtual_service("root", root), "edge"));
        put(api, virtual_service("other", json!({"hosts": ["ratings"], "http": to("ratings")})));
    })
    .await;
    let names = |snapshot: &Snapshot| {
        let of = |namespace: &str, name: &str| format!("{namespace}/{name}");
        let services: Vec<String> = snapshot
            .virtual_services
            .iter()
            .map(|h| of(&h.object.meta.namespace, &h.object.meta.name))
            .collect();
        let rules: Vec<String> = snapshot
            .destination_rules
            .iter()
            .map(|h| of(&h.object.meta.namespace, &h.object.meta.name))
            .collect();
        (services, rules)
    };
    let cached = names(&scene.snapshot("reviews").unwrap());
    assert_eq!(cached.0, ["edge/root", "shop/reviews", "team/part"]);
    assert_eq!(cached.1, ["bank/client", "istio-system/everything", "shop/reviews"]);
    let fresh = scene.fresh("reviews").await.unwrap();
    assert_eq!(names(&fresh), cached);
    assert!(fresh.virtual_services.iter().all(|held| held.json.is_some()));
    assert_eq!(
        fresh.taken.iter().map(ToString::to_string).collect::<Vec<_>>(),
        ["VirtualService shop/other"]
    );
}

#[tokio::test(start_paused = true)]
async fn pods_without_the_named_target_port_are_not_ready() {
    let scene = Scene::on(|api| {
        reviews(api);
        let mut named = service("reviews");
        named["spec"]["ports"] = json!([{"name": "http", "port": 9080, "targetPort": "web"}]);
        put(api, named);
        put(api, slice("reviews", "reviews-1", &[("reviews-v1-a", true)]));
        // The API server keeps such pods in a slice without ports.
        let mut none = slice("reviews", "reviews-2", &[("reviews-v2-a", true)]);
        none["ports"] = Value::Null;
        put(api, none);
    })
    .await;
    let versions = both(&scene, "reviews").await.versions;
    assert_eq!(shown(&versions), [("v1", 1, 1), ("v2", 0, 1)]);
    assert_eq!((versions[0].lacks.as_deref(), versions[1].lacks.as_deref()), (None, Some("web")));
    assert_eq!(versions[1].cause.as_deref(), Some("NoTargetPort(web)"));
    // A number is a port of every pod.
    let mut number = service("reviews");
    number["spec"]["ports"] = json!([{"name": "http", "port": 9080, "targetPort": 9080}]);
    put(&scene.api, number);
    let ready = |cache: &sluice::cluster::Cache| {
        let snapshot = cache.snapshot(&super::scene::at("reviews"))?;
        (shown(&snapshot.versions) == [("v1", 1, 1), ("v2", 1, 1)]).then_some(())
    };
    scene.until("both are ready", ready).await;
}
