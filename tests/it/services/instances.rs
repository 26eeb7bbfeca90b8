//! Two Sluices on one cluster: each is told of the other on its pages, in its API and in its readiness.

use std::time::Duration;

use serde_json::json;
use sluice::domain::ids::Namespace;
use sluice::services::Settings;
use sluice::services::instances::Instance;

use crate::support::house::House;
use crate::support::wait_for;

fn named(holder: &str) -> Settings {
    let instance = Instance {
        namespace: Namespace::parse("sluice").unwrap(),
        holder: holder.to_owned(),
        every: Duration::from_millis(25),
    };
    Settings { instance: Some(instance), ..Settings::default() }
}

fn others(house: &House) -> Vec<String> {
    let notices = house.services.notices();
    let others = notices.into_iter().filter(|notice| notice.code.as_str() == "another_sluice");
    others.map(|notice| notice.args[0].1.clone()).collect()
}

#[tokio::test]
async fn two_sluices_on_one_cluster_are_told_of_each_other() {
    let first = House::alive(None, named("sluice-a_1")).await;
    first.api.put(json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "sluice"}})).unwrap();
    wait_for("its Lease is there", async || {
        first.lease().filter(|lease| lease["spec"]["renewTime"].is_string())
    })
    .await;
    assert_eq!(others(&first), Vec::<String>::new(), "its own Lease is nobody else");
    let second = first.beside(named("sluice-b_1")).await;
    wait_for("the first is told", async || (others(&first) == ["sluice-b_1"]).then_some(())).await;
    wait_for("the second is told", async || (others(&second) == ["sluice-a_1"]).then_some(())).await;
    assert!(second.services.ready().is_ok(), "told, not refused");
}

#[tokio::test]
async fn a_restart_is_the_same_sluice_and_one_that_does_not_tell_looks_for_none() {
    let first = House::alive(None, named("sluice-a_1")).await;
    first.api.put(json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "sluice"}})).unwrap();
    wait_for("its Lease is there", async || first.lease()).await;
    let quiet = first.beside(Settings::default()).await;
    let name = first.lease().unwrap()["metadata"]["name"].clone();
    let first = first.crash_and_restart().await;
    let renewed = first.lease().unwrap()["spec"]["renewTime"].clone();
    wait_for("it is renewed", async || {
        (first.lease().unwrap()["spec"]["renewTime"] != renewed).then_some(())
    })
    .await;
    assert_eq!(first.lease().unwrap()["metadata"]["name"], name);
    assert_eq!((others(&first), others(&quiet)), (vec![], vec![]));
}
