//! Clusters that serve Istio's kinds in another version than `v1`.

use serde_json::Value;
use sluice::cluster::Health;
use sluice::domain::audit::Ending;
use sluice::domain::ids::{Kind, ObjectRef};
use sluice::domain::plan::{Edit, Plan};

use super::scene::{Scene, at, destination_rule, reviews, shift, subsets};

/// The objects of the service `reviews`, in this version.
async fn served_as(version: &str) -> Scene {
    Scene::on(|api| {
        reviews(api);
        let kinds = ["DestinationRule", "VirtualService"];
        let kept: Vec<Value> = kinds.iter().map(|kind| api.get(kind, "shop", "reviews").unwrap()).collect();
        api.serve_istio_as(version);
        for mut object in kept {
            object["apiVersion"] = format!("networking.istio.io/{version}").into();
            object["metadata"] = serde_json::json!({"namespace": "shop", "name": "reviews"});
            api.put(object).unwrap();
        }
    })
    .await
}

#[tokio::test]
async fn an_older_version_is_read_watched_and_written() {
    for version in ["v1beta1", "v1alpha3"] {
        let scene = served_as(version).await;
        assert!(scene.cache.health().iter().all(|kind| kind.state == Health::Live), "{version}");
        let snapshot = scene.fresh("reviews").await.unwrap();
        assert!(snapshot.mesh.installed, "{version}");
        let plan = shift(&snapshot, [30, 70]);
        assert_eq!(scene.cluster.dry_run(&plan).await, Ok(vec![]), "{version}");
        let applied = scene.cluster.apply(&plan, "change-1", &scene.cache).await;
        assert_eq!((applied.ending, applied.error), (Ending::Applied, None), "{version}");
        assert_eq!(scene.weights(), [30, 70], "{version}");
        // The watch tells of it.
        let object = scene.api.get("VirtualService", "shop", "reviews").unwrap();
        assert_eq!(object["apiVersion"], format!("networking.istio.io/{version}"));
        // What is planned for v1 is created as it is served.
        let created = ObjectRef::new(Kind::DestinationRule, "shop", "details");
        let edit = Edit {
            object: created,
            before: None,
            after: Some(destination_rule("details", subsets("details", &["v1"]))),
        };
        let applied =
            scene.cluster.apply(&Plan::new(vec![edit], vec![], vec![]), "change-2", &scene.cache).await;
        assert_eq!((applied.ending, applied.error), (Ending::Applied, None), "{version}");
        let created = scene.api.get("DestinationRule", "shop", "details").unwrap();
        assert_eq!(created["apiVersion"], object["apiVersion"]);
    }
}

#[tokio::test]
async fn a_cluster_that_changes_its_version_is_followed() {
    let scene = served_as("v1beta1").await;
    assert!(scene.snapshot("reviews").is_some_and(|snapshot| !snapshot.virtual_services.is_empty()));
    scene.api.serve_istio_as("v1");
    let fresh = scene.fresh("reviews").await.unwrap();
    assert!(fresh.mesh.installed, "the kinds are served, only elsewhere");
    assert_eq!(fresh.service.at, at("reviews"));
}

#[tokio::test]
async fn a_cluster_without_any_version_is_told() {
    let scene = Scene::on(|api| {
        reviews(api);
        api.uninstall("VirtualService");
        api.uninstall("DestinationRule");
    })
    .await;
    let missing = scene.cache.health().into_iter().filter(|kind| kind.state == Health::Missing).count();
    assert_eq!(missing, 2);
    assert!(!scene.fresh("reviews").await.unwrap().mesh.installed);
}
