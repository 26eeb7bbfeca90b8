//! Writing: durable before it returns, once, in order, whoever goes away.

use std::future::Future;
use std::process::Command;
use std::task::{Context, Poll};

use sluice::demo::random::Random;
use sluice::domain::audit::{Ending, Filter};
use sluice::store::{Cause, Options, Revise, Store, StoreError, Trouble, verify};
use sqlx::Connection;

use super::{Home, change, intent, next, outcome};
use crate::support::{number, wait_for};

#[tokio::test]
async fn an_intent_is_seen_by_others_before_the_call_returns() {
    let home = Home::new().await;
    let id = home.store.intent(&intent(1)).await.unwrap();
    let mut other = home.stranger().await;
    let body: String = sqlx::query_scalar("SELECT body FROM audit WHERE seq = ?1")
        .bind(id)
        .fetch_one(&mut other)
        .await
        .unwrap();
    assert!(body.contains("v2 looks good"));
    let safe: (i64, String) = {
        let sync = sqlx::query_scalar("PRAGMA synchronous").fetch_one(&mut other).await.unwrap();
        (sync, sqlx::query_scalar("PRAGMA journal_mode").fetch_one(&mut other).await.unwrap())
    };
    assert_eq!(safe.1, "wal");
}

#[tokio::test]
async fn an_outcome_belongs_to_its_intent_and_is_written_once() {
    let home = Home::new().await;
    let intent = intent(1);
    let id = home.store.intent(&intent).await.unwrap();
    assert_eq!(home.store.open_intents().await.unwrap(), [(id, intent.clone())]);
    let entry = home.store.outcome(id, &intent, &outcome(1, Ending::Applied), next()).await.unwrap();
    assert_eq!(entry.outcome.as_ref().unwrap().revision, Some(1));
    assert_eq!(home.store.open_intents().await.unwrap(), []);
    assert_eq!(home.store.entry(entry.id).await.unwrap().as_ref(), Some(&entry), "with all objects");
    assert_eq!(home.store.entry(id).await.unwrap(), Some(entry), "also by the intent's number");
    let again = home.store.outcome(id, &intent, &outcome(1, Ending::Applied), next()).await;
    assert!(matches!(again, Err(StoreError::NotOpen { .. })), "{again:?}");
    let mut other = intent.clone();
    other.change = "another".into();
    let id = home.store.intent(&intent).await.unwrap();
    let foreign = home.store.outcome(id, &other, &outcome(1, Ending::Applied), next()).await;
    assert!(matches!(foreign, Err(StoreError::NotOpen { .. })), "{foreign:?}");
    assert_eq!(home.store.open_intents().await.unwrap().len(), 1, "still open");
}

