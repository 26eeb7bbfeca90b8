//! POST, PUT, PATCH, DELETE that are carried out: versions, conflicts, dry runs, generations, patches, finalizers.

use serde_json::{Value, json};

use super::{Harness, ISTIO, SERVICES, Scene, service, version, virtual_service};

const MERGE: &str = "application/merge-patch+json";
const JSON_PATCH: &str = "application/json-patch+json";

fn generation(object: &Value) -> i64 {
    object["metadata"]["generation"].as_i64().unwrap()
}

pub async fn what_is_created_gets_its_identity(harness: &impl Harness) {
    let scene = Scene::new(harness).await;
    let mut body = virtual_service("reviews", &[30, 70]);
    body["metadata"]["generation"] = 7.into();
    body["status"] = json!({"mine": true});
    let path = scene.path(ISTIO, "virtualservices");
    let made = scene.post(&format!("{path}?fieldManager=sluice"), body.clone()).await;
    assert_eq!(made.code, 201, "{made:?}");
    let meta = &made.body["metadata"];
    assert_eq!((&meta["namespace"], generation(&made.body)), (&json!(scene.namespace), 1));
    assert_eq!(meta["uid"].as_str().unwrap().len(), 36);
    let time = meta["creationTimestamp"].as_str().unwrap();
    assert!(time.len() == 20 && time.ends_with('Z'), "{time}");
    assert_eq!(made.body["spec"], body["spec"]);
    // The status is not written by whoever writes the object.
    assert_eq!(made.body.get("status"), None);
    let managed = &meta["managedFields"][0];
    assert_eq!(
        (&managed["manager"], &managed["operation"], &managed["apiVersion"]),
        (&json!("sluice"), &json!("Update"), &json!("networking.istio.io/v1"))
    );
    assert!(managed["fieldsV1"]["f:spec"]["f:http"].is_object());
    assert_eq!(scene.get(&format!("{path}/reviews")).await.body, made.body);
    // A name can be left to the server.
    body["metadata"] = json!({"generateName": "reviews-"});
    let made = scene.post(&path, body).await.body;
    let name = made["metadata"]["name"].as_str().unwrap();
    assert!(name.starts_with("reviews-") && name.len() == "reviews-".len() + 5, "{name}");
}

pub async fn the_same_name_twice_is_refused(harness: &impl Harness) {
    let scene = Scene::new(harness).await;
    scene.virtual_service("reviews", &[100]).await;
    let path = scene.path(ISTIO, "virtualservices");
    for query in ["", "?dryRun=All"] {
        let answer = scene.post(&format!("{path}{query}"), virtual_service("reviews", &[100])).await;
        assert_eq!((answer.code, &answer.body["reason"]), (409, &json!("AlreadyExists")));
        assert_eq!(answer.body["message"], "virtualservices.networking.istio.io \"reviews\" already exists");
    }
}

pub async fn a_stale_put_is_a_conflict(harness: &impl Harness) {
    let scene = Scene::new(harness).await;
    let path = scene.path(ISTIO, "virtualservices/reviews");
    let stale = scene.virtual_service("reviews", &[50, 50]).await;
    let mut fresh = stale.clone();
    fresh["spec"]["http"][0]["route"][0]["weight"] = 60.into();
    fresh["spec"]["http"][0]["route"][1]["weight"] = 40.into();
    assert_eq!(scene.put(&path, fresh).await.code, 200);
    let answer = scene.put(&path, stale.clone()).await;
    assert_eq!(
        answer.body,
        json!({
            "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "reason": "Conflict", "code": 409,
            "message": "Operation cannot be fulfilled on virtualservices.networking.istio.io \"reviews\": the object \
                        has been modified; please apply your changes to the latest version and try again",
            "details": {"name": "reviews", "group": "networking.istio.io", "kind": "virtualservices"},
        })
    );
    // A dry run and a patch that names the old version meet the same refusal.
    assert_eq!(scene.put(&format!("{path}?dryRun=All"), stale.clone()).await.code, 409);
    let change = json!({"metadata": {"resourceVersion": version(&stale)}, "spec": {"hosts": ["x"]}});
    assert_eq!(scene.patch(&path, MERGE, change).await.code, 409);
    let now = scene.get(&path).await.body;
    assert_eq!(now["spec"]["http"][0]["route"][0]["weight"], 60);
    // A version from the future is as wrong as an old one.
    let mut future = now.clone();
    future["metadata"]["resourceVersion"] = "99999999999".into();
    assert_eq!(scene.put(&path, future).await.code, 409);
    // So is another object of the same name.
    let mut other = now;
    other["metadata"]["uid"] = "00000000-0000-4000-8000-000000000000".into();
    let answer = scene.put(&path, other).await;
    assert_eq!((answer.code, &answer.body["reason"]), (409, &json!("Conflict")), "{answer:?}");
}

