//! The list: order, filters, pages, nearest name, states.

use sluice::domain::ids::ServiceRef;
use sluice::domain::overview::{ListAsk, Show, Sort, State};
use sluice::domain::refusal::Code;

use crate::support::house::{House, anna};

#[tokio::test]
async fn worst_comes_first_and_every_service_once() {
    let house = House::new().await;
    let mut seen = Vec::new();
    let mut cursor = None;
    loop {
        let ask = ListAsk { limit: 4, cursor, ..ListAsk::default() };
        let page = house.services.list(&anna(), &ask).await.unwrap();
        seen.extend(page.items.iter().map(|item| (item.state, item.at().clone())));
        cursor = page.next.clone();
        if cursor.is_none() {
            break;
        }
    }
    let mut sorted = seen.clone();
    sorted.sort();
    sorted.dedup();
    assert_eq!(seen, sorted);
    assert_eq!(seen.len(), house.cache.services().len());
}

#[tokio::test]
async fn filters_combine() {
    let house = House::new().await;
    let list = async |ask: ListAsk| {
        let page = house.services.list(&anna(), &ask).await.unwrap();
        page.items.iter().map(|item| item.at().to_string()).collect::<Vec<_>>()
    };
    let by_text = ListAsk { text: "REVIEWS".into(), ..ListAsk::default() };
    assert_eq!(list(by_text).await, ["bookinfo/reviews"]);
    let by_namespace = ListAsk { namespace: Some("weather".into()), sort: Sort::Name, ..ListAsk::default() };
    let weather = list(by_namespace).await;
    assert_eq!(weather.len(), 4);
    assert!(weather.is_sorted());
    let not_routable = ListAsk { show: Show::NotRoutable, ..ListAsk::default() };
    let page = house.services.list(&anna(), &not_routable).await.unwrap();
    assert!(!page.items.is_empty());
    assert!(page.items.iter().all(|item| item.state == State::NotRoutable));
    assert_eq!(page.total, page.counts.not_routable);
}

#[tokio::test]
async fn a_misspelt_name_gets_the_nearest_one() {
    let house = House::new().await;
    let ask = ListAsk { text: "reveiws".into(), ..ListAsk::default() };
    let page = house.services.list(&anna(), &ask).await.unwrap();
    assert_eq!(
        (page.total, page.nearest.as_ref().map(ToString::to_string)),
        (0, Some("bookinfo/reviews".into()))
    );
}

#[tokio::test]
async fn a_bad_cursor_is_refused() {
    let house = House::new().await;
    for cursor in ["", "zz", "00", &"ff".repeat(4000)] {
        let ask = ListAsk { cursor: Some(cursor.into()), ..ListAsk::default() };
        assert_eq!(house.services.list(&anna(), &ask).await.unwrap_err().code.as_str(), "bad_cursor");
    }
}

#[tokio::test]
async fn only_what_no_change_can_mend_bars_a_service() {
    let house = House::new().await;
    let barred = async |at: &str| {
        let at = ServiceRef::parse_path(at).unwrap();
        house.services.overview(&anna(), &at, 60).await.unwrap().barrier().map(|finding| finding.code)
    };
    // A weight on a subset that is missing is a reason to move it away, not a bar to it.
    assert_eq!(barred("shop/gift-cards").await, None);
    assert_eq!(barred("bookinfo/reviews").await, None);
    assert_eq!(barred("shop/sessions").await, Some(Code::Headless));
    assert_eq!(barred("shop/checkout").await, Some(Code::OwnedByController));
}
