//! Keyed requests.

use sluice::store::{Begin, Store};

use super::Home;

const MINUTE: i64 = 60_000;

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_keyed_request_is_done_once() {
    let home = Home::new().await;
    let store = &home.store;
    let begun: Vec<_> = (0..8)
        .map(|_| {
            let store = store.clone();
            tokio::spawn(async move { store.begin_once("ann", "key", "put").await.unwrap() })
        })
        .collect();
    let mut fresh = 0;
    for begun in begun {
        match begun.await.unwrap() {
            Begin::Fresh => fresh += 1,
            other => assert_eq!(other, Begin::InProgress),
        }
    }
    assert_eq!(fresh, 1);
    assert_eq!(store.begin_once("ann", "key", "other").await.unwrap(), Begin::Mismatch);
    assert_eq!(
        store.begin_once("bob", "key", "other").await.unwrap(),
        Begin::Fresh,
        "each has keys of their own"
    );
    store.finish_once("ann", "key", Some((200, "{\"ok\":true}"))).await.unwrap();
    let replay = Begin::Replay { status: 200, body: "{\"ok\":true}".into() };
    assert_eq!(store.begin_once("ann", "key", "put").await.unwrap(), replay);
    store.finish_once("ann", "key", None).await.unwrap();
    store.finish_once("ann", "key", Some((500, "late"))).await.unwrap();
    assert_eq!(store.begin_once("ann", "key", "put").await.unwrap(), replay, "the first answer stays");
    assert_eq!(store.begin_once("ann", "key", "other").await.unwrap(), Begin::Mismatch);
    home.clock.advance_ms(24 * 60 * MINUTE - 1);
    assert_eq!(store.begin_once("ann", "key", "put").await.unwrap(), replay);
    home.clock.advance_ms(1);
    assert_eq!(store.begin_once("ann", "key", "other").await.unwrap(), Begin::Fresh);
    store.finish_once("ann", "key", None).await.unwrap();
    assert_eq!(store.begin_once("ann", "key", "again").await.unwrap(), Begin::Fresh, "without answer: again");
    home.clock.advance_ms(2 * MINUTE);
    assert_eq!(
        store.begin_once("ann", "key", "again").await.unwrap(),
        Begin::Fresh,
        "lost after two minutes"
    );
}

#[tokio::test]
async fn a_keyed_request_that_a_crash_cut_off_may_be_sent_again() {
    let home = Home::new().await;
    home.store.begin_once("ann", "cut", "put").await.unwrap();
    home.store.begin_once("ann", "done", "put").await.unwrap();
    home.store.finish_once("ann", "done", Some((202, "x"))).await.unwrap();
    let (path, clock) = (home.path(), home.clock.clone());
    let Home { folder, store, .. } = home;
    store.close().await;
    drop(store);
    let store = Store::open(&path, clock).await.unwrap();
    assert_eq!(store.begin_once("ann", "cut", "put").await.unwrap(), Begin::Fresh);
    let replay = Begin::Replay { status: 202, body: "x".into() };
    assert_eq!(store.begin_once("ann", "done", "put").await.unwrap(), replay);
    drop(folder);
}
