//! The OpenAPI document says what the router does.

use std::collections::BTreeSet;

use serde_json::Value;
use sluice::web::{Access, routes};

use crate::support::app::TestApp;

async fn document() -> Value {
    TestApp::open().await.get("/api/openapi.json").await.json()
}

#[tokio::test]
async fn every_reference_leads_somewhere() {
    fn walk<'a>(value: &'a Value, found: &mut BTreeSet<&'a str>) {
        match value {
            Value::Object(map) => {
                found.extend(map.get("$ref").and_then(Value::as_str));
                map.values().for_each(|value| walk(value, found));
            }
            Value::Array(list) => list.iter().for_each(|value| walk(value, found)),
            _ => {}
        }
    }
    let document = document().await;
    assert_eq!(document["openapi"], "3.1.0");
    let mut found = BTreeSet::new();
    walk(&document, &mut found);
    assert!(found.len() > 20, "{found:?}");
    for reference in found {
        let pointer = reference.strip_prefix('#').expect("a reference within the document");
        assert!(document.pointer(pointer).is_some(), "{reference}");
    }
}

#[tokio::test]
async fn every_operation_names_its_refusals_and_needs_an_identity() {
    let document = document().await;
    assert_eq!(document["security"].as_array().unwrap().len(), 2);
    let api = routes().into_iter().filter(|route| route.access == Access::Api && route.path != "/events");
    let mut count = 0;
    for route in api {
        let operation = &document["paths"][&route.path][route.method.as_str().to_lowercase()];
        assert!(operation["operationId"].is_string(), "{} {}", route.method, route.path);
        for status in ["200", "400", "401", "403", "404", "429", "500", "503"] {
            assert!(operation["responses"][status].is_object(), "{} {} {status}", route.method, route.path);
        }
        if route.method != "GET" && route.method != "DELETE" {
            assert!(operation["responses"]["422"].is_object() && operation["requestBody"].is_object());
        }
        count += 1;
    }
    assert_eq!(count, 32);
}

#[tokio::test]
async fn the_reference_page_shows_every_operation_without_the_network() {
    let app = TestApp::open().await;
    let document = app.get("/api/openapi.json").await.json();
    let page = app.get("/api/docs").await;
    for (path, item) in document["paths"].as_object().unwrap() {
        for operation in item.as_object().unwrap().values() {
            let id = operation["operationId"].as_str().unwrap();
            assert!(page.body.contains(id), "{path} {id}");
        }
    }
    assert!(
        !page.body.contains("http://") && !page.body.contains("https://"),
        "nothing is fetched from elsewhere"
    );
}
