//! After a version was retired: no way leads back to it, and nothing of it is brought back.

use sluice::domain::ids::VersionName;
use sluice::domain::refusal::Code;
use sluice::domain::release::{Command, Phase};
use sluice::services::Settings;
use sluice::services::ask::Wish;
use sluice::views::audit::what;
use sluice::views::lang::Lang;

use super::releases::wish;
use crate::support::house::{House, anna, at, weights};

const ACK: [&str; 2] = ["big_jump", "few_pods"];

async fn retired(house: &House, version: &str) {
    let reviews = at("bookinfo", "reviews");
    house.change(Wish::Retire(VersionName::from(version)), &reviews, &[]).await.unwrap();
    without(house, version).await;
}

async fn without(house: &House, version: &str) {
    let gone = async |house: &House| {
        let snapshot = house.cache.snapshot(&at("bookinfo", "reviews"))?;
        snapshot.versions.iter().all(|known| known.name.as_str() != version).then_some(())
    };
    house.until("its pods have ended", gone).await;
}

fn routing(house: &House) -> String {
    let of = |kind| house.api.get(kind, "bookinfo", "reviews").unwrap()["spec"].to_string();
    of("DestinationRule") + &of("VirtualService")
}

#[tokio::test]
async fn a_revision_that_needs_a_retired_version_is_offered_nowhere_and_refused_before_anything_is_written() {
    let house = House::alive(None, Settings::default()).await;
    let reviews = at("bookinfo", "reviews");
    house.change(weights(&[("v1", 0), ("v2", 100), ("v3", 0)]), &reviews, &ACK).await.unwrap();
    let detail = house.services.detail(&anna(), &reviews, 60).await.unwrap();
    assert_eq!(detail.back.map(|back| back.revision), Some(0), "as long as v1 is there");
    assert!(!detail.unchanged.contains(&0));
    retired(&house, "v1").await;
    let detail = house.services.detail(&anna(), &reviews, 60).await.unwrap();
    assert_eq!(detail.back, None, "it needs v1");
    assert!(detail.unchanged.contains(&0), "{:?}", detail.unchanged);
    let before = (routing(&house), house.history(&reviews).await.len());
    let refused = house.change(Wish::SwitchBack(0), &reviews, &[]).await.unwrap_err().refusal;
    assert_eq!(refused.code, Code::UnknownVersion);
    assert_eq!((routing(&house), house.history(&reviews).await.len()), before);
    let rows = house.history(&reviews).await;
    let row = rows.iter().find(|row| row.intent.details.retired.is_some()).expect("the routing's row");
    assert_eq!(what(Lang::En, row), "v1 retired");
    assert_eq!(what(Lang::Zh, row), "v1 已下线");
}

#[tokio::test]
async fn a_switch_back_brings_no_subset_of_a_retired_version_back() {
    let house = House::alive(None, Settings::default()).await;
    let reviews = at("bookinfo", "reviews");
    house.change(weights(&[("v1", 80), ("v2", 20), ("v3", 0)]), &reviews, &ACK).await.unwrap();
    assert!(routing(&house).contains("v3"), "{}", routing(&house));
    retired(&house, "v3").await;
    house.change(weights(&[("v1", 50), ("v2", 50)]), &reviews, &ACK).await.unwrap();
    house.change(Wish::SwitchBack(1), &reviews, &[]).await.unwrap();
    assert_eq!(house.written("bookinfo", "reviews", 0), [("v1".to_owned(), 80), ("v2".to_owned(), 20)]);
    assert!(!routing(&house).contains("v3"), "{}", routing(&house));
}

#[tokio::test]
async fn a_release_refuses_to_roll_back_to_what_needs_the_version_that_it_retired() {
    let house = House::alive(None, Settings::default()).await;
    let reviews = at("bookinfo", "reviews");
    let id =
        house.start(wish(|w| w["steps"] = serde_json::json!([{"kind": "weight", "percent": 100}]))).await.id;
    house.until_final(id, Phase::Succeeded).await;
    let revision = house.services.detail(&anna(), &reviews, 60).await.unwrap().overview.revision;
    house.say(id, Command::Retire { confirm: "reviews v1".into() }).await.unwrap();
    without(&house, "v1").await;
    let quiet = async |house: &House| house.phase(id).await.state.pending.is_empty().then_some(());
    house.until("it is done", quiet).await;
    let gone = house.services.revisions_gone(&reviews, &[0, revision]).await.unwrap();
    assert_eq!(gone.iter().map(|(known, _)| *known).collect::<Vec<_>>(), [0]);
    let before = routing(&house);
    let refused = house.say(id, Command::Rollback { revision: 0 }).await.unwrap_err();
    assert_eq!(refused.code, Code::UnknownVersion);
    assert_eq!((house.phase(id).await.state.phase, routing(&house)), (Phase::Succeeded, before));
}
