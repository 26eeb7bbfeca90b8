//! Two Sluices and a person write one VirtualService a thousand times: no update is lost, none is written over in
//! silence, and whoever reads the histories knows who made each step of the object.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU32, Ordering};

use futures::{StreamExt, TryStreamExt};
use kube::api::{PostParams, WatchEvent, WatchParams};
use kube::core::DynamicObject;
use serde_json::{Value, json};

use super::super::bookinfo;
use crate::support::cluster::RealCluster;
use crate::support::mesh::{Town, weights};
use crate::support::served::Served;

/// Attempts of all three, those that were too late too.
const WRITES: u32 = 1_000;

/// One step of the object as the API server stored it.
#[derive(Debug)]
struct Stored {
    version: String,
    generation: i64,
    change: Option<String>,
    timeout: Value,
}

/// A write that was acknowledged: its resourceVersion, and the change that its history names.
#[derive(Debug)]
struct Acknowledged {
    version: String,
    change: Option<String>,
}

#[tokio::test]
async fn in_a_thousand_writes_of_three_none_is_lost_or_written_over() {
    let Some(cluster) = RealCluster::with_mesh() else { return };
    let (town, _) = bookinfo(cluster, "racing", &[("v1", 1), ("v2", 1)]).await;
    let (one, two) = (town.sluice().await, town.sluice().await);
    for sluice in [&one, &two] {
        town.known(sluice, "reviews", &[("v1", 1), ("v2", 1)]).await;
    }
    let first = town.get("VirtualService", "reviews").await;
    let done = AtomicU32::new(0);
    let (by_one, by_two, by_hand) =
        tokio::join!(portal(&town, &one, 1, &done), portal(&town, &two, 50, &done), person(&town, &done));
    let last = town.get("VirtualService", "reviews").await;
    let steps = steps(&town, &first, &last).await;

    // Every write that was acknowledged is in the history of whoever made it, with the step that it made.
    let one_kept = kept(&town, &one, &by_one).await;
    let two_kept = kept(&town, &two, &by_two).await;
    let mut writers: BTreeMap<&str, Vec<(&str, &Acknowledged)>> = BTreeMap::new();
    for (who, all) in [("one", &one_kept), ("two", &two_kept), ("the person", &by_hand)] {
        for write in all {
            writers.entry(&write.version).or_default().push((who, write));
        }
    }
    eprintln!(
        "{WRITES} attempts, {} stored: {} and {} by the two Sluices, {} by hand",
        steps.len(),
        by_one.len(),
        by_two.len(),
        by_hand.len()
    );
    // Each step of the object belongs to exactly one acknowledged write, and each of those made exactly one step.
    let mut generation = first["metadata"]["generation"].as_i64().unwrap();
    let mut timeout = first["spec"]["http"][0]["timeout"].clone();
    for step in &steps {
        let by = writers.remove(step.version.as_str()).unwrap_or_else(|| panic!("nobody made {step:?}"));
        let [(who, write)] = by[..] else { panic!("{step:?} was made twice: {by:?}") };
        assert_eq!(step.generation, generation + 1, "no step in between was missed: {step:?}");
        generation = step.generation;
        if who == "the person" {
            assert_ne!(step.timeout, timeout, "{step:?}");
        } else {
            assert_eq!(step.timeout, timeout, "{who} wrote over the person: {step:?}");
            assert_eq!(step.change, write.change, "the object names the change that made it: {step:?}");
        }
        timeout = step.timeout.clone();
    }
    assert!(writers.is_empty(), "acknowledged and lost: {writers:?}");
    assert_eq!(generation, last["metadata"]["generation"].as_i64().unwrap());
    // The person counts up in a field of their own: nobody put an older number back.
    assert_eq!(last["spec"]["http"][0]["timeout"], json!(format!("{}s", by_hand.len() + 1)));
    assert!(!by_one.is_empty() && !by_two.is_empty() && !by_hand.is_empty());
}

