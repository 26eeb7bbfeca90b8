//! Who may do what: tokens, refusals in words, and the two reviews by which Sluice asks for others.

use serde_json::{Value, json};

use super::{Answer, Harness, ISTIO, SERVICES, Scene, send, virtual_service};

fn refused(answer: &Answer, words: &str) {
    assert_eq!((answer.code, &answer.body["reason"]), (403, &json!("Forbidden")), "{answer:?}");
    assert_eq!(answer.body["message"], words);
}

pub async fn without_a_valid_token_nothing_is_answered(harness: &impl Harness) {
    let scene = Scene::new(harness).await;
    let stranger = harness.client("no-such-token").await;
    let answer = send(&stranger, "GET", &scene.path(SERVICES, "services"), None).await;
    assert_eq!(
        answer.body,
        json!({
            "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "message": "Unauthorized",
            "reason": "Unauthorized", "code": 401,
        })
    );
}

pub async fn what_nobody_allowed_is_forbidden_in_words(harness: &impl Harness) {
    let scene = Scene::new(harness).await;
    scene.virtual_service("reviews", &[100]).await;
    let vic = harness.client(&harness.token("vic")).await;
    let own = &scene.namespace;
    let path = scene.path(ISTIO, "virtualservices");
    let start = "virtualservices.networking.istio.io";
    let cannot = |object: &str, verb: &str| {
        format!(
            "{object} is forbidden: User \"vic\" cannot {verb} resource \"virtualservices\" in API group \
             \"networking.istio.io\" in the namespace \"{own}\""
        )
    };
    let one = format!("{start} \"reviews\"");
    refused(&send(&vic, "GET", &path, None).await, &cannot(start, "list"));
    refused(&send(&vic, "GET", &format!("{path}?watch=true"), None).await, &cannot(start, "watch"));
    refused(&send(&vic, "GET", &format!("{path}/reviews"), None).await, &cannot(&one, "get"));
    // The right comes first: a refused client does not learn what exists and what would be valid.
    let none = format!("{start} \"none\"");
    refused(&send(&vic, "GET", &format!("{path}/none"), None).await, &cannot(&none, "get"));
    let body = Some(virtual_service("other", &[100]));
    refused(&send(&vic, "POST", &path, body.clone()).await, &cannot(start, "create"));
    refused(&send(&vic, "PUT", &format!("{path}/reviews"), body).await, &cannot(&one, "update"));
    refused(&send(&vic, "DELETE", &format!("{path}/reviews"), None).await, &cannot(&one, "delete"));
    let answer = send(&vic, "GET", "/api/v1/services", None).await;
    refused(
        &answer,
        "services is forbidden: User \"vic\" cannot list resource \"services\" in API group \"\" at the cluster scope",
    );
    assert_eq!(answer.body["details"], json!({"kind": "services"}));
    let answer = send(&vic, "PUT", &format!("{path}/reviews/status"), Some(json!({}))).await;
    let words = cannot(&one, "update").replace("\"virtualservices\"", "\"virtualservices/status\"");
    refused(&answer, &words);
}

pub async fn a_right_opens_what_it_names_and_no_more(harness: &impl Harness) {
    let (scene, other) = (Scene::new(harness).await, Scene::new(harness).await);
    scene.virtual_service("reviews", &[100]).await;
    other.virtual_service("reviews", &[100]).await;
    harness.allow(&scene, "vic", &["get", "list"], "networking.istio.io", "virtualservices", &[]).await;
    let vic = harness.client(&harness.token("vic")).await;
    let path = scene.path(ISTIO, "virtualservices");
    assert_eq!(allowed(&vic, "GET", &path).await, 200);
    assert_eq!(allowed(&vic, "GET", &format!("{path}/reviews")).await, 200);
    assert_eq!(allowed(&vic, "GET", &format!("{path}/none")).await, 404);
    assert_eq!(allowed(&vic, "DELETE", &format!("{path}/reviews")).await, 403);
    assert_eq!(allowed(&vic, "GET", &other.path(ISTIO, "virtualservices")).await, 403);
    assert_eq!(allowed(&vic, "GET", "/apis/networking.istio.io/v1/virtualservices").await, 403);
    assert_eq!(allowed(&vic, "GET", &scene.path(ISTIO, "destinationrules")).await, 403);
    // A right on one object.
    harness.allow(&scene, "vic", &["delete"], "networking.istio.io", "virtualservices", &["ratings"]).await;
    assert_eq!(allowed(&vic, "DELETE", &format!("{path}/ratings")).await, 404);
    assert_eq!(allowed(&vic, "DELETE", &format!("{path}/reviews")).await, 403);
}

