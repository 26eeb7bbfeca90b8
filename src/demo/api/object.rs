//! A stored object: its JSON as it goes over the wire, and the few facts that lists and watches ask for.
//!
//! Kept as bytes, not as a parsed tree: a parsed VirtualService of 0.8 KB holds 14 KiB, and the benchmarks hold
//! 80,000 objects. `kind`, `apiVersion` and `metadata` are always written first, so that a list item without its
//! type and a metadata-only answer are slices of the same bytes.

use std::ops::Range;

use bytes::{BufMut, Bytes, BytesMut};
use serde_json::{Map, Value};

use super::kinds::Kind;

/// One version of one object. Never changes; a write stores another.
#[derive(Debug)]
pub struct Object {
    /// Its namespace; empty for cluster-scoped kinds.
    pub namespace: Box<str>,
    /// Its name.
    pub name: Box<str>,
    /// Its resourceVersion as a number.
    pub revision: u64,
    labels: Box<[(Box<str>, Box<str>)]>,
    json: Bytes,
    head: usize,
    metadata: Range<usize>,
}

impl Object {
    /// Serialises `value`, whose `metadata.resourceVersion` becomes `revision`; 0 leaves it out (a dry run).
    pub(super) fn new(kind: &Kind, mut value: Value, revision: u64) -> Self {
        let meta = metadata_mut(&mut value);
        if revision > 0 {
            meta.insert("resourceVersion".into(), revision.to_string().into());
        } else {
            meta.remove("resourceVersion");
        }
        let text = |key: &str| meta.get(key).and_then(Value::as_str).unwrap_or_default().into();
        let (namespace, name) = (text("namespace"), text("name"));
        let labels = meta
            .get("labels")
            .and_then(Value::as_object)
            .map(|map| {
                map.iter()
                    .map(|(key, v)| (key.as_str().into(), v.as_str().unwrap_or_default().into()))
                    .collect()
            })
            .unwrap_or_default();
        let (json, head, metadata) = serialise(kind, &value);
        Self { namespace, name, revision, labels, json, head, metadata }
    }

    /// The object as it stands on the wire.
    pub fn json(&self) -> Bytes {
        self.json.clone()
    }

    /// The object, parsed.
    pub fn value(&self) -> Value {
        serde_json::from_slice(&self.json).unwrap_or_default()
    }

    /// The value of a label.
    pub fn label(&self, key: &str) -> Option<&str> {
        self.labels.iter().find(|(k, _)| &**k == key).map(|(_, v)| &**v)
    }

    /// Appends the object as an item of a list: built-in kinds leave out `kind` and `apiVersion` there.
    pub(super) fn write_item(&self, kind: &Kind, form: Form, out: &mut BytesMut) {
        match form {
            Form::Full if kind.custom => out.put_slice(&self.json),
            Form::Full => {
                out.put_u8(b'{');
                out.put_slice(&self.json[self.head..]);
            }
            Form::Metadata => self.write(form, out),
        }
    }

    /// Appends the object in the asked form.
    pub(super) fn write(&self, form: Form, out: &mut BytesMut) {
        match form {
            Form::Full => out.put_slice(&self.json),
            Form::Metadata => {
                out.put_slice(
                    br#"{"kind":"PartialObjectMetadata","apiVersion":"meta.k8s.io/v1","metadata":"#,
                );
                out.put_slice(&self.json[self.metadata.clone()]);
                out.put_u8(b'}');
            }
        }
    }
}

/// How much of an object a client asked for in its `Accept` header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// Everything.
    Full,
    /// `as=PartialObjectMetadata`.
    Metadata,
}

/// `value` as a map; anything else becomes an empty one.
pub(super) fn as_map(value: &mut Value) -> &mut Map<String, Value> {
    if !value.is_object() {
        *value = Value::Object(Map::new());
    }
    match value {
        Value::Object(map) => map,
        _ => unreachable!("made an object just above"),
    }
}

/// The `metadata` of `value`, made when it is missing.
pub(super) fn metadata_mut(value: &mut Value) -> &mut Map<String, Value> {
    as_map(as_map(value).entry("metadata").or_insert_with(|| Value::Object(Map::new())))
}

/// A text field of `metadata`; empty when it is absent or not a text.
pub(super) fn meta_text<'a>(value: &'a Value, key: &str) -> &'a str {
    value.get("metadata").and_then(|m| m.get(key)).and_then(Value::as_str).unwrap_or_default()
}

fn serialise(kind: &Kind, value: &Value) -> (Bytes, usize, Range<usize>) {
    let mut out = Vec::with_capacity(1024);
    out.extend_from_slice(b"{\"kind\":\"");
    out.extend_from_slice(kind.kind.as_bytes());
    out.extend_from_slice(b"\",\"apiVersion\":\"");
    out.extend_from_slice(kind.api_version().as_bytes());
    out.extend_from_slice(b"\",");
    let head = out.len();
    out.extend_from_slice(b"\"metadata\":");
    let start = out.len();
    write_json(&mut out, &value["metadata"]);
    let metadata = start..out.len();
    if let Value::Object(map) = value {
        for (key, field) in map {
            if matches!(key.as_str(), "kind" | "apiVersion" | "metadata") {
                continue;
            }
            out.push(b',');
            write_json(&mut out, &Value::String(key.clone()));
            out.push(b':');
            write_json(&mut out, field);
        }
    }
    out.push(b'}');
    out.shrink_to_fit();
    (Bytes::from(out), head, metadata)
}

fn write_json(out: &mut Vec<u8>, value: &Value) {
    // Writing a tree of plain values into memory cannot fail.
    if serde_json::to_writer(&mut *out, value).is_err() {
        out.extend_from_slice(b"null");
    }
}
