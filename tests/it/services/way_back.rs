//! Where *switch back* of a service leads: never to what a release wrote that went back, never to a step of one, never
//! to what is there already; and to the state before the first change from here.

use serde_json::json;
use sluice::domain::audit::{Entry, WayBack};
use sluice::domain::ids::{Revision, VersionName};
use sluice::domain::overview::{Gravity, ListAsk, Show, State};
use sluice::domain::release::{Command, PauseReason, Phase};
use sluice::services::Settings;
use sluice::services::ask::Wish;

use super::releases::wish;
use crate::support::house::{House, anna, at, weights};

const ACK: [&str; 3] = ["big_jump", "few_pods", "no_metrics"];

impl House {
    async fn leads_back(&self) -> Option<(Revision, Vec<(VersionName, u8)>)> {
        let detail = self.services.detail(&anna(), &at("bookinfo", "reviews"), 60).await.unwrap();
        detail.back.map(|back| {
            let some = back.effect.after.into_iter().filter(|(_, weight)| *weight > 0).collect();
            (back.revision, some)
        })
    }
}

fn split(list: &[(&str, u8)]) -> Vec<(VersionName, u8)> {
    list.iter().map(|(name, weight)| ((*name).into(), *weight)).collect()
}

#[tokio::test]
async fn it_leads_past_everything_that_an_aborted_release_wrote() {
    let house = House::alive(None, Settings::default()).await;
    let reviews = at("bookinfo", "reviews");
    assert_eq!(house.leads_back().await, None, "there is nothing before the first state");
    house.change(weights(&[("v1", 80), ("v2", 20), ("v3", 0)]), &reviews, &ACK).await.unwrap();
    assert_eq!(house.leads_back().await, Some((0, split(&[("v1", 100)]))), "revision 0 is one of them");
    house.change(weights(&[("v1", 100), ("v2", 0), ("v3", 0)]), &reviews, &ACK).await.unwrap();
    let id = house
        .start(wish(|w| {
            w["candidate"] = json!({"from": "adopt", "version": "v3"});
            w["steps"] = json!([{"kind": "weight", "percent": 20}, {"kind": "weight", "percent": 50},
                {"kind": "approval"}, {"kind": "weight", "percent": 100}]);
        }))
        .await
        .id;
    house.until_paused(id, PauseReason::Gate).await;
    let page = house.services.detail(&anna(), &reviews, 60).await.unwrap();
    assert_eq!(
        page.release.as_ref().map(|story| story.release.id),
        Some(id),
        "the page tells of its release"
    );
    house.say(id, Command::Abort).await.unwrap();
    house.until_final(id, Phase::RolledBack).await;
    let page = house.services.detail(&anna(), &reviews, 60).await.unwrap();
    let unchanged: Vec<Revision> = page.unchanged.clone();
    assert!(unchanged.contains(&0) && unchanged.contains(&2), "all is on v1 again: {unchanged:?}");
    assert!(!unchanged.contains(&1), "80 and 20 are other shares: {unchanged:?}");
    assert_eq!(page.release.map(|story| story.release.state.phase), Some(Phase::RolledBack));
    // 2 is what is there, 3 to 5 are the release's.
    let before = Some((1, split(&[("v1", 80), ("v2", 20)])));
    let leads = async |house: &House| (house.leads_back().await == before).then_some(());
    house.until("the end of the release is seen, and it leads past it", leads).await;
    house.change(weights(&[("v1", 90), ("v2", 10), ("v3", 0)]), &reviews, &ACK).await.unwrap();
    assert_eq!(house.leads_back().await, Some((2, split(&[("v1", 100)]))));
    let page = house.services.detail(&anna(), &reviews, 60).await.unwrap();
    assert_eq!(page.release, None, "something else happened since");
    assert_eq!(page.origin.map(|weights| weights.into_iter().filter(|(_, n)| *n > 0).collect::<Vec<_>>()), {
        Some(split(&[("v1", 100)]))
    });
}

