//! Two Sluices and a person write one VirtualService a thousand times: no update is lost, and none is written
//! over in silence.

use std::sync::atomic::{AtomicU32, Ordering};

use kube::api::PostParams;
use serde_json::{Value, json};

use super::super::bookinfo;
use crate::support::cluster::RealCluster;
use crate::support::mesh::{Town, weights};
use crate::support::served::Served;

/// Attempts of all three, those that were too late too.
const WRITES: u32 = 1_000;

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
    let generation = |object: &Value| object["metadata"]["generation"].as_u64().unwrap();
    // Every write that was acknowledged changed the spec, and moved the generation by one.
    assert_eq!(generation(&last) - generation(&first), u64::from(by_one + by_two + by_hand));
    // The person counts up in a field of their own: nobody put an older number back.
    assert_eq!(last["spec"]["http"][0]["timeout"], json!(format!("{}s", by_hand + 1)));
    assert!(by_one > 0 && by_two > 0 && by_hand > 0, "{by_one} {by_two} {by_hand}");
}

/// Changes weights through one Sluice; answers how often that was acknowledged. A conflict is an answer too.
async fn portal(town: &Town<'_>, sluice: &Served, start: u8, done: &AtomicU32) -> u32 {
    let mut acknowledged = 0;
    let mut weight = start;
    while done.load(Ordering::SeqCst) < WRITES {
        weight = start + (weight - start + 1) % 49;
        let (answer, _) =
            town.change(sluice, "reviews", weights(&[("v1", weight), ("v2", 100 - weight)])).await;
        match (answer.status, answer.code()) {
            (200, _) => acknowledged += 1,
            (409 | 412, _) | (422, "nothing_asked") => {}
            _ => panic!("{:?}", answer.body),
        }
        done.fetch_add(1, Ordering::SeqCst);
    }
    acknowledged
}

/// Reads, counts up, and writes with the resourceVersion that was read, as kubectl edit does.
async fn person(town: &Town<'_>, done: &AtomicU32) -> u32 {
    let mut acknowledged = 0;
    let all = town.objects("VirtualService");
    let by = PostParams { field_manager: Some("kubectl-edit".into()), ..PostParams::default() };
    while done.load(Ordering::SeqCst) < WRITES {
        let mut object = all.get("reviews").await.unwrap();
        object.data["spec"]["http"][0]["timeout"] = json!(format!("{}s", acknowledged + 2));
        match all.replace("reviews", &by, &object).await {
            Ok(_) => acknowledged += 1,
            Err(kube::Error::Api(status)) if status.code == 409 => {}
            Err(error) => panic!("{error}"),
        }
        done.fetch_add(1, Ordering::SeqCst);
        // Quicker than any person, and slow enough to let the others have a turn.
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
    acknowledged
}
