//! The same on a real API server with real RBAC: whose right a rollback and a retirement need, and what the history
//! shows of an object in a namespace that the reader may not read.

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::rbac::v1::{Role, RoleBinding};
use kube::api::{Api, ApiResource, DeleteParams, DynamicObject, GroupVersionKind, PostParams};
use serde_json::{Value, json};

use super::SECRET;
use crate::support::cluster::{Options, RealCluster, Samples};
use crate::support::served::{Answer, Served};
use crate::support::wait_for;

struct Scene<'a> {
    cluster: &'a RealCluster,
    sluice: Served,
}

impl Scene<'_> {
    async fn call(&self, who: &str, method: &str, path: &str, body: Option<Value>, tag: &str) -> Answer {
        let headers = [("if-match", tag)];
        let headers: &[(&str, &str)] = if tag.is_empty() { &[] } else { &headers };
        self.sluice.call(method, path, Some(self.cluster.token(who)), body, headers).await
    }

    async fn route(&self) -> Value {
        let found = routes(self.cluster, "platform").await.get("reviews").await.unwrap();
        serde_json::to_value(&found).unwrap()
    }

    async fn say(&self, who: &str, id: &str, body: Value) -> Answer {
        self.call(who, "POST", &format!("/api/v1/releases/{id}/commands"), Some(body), "").await
    }

    async fn until(&self, id: &str, what: &str, is: impl Fn(&Value) -> bool) {
        wait_for(what, async || {
            let seen = self.call("admin", "GET", &format!("/api/v1/releases/{id}"), None, "").await;
            is(&seen.body).then_some(())
        })
        .await;
    }
}

async fn routes(cluster: &RealCluster, namespace: &str) -> Api<DynamicObject> {
    let kind = GroupVersionKind::gvk("networking.istio.io", "v1", "VirtualService");
    let resource = ApiResource::from_gvk_with_plural(&kind, "virtualservices");
    Api::namespaced_with(cluster.client("admin").await, namespace, &resource)
}

/// Moves the route of `bookinfo/reviews` to `platform`, and lets vic write routing in `bookinfo`, and nothing else.
async fn set_up(cluster: &RealCluster) {
    let post = PostParams::default();
    let near = routes(cluster, "bookinfo").await;
    let mut route = serde_json::to_value(near.get("reviews").await.unwrap()).unwrap();
    near.delete("reviews", &DeleteParams::default()).await.unwrap();
    route["metadata"] = json!({"name": "reviews", "namespace": "platform"});
    // A short name means another host there.
    let host = "reviews.bookinfo.svc.cluster.local";
    route["spec"]["hosts"] = json!([host]);
    for to in route["spec"]["http"][0]["route"].as_array_mut().unwrap() {
        to["destination"]["host"] = json!(host);
    }
    route["spec"]["http"][0]["headers"] = json!({"request": {"set": {"x-key": SECRET}}});
    let route: DynamicObject = serde_json::from_value(route).unwrap();
    routes(cluster, "platform").await.create(&post, &route).await.unwrap();
    let admin = cluster.client("admin").await;
    let role = json!({"metadata": {"name": "routes-only"}, "rules": [{"apiGroups": ["networking.istio.io"],
        "resources": ["virtualservices", "destinationrules"], "verbs": ["get", "create", "update"]}]});
    let role: Role = serde_json::from_value(role).unwrap();
    Api::namespaced(admin.clone(), "bookinfo").create(&post, &role).await.unwrap();
    let binding = json!({"metadata": {"name": "routes-only"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "routes-only"},
        "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": "vic"}]});
    let binding: RoleBinding = serde_json::from_value(binding).unwrap();
    Api::namespaced(admin, "bookinfo").create(&post, &binding).await.unwrap();
}