#[tokio::test]
async fn a_release_that_went_on_is_one_change() {
    let house = House::alive(None, Settings::default()).await;
    let reviews = at("bookinfo", "reviews");
    let id = house
        .start(wish(|w| {
            w["candidate"] = json!({"from": "adopt", "version": "v2"});
            w["steps"] = json!([{"kind": "weight", "percent": 20}, {"kind": "weight", "percent": 50},
                {"kind": "weight", "percent": 100}]);
        }))
        .await
        .id;
    house.until_final(id, Phase::Succeeded).await;
    assert_eq!(house.leads_back().await, Some((0, split(&[("v1", 100)]))), "not to half of it");
    let done = house.services.detail(&anna(), &reviews, 60).await.unwrap().overview.revision;
    house.change(Wish::TakeOver("v3".into()), &reviews, &ACK).await.unwrap();
    assert_eq!(
        house.leads_back().await,
        Some((done, split(&[("v2", 100)]))),
        "its end is worth going back to"
    );
    let made = house.change(Wish::SwitchBack(done), &reviews, &[]).await.unwrap();
    assert_eq!(made.after.iter().find(|(name, _)| name.as_str() == "v2").map(|(_, n)| *n), Some(100));
}

#[tokio::test]
async fn a_service_whose_release_waits_is_listed_and_counted_under_attention() {
    let house = House::alive(None, Settings::default()).await;
    let list = async |ask: ListAsk| house.services.list(&anna(), &ask).await.unwrap();
    let calm = list(ListAsk::default()).await.counts.attention;
    let id = house.start(wish(|w| w["candidate"] = json!({"from": "adopt", "version": "v2"}))).await.id;
    house.until_paused(id, PauseReason::Gate).await;
    let attention = ListAsk { show: Show::Attention, ..ListAsk::default() };
    let page = house
        .until("it is listed", async |_| {
            let page = list(attention.clone()).await;
            page.items.iter().any(|item| *item.at() == at("bookinfo", "reviews")).then_some(page)
        })
        .await;
    assert_eq!((page.counts.attention, page.total), (calm + 1, calm + 1));
    // In the whole list it stands before everything that is fine, and every service is there once.
    let (mut seen, mut cursor) = (Vec::new(), None);
    loop {
        let page = list(ListAsk { limit: 3, cursor, ..ListAsk::default() }).await;
        seen.extend(page.items.iter().map(|item| {
            let waits = (*item.at() == at("bookinfo", "reviews")).then_some(false);
            (Gravity::of(item.state, waits), item.at().clone())
        }));
        cursor = page.next.clone();
        if cursor.is_none() {
            break;
        }
    }
    let mut sorted = seen.clone();
    sorted.sort();
    sorted.dedup();
    assert_eq!((&seen, seen.len()), (&sorted, house.cache.services().len()));
    for state in State::ALL {
        assert_eq!(Gravity::of(state, None).needs_attention(), state.needs_attention(), "{state:?}");
        assert!(Gravity::of(state, Some(true)) <= Gravity::ReleaseInTrouble, "{state:?}");
    }
}

#[tokio::test]
async fn a_version_keeps_its_colour_when_others_go_and_after_a_restart() {
    let house = House::alive(None, Settings::default()).await;
    let reviews = at("bookinfo", "reviews");
    let slot = async |house: &House, version: &str| {
        let item = house.services.overview(&anna(), &at("bookinfo", "reviews"), 60).await.unwrap();
        assert_eq!(
            house.services.slots().of(&at("bookinfo", "reviews")),
            item.slots,
            "one book for all pages"
        );
        item.slots.get(version)
    };
    assert_eq!((slot(&house, "v1").await, slot(&house, "v2").await), (Some(1), Some(2)));
    house.change(Wish::TakeOver("v2".into()), &reviews, &ACK).await.unwrap();
    house.api.delete("Deployment", "bookinfo", "reviews-v1").unwrap();
    house
        .until("v1 is gone", async |house| {
            let snapshot = house.cache.snapshot(&at("bookinfo", "reviews"))?;
            snapshot.versions.iter().all(|version| version.name.as_str() != "v1").then_some(())
        })
        .await;
    assert_eq!((slot(&house, "v2").await, slot(&house, "v3").await), (Some(2), Some(3)));
    let house = house.crash_and_restart().await;
    assert_eq!((slot(&house, "v2").await, slot(&house, "v3").await), (Some(2), Some(3)), "it is kept");
}

#[tokio::test]
async fn what_had_the_traffic_before_is_stable_until_it_has_none() {
    let house = House::alive(None, Settings::default()).await;
    let reviews = at("bookinfo", "reviews");
    let stable = async || {
        let detail = house.services.detail(&anna(), &at("bookinfo", "reviews"), 60).await.unwrap();
        detail.stable.map(|version| version.to_string())
    };
    assert_eq!(stable().await, None, "nothing is recorded: it is the one with the largest share");
    for (v1, v2, expected) in [(90, 10, "v1"), (30, 70, "v1"), (5, 95, "v1"), (0, 100, "v2"), (50, 50, "v2")]
    {
        house.change(weights(&[("v1", v1), ("v2", v2), ("v3", 0)]), &reviews, &ACK).await.unwrap();
        assert_eq!(stable().await.as_deref(), Some(expected), "{v1}/{v2}");
    }
}

