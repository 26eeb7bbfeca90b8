//! The API reference, `/api/docs`: our own rendering of the OpenAPI document, which needs no network.

use std::fmt::Write as _;

use askama::Template;
use serde_json::{Map, Value};

use crate::domain::refusal::Code;

use super::chrome::Chrome;
use super::lang::{Lang, Rich, Text};

/// The whole page.
#[derive(Debug, Template)]
#[template(path = "api_docs.html")]
pub struct ApiPage {
    pub chrome: Chrome,
    pub version: String,
    pub description: Vec<Rich>,
    pub groups: Vec<Group>,
    pub schemas: Vec<Schema>,
    pub codes: Vec<CodeRow>,
}

/// One stable code: where `type` of a problem leads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CodeRow {
    pub code: &'static str,
    /// The status that a refusal with it answers; `None` for checks that refuse nothing.
    pub status: Option<u16>,
    pub name: String,
    pub text: Rich,
    pub next: Option<Rich>,
}

/// The operations of one tag.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Group {
    pub name: String,
    pub operations: Vec<Operation>,
}

/// One operation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Operation {
    pub id: String,
    pub method: String,
    pub path: String,
    pub summary: Rich,
    pub description: Vec<Rich>,
    pub parameters: Vec<Parameter>,
    /// Media type, and the body's schema.
    pub body: Option<(String, String)>,
    /// The same as a call of a command line, line by line.
    pub call: Vec<String>,
    /// Status, meaning, and the answer's schema.
    pub answers: Vec<(String, Rich, String)>,
}

/// A parameter of a path, query or header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parameter {
    pub name: String,
    pub place: String,
    pub required: bool,
    pub kind: String,
    pub description: Rich,
}

/// A named shape.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Schema {
    pub name: String,
    pub description: Vec<Rich>,
    pub fields: Vec<Parameter>,
    /// For shapes that are no objects: what they are.
    pub kind: String,
}

impl ApiPage {
    /// The page for an OpenAPI 3.1 document; parts that it lacks are left out.
    pub fn of(chrome: Chrome, document: &Value) -> Self {
        let mut groups: Vec<Group> = Vec::new();
        for (path, item) in entries(&document["paths"]) {
            for (method, operation) in entries(item) {
                if !["get", "put", "post", "delete", "patch", "head"].contains(&method.as_str()) {
                    continue;
                }
                let tag = text(&operation["tags"][0]);
                let made = Operation::of(path, method, item, operation);
                match groups.iter_mut().find(|group| group.name == tag) {
                    Some(group) => group.operations.push(made),
                    None => groups.push(Group { name: tag, operations: vec![made] }),
                }
            }
        }
        Self {
            version: text(&document["info"]["version"]),
            description: paragraphs(&document["info"]["description"]),
            groups,
            schemas: entries(&document["components"]["schemas"])
                .map(|(name, schema)| Schema::of(name, schema))
                .collect(),
            codes: codes(chrome.lang()),
            chrome,
        }
    }
}

/// Every code once; one that has two texts is explained by the first.
fn codes(lang: Lang) -> Vec<CodeRow> {
    let mut all: Vec<Code> = Code::ALL.to_vec();
    all.sort_by_key(|code| code.as_str());
    all.dedup_by_key(|code| code.as_str());
    let row = |code: Code| {
        let said = |part: &str| format!("code.{}.{part}", code.text_key());
        let next = said("next");
        CodeRow {
            code: code.as_str(),
            status: (code.status() >= 400).then(|| code.status()),
            name: lang.t(&said("name")).into(),
            text: lang.t(&said("text")).outlined().rich(),
            next: lang.knows(&next).then(|| lang.t(&next).outlined().rich()),
        }
    };
    all.into_iter().map(row).collect()
}

impl Operation {
    fn of(path: &str, method: &str, item: &Value, operation: &Value) -> Self {
        let parameters = list(&item["parameters"]).chain(list(&operation["parameters"]));
        let content = |value: &Value| {
            entries(&value["content"]).next().map(|(media, body)| (media.clone(), kind(&body["schema"])))
        };
        let fallback = format!("{method}-{}", path.replace(['/', '{', '}'], "-"));
        Self {
            id: operation["operationId"].as_str().map_or(fallback, ToOwned::to_owned),
            method: method.to_uppercase(),
            path: path.to_owned(),
            summary: marked(&operation["summary"]),
            description: paragraphs(&operation["description"]),
            parameters: parameters.map(Parameter::of).collect(),
            body: content(&operation["requestBody"]),
            call: call(path, method, item, operation),
            answers: entries(&operation["responses"])
                .map(|(status, answer)| {
                    let shape = content(answer).map(|(_, shape)| shape).unwrap_or_default();
                    (status.clone(), marked(&answer["description"]), shape)
                })
                .collect(),
        }
    }
}

