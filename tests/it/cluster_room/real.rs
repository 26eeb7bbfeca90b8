//! The cluster module on a real API server, with exactly the rights that `deploy/` gives to Sluice.

use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use sluice::cluster::{ApplyError, Cache, Cluster, ClusterError, Fate, Health, Options, Target, Visible};
use sluice::domain::audit::{Ending, Written};
use sluice::domain::ids::{Kind, Namespace, ObjectRef, ServiceRef};
use sluice::domain::plan::{Edit, Plan};
use sluice::domain::refusal::Code;
use sluice::domain::snapshot::Snapshot;
use tokio_util::sync::{CancellationToken, DropGuard};

use super::scene::{destination_rule, service, split, subsets, virtual_service};
use crate::support::cluster::{self, RealCluster};
use crate::support::wait_for;

struct Room {
    cluster: Cluster,
    cache: Cache,
    _stop: DropGuard,
}

async fn room(real: &RealCluster) -> Room {
    let target =
        Target::Infer { kubeconfig: Some(real.kubeconfig("sluice")), files: Vec::new(), context: None };
    let cluster = Cluster::connect(target, Options::default()).await.unwrap();
    let stop = CancellationToken::new();
    let cache = cluster.watch(stop.clone());
    assert!(cache.ready_within(Duration::from_secs(20)).await, "{:?}", cache.health());
    Room { cluster, cache, _stop: stop.drop_guard() }
}

/// Sends as the administrator; the answer must be a good one.
async fn admin(real: &RealCluster, method: &str, path: &str, body: Value) -> Value {
    let request =
        http::Request::builder().method(method).uri(path).header("content-type", "application/json");
    real.client("admin").await.request(request.body(body.to_string().into_bytes()).unwrap()).await.unwrap()
}

const ISTIO: &str = "/apis/networking.istio.io/v1/namespaces";

/// A namespace of the test's own with a split `reviews` in it (two subsets, no pods).
async fn place(real: &RealCluster, name: &str) -> ServiceRef {
    let inside = |mut object: Value| {
        object["metadata"]["namespace"] = json!(name);
        if object["kind"] == "Service" {
            object["spec"].as_object_mut().unwrap().remove("clusterIP");
        }
        object
    };
    admin(real, "POST", "/api/v1/namespaces", json!({"metadata": {"name": name}})).await;
    admin(real, "POST", &format!("/api/v1/namespaces/{name}/services"), inside(service("reviews"))).await;
    let rule = inside(destination_rule("reviews", subsets("reviews", &["v1", "v2"])));
    admin(real, "POST", &format!("{ISTIO}/{name}/destinationrules"), rule).await;
    let route = inside(virtual_service("reviews", split("reviews", [70, 30])));
    admin(real, "POST", &format!("{ISTIO}/{name}/virtualservices"), route).await;
    ServiceRef::new(name, "reviews")
}

async fn fresh(room: &Room, at: &ServiceRef) -> Snapshot {
    room.cluster.read_fresh(at, &room.cache).await.unwrap().unwrap()
}

fn edit(object: ObjectRef, json: Option<&Arc<Value>>, spec: Value) -> Edit {
    let before = Arc::clone(json.unwrap());
    let mut after = Value::clone(&before);
    after["spec"] = spec;
    Edit { object, before: Some(before), after: Some(after) }
}

fn switch(snapshot: &Snapshot, spec: Value) -> Edit {
    let held = &snapshot.virtual_services[0];
    edit(held.object.at(Kind::VirtualService), held.json.as_ref(), spec)
}

fn shift(snapshot: &Snapshot, weights: [i64; 2]) -> Plan {
    Plan::new(vec![], vec![switch(snapshot, split("reviews", weights))], vec![])
}

