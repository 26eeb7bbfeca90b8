//! Identities on a real API server: a ServiceAccount is made, signs in, begins a release, and is deleted; and two
//! Sluices on one cluster know each other.

use k8s_openapi::api::core::v1::ServiceAccount;
use k8s_openapi::api::rbac::v1::RoleBinding;
use kube::api::{Api, DeleteParams, PostParams};
use serde_json::{Value, json};

use crate::support::cluster::RealCluster;
use crate::support::served::Served;
use crate::support::wait_for;

/// Called by the flow that holds the rights used against the rights granted.
pub async fn identities_on_a_real_api_server(cluster: &RealCluster, sluice: &Served) {
    two_sluices_know_each_other(cluster, sluice).await;
    let admin = cluster.client("admin").await;
    let accounts: Api<ServiceAccount> = Api::namespaced(admin.clone(), "weather");
    let post = PostParams::default();
    let account = json!({"metadata": {"name": "robot"}});
    accounts.create(&post, &serde_json::from_value(account).unwrap()).await.unwrap();
    let bindings: Api<RoleBinding> = Api::namespaced(admin.clone(), "weather");
    let binding = json!({"metadata": {"name": "robot"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "sluice-release-manager"},
        "subjects": [{"kind": "ServiceAccount", "name": "robot", "namespace": "weather"}]});
    bindings.create(&post, &serde_json::from_value(binding).unwrap()).await.unwrap();
    let request = json!({"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {"expirationSeconds": 3600}});
    let request = http::Request::post("/api/v1/namespaces/weather/serviceaccounts/robot/token")
        .header("content-type", "application/json")
        .body(request.to_string().into_bytes())
        .unwrap();
    let answer: Value = admin.request(request).await.unwrap();
    let token = answer["status"]["token"].as_str().unwrap();

    let cookie = sluice.sign_in(token).await;
    let headers = [("cookie", cookie.as_str())];
    let own = sluice.call("GET", "/api/v1/sessions", None, None, &headers).await;
    let session = &own.body["items"][0];
    assert_eq!(session["user"], "system:serviceaccount:weather:robot", "{:?}", own.body);
    let ends = |field: &str| session[field].as_str().unwrap().parse::<jiff::Timestamp>().unwrap();
    let lasts = ends("ends_at").duration_since(ends("created_at"));
    assert!(lasts <= jiff::SignedDuration::from_hours(1), "no longer than its token: {lasts:?}");
    let spec = json!({
        "service": {"namespace": "weather", "name": "advertisement"}, "strategy": "canary", "stable": "v1",
        "candidate": {"from": "adopt", "version": "v2"}, "policies": {"accept": ["gitops"]},
        "steps": [{"kind": "weight", "percent": 60}, {"kind": "hold", "seconds": 20},
            {"kind": "weight", "percent": 80}, {"kind": "weight", "percent": 100}],
    });
    let body = json!({"spec": spec, "reason": "REV-231"});
    let made = sluice.call("POST", "/api/v1/releases", Some(token), Some(body), &[]).await;
    assert_eq!(made.status, 200, "{:?}", made.body);
    let path = format!("/api/v1/releases/{}", made.body["id"].as_str().unwrap());
    let amy = Some(cluster.token("amy"));
    let release = async || sluice.call("GET", &path, amy, None, &[]).await.body;
    wait_for("it holds", async || (release().await["step"] == 1).then_some(())).await;

    accounts.delete("robot", &DeleteParams::default()).await.unwrap();
    let paused = wait_for("it is paused", async || {
        let release = release().await;
        (release["phase"] == "paused").then_some(release)
    })
    .await;
    assert_eq!(paused["paused"]["reason"], "lost_permission", "{paused}");
    assert_eq!(paused["paused"]["detail"]["code"], "owner_gone", "{paused}");
    assert_eq!(paused["percent"], 60);
    // Believed for a minute after the last review, and for ten seconds more by the API server itself.
    wait_for("the last answers are older", async || {
        let row = sluice.call("GET", "/api/v1/services", None, None, &headers).await;
        (row.status == 401).then_some(())
    })
    .await;
    let refused = sluice.call("GET", "/api/v1/services", Some(token), None, &[]).await;
    assert_eq!((refused.status, refused.code()), (401, "bad_token"));
    let path = "/api/v1/audit?action=revoke_session";
    let rows = sluice.call("GET", path, Some(cluster.token("aud")), None, &[]).await;
    assert_eq!(rows.body["items"][0]["refusal"]["code"], "session_token_ended", "{:?}", rows.body);
}

async fn two_sluices_know_each_other(cluster: &RealCluster, first: &Served) {
    let second = Served::on(cluster, &["--lease-namespace", "sluice"]).await;
    let is_other = |notice: &Value| notice["code"] == "another_sluice";
    for sluice in [first, &second] {
        let told = wait_for("the other is known", async || {
            let ready = sluice.call("GET", "/readyz", None, None, &[]).await;
            ready.body["notices"].as_array()?.iter().any(is_other).then_some(ready)
        })
        .await;
        assert_eq!(told.status, 200, "told, not refused: {:?}", told.body);
        let list = sluice.call("GET", "/api/v1/services", Some(cluster.token("amy")), None, &[]).await;
        let notices = list.body["notices"].as_array().unwrap();
        assert!(notices.iter().any(is_other), "{notices:?}");
    }
}
