//! A disk that takes nothing, a file that is gone or another one, a lock that another process holds: nothing is
//! reported as written that a restart would not find, and the writer goes on by itself when the cause has ended.

use std::path::Path;

use sluice::domain::audit::{Ending, Filter};
use sluice::store::{Cause, Options, Revise, Store, StoreError, Trouble, verify};
use sqlx::{Connection, SqliteConnection};

use super::{Home, START, change, intent, outcome};
use crate::support::tmpfs::Tmpfs;

/// Asks for a write, and says why it was refused.
async fn refused(store: &Store) -> Cause {
    match store.single(&intent(1), &outcome(1, Ending::Refused), Revise::Keep).await {
        Err(StoreError::CannotWrite { cause, .. }) => cause,
        other => panic!("{other:?}"),
    }
}

/// Writes intents until one is refused; returns how many were acknowledged.
async fn fill(store: &Store) -> usize {
    for written in 0..20_000 {
        match store.intent(&intent(u32::try_from(written).unwrap())).await {
            Ok(_) => {}
            Err(StoreError::CannotWrite { cause: Cause::DiskFull, .. }) => return written,
            Err(other) => panic!("{other}"),
        }
    }
    panic!("the limit does not work");
}

async fn is_whole(path: &Path, rows: usize) {
    let report = verify::verify(path, None).await.unwrap();
    assert!(report.is_good(), "{report}");
    assert_eq!(report.rows, i64::try_from(rows).unwrap());
}

#[tokio::test]
async fn after_a_full_disk_the_writer_goes_on_by_itself() {
    let home = Home::with(Options { max_pages: Some(260), ..Options::default() }).await;
    let mut owner = home.stranger().await;
    sqlx::query("CREATE TABLE ballast (x BLOB)").execute(&mut owner).await.unwrap();
    sqlx::query("INSERT INTO ballast VALUES (zeroblob(500000))").execute(&mut owner).await.unwrap();
    let written = fill(&home.store).await;
    assert_eq!(refused(&home.store).await, Cause::DiskFull);
    let full = Trouble { since_ms: START, cause: Cause::DiskFull };
    home.clock.advance_ms(1_000);
    assert_eq!(home.store.look_after().await, Some(full), "looking does not mend it");
    assert_eq!(refused(&home.store).await, Cause::DiskFull);
    assert_eq!(home.store.open_intents().await.unwrap().len(), written, "reading goes on");

    // Many at once: each gets its error, and none is written in part.
    let asks: Vec<_> = (0..40_u32)
        .map(|number| {
            let store = home.store.clone();
            tokio::spawn(async move { store.intent(&intent(50_000 + number)).await.is_ok() })
        })
        .collect();
    for ask in asks {
        assert!(!ask.await.unwrap());
    }
    sqlx::query("DELETE FROM ballast").execute(&mut owner).await.unwrap();
    assert_eq!(home.store.look_after().await, None, "it goes on though nobody asked for a write");
    change(&home.store, 60_000).await;
    is_whole(&home.path(), written + 2).await;
}

/// The same on a disk of its own that is really full: another file takes the space.
#[tokio::test]
async fn a_real_disk_that_is_full_loses_nothing_and_heals() {
    let Some(disk) = Tmpfs::mount("6m", "store::trouble::a_real_disk_that_is_full_loses_nothing_and_heals")
    else {
        return;
    };
    let clock = sluice::clock::Clock::manual(START);
    let path = disk.path().join("sluice.db");
    let store = Store::open(&path, clock.clone()).await.unwrap();
    let mut rows = 0;
    for round in 0..3 {
        change(&store, round).await;
        rows += 2;
        disk.fill();
        rows += fill(&store).await;
        assert_eq!(refused(&store).await, Cause::DiskFull);
        let trouble = store.look_after().await.unwrap();
        assert_eq!(trouble.cause, Cause::DiskFull, "round {round}");
        let newest = store.entries(&Filter::default(), None, 10).await.unwrap();
        assert!(!newest.items.is_empty(), "reading goes on");
        disk.free();
        assert_eq!(store.look_after().await, None, "round {round}");
    }
    is_whole(&path, rows).await;
    change(&store, 9).await;
    store.close().await;
    drop(store);
    let store = Store::open(&path, clock).await.unwrap();
    assert_eq!(store.head().await.unwrap().unwrap().seq, i64::try_from(rows + 2).unwrap());
    is_whole(&path, rows + 2).await;
}

/// `rm` and `mv`: of the database, and of the files that belong to it.
#[tokio::test]
async fn a_file_that_vanishes_stops_writing_until_it_is_back() {
    for name in ["sluice.db", "sluice.db-wal", "sluice.db-shm"] {
        let home = Home::new().await;
        change(&home.store, 1).await;
        assert_eq!(home.store.look_after().await, None);
        let away = home.beside("away");
        std::fs::rename(home.beside(name), &away).unwrap();
        let gone = home.store.look_after().await.unwrap();
        assert_eq!(gone.cause, Cause::Gone, "{name}: seen though nobody wrote");
        assert_eq!(refused(&home.store).await, Cause::Gone, "{name}");
        assert!(!home.beside(name).exists() || name != "sluice.db", "it is not made again");
        std::fs::rename(&away, home.beside(name)).unwrap();
        assert_eq!(home.store.look_after().await, None, "{name}: back");
        change(&home.store, 2).await;
        is_whole(&home.path(), 4).await;
    }
}

