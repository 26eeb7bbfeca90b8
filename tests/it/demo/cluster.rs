//! The sample applications and the controller that keeps their pods.

use std::collections::BTreeMap;

use serde_json::Value;
use sluice::clock::Clock;
use sluice::demo::api::ApiServer;
use sluice::demo::controller::{Controller, STARTUP_MS, Start};
use sluice::demo::{Demo, populate, seed};

struct Cluster {
    api: ApiServer,
    clock: Clock,
    controller: Controller,
}

fn cluster() -> Cluster {
    let clock = Clock::manual(1_800_000_000_000);
    let (demo, controller) = Demo::still(clock.clone(), 1);
    Cluster { api: demo.api, clock, controller }
}

impl Cluster {
    /// (ready, all) endpoints of a service.
    fn endpoints(&self, namespace: &str, service: &str) -> (usize, usize) {
        let mut count = (0, 0);
        for slice in self.api.list("EndpointSlice", Some(namespace)) {
            if slice.label("kubernetes.io/service-name") == Some(service) {
                for endpoint in slice.value()["endpoints"].as_array().unwrap() {
                    count.0 += usize::from(endpoint["conditions"]["ready"] == true);
                    count.1 += 1;
                }
            }
        }
        count
    }

    fn change(&self, kind: &str, namespace: &str, name: &str, change: impl FnOnce(&mut Value)) {
        let mut object = self.api.get(kind, namespace, name).unwrap();
        change(&mut object);
        self.api.put(object).unwrap();
    }

    fn pods(&self, namespace: &str, app: &str) -> Vec<String> {
        let pods = self.api.list("Pod", Some(namespace));
        pods.iter().filter(|pod| pod.label("app") == Some(app)).map(|pod| pod.name.to_string()).collect()
    }
}

#[test]
fn every_object_of_the_seed_is_one_that_the_api_server_takes() {
    assert_eq!(format!("{:?}", populate(&ApiServer::new(Clock::manual(0)))), "[]");
}

#[test]
fn every_service_has_its_pods_at_once() {
    let cluster = cluster();
    for (namespace, service, endpoints) in [
        ("bookinfo", "productpage", (2, 2)),
        ("bookinfo", "details", (1, 2)),
        ("bookinfo", "reviews", (3, 3)),
        ("bookinfo", "ratings", (3, 3)),
        ("bookinfo", "mongodb", (2, 2)),
        ("weather", "frontend", (1, 1)),
        ("weather", "advertisement", (1, 1)),
        ("weather", "forecast", (1, 1)),
        ("weather", "recommendation", (1, 1)),
        ("shop", "catalog", (4, 4)),
        ("shop", "search", (4, 4)),
        ("shop", "sessions", (3, 3)),
        ("shop", "legacy-invoices", (2, 2)),
        ("shop", seed::LONGEST_NAME, (2, 2)),
    ] {
        assert_eq!(cluster.endpoints(namespace, service), endpoints, "{namespace}/{service}");
    }
    let status = |name| cluster.api.get("Deployment", "bookinfo", name).unwrap()["status"].clone();
    assert_eq!(status("reviews-v1")["readyReplicas"], 1);
    assert_eq!(status("details-v2")["unavailableReplicas"], 1);
}

#[test]
fn a_broken_image_says_why_and_a_service_without_sidecar_has_none() {
    let cluster = cluster();
    let pod = |prefix: &str, namespace: &str| {
        let pods = cluster.api.list("Pod", Some(namespace));
        pods.iter().find(|pod| pod.name.starts_with(prefix)).unwrap().value()
    };
    let broken = pod("details-v2", "bookinfo");
    assert_eq!(broken["status"]["containerStatuses"][0]["state"]["waiting"]["reason"], "ImagePullBackOff");
    let containers = |pod: &Value| pod["spec"]["containers"].as_array().unwrap().len();
    assert_eq!(containers(&pod("legacy-invoices-v1", "shop")), 1);
    assert_eq!(containers(&pod("reviews-v1", "bookinfo")), 2);
}

