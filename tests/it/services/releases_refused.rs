//! Wishes that cannot be: each is refused with its code and field, and nothing is stored.

use serde_json::{Value, json};
use sluice::domain::release::PauseReason;
use sluice::services::Settings;
use sluice::services::releases::ReleaseAsk;

use super::releases::wish;
use super::releases_trouble::{analysis, said};
use crate::support::house::{House, anna, at};

#[tokio::test]
async fn wishes_that_do_not_fit_the_service_are_refused_with_their_field() {
    let house = House::alive(Some(said(0)), Settings::default()).await;
    let check = async |change: &dyn Fn(&mut Value), code: &str, field: &str| {
        let refusals =
            house.services.create_release(&anna(), wish(|w| change(w)), "r", "q").await.unwrap_err();
        let found: Vec<_> =
            refusals.iter().map(|r| (r.code.as_str(), r.field.as_deref().unwrap_or_default())).collect();
        assert!(found.contains(&(code, field)), "{found:?}");
    };
    check(&|w| w["candidate"]["version"] = json!("v2"), "version_taken", "candidate.version").await;
    check(&|w| w["stable"] = json!("v7"), "unknown_version", "stable").await;
    let same = json!("istio/examples-bookinfo-reviews-v1:1.20.3");
    check(&|w| w["candidate"]["image"] = same.clone(), "same_image", "candidate.image").await;
    check(
        &|w| w["candidate"] = json!({"from": "adopt", "version": "v7"}),
        "unknown_version",
        "candidate.version",
    )
    .await;
    check(&|w| w["service"]["name"] = json!("mongodb"), "third_version", "stable").await;
    for (query, code) in [("many", "promql_many"), ("slow", "promql_timeout"), ("wrong(", "bad_promql")] {
        let custom = |w: &mut Value| {
            w["analysis"] = analysis();
            w["analysis"]["metrics"] = json!([{"metric": "custom", "name": "q", "query": query,
                "direction": "at_most", "limit": {"absolute": 1.0}}]);
            w["steps"][1] = json!({"kind": "hold", "seconds": 60});
        };
        check(&custom, code, "analysis.metrics.0.query").await;
    }
    // Services that cannot be moved at all, each for its own reason.
    let service = |at: (&'static str, &'static str), more: Value| {
        move |w: &mut Value| {
            w["service"] = json!({"namespace": at.0, "name": at.1});
            for (key, value) in more.as_object().unwrap() {
                w[key] = value.clone();
            }
        }
    };
    put_service(&house, "nobody", json!({"clusterIP": "None"}));
    put_service(&house, "elsewhere", json!({"type": "ExternalName", "externalName": "example.org"}));
    check(&service(("shop", "nobody"), json!({})), "headless", "service").await;
    check(&service(("shop", "elsewhere"), json!({})), "external_name", "service").await;
    // Alone and without a label of its own, its pods cannot be distinguished from a copy's.
    deploy(&house, "bare", json!({"app": "bare"}));
    check(&service(("shop", "bare"), json!({"stable": "bare"})), "no_label", "stable").await;
    // What is being deleted: the Service, for either strategy, and the object that routes to it.
    let replicas = json!([{"kind": "replicas", "candidate": 1}]);
    deploy(&house, "going", json!({"app": "going", "version": "v1"}));
    delete_slowly(&house, "Service", "shop", "going").await;
    check(&service(("shop", "going"), json!({})), "object_deleting", "service").await;
    let pods_only = json!({"strategy": "replicas", "steps": replicas});
    check(&service(("shop", "going"), pods_only), "object_deleting", "service").await;
    delete_slowly(&house, "VirtualService", "bookinfo", "reviews").await;
    check(&|_| (), "object_deleting", "service").await;
    // Nothing of all this is stored.
    let all = house.services.releases(&anna(), &ReleaseAsk::default()).await.unwrap();
    assert!(all.items.is_empty());
    let none = house.services.release(&anna(), sluice::domain::release::ReleaseId(99)).await.unwrap_err();
    assert_eq!(none.code.as_str(), "release_not_found");
}

fn put_service(house: &House, name: &str, spec: Value) {
    let mut spec = spec;
    spec["selector"] = json!({"app": name});
    spec["ports"] = json!([{"name": "http", "port": 80}]);
    let object = json!({"apiVersion": "v1", "kind": "Service",
        "metadata": {"namespace": "shop", "name": name}, "spec": spec});
    house.api.put_as(object, "kubectl").unwrap();
}

