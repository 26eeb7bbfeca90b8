//! A person retires a version: what goes, what stands in the way, and what is left when something fails on the way.

use std::sync::Arc;

use futures::future::BoxFuture;
use serde_json::json;
use sluice::domain::audit::{Action, Ending, Written};
use sluice::domain::command::{MirrorWish, TrafficChange};
use sluice::domain::ids::{Namespace, ServiceRef, VersionName};
use sluice::domain::observed::Sample;
use sluice::domain::overview::Refused;
use sluice::domain::refusal::{Code, Severity};
use sluice::domain::routing::{Condition, Op, Rule, Subject};
use sluice::metrics::{MetricsError, Source};
use sluice::services::Settings;
use sluice::services::ask::Wish;

use super::releases_trouble::said;
use crate::support::house::{House, anna, at, weights};

fn retire(version: &str) -> Wish {
    Wish::Retire(VersionName::from(version))
}

fn there(house: &House, name: &str) -> bool {
    house.api.get("Deployment", "bookinfo", name).is_some()
}

/// Subsets of the DestinationRule and the text of the route.
fn routing(house: &House) -> String {
    let rule = house.api.get("DestinationRule", "bookinfo", "reviews").unwrap();
    let route = house.api.get("VirtualService", "bookinfo", "reviews").unwrap();
    format!("{}{}", rule["spec"], route["spec"])
}

async fn refused(house: &House, version: &str, service: &ServiceRef, ack: &[&str]) -> Refused {
    let before =
        house.api.log().iter().filter(|line| matches!(line.method.as_str(), "PUT" | "DELETE")).count();
    let refused = house.change(retire(version), service, ack).await.unwrap_err();
    let after =
        house.api.log().iter().filter(|line| matches!(line.method.as_str(), "PUT" | "DELETE")).count();
    assert_eq!(before, after, "{:?}: nothing is written", refused.refusal.code);
    refused
}

#[tokio::test]
async fn a_version_without_traffic_leaves_the_routing_and_its_workload_is_deleted() {
    let house = House::alive(None, Settings::default()).await;
    let reviews = at("bookinfo", "reviews");
    let preview = house.services.preview(&anna(), &reviews, &retire("v3"), &[]).await.unwrap();
    let names: Vec<&str> = preview.deletes.iter().map(|one| one.name.as_str()).collect();
    assert_eq!((names, preview.refusal), (vec!["reviews-v3"], None));
    assert_eq!(preview.diffs.len(), 2, "the route and its subset");
    assert_eq!(preview.call.1, "/api/v1/services/bookinfo/reviews/traffic/retire");
    assert!(
        there(&house, "reviews-v3") && house.history(&reviews).await.is_empty(),
        "a preview writes nothing"
    );

    let done = house.change_on(retire("v3"), &reviews, &[], Some(0)).await.unwrap();
    assert_eq!((done.revision, done.back), (1, None), "nothing leads back");
    assert_eq!(done.deleted.len(), 1);
    assert!(!there(&house, "reviews-v3") && there(&house, "reviews-v1") && there(&house, "reviews-v2"));
    assert!(!routing(&house).contains("\"v3\""), "{}", routing(&house));
    let history = house.history(&reviews).await;
    let rows: Vec<_> = history.iter().map(|row| (row.intent.action, row.intent.reason.as_str())).collect();
    assert_eq!(rows, [(Action::Workload, "REV-231"), (Action::SetTraffic, "REV-231")]);
    let row = house.store.entry(history[0].id).await.unwrap().unwrap();
    assert_eq!(row.intent.details.workloads[0].act, "delete");
    let outcome = row.outcome.unwrap();
    assert_eq!((outcome.ending, outcome.details.workloads[0].written), (Ending::Applied, Written::Yes));
    assert_eq!(row.intent.actor, "anna");
}

#[tokio::test]
async fn a_version_that_requests_can_reach_stays_and_the_reason_is_known_beforehand() {
    let house = House::new().await;
    let reviews = at("bookinfo", "reviews");
    let rule = Rule {
        id: None,
        name: Some("testers".into()),
        when: vec![vec![Condition {
            on: Subject::Header("x-user".into()),
            op: Op::Exact,
            value: "tester".into(),
        }]],
        opaque: Vec::new(),
        to: vec![("v2".into(), 100)],
        action: None,
    };
    let change = TrafficChange {
        rules: Some(vec![rule]),
        mirror: Some(Some(MirrorWish { version: "v3".into(), percent: 5.0 })),
        ..TrafficChange::default()
    };
    house.change(Wish::Set(change), &reviews, &["mirror_writes"]).await.unwrap();
    let details = at("bookinfo", "details");
    let detail = house.services.detail(&anna(), &reviews, 60).await.unwrap();
    let before = |version: &str| {
        let found = detail.retire.iter().find(|one| one.version.as_str() == version).unwrap();
        found.state.clone().unwrap_err().code
    };
    for (version, code) in
        [("v1", Code::StillServing), ("v2", Code::StillMatched), ("v3", Code::StillMirrored)]
    {
        assert_eq!(refused(&house, version, &reviews, &[]).await.refusal.code, code, "{version}");
        assert_eq!(before(version), code, "{version}: on the page");
    }
    assert_eq!(refused(&house, "v1", &details, &[]).await.refusal.code, Code::StillByPods);
    let page = at("bookinfo", "productpage");
    assert_eq!(refused(&house, "v1", &page, &[]).await.refusal.code, Code::LastVersion);
    let unknown = refused(&house, "v9", &reviews, &[]).await;
    assert_eq!(unknown.refusal.code, Code::UnknownVersion);
    assert_eq!(unknown.entry, None, "a version that is not there is no attempt");
    let history = house.history(&reviews).await;
    let refusals = history.iter().filter(|row| row.outcome.as_ref().unwrap().ending == Ending::Refused);
    assert_eq!(refusals.count(), 3, "each attempt is a row");
}

