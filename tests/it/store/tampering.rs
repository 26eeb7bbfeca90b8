//! Whoever owns the file can drop its triggers. What is done to the rows afterwards is found.

use std::path::Path;

use sluice::domain::audit::Ending;
use sluice::store::verify::{Report, verify, verify_against};
use sluice::store::{Head, Revise};

use super::{Home, NO_TRIGGERS, change, connect, intent, outcome, tamper};

/// A copy of a history of ten changes (rows 1 to 20), a refusal (21) and an open intent (22).
async fn copy() -> (Home, std::path::PathBuf, Head) {
    let home = Home::new().await;
    for number in 0..10 {
        change(&home.store, number).await;
    }
    home.store.single(&intent(10), &outcome(10, Ending::Refused), Revise::Keep).await.unwrap();
    home.store.intent(&intent(11)).await.unwrap();
    let copy = home.beside("copy.db");
    home.store.backup(&copy).await.unwrap();
    let head = home.store.head().await.unwrap().unwrap();
    (home, copy, head)
}

#[tokio::test]
async fn an_untouched_history_is_good_in_a_copy_and_in_the_live_file() {
    let (home, copy, head) = copy().await;
    for path in [&copy, &home.path()] {
        let report = verify(path, Some(&head)).await.unwrap();
        let expected =
            Report { rows: 22, open: 1, anchors: 1, head: Some(head.clone()), ..Report::default() };
        assert_eq!(report, expected);
    }
    let report = verify(&copy, Some(&head)).await.unwrap();
    let text = report.to_string();
    assert!(report.is_good() && text.contains("unbroken: 22 rows") && text.contains(&head.hash), "{text}");
    // Also where nothing may be written.
    let folder = tempfile::tempdir().unwrap();
    let frozen = folder.path().join("frozen.db");
    std::fs::copy(&copy, &frozen).unwrap();
    let mut rights = std::fs::metadata(&frozen).unwrap().permissions();
    rights.set_readonly(true);
    std::fs::set_permissions(&frozen, rights).unwrap();
    assert!(verify(&frozen, None).await.unwrap().is_good());
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1, "nothing is left beside it");
}

#[tokio::test]
async fn whatever_is_done_to_rows_is_found_at_the_row() {
    let row = "kind, at_ms, intent, service, revision, about, search, ids, prev, hash, body, objects";
    let swap = format!(
        "CREATE TEMP TABLE two AS SELECT * FROM audit WHERE seq IN (5, 7);
         DELETE FROM audit WHERE seq IN (5, 7);
         INSERT INTO audit (seq, {row}) SELECT 12 - seq, {row} FROM two"
    );
    let cases = [
        ("UPDATE audit SET body = replace(body, 'looks good', 'looks fine') WHERE seq = 5", Some(5), "hash"),
        ("UPDATE audit SET hash = zeroblob(32) WHERE seq = 5", Some(5), "hash"),
        ("UPDATE audit SET prev = zeroblob(32) WHERE seq = 5", None, ""),
        ("UPDATE audit SET prev = randomblob(32) WHERE seq = 5", Some(5), "continue"),
        ("UPDATE audit SET objects = replace(objects, '33.3', '33.4') WHERE seq = 6", Some(6), "objects"),
        ("UPDATE audit SET objects = NULL WHERE seq = 6", Some(6), "objects"),
        ("UPDATE audit SET objects = '{}' WHERE seq = 21 AND objects IS NULL OR seq = 6", Some(6), "objects"),
        ("UPDATE audit SET at_ms = at_ms + 1 WHERE seq = 8", Some(8), "columns"),
        ("UPDATE audit SET service = 'shop/ratings' WHERE seq = 8", Some(8), "columns"),
        ("UPDATE audit SET revision = 77 WHERE seq = 8", Some(8), "columns"),
        ("UPDATE audit SET about = 1 WHERE seq = 8", Some(8), "columns"),
        ("UPDATE audit SET search = 'nothing' WHERE seq = 8", Some(8), "columns"),
        ("UPDATE audit SET ids = '' WHERE seq = 8", Some(8), "columns"),
        ("UPDATE audit SET intent = 22 WHERE seq = 8", Some(8), "kind"),
        ("UPDATE audit SET kind = 'single', intent = NULL WHERE seq = 8", Some(8), "kind"),
        ("DELETE FROM audit WHERE seq = 5", Some(6), "row 5 is missing"),
        ("DELETE FROM audit WHERE seq = 1", Some(2), "row 1 is missing"),
        (
            "DELETE FROM audit WHERE seq = 5; UPDATE audit SET seq = seq - 1 WHERE seq > 5",
            Some(5),
            "continue",
        ),
        (swap.as_str(), Some(5), "continue"),
        ("DELETE FROM open_intent", None, "open changes"),
        ("UPDATE open_intent SET change = 'x'", None, "open changes"),
        ("UPDATE service_state SET revision = 9", None, "says revision 9"),
        ("UPDATE service_state SET last = 'x'", None, "cannot be read"),
        ("DELETE FROM service_state", None, "missing"),
        ("DELETE FROM listing WHERE seq = 8", None, "index of the pages"),
        ("UPDATE listing SET at_ms = at_ms + 1 WHERE seq = 8", None, "index of the pages"),
        ("DELETE FROM span", None, "index of times"),
        ("UPDATE span SET first_ms = first_ms + 1", None, "index of times"),
        ("UPDATE audit SET body = 'x' WHERE seq = 22", Some(22), "hash"),
    ];
    for (sql, seq, why) in cases {
        let (_home, copy, head) = copy().await;
        if why.is_empty() {
            // The unique index on `prev` stands in the way: the first row has it.
            let mut db = connect(&copy).await;
            let all = format!("{NO_TRIGGERS} {sql}");
            let refused = sqlx::raw_sql(sqlx::AssertSqlSafe(all)).execute(&mut db).await;
            assert!(refused.unwrap_err().to_string().contains("UNIQUE"), "{sql}");
            continue;
        }
        tamper(&copy, sql).await;
        let report = verify(&copy, None).await.unwrap();
        let bad = report.first_bad.clone().unwrap_or_else(|| panic!("not found: {sql}"));
        assert_eq!(bad.seq, seq, "{sql}: {bad:?}");
        assert!(bad.why.contains(why), "{sql}: {bad:?}");
        let report = verify(&copy, Some(&head)).await.unwrap();
        assert!(!report.is_good() && report.to_string().contains("NOT as it was written"), "{report}");
    }
}