#[tokio::test]
async fn a_write_on_a_removed_file_is_refused_before_anybody_looked() {
    let home = Home::new().await;
    let acknowledged = change(&home.store, 1).await;
    std::fs::remove_file(home.path()).unwrap();
    assert_eq!(refused(&home.store).await, Cause::Gone);
    assert_eq!(home.store.trouble().map(|trouble| trouble.cause), Some(Cause::Gone));
    assert!(home.store.entry(acknowledged).await.unwrap().is_some(), "what is open can still be read");
}

/// An older copy under the same name: the next start would find it, so nothing is written meanwhile.
#[tokio::test]
async fn an_older_copy_in_its_place_stops_writing_and_is_left_as_it_is() {
    let home = Home::new().await;
    change(&home.store, 1).await;
    let copy = home.beside("copy.db");
    home.store.backup(&copy).await.unwrap();
    let before = std::fs::read(&copy).unwrap();
    change(&home.store, 2).await;
    std::fs::rename(home.path(), home.beside("newer.db")).unwrap();
    std::fs::rename(&copy, home.path()).unwrap();
    assert_eq!(refused(&home.store).await, Cause::Replaced);
    home.store.close().await;
    let (path, clock, newer) = (home.path(), home.clock.clone(), home.beside("newer.db"));
    let Home { folder, store, .. } = home;
    drop(store);
    assert_eq!(std::fs::read(&path).unwrap(), before, "the copy is as it was put there");
    assert!(newer.exists());
    drop((folder, clock));
}

/// Overwritten in place by an older history: the identity stays, the rows do not.
#[tokio::test]
async fn a_history_that_lacks_the_last_row_is_not_written_to() {
    let home = Home::new().await;
    change(&home.store, 1).await;
    change(&home.store, 2).await;
    let mut owner = home.stranger().await;
    for sql in [
        "DROP TRIGGER audit_no_delete",
        "DELETE FROM audit WHERE seq > 2",
        "CREATE TRIGGER audit_no_delete BEFORE DELETE ON audit BEGIN SELECT RAISE (ABORT, 'x'); END",
    ] {
        sqlx::raw_sql(sql).execute(&mut owner).await.unwrap();
    }
    assert_eq!(refused(&home.store).await, Cause::Replaced);
    assert_eq!(home.store.look_after().await.unwrap().cause, Cause::Replaced, "and it stays so");
}

/// `cp older.db sluice.db`: the same file, with pages that our own connections do not look at.
#[tokio::test]
async fn a_file_that_was_written_over_in_place_stops_writing() {
    let home = Home::new().await;
    change(&home.store, 1).await;
    let copy = home.beside("copy.db");
    home.store.backup(&copy).await.unwrap();
    for number in 2..40 {
        change(&home.store, number).await;
    }
    let mut other = home.stranger().await;
    sqlx::raw_sql("PRAGMA wal_checkpoint(TRUNCATE)").execute(&mut other).await.unwrap();
    assert_eq!(home.store.look_after().await, None);
    // By another process: opening and closing the file here would give up SQLite's locks.
    assert!(std::process::Command::new("cp").args([&copy, &home.path()]).status().unwrap().success());
    assert_eq!(refused(&home.store).await, Cause::Replaced);
    assert_eq!(refused(&home.store).await, Cause::Replaced);
    assert_eq!(home.store.look_after().await.unwrap().cause, Cause::Replaced);
}

#[tokio::test]
async fn a_lock_that_another_holds_is_a_refusal_in_time_and_nothing_is_half_written() {
    let home = Home::new().await;
    let open = home.store.intent(&intent(1)).await.unwrap();
    let mut other = home.stranger().await;
    sqlx::raw_sql("BEGIN EXCLUSIVE").execute(&mut other).await.unwrap();
    let asked = std::time::Duration::from_secs(20);
    let many = (0..5).map(|_| refused(&home.store));
    let causes = tokio::time::timeout(asked, futures::future::join_all(many)).await.expect("within 20 s");
    assert!(causes.iter().all(|cause| *cause == Cause::Locked), "{causes:?}");
    assert_eq!(home.store.look_after().await.unwrap().cause, Cause::Locked);
    assert_eq!(home.store.open_intents().await.unwrap().len(), 1, "reading goes on");
    sqlx::raw_sql("ROLLBACK").execute(&mut other).await.unwrap();
    assert_eq!(home.store.look_after().await, None);
    home.store.outcome(open, &intent(1), &outcome(1, Ending::Applied), super::next()).await.unwrap();
    is_whole(&home.path(), 2).await;
}

/// `sluice sessions`, a backup, `sluice audit verify`, a shell: ordinary second readers and writers.
#[tokio::test]
async fn others_who_read_and_write_the_file_are_not_taken_for_a_replacement() {
    let home = Home::new().await;
    change(&home.store, 1).await;
    for turn in 2..5 {
        let mut other: SqliteConnection = home.stranger().await;
        let failure = "INSERT INTO sign_in_failure (address, at_ms) VALUES ('192.0.2.9', 1)";
        sqlx::query(failure).execute(&mut other).await.unwrap();
        sqlx::raw_sql("PRAGMA wal_checkpoint(TRUNCATE)").execute(&mut other).await.unwrap();
        other.close().await.unwrap();
        home.store.backup(&home.beside(&format!("copy-{turn}.db"))).await.unwrap();
        is_whole(&home.path(), 2 * (turn as usize - 1)).await;
        assert_eq!(home.store.look_after().await, None);
        change(&home.store, turn).await;
    }
    let mut other = home.stranger().await;
    sqlx::raw_sql("VACUUM").execute(&mut other).await.unwrap();
    change(&home.store, 9).await;
    assert_eq!(home.store.trouble(), None);
}
