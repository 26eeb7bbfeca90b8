//! kill -9 at every step of a change that writes two objects, and a new start on the same history.

use serde_json::{Value, json};

use super::super::bookinfo;
use super::gate::{Gate, Step};
use crate::support::cluster::RealCluster;
use crate::support::mesh::{Load, weights};
use crate::support::served::verify;
use crate::support::wait_for;

/// A step, and what has to be recorded afterwards: the result of the entry (none when nothing was recorded), and
/// whether the subset and the route are there.
async fn killed_at(
    cluster: &'static RealCluster,
    name: &str,
    step: Step,
    told: Option<&str>,
    written: (bool, bool),
) {
    let (town, load) = bookinfo(cluster, name, &[("v1", 1), ("v2", 1)]).await;
    town.deploy("reviews", "v3", 1, 9080, json!({})).await;
    town.settled().await;
    let gate = Gate::start(cluster).await;
    let mut sluice = town.sluice_behind(|file| gate.kubeconfig(file)).await;
    town.known(&sluice, "reviews", &[("v1", 1), ("v2", 1), ("v3", 1)]).await;
    town.changed(&sluice, "reviews", weights(&[("v1", 60), ("v2", 40)])).await;
    let steady = town.begin(&Load { rate: 100.0, ..load.clone() }).await;

    let here = gate.holds_at(step).await;
    let change = town.change(&sluice, "reviews", weights(&[("v1", 10), ("v2", 40), ("v3", 50)]));
    tokio::select! {
        _ = here => {}
        answer = change => panic!("{step:?} never came: {:?}", answer.0),
    }
    sluice.kill_and_restart().await;

    let history = async || {
        let path = format!("/api/v1/audit?service={name}/reviews");
        let found = sluice.call("GET", &path, Some(cluster.token("admin")), None, &[]).await;
        let results = found.body["items"].as_array()?.iter();
        Some(results.map(|one| one["result"].as_str().unwrap_or("open").to_owned()).collect::<Vec<_>>())
    };
    let expected: Vec<&str> = told.into_iter().chain(["refused", "applied"]).collect();
    // Refusals for want of an acknowledgement come in between; what counts is what was done.
    let deeds = |all: Vec<String>| all.into_iter().filter(|one| one != "refused").collect::<Vec<_>>();
    let expected: Vec<String> = deeds(expected.into_iter().map(str::to_owned).collect());
    // What may still be under way in the API server is not judged for 25 s.
    let cleared = tokio::time::timeout(std::time::Duration::from_mins(1), async {
        loop {
            if deeds(history().await.unwrap()) == expected {
                return;
            }
            tokio::time::sleep(std::time::Duration::from_millis(200)).await;
        }
    });
    assert!(cleared.await.is_ok(), "{step:?}: {expected:?} is not told: {:?}", history().await);

    // The history and the cluster agree.
    let subsets = town.get("DestinationRule", "reviews").await["spec"]["subsets"].clone();
    let has_subset =
        subsets.as_array().unwrap().iter().any(|subset| subset["labels"]["version"] == json!("v3"));
    let route = town.get("VirtualService", "reviews").await["spec"]["http"][0]["route"].clone();
    let numbers: Vec<&Value> = route.as_array().unwrap().iter().map(|to| &to["weight"]).collect();
    let has_route = numbers == [&json!(10), &json!(40), &json!(50)];
    assert_eq!((has_subset, has_route), written, "{step:?}: {subsets} {route}");
    if !has_route {
        assert_eq!(numbers[..2], [&json!(60), &json!(40)], "{step:?}");
    }
    let declared = town.seen(&sluice, "reviews").await.body["declared"].clone();
    assert_eq!(declared["v1"], json!(if has_route { 10 } else { 60 }), "{step:?}: {declared}");

    // And it goes on, without a request lost at any time.
    town.changed(&sluice, "reviews", weights(&[("v1", 0), ("v2", 0), ("v3", 100)])).await;
    wait_for("v3 has all", async || {
        (town.load(&Load { count: 50, ..load.clone() }).await.of("v3") == 50).then_some(())
    })
    .await;
    steady.stop().await.assert_no_failure();
    assert!(sluice.end(), "an orderly end");
    let (report, good) = verify(&sluice.history());
    assert!(good, "{step:?}: {report}");
}

#[tokio::test]
async fn killed_at_any_step_the_history_and_the_cluster_agree() {
    let Some(cluster) = RealCluster::with_mesh() else { return };
    tokio::join!(
        killed_at(cluster, "killed-dry", Step::DryRun, None, (false, false)),
        killed_at(cluster, "killed-intent", Step::Before(1), Some("failed"), (false, false)),
        killed_at(cluster, "killed-first", Step::After(1), Some("partial"), (true, false)),
        killed_at(cluster, "killed-between", Step::Before(2), Some("partial"), (true, false)),
        killed_at(cluster, "killed-last", Step::After(2), Some("applied"), (true, true)),
    );
}
