//! LIST: the objects of one moment, in pages, streamed from the stored bytes.
//!
//! Called by `wire`. A page after the first shows the moment of the first, rebuilt from the history; when that is
//! forgotten the answer is 410 with a token that goes on at the present, as a real API server gives.

use std::sync::Arc;

use axum::body::Body;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::{BufMut, Bytes, BytesMut};
use serde_json::{Map, Value, json};

use super::failure::Failure;
use super::kinds::Kind;
use super::object::{Form, Object};
use super::request::{ListOptions, Wanted};
use super::storage::State;

/// A list that has been decided, ready to be written.
pub(super) struct Page {
    kind: &'static Kind,
    objects: Vec<Arc<Object>>,
    metadata: Map<String, Value>,
}

const CHUNK: usize = 64 * 1024;

const EXPIRED: &str = "The provided continue parameter is too old to display a consistent list result. You can \
start a new list without the continue parameter, or use the continue token in this response to retrieve the \
remainder of the results. Continuing with the provided token results in an inconsistent list - objects that were \
created, modified, or deleted between the time the first chunk was returned and now may show up in the list.";

/// Decides a page under the lock; only pointers are copied.
pub(super) fn page(state: &State, table: usize, options: &ListOptions) -> Result<Page, Failure> {
    let table = &state.tables[table];
    let (revision, start) = moment(state, options)?;
    let mut objects = if revision >= state.revision {
        table.now(&options.scope)
    } else {
        table.at(&options.scope, revision).ok_or_else(|| gone(options, &start))?
    };
    if !start.is_empty() {
        let from = objects.partition_point(|o| *table.kind.key(&o.namespace, &o.name) < *start);
        objects.drain(..from);
    }
    if !options.filter.is_empty() {
        objects.retain(|o| options.filter.lets(o));
    }
    let mut metadata = Map::new();
    metadata.insert("resourceVersion".into(), revision.to_string().into());
    // A list at "any" version comes from a cache that has no pages.
    if options.limit > 0 && options.version != Wanted::Any && objects.len() > options.limit {
        let left = objects.len() - options.limit;
        objects.truncate(options.limit);
        if let Some(last) = objects.last() {
            let next = format!("{}\0", table.kind.key(&last.namespace, &last.name));
            metadata.insert("continue".into(), encode(i64::try_from(revision).unwrap_or(-1), &next).into());
        }
        if options.filter.is_empty() {
            metadata.insert("remainingItemCount".into(), left.into());
        }
    }
    Ok(Page { kind: table.kind, objects, metadata })
}

/// The revision to show, and the key to begin with.
fn moment(state: &State, options: &ListOptions) -> Result<(u64, String), Failure> {
    if !options.proceed.is_empty() {
        let (revision, start) =
            decode(&options.proceed).ok_or_else(|| Failure::bad_request("continue key is not valid"))?;
        return Ok((u64::try_from(revision).unwrap_or(state.revision), start));
    }
    match options.version {
        Wanted::NotOlderThan(n) | Wanted::Exactly(n) if n > state.revision => {
            Err(Failure::too_large_version(n, state.revision))
        }
        Wanted::Newest | Wanted::Any | Wanted::NotOlderThan(_) => Ok((state.revision, String::new())),
        Wanted::Exactly(n) => Ok((n, String::new())),
    }
}

fn gone(options: &ListOptions, start: &str) -> Failure {
    if options.proceed.is_empty() {
        return Failure::expired("The resourceVersion for the provided list is too old.");
    }
    let mut failure = Failure::expired(EXPIRED);
    failure.proceed = Some(encode(-1, start));
    failure
}

fn encode(revision: i64, start: &str) -> String {
    URL_SAFE_NO_PAD.encode(json!({"v": "meta.k8s.io/v1", "rv": revision, "start": start}).to_string())
}

fn decode(token: &str) -> Option<(i64, String)> {
    let value: Value = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(token).ok()?).ok()?;
    let (revision, start) = (value["rv"].as_i64()?, value["start"].as_str()?);
    (value["v"] == "meta.k8s.io/v1" && revision != 0 && !start.is_empty())
        .then(|| (revision, start.to_owned()))
}

impl Page {
    /// Namespace and name of each object.
    pub fn names(&self) -> Vec<(String, String)> {
        self.objects.iter().map(|o| (o.namespace.to_string(), o.name.to_string())).collect()
    }

    /// The body, written in chunks while the client reads.
    pub fn body(self, form: Form) -> Body {
        let (kind, version) = match form {
            Form::Full => (format!("{}List", self.kind.kind), self.kind.api_version()),
            Form::Metadata => ("PartialObjectMetadataList".to_owned(), "meta.k8s.io/v1".to_owned()),
        };
        let mut head = BytesMut::new();
        head.put_slice(
            format!("{{\"kind\":\"{kind}\",\"apiVersion\":\"{version}\",\"metadata\":").as_bytes(),
        );
        head.put_slice(Value::Object(self.metadata).to_string().as_bytes());
        if form == Form::Metadata && self.objects.is_empty() {
            head.put_slice(b",\"items\":null}\n");
            return Body::from(head.freeze());
        }
        head.put_slice(b",\"items\":[");
        let total = self.objects.len();
        let kind = self.kind;
        let mut chunk = head;
        let mut objects = self.objects.into_iter().enumerate();
        let mut closed = false;
        let chunks = std::iter::from_fn(move || {
            if closed {
                return None;
            }
            while chunk.len() < CHUNK {
                let Some((at, object)) = objects.next() else { break };
                object.write_item(kind, form, &mut chunk);
                if at + 1 < total {
                    chunk.put_u8(b',');
                }
            }
            if objects.len() == 0 {
                chunk.put_slice(b"]}\n");
                closed = true;
            }
            Some(Ok::<Bytes, std::convert::Infallible>(chunk.split().freeze()))
        });
        Body::from_stream(futures::stream::iter(chunks))
    }
}