#[tokio::test]
async fn after_a_switch_back_the_version_that_had_the_traffic_before_is_stable_again() {
    let house = House::alive(None, Settings::default()).await;
    let reviews = at("bookinfo", "reviews");
    let stable = async || {
        let detail = house.services.detail(&anna(), &at("bookinfo", "reviews"), 60).await.unwrap();
        detail.stable.map(|version| version.to_string())
    };
    house.change(weights(&[("v1", 74), ("v2", 26), ("v3", 0)]), &reviews, &ACK).await.unwrap();
    house.change(Wish::TakeOver("v2".into()), &reviews, &ACK).await.unwrap();
    assert_eq!(stable().await.as_deref(), Some("v2"));
    house.change(Wish::SwitchBack(1), &reviews, &ACK).await.unwrap();
    assert_eq!(stable().await.as_deref(), Some("v1"), "v2 has 26 of 100 as it had before");
    house.change(weights(&[("v1", 40), ("v2", 60), ("v3", 0)]), &reviews, &ACK).await.unwrap();
    assert_eq!(stable().await.as_deref(), Some("v1"), "the course that was left counts for nothing");
}

#[tokio::test]
async fn a_release_that_was_done_and_switched_back_leaves_both_ways() {
    let house = House::alive(None, Settings::default()).await;
    let reviews = at("bookinfo", "reviews");
    house.change(weights(&[("v1", 95), ("v2", 5), ("v3", 0)]), &reviews, &ACK).await.unwrap();
    let id = house
        .start(wish(|w| {
            w["candidate"] = json!({"from": "adopt", "version": "v2"});
            w["steps"] = json!([{"kind": "weight", "percent": 50}, {"kind": "weight", "percent": 100}]);
        }))
        .await
        .id;
    house.until_final(id, Phase::Succeeded).await;
    let page = async || house.services.detail(&anna(), &at("bookinfo", "reviews"), 60).await.unwrap();
    let done = page().await.overview.revision;
    house.say(id, Command::SwitchBack).await.unwrap();
    house.until_final(id, Phase::RolledBack).await;
    let back = page().await;
    assert_eq!(back.stable.as_ref().map(ToString::to_string).as_deref(), Some("v1"), "v2 has 5 of 100");
    let end = Some((done, split(&[("v2", 100)])));
    let leads = async |house: &House| (house.leads_back().await == end).then_some(());
    house.until("it leads to the end of the release", leads).await;
    house.change(weights(&[("v1", 60), ("v2", 40), ("v3", 0)]), &reviews, &ACK).await.unwrap();
    let expected = Some((back.overview.revision, split(&[("v1", 95), ("v2", 5)])));
    assert_eq!(house.leads_back().await, expected, "what it went back to");
}

#[tokio::test]
async fn the_page_has_a_release_once_besides_what_it_wrote_and_calls_an_abort_an_abort() {
    let house = House::alive(None, Settings::default()).await;
    let reviews = at("bookinfo", "reviews");
    let id = house.start(wish(|w| w["candidate"] = json!({"from": "adopt", "version": "v2"}))).await.id;
    house.until_paused(id, PauseReason::Gate).await;
    house.say(id, Command::Abort).await.unwrap();
    house.until_final(id, Phase::RolledBack).await;
    let page = house.services.detail(&anna(), &reviews, 60).await.unwrap();
    let mark = |entry: &Entry| {
        let late = entry.outcome.as_ref().and_then(|outcome| outcome.details.release.clone());
        late.or_else(|| entry.intent.details.release.clone())
    };
    let (made, told): (Vec<&Entry>, Vec<&Entry>) =
        page.history.iter().partition(|entry| entry.outcome.as_ref().is_some_and(|o| o.revision.is_some()));
    assert_eq!(made.len(), 2, "30 percent, and back");
    let [told] = told.as_slice() else { panic!("{told:?}") };
    let mark = mark(told).unwrap();
    assert_eq!((mark.id, mark.to, mark.way_back), (id, Phase::RolledBack, Some(WayBack::Abort)));
}