pub async fn a_put_without_a_version_is_refused_for_custom_resources_only(harness: &impl Harness) {
    let scene = Scene::new(harness).await;
    scene.virtual_service("reviews", &[50, 50]).await;
    let answer =
        scene.put(&scene.path(ISTIO, "virtualservices/reviews"), virtual_service("reviews", &[100])).await;
    assert_eq!((answer.code, &answer.body["reason"]), (422, &json!("Invalid")));
    assert_eq!(
        answer.body["message"],
        "virtualservices.networking.istio.io \"reviews\" is invalid: metadata.resourceVersion: Invalid value: 0: \
         must be specified for an update"
    );
    assert_eq!(answer.body["details"]["causes"][0]["field"], "metadata.resourceVersion");
    scene.service("reviews", json!({"app": "reviews"})).await;
    let changed =
        scene.put(&scene.path(SERVICES, "services/reviews"), service("reviews", json!({"app": "x"}))).await;
    assert_eq!((changed.code, &changed.body["metadata"]["labels"]["app"]), (200, &json!("x")), "{changed:?}");
}

pub async fn a_put_to_nothing_creates_some_kinds_only(harness: &impl Harness) {
    let scene = Scene::new(harness).await;
    let mut body = virtual_service("reviews", &[100]);
    body["metadata"]["resourceVersion"] = "1".into();
    let answer = scene.put(&scene.path(ISTIO, "virtualservices/reviews"), body).await;
    assert_eq!((answer.code, &answer.body["reason"]), (404, &json!("NotFound")), "{answer:?}");
    let answer = scene.put(&scene.path(SERVICES, "services/reviews"), service("reviews", json!({}))).await;
    assert_eq!(answer.code, 201, "{answer:?}");
}

pub async fn a_dry_run_answers_and_leaves_nothing(harness: &impl Harness) {
    let scene = Scene::new(harness).await;
    let path = scene.path(ISTIO, "virtualservices");
    let tried = scene.post(&format!("{path}?dryRun=All"), virtual_service("reviews", &[100])).await;
    assert_eq!((tried.code, &tried.body["spec"]["hosts"]), (201, &json!(["reviews"])), "{tried:?}");
    assert_eq!((version(&tried.body), tried.body["metadata"]["uid"].is_string()), (String::new(), true));
    assert_eq!(scene.get(&format!("{path}/reviews")).await.code, 404);

    let made = scene.virtual_service("reviews", &[50, 50]).await;
    let mut changed = made.clone();
    changed["spec"]["hosts"] = json!(["other"]);
    let tried = scene.put(&format!("{path}/reviews?dryRun=All&fieldValidation=Strict"), changed).await;
    assert_eq!((tried.code, &tried.body["spec"]["hosts"]), (200, &json!(["other"])));
    assert_eq!((generation(&tried.body), version(&tried.body)), (2, version(&made)));
    let tried =
        scene.patch(&format!("{path}/reviews?dryRun=All"), MERGE, json!({"spec": {"hosts": ["x"]}})).await;
    assert_eq!((tried.code, &tried.body["spec"]["hosts"]), (200, &json!(["x"])));
    let tried = scene.delete(&format!("{path}/reviews"), Some(json!({"dryRun": ["All"]}))).await;
    assert_eq!(tried.code, 200);
    assert_eq!(scene.get(&format!("{path}/reviews")).await.body, made);
    let answer = scene.post(&format!("{path}?dryRun=Some"), virtual_service("x", &[100])).await;
    assert_eq!((answer.code, &answer.body["reason"]), (422, &json!("Invalid")), "{answer:?}");
}