/// A Service with one Deployment of that name, whose pods have these labels.
fn deploy(house: &House, name: &str, labels: Value) {
    put_service(house, name, json!({"clusterIP": "10.96.0.9"}));
    let pod = json!({"metadata": {"labels": labels}, "spec": {"containers": [{"name": "app", "image": "shop/app:1"}]}});
    let object = json!({"apiVersion": "apps/v1", "kind": "Deployment",
        "metadata": {"namespace": "shop", "name": name, "labels": labels},
        "spec": {"replicas": 1, "selector": {"matchLabels": labels}, "template": pod}});
    house.api.put_as(object, "kubectl").unwrap();
}

/// Deletes an object that something still holds back, and waits until Sluice knows.
async fn delete_slowly(house: &House, kind: &str, namespace: &str, name: &str) {
    house.edit_outside(kind, namespace, name, |object| {
        object["metadata"]["finalizers"] = json!(["example.com/hold"]);
    });
    house.api.delete(kind, namespace, name).unwrap();
    let service = at(namespace, name);
    house
        .until("it is known to be going", async |house| {
            let overview = house.services.overview(&anna(), &service, 60).await.ok()?;
            let mut findings = overview.routing.findings.iter();
            findings.any(|finding| finding.code.as_str() == "object_deleting").then_some(())
        })
        .await;
}

#[tokio::test]
async fn two_starts_at_one_moment_are_one_release() {
    let house = House::alive(None, Settings::default()).await;
    let who = anna();
    let (first, second) = tokio::join!(
        house.services.start_release(&who, wish(|_| ()), "a", "1"),
        house.services.start_release(&who, wish(|_| ()), "b", "2"),
    );
    let started = [first.is_ok(), second.is_ok()].iter().filter(|ok| **ok).count();
    assert_eq!(started, 1);
    let refused = first.err().or(second.err()).unwrap();
    assert_eq!(refused[0].code.as_str(), "release_owns_service");
}

#[tokio::test]
async fn a_workload_with_pods_of_two_versions_is_not_scaled_for_one_of_them() {
    let house = House::alive(None, Settings::default()).await;
    let labels = json!({"app": "mixed", "version": "v1"});
    deploy(&house, "mixed", labels);
    house.edit_outside("Deployment", "shop", "mixed", |object| {
        object["spec"]["selector"]["matchLabels"] = json!({"app": "mixed"});
        object["spec"]["replicas"] = json!(2);
    });
    // A label on a running pod makes it another version's; the workload stays one.
    let pods = async |house: &House| -> Vec<Value> {
        let all = house.api.list("Pod", Some("shop")).into_iter().map(|pod| pod.value());
        all.filter(|pod| pod["metadata"]["labels"]["app"] == "mixed").collect()
    };
    let two = async |house: &House| Some(pods(house).await).filter(|pods| pods.len() == 2);
    let pod = house.until("it has two pods", two).await.swap_remove(0);
    let name = pod["metadata"]["name"].as_str().unwrap();
    house.edit_outside("Pod", "shop", name, |pod| pod["metadata"]["labels"]["version"] = json!("v2"));
    let service = at("shop", "mixed");
    house
        .until("both versions are known", async |house| {
            let overview = house.services.overview(&anna(), &service, 60).await.ok()?;
            let ready = overview.snapshot.versions.iter().filter(|version| version.ready == 1).count();
            (ready == 2).then_some(())
        })
        .await;
    let spec = wish(|w| {
        w["service"] = json!({"namespace": "shop", "name": "mixed"});
        w["strategy"] = json!("replicas");
        w["candidate"] = json!({"from": "adopt", "version": "v2"});
        w["steps"] = json!([{"kind": "replicas", "candidate": 3}]);
    });
    let id = house.start(spec).await.id;
    let paused = house.until_paused(id, PauseReason::Conflict).await;
    let detail = paused.state.paused.and_then(|paused| paused.detail).expect("why");
    assert_eq!(detail.code.as_str(), "workload_shared");
    let object = detail.args.iter().find(|(name, _)| name == "object").map(|(_, object)| object.as_str());
    assert_eq!(object, Some("mixed"));
    assert_eq!(
        house.api.get("Deployment", "shop", "mixed").unwrap()["spec"]["replicas"],
        2,
        "it is as it was"
    );
}
