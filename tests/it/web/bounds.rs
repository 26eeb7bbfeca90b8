//! Every list in a body has a bound, and is counted before anything is done with it: the lists of every request
//! type, found in the OpenAPI document, and those of the forms.

use serde_json::{Map, Value, json};

use super::frame::filled;
use super::releases::waiting;
use crate::support::app::TestApp;

/// A part of a schema on the way to a list.
#[derive(Clone, Debug)]
enum Part {
    Field(String),
    Item,
    Variant(usize),
}

/// Bytes. What is larger is not read: 413.
const LARGEST_BODY: usize = 256 * 1024;

/// The codes that say that there is too much of something.
const TOO_MANY: [&str; 5] =
    ["too_many_items", "too_many_rules", "too_many_steps", "analysis_range", "freeze_range"];

fn resolved<'a>(document: &'a Value, schema: &'a Value) -> &'a Value {
    match schema["$ref"].as_str() {
        Some(reference) => document.pointer(reference.trim_start_matches('#')).expect("a schema"),
        None => schema,
    }
}

fn variants(schema: &Value) -> Option<&Vec<Value>> {
    schema["oneOf"].as_array().or_else(|| schema["allOf"].as_array())
}

fn is_list(schema: &Value) -> bool {
    let is = |word: &str| {
        schema["type"] == word || schema["type"].as_array().is_some_and(|all| all.contains(&json!(word)))
    };
    is("array") || schema["additionalProperties"].is_object()
}

/// Every list of a schema, with the way to it.
fn lists(document: &Value, schema: &Value, way: &mut Vec<Part>, found: &mut Vec<(Vec<Part>, Value)>) {
    let schema = resolved(document, schema);
    if is_list(schema) {
        found.push((way.clone(), schema.clone()));
    }
    let mut go = |part: Part, inner: &Value| {
        way.push(part);
        lists(document, inner, way, found);
        way.pop();
    };
    for (name, inner) in schema["properties"].as_object().into_iter().flatten() {
        go(Part::Field(name.clone()), inner);
    }
    if schema["items"].is_object() {
        go(Part::Item, &schema["items"]);
    }
    for (at, inner) in variants(schema).into_iter().flatten().enumerate() {
        go(Part::Variant(at), inner);
    }
}

/// A value of a schema that holds `n` entries in the list at the end of the way, and as little as possible besides.
fn sample(document: &Value, schema: &Value, way: &[Part], n: usize) -> Value {
    let schema = resolved(document, schema);
    if let Some(all) = variants(schema) {
        let (at, rest) = match way.split_first() {
            Some((Part::Variant(at), rest)) => (*at, rest),
            // `null` is no value to send.
            _ => (all.iter().position(|one| one["type"] != "null").unwrap_or(0), way),
        };
        let own = sample(document, &all[at], rest, n);
        return merged(own, fields(document, schema, &[], n));
    }
    if is_list(schema) {
        // What stands in the entries of the list is short: only one list at a time is long.
        let (count, rest, inside) = match way.split_first() {
            Some((_, rest)) => (1, rest, n),
            None => (n, way, 1),
        };
        let entry = |inner: &Value| sample(document, inner, rest, inside);
        if schema["additionalProperties"].is_object() {
            let value = entry(&schema["additionalProperties"]);
            return (0..count).map(|at| (format!("v{at}"), value.clone())).collect::<Map<_, _>>().into();
        }
        return vec![entry(&schema["items"]); count].into();
    }
    if schema["properties"].is_object() {
        return fields(document, schema, way, n);
    }
    leaf(schema)
}

fn fields(document: &Value, schema: &Value, way: &[Part], n: usize) -> Value {
    let (on_way, rest) = match way.split_first() {
        Some((Part::Field(name), rest)) => (name.as_str(), rest),
        _ => ("", way),
    };
    let required = |name: &str| {
        schema["required"].as_array().is_some_and(|all| all.contains(&json!(name))) || name == on_way
    };
    let all = schema["properties"].as_object().into_iter().flatten().filter(|(name, _)| required(name));
    let value = |name: &str, inner: &Value| {
        // A list beside the way is a short one.
        let (way, n) = if name == on_way { (rest, n) } else { (&[][..], 1) };
        sample(document, inner, way, n)
    };
    all.map(|(name, inner)| (name.clone(), value(name, inner))).collect::<Map<_, _>>().into()
}

fn merged(mut own: Value, more: Value) -> Value {
    if let (Some(own), Value::Object(more)) = (own.as_object_mut(), more) {
        own.extend(more);
    }
    own
}

fn leaf(schema: &Value) -> Value {
    if let Some(first) = schema["enum"].as_array().and_then(|all| all.first()) {
        return first.clone();
    }
    if !schema["example"].is_null() {
        return schema["example"].clone();
    }
    let kind = schema["type"].as_array().and_then(|all| all.first()).unwrap_or(&schema["type"]);
    match kind.as_str() {
        Some("integer" | "number") => schema["minimum"].as_i64().map_or(json!(1), |least| json!(least)),
        Some("boolean") => json!(true),
        Some("object") => json!({}),
        _ => json!("x"),
    }
}