pub async fn the_generation_follows_the_spec(harness: &impl Harness) {
    let scene = Scene::new(harness).await;
    let path = scene.path(ISTIO, "virtualservices/reviews");
    let mut object = scene.virtual_service("reviews", &[50, 50]).await;
    let first = version(&object);
    object["metadata"]["annotations"] = json!({"a": "b"});
    object["metadata"]["labels"] = json!({"a": "b"});
    let mut object = scene.put(&path, object).await.body;
    assert_eq!(generation(&object), 1);
    assert_ne!(version(&object), first);
    object["spec"]["hosts"] = json!(["other"]);
    object["metadata"]["generation"] = 40.into();
    let mut object = scene.put(&path, object).await.body;
    assert_eq!(generation(&object), 2);
    // A client cannot take identity away.
    let (uid, born) = (object["metadata"]["uid"].clone(), object["metadata"]["creationTimestamp"].clone());
    let meta = object["metadata"].as_object_mut().unwrap();
    meta.remove("uid");
    meta.insert("creationTimestamp".into(), Value::Null);
    let object = scene.put(&path, object).await.body;
    assert_eq!((&object["metadata"]["uid"], &object["metadata"]["creationTimestamp"]), (&uid, &born));
    assert_eq!(generation(&object), 2);
}

pub async fn the_status_has_a_path_of_its_own(harness: &impl Harness) {
    let scene = Scene::new(harness).await;
    let path = scene.path(ISTIO, "virtualservices/reviews");
    let mut object = scene.virtual_service("reviews", &[50, 50]).await;
    object["status"] = json!({"conditions": [{"type": "Reconciled"}]});
    object["spec"]["hosts"] = json!(["ignored"]);
    let written = scene.put(&format!("{path}/status"), object).await;
    assert_eq!(written.code, 200, "{written:?}");
    let mut object = scene.get(&path).await.body;
    assert_eq!(object["status"]["conditions"][0]["type"], "Reconciled");
    assert_eq!((&object["spec"]["hosts"], generation(&object)), (&json!(["reviews"]), 1));
    let managers = object["metadata"]["managedFields"].as_array().unwrap();
    assert!(managers.iter().any(|m| m["subresource"] == "status"), "{managers:?}");
    // A write of the object leaves the status alone.
    object["status"] = json!({"mine": true});
    object["spec"]["hosts"] = json!(["other"]);
    let object = scene.put(&path, object).await.body;
    assert_eq!((&object["status"]["conditions"][0]["type"], generation(&object)), (&json!("Reconciled"), 2));
    let patched =
        scene.patch(&format!("{path}/status"), MERGE, json!({"status": {"conditions": null}})).await;
    assert_eq!((patched.code, patched.body["status"].get("conditions")), (200, None), "{patched:?}");
}

