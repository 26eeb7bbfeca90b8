//! Rows that were damaged after they were written: they are named in their place, hide nothing beside them, and
//! hinder nobody from going on.

use futures::TryStreamExt;
use sluice::domain::audit::{Ending, Filter};
use sluice::domain::ids::ServiceRef;
use sluice::store::{Damage, Loaded, StoreError, verify};

use super::{Home, change, intent, next, outcome, tamper};

/// Ten changes; of the fifth (rows 9 and 10) the outcome is no JSON any more, of the eighth (15 and 16) the row is gone.
async fn damaged() -> Home {
    let home = Home::new().await;
    for number in 0..10 {
        change(&home.store, number).await;
    }
    tamper(&home.path(), "UPDATE audit SET body = 'x' WHERE seq = 10; DELETE FROM audit WHERE seq = 16")
        .await;
    home
}

#[tokio::test]
async fn an_export_goes_on_past_them_and_names_them_in_their_place() {
    let home = damaged().await;
    let rows: Vec<Loaded> = home.store.export(Filter::default()).try_collect().await.unwrap();
    let ids: Vec<Result<i64, Option<i64>>> =
        rows.iter().map(|row| row.as_ref().map(|entry| entry.id).map_err(|damage| damage.row)).collect();
    let expected = [Ok(20), Ok(18), Err(Some(16)), Ok(14), Ok(12), Err(Some(10)), Ok(8), Ok(6), Ok(4), Ok(2)];
    assert_eq!(ids, expected);
    assert_eq!(home.store.damage(), Some(Damage { row: Some(16), why: "it is missing".into() }));
}

#[tokio::test]
async fn pages_show_what_can_be_read_and_go_on_to_the_next() {
    let home = damaged().await;
    let (mut seen, mut bad, mut cursor) = (Vec::new(), Vec::new(), None);
    loop {
        let page = home.store.entries(&Filter::default(), cursor.as_deref(), 3).await.unwrap();
        seen.extend(page.items.iter().map(|entry| entry.id));
        bad.extend(page.damaged);
        cursor = page.next;
        if cursor.is_none() {
            break;
        }
    }
    assert_eq!((seen, bad), (vec![20, 18, 14, 12, 8, 6, 4, 2], vec![16, 10]));
    let refused = home.store.entry(10).await.unwrap_err();
    assert!(matches!(refused, StoreError::Unreadable { seq: 10, .. }), "{refused}");
    assert_eq!(refused.refusal().code.as_str(), "history_damaged");
    assert_eq!(home.store.entry(99).await.unwrap(), None);
}

/// An old damaged row does not stop a switch back, and what is written then can be proved.
#[tokio::test]
async fn changes_go_on_and_continue_the_chain() {
    let home = damaged().await;
    let report = home.store.verify_own().await.unwrap();
    assert_eq!(report.first_bad.as_ref().unwrap().seq, Some(10), "{report}");
    assert_eq!(home.store.damage().unwrap().row, Some(10));
    let reviews = ServiceRef::new("shop", "reviews");
    assert_eq!(
        home.store.specs_at(&reviews, 5).await.unwrap(),
        None,
        "this revision cannot be read any more"
    );
    for revision in [1, 4, 6, 10] {
        assert!(home.store.specs_at(&reviews, revision).await.unwrap().is_some(), "{revision}");
    }
    change(&home.store, 30).await;
    assert_eq!(home.store.trouble(), None);
    let after = verify::verify(&home.path(), None).await.unwrap();
    let rows: Vec<Option<i64>> = after.first_bad.iter().chain(&after.more_bad).map(|bad| bad.seq).collect();
    assert_eq!(rows, [Some(10), Some(17)], "row 16 is missed at row 17; the new rows are good: {after}");
}

#[tokio::test]
async fn what_is_derived_from_rows_hinders_nobody_either() {
    let home = Home::new().await;
    change(&home.store, 1).await;
    let open = home.store.intent(&intent(2)).await.unwrap();
    home.store.intent(&intent(3)).await.unwrap();
    tamper(&home.path(), "UPDATE service_state SET last = 'x'; UPDATE audit SET body = 'x' WHERE seq = 4")
        .await;
    let reviews = ServiceRef::new("shop", "reviews");
    let state = home.store.revision(&reviews).await.unwrap().unwrap();
    assert_eq!((state.revision, state.ending), (1, Ending::Unknown));
    assert_eq!(home.store.states().await.unwrap().len(), 1);
    let intents = home.store.open_intents().await.unwrap();
    assert_eq!(intents.iter().map(|(id, _)| *id).collect::<Vec<_>>(), [open]);
    let ended = home.store.outcome(open, &intent(2), &outcome(2, Ending::Applied), next()).await.unwrap();
    assert_eq!(ended.outcome.unwrap().revision, Some(2), "the next revision, not the first again");
}
