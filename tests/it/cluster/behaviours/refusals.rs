//! Writes that are refused, and in which words: fields, types, names, places.

use serde_json::{Value, json};

use super::{Harness, ISTIO, SERVICES, Scene, service, virtual_service};

const VIRTUAL_SERVICE: &str = "VirtualService.networking.istio.io";

pub async fn unknown_fields_are_dropped_with_a_warning(harness: &impl Harness) {
    let scene = Scene::new(harness).await;
    let path = scene.path(ISTIO, "virtualservices");
    let mut body = virtual_service("reviews", &[100]);
    body["spec"]["http"][0]["retrys"] = json!({"attempts": 2});
    body["spec"]["http"][0]["route"][0]["wait"] = 1.into();
    body["oops"] = true.into();
    let made = scene.post(&path, body.clone()).await;
    assert_eq!(made.code, 201, "{made:?}");
    assert_eq!(made.body["spec"], virtual_service("reviews", &[100])["spec"]);
    assert_eq!(made.body.get("oops"), None);
    let mut warnings = made.warnings.clone();
    warnings.sort();
    assert_eq!(
        warnings,
        [
            r#"299 - "unknown field \"oops\"""#,
            r#"299 - "unknown field \"spec.http[0].retrys\"""#,
            r#"299 - "unknown field \"spec.http[0].route[0].wait\"""#,
        ]
    );
    body["metadata"]["name"] = "quiet".into();
    let made = scene.post(&format!("{path}?fieldValidation=Ignore"), body).await;
    assert_eq!((made.code, made.warnings.len()), (201, 0), "{made:?}");
    // Built-in kinds do the same.
    let mut body = service("reviews", json!({}));
    body["spec"]["ports"][0]["portt"] = 1.into();
    let made = scene.post(&scene.path(SERVICES, "services"), body).await;
    assert_eq!((made.code, made.body["spec"]["ports"][0].get("portt")), (201, None), "{made:?}");
    assert_eq!(made.warnings, [r#"299 - "unknown field \"spec.ports[0].portt\"""#]);
}

pub async fn strict_validation_refuses_unknown_fields(harness: &impl Harness) {
    let scene = Scene::new(harness).await;
    let path = scene.path(ISTIO, "virtualservices");
    let mut body = virtual_service("reviews", &[100]);
    body["spec"]["http"][0]["retrys"] = json!({"attempts": 2});
    let answer = scene.post(&format!("{path}?fieldValidation=Strict"), body).await;
    assert_eq!((answer.code, &answer.body["reason"]), (400, &json!("BadRequest")));
    assert_eq!(
        answer.body["message"],
        "VirtualService in version \"v1\" cannot be handled as a VirtualService: strict decoding error: unknown \
         field \"spec.http[0].retrys\""
    );
    let made = scene.virtual_service("reviews", &[100]).await;
    let mut changed = made.clone();
    changed["spec"]["hosst"] = json!([]);
    let answer = scene.put(&format!("{path}/reviews?fieldValidation=Strict&dryRun=All"), changed).await;
    assert_eq!(answer.code, 400, "{answer:?}");
    let mut body = service("reviews", json!({}));
    body["spec"]["selektor"] = json!({"a": "b"});
    let answer = scene.post(&scene.path(SERVICES, "services?fieldValidation=Strict"), body).await;
    assert_eq!(
        answer.body["message"],
        "Service in version \"v1\" cannot be handled as a Service: strict decoding error: unknown field \
         \"spec.selektor\""
    );
    let answer = scene.post(&format!("{path}?fieldValidation=Harsh"), virtual_service("x", &[100])).await;
    assert!(matches!(answer.code, 400 | 422), "{answer:?}");
}

/// What the server says about a VirtualService whose spec was changed by `spoil`.
async fn said(scene: &Scene, spoil: impl Fn(&mut Value)) -> String {
    let mut body = virtual_service("reviews", &[50, 50]);
    spoil(&mut body["spec"]);
    let answer = scene.post(&scene.path(ISTIO, "virtualservices?dryRun=All"), body).await;
    assert_eq!((answer.code, &answer.body["reason"]), (422, &json!("Invalid")), "{answer:?}");
    let message = answer.body["message"].as_str().unwrap();
    let start = format!("{VIRTUAL_SERVICE} \"reviews\" is invalid: ");
    message.strip_prefix(&start).unwrap_or(message).to_owned()
}

/// Rules about values are looked at only when all types are right, and that is reported.
fn and_unchecked(text: &str) -> String {
    format!(
        "[{text}, <nil>: Invalid value: null: some validation rules were not checked because the object was invalid; \
         correct the existing errors to complete validation]"
    )
}

pub async fn wrong_types_are_refused(harness: &impl Harness) {
    let scene = Scene::new(harness).await;
    let weight = "spec.http[0].route[0].weight";
    let text = said(&scene, |spec| spec["http"][0]["route"][0]["weight"] = json!("50")).await;
    let words =
        format!("{weight}: Invalid value: \"string\": {weight} in body must be of type integer: \"string\"");
    assert_eq!(text, and_unchecked(&words));
    for value in [json!(12.5), json!(true), json!([]), json!({"a": 1})] {
        let text = said(&scene, |spec| spec["http"][0]["route"][0]["weight"] = value.clone()).await;
        assert!(text.contains(&format!("{weight} in body must be of type ")), "{value}: {text}");
    }
    let text = said(&scene, |spec| spec["http"][0]["route"][0]["weight"] = json!(2_147_483_648_u32)).await;
    let words = format!("Checked value must be of type integer with format int32 in {weight}");
    assert_eq!(text, format!("<nil>: Invalid value: \"\": {words}"));
    let text = said(&scene, |spec| spec["hosts"] = json!("reviews")).await;
    let words = "spec.hosts: Invalid value: \"string\": spec.hosts in body must be of type array: \"string\"";
    assert_eq!(text, and_unchecked(words));
    let text = said(&scene, |spec| spec["http"][0]["route"][0] = json!({"weight": 1})).await;
    assert_eq!(text, and_unchecked("spec.http[0].route[0].destination: Required value"));
    let text =
        said(&scene, |spec| spec["http"][0]["route"][0]["destination"]["port"] = json!({"number": -1})).await;
    let port = "spec.http[0].route[0].destination.port.number";
    assert_eq!(
        text,
        format!("{port}: Invalid value: -1: {port} in body should be greater than or equal to 0")
    );
    let text =
        said(&scene, |spec| spec["http"][0]["corsPolicy"] = json!({"unmatchedPreflights": "MAYBE"})).await;
    assert_eq!(
        text,
        and_unchecked(
            "spec.http[0].corsPolicy.unmatchedPreflights: Unsupported value: \"MAYBE\": supported values: \
             \"UNSPECIFIED\", \"FORWARD\", \"IGNORE\""
        )
    );
}

pub async fn rules_about_several_fields_are_kept(harness: &impl Harness) {
    let scene = Scene::new(harness).await;
    let text =
        said(&scene, |spec| spec["http"][0]["match"] = json!([{"uri": {"exact": "/a", "prefix": "/b"}}]))
            .await;
    assert_eq!(
        text,
        "<nil>: Invalid value: \"\": \"spec.http[0].match[0].uri\" must validate one and only one schema (oneOf). Found 2 \
         valid alternatives"
    );
    let short = "must be a valid duration greater than 1ms";
    let cases = [
        ("1ms", None),
        ("1h30m", None),
        ("0s", Some(format!("\"0s\": {short}"))),
        ("1us", Some(format!("\"1us\": {short}"))),
        (
            "soon",
            Some(format!(
                "\"string\": type conversion error from 'string' to 'google.protobuf.Duration' evaluating rule: {short}"
            )),
        ),
    ];
    for (timeout, wanted) in cases {
        let Some(wanted) = wanted else {
            let mut body = virtual_service("reviews", &[100]);
            body["spec"]["http"][0]["timeout"] = timeout.into();
            let answer = scene.post(&scene.path(ISTIO, "virtualservices?dryRun=All"), body).await;
            assert_eq!(answer.code, 201, "{timeout}: {answer:?}");
            continue;
        };
        let text = said(&scene, |spec| spec["http"][0]["timeout"] = timeout.into()).await;
        assert_eq!(text, format!("spec.http[0].timeout: Invalid value: {wanted}"));
    }
    let rule = json!({
        "apiVersion": "networking.istio.io/v1", "kind": "DestinationRule", "metadata": {"name": "reviews"}, "spec": {},
    });
    let answer = scene.post(&scene.path(ISTIO, "destinationrules"), rule).await;
    assert_eq!(
        (answer.code, &answer.body["details"]["causes"][0]["field"]),
        (422, &json!("spec.host")),
        "{answer:?}"
    );
}

pub async fn a_null_is_a_field_left_out(harness: &impl Harness) {
    let scene = Scene::new(harness).await;
    let mut body = virtual_service("reviews", &[100]);
    body["spec"]["gateways"] = Value::Null;
    body["spec"]["http"][0]["timeout"] = Value::Null;
    let made = scene.post(&scene.path(ISTIO, "virtualservices?fieldValidation=Strict"), body).await;
    assert_eq!(made.code, 201, "{made:?}");
    assert_eq!(made.body["spec"], virtual_service("reviews", &[100])["spec"]);
}

pub async fn the_body_must_be_what_the_address_says(harness: &impl Harness) {
    let scene = Scene::new(harness).await;
    let path = scene.path(ISTIO, "virtualservices");
    let made = scene.virtual_service("reviews", &[100]).await;
    let change = |key: &str, value: &str| {
        let mut body = made.clone();
        body["metadata"][key] = value.into();
        body
    };
    let answer = scene.put(&format!("{path}/reviews"), change("name", "ratings")).await;
    assert_eq!(
        (answer.code, &answer.body["message"]),
        (400, &json!("the name of the object (ratings) does not match the name on the URL (reviews)"))
    );
    let answer = scene.put(&format!("{path}/reviews"), change("namespace", "elsewhere")).await;
    assert_eq!(
        (answer.code, &answer.body["message"]),
        (
            400,
            &json!("the namespace of the provided object does not match the namespace sent on the request")
        )
    );
    let mut body = virtual_service("new", &[100]);
    body["metadata"]["namespace"] = "elsewhere".into();
    let answer = scene.post(&path, body).await;
    assert_eq!(
        (answer.code, &answer.body["message"]),
        (
            400,
            &json!("the namespace of the provided object does not match the namespace sent on the request")
        )
    );
    let mut body = virtual_service("new", &[100]);
    body["kind"] = "DestinationRule".into();
    let answer = scene.post(&path, body).await;
    assert_eq!(
        (answer.code, &answer.body["message"]),
        (
            422,
            &json!(
                "DestinationRule.networking.istio.io \"new\" is invalid: kind: Invalid value: \"DestinationRule\": must \
                 be VirtualService"
            )
        )
    );
    let mut body = virtual_service("new", &[100]);
    body["apiVersion"] = "networking.istio.io/v9".into();
    let answer = scene.post(&path, body).await;
    assert_eq!(
        (answer.code, &answer.body["message"]),
        (
            400,
            &json!(
                "the API version in the data (networking.istio.io/v9) does not match the expected API version \
                 (networking.istio.io/v1)"
            )
        )
    );
    let answer = scene.post(&path, json!("text")).await;
    assert_eq!(answer.code, 400, "{answer:?}");
}

pub async fn names_have_rules(harness: &impl Harness) {
    let scene = Scene::new(harness).await;
    let answer = scene.post(&scene.path(ISTIO, "virtualservices"), virtual_service("Bad_Name", &[100])).await;
    assert_eq!((answer.code, &answer.body["reason"]), (422, &json!("Invalid")));
    let message = answer.body["message"].as_str().unwrap();
    let start = format!(
        "{VIRTUAL_SERVICE} \"Bad_Name\" is invalid: metadata.name: Invalid value: \"Bad_Name\": a lowercase RFC 1123 \
         subdomain must consist of lower case alphanumeric characters, '-' or '.'"
    );
    assert!(message.starts_with(&start), "{message}");
    assert_eq!(
        scene.post(&scene.path(ISTIO, "virtualservices"), virtual_service("a.b.c", &[100])).await.code,
        201
    );
    let mut body = virtual_service("x", &[100]);
    body["metadata"] = json!({});
    let answer = scene.post(&scene.path(ISTIO, "virtualservices"), body).await;
    assert_eq!(answer.code, 422, "{answer:?}");
    let answer = scene.post(&scene.path(SERVICES, "services"), service("a.b", json!({}))).await;
    assert_eq!(answer.code, 422, "{answer:?}");
}

pub async fn a_namespace_must_exist_before_its_objects(harness: &impl Harness) {
    let scene = Scene::new(harness).await;
    let path = format!("/{ISTIO}/namespaces/no-such-namespace/virtualservices");
    let answer = scene.post(&path, virtual_service("reviews", &[100])).await;
    assert_eq!(
        (answer.code, &answer.body["message"]),
        (404, &json!("namespaces \"no-such-namespace\" not found"))
    );
    assert_eq!(answer.body["details"]["kind"], "namespaces");
}

pub async fn built_in_kinds_are_checked(harness: &impl Harness) {
    let scene = Scene::new(harness).await;
    let mut body = service("reviews", json!({}));
    body["spec"]["ports"] = json!([]);
    let answer = scene.post(&scene.path(SERVICES, "services"), body).await;
    assert_eq!(
        (answer.code, &answer.body["message"]),
        (422, &json!("Service \"reviews\" is invalid: spec.ports: Required value"))
    );
    let mut body = service("reviews", json!({}));
    body["spec"]["ports"][0]["port"] = "http".into();
    let answer = scene.post(&scene.path(SERVICES, "services"), body).await;
    assert_eq!((answer.code, &answer.body["reason"]), (400, &json!("BadRequest")), "{answer:?}");
    let message = answer.body["message"].as_str().unwrap();
    assert!(message.starts_with("Service in version \"v1\" cannot be handled as a Service: "), "{message}");
    let slice = json!({
        "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "metadata": {"name": "reviews-1"},
        "addressType": "IPv4", "endpoints": [{"addresses": ["127.0.0.1"]}], "ports": [],
    });
    let answer = scene.post(&scene.path("apis/discovery.k8s.io/v1", "endpointslices"), slice).await;
    assert_eq!(answer.code, 422, "{answer:?}");
    let message = answer.body["message"].as_str().unwrap();
    assert!(message.contains("endpoints[0].addresses[0]"), "{message}");
}

pub async fn labels_and_annotations_have_rules(harness: &impl Harness) {
    let scene = Scene::new(harness).await;
    let key = "must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric \
               character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is \
               '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')";
    let value = "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and \
                 must start and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex \
                 used for validation is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')";
    let refused = [
        ("labels", json!({"a": "c d"}), format!("metadata.labels: Invalid value: \"c d\": {value}")),
        ("labels", json!({"a b": "c"}), format!("metadata.labels: Invalid value: \"a b\": name part {key}")),
        (
            "annotations",
            json!({"A b": "c"}),
            format!("metadata.annotations: Invalid value: \"A b\": name part {key}"),
        ),
        (
            "annotations",
            json!({"a/b/c": "c"}),
            format!(
                "metadata.annotations: Invalid value: \"a/b/c\": a valid label key {key} with an optional DNS subdomain prefix and '/' (e.g. 'example.com/MyName')"
            ),
        ),
        (
            "annotations",
            json!({"a": "x".repeat(256 * 1024)}),
            and_unchecked("metadata.annotations: Too long: may not be more than 262144 bytes"),
        ),
    ];
    for (group, map, words) in refused {
        let mut body = virtual_service("reviews", &[100]);
        body["metadata"][group] = map;
        let answer = scene.post(&scene.path(ISTIO, "virtualservices"), body).await;
        assert_eq!((answer.code, &answer.body["reason"]), (422, &json!("Invalid")), "{words}");
        assert_eq!(answer.body["message"], format!("{VIRTUAL_SERVICE} \"reviews\" is invalid: {words}"));
    }
    let mut body = virtual_service("reviews", &[100]);
    body["metadata"]["annotations"] = json!({"example.com/Why_not": "anything\n at all ☃", "A.b": ""});
    body["metadata"]["labels"] = json!({"example.com/a": "", "b": "V1.2_x"});
    let made = scene.post(&scene.path(ISTIO, "virtualservices"), body.clone()).await;
    assert_eq!(
        (made.code, &made.body["metadata"]["annotations"]),
        (201, &body["metadata"]["annotations"]),
        "{made:?}"
    );
    let mut body = service("reviews", json!({"n": 1}));
    let answer = scene.post(&scene.path(SERVICES, "services"), body.clone()).await;
    assert_eq!((answer.code, &answer.body["reason"]), (400, &json!("BadRequest")), "{answer:?}");
    body["metadata"]["labels"] = json!({});
    let made = scene.post(&scene.path(SERVICES, "services"), body).await;
    assert_eq!((made.code, made.body["metadata"].get("labels")), (201, None), "{made:?}");
}