pub async fn patches_change_what_they_name(harness: &impl Harness) {
    let scene = Scene::new(harness).await;
    let path = scene.path(ISTIO, "virtualservices/reviews");
    scene.virtual_service("reviews", &[50, 50]).await;
    let merge = json!({"metadata": {"annotations": {"why": "test"}}, "spec": {"gateways": ["mesh"]}});
    let patched = scene.patch(&path, MERGE, merge).await;
    assert_eq!((patched.code, &patched.body["spec"]["gateways"]), (200, &json!(["mesh"])), "{patched:?}");
    assert_eq!(patched.body["spec"]["http"][0]["route"][1]["weight"], 50);
    let steps = json!([
        {"op": "test", "path": "/spec/http/0/route/0/weight", "value": 50},
        {"op": "replace", "path": "/spec/http/0/route/0/weight", "value": 20},
        {"op": "replace", "path": "/spec/http/0/route/1/weight", "value": 80},
        {"op": "remove", "path": "/spec/gateways"},
    ]);
    let patched = scene.patch(&path, JSON_PATCH, steps.clone()).await;
    assert_eq!((patched.code, &patched.body["spec"]["http"][0]["route"][0]["weight"]), (200, &json!(20)));
    // The test does not hold any more: nothing is changed.
    let answer = scene.patch(&path, JSON_PATCH, steps).await;
    assert_eq!((answer.code, &answer.body["reason"]), (422, &json!("Invalid")), "{answer:?}");
    let answer = scene.patch(&path, "application/strategic-merge-patch+json", json!({})).await;
    assert_eq!((answer.code, &answer.body["reason"]), (415, &json!("UnsupportedMediaType")), "{answer:?}");
    let answer = scene.patch(&scene.path(ISTIO, "virtualservices/none"), MERGE, json!({})).await;
    assert_eq!(answer.code, 404);
    scene.service("reviews", json!({"app": "reviews"})).await;
    let strategic = json!({"metadata": {"labels": {"app": null, "team": "red"}}});
    let patched = scene
        .patch(&scene.path(SERVICES, "services/reviews"), "application/strategic-merge-patch+json", strategic)
        .await;
    assert_eq!(patched.body["metadata"]["labels"], json!({"team": "red"}), "{patched:?}");
}

pub async fn a_deletion_keeps_its_preconditions(harness: &impl Harness) {
    let scene = Scene::new(harness).await;
    let path = scene.path(ISTIO, "virtualservices/reviews");
    let made = scene.virtual_service("reviews", &[100]).await;
    for wrong in [json!({"uid": "00000000-0000-4000-8000-000000000000"}), json!({"resourceVersion": "1"})] {
        let answer = scene.delete(&path, Some(json!({"preconditions": wrong}))).await;
        assert_eq!((answer.code, &answer.body["reason"]), (409, &json!("Conflict")), "{answer:?}");
    }
    let right = json!({"uid": made["metadata"]["uid"], "resourceVersion": version(&made)});
    let answer = scene.delete(&path, Some(json!({"preconditions": right}))).await;
    assert_eq!((answer.code, &answer.body["status"]), (200, &json!("Success")), "{answer:?}");
    assert_eq!(
        answer.body["details"],
        json!({"name": "reviews", "group": "networking.istio.io", "kind": "virtualservices", "uid": made["metadata"]["uid"]})
    );
    assert_eq!(scene.delete(&path, None).await.code, 404);
}

/// With a body, what the address says of a deletion is passed over: `?dryRun=All` does not keep the object.
pub async fn a_deletion_with_a_body_is_a_dry_run_only_by_its_body(harness: &impl Harness) {
    let scene = Scene::new(harness).await;
    let path = scene.path(ISTIO, "virtualservices/reviews");
    let made = scene.virtual_service("reviews", &[100]).await;
    let right = json!({"uid": made["metadata"]["uid"], "resourceVersion": version(&made)});
    let dry = json!({"preconditions": right, "dryRun": ["All"]});
    assert_eq!(scene.delete(&path, Some(dry.clone())).await.code, 200);
    assert_eq!(scene.delete(&format!("{path}?dryRun=All"), Some(dry)).await.code, 200);
    assert_eq!(scene.delete(&format!("{path}?dryRun=All"), None).await.code, 200);
    assert_eq!(scene.get(&path).await.body, made);
    let answer = scene.delete(&format!("{path}?dryRun=All"), Some(json!({"preconditions": right}))).await;
    assert_eq!(answer.code, 200);
    assert_eq!(scene.get(&path).await.code, 404);
}

