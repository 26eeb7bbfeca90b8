//! One question for everybody, and no page that waits.

use std::sync::Arc;
use std::time::Duration;

use sluice::clock::Clock;
use sluice::domain::ids::Namespace;
use sluice::metrics::{Health, Metrics, MetricsError, PATIENCE};
use tokio::time::Instant;

use super::support::{Steered, reviews, sample};

fn metrics(source: &Arc<Steered>) -> (Metrics, Clock) {
    let clock = Clock::manual(1_000_000);
    (Metrics::new(Some(source.clone()), clock.clone()), clock)
}

fn good() -> Arc<Steered> {
    Steered::new(Ok(vec![sample("reviews-v1", "v1", 30.0, 0.0), sample("reviews-v2", "v2", 70.0, 0.0)]))
}

#[tokio::test(start_paused = true)]
async fn five_hundred_viewers_cost_one_question() {
    let source = good();
    *source.wait.lock().await = Duration::from_millis(300);
    let (metrics, _clock) = metrics(&source);
    let all = (0..500).map(|_| {
        let metrics = metrics.clone();
        tokio::spawn(async move { metrics.observed(&reviews(), 60).await.unwrap().unwrap().share("v2") })
    });
    for share in futures::future::join_all(all).await {
        assert_eq!(share.unwrap(), Some(70.0));
    }
    assert_eq!(source.asked(), 1);
}

#[tokio::test(start_paused = true)]
async fn an_answer_is_kept_five_seconds_and_a_failure_two() {
    let source = good();
    let (metrics, clock) = metrics(&source);
    for (advance_ms, questions) in [(0, 1), (4_999, 1), (1, 2), (4_000, 2)] {
        clock.advance_ms(advance_ms);
        metrics.observed(&reviews(), 60).await.unwrap();
        assert_eq!(source.asked(), questions);
    }
    *source.answer.lock().await = Err(MetricsError::Status(503));
    for (advance_ms, questions) in [(5_000, 3), (1_999, 3), (1, 4)] {
        clock.advance_ms(advance_ms);
        let notice = metrics.observed(&reviews(), 60).await.unwrap_err();
        assert_eq!(notice.error, MetricsError::Status(503));
        assert_eq!(notice.since_ms, Some(1_000_000 + 14_000), "the first failure in a row");
        assert_eq!(source.asked(), questions);
        assert_eq!(metrics.health(), Health::Down(notice));
    }
    *source.answer.lock().await = Ok(vec![]);
    clock.advance_ms(2_000);
    assert_eq!(metrics.observed(&reviews(), 60).await, Ok(None));
    assert_eq!(metrics.health(), Health::Up);
}

#[tokio::test(start_paused = true)]
async fn windows_and_namespaces_are_asked_for_apart_and_odd_windows_are_rounded_up() {
    let source = good();
    let (metrics, _clock) = metrics(&source);
    for (window, is) in [(0, 60), (60, 60), (61, 300), (300, 300), (3600, 3600), (1_000_000, 3600)] {
        assert_eq!(metrics.observed(&reviews(), window).await.unwrap().unwrap().window_s, is);
    }
    assert_eq!(source.asked(), 3);
    let others = [Namespace::from("a"), Namespace::from("b"), Namespace::from("a")];
    metrics.prefetch(&others, 60).await;
    assert_eq!(source.asked(), 5);
}

#[tokio::test(start_paused = true)]
async fn one_outage_is_not_asked_about_once_a_namespace() {
    let source = Steered::new(Err(MetricsError::Unreachable));
    let (metrics, clock) = metrics(&source);
    let many: Vec<Namespace> = (0..100).map(|n| Namespace::from(format!("n{n}").as_str())).collect();
    metrics.observed(&reviews(), 60).await.unwrap_err();
    metrics.prefetch(&many, 60).await;
    assert_eq!(source.asked(), 1);
    clock.advance_ms(2_000);
    metrics.prefetch(&many, 60).await;
    assert!(source.asked() <= 1 + 4, "at most those that were let through together");
}

