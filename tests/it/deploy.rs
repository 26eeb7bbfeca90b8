//! `deploy/` on a real API server: every object is accepted as it is, its pod may run under the
//! restricted profile, and its rights are the ones that Sluice needs and no more.

use std::collections::{BTreeMap, BTreeSet};

use clap::Parser;
use k8s_openapi::api::core::v1::{Namespace, PersistentVolumeClaim, Pod};
use kube::api::{Api, DynamicObject, ListParams, PostParams};
use serde_json::{Value, json};

use sluice::config::{Auth, Cli, Command};

use crate::support::cluster::{Options, RealCluster, repository};
use crate::support::deploy::{Right, deploy_objects, every, rights_granted, rights_of, rights_used};
use crate::support::wait_for;

/// One of each kind in `deploy/`, as a path of the API.
fn path(object: &Value) -> String {
    let plural = match object["kind"].as_str().expect("kind") {
        "NetworkPolicy" => "networkpolicies".to_owned(),
        kind => format!("{}s", kind.to_lowercase()),
    };
    let version = object["apiVersion"].as_str().expect("apiVersion");
    let root = if version.contains('/') { "apis" } else { "api" };
    match object["metadata"]["namespace"].as_str() {
        Some(namespace) => format!("/{root}/{version}/namespaces/{namespace}/{plural}"),
        None => format!("/{root}/{version}/{plural}"),
    }
}

#[tokio::test]
async fn the_api_server_accepts_every_object_of_deploy_and_the_pod_gets_ready() {
    let Some(cluster) = RealCluster::start(Options::default()) else { return };
    let client = cluster.client("admin").await;
    for object in deploy_objects() {
        let name = object["metadata"]["name"].as_str().expect("name");
        // Server-side apply, because the rights are there already; strict, so an unknown or a
        // duplicate field is an error.
        let url = format!("{}/{name}?fieldManager=deploy&force=true&fieldValidation=Strict", path(&object));
        let request = http::Request::patch(url)
            .header("content-type", "application/apply-patch+yaml")
            .body(serde_json::to_vec(&object).expect("JSON"))
            .expect("request");
        let answer: Result<Value, kube::Error> = client.request(request).await;
        answer.unwrap_or_else(|error| panic!("{} {name}: {error}", object["kind"]));
    }

    let pods: Api<Pod> = Api::namespaced(client.clone(), "sluice");
    let claims: Api<PersistentVolumeClaim> = Api::namespaced(client, "sluice");
    wait_for("the pod of deploy/ is ready", async || {
        let pods = pods.list(&ListParams::default()).await.ok()?;
        let status = pods.items.first()?.status.clone()?;
        status.conditions?.iter().any(|c| c.type_ == "Ready" && c.status == "True").then_some(())
    })
    .await;
    let claim = claims.get("sluice-data").await.expect("claim");
    assert_eq!(claim.status.and_then(|status| status.phase).as_deref(), Some("Bound"));
}

#[tokio::test]
async fn the_namespace_refuses_a_pod_that_asks_for_more() {
    let Some(cluster) = RealCluster::shared() else { return };
    let client = cluster.client("admin").await;
    let pods: Api<Pod> = Api::namespaced(client, "sluice");
    let pod: Pod = serde_json::from_value(json!({
        "metadata": {"name": "greedy"},
        "spec": {"containers": [{"name": "a", "image": "a:1", "securityContext": {"runAsUser": 0}}]},
    }))
    .expect("pod");
    let refused = pods.create(&PostParams { dry_run: true, ..PostParams::default() }, &pod).await;
    let error = refused.expect_err("must be refused").to_string();
    assert!(error.contains("PodSecurity \"restricted"), "{error}");
}

const ISTIO: &str = "networking.istio.io";

/// Whether the API server's own RBAC lets the holder of the client do that.
async fn may(client: &kube::Client, verb: &str, group: &str, resource: &str, namespace: &str) -> bool {
    let attributes = json!({"verb": verb, "group": group, "resource": resource, "namespace": namespace});
    let review = json!({
        "apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectAccessReview", "spec": {"resourceAttributes": attributes},
    });
    ask(client, "authorization.k8s.io/v1/selfsubjectaccessreviews", &review).await["allowed"] == json!(true)
}

/// Posts a review and returns its status.
async fn ask(client: &kube::Client, path: &str, review: &Value) -> Value {
    let request = http::Request::post(format!("/apis/{path}")).header("content-type", "application/json");
    let request = request.body(review.to_string().into_bytes()).expect("request");
    let answer: Value = client.request(request).await.expect("review");
    answer["status"].clone()
}