pub async fn finalizers_hold_an_object_back(harness: &impl Harness) {
    let scene = Scene::new(harness).await;
    let path = scene.path(ISTIO, "virtualservices/reviews");
    let mut body = virtual_service("reviews", &[100]);
    body["metadata"]["finalizers"] = json!(["example.com/hold"]);
    assert_eq!(scene.post(&scene.path(ISTIO, "virtualservices"), body).await.code, 201);
    let answer = scene.delete(&path, None).await;
    assert_eq!(answer.code, 200, "{answer:?}");
    let waiting = scene.get(&path).await.body;
    assert!(waiting["metadata"]["deletionTimestamp"].is_string());
    assert_eq!(generation(&waiting), 2);
    let patched = scene.patch(&path, MERGE, json!({"metadata": {"finalizers": null}})).await;
    assert_eq!(patched.code, 200, "{patched:?}");
    assert_eq!(scene.get(&path).await.code, 404);
}

pub async fn managed_fields_tell_who_wrote_last(harness: &impl Harness) {
    let scene = Scene::new(harness).await;
    let path = scene.path(ISTIO, "virtualservices/reviews");
    let mut object = scene.virtual_service("reviews", &[50, 50]).await;
    object["spec"]["http"][0]["route"][0]["weight"] = 10.into();
    object["spec"]["http"][0]["route"][1]["weight"] = 90.into();
    let object = scene.put(&format!("{path}?fieldManager=second"), object).await.body;
    let managers = object["metadata"]["managedFields"].as_array().unwrap();
    let of = |name: &str| managers.iter().find(|m| m["manager"] == name).map(|m| &m["fieldsV1"]["f:spec"]);
    // All of `http` is one list: whoever changes a weight owns it.
    assert!(of("second").unwrap()["f:http"].is_object(), "{managers:?}");
    assert!(of("second").unwrap().get("f:hosts").is_none(), "{managers:?}");
    // Without the parameter it is the first word of the user agent.
    assert!(of("behaviours").unwrap()["f:hosts"].is_object(), "{managers:?}");
    assert!(of("behaviours").unwrap().get("f:http").is_none(), "{managers:?}");
}

pub async fn many_are_deleted_by_selector(harness: &impl Harness) {
    let scene = Scene::new(harness).await;
    for (name, team) in [("a", "red"), ("b", "red"), ("c", "blue")] {
        let mut body = virtual_service(name, &[100]);
        body["metadata"]["labels"] = json!({"team": team});
        assert_eq!(scene.post(&scene.path(ISTIO, "virtualservices"), body).await.code, 201);
    }
    let answer = scene.delete(&scene.path(ISTIO, "virtualservices?labelSelector=team%3Dred"), None).await;
    assert_eq!(answer.code, 200, "{answer:?}");
    let left = scene.get(&scene.path(ISTIO, "virtualservices")).await.body;
    assert_eq!(super::names(&left), ["c"]);
}

pub async fn of_many_writes_of_one_version_one_wins(harness: &impl Harness) {
    let scene = Scene::new(harness).await;
    let path = scene.path(ISTIO, "virtualservices/reviews");
    let object = scene.virtual_service("reviews", &[50, 50]).await;
    let writes = (0..12).map(|n| {
        let mut body = object.clone();
        body["spec"]["hosts"] = json!([format!("writer-{n}")]);
        scene.put(&path, body)
    });
    let mut codes: Vec<u16> = futures::future::join_all(writes).await.iter().map(|a| a.code).collect();
    codes.sort_unstable();
    assert_eq!(codes[0], 200);
    assert_eq!(codes[1..], [409; 11]);
}