#[tokio::test]
async fn a_service_without_declared_weights_loses_a_version_without_ready_pods() {
    let house = House::alive(None, Settings::default()).await;
    let details = at("bookinfo", "details");
    let done = house.change(retire("v2"), &details, &[]).await.unwrap();
    assert_eq!((done.revision, done.deleted.len()), (0, 1), "there was no routing to change");
    assert!(!there(&house, "details-v2") && there(&house, "details-v1"));
    assert_eq!(house.history(&details).await.len(), 1);
}

#[tokio::test]
async fn a_workload_that_another_tool_manages_is_not_deleted() {
    let house = House::new().await;
    let reviews = at("bookinfo", "reviews");
    house.edit_outside("Deployment", "bookinfo", "reviews-v3", |object| {
        object["metadata"]["annotations"] =
            json!({"argocd.argoproj.io/tracking-id": "shop:apps/Deployment:bookinfo/reviews-v3"});
    });
    house.edit_outside("Deployment", "bookinfo", "reviews-v2", |object| {
        object["metadata"]["ownerReferences"] = json!([{"apiVersion": "example.org/v1", "kind": "App",
            "name": "reviews", "uid": "u-1", "controller": true}]);
    });
    for version in ["v2", "v3"] {
        let no = refused(&house, version, &reviews, &["gitops", "other_writer"]).await.refusal;
        assert_eq!(no.code, Code::WorkloadManaged, "{version}");
        assert!(no.checks.iter().any(|check| check.severity == Severity::Block), "{version}");
    }
}

#[tokio::test]
async fn a_version_that_answered_within_the_last_minute_goes_only_when_that_is_accepted() {
    let house = House::alive(Some(said(0)), Settings::default()).await;
    let reviews = at("bookinfo", "reviews");
    house.change(weights(&[("v1", 0), ("v2", 100)]), &reviews, &["big_jump", "few_pods"]).await.unwrap();
    let detail = house.services.detail(&anna(), &reviews, 60).await.unwrap();
    let v1 = detail.retire.iter().find(|one| one.version.as_str() == "v1").unwrap();
    assert!(v1.state.is_ok() && v1.open.iter().any(|check| check.code == Code::StillAnswers), "{v1:?}");
    assert_eq!(refused(&house, "v1", &reviews, &[]).await.refusal.code, Code::StillAnswers);
    house.change(retire("v1"), &reviews, &["still_answers"]).await.unwrap();
    assert!(!there(&house, "reviews-v1"));
    let v3 = detail.retire.iter().find(|one| one.version.as_str() == "v3").unwrap();
    assert_eq!(v3.state, Ok(None), "no window says more than the shortest: since when is not known");
}

/// Counts for `age_s` seconds now: ten requests a second to v1, and one a second to v3 until `last_s` seconds ago.
struct Young {
    age_s: u32,
    last_s: u32,
}

impl Source for Young {
    fn namespace<'a>(
        &'a self,
        _: &'a Namespace,
        window_s: u32,
    ) -> BoxFuture<'a, Result<Vec<Sample>, MetricsError>> {
        let seen_s = window_s.min(self.age_s);
        let of = |version: &str, requests: u32| Sample {
            service: "reviews".into(),
            workload: format!("reviews-{version}").into(),
            version: version.into(),
            requests: f64::from(requests),
            errors: 0.0,
            p95_ms: None,
        };
        let samples = vec![of("v1", 10 * seen_s), of("v3", seen_s.saturating_sub(self.last_s))];
        Box::pin(async move { Ok(samples) })
    }
}

#[tokio::test]
async fn how_long_a_version_has_had_no_requests_is_never_longer_than_they_were_counted() {
    for (age_s, last_s, quiet) in [
        (90, 90, Some(60)),
        (86_400, 86_400, Some(3_600)),
        (86_400, 720, Some(600)),
        (86_400, 61, Some(60)),
        (1_000, 86_400, Some(900)),
        (30, 86_400, None),
    ] {
        let house = House::alive(Some(Arc::new(Young { age_s, last_s })), Settings::default()).await;
        let detail = house.services.detail(&anna(), &at("bookinfo", "reviews"), 60).await.unwrap();
        let v3 = detail.retire.iter().find(|one| one.version.as_str() == "v3").unwrap();
        assert_eq!(v3.state, Ok(quiet), "counted for {age_s} s, last request {last_s} s ago");
    }
}

#[tokio::test]
async fn a_release_that_moves_the_service_keeps_its_versions() {
    let house = House::alive(None, Settings::default()).await;
    let id = house.start(super::releases::wish(|_| ())).await.id;
    house.until_paused(id, sluice::domain::release::PauseReason::Gate).await;
    let no = house.change(retire("v3"), &at("bookinfo", "reviews"), &[]).await.unwrap_err();
    assert_eq!(no.refusal.code, Code::ReleaseOwnsService);
    assert!(there(&house, "reviews-v3"));
}