#[tokio::test]
async fn a_caller_who_goes_away_cuts_nothing_in_the_middle() {
    let home = Home::new().await;
    let intent = intent(1);
    let id = home.store.intent(&intent).await.unwrap();
    let ended = outcome(1, Ending::Applied);
    {
        let mut write = Box::pin(home.store.outcome(id, &intent, &ended, next()));
        let mut context = Context::from_waker(std::task::Waker::noop());
        assert!(matches!(write.as_mut().poll(&mut context), Poll::Pending));
    }
    // Writes are done one after the other, so this one is behind the one whose caller has left.
    let behind = change(&home.store, 2).await;
    assert_eq!(behind, 4);
    assert!(home.store.open_intents().await.unwrap().is_empty());
    assert_eq!(home.store.entry(id).await.unwrap().unwrap().id, 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn eight_writers_make_one_chain_and_no_gap_in_the_revisions() {
    let home = Home::new().await;
    let tasks: Vec<_> = (0..8_u32)
        .map(|task| {
            let store = home.store.clone();
            tokio::spawn(async move {
                for turn in 0..20 {
                    change(&store, task * 100 + turn).await;
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    let report = verify::verify(&home.path(), None).await.unwrap();
    assert!(report.is_good(), "{report}");
    assert_eq!((report.rows, report.open), (320, 0));
    let page = home.store.entries(&Filter::default(), None, 500).await.unwrap();
    let mut revisions: Vec<u64> =
        page.items.iter().map(|entry| entry.outcome.as_ref().unwrap().revision.unwrap()).collect();
    revisions.reverse();
    assert_eq!(revisions, (1..=160).collect::<Vec<u64>>());
}

#[tokio::test]
async fn a_full_disk_stops_writing_but_not_reading_and_nothing_is_half_written() {
    let home = Home::with(Options { max_pages: Some(120), ..Options::default() }).await;
    let mut written = 0;
    let refused = loop {
        match home.store.intent(&intent(written)).await {
            Ok(_) => written += 1,
            Err(error) => break error,
        }
        assert!(written < 10_000, "the limit works");
    };
    assert!(matches!(refused, StoreError::CannotWrite { cause: Cause::DiskFull, .. }), "{refused:?}");
    assert_eq!(refused.refusal().code.as_str(), "history_disk_full");
    assert_eq!(home.store.trouble(), Some(Trouble { since_ms: super::START, cause: Cause::DiskFull }));
    let page = home.store.entries(&Filter::default(), None, 10).await.unwrap();
    assert_eq!(page.items.len(), 10);
    assert_eq!(home.store.open_intents().await.unwrap().len(), written as usize);
    home.store.close().await;
    let (path, clock) = (home.path(), home.clock.clone());
    let Home { folder, store, .. } = home;
    drop(store);
    let store = Store::open(&path, clock).await.unwrap();
    store.single(&intent(1), &outcome(1, Ending::Refused), Revise::Keep).await.unwrap();
    assert_eq!(store.trouble(), None);
    let report = verify::verify(&path, None).await.unwrap();
    assert!(report.is_good(), "{report}");
    assert_eq!(report.rows, i64::from(written) + 1);
    drop(folder);
}

#[tokio::test]
async fn the_history_refuses_to_be_changed_by_sql() {
    let home = Home::new().await;
    for number in 0..3 {
        change(&home.store, number).await;
    }
    let before = home.store.head().await.unwrap();
    let mut owner = home.stranger().await;
    let row = "seq, kind, at_ms, intent, service, revision, about, search, ids, prev, hash, body, objects";
    let attempts = [
        "UPDATE audit SET body = '{}' WHERE seq = 1".to_owned(),
        "UPDATE audit SET seq = 9 WHERE seq = 6".into(),
        "UPDATE OR REPLACE audit SET seq = 1 WHERE seq = 2".into(),
        "DELETE FROM audit WHERE seq = 6".into(),
        "DELETE FROM audit".into(),
        format!("INSERT OR REPLACE INTO audit ({row}) SELECT {row} FROM audit WHERE seq = 6"),
        format!("REPLACE INTO audit ({row}) SELECT {row} FROM audit WHERE seq = 1"),
        // A row that continues the chain, but would push out another by one of the other unique indexes.
        format!(
            "INSERT OR REPLACE INTO audit ({row})
             SELECT 7, kind, at_ms, intent, service, revision, about, search, ids,
                 (SELECT hash FROM audit WHERE seq = 6), randomblob(32), body, objects FROM audit WHERE seq = 2"
        ),
        format!(
            "INSERT OR REPLACE INTO audit ({row})
             SELECT 7, 'single', at_ms, NULL, service, 1, about, search, ids,
                 (SELECT hash FROM audit WHERE seq = 6), randomblob(32), body, objects FROM audit WHERE seq = 2"
        ),
        // Past a gap, and a fork.
        format!(
            "INSERT INTO audit ({row})
             SELECT 8, 'single', at_ms, NULL, NULL, NULL, about, search, ids,
                 (SELECT hash FROM audit WHERE seq = 6), randomblob(32), body, objects FROM audit WHERE seq = 2"
        ),
        format!(
            "INSERT INTO audit ({row})
             SELECT 7, 'single', at_ms, NULL, NULL, NULL, about, search, ids,
                 prev, randomblob(32), body, objects FROM audit WHERE seq = 2"
        ),
        format!(
            "INSERT INTO audit ({row}) SELECT 7, 'single', 0, NULL, NULL, NULL, NULL, '', '',
                 (SELECT hash FROM audit WHERE seq = 2), randomblob(32), '', '' "
        ),
        "DELETE FROM listing".into(),
        "UPDATE listing SET seq = 1".into(),
    ];
    for sql in attempts {
        let refused = sqlx::query(sqlx::AssertSqlSafe(sql.clone())).execute(&mut owner).await;
        let refused = refused.expect_err(&sql).to_string();
        assert!(refused.contains("append-only"), "{sql}: {refused}");
    }
    assert_eq!(home.store.head().await.unwrap(), before);
    let report = verify::verify(&home.path(), None).await.unwrap();
    assert!(report.is_good(), "{report}");
}

/// Another process has touched the file, so the next write first reads all of it on a connection of its own: what is
/// still being written when the store is given back ends before, and nothing keeps the log beside the file.
#[tokio::test]
async fn what_is_being_written_when_the_file_is_given_back_ends_before() {
    for _ in 0..20 {
        let home = Home::new().await;
        home.store.intent(&intent(0)).await.unwrap();
        // By another process: closing any handle of the file here would give up SQLite's own locks on it.
        let touched = Command::new("touch").args(["-d", "@0"]).arg(home.path()).status().unwrap();
        assert!(touched.success());
        let mut context = Context::from_waker(std::task::Waker::noop());
        let before = intent(1);
        let mut put_before = Box::pin(home.store.intent(&before));
        assert!(matches!(put_before.as_mut().poll(&mut context), Poll::Pending));
        let (done, _) = tokio::join!(put_before, home.store.close());
        done.expect("put before the end");
        home.store.intent(&intent(2)).await.expect_err("nothing is written after the end");
        assert!(!home.beside("sluice.db-wal").exists(), "rows are left beside the file");
        let report = verify::verify(&home.path(), None).await.unwrap();
        assert!(report.is_good() && report.rows == 2, "{report}");
    }
}

/// Tasks that read and write are cut off at any moment, as the end of the program does it, and the file is given back.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn whatever_was_cut_off_the_file_is_given_back_alone() {
    let rounds = number("SLUICE_TEST_CLOSES", 30);
    let mut random = Random::new(7);
    for round in 0..rounds {
        let home = Home::new().await;
        let mut tasks = Vec::new();
        for n in 0..12 {
            let store = home.store.clone();
            tasks.push(tokio::spawn(async move {
                for more in 0_u32.. {
                    let intent = intent(n * 1_000 + more);
                    let ended = match n % 4 {
                        0 => store.intent(&intent).await.is_err(),
                        1 => store.entries(&Filter::default(), None, 10).await.is_err(),
                        2 => store.open_intents().await.is_err(),
                        _ => store.verify_own().await.is_err(),
                    };
                    // A store that is closed answers at once, so nothing would cut this task off any more.
                    if ended {
                        return;
                    }
                }
            }));
        }
        tokio::time::sleep(std::time::Duration::from_micros(random.below(20_000))).await;
        for task in &tasks {
            task.abort();
        }
        home.store.close().await;
        let left = std::fs::metadata(home.beside("sluice.db-wal")).map(|left| left.len());
        assert!(left.is_err(), "round {round}: rows are left beside the file: {left:?} bytes");
        let report = verify::verify(&home.path(), None).await.unwrap();
        assert!(report.is_good(), "{report}");
    }
}

#[tokio::test]
async fn a_reader_of_another_process_only_delays_that_the_file_is_alone() {
    let home = Home::new().await;
    home.store.intent(&intent(0)).await.unwrap();
    let mut reader = home.stranger().await;
    sqlx::query("BEGIN").execute(&mut reader).await.unwrap();
    let rows: i64 = sqlx::query_scalar("SELECT count(*) FROM audit").fetch_one(&mut reader).await.unwrap();
    assert_eq!(rows, 1);
    let leaves = async {
        // The pools are closed, and the log is still there.
        wait_for("the store is closed", async || home.store.head().await.is_err().then_some(())).await;
        reader.close().await.unwrap();
    };
    tokio::join!(home.store.close(), leaves);
    assert!(!home.beside("sluice.db-wal").exists(), "rows are left beside the file");
}