#[tokio::test]
async fn the_samples_are_joined_as_they_are() {
    let Some(real) = RealCluster::shared() else { return };
    let room = room(real).await;
    for (name, expected) in [
        ("reviews", vec![("v1", None), ("v2", None), ("v3", None)]),
        ("ratings", vec![("v1", None), ("v2", Some("ImagePullBackOff"))]),
    ] {
        let at = ServiceRef::new("bookinfo", name);
        let cached = room.cache.snapshot(&at).unwrap();
        let versions: Vec<_> =
            cached.versions.iter().map(|v| (v.name.as_str(), v.cause.as_deref())).collect();
        assert_eq!(versions, expected);
        assert!(cached.versions.iter().all(|version| (version.ready > 0) == version.cause.is_none()));
        let fresh = fresh(&room, &at).await;
        assert_eq!((&fresh.versions, &fresh.mesh), (&cached.versions, &cached.mesh));
        assert!(fresh.virtual_services.iter().all(|held| held.json.is_some()));
        assert!(fresh.taken.iter().any(|object| &*object.name == "bookinfo"));
    }
    assert!(room.cache.health().iter().all(|kind| kind.state == Health::Live), "{:?}", room.cache.health());
    let none = ServiceRef::new("bookinfo", "none");
    assert!(room.cluster.read_fresh(&none, &room.cache).await.unwrap().is_none());
}

#[tokio::test]
async fn a_plan_of_three_stages_is_tried_out_and_written() {
    let Some(real) = RealCluster::shared() else { return };
    let at = place(real, "room-writes").await;
    let room = room(real).await;
    let snapshot = fresh(&room, &at).await;
    let rule = &snapshot.destination_rules[0];
    let rule_at = rule.object.at(Kind::DestinationRule);
    let add = edit(rule_at, rule.json.as_ref(), subsets("reviews", &["v1", "v2", "v3"]));
    let created = ObjectRef::new(Kind::DestinationRule, "room-writes", "details");
    let mut object = destination_rule("details", subsets("details", &["v1"]));
    object["metadata"]["namespace"] = json!("room-writes");
    let create = Edit { object: created, before: None, after: Some(object) };
    let plan = Plan::new(vec![add, create], vec![switch(&snapshot, split("reviews", [0, 100]))], vec![]);
    assert_eq!(room.cluster.dry_run(&plan).await, Ok(vec![]));
    let start = Instant::now();
    let applied = room.cluster.apply(&plan, "change-1", &room.cache).await;
    assert_eq!((applied.ending, &applied.error), (Ending::Applied, &None));
    assert!(start.elapsed() < Duration::from_secs(4), "the barrier heard nothing: {:?}", start.elapsed());
    let fates = room.cluster.fate_of("change-1", &applied.records).await;
    assert!(fates.iter().all(|(_, fate)| *fate == Fate::Carries), "{fates:?}");
    let now = fresh(&room, &at).await;
    let json = now.virtual_services[0].json.as_ref().unwrap();
    assert_eq!(json["metadata"]["annotations"]["sluice.io/change"], "change-1");
    let managers =
        json["metadata"]["managedFields"].as_array().unwrap().iter().map(|entry| &entry["manager"]);
    assert!(managers.into_iter().any(|manager| manager == "sluice"));
    let version = json["metadata"]["resourceVersion"].as_str();
    assert_eq!(applied.records[2].resource_version_after.as_deref(), version);
}

#[tokio::test]
async fn a_dry_run_of_a_deletion_keeps_the_object() {
    let Some(real) = RealCluster::shared() else { return };
    let at = place(real, "room-dry").await;
    let room = room(real).await;
    let before = fresh(&room, &at).await;
    let route = &before.virtual_services[0];
    let deletion =
        Edit { object: route.object.at(Kind::VirtualService), before: route.json.clone(), after: None };
    let plan = Plan::new(vec![], vec![deletion], vec![]);
    assert_eq!(plan.edits().count(), 1);
    assert_eq!(room.cluster.dry_run(&plan).await, Ok(vec![]));
    assert!(room.cluster.may_delete(&plan).await);
    assert_eq!(fresh(&room, &at).await.virtual_services[0].json, route.json, "nothing was deleted");
    let applied = room.cluster.apply(&plan, "change-1", &room.cache).await;
    assert_eq!((applied.ending, &applied.error), (Ending::Applied, &None));
    let gone = route.object.at(Kind::VirtualService);
    let now = fresh(&room, &at).await;
    let left: Vec<ObjectRef> =
        now.virtual_services.iter().map(|one| one.object.at(Kind::VirtualService)).collect();
    assert!(!left.contains(&gone), "{gone} of {left:?}");
}

