//! The colours of versions are kept by service, and another set takes the place of the one before.

use sluice::domain::ids::ServiceRef;
use sluice::domain::version_slots::VersionSlots;

use super::Home;

fn slots(list: &[(&str, u8)]) -> VersionSlots {
    list.iter().map(|(name, slot)| ((*name).into(), *slot)).collect()
}

#[tokio::test]
async fn slots_are_kept_by_service_and_replaced_as_a_whole() {
    let Home { store, folder: _kept, .. } = Home::new().await;
    let (a, b) = (ServiceRef::new("shop", "a"), ServiceRef::new("shop", "b"));
    store
        .keep_slots(vec![(a.clone(), slots(&[("v1", 1), ("v2", 2)])), (b.clone(), slots(&[("v1", 1)]))])
        .await
        .unwrap();
    store.keep_slots(vec![(a.clone(), slots(&[("v3", 1), ("v2", 2)]))]).await.unwrap();
    assert_eq!(store.slots().await.unwrap(), [(a, slots(&[("v3", 1), ("v2", 2)])), (b, slots(&[("v1", 1)]))]);
}
