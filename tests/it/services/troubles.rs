//! The cluster fails in the middle: never a lie about what was applied, never an attempt without an end.

use sluice::demo::api::{Cut, On, Times, Trouble, Verb};
use sluice::domain::audit::Ending;
use sluice::domain::refusal::Code;

use crate::support::house::{House, anna, at, weights};

async fn with(trouble: Trouble, times: Times) -> (House, Result<u64, (Code, Ending)>) {
    let house = House::new().await;
    let write = On::verb(Verb::Update).of("virtualservices").real_writes();
    house.api.trouble(write, trouble, times);
    let wish = weights(&[("v1", 90), ("v2", 10)]);
    let result = house.change(wish, &at("bookinfo", "reviews"), &[]).await;
    let result = result.map(|applied| applied.revision).map_err(|no| (no.refusal.code, no.ending));
    (house, result)
}

async fn check(trouble: Trouble, times: Times, expected: Result<u64, Ending>, first_weight: i64) {
    let (house, result) = with(trouble.clone(), times).await;
    assert_eq!(
        result.as_ref().map_err(|(_, ending)| *ending),
        expected.as_ref().map_err(|e| *e),
        "{trouble:?}"
    );
    assert_eq!(house.written("bookinfo", "reviews", 0)[0].1, first_weight, "{trouble:?}");
    let history = house.history(&at("bookinfo", "reviews")).await;
    assert_eq!(history.len(), 1, "{trouble:?}");
    let ending = history[0].outcome.as_ref().expect("every attempt has an end").ending;
    assert_eq!(ending, expected.err().unwrap_or(Ending::Applied), "{trouble:?}");
}

#[tokio::test]
async fn an_answer_that_was_lost_is_looked_up() {
    check(Trouble::AnswerAfterApplying(504), Times::Next(1), Ok(1), 90).await;
    check(Trouble::DropAfterApplying, Times::Next(1), Ok(1), 90).await;
}

#[tokio::test]
async fn a_write_that_did_not_arrive_is_told_as_failed() {
    check(Trouble::Answer(429), Times::Next(1), Err(Ending::Failed), 100).await;
    check(Trouble::Answer(500), Times::Next(1), Err(Ending::Failed), 100).await;
    check(Trouble::Drop, Times::Next(1), Err(Ending::Failed), 100).await;
}

#[tokio::test]
async fn a_cluster_that_is_away_refuses_before_anything_is_written() {
    let house = House::new().await;
    house.api.trouble(On::any(), Trouble::Answer(503), Times::Always);
    let refused = house.change(weights(&[("v1", 90), ("v2", 10)]), &at("bookinfo", "reviews"), &[]).await;
    let refused = refused.unwrap_err();
    assert!(refused.refusal.code.status() == 503, "{:?}", refused.refusal);
    house.api.heal();
    assert_eq!(house.written("bookinfo", "reviews", 0)[0].1, 100);
    assert!(house.store.open_intents().await.unwrap().is_empty());
}

#[tokio::test]
async fn a_service_that_cannot_be_looked_up_is_not_said_to_be_missing() {
    let house = House::new().await;
    house.api.trouble(On::any(), Trouble::Page(401), Times::Always);
    house.api.end_watches(Cut::Cleanly);
    let refused = async |house: &House| {
        let notices = house.services.notices();
        notices.into_iter().find(|notice| notice.code == Code::ClusterUnauthenticated)
    };
    house.until("the refused credentials are noticed", refused).await;
    // What was known is shown; what is not known may be there all the same.
    assert!(house.services.overview(&anna(), &at("bookinfo", "reviews"), 60).await.is_ok());
    let unknown = house.services.overview(&anna(), &at("bookinfo", "new"), 60).await.unwrap_err();
    assert_eq!(unknown.code, Code::ClusterUnauthenticated);
    let change = house.change(weights(&[("v1", 90), ("v2", 10)]), &at("bookinfo", "reviews"), &[]).await;
    assert_eq!(change.unwrap_err().refusal.code, Code::ClusterUnauthenticated);
    house.api.heal();
    let healed = async |house: &House| {
        house.services.notices().iter().all(|n| n.code != Code::ClusterUnauthenticated).then_some(())
    };
    house.until("the credentials are accepted again", healed).await;
    let missing = house.services.overview(&anna(), &at("bookinfo", "new"), 60).await.unwrap_err();
    assert_eq!(missing.code, Code::ServiceNotFound);
}
