//! Sessions, failed sign-ins and keyed requests; and that no secret is in the files.

use sluice::domain::actor::Identity;
use sluice::domain::audit::Ending;
use sluice::store::{Begin, Revise, Store};

use super::{Home, intent, outcome};

const MINUTE: i64 = 60_000;

fn ann() -> Identity {
    Identity { user: "ann".into(), uid: "u-1".into(), groups: vec!["g".into()], unrestricted: false }
}

#[tokio::test]
async fn a_session_lasts_while_it_is_used_and_no_longer_than_twelve_hours() {
    let home = Home::new().await;
    let store = &home.store;
    let new = store.begin_session(&ann()).await.unwrap();
    assert_eq!(new.secret.len(), 64);
    let found = store.session(&new.secret).await.unwrap().unwrap();
    assert_eq!((&*found.identity, &found.csrf), (&ann(), &new.session.csrf));
    assert!(found.csrf.len() == 64 && !new.secret.contains(&found.id));
    home.clock.advance_ms(29 * MINUTE);
    assert!(store.session(&new.secret).await.unwrap().is_some(), "used after 29 minutes");
    home.clock.advance_ms(29 * MINUTE);
    assert!(store.session(&new.secret).await.unwrap().is_some(), "which prolongs it");
    home.clock.advance_ms(30 * MINUTE);
    assert_eq!(store.session(&new.secret).await.unwrap(), None, "idle for 30 minutes");

    let new = store.begin_session(&ann()).await.unwrap();
    for _ in 0..47 {
        home.clock.advance_ms(15 * MINUTE);
        assert!(store.session(&new.secret).await.unwrap().is_some());
    }
    home.clock.advance_ms(15 * MINUTE);
    assert_eq!(store.session(&new.secret).await.unwrap(), None, "12 hours");
}

#[tokio::test]
async fn sessions_end_at_once_and_are_listed() {
    let home = Home::new().await;
    let store = &home.store;
    let first = store.begin_session(&ann()).await.unwrap();
    let second = store.begin_session(&ann()).await.unwrap();
    let third = store.begin_session(&ann()).await.unwrap();
    let other = store.begin_session(&Identity::local("bob")).await.unwrap();
    assert_ne!(first.secret, second.secret);
    assert_ne!(first.session.csrf, second.session.csrf);
    assert_eq!(store.sessions("ann").await.unwrap().len(), 3);
    store.end_session(&first.secret).await.unwrap();
    assert_eq!(store.session(&first.secret).await.unwrap(), None);
    assert_eq!(store.revoke_sessions("bob", Some(&second.session.id)).await.unwrap(), 0, "not bob's");
    assert_eq!(store.revoke_sessions("ann", Some(&second.session.id)).await.unwrap(), 1);
    assert_eq!(store.session(&second.secret).await.unwrap(), None);
    assert!(store.session(&third.secret).await.unwrap().is_some());
    assert_eq!(store.revoke_sessions("ann", None).await.unwrap(), 1);
    assert_eq!(store.sessions("ann").await.unwrap(), []);
    assert!(store.session(&other.secret).await.unwrap().is_some());
    for bad in ["", "x", &"0".repeat(64), &"g".repeat(64), "' OR 1=1 --", &other.session.id] {
        assert_eq!(store.session(bad).await.unwrap(), None, "{bad}");
        store.end_session(bad).await.unwrap();
    }
}

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

#[tokio::test]
async fn no_secret_of_a_session_is_in_any_file() {
    let home = Home::new().await;
    let mut new = Vec::new();
    for _ in 0..3 {
        new.push(home.store.begin_session(&ann()).await.unwrap());
    }
    home.clock.advance_ms(2 * MINUTE);
    for new in &new {
        home.store.session(&new.secret).await.unwrap();
    }
    home.store.end_session(&new[0].secret).await.unwrap();
    home.store.single(&intent(1), &outcome(1, Ending::Refused), Revise::Keep).await.unwrap();
    let copy = home.beside("copy.db");
    home.store.backup(&copy).await.unwrap();
    let bytes = home.bytes();
    let contains = |needle: &[u8]| bytes.windows(needle.len()).any(|window| window == needle);
    assert!(contains(b"v2 looks good"), "the search itself works");
    assert!(!format!("{new:?}").contains(&new[1].secret), "nor in what is printed");
    for new in &new {
        let raw = hex::decode(&new.secret).unwrap();
        let csrf = hex::decode(&new.session.csrf).unwrap();
        for canary in [new.secret.as_bytes(), new.session.csrf.as_bytes(), &raw, &csrf] {
            assert!(!contains(canary));
        }
    }
}