#[tokio::test]
async fn sluice_holds_the_rights_of_deploy_and_no_others() {
    let Some(cluster) = RealCluster::shared() else { return };
    let client = cluster.client("sluice").await;
    assert!(rights_of("ClusterRole").len() > 20 && rights_of("Role").len() == 3);
    for (namespace, granted) in [("bookinfo", rights_of("ClusterRole")), ("sluice", rights_granted())] {
        // The API server's own list of everything that RBAC allows here, from whatever binding.
        let review = json!({"apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectRulesReview", "spec": {"namespace": namespace}});
        let status = ask(&client, "authorization.k8s.io/v1/selfsubjectrulesreviews", &review).await;
        assert_eq!(status["incomplete"], json!(false));
        let rules = status["resourceRules"].as_array().expect("rules");
        // Kubernetes gives these to whoever is signed in (ClusterRole system:basic-user).
        let everybodys = |right: &Right| right.verb == "create" && right.resource.starts_with("selfsubject");
        let held: BTreeSet<Right> = rules.iter().flat_map(every).filter(|right| !everybodys(right)).collect();
        assert_eq!(held, granted, "{namespace}");
    }
}

#[tokio::test]
async fn the_api_server_records_which_rights_sluice_uses() {
    let Some(cluster) = RealCluster::shared() else { return };
    let sluice = cluster.client("sluice").await;
    assert!(may(&sluice, "list", "", "namespaces", "").await);
    let namespaces: Api<Namespace> = Api::all(sluice);
    namespaces.list(&ListParams::default()).await.expect("list");
    let used = rights_used(cluster);
    let listed = Right { verb: "list".to_owned(), group: String::new(), resource: "namespaces".to_owned() };
    assert!(used.contains(&listed) && rights_granted().contains(&listed), "{used:?}");
}

#[tokio::test]
async fn people_may_do_what_the_table_says() {
    let Some(cluster) = RealCluster::shared() else { return };
    // Person; may see (list services) and change (update virtualservices) in all, bookinfo, weather, default.
    let table = [
        ("admin", "see: all bookinfo weather default; change: all bookinfo weather default"),
        ("amy", "see: all bookinfo weather default; change: bookinfo weather"),
        ("vic", "see: bookinfo; change:"),
        ("aud", "see: all bookinfo weather default; change:"),
        ("nobody", "see:; change:"),
        ("portal", "see: weather; change: weather"),
        ("sluice", "see: all bookinfo weather default; change: all bookinfo weather default"),
    ];
    for (person, expected) in table {
        let client = &cluster.client(person).await;
        let mut found = "see:".to_owned();
        for (what, verb, group, resource) in
            [("", "list", "", "services"), ("; change:", "update", ISTIO, "virtualservices")]
        {
            found.push_str(what);
            for (name, namespace) in
                [("all", ""), ("bookinfo", "bookinfo"), ("weather", "weather"), ("default", "default")]
            {
                if may(client, verb, group, resource, namespace).await {
                    found = format!("{found} {name}");
                }
            }
        }
        assert_eq!(found, expected, "{person}");
        if person != "admin" {
            assert!(!may(client, "get", "", "secrets", "bookinfo").await, "{person} reads secrets");
            // Whoever moves traffic may also take away what was created for that, and nobody else.
            for namespace in ["bookinfo", "weather", "default"] {
                assert_eq!(
                    may(client, "delete", ISTIO, "virtualservices", namespace).await,
                    may(client, "update", ISTIO, "virtualservices", namespace).await,
                    "{person} deletes routes in {namespace}"
                );
                assert!(
                    !may(client, "deletecollection", ISTIO, "virtualservices", namespace).await,
                    "{person} deletes many routes at once in {namespace}"
                );
            }
        }
    }
}

#[tokio::test]
async fn a_token_review_names_the_person_and_the_groups() {
    let Some(cluster) = RealCluster::shared() else { return };
    // With Sluice's own rights, as Sluice asks.
    let sluice = cluster.client("sluice").await;
    for (person, user, group) in [
        ("amy", "amy", "release-managers"),
        ("aud", "aud", "auditors"),
        ("nobody", "nobody", "system:authenticated"),
        ("portal", "system:serviceaccount:platform:portal", "system:serviceaccounts:platform"),
    ] {
        let status = review(&sluice, cluster.token(person)).await;
        assert_eq!(status["authenticated"], json!(true), "{person}");
        assert_eq!(status["user"]["username"], json!(user));
        assert!(status["user"]["groups"].as_array().expect("groups").contains(&json!(group)), "{status}");
    }
    assert_ne!(review(&sluice, "made-up").await["authenticated"], json!(true));
}

async fn review(client: &kube::Client, token: &str) -> Value {
    let body =
        json!({"apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview", "spec": {"token": token}});
    ask(client, "authentication.k8s.io/v1/tokenreviews", &body).await
}