#[tokio::test]
async fn commands_are_judged_by_the_rights_that_the_real_cluster_gives() {
    let Some(cluster) = RealCluster::start(Options { samples: Samples::Applied, ..Options::default() })
    else {
        return;
    };
    set_up(&cluster).await;
    let scene = Scene { cluster: &cluster, sluice: Served::on(&cluster, &[]).await };
    let service = "/api/v1/services/bookinfo/reviews";
    let traffic = format!("{service}/traffic");
    let split = |v1: u8| json!({"weights": {"v1": v1, "v2": 100 - v1}, "reason": "r", "ack": ["big_jump", "few_pods", "no_metrics"]});
    for (who, v1) in [("admin", 80), ("admin", 100)] {
        let tag = scene.call(who, "GET", service, None, "").await.etag.unwrap();
        let done = scene.call(who, "PUT", &traffic, Some(split(v1)), &tag).await;
        assert_eq!(done.status, 200, "{:?}", done.body);
    }
    let tag = scene.call("admin", "GET", service, None, "").await.etag.unwrap();
    for who in ["amy", "vic"] {
        let denied = scene.call(who, "PUT", &traffic, Some(split(50)), &tag).await;
        assert_eq!((denied.status, denied.code()), (403, "forbidden"), "{who}");
    }

    // A release of somebody who may.
    let spec = json!({"service": {"namespace": "bookinfo", "name": "reviews"}, "strategy": "canary", "stable": "v1",
        "candidate": {"from": "adopt", "version": "v2"},
        "steps": [{"kind": "weight", "percent": 30}, {"kind": "approval"}, {"kind": "weight", "percent": 100}]});
    for who in ["amy", "vic"] {
        let body = json!({"spec": spec, "reason": "mine"});
        let denied = scene.call(who, "POST", "/api/v1/releases", Some(body), "").await;
        assert_eq!((denied.status, denied.code()), (403, "forbidden"), "{who}: {:?}", denied.body);
    }
    let body = json!({"spec": spec, "reason": "REV-231"});
    let made = scene.call("admin", "POST", "/api/v1/releases", Some(body), "").await;
    assert_eq!(made.status, 200, "{:?}", made.body);
    let id = made.body["id"].as_str().unwrap().to_owned();
    scene.until(&id, "its approval step", |release| release["paused"]["reason"] == "gate").await;
    let before = scene.route().await;
    for who in ["amy", "vic"] {
        for command in [
            json!({"command": "rollback", "revision": 1}),
            json!({"command": "promote"}),
            json!({"command": "promote_all", "reason": "r"}),
            json!({"command": "change_steps", "reason": "r", "steps": [{"kind": "weight", "percent": 100}]}),
        ] {
            let denied = scene.say(who, &id, command.clone()).await;
            assert_eq!((denied.status, denied.code()), (403, "forbidden"), "{who} {command}");
        }
    }
    assert_eq!(scene.route().await["metadata"]["resourceVersion"], before["metadata"]["resourceVersion"]);

    // Done; the old version is retired by whoever may delete it.
    let passed = scene.say("admin", &id, json!({"command": "promote"})).await;
    assert_eq!(passed.status, 200, "{:?}", passed.body);
    scene.until(&id, "its end", |release| release["phase"] == "succeeded").await;
    let retire = json!({"command": "retire", "confirm": "reviews v1", "reason": "old"});
    let workloads: Api<Deployment> = Api::namespaced(cluster.client("admin").await, "bookinfo");
    for who in ["amy", "vic"] {
        let denied = scene.say(who, &id, retire.clone()).await;
        assert_eq!((denied.status, denied.code()), (403, "forbidden"), "{who}: {:?}", denied.body);
        assert!(workloads.get_opt("reviews-v1").await.unwrap().is_some(), "{who}");
    }
    let denied = scene.call("admin", "GET", "/api/v1/audit?result=refused&action=release", None, "").await;
    let actors: Vec<&str> =
        denied.body["items"].as_array().unwrap().iter().filter_map(|row| row["actor"].as_str()).collect();
    assert!(actors.contains(&"amy") && actors.contains(&"vic"), "{actors:?}");

    // A version without traffic goes from the service's page, by the same rights.
    let retire = json!({"version": "v3", "confirm": "reviews v3", "reason": "old", "ack": ["no_metrics"]});
    for (who, status) in [("amy", 403), ("vic", 403), ("admin", 200)] {
        let answer = scene.call(who, "POST", &format!("{traffic}/retire"), Some(retire.clone()), "").await;
        assert_eq!(answer.status, status, "{who}: {:?}", answer.body);
        assert_eq!(workloads.get_opt("reviews-v3").await.unwrap().is_some(), status == 403, "{who}");
    }

    // What the history shows.
    let path = "/api/v1/audit?service=bookinfo/reviews&action=set_traffic&result=applied";
    let row = scene.call("vic", "GET", path, None, "").await.body["items"][0]["id"].clone();
    for (who, may) in [("admin", true), ("vic", false)] {
        let full = scene.call(who, "GET", &format!("/api/v1/audit/{row}"), None, "").await;
        let text = full.body.to_string();
        assert_eq!(text.contains(SECRET), may, "{who}: {text}");
        assert_eq!(text.contains("platform"), may, "{who}: {text}");
    }
}
