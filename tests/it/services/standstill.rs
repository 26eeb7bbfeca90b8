//! Parts that stand still: the API server freezes or is gone, the metrics never answer. Nothing hangs, nothing
//! untrue is reported, and everything goes on afterwards.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures::future::BoxFuture;
use serde_json::json;
use sluice::demo::api::{On, Times, Trouble};
use sluice::domain::audit::Ending;
use sluice::domain::ids::Namespace;
use sluice::domain::observed::Sample;
use sluice::domain::release::{Command, Phase};
use sluice::metrics::{MetricsError, Source};
use sluice::services::Settings;

use super::releases::wish;
use super::releases_trouble::analysis;
use crate::support::house::{House, anna, at, weights};

/// Longer than this nobody waits.
const BOUND: Duration = Duration::from_secs(20);

#[tokio::test]
async fn a_frozen_api_server_is_given_up_in_time_and_works_when_it_thaws() {
    let house = House::new().await;
    let reviews = at("bookinfo", "reviews");
    house.api.freeze();
    let change = house.change(weights(&[("v1", 90), ("v2", 10)]), &reviews, &[]);
    let refused = tokio::time::timeout(BOUND, change).await.expect("an answer in time").unwrap_err();
    assert!(matches!(refused.ending, Ending::Failed | Ending::Refused), "{refused:?}");
    house.api.thaw();
    assert_eq!(house.written("bookinfo", "reviews", 0)[0].1, 100, "nothing arrives late");
    assert!(house.store.open_intents().await.unwrap().is_empty());
    let done = house
        .until("it works again", async |house| {
            house.change(weights(&[("v1", 90), ("v2", 10)]), &reviews, &[]).await.ok()
        })
        .await;
    assert_eq!(done.revision, 1);
}

#[tokio::test]
async fn a_release_outlives_an_api_server_that_is_away() {
    let house = House::alive(None, Settings::default()).await;
    let spec = wish(|w| {
        w["candidate"] = json!({"from": "adopt", "version": "v2"});
        w["steps"] = json!([{"kind": "weight", "percent": 30}, {"kind": "hold", "seconds": 1},
            {"kind": "weight", "percent": 100}]);
    });
    let id = house.start(spec).await.id;
    house.until("it holds", async |house| (house.phase(id).await.state.step == 1).then_some(())).await;
    house.api.trouble(On::any(), Trouble::Drop, Times::Always);
    // The hold ends meanwhile; what it leads to cannot be written.
    tokio::time::sleep(Duration::from_secs(3)).await;
    let state = house.phase(id).await.state;
    assert!(state.phase.owns_service() && state.step <= 2, "{state:?}");
    house.api.heal();
    let ended = house
        .until("it goes on, or waits for somebody", async |house| {
            let release = house.phase(id).await;
            if release.state.phase == Phase::Paused {
                let _ = house.say(id, Command::Resume).await;
            }
            (release.state.phase.is_final() && release.state.pending.is_empty()).then_some(release)
        })
        .await;
    assert_eq!(ended.state.phase, Phase::Succeeded, "{:?}", ended.state);
    assert_eq!(house.written("bookinfo", "reviews", 0).iter().map(|(_, weight)| weight).sum::<i64>(), 100);
}

/// A Prometheus that takes every question and answers none.
struct Hanging(AtomicBool);

impl Source for Hanging {
    fn namespace<'a>(&'a self, _: &'a Namespace, _: u32) -> BoxFuture<'a, Result<Vec<Sample>, MetricsError>> {
        Box::pin(async move {
            if self.0.load(Ordering::SeqCst) {
                std::future::pending::<()>().await;
            }
            Ok(Vec::new())
        })
    }
}

#[tokio::test]
async fn metrics_that_never_answer_hold_a_release_and_nothing_else() {
    let source = Arc::new(Hanging(AtomicBool::new(true)));
    let house = House::alive(Some(source), Settings::default()).await;
    let spec = wish(|w| {
        w["candidate"] = json!({"from": "adopt", "version": "v2"});
        w["analysis"] = analysis();
        w["steps"] = json!([{"kind": "weight", "percent": 30}, {"kind": "analysis", "passes": 1},
            {"kind": "weight", "percent": 100}]);
    });
    let id = house.start(spec).await.id;
    house.until("it measures", async |house| (house.phase(id).await.state.step == 1).then_some(())).await;
    let ratings = at("bookinfo", "ratings");
    let change = house.change(weights(&[("v1", 70), ("v2", 30)]), &ratings, &["no_metrics", "metrics_down"]);
    tokio::time::timeout(BOUND, change).await.expect("an answer in time").unwrap();
    let page = tokio::time::timeout(BOUND, house.services.overview(&anna(), &ratings, 60)).await;
    assert_eq!(page.expect("a page in time").unwrap().observed, None);
    assert_eq!(house.phase(id).await.share(), 30, "no share rises on nothing");
    let abort = tokio::time::timeout(BOUND, house.say(id, Command::Abort)).await;
    abort.expect("an abort waits for no figures").unwrap();
    let ended = house.until_final(id, Phase::RolledBack).await;
    assert_eq!(ended.state.phase, Phase::RolledBack);
}