#[test]
fn the_pod_of_deploy_is_locked_down() {
    let objects = deploy_objects();
    let deployment = objects.iter().find(|o| o["kind"] == "Deployment").expect("Deployment");
    let pod = &deployment["spec"]["template"]["spec"];
    let container = &pod["containers"][0];
    for (what, found, expected) in [
        ("user", &pod["securityContext"]["runAsUser"], json!(65532)),
        ("not root", &pod["securityContext"]["runAsNonRoot"], json!(true)),
        ("seccomp", &pod["securityContext"]["seccompProfile"]["type"], json!("RuntimeDefault")),
        ("read-only root", &container["securityContext"]["readOnlyRootFilesystem"], json!(true)),
        ("escalation", &container["securityContext"]["allowPrivilegeEscalation"], json!(false)),
        ("capabilities", &container["securityContext"]["capabilities"], json!({"drop": ["ALL"]})),
        ("ready", &container["readinessProbe"]["httpGet"]["path"], json!("/readyz")),
        ("alive", &container["livenessProbe"]["httpGet"]["path"], json!("/healthz")),
        ("one writer", &deployment["spec"]["strategy"]["type"], json!("Recreate")),
        ("one replica", &deployment["spec"]["replicas"], json!(1)),
    ] {
        assert_eq!(*found, expected, "{what}");
    }
    // Writable folders: the volume and scratch space, nothing else.
    assert_eq!(container["volumeMounts"].as_array().map(Vec::len), Some(2));
    // The image runs as the same user, without a shell.
    let dockerfile = std::fs::read_to_string(repository().join("deploy/Dockerfile")).expect("Dockerfile");
    assert!(dockerfile.contains("USER 65532:65532") && dockerfile.contains("distroless"));
}

#[test]
fn sluice_understands_what_the_deployment_and_the_image_start_it_with() {
    let objects = deploy_objects();
    let deployment = objects.iter().find(|o| o["kind"] == "Deployment").expect("Deployment");
    let in_pod: Vec<String> =
        serde_json::from_value(deployment["spec"]["template"]["spec"]["containers"][0]["args"].clone())
            .expect("args");
    let dockerfile = std::fs::read_to_string(repository().join("deploy/Dockerfile")).expect("Dockerfile");
    let command = dockerfile.lines().find_map(|line| line.strip_prefix("CMD ")).expect("CMD");
    let in_image: Vec<String> = serde_json::from_str(command).expect("CMD as a list");
    for args in [in_pod, in_image] {
        let cli = Cli::try_parse_from(std::iter::once("sluice".to_owned()).chain(args)).expect("options");
        let Command::Serve(serve) = cli.command else { panic!("not `serve`") };
        assert_eq!(serve.listen.port(), 8080);
        assert_eq!(serve.auth, Auth::Token, "an open door on an open address");
    }
}

#[test]
fn kustomize_needs_no_generator_and_leaves_out_no_file() {
    let base = repository().join("deploy/kustomize/base");
    let text = std::fs::read_to_string(base.join("kustomization.yaml")).expect("kustomization.yaml");
    let kustomization: BTreeMap<String, Value> = serde_saphyr::from_str(&text).expect("YAML");
    // What kubectl applies is what the tests read, only without transformers.
    assert_eq!(
        kustomization.keys().map(String::as_str).collect::<Vec<_>>(),
        ["apiVersion", "kind", "resources"]
    );
    let mut named: Vec<String> = serde_json::from_value(kustomization["resources"].clone()).expect("names");
    named.push("kustomization.yaml".to_owned());
    named.sort();
    let mut found: Vec<String> = std::fs::read_dir(base)
        .expect("folder")
        .map(|entry| entry.expect("entry").file_name().to_string_lossy().into_owned())
        .collect();
    found.sort();
    assert_eq!(named, found);
}

/// The client of a viewer gets no further than RBAC lets it, whatever the page would like to show.
#[tokio::test]
async fn a_viewer_of_one_namespace_is_refused_the_list_of_all() {
    let Some(cluster) = RealCluster::shared() else { return };
    let services = kube::core::ApiResource::from_gvk(&kube::core::GroupVersionKind::gvk("", "v1", "Service"));
    let vic = cluster.client("vic").await;
    let all: Api<DynamicObject> = Api::all_with(vic.clone(), &services);
    let one: Api<DynamicObject> = Api::namespaced_with(vic, "bookinfo", &services);
    let refused = all.list(&ListParams::default()).await.expect_err("must be refused");
    assert!(matches!(refused, kube::Error::Api(status) if status.code == 403));
    assert_eq!(one.list(&ListParams::default()).await.expect("list").items.len(), 5);
}
