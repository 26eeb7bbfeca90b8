//! Sessions in the file: how long they last, how they end, that no secret is in any file, and that an older copy of
//! the database brings none back.

use std::sync::Arc;

use sluice::domain::actor::{BearerToken, Channel, Identity};
use sluice::domain::audit::Ending;
use sluice::domain::session::Session;
use sluice::store::{NewSession, Revise, Sessions, SignIn, Store};

use super::{Home, intent, outcome};

const MINUTE: i64 = 60_000;
const TOKEN: &str = "header.a-token-that-nobody-may-read.signature";

fn identity(user: &str) -> Arc<Identity> {
    Arc::new(Identity { user: user.into(), uid: "u-1".into(), groups: vec!["g".into()], unrestricted: false })
}

fn of(user: &str) -> SignIn {
    SignIn {
        identity: identity(user),
        token: BearerToken::new(TOKEN),
        address: Some("192.0.2.7".into()),
        agent: "Firefox, Linux".into(),
        token_ends_ms: None,
    }
}

async fn begin(store: &Store, user: &str) -> NewSession {
    store.begin_session(of(user)).await.unwrap()
}

async fn find(store: &Store, new: &NewSession) -> Option<Session> {
    store.session(&new.secret).await.unwrap().map(|open| open.session)
}

/// As `services` does with each request.
async fn used(home: &Home, new: &NewSession) -> bool {
    let Some(session) = find(&home.store, new).await else { return false };
    let seen_ms = home.clock.now_ms();
    home.store.use_session(&Session { seen_ms, ..session }).await.unwrap();
    true
}

#[tokio::test]
async fn a_session_lasts_while_it_is_used_and_no_longer_than_twelve_hours() {
    let home = Home::new().await;
    let new = begin(&home.store, "ann").await;
    assert_eq!(new.secret.len(), 64);
    let found = home.store.session(&new.secret).await.unwrap().unwrap();
    assert_eq!((&found.session.identity, &found.session.csrf), (&identity("ann"), &new.session.csrf));
    assert_eq!(found.token.reveal(), TOKEN);
    assert_eq!(found.session.agent, "Firefox, Linux");
    assert!(found.session.csrf.len() == 64 && !new.secret.contains(&found.session.id));
    home.clock.advance_ms(29 * MINUTE);
    assert!(used(&home, &new).await, "used after 29 minutes");
    home.clock.advance_ms(29 * MINUTE);
    assert!(used(&home, &new).await, "which prolongs it");
    home.clock.advance_ms(30 * MINUTE);
    assert!(!used(&home, &new).await, "idle for 30 minutes");

    let new = begin(&home.store, "ann").await;
    for _ in 0..47 {
        home.clock.advance_ms(15 * MINUTE);
        assert!(used(&home, &new).await);
    }
    home.clock.advance_ms(15 * MINUTE);
    assert!(!used(&home, &new).await, "12 hours");
}

#[tokio::test]
async fn a_session_ends_with_its_token() {
    let home = Home::new().await;
    let ends = home.clock.now_ms() + 10 * MINUTE;
    let new = home.store.begin_session(SignIn { token_ends_ms: Some(ends), ..of("ann") }).await.unwrap();
    assert_eq!(new.session.ends_ms, ends);
    home.clock.advance_ms(10 * MINUTE - 1);
    assert!(find(&home.store, &new).await.is_some());
    home.clock.advance_ms(1);
    assert_eq!(find(&home.store, &new).await, None);
}

#[tokio::test]
async fn what_was_found_out_about_a_session_is_kept() {
    let home = Home::new().await;
    let new = begin(&home.store, "ann").await;
    home.clock.advance_ms(MINUTE);
    let now = home.clock.now_ms();
    let groups = vec!["other".to_owned()];
    let changed = Session {
        identity: Arc::new(Identity { groups, ..Identity::clone(&identity("ann")) }),
        seen_ms: now,
        checked_ms: now,
        channel: Channel::Api,
        ..find(&home.store, &new).await.unwrap()
    };
    home.store.use_session(&changed).await.unwrap();
    assert_eq!(find(&home.store, &new).await, Some(changed.clone()));
    home.store.use_session(&Session { seen_ms: 0, checked_ms: 0, ..changed.clone() }).await.unwrap();
    assert_eq!(find(&home.store, &new).await, Some(changed), "a late request sets nothing back");
}

