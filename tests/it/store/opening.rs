//! Opening: one owner, a sound SQLite, a schema that is known; and copies.

use sluice::domain::audit::{Ending, Filter};
use sluice::store::{Revise, Store, StoreError, check_sqlite, verify};

use super::{Home, change, connect, intent, outcome};

#[test]
fn a_sqlite_that_can_lose_rows_is_refused() {
    for good in ["3.51.3", "3.51.10", "3.52.0", "4.0.0"] {
        assert!(check_sqlite(good).is_ok(), "{good}");
    }
    for bad in ["3.51.2", "3.50.4", "3.7.0", "2.99.99", "", "3", "3.51", "3.51.x", "three"] {
        let refused = check_sqlite(bad);
        assert!(matches!(refused, Err(StoreError::OldSqlite { .. })), "{bad}: {refused:?}");
    }
}

#[tokio::test]
async fn a_second_owner_is_refused_until_the_first_has_gone() {
    let home = Home::new().await;
    change(&home.store, 1).await;
    let second = Store::open(&home.path(), home.clock.clone()).await;
    assert!(matches!(second, Err(StoreError::InUse(_))), "{second:?}");
    home.store.close().await;
    let (path, clock) = (home.path(), home.clock.clone());
    let Home { folder, store, .. } = home;
    drop(store);
    let again = Store::open(&path, clock).await.unwrap();
    assert_eq!(again.entries(&Filter::default(), None, 9).await.unwrap().items.len(), 1);
    drop(folder);
}

#[cfg(unix)]
#[tokio::test]
async fn the_file_is_for_its_owner_only() {
    use std::os::unix::fs::PermissionsExt;
    let home = Home::new().await;
    change(&home.store, 1).await;
    for name in ["sluice.db", "sluice.db-wal", "sluice.db-shm"] {
        let mode = std::fs::metadata(home.beside(name)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{name}");
    }
}

#[tokio::test]
async fn opening_again_changes_nothing_and_a_newer_schema_is_refused() {
    let home = Home::new().await;
    change(&home.store, 1).await;
    let head = home.store.head().await.unwrap();
    home.store.close().await;
    let (path, clock) = (home.path(), home.clock.clone());
    let Home { folder, store, .. } = home;
    drop(store);
    let again = Store::open(&path, clock.clone()).await.unwrap();
    assert_eq!(again.head().await.unwrap(), head);
    again.close().await;
    drop(again);
    let mut db = connect(&path).await;
    sqlx::query(
        "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time)
         VALUES (999, 'of the future', TRUE, x'00', 0)",
    )
    .execute(&mut db)
    .await
    .unwrap();
    let refused = Store::open(&path, clock).await;
    assert!(matches!(refused, Err(StoreError::NewerSchema { found: 999, .. })), "{refused:?}");
    drop(folder);
}

#[tokio::test]
async fn a_file_that_is_no_database_is_refused_and_kept() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("sluice.db");
    let text = "this is a letter to my aunt ".repeat(400);
    std::fs::write(&path, &text).unwrap();
    let clock = sluice::clock::Clock::System;
    assert!(Store::open(&path, clock.clone()).await.is_err());
    assert_eq!(std::fs::read_to_string(&path).unwrap(), text);
    let missing = folder.path().join("no/such/folder/sluice.db");
    assert!(matches!(Store::open(&missing, clock).await, Err(StoreError::File { .. })));
}

#[tokio::test]
async fn a_copy_is_whole_and_verified_while_others_write() {
    let home = Home::new().await;
    for number in 0..20 {
        change(&home.store, number).await;
    }
    let open = home.store.intent(&intent(99)).await.unwrap();
    let copy = home.beside("copy.db");
    let (report, _) = tokio::join!(home.store.backup(&copy), change(&home.store, 100));
    let report = report.unwrap();
    assert!(report.is_good(), "{report}");
    assert!(report.rows >= open && report.open >= 1);
    assert!(!home.beside("copy.db-wal").exists() && !home.beside("copy.db.part").exists());
    let again = home.store.backup(&copy).await;
    assert!(matches!(again, Err(StoreError::File { .. })), "{again:?}");
    // A restored copy goes on where it ended.
    let restored = Store::open(&copy, home.clock.clone()).await.unwrap();
    restored.single(&intent(7), &outcome(7, Ending::Refused), Revise::Keep).await.unwrap();
    let report = verify::verify(&copy, None).await.unwrap();
    assert!(report.is_good(), "{report}");
}