#[tokio::test]
async fn a_moved_status_is_no_conflict_and_a_moved_spec_is_one() {
    let Some(real) = RealCluster::shared() else { return };
    let at = place(real, "room-conflicts").await;
    let path = format!("{ISTIO}/room-conflicts/virtualservices/reviews");
    let room = room(real).await;
    let plan = shift(&fresh(&room, &at).await, [30, 70]);
    let request = http::Request::get(&path).body(Vec::new()).unwrap();
    let mut object: Value = real.client("admin").await.request(request).await.unwrap();
    object["status"] = json!({"observedGeneration": "1"});
    admin(real, "PUT", &format!("{path}/status"), object).await;
    let applied = room.cluster.apply(&plan, "change-1", &room.cache).await;
    assert_eq!((applied.ending, &applied.error), (Ending::Applied, &None));
    // The plan stands on what is gone now.
    let tried = room.cluster.dry_run(&plan).await.unwrap_err();
    assert!(matches!(&tried, ApplyError::Conflict { manager: Some(by), .. } if &**by == "sluice"), "{tried}");
    let again = room.cluster.apply(&plan, "change-2", &room.cache).await;
    assert_eq!((again.ending, again.records[0].written), (Ending::Failed, Written::No));
    let odd = switch(&fresh(&room, &at).await, json!({"hosts": ["reviews"], "htpp": []}));
    let refused = room.cluster.dry_run(&Plan::new(vec![], vec![odd], vec![])).await.unwrap_err();
    assert!(
        matches!(&refused, ApplyError::Refused { message, .. } if message.contains("unknown field")),
        "{refused}"
    );
}

#[tokio::test]
async fn people_are_who_the_api_server_says_and_may_what_rbac_says() {
    let Some(real) = RealCluster::shared() else { return };
    let room = room(real).await;
    let who = async |name: &str| room.cluster.review_token(real.token(name)).await.unwrap().unwrap();
    let (amy, vic, nobody) = (who("amy").await, who("vic").await, who("nobody").await);
    assert_eq!(amy.user, "amy");
    assert!(amy.groups.contains(&"release-managers".to_owned()));
    assert_eq!(room.cluster.review_token("no such token").await, Ok(None));
    let seen = async |who| room.cluster.visible_namespaces(who, &room.cache).await.unwrap();
    let (bookinfo, weather) = (Namespace::from("bookinfo"), Namespace::from("weather"));
    assert_eq!(seen(&amy).await, Visible::All);
    assert_eq!(seen(&vic).await, Visible::Some([bookinfo.clone()].into()));
    assert_eq!(seen(&nobody).await, Visible::Some([].into()));
    assert_eq!(room.cluster.may_change(&amy, [&bookinfo, &weather]).await, Ok(None));
    let lacks = room.cluster.may_change(&vic, [&bookinfo]).await.unwrap().unwrap();
    assert_eq!(lacks.to_string(), "update virtualservices.networking.istio.io in bookinfo");
    assert!(room.cluster.may_change(&amy, [&Namespace::from("kube-system")]).await.unwrap().is_some());
}

#[tokio::test]
async fn troubles_of_the_api_server_are_survived_and_told_as_they_are() {
    let Some(real) = RealCluster::start(cluster::Options::default()) else { return };
    let at = place(&real, "room-troubles").await;
    let room = room(&real).await;
    let routes = || room.cache.snapshot(&at).map(|snapshot| snapshot.virtual_services.len());
    assert_eq!(routes(), Some(1));

    // Deleted while nobody can hear of it, and history is gone: a real 410.
    room.cluster.read_fresh(&at, &room.cache).await.unwrap();
    let path = format!("{ISTIO}/room-troubles/virtualservices/reviews");
    admin(&real, "DELETE", &path, json!({})).await;
    real.expire().await;
    wait_for("the deleted object vanishes", async || (routes() == Some(0)).then_some(())).await;
    let mut object = virtual_service("reviews", split("reviews", [70, 30]));
    object["metadata"]["namespace"] = json!("room-troubles");
    admin(&real, "POST", &format!("{ISTIO}/room-troubles/virtualservices"), object).await;
    wait_for("it comes back", async || (routes() == Some(1)).then_some(())).await;

    // Nothing answers: the outcome is unknown, and no caller waits without end.
    let plan = shift(&fresh(&room, &at).await, [30, 70]);
    real.freeze().await;
    let start = Instant::now();
    let frozen = room.cluster.apply(&plan, "change-1", &room.cache).await;
    assert!(start.elapsed() <= Duration::from_secs(20), "{:?}", start.elapsed());
    // Failed, when not even a connection came about.
    assert!(matches!(frozen.ending, Ending::Unknown | Ending::Failed), "{:?}", frozen.error);
    real.thaw().await;
    // The server has given the request up, or stored it: the object says which.
    let fate = wait_for("the fate is known", async || {
        let fates = room.cluster.fate_of("change-1", &frozen.records).await;
        (!matches!(fates[0].1, Fate::Unread(_))).then(|| fates[0].1.clone())
    })
    .await;
    let possible = fate == Fate::Before || (fate == Fate::Carries && frozen.ending == Ending::Unknown);
    assert!(possible, "{fate:?} after {:?}", frozen.error);

    // Gone: the connection is refused, so nothing was sent.
    let plan = shift(&fresh(&room, &at).await, [10, 90]);
    real.kill().await;
    let start = Instant::now();
    let dead = room.cluster.apply(&plan, "change-2", &room.cache).await;
    assert!(start.elapsed() <= Duration::from_secs(20), "{:?}", start.elapsed());
    assert!(matches!(dead.ending, Ending::Failed | Ending::Unknown), "{:?}", dead.error);
    assert!(matches!(dead.refusal().unwrap().code, Code::ClusterUnreachable | Code::OutcomeUnknown));
    let error = room.cluster.read_fresh(&at, &room.cache).await.unwrap_err();
    assert!(matches!(error, ClusterError::Unreachable(_) | ClusterError::Timeout(_)), "{error}");
    real.start_again().await;
    let applied = room.cluster.apply(&plan, "change-3", &room.cache).await;
    assert_eq!((applied.ending, &applied.error), (Ending::Applied, &None));
}