/// Everything that became of the object since `first`, as the API server's own watch tells it.
async fn steps(town: &Town<'_>, first: &Value, last: &Value) -> Vec<Stored> {
    let all = town.objects("VirtualService");
    let version = |object: &Value| object["metadata"]["resourceVersion"].as_str().unwrap().to_owned();
    let (mut from, end) = (version(first), version(last));
    let params = WatchParams::default().fields("metadata.name=reviews").timeout(60);
    let mut out: Vec<Stored> = Vec::new();
    while from != end {
        let mut events = all.watch(&params, &from).await.unwrap().boxed();
        while let Some(event) = events.try_next().await.unwrap() {
            let WatchEvent::Modified(object) = event else { continue };
            from = object.metadata.resource_version.clone().unwrap();
            out.push(stored(object));
            if from == end {
                break;
            }
        }
    }
    out
}

fn stored(object: DynamicObject) -> Stored {
    let annotations = object.metadata.annotations.unwrap_or_default();
    Stored {
        version: object.metadata.resource_version.unwrap(),
        generation: object.metadata.generation.unwrap(),
        change: annotations.get("sluice.io/change").cloned(),
        timeout: object.data["spec"]["http"][0]["timeout"].clone(),
    }
}

/// What the history of one Sluice holds of the changes that it acknowledged.
async fn kept(town: &Town<'_>, sluice: &Served, entries: &[u64]) -> Vec<Acknowledged> {
    let token = Some(town.cluster.token("admin"));
    let mut out = Vec::new();
    for entry in entries {
        let told = sluice.call("GET", &format!("/api/v1/audit/{entry}"), token, None, &[]).await.body;
        assert_eq!(told["result"], json!("applied"), "{told}");
        let edits = told["edits"].as_array().unwrap();
        assert_eq!((edits.len(), &edits[0]["written"]), (1, &json!("yes")), "{told}");
        let version = edits[0]["resource_version_after"].as_str().unwrap().to_owned();
        out.push(Acknowledged { version, change: told["change"].as_str().map(str::to_owned) });
    }
    // And nothing else was written from there.
    let path = "/api/v1/audit?service=racing/reviews&result=applied&limit=1";
    let mut found = sluice.call("GET", path, token, None, &[]).await.body;
    assert_eq!(found["items"][0]["id"].as_u64(), entries.last().copied());
    found = sluice
        .call("GET", "/api/v1/audit?service=racing/reviews&result=unknown", token, None, &[])
        .await
        .body;
    assert_eq!(found["items"], json!([]));
    out
}

/// Changes weights through one Sluice; answers the entries of what was acknowledged. A conflict is an answer too.
async fn portal(town: &Town<'_>, sluice: &Served, start: u8, done: &AtomicU32) -> Vec<u64> {
    let mut acknowledged = Vec::new();
    let mut weight = start;
    while done.load(Ordering::SeqCst) < WRITES {
        weight = start + (weight - start + 1) % 49;
        let (answer, _) =
            town.change(sluice, "reviews", weights(&[("v1", weight), ("v2", 100 - weight)])).await;
        match (answer.status, answer.code()) {
            (200, _) => acknowledged.push(answer.body["entry"].as_u64().unwrap()),
            (409 | 412, _) | (422, "nothing_asked") => {}
            _ => panic!("{:?}", answer.body),
        }
        done.fetch_add(1, Ordering::SeqCst);
    }
    acknowledged
}

/// Reads, counts up, and writes with the resourceVersion that was read, as kubectl edit does.
async fn person(town: &Town<'_>, done: &AtomicU32) -> Vec<Acknowledged> {
    let mut acknowledged: Vec<Acknowledged> = Vec::new();
    let all = town.objects("VirtualService");
    let by = PostParams { field_manager: Some("kubectl-edit".into()), ..PostParams::default() };
    while done.load(Ordering::SeqCst) < WRITES {
        let mut object = all.get("reviews").await.unwrap();
        object.data["spec"]["http"][0]["timeout"] = json!(format!("{}s", acknowledged.len() + 2));
        match all.replace("reviews", &by, &object).await {
            Ok(stored) => {
                let version = stored.metadata.resource_version.unwrap();
                acknowledged.push(Acknowledged { version, change: None });
            }
            Err(kube::Error::Api(status)) if status.code == 409 => {}
            Err(error) => panic!("{error}"),
        }
        done.fetch_add(1, Ordering::SeqCst);
        // Quicker than any person, and slow enough to let the others have a turn.
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
    acknowledged
}