#[tokio::test]
async fn rows_that_are_cut_off_are_found_with_an_anchor_only() {
    let (_home, copy, head) = copy().await;
    tamper(
        &copy,
        "DELETE FROM open_intent; DELETE FROM audit WHERE seq > 20; DELETE FROM listing WHERE seq > 20;
         UPDATE span SET last_ms = (SELECT max(at_ms) FROM audit WHERE kind <> 'intent')",
    )
    .await;
    let without = verify(&copy, None).await.unwrap();
    assert!(without.is_good(), "nothing in the file itself can show it: {without}");
    let with = verify(&copy, Some(&head)).await.unwrap();
    assert!(with.first_bad.as_ref().unwrap().why.contains("cut off"), "{with}");
    assert_eq!(with.rows, 20);
}

#[tokio::test]
async fn a_chain_that_was_written_anew_is_found_with_an_anchor() {
    let (_home, copy, head) = copy().await;
    // A history of the same length, each row in order, but not the one that was.
    let other = Home::new().await;
    for number in 100..111 {
        change(&other.store, number).await;
    }
    let forged = other.beside("forged.db");
    other.store.backup(&forged).await.unwrap();
    assert!(verify(&forged, None).await.unwrap().is_good());
    let report = verify(&forged, Some(&head)).await.unwrap();
    let bad = report.first_bad.unwrap();
    assert_eq!(bad.seq, Some(22));
    assert!(bad.why.contains("computed again"), "{bad:?}");
    assert!(verify(&copy, Some(&head)).await.unwrap().is_good());
}

#[tokio::test]
async fn missing_triggers_bytes_changed_and_files_that_are_no_history_are_told() {
    let (_home, copy, _) = copy().await;
    let mut db = connect(&copy).await;
    sqlx::raw_sql("DROP TRIGGER audit_no_delete").execute(&mut db).await.unwrap();
    drop(db);
    let bad = verify(&copy, None).await.unwrap().first_bad.unwrap();
    assert!(bad.why.contains("audit_no_delete"), "{bad:?}");

    // One byte of one row, past SQLite. (A page may hold an old copy of the row in its free space too.)
    let (_home, copy, _) = self::copy().await;
    let mut bytes = std::fs::read(&copy).unwrap();
    let own = b"\"request_id\":\"req-7\"";
    let places: Vec<usize> =
        bytes.windows(own.len()).enumerate().filter(|(_, window)| window == own).map(|(at, _)| at).collect();
    assert!(!places.is_empty());
    for place in places {
        bytes[place + own.len() - 2] = b'8';
    }
    std::fs::write(&copy, &bytes).unwrap();
    let bad = verify(&copy, None).await.unwrap().first_bad.unwrap();
    assert!(bad.seq == Some(15) && bad.why.contains("hash"), "{bad:?}");

    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.db");
    assert!(verify(&path, None).await.is_err());
    for content in [
        &b""[..],
        b"a letter to my aunt, long enough to be more than a header of a database, that is a hundred bytes",
    ] {
        std::fs::write(&path, content).unwrap();
        assert!(verify(&path, None).await.is_ok_and(|report| !report.is_good()), "{content:?}");
    }
    for anchor in ["", "5", "5:12", ":", "x:y", "5:zz"] {
        let refused = anchor.parse::<Head>().unwrap_err();
        assert!(refused.contains("not an anchor"), "{refused}");
    }
}