#[tokio::test]
async fn sessions_are_listed_and_end_at_once() {
    let home = Home::new().await;
    let store = &home.store;
    let mut own = Vec::new();
    for _ in 0..3 {
        own.push(begin(store, "ann").await);
        home.clock.advance_ms(1_000);
    }
    let other = begin(store, "bob").await;
    assert_ne!(own[0].secret, own[1].secret);
    assert_ne!(own[0].session.csrf, own[1].session.csrf);
    let ids = async |which: Sessions, after: Option<(i64, &str)>, most: u32| -> Vec<String> {
        let found = store.sessions(&which, after, most).await.unwrap();
        found.into_iter().map(|session| session.id).collect()
    };
    let [first, second, third] = [0, 1, 2].map(|at: usize| own[at].session.id.clone());
    let anns = || Sessions::Of("ann".into());
    assert_eq!(ids(anns(), None, 100).await, [third.clone(), second.clone(), first.clone()]);
    assert_eq!(ids(anns(), None, 2).await, [third.clone(), second.clone()]);
    assert_eq!(
        ids(anns(), Some((own[1].session.created_ms, &second)), 2).await,
        std::slice::from_ref(&first),
        "the page after"
    );
    assert_eq!(ids(Sessions::All, None, 100).await[0], other.session.id);

    let one = |id: &str, user: Option<&str>| Sessions::One { id: id.into(), user: user.map(str::to_owned) };
    assert_eq!(store.end_sessions(one(&second, Some("bob"))).await.unwrap(), [], "not bob's");
    let ended = store.end_sessions(one(&second, Some("ann"))).await.unwrap();
    assert_eq!(ended.iter().map(|one| one.id.clone()).collect::<Vec<_>>(), [second]);
    assert_eq!(find(store, &own[1]).await, None);
    assert!(find(store, &own[2]).await.is_some());
    assert_eq!(store.end_sessions(one(&first, None)).await.unwrap().len(), 1, "anybody's");
    assert_eq!(store.end_sessions(anns()).await.unwrap().len(), 1);
    assert_eq!(ids(anns(), None, 100).await, Vec::<String>::new());
    assert!(find(store, &other).await.is_some());
    for bad in ["", "x", &"0".repeat(64), &"g".repeat(64), "' OR 1=1 --", &other.session.id] {
        assert!(store.session(bad).await.unwrap().is_none(), "{bad}");
        assert_eq!(store.end_sessions(one(bad, Some("ann"))).await.unwrap(), [], "{bad}");
    }
    assert!(find(store, &other).await.is_some());
}

#[tokio::test]
async fn a_person_has_fifty_sessions_and_the_one_unused_for_longest_goes_first() {
    let home = Home::new().await;
    let first = begin(&home.store, "ann").await;
    let other = begin(&home.store, "bob").await;
    for _ in 0..50 {
        home.clock.advance_ms(1);
        begin(&home.store, "ann").await;
    }
    assert_eq!(home.store.sessions(&Sessions::Of("ann".into()), None, 100).await.unwrap().len(), 50);
    assert_eq!(find(&home.store, &first).await, None);
    assert!(find(&home.store, &other).await.is_some(), "nobody else's");
}

