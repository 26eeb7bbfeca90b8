//! GET and LIST: kinds, versions, selectors, forms, what does not exist.

use serde_json::{Value, json};

use super::{Harness, ISTIO, SERVICES, Scene, names, version};

pub async fn a_list_tells_its_kind_and_its_version(harness: &impl Harness) {
    let scene = Scene::new(harness).await;
    let made = scene.service("reviews", json!({"app": "reviews"})).await;
    let list = scene.get(&scene.path(SERVICES, "services")).await.body;
    assert_eq!((&list["kind"], &list["apiVersion"]), (&json!("ServiceList"), &json!("v1")));
    assert_eq!(names(&list), ["reviews"]);
    assert!(version(&list).parse::<u64>().unwrap() >= version(&made).parse().unwrap());
    // Items of built-in lists carry no type, those of custom resources do.
    assert_eq!(list["items"][0].get("kind"), None);
    scene.virtual_service("reviews", &[100]).await;
    let list = scene.get(&scene.path(ISTIO, "virtualservices")).await.body;
    assert_eq!(list["kind"], "VirtualServiceList");
    assert_eq!(list["items"][0]["kind"], "VirtualService");
    assert_eq!(list["items"][0]["apiVersion"], "networking.istio.io/v1");
}

pub async fn what_does_not_exist_is_a_status_not_found(harness: &impl Harness) {
    let scene = Scene::new(harness).await;
    let answer = scene.get(&scene.path(ISTIO, "virtualservices/none")).await;
    assert_eq!(
        answer.body,
        json!({
            "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
            "message": "virtualservices.networking.istio.io \"none\" not found",
            "reason": "NotFound",
            "details": {"name": "none", "group": "networking.istio.io", "kind": "virtualservices"},
            "code": 404,
        })
    );
    let answer = scene.get(&scene.path(SERVICES, "services/none")).await;
    assert_eq!(answer.body["message"], "services \"none\" not found");
    assert_eq!(answer.body["details"], json!({"name": "none", "kind": "services"}));
    // Nothing at all of an unknown group, version or resource: plain words, no Status.
    for path in ["/apis/nothing.example/v1/things", "/apis/networking.istio.io/v9/virtualservices"] {
        let answer = scene.get(path).await;
        assert_eq!((answer.code, answer.text.as_str()), (404, "404 page not found\n"), "{path}");
    }
    // The namespace of a list need not exist.
    let answer = scene.get("/api/v1/namespaces/no-such-namespace/services").await;
    assert_eq!((answer.code, names(&answer.body).len()), (200, 0));
}

