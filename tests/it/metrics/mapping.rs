//! From workloads to versions.

use std::collections::BTreeMap;

use sluice::clock::Clock;
use sluice::domain::ids::ServiceRef;
use sluice::domain::labels::LabelSet;
use sluice::domain::observed::{Observed, Sample};
use sluice::domain::service::{PodGroup, ServiceFacts};
use sluice::domain::snapshot::{OtherService, Snapshot};
use sluice::metrics::Metrics;

use super::support::{Steered, reviews, sample, service};

async fn observed(snapshot: &Snapshot, samples: Vec<Sample>) -> Option<Observed> {
    let metrics = Metrics::new(Some(Steered::new(Ok(samples))), Clock::manual(7_000));
    metrics.observed(snapshot, 60).await.unwrap()
}

fn counts(observed: &Observed) -> Vec<(&str, f64)> {
    observed.versions.iter().map(|v| (v.version.as_str(), v.requests)).collect()
}

#[tokio::test]
async fn a_known_workload_decides_whatever_the_label_says() {
    let two = service("reviews", &[("2.0", &["reviews-b", "reviews-c"]), ("1.0", &["reviews-a"])]);
    let samples = vec![
        sample("reviews-a", "latest", 10.0, 0.0),
        sample("reviews-b", "1.0", 20.0, 1.0),
        sample("reviews-c", "unknown", 30.0, 2.0),
    ];
    let seen = observed(&two, samples).await.unwrap();
    assert_eq!(counts(&seen), [("2.0", 50.0), ("1.0", 10.0)], "in the order of the versions");
    assert!((seen.of("2.0").unwrap().errors - 3.0).abs() < f64::EPSILON);
    assert_eq!(seen.at_ms, 7_000);
}

#[tokio::test]
async fn a_workload_that_is_gone_counts_under_its_label_and_nobody_counts_as_unknown() {
    let samples = vec![
        sample("reviews-v1", "v1", 40.0, 0.0),
        sample("reviews-v9", "v9", 10.0, 0.0),
        sample("unknown", "unknown", 50.0, 50.0),
        sample("old-job", "latest", 5.0, 0.0),
    ];
    let seen = observed(&reviews(), samples).await.unwrap();
    assert_eq!(counts(&seen), [("v1", 40.0), ("old-job", 5.0), ("unknown", 50.0), ("v9", 10.0)]);
    assert!(
        seen.share("v1").unwrap() < 40.0,
        "requests that nobody answered make the others' shares smaller"
    );
}

#[tokio::test]
async fn a_service_without_requests_has_no_data_rather_than_zeros() {
    assert_eq!(observed(&reviews(), vec![]).await, None);
    assert_eq!(observed(&reviews(), vec![sample("reviews-v1", "v1", 0.0, 0.0)]).await, None);
    let other = service("ratings", &[("v1", &["ratings-v1"])]);
    assert_eq!(observed(&other, vec![sample("reviews-v1", "v1", 9.0, 0.0)]).await, None);
}

#[tokio::test]
async fn the_slowest_workload_of_a_version_is_shown_and_an_unknown_one_hides_it() {
    let one = service("reviews", &[("v1", &["a", "b"])]);
    let with = |p95_ms, workload| Sample { p95_ms, ..sample(workload, "v1", 10.0, 0.0) };
    let seen = observed(&one, vec![with(Some(5.0), "a"), with(Some(9.0), "b")]).await.unwrap();
    assert_eq!(seen.versions[0].p95_ms, Some(9.0));
    let seen = observed(&one, vec![with(Some(5.0), "a"), with(None, "b")]).await.unwrap();
    assert_eq!(seen.versions[0].p95_ms, None);
}

/// `reviews` with a pod a version, and beside it a Service of v1 and one of all pods.
fn with_siblings() -> Snapshot {
    let labels = |version: Option<&str>| -> BTreeMap<_, _> {
        let pairs = [("app", Some("reviews")), ("version", version)];
        pairs.into_iter().filter_map(|(key, value)| Some((key.into(), value?.into()))).collect()
    };
    let mut snapshot = reviews();
    snapshot.service.selector = labels(None);
    for version in &mut snapshot.versions {
        let set: LabelSet = labels(Some(version.name.as_str())).into_iter().collect();
        version.pods = vec![PodGroup { labels: set, ready: 1, total: 1 }];
    }
    for (name, version) in [("reviews-v1", Some("v1")), ("reviews-all", None)] {
        let at = ServiceRef::new("bookinfo", name);
        let facts = ServiceFacts { at: at.clone(), selector: labels(version), ..snapshot.service.clone() };
        snapshot.others.push(OtherService { at, facts: Some(facts) });
    }
    snapshot
}

#[tokio::test]
async fn what_goes_to_a_version_by_its_own_service_is_counted_for_both() {
    let by = |service: &str, workload: &str, requests| Sample {
        service: service.into(),
        ..sample(workload, "v1", requests, 1.0)
    };
    let samples = vec![
        by("reviews-v1", "reviews-v1", 70.0),
        by("reviews", "reviews-v2", 30.0),
        // It stands for no version: its requests are its own.
        by("reviews-all", "reviews-v1", 500.0),
        by("ratings", "reviews-v1", 500.0),
    ];
    let seen = observed(&with_siblings(), samples.clone()).await.unwrap();
    assert_eq!(counts(&seen), [("v1", 70.0), ("v2", 30.0)]);
    // Without a route that names it, it is another service.
    let mut alone = with_siblings();
    alone.others.clear();
    assert_eq!(counts(&observed(&alone, samples).await.unwrap()), [("v2", 30.0)]);
}