#[tokio::test]
async fn every_list_of_every_body_has_a_bound_and_keeps_it() {
    let app = TestApp::open().await;
    // A real one: what is sent to a release that does not exist is not looked at.
    let release = waiting(&app).await;
    let rows = async || app.get("/api/v1/audit").await.json()["items"].clone();
    let before = rows().await;
    let document = app.get("/api/openapi.json").await.json();
    let mut tried = 0;
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            let schema = &operation["requestBody"]["content"]["application/json"]["schema"];
            if !schema.is_object() {
                continue;
            }
            let mut found = Vec::new();
            lists(&document, schema, &mut Vec::new(), &mut found);
            for (way, list) in found {
                let what = format!("{method} {path} {way:?}");
                let most = list["maxItems"].as_u64().or(list["maxProperties"].as_u64());
                let most = usize::try_from(most.unwrap_or_else(|| panic!("{what} has no bound"))).unwrap();
                assert!(most <= 1_000, "{what}: {most}");
                for n in [most + 1, 4_000] {
                    let mut body = sample(&document, schema, &way, n);
                    if body["command"].is_string() {
                        // The one command that has steps.
                        body["command"] = json!("change_steps");
                        body["reason"] = json!("a test");
                    }
                    let of_release = path.ends_with("/releases/{id}/commands");
                    let path = if of_release { path.replace("{id}", &release) } else { filled(path) };
                    let mut ask = app.ask(&method.to_uppercase(), &path);
                    if !of_release {
                        ask = ask.header("if-match", "\"0\"");
                    }
                    let answer = ask.json(&body).send().await;
                    let status = answer.status;
                    let answer = answer.json();
                    // A plan is no attempt: it says what stands in the way.
                    let planned = status == 200 && answer["possible"] == json!(false);
                    // Larger than any body may be: not even read.
                    if status == 413 && body.to_string().len() > LARGEST_BODY {
                        assert_eq!(n, 4_000, "{what}: the bound itself does not fit into a body");
                        continue;
                    }
                    assert!(status == 422 || planned, "{what} with {n}: {status} {answer}");
                    let others = answer["errors"].as_array().into_iter().flatten();
                    let mut codes = others.chain([&answer]).filter_map(|one| one["code"].as_str());
                    assert!(codes.any(|code| TOO_MANY.contains(&code)), "{what} with {n}: {answer}");
                }
                tried += 1;
            }
        }
    }
    assert!(tried >= 20, "{tried} lists were found");
    assert_eq!(rows().await, before, "nothing is written");
}

#[tokio::test]
async fn lists_in_forms_have_the_same_bounds() {
    let app = TestApp::open().await;
    let csrf = app.csrf("").await;
    let weights: Vec<(String, String)> = (0..65).map(|at| (format!("w.v{at}"), "0".to_owned())).collect();
    let rule = |to: usize, when: usize, conditions: usize| {
        let to: Vec<Value> = (0..to).map(|at| json!([format!("v{at}"), 0])).collect();
        let condition = json!({"on": {"in": "header", "name": "x"}, "op": "exact", "value": "y"});
        json!({"id": null, "name": null, "when": vec![vec![condition; conditions]; when], "opaque": [], "to": to, "action": null})
    };
    let rules = |all: Vec<Value>| vec![("rules".to_owned(), Value::from(all).to_string())];
    for (fields, said) in [
        (weights, "65"),
        (rules(vec![rule(1, 1, 1); 51]), "50"),
        (rules(vec![rule(65, 1, 1)]), "65"),
        (rules(vec![rule(1, 1_001, 1)]), "1001"),
        (rules(vec![rule(1, 1, 65)]), "65"),
    ] {
        let mut all: Vec<(&str, &str)> = fields.iter().map(|(name, value)| (&**name, &**value)).collect();
        all.push(("csrf", &csrf));
        let page = app.ask("POST", "/services/bookinfo/reviews/traffic/preview").form(&all);
        let page = page.header("hx-request", "true").send().await;
        assert!(page.body.contains(said), "{said}: {}", page.body);
        let apply = app.ask("POST", "/services/bookinfo/reviews/traffic/apply").form(&all).send().await;
        assert_eq!(apply.status, 422, "{said}");
    }
    let many: Vec<(String, String)> = (0..2_001).map(|at| (format!("f{at}"), String::new())).collect();
    let many: Vec<(&str, &str)> = many.iter().map(|(name, value)| (&**name, &**value)).collect();
    let page = app.ask("POST", "/services/bookinfo/reviews/traffic/preview").form(&many).send().await;
    assert_eq!(page.status, 413);
    let query: Vec<String> = (0..65).map(|at| format!("p{at}=1")).collect();
    let answer = app.get(&format!("/api/v1/services?{}", query.join("&"))).await;
    assert_eq!(answer.problem(), (400, "bad_query".into()));
}