/// A command to try it: names as in the examples, `SLUICE` and `TOKEN` from the environment.
fn call(path: &str, method: &str, item: &Value, operation: &Value) -> Vec<String> {
    let parameters = || list(&item["parameters"]).chain(list(&operation["parameters"]));
    let takes = |name: &str| parameters().any(|one| one["name"] == *name);
    let id = if path.contains("/releases/") { "R-1042" } else { "1042" };
    let named = [("{namespace}", "bookinfo"), ("{ns}", "bookinfo"), ("{name}", "reviews"), ("{id}", id)];
    let path = named.iter().fold(path.to_owned(), |path, (name, value)| path.replace(name, value));
    // What has no name that everybody knows is a variable of the shell.
    let path = path.replace('{', "$").replace('}', "");
    let wait = if takes("wait") { "?wait=60" } else { "" };
    let method = method.to_uppercase();
    let verb = if method == "GET" { String::new() } else { format!(" -X {method}") };
    let mut lines =
        vec![format!("curl{verb} \"$SLUICE{path}{wait}\""), "-H \"Authorization: Bearer $TOKEN\"".to_owned()];
    if takes("If-Match") {
        lines.push("-H 'If-Match: \"42\"'".to_owned());
    }
    if takes("Idempotency-Key") {
        lines.push("-H \"Idempotency-Key: $(uuidgen)\"".to_owned());
    }
    let body = entries(&operation["requestBody"]["content"]).next();
    if let Some((media, example)) = body.and_then(|(media, body)| Some((media, body.get("example")?))) {
        lines.push(format!("-H 'Content-Type: {media}'"));
        lines.push(format!("-d '{example}'"));
    }
    let last = lines.len() - 1;
    lines[..last].iter_mut().for_each(|line| line.push_str(" \\"));
    lines
}

impl Parameter {
    fn of(parameter: &Value) -> Self {
        Self {
            name: text(&parameter["name"]),
            place: text(&parameter["in"]),
            required: parameter["required"].as_bool().unwrap_or_default(),
            kind: kind(&parameter["schema"]),
            description: marked(&parameter["description"]),
        }
    }
}

impl Schema {
    fn of(name: &str, schema: &Value) -> Self {
        let required = |field: &str| list(&schema["required"]).any(|one| one.as_str() == Some(field));
        let fields = entries(&schema["properties"]).map(|(field, shape)| Parameter {
            name: field.clone(),
            place: String::new(),
            required: required(field),
            kind: kind(shape),
            description: marked(&shape["description"]),
        });
        Self {
            name: name.to_owned(),
            description: paragraphs(&schema["description"]),
            fields: fields.collect(),
            kind: if schema["properties"].is_object() { String::new() } else { kind(schema) },
        }
    }
}

fn entries(value: &Value) -> impl Iterator<Item = (&String, &Value)> {
    value.as_object().into_iter().flat_map(Map::iter)
}

fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

/// A description's words, `code` marked.
fn marked(value: &Value) -> Rich {
    Text::verbatim(value.as_str().unwrap_or_default()).rich()
}

fn paragraphs(value: &Value) -> Vec<Rich> {
    let text = value.as_str().unwrap_or_default();
    let parts = text.split("\n\n").map(|part| part.trim().replace('\n', " "));
    parts.filter(|part| !part.is_empty()).map(|part| Text::verbatim(&part).rich()).collect()
}

/// A schema in a few words: `integer 0..100`, `[Service]`, `"applied" | "refused"`. Depth is bounded, because
/// a document may refer to itself.
fn kind(schema: &Value) -> String {
    kind_within(schema, 6)
}

fn kind_within(schema: &Value, depth: u8) -> String {
    if depth == 0 {
        return "…".to_owned();
    }
    let inner = |schema: &Value| kind_within(schema, depth - 1);
    if let Some(name) = schema["$ref"].as_str() {
        return name.rsplit('/').next().unwrap_or(name).to_owned();
    }
    for key in ["oneOf", "anyOf", "allOf"] {
        if schema[key].is_array() {
            let parts: Vec<String> = list(&schema[key]).map(inner).filter(|part| !part.is_empty()).collect();
            return parts.join(if key == "allOf" { " & " } else { " | " });
        }
    }
    if schema["enum"].is_array() {
        return list(&schema["enum"]).map(ToString::to_string).collect::<Vec<_>>().join(" | ");
    }
    let one = |name: &str| match name {
        "array" => format!("[{}]", inner(&schema["items"])),
        "object" if schema["additionalProperties"].is_object() => {
            format!("{{name: {}}}", inner(&schema["additionalProperties"]))
        }
        other => other.to_owned(),
    };
    let mut said = match &schema["type"] {
        Value::String(name) => one(name),
        Value::Array(names) => {
            names.iter().filter_map(Value::as_str).map(one).collect::<Vec<_>>().join(" | ")
        }
        _ => String::new(),
    };
    if let (Some(low), Some(high)) = (schema.get("minimum"), schema.get("maximum")) {
        let _ = write!(said, " {low}..{high}");
    }
    if let Some(format) = schema["format"].as_str() {
        let _ = write!(said, " ({format})");
    }
    said
}