async fn allowed(client: &kube::Client, method: &str, path: &str) -> u16 {
    send(client, method, path, None).await.code
}

pub async fn a_token_review_tells_who_holds_a_token(harness: &impl Harness) {
    let scene = Scene::new(harness).await;
    let review = async |spec: Value| {
        let body = json!({"kind": "TokenReview", "apiVersion": "authentication.k8s.io/v1", "spec": spec});
        let answer = scene.post("/apis/authentication.k8s.io/v1/tokenreviews", body).await;
        assert_eq!((answer.code, &answer.body["kind"]), (201, &json!("TokenReview")), "{answer:?}");
        answer.body["status"].clone()
    };
    let status = review(json!({"token": harness.token("amy")})).await;
    assert_eq!(status["authenticated"], true);
    assert_eq!(status["user"]["username"], "amy");
    assert_eq!(status["user"]["groups"], json!(["release-managers", "system:authenticated"]));
    assert_eq!(status["audiences"][0], "https://kubernetes.default.svc");
    let status = review(json!({"token": "no-such-token"})).await;
    assert_ne!(status["authenticated"], true);
    assert_eq!(status["user"], json!({}));
    assert!(status["error"].as_str().unwrap().contains("invalid bearer token"), "{status}");
    // A token for the API server is none for anybody else.
    let status = review(json!({"token": harness.token("amy"), "audiences": ["sluice"]})).await;
    assert_ne!(status["authenticated"], true, "{status}");
    let both = json!(["sluice", "https://kubernetes.default.svc"]);
    let status = review(json!({"token": harness.token("amy"), "audiences": both})).await;
    assert_eq!(
        (&status["authenticated"], &status["audiences"]),
        (&json!(true), &json!(["https://kubernetes.default.svc"]))
    );
}

pub async fn an_access_review_answers_for_somebody_else(harness: &impl Harness) {
    let scene = Scene::new(harness).await;
    harness.allow(&scene, "vic", &["update"], "networking.istio.io", "virtualservices", &[]).await;
    let review = async |user: &str, groups: Value, verb: &str, namespace: &str| {
        let body = json!({
            "kind": "SubjectAccessReview", "apiVersion": "authorization.k8s.io/v1",
            "spec": {
                "user": user, "groups": groups,
                "resourceAttributes": {
                    "verb": verb, "group": "networking.istio.io", "resource": "virtualservices", "namespace": namespace,
                },
            },
        });
        let answer = scene.post("/apis/authorization.k8s.io/v1/subjectaccessreviews", body).await;
        assert_eq!(answer.code, 201, "{answer:?}");
        answer.body["status"]["allowed"].clone()
    };
    let own = scene.namespace.as_str();
    assert_eq!(review("vic", json!([]), "update", own).await, true);
    assert_eq!(review("vic", json!([]), "delete", own).await, false);
    assert_eq!(review("vic", json!([]), "update", "kube-system").await, false);
    assert_eq!(review("vic", json!([]), "update", "").await, false);
    assert_eq!(review("stranger", json!([]), "update", own).await, false);
    assert_eq!(review("stranger", json!(["system:masters"]), "update", own).await, true);
    // Whoever may not ask for others is refused; for themselves everybody may.
    let vic = harness.client(&harness.token("vic")).await;
    let body = json!({
        "kind": "SubjectAccessReview", "apiVersion": "authorization.k8s.io/v1",
        "spec": {"user": "amy", "resourceAttributes": {"verb": "get", "resource": "services"}},
    });
    let answer = send(&vic, "POST", "/apis/authorization.k8s.io/v1/subjectaccessreviews", Some(body)).await;
    refused(
        &answer,
        "subjectaccessreviews.authorization.k8s.io is forbidden: User \"vic\" cannot create resource \
         \"subjectaccessreviews\" in API group \"authorization.k8s.io\" at the cluster scope",
    );
    let body = json!({
        "kind": "SelfSubjectAccessReview", "apiVersion": "authorization.k8s.io/v1",
        "spec": {"resourceAttributes": {
            "verb": "update", "group": "networking.istio.io", "resource": "virtualservices", "namespace": own,
        }},
    });
    let answer =
        send(&vic, "POST", "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews", Some(body)).await;
    assert_eq!((answer.code, &answer.body["status"]["allowed"]), (201, &json!(true)), "{answer:?}");
}