#[tokio::test]
async fn no_secret_of_a_session_is_in_any_file() {
    let home = Home::new().await;
    let mut new = Vec::new();
    for _ in 0..3 {
        new.push(begin(&home.store, "ann").await);
    }
    home.clock.advance_ms(2 * MINUTE);
    for new in &new {
        assert!(used(&home, new).await);
    }
    let id = new[0].session.id.clone();
    home.store.end_sessions(Sessions::One { id, user: None }).await.unwrap();
    home.store.single(&intent(1), &outcome(1, Ending::Refused), Revise::Keep).await.unwrap();
    let copy = home.beside("copy.db");
    home.store.backup(&copy).await.unwrap();
    let bytes = home.bytes();
    let contains = |needle: &[u8]| bytes.windows(needle.len()).any(|window| window == needle);
    assert!(contains(b"v2 looks good") && contains(b"Firefox, Linux"), "the search itself works");
    assert!(!contains(b"a-token-that-nobody-may-read"));
    let open = home.store.session(&new[1].secret).await.unwrap();
    assert!(!format!("{new:?} {open:?} {:?}", of("ann")).contains("nobody-may-read"));
    assert!(!format!("{new:?}").contains(&new[1].secret), "nor in what is printed");
    for new in &new {
        let raw = hex::decode(&new.secret).unwrap();
        let csrf = hex::decode(&new.session.csrf).unwrap();
        for canary in [new.secret.as_bytes(), new.session.csrf.as_bytes(), &raw, &csrf] {
            assert!(!contains(canary));
        }
    }
}

/// Closes the store, lets `between` do something to the files, and opens it again.
async fn reopened(home: Home, between: impl FnOnce(&std::path::Path)) -> Home {
    let (path, clock) = (home.path(), home.clock.clone());
    let Home { folder, store, .. } = home;
    store.close().await;
    drop(store);
    between(&path);
    let store = Store::open(&path, clock.clone()).await.unwrap();
    Home { folder, clock, store }
}

fn restore(path: &std::path::Path, copy: &str) {
    for companion in ["-wal", "-shm"] {
        let _ = std::fs::remove_file(path.with_file_name(format!("sluice.db{companion}")));
    }
    std::fs::copy(path.with_file_name(copy), path).unwrap();
}

#[tokio::test]
async fn a_session_that_was_ended_stays_ended_in_an_older_copy_of_the_database() {
    let home = Home::new().await;
    let (out, stays) = (begin(&home.store, "ann").await, begin(&home.store, "bob").await);
    let home = reopened(home, |_| ()).await;
    assert!(find(&home.store, &out).await.is_some(), "a restart ends nobody's session");

    home.store.backup(&home.beside("copy.db")).await.unwrap();
    let id = out.session.id.clone();
    home.store.end_sessions(Sessions::One { id, user: None }).await.unwrap();
    let home = reopened(home, |_| ()).await;
    assert_eq!(find(&home.store, &out).await, None);
    assert!(find(&home.store, &stays).await.is_some());

    let home = reopened(home, |path| restore(path, "copy.db")).await;
    assert_eq!(find(&home.store, &out).await, None, "signed out before the copy came back");
    assert_eq!(find(&home.store, &stays).await, None, "nobody can tell any more who signed out");
    let new = begin(&home.store, "ann").await;
    let home = reopened(home, |_| ()).await;
    assert!(find(&home.store, &new).await.is_some(), "from then on as ever");

    let home = reopened(home, |path| restore(path, "copy.db")).await;
    assert_eq!(find(&home.store, &stays).await, None, "the same copy once more");
}

#[tokio::test]
async fn a_copy_of_the_database_elsewhere_holds_no_session() {
    let home = Home::new().await;
    let new = begin(&home.store, "ann").await;
    let home = reopened(home, |path| {
        std::fs::remove_file(path.with_file_name("sluice.db.sessions")).unwrap();
    })
    .await;
    assert_eq!(find(&home.store, &new).await, None, "the file that counts ended sessions did not come along");
    let new = begin(&home.store, "ann").await;
    let home = reopened(home, |path| {
        std::fs::write(path.with_file_name("sluice.db.sessions"), "garbage").unwrap();
    })
    .await;
    assert_eq!(find(&home.store, &new).await, None);
}