#[test]
fn scaling_makes_and_removes_pods_and_nothing_happens_twice() {
    let mut cluster = cluster();
    cluster.change("Deployment", "bookinfo", "reviews-v1", |d| d["spec"]["replicas"] = 4.into());
    assert_eq!(cluster.controller.reconcile(Start::Takes), Some(u64::try_from(STARTUP_MS).unwrap()));
    assert_eq!(cluster.endpoints("bookinfo", "reviews"), (3, 6), "a pod takes its time");
    cluster.clock.advance_ms(STARTUP_MS);
    assert_eq!(cluster.controller.reconcile(Start::Takes), None);
    assert_eq!(cluster.endpoints("bookinfo", "reviews"), (6, 6));

    let revision = cluster.api.revision();
    cluster.controller.reconcile(Start::Takes);
    assert_eq!(cluster.api.revision(), revision, "a settled cluster is left alone");

    cluster.change("Deployment", "bookinfo", "reviews-v1", |d| d["spec"]["replicas"] = 0.into());
    cluster.controller.reconcile(Start::Takes);
    assert_eq!(cluster.endpoints("bookinfo", "reviews"), (2, 2));
}

#[test]
fn a_new_version_is_deployed_and_removed_through_the_api() {
    let mut cluster = cluster();
    cluster.api.put(seed::forecast_v2().object).unwrap();
    cluster.controller.reconcile(Start::Takes);
    cluster.clock.advance_ms(STARTUP_MS);
    cluster.controller.reconcile(Start::Takes);
    assert_eq!(cluster.endpoints("weather", "forecast"), (2, 2));
    cluster.api.delete("Deployment", "weather", "forecast-v2").unwrap();
    cluster.controller.reconcile(Start::Takes);
    assert_eq!(cluster.endpoints("weather", "forecast"), (1, 1));
}

#[test]
fn a_new_image_keeps_the_old_pods_until_the_new_ones_are_ready() {
    let mut cluster = cluster();
    let image = |image: &'static str| {
        move |d: &mut Value| d["spec"]["template"]["spec"]["containers"][0]["image"] = image.into()
    };
    let before = cluster.pods("bookinfo", "productpage");
    cluster.change("Deployment", "bookinfo", "productpage-v1", image("productpage:broken"));
    cluster.controller.reconcile(Start::Takes);
    cluster.clock.advance_ms(10 * STARTUP_MS);
    cluster.controller.reconcile(Start::Takes);
    assert_eq!(cluster.endpoints("bookinfo", "productpage"), (2, 3), "the old ones still answer");

    cluster.change("Deployment", "bookinfo", "productpage-v1", image("productpage:good"));
    // One more than wanted at a time.
    for _ in 0..3 {
        cluster.controller.reconcile(Start::Takes);
        cluster.clock.advance_ms(STARTUP_MS);
        cluster.controller.reconcile(Start::Takes);
    }
    assert_eq!(cluster.endpoints("bookinfo", "productpage"), (2, 2));
    assert!(cluster.pods("bookinfo", "productpage").iter().all(|name| !before.contains(name)));
}

#[test]
fn a_deleted_pod_comes_back_under_another_name_and_a_stateful_one_under_its_own() {
    let mut cluster = cluster();
    let reviews = cluster.pods("bookinfo", "reviews");
    cluster.api.delete("Pod", "bookinfo", &reviews[0]).unwrap();
    cluster.api.delete("Pod", "shop", "sessions-1").unwrap();
    cluster.controller.reconcile(Start::Takes);
    let after = cluster.pods("bookinfo", "reviews");
    assert_eq!(after.len(), 3);
    assert!(!after.contains(&reviews[0]));
    assert_eq!(cluster.pods("shop", "sessions"), ["sessions-0", "sessions-1", "sessions-2"]);
}

#[test]
fn pods_have_addresses_of_their_own() {
    let cluster = cluster();
    let mut owners: BTreeMap<String, String> = BTreeMap::new();
    for pod in cluster.api.list("Pod", None) {
        let ip = pod.value()["status"]["podIP"].as_str().unwrap().to_owned();
        assert_eq!(owners.insert(ip, pod.name.to_string()), None);
    }
    assert!(owners.len() > 30);
}