/// Every row after a change is computed again, as an attacker who can write the file would.
#[tokio::test]
async fn a_history_whose_hashes_were_all_computed_again_needs_an_anchor() {
    use sha2::{Digest, Sha256};
    let (home, copy, head) = copy().await;
    let early = Head { seq: 4, hash: hash_of(&copy, 4).await };
    let late = Head { seq: 18, hash: hash_of(&copy, 18).await };
    let mut db = connect(&copy).await;
    sqlx::raw_sql(sqlx::AssertSqlSafe(NO_TRIGGERS)).execute(&mut db).await.unwrap();
    sqlx::raw_sql("UPDATE audit SET body = replace(body, 'looks good', 'looks fine') WHERE seq = 5")
        .execute(&mut db)
        .await
        .unwrap();
    let rows: Vec<(i64, String)> =
        sqlx::query_as("SELECT seq, body FROM audit ORDER BY seq").fetch_all(&mut db).await.unwrap();
    let mut prev = vec![0_u8; 32];
    for (seq, body) in rows {
        let hash = Sha256::new().chain_update(&prev).chain_update(body.as_bytes()).finalize().to_vec();
        let sql = "UPDATE audit SET prev = ?2, hash = ?3 WHERE seq = ?1";
        sqlx::query(sql).bind(seq).bind(&prev).bind(&hash).execute(&mut db).await.unwrap();
        prev = hash;
    }
    // The search column repeats the reason; an attacker would think of it.
    sqlx::raw_sql("UPDATE audit SET search = replace(search, 'looks good', 'looks fine') WHERE seq = 6")
        .execute(&mut db)
        .await
        .unwrap();
    drop(db);
    put_triggers_back(&home.path(), &copy).await;
    let without = verify(&copy, None).await.unwrap();
    assert!(without.is_good(), "nothing in the file itself can show it: {without}");
    assert!(verify(&copy, Some(&early)).await.unwrap().is_good(), "before the change");
    let with = verify_against(&copy, &[early.clone(), late.clone(), head.clone()]).await.unwrap();
    assert_eq!(with.first_bad.as_ref().unwrap().seq, Some(18), "{with}");
    assert_eq!((with.more_bad.len(), with.anchors), (1, 1), "{with}");
    let all = [early, late, head];
    let untouched = verify_against(&home.path(), &all).await.unwrap();
    assert!(untouched.is_good() && untouched.anchors == 3, "{untouched}");
}

async fn hash_of(path: &Path, seq: i64) -> String {
    let mut db = connect(path).await;
    let sql = "SELECT lower(hex(hash)) FROM audit WHERE seq = ?1";
    sqlx::query_scalar(sql).bind(seq).fetch_one(&mut db).await.unwrap()
}

async fn put_triggers_back(from: &Path, to: &Path) {
    let mut db = connect(from).await;
    let sql = "SELECT sql FROM sqlite_schema WHERE type = 'trigger'";
    let triggers: Vec<String> = sqlx::query_scalar(sql).fetch_all(&mut db).await.unwrap();
    let mut db = connect(to).await;
    for trigger in triggers {
        sqlx::raw_sql(sqlx::AssertSqlSafe(trigger)).execute(&mut db).await.unwrap();
    }
}

#[tokio::test]
async fn every_bad_row_is_told() {
    let (_home, copy, _) = copy().await;
    tamper(
        &copy,
        "UPDATE audit SET body = replace(body, 'looks good', 'looks fine') WHERE seq IN (5, 11);
         UPDATE audit SET hash = randomblob(32) WHERE seq = 15; DELETE FROM audit WHERE seq = 19",
    )
    .await;
    let report = verify(&copy, None).await.unwrap();
    assert_eq!(report.first_bad.as_ref().unwrap().seq, Some(5));
    let more: Vec<Option<i64>> = report.more_bad.iter().map(|bad| bad.seq).collect();
    assert_eq!(&more[..3], [Some(11), Some(15), Some(20)], "{report}");
    assert_eq!(report.rows, 4);
    for row in ["row 11", "row 15", "row 19 is missing"] {
        assert!(report.to_string().contains(row), "{report}");
    }
}