#[tokio::test]
async fn pods_without_the_named_target_port_are_not_ready_and_other_objects_of_the_host_are_read() {
    let Some(real) = RealCluster::shared() else { return };
    let name = "room-ports";
    let at = place(real, name).await;
    let path = format!("/api/v1/namespaces/{name}/services");
    let mut named = service("named");
    named["metadata"]["namespace"] = json!(name);
    named["spec"] =
        json!({"selector": {"app": "named"}, "ports": [{"name": "http", "port": 9080, "targetPort": "web"}]});
    admin(real, "POST", &path, named).await;
    for (version, port) in
        [("v1", json!({"name": "web", "containerPort": 9080})), ("v2", json!({"containerPort": 9080}))]
    {
        let labels = json!({"app": "named", "version": version});
        let deployment = json!({
            "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": format!("named-{version}")},
            "spec": {"selector": {"matchLabels": labels}, "template": {"metadata": {"labels": labels},
                "spec": {"containers": [{"name": "app", "image": "registry.example/app:1", "ports": [port]}]}}},
        });
        admin(real, "POST", &format!("/apis/apps/v1/namespaces/{name}/deployments"), deployment).await;
    }
    let host = format!("reviews.{name}.svc.cluster.local");
    let entry = json!({"apiVersion": "networking.istio.io/v1", "kind": "ServiceEntry", "metadata": {"name": "elsewhere"},
        "spec": {"hosts": [host], "ports": [{"number": 9080, "name": "http", "protocol": "HTTP"}], "resolution": "STATIC",
            "workloadSelector": {"labels": {"app": "other"}}}});
    admin(real, "POST", &format!("{ISTIO}/{name}/serviceentries"), entry).await;
    let sidecar = json!({"apiVersion": "networking.istio.io/v1", "kind": "Sidecar", "metadata": {"name": "narrow"},
        "spec": {"workloadSelector": {"labels": {"app": "named"}}, "egress": [{"hosts": ["istio-system/*"]}]}});
    admin(real, "POST", &format!("{ISTIO}/{name}/sidecars"), sidecar).await;

    let room = room(real).await;
    let named = ServiceRef::new(name, "named");
    wait_for("only v1 has endpoints", async || {
        let snapshot = room.cache.snapshot(&named)?;
        let seen: Vec<_> = snapshot
            .versions
            .iter()
            .map(|v| (v.name.to_string(), v.ready, v.total, v.lacks.as_deref()))
            .collect();
        (seen == [("v1".to_owned(), 1, 1, None), ("v2".to_owned(), 0, 1, Some("web"))]).then_some(())
    })
    .await;
    let configured = room.cluster.host_config().await.unwrap();
    let text = format!("{:?}", configured.findings(&fresh(&room, &at).await));
    for part in
        ["HostElsewhere", "ServiceEntry room-ports/elsewhere", "SidecarHides", "Sidecar room-ports/narrow"]
    {
        assert!(text.contains(part), "{part}: {text}");
    }
}