pub async fn a_list_is_of_one_namespace_or_of_all(harness: &impl Harness) {
    let (one, two) = (Scene::new(harness).await, Scene::new(harness).await);
    one.virtual_service("only-here", &[100]).await;
    two.virtual_service("only-there", &[100]).await;
    let list = one.get(&one.path(ISTIO, "virtualservices")).await.body;
    assert_eq!(names(&list), ["only-here"]);
    let all = one.get("/apis/networking.istio.io/v1/virtualservices").await.body;
    let found: Vec<_> = all["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|i| (i["metadata"]["namespace"].as_str().unwrap(), i["metadata"]["name"].as_str().unwrap()))
        .collect();
    assert!(found.contains(&(one.namespace.as_str(), "only-here")));
    assert!(found.contains(&(two.namespace.as_str(), "only-there")));
    // Order is that of "namespace/name".
    let mut sorted = found.clone();
    sorted.sort_by_key(|(namespace, name)| format!("{namespace}/{name}"));
    assert_eq!(found, sorted);
}

pub async fn label_selectors_choose(harness: &impl Harness) {
    let scene = Scene::new(harness).await;
    scene.service("a", json!({"app": "shop", "tier": "front"})).await;
    scene.service("b", json!({"app": "shop", "tier": "back"})).await;
    scene.service("c", json!({"app": "bank"})).await;
    let cases: [(&str, &[&str]); 13] = [
        ("app=shop", &["a", "b"]),
        ("app==shop,tier=back", &["b"]),
        ("app!=shop", &["c"]),
        ("tier!=back", &["a", "c"]),
        ("app in (shop,bank)", &["a", "b", "c"]),
        ("app in (bank), !tier", &["c"]),
        ("tier notin (front)", &["b", "c"]),
        ("tier", &["a", "b"]),
        ("!tier", &["c"]),
        ("app=", &[]),
        ("tier in (front, back),app=shop", &["a", "b"]),
        ("nothing", &[]),
        ("", &["a", "b", "c"]),
    ];
    for (selector, wanted) in cases {
        let query: String = url::form_urlencoded::byte_serialize(selector.as_bytes()).collect();
        let list = scene.get(&scene.path(SERVICES, &format!("services?labelSelector={query}"))).await.body;
        assert_eq!(names(&list), wanted, "{selector}");
    }
    for bad in ["app in shop", "a b", "app=x=y", "app in (a", "=x"] {
        let query: String = url::form_urlencoded::byte_serialize(bad.as_bytes()).collect();
        let answer = scene.get(&scene.path(SERVICES, &format!("services?labelSelector={query}"))).await;
        assert_eq!((answer.code, &answer.body["reason"]), (400, &json!("BadRequest")), "{bad}");
    }
}

pub async fn field_selectors_choose_by_name(harness: &impl Harness) {
    let scene = Scene::new(harness).await;
    scene.virtual_service("a", &[100]).await;
    scene.virtual_service("b", &[100]).await;
    let own = &scene.namespace;
    let paths: [(String, &[&str]); 4] = [
        (scene.path(ISTIO, "virtualservices?fieldSelector=metadata.name%3Da"), &["a"]),
        (scene.path(ISTIO, "virtualservices?fieldSelector=metadata.name!%3Da"), &["b"]),
        (format!("/{ISTIO}/virtualservices?fieldSelector=metadata.namespace%3D{own}"), &["a", "b"]),
        (
            format!("/{ISTIO}/virtualservices?fieldSelector=metadata.namespace%3D{own},metadata.name%3Db"),
            &["b"],
        ),
    ];
    for (path, wanted) in paths {
        assert_eq!(names(&scene.get(&path).await.body), wanted, "{path}");
    }
    let answer = scene.get(&scene.path(ISTIO, "virtualservices?fieldSelector=spec.hosts%3Da")).await;
    assert_eq!(
        (answer.code, &answer.body["message"]),
        (400, &json!("field label not supported: spec.hosts"))
    );
    let answer = scene.get(&scene.path(SERVICES, "services?fieldSelector=spec.ports%3Da")).await;
    assert_eq!(answer.code, 400, "{answer:?}");
    let answer = scene.get(&scene.path("apis/apps/v1", "deployments?fieldSelector=spec.x%3Da")).await;
    assert_eq!(answer.code, 400, "{answer:?}");
}

pub async fn metadata_alone_can_be_asked_for(harness: &impl Harness) {
    let scene = Scene::new(harness).await;
    scene.service("reviews", json!({"app": "reviews"})).await;
    let accept = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1";
    let list = scene.get_as(&scene.path(SERVICES, "services"), accept).await.body;
    assert_eq!(
        (&list["kind"], &list["apiVersion"]),
        (&json!("PartialObjectMetadataList"), &json!("meta.k8s.io/v1"))
    );
    let item = &list["items"][0];
    assert_eq!(item["metadata"]["labels"]["app"], "reviews");
    assert_eq!(item.get("spec"), None);
    let accept = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1";
    let one = scene.get_as(&scene.path(SERVICES, "services/reviews"), accept).await.body;
    assert_eq!((&one["kind"], one.get("spec")), (&json!("PartialObjectMetadata"), None));
    // A server that does not know the first form takes the second; an empty list is `null` in the first only.
    let either = "application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io, application/json";
    for (group, plural) in [(ISTIO, "virtualservices"), ("apis/discovery.k8s.io/v1", "endpointslices")] {
        let path = scene.path(group, &format!("{plural}?labelSelector=none%3Dsuch"));
        let empty = scene.get_as(&path, either).await.body;
        assert_eq!((&empty["kind"], &empty["items"]), (&json!("PartialObjectMetadataList"), &Value::Null));
        assert_eq!(scene.get(&path).await.body["items"], json!([]), "{path}");
    }
}

pub async fn discovery_tells_what_is_installed(harness: &impl Harness) {
    let scene = Scene::new(harness).await;
    let groups = scene.get("/apis").await.body;
    let found: Vec<&str> =
        groups["groups"].as_array().unwrap().iter().map(|g| g["name"].as_str().unwrap()).collect();
    for group in ["apps", "discovery.k8s.io", "networking.istio.io", "authorization.k8s.io"] {
        assert!(found.contains(&group), "{group}");
    }
    let list = scene.get("/apis/networking.istio.io/v1").await.body;
    assert_eq!(
        (&list["kind"], &list["groupVersion"]),
        (&json!("APIResourceList"), &json!("networking.istio.io/v1"))
    );
    let resources = list["resources"].as_array().unwrap();
    let found = resources.iter().find(|r| r["name"] == "virtualservices").unwrap();
    assert_eq!((&found["kind"], &found["namespaced"]), (&json!("VirtualService"), &json!(true)));
    for verb in ["get", "list", "watch", "create", "update", "patch", "delete"] {
        assert!(found["verbs"].as_array().unwrap().contains(&json!(verb)), "{verb}");
    }
    assert!(resources.iter().any(|r| r["name"] == "virtualservices/status"));
    assert_eq!(scene.get("/apis/nothing.example/v1").await.code, 404);
    assert_eq!(scene.get("/readyz").await.text, "ok");
    assert_eq!(scene.get("/version").await.body["major"], "1");
}

pub async fn a_list_can_ask_for_a_moment(harness: &impl Harness) {
    let scene = Scene::new(harness).await;
    let made = scene.virtual_service("a", &[100]).await;
    let then = scene.get(&scene.path(ISTIO, "virtualservices")).await.body;
    scene.virtual_service("b", &[100]).await;
    let path = |query: &str| scene.path(ISTIO, &format!("virtualservices?{query}"));
    let at = version(&then);
    let exact = scene.get(&path(&format!("resourceVersion={at}&resourceVersionMatch=Exact"))).await.body;
    assert_eq!((names(&exact), version(&exact)), (vec!["a"], at.clone()));
    let newer =
        scene.get(&path(&format!("resourceVersion={at}&resourceVersionMatch=NotOlderThan"))).await.body;
    assert!(names(&newer).contains(&"a"));
    let plain = scene.get(&path(&format!("resourceVersion={}", version(&made)))).await.body;
    assert!(names(&plain).contains(&"a"));
    assert_eq!(scene.get(&path("resourceVersion=0")).await.code, 200);
    // What contradicts itself is refused.
    let refused = [
        "resourceVersionMatch=Exact",
        "resourceVersion=0&resourceVersionMatch=Exact",
        "resourceVersion=5&resourceVersionMatch=Sometimes",
        "sendInitialEvents=true",
    ];
    for query in refused {
        let answer = scene.get(&path(query)).await;
        assert_eq!((answer.code, &answer.body["reason"]), (422, &json!("Invalid")), "{query}: {answer:?}");
        assert_eq!(answer.body["details"]["kind"], "ListOptions", "{query}");
    }
}

pub async fn a_method_that_a_resource_does_not_know_is_told_so(harness: &impl Harness) {
    let scene = Scene::new(harness).await;
    let answer = scene.put(&scene.path(ISTIO, "virtualservices"), json!({})).await;
    assert_eq!((answer.code, &answer.body["message"]), (400, &json!("name must be provided")), "{answer:?}");
    let answer = scene.put(&scene.path(SERVICES, "services"), json!({})).await;
    assert_eq!((answer.code, &answer.body["reason"]), (405, &json!("MethodNotAllowed")), "{answer:?}");
}
