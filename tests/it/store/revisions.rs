//! Revisions: counted in the transaction of the entry, and what each of them looked like.

use sluice::domain::audit::{Action, Details, Ending, Outcome};
use sluice::domain::ids::ServiceRef;
use sluice::store::{Revise, verify};

use super::{Home, START, change, intent, next, outcome, spec, virtual_service};

fn reviews() -> ServiceRef {
    ServiceRef::new("shop", "reviews")
}

#[tokio::test]
async fn a_service_without_entries_has_no_state() {
    let home = Home::new().await;
    assert_eq!(home.store.revision(&reviews()).await.unwrap(), None);
    assert_eq!(home.store.states().await.unwrap(), []);
    assert_eq!(home.store.states_of(&[reviews()]).await.unwrap(), [None]);
    assert_eq!(home.store.specs_at(&reviews(), 0).await.unwrap(), None);
    assert_eq!(home.store.head().await.unwrap(), None);
}

#[tokio::test]
async fn refusals_keep_the_state_and_failures_are_told_without_a_revision() {
    let home = Home::new().await;
    let store = &home.store;
    store.single(&intent(1), &outcome(1, Ending::Refused), Revise::Keep).await.unwrap();
    assert_eq!(store.revision(&reviews()).await.unwrap(), None);
    store.single(&intent(2), &outcome(2, Ending::Failed), Revise::Keep).await.unwrap();
    let state = store.revision(&reviews()).await.unwrap().unwrap();
    assert_eq!((state.revision, state.fingerprint, state.weights), (0, None, None));
    assert_eq!((state.ending, state.entry, state.by.as_str()), (Ending::Failed, 2, "ann"));
    let id = change(store, 3).await;
    let state = store.revision(&reviews()).await.unwrap().unwrap();
    assert_eq!((state.revision, state.fingerprint.as_deref(), state.entry), (1, Some("f"), id));
    assert_eq!(state.weights, Some(vec![("v1".into(), 30), ("v2".into(), 70)]));
    store.single(&intent(4), &outcome(4, Ending::Refused), Revise::Keep).await.unwrap();
    let mut reason = intent(5);
    reason.action = Action::AddReason;
    reason.details = Details { about: Some(id), ..Details::default() };
    let entry = store.single(&reason, &outcome(5, Ending::Applied), Revise::Keep).await.unwrap();
    assert_eq!(store.revision(&reviews()).await.unwrap().as_ref(), Some(&state), "neither touches it");
    let reasons = store.reasons(id).await.unwrap();
    assert_eq!(reasons.iter().map(|reason| reason.id).collect::<Vec<_>>(), [entry.id]);
    store.single(&intent(6), &outcome(6, Ending::Failed), Revise::Keep).await.unwrap();
    let failed = store.revision(&reviews()).await.unwrap().unwrap();
    assert_eq!((failed.revision, failed.fingerprint.as_deref()), (1, Some("f")));
    assert_eq!((failed.ending, failed.weights), (Ending::Failed, state.weights));
    let other = ServiceRef::new("shop", "ratings");
    let both = store.states_of(&[other, reviews()]).await.unwrap();
    assert!(both[0].is_none() && both[1].as_ref().is_some_and(|state| state.revision == 1));
    assert_eq!(store.states().await.unwrap().len(), 1);
    assert!(verify::verify(&home.path(), None).await.unwrap().is_good());
}

#[tokio::test]
async fn each_revision_can_be_restored_also_the_one_before_the_first() {
    let home = Home::new().await;
    let store = &home.store;
    let mut first = intent(1);
    first.details.specs_before = Some(vec![(virtual_service(), spec(0))]);
    let id = store.intent(&first).await.unwrap();
    store.outcome(id, &first, &outcome(1, Ending::Applied), next()).await.unwrap();
    change(store, 2).await;
    // An outside edit that left no object behind.
    let mut edit = intent(3);
    edit.action = Action::OutsideEdit;
    edit.details.after = None;
    let gone = Outcome { at_ms: START, ending: Ending::Outside, revision: None, details: Details::default() };
    store.single(&edit, &gone, next()).await.unwrap();
    let specs = |weight| Some(vec![(virtual_service(), spec(weight))]);
    for (revision, expected) in
        [(0, specs(0)), (1, specs(1)), (2, specs(2)), (3, Some(Vec::new())), (4, None)]
    {
        assert_eq!(store.specs_at(&reviews(), revision).await.unwrap(), expected, "revision {revision}");
    }
    assert_eq!(store.specs_at(&reviews(), u64::MAX).await.unwrap(), None);
    assert_eq!(store.specs_at(&ServiceRef::new("shop", "other"), 1).await.unwrap(), None);
    let weights = |v1, v2| Some(vec![("v1".into(), v1), ("v2".into(), v2)]);
    for (revision, expected) in [(0, weights(100, 0)), (1, weights(30, 70)), (3, None), (9, None)] {
        assert_eq!(store.weights_at(&reviews(), revision).await.unwrap(), expected, "revision {revision}");
    }
    // The same of many at once.
    for (newest, limit) in [(0, 50), (1, 50), (2, 50), (3, 50), (3, 2), (2, 1), (9, 50), (9, 7)] {
        let mut each = Vec::new();
        for revision in (0..=newest).rev().take(usize::try_from(limit).unwrap()) {
            each.extend(store.weights_at(&reviews(), revision).await.unwrap());
        }
        let all = store.weights_to(&reviews(), newest, limit).await.unwrap();
        let weights: Vec<_> = all.into_iter().map(|at| at.weights).collect();
        assert_eq!(weights, each, "{limit} to {newest}");
    }
    assert_eq!(
        store.weights_to(&ServiceRef::new("shop", "other"), 5, 50).await.unwrap(),
        Vec::<sluice::store::WeightsAt>::new()
    );
}

#[tokio::test]
async fn revisions_of_services_do_not_mix_even_in_one_transaction() {
    let home = Home::new().await;
    let mut all = Vec::new();
    for number in 0..30 {
        let mut intent = intent(number);
        intent.service = Some(ServiceRef::new("shop", ["a", "b", "c"][number as usize % 3]));
        all.push((intent, outcome(number, Ending::Outside), next()));
    }
    let entries = home.store.singles(all).await.unwrap();
    for (place, entry) in entries.iter().enumerate() {
        assert_eq!(entry.outcome.as_ref().unwrap().revision, Some(place as u64 / 3 + 1));
    }
    let states = home.store.states().await.unwrap();
    assert!(states.len() == 3 && states.iter().all(|(_, state)| state.revision == 10));
    assert!(verify::verify(&home.path(), None).await.unwrap().is_good());
}
