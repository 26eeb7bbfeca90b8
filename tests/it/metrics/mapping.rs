//! From workloads to versions.

use sluice::clock::Clock;
use sluice::domain::observed::{Observed, Sample};
use sluice::domain::snapshot::Snapshot;
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
