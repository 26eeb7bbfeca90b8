//! What the question before a step says of it: the same checks as a change by hand.

use serde_json::json;
use sluice::domain::release::{Command, PauseReason, Phase, Word};
use sluice::services::Settings;
use sluice::services::ask::Wish;

use super::releases::wish;
use crate::support::house::{House, anna, at};

#[tokio::test]
async fn before_a_step_its_question_has_the_checks_of_a_take_over_by_hand() {
    let house = House::alive(None, Settings::default()).await;
    house.edit_outside("VirtualService", "bookinfo", "reviews", |object| {
        let admin = json!({"match": [{"uri": {"prefix": "/admin"}}],
            "route": [{"destination": {"host": "reviews", "subset": "v1"}}]});
        object["spec"]["http"].as_array_mut().unwrap().insert(0, admin);
    });
    house
        .edit_outside("Deployment", "bookinfo", "reviews-v1", |object| object["spec"]["replicas"] = json!(3));
    let ready = async |house: &House| {
        let snapshot = house.cache.snapshot(&at("bookinfo", "reviews"))?;
        (snapshot.versions.iter().find(|version| version.name.as_str() == "v1")?.ready == 3).then_some(())
    };
    house.until("v1 has three pods", ready).await;
    let id = house
        .start(wish(|w| {
            w["candidate"] = json!({"from": "adopt", "version": "v2"});
            w["strategy"] = json!("blue_green");
            w["steps"] = json!([{"kind": "approval"}, {"kind": "weight", "percent": 100}]);
        }))
        .await
        .id;
    house.until_paused(id, PauseReason::Gate).await;
    let take_over = Wish::TakeOver("v2".into());
    let by_hand = house.services.preview(&anna(), &at("bookinfo", "reviews"), &take_over, &[]).await.unwrap();
    for word in [Word::Promote, Word::PromoteAll] {
        let said = house.services.checks_ahead(&anna(), id, word).await.unwrap();
        let of = |code: &str| said.iter().find(|check| check.code.as_str() == code).cloned();
        let hand = by_hand.checks.iter().find(|check| check.code.as_str() == "few_pods");
        assert!(hand.is_some(), "{:?}", by_hand.checks);
        assert_eq!(of("few_pods").map(|check| check.args), hand.map(|check| check.args.clone()));
    }
    // The step moves shares: the rule for /admin goes on sending to v1, and the question says so.
    let said = house.services.checks_ahead(&anna(), id, Word::Promote).await.unwrap();
    let keep = said.iter().find(|check| check.code.as_str() == "rules_keep").expect("the rule is named");
    assert_eq!(keep.args, [("v".into(), "v1".to_owned()), ("list".into(), "1".to_owned())], "{said:?}");
    let page = house.services.plan_release(&anna(), &house.phase(id).await.spec).await.unwrap();
    assert!(page.checks.iter().any(|check| check.code.as_str() == "rules_keep"), "{:?}", page.checks);
    assert!(house.services.checks_ahead(&anna(), id, Word::Abort).await.unwrap().is_empty());
    house.say(id, Command::Abort).await.unwrap();
    house.until_final(id, Phase::RolledBack).await;
    assert!(house.services.checks_ahead(&anna(), id, Word::Promote).await.unwrap().is_empty());
}

/// The old version carried everything with as many pods as the new one has: that it has fewer requests now says nothing.
#[tokio::test]
async fn a_step_is_compared_with_what_the_old_version_carried_before_the_release() {
    let house = House::alive(None, Settings::default()).await;
    let reviews = at("bookinfo", "reviews");
    let id = house
        .start(wish(|w| {
            w["steps"] = json!([{"kind": "weight", "percent": 50}, {"kind": "approval"}, {"kind": "weight", "percent": 100}]);
        }))
        .await
        .id;
    house.until_paused(id, PauseReason::Gate).await;
    let few = async || {
        let said = house.services.checks_ahead(&anna(), id, Word::Promote).await.unwrap();
        said.into_iter().find(|check| check.code.as_str() == "few_pods")
    };
    let by_hand = house.services.preview(&anna(), &reviews, &Wish::TakeOver("v9".into()), &[]).await.unwrap();
    assert!(by_hand.checks.iter().any(|check| check.code.as_str() == "few_pods"), "{:?}", by_hand.checks);
    assert_eq!(few().await, None);
    // With more pods of the old version it carried less on each of them: its numbers are named as they are.
    house
        .edit_outside("Deployment", "bookinfo", "reviews-v1", |object| object["spec"]["replicas"] = json!(3));
    let found =
        house.until("v1 has three pods, and the new version one", async |_: &House| few().await).await;
    let arg = |name: &str| found.args.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str());
    assert_eq!((arg("w"), arg("m"), arg("y")), (Some("v1"), Some("3"), Some("50")));
}
