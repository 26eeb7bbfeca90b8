//! The order of the list of releases and its pages.

use sluice::domain::release::Phase;
use sluice::store::ReleaseFilter;

use super::other_version::made;
use super::{Home, tamper};

/// Those that wait for a person, those in progress, those that were not started, those that ended.
fn group(phase: Phase) -> u8 {
    match phase {
        Phase::Paused | Phase::PendingApproval | Phase::NeedsAttention => 0,
        _ if phase.owns_service() || phase == Phase::Scheduled => 1,
        _ if phase.is_before() => 2,
        _ => 3,
    }
}

#[tokio::test]
async fn releases_that_wait_or_run_come_before_those_that_ended_and_pages_of_any_size_give_the_same_list() {
    let home = Home::new().await;
    let mut expected = Vec::new();
    // Every phase twice, so that neither the number nor the phase alone gives the order.
    for phase in Phase::ALL.into_iter().chain(Phase::ALL) {
        let id = made(&home.store).await.release.id;
        let sql = format!(
            "UPDATE release SET phase = '{0}', state = json_set(state, '$.phase', '{0}') WHERE id = {1}",
            phase.as_str(),
            id.0
        );
        tamper(&home.path(), &sql).await;
        expected.push((group(phase), std::cmp::Reverse(id.0), id));
    }
    expected.sort_unstable_by_key(|(group, id, _)| (*group, *id));
    let expected: Vec<_> = expected.into_iter().map(|(_, _, id)| id).collect();
    for size in [1, 3, 5, 27, 28, 29, 500] {
        let mut filter = ReleaseFilter::default();
        let mut seen = Vec::new();
        loop {
            let (page, next) = home.store.releases(&filter, size).await.unwrap();
            assert!(page.len() <= size && !page.is_empty());
            seen.extend(page.into_iter().map(|held| held.release.id));
            filter.after = next;
            if next.is_none() {
                break;
            }
        }
        assert_eq!(seen, expected, "pages of {size}");
    }
}
