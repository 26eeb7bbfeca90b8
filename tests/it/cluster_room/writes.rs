//! Writing when all goes well, and when the object moved.

use sluice::domain::audit::{Ending, Written};

use super::scene::{Scene, reviews, shift};

#[tokio::test(start_paused = true)]
async fn a_plan_is_written_once_with_the_change_on_the_object() {
    let scene = Scene::on(reviews).await;
    let snapshot = scene.fresh("reviews").await.unwrap();
    let plan = shift(&snapshot, [30, 70]);
    assert_eq!(scene.cluster.dry_run(&plan).await, Ok(vec![]));
    assert_eq!(scene.weights(), [70, 30]);
    let applied = scene.cluster.apply(&plan, "change-1", &scene.cache).await;
    assert_eq!((applied.ending, applied.error), (Ending::Applied, None));
    assert_eq!(scene.weights(), [30, 70]);
    let object = scene.api.get("VirtualService", "shop", "reviews").unwrap();
    assert_eq!(object["metadata"]["annotations"]["sluice.io/change"], "change-1");
    let record = &applied.records[0];
    assert_eq!(record.written, Written::Yes);
    assert_eq!(record.resource_version_after.as_deref(), object["metadata"]["resourceVersion"].as_str());
    assert_eq!(scene.api.count("PUT", "virtualservices"), 2);
}