#[tokio::test(start_paused = true)]
async fn one_namespace_that_is_too_large_does_not_silence_the_others() {
    let source = Steered::new(Err(MetricsError::TooLarge));
    let (metrics, _clock) = metrics(&source);
    metrics.observed(&reviews(), 60).await.unwrap_err();
    assert_eq!(metrics.health(), Health::Up);
    metrics.prefetch(&[Namespace::from("other")], 60).await;
    assert_eq!(source.asked(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_slow_source_costs_a_page_two_seconds_once_and_answers_behind_it() {
    let source = good();
    *source.wait.lock().await = Duration::from_secs(5);
    let (metrics, clock) = metrics(&source);

    let began = Instant::now();
    let notice = metrics.observed(&reviews(), 60).await.unwrap_err();
    assert_eq!(notice.error, MetricsError::Timeout);
    assert_eq!(began.elapsed(), PATIENCE);
    let began = Instant::now();
    metrics.observed(&reviews(), 60).await.unwrap_err();
    assert_eq!(began.elapsed(), Duration::ZERO, "the same question is under way: nobody waits for it again");
    metrics.observed(&reviews(), 300).await.unwrap_err();
    assert!(began.elapsed() < Duration::from_millis(200), "the source is known to be slow");

    tokio::time::sleep(Duration::from_secs(6)).await;
    assert!(metrics.observed(&reviews(), 60).await.unwrap().is_some(), "it was read behind the page");
    assert_eq!(source.asked(), 2);

    clock.advance_ms(6_000);
    let stand_in = metrics.observed(&reviews(), 60).await.unwrap().unwrap();
    assert_eq!(stand_in.at_ms, 1_000_000, "the latest answer stands in, with its own time");
    clock.advance_ms(9_001);
    metrics.observed(&reviews(), 60).await.unwrap_err();

    tokio::time::sleep(Duration::from_secs(6)).await;
    *source.wait.lock().await = Duration::ZERO;
    clock.advance_ms(20_000);
    assert!(metrics.observed(&reviews(), 60).await.unwrap().is_some());
    assert_eq!(metrics.health(), Health::Up);
}

#[tokio::test(start_paused = true)]
async fn a_source_that_never_answers_is_an_outage_after_ten_seconds() {
    let source = good();
    *source.wait.lock().await = Duration::from_secs(1_000_000);
    let (metrics, _clock) = metrics(&source);
    metrics.observed(&reviews(), 60).await.unwrap_err();
    assert_eq!(metrics.health(), Health::Up);
    tokio::time::sleep(Duration::from_secs(9)).await;
    assert!(matches!(metrics.health(), Health::Down(notice) if notice.error == MetricsError::Timeout));
}

#[tokio::test]
async fn without_a_source_there_is_a_notice_and_no_age() {
    let metrics = Metrics::new(None, Clock::manual(0));
    let notice = metrics.observed(&reviews(), 60).await.unwrap_err();
    assert_eq!((notice.error, notice.since_ms), (MetricsError::NotConfigured, None));
    assert_eq!(metrics.health(), Health::Absent);
    assert!(metrics.hits(&Namespace::from("bookinfo"), 300).is_empty());
}

#[tokio::test(start_paused = true)]
async fn what_came_before_a_moment_is_never_counted_as_after_it() {
    let source = good();
    let (metrics, clock) = metrics(&source);
    let from = 1_000_000;
    let window = async || metrics.since(&reviews(), from).await.unwrap().map(|seen| seen.window_s);
    assert_eq!(window().await, None, "no window fits between then and now");
    clock.advance_ms(9_999);
    assert_eq!((window().await, source.asked()), (None, 0));
    clock.advance_ms(1);
    assert_eq!(window().await, Some(10));
    // Kept from two seconds ago, a window of 20 s would begin before it: the shorter one stands in.
    clock.advance_ms(8_000);
    metrics.since(&reviews(), from - 2_000).await.unwrap();
    clock.advance_ms(2_000);
    assert_eq!(window().await, Some(10));
    for (age_s, expected) in [(31, 30), (45, 45), (61, 60), (119, 60), (120, 120), (301, 300), (9_000, 300)] {
        clock.advance_ms(from + age_s * 1000 - clock.now_ms());
        assert_eq!(window().await, Some(expected), "{age_s} s later");
    }
}
