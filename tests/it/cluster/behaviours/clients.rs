//! What kube's own watcher makes of the server: the code that Sluice runs.

use std::collections::BTreeSet;
use std::time::Duration;

use futures::{Stream, StreamExt as _};
use kube::api::{Api, ApiResource, DynamicObject, GroupVersionKind};
use kube::runtime::watcher::{self, Event};

use super::{Harness, ISTIO, Scene};

fn virtual_services(scene: &Scene) -> Api<DynamicObject> {
    let kind = GroupVersionKind::gvk("networking.istio.io", "v1", "VirtualService");
    let resource = ApiResource::from_gvk_with_plural(&kind, "virtualservices");
    Api::namespaced_with(scene.client.clone(), &scene.namespace, &resource)
}

async fn next<S>(stream: &mut S) -> Event<DynamicObject>
where
    S: Stream<Item = watcher::Result<Event<DynamicObject>>> + Unpin,
{
    tokio::time::timeout(Duration::from_secs(20), stream.next())
        .await
        .expect("no event")
        .expect("the watcher ended")
        .expect("the watcher failed")
}

/// `Init`, the objects, `InitDone`; then what changes.
async fn follows(scene: &Scene, config: watcher::Config) {
    for name in ["a", "b", "c"] {
        scene.virtual_service(name, &[100]).await;
    }
    let mut stream = Box::pin(watcher::watcher(virtual_services(scene), config));
    let mut first = BTreeSet::new();
    assert!(matches!(next(&mut stream).await, Event::Init));
    loop {
        match next(&mut stream).await {
            Event::InitApply(object) => first.insert(object.metadata.name.unwrap()),
            Event::InitDone => break,
            other => panic!("{other:?}"),
        };
    }
    assert_eq!(first.into_iter().collect::<Vec<_>>(), ["a", "b", "c"]);
    scene.virtual_service("d", &[100]).await;
    assert!(matches!(next(&mut stream).await, Event::Apply(o) if o.metadata.name.as_deref() == Some("d")));
    scene.delete(&scene.path(ISTIO, "virtualservices/a"), None).await;
    assert!(matches!(next(&mut stream).await, Event::Delete(o) if o.metadata.name.as_deref() == Some("a")));
}

pub async fn the_watcher_of_kube_follows_a_list(harness: &impl Harness) {
    let scene = Scene::new(harness).await;
    follows(&scene, watcher::Config::default().page_size(2)).await;
}

pub async fn the_watcher_of_kube_follows_a_streaming_list(harness: &impl Harness) {
    let scene = Scene::new(harness).await;
    follows(&scene, watcher::Config::default().streaming_lists()).await;
}

pub async fn a_typed_client_reads_what_it_wrote(harness: &impl Harness) {
    let scene = Scene::new(harness).await;
    let api: Api<k8s_openapi::api::core::v1::Service> =
        Api::namespaced(scene.client.clone(), &scene.namespace);
    let service = serde_json::from_value(super::service("reviews", serde_json::json!({}))).unwrap();
    let made = api.create(&kube::api::PostParams::default(), &service).await.unwrap();
    let spec = made.spec.unwrap();
    // What the server fills in.
    assert_eq!((spec.type_.as_deref(), spec.session_affinity.as_deref()), (Some("ClusterIP"), Some("None")));
    assert!(spec.cluster_ip.is_some_and(|ip| ip.starts_with("10.")));
    let port = &spec.ports.unwrap()[0];
    assert_eq!(port.protocol.as_deref(), Some("TCP"));
    assert_eq!(port.target_port, Some(k8s_openapi::apimachinery::pkg::util::intstr::IntOrString::Int(9080)));
    assert!(api.get_opt("none").await.unwrap().is_none());
    let deleted = api.delete("reviews", &kube::api::DeleteParams::default()).await.unwrap();
    // Services come back as objects, custom resources as a Status.
    assert!(deleted.left().is_some());
    scene.virtual_service("reviews", &[100]).await;
    let deleted =
        virtual_services(&scene).delete("reviews", &kube::api::DeleteParams::default()).await.unwrap();
    assert!(deleted.right().unwrap().is_success());
}
