//! What a person has to accept before a release may start, and that nothing else is passed over in silence.

use serde_json::{Value, json};
use sluice::domain::release::{PauseReason, Phase};
use sluice::services::Settings;
use sluice::services::releases::ReleaseAsk;

use super::releases::wish;
use crate::support::house::{House, anna, at, weights};

/// The proxy answers 30 % of the requests of `reviews` itself.
fn answer_by_proxy(house: &House) {
    house.edit_outside("VirtualService", "bookinfo", "reviews", |object| {
        object["spec"]["http"][0]["fault"] =
            json!({"abort": {"httpStatus": 503, "percentage": {"value": 30.0}}});
    });
}

async fn refused(house: &House, change: &dyn Fn(&mut Value)) -> Vec<(String, String)> {
    let all = house.services.start_release(&anna(), wish(|w| change(w)), "r", "q").await.unwrap_err();
    all.iter().map(|no| (no.code.as_str().to_owned(), no.field.clone().unwrap_or_default())).collect()
}

#[tokio::test]
async fn a_release_starts_only_when_what_the_proxy_answers_itself_is_accepted() {
    let house = House::alive(None, Settings::default()).await;
    answer_by_proxy(&house);
    house
        .until("the fault is read", async |house| {
            let plan = house.services.plan_release(&anna(), &wish(|_| ())).await.unwrap();
            (!plan.accepts.is_empty()).then_some(())
        })
        .await;
    let open = [("answered_by_proxy".to_owned(), "policies.accept".to_owned())];
    // A version that is not deployed yet, and one that is.
    assert_eq!(refused(&house, &|_| ()).await, open);
    let adopt = |w: &mut Value| w["candidate"] = json!({"from": "adopt", "version": "v2"});
    assert_eq!(refused(&house, &adopt).await, open);
    let none = house.services.releases(&anna(), &ReleaseAsk::default()).await.unwrap();
    assert!(none.items.is_empty(), "nothing is stored");

    let spec = wish(|w| {
        adopt(w);
        w["policies"] = json!({"accept": ["answered_by_proxy"]});
    });
    let plan = house.services.plan_release(&anna(), &spec).await.unwrap();
    assert_eq!(
        plan.accepts.iter().map(|check| check.code.as_str()).collect::<Vec<_>>(),
        ["answered_by_proxy"]
    );
    assert!(plan.refusals.is_empty(), "{:?}", plan.refusals);
    let id = house.start(spec).await.id;
    house.until_paused(id, PauseReason::Gate).await;
    assert_eq!(house.weight_of("v2"), 30);
}

#[tokio::test]
async fn what_has_to_be_accepted_only_after_the_start_stops_the_release_and_not_its_way_back() {
    let house = House::alive(None, Settings::default()).await;
    let spec = wish(|w| w["candidate"] = json!({"from": "adopt", "version": "v2"}));
    let id = house.start(spec).await.id;
    house.until_paused(id, PauseReason::Gate).await;
    answer_by_proxy(&house);
    house.until_paused(id, PauseReason::Drift).await;
    house.say(id, sluice::domain::release::Command::Promote).await.unwrap();
    let stopped = house.until_paused(id, PauseReason::Conflict).await;
    let detail = stopped.state.paused.and_then(|paused| paused.detail).expect("the refusal");
    assert_eq!(detail.code.as_str(), "answered_by_proxy");
    house.say(id, sluice::domain::release::Command::Abort).await.unwrap();
    house.until_final(id, Phase::RolledBack).await;
    assert_eq!(house.weight_of("v2"), 0);
}

#[tokio::test]
async fn an_object_of_gitops_is_accepted_before_the_start_like_in_a_change_by_hand() {
    let house = House::alive(None, Settings::default()).await;
    let cart = |w: &mut Value| {
        w["service"] = json!({"namespace": "shop", "name": "cart"});
        w["candidate"] = json!({"from": "adopt", "version": "v2"});
    };
    assert_eq!(refused(&house, &cart).await[0], ("gitops".into(), "policies.accept".into()));
    let hand = house.change(weights(&[("v1", 90), ("v2", 10)]), &at("shop", "cart"), &[]).await.unwrap_err();
    assert_eq!(hand.refusal.code.as_str(), "gitops");
    let id = house
        .start(wish(|w| {
            cart(w);
            w["policies"] = json!({"accept": ["gitops"]});
        }))
        .await
        .id;
    house.until_paused(id, PauseReason::Gate).await;
}
