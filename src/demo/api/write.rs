//! POST, PUT, PATCH and DELETE: read the stored version, decide the next one, store it if no other write came first.
//!
//! The loop is that of the real server (`GuaranteedUpdate`): what is decided is decided on one stored version, and
//! decided again when another write came first. Called by `wire` and by the direct helpers of `ApiServer`.

use std::sync::Arc;

use serde_json::{Value, json};

use super::ApiServer;
use super::change::{self, Part, Stamp};
use super::failure::{Failure, FieldError};
use super::fields::Strictness;
use super::kinds::Kind;
use super::object::{Object, meta_text, metadata_mut};
use super::storage::{Raced, Scope};
use super::{admission, builtin, fields, metadata};

/// The options that all writes share.
#[derive(Clone, Debug)]
pub(super) struct WriteOptions {
    pub dry_run: bool,
    pub strictness: Strictness,
    pub part: Part,
    pub stamp: Stamp,
}

/// A change sent with PATCH.
#[derive(Clone, Debug)]
pub(super) enum Change {
    /// RFC 6902.
    Json(json_patch::Patch),
    /// RFC 7386.
    Merge(Value),
}

/// What must hold for a DELETE, and whether it is only tried.
#[derive(Clone, Debug, Default)]
pub(super) struct DeleteOptions {
    pub uid: Option<String>,
    pub resource_version: Option<String>,
    pub dry_run: bool,
}

/// What came out of a write.
pub(super) struct Written {
    pub object: Arc<Object>,
    pub created: bool,
    pub warnings: Vec<String>,
}

/// What came out of a DELETE.
pub(super) enum Deleted {
    /// It is gone (or waits for its finalizers): answer with the object.
    Object(Arc<Object>),
    /// It is gone: answer with a `Status`.
    Status(Value),
}

impl ApiServer {
    pub(super) fn create(
        &self,
        table: usize,
        namespace: &str,
        body: Value,
        options: &WriteOptions,
    ) -> Result<Written, Failure> {
        let (kind, serial) = {
            let mut state = self.state();
            let kind = state.tables[table].kind;
            if kind.namespaced && !state.namespace_exists(namespace) {
                return Err(Failure::not_found(namespaces(), namespace));
            }
            (kind, state.next_serial())
        };
        check_type(kind, &body)?;
        let mut body = body;
        let warnings = fields::check(kind, &mut body, options.strictness)?;
        let mut value = change::create(kind, namespace, body, serial, &options.stamp)?;
        builtin::fill_in(kind, &mut value, serial);
        self.review(kind, &value)?;
        let (namespace, name) = (meta_text(&value, "namespace"), meta_text(&value, "name"));
        let (key, name) = (kind.key(namespace, name), name.to_owned());
        let mut state = self.state();
        if options.dry_run {
            if state.tables[table].objects.contains_key(&key) {
                return Err(Failure::already_exists(kind, &name));
            }
            let object = Arc::new(Object::new(kind, value, 0));
            return Ok(Written { object, created: true, warnings });
        }
        match state.store(table, value, 0) {
            Ok(object) => Ok(Written { object, created: true, warnings }),
            Err(Raced) => Err(Failure::already_exists(kind, &name)),
        }
    }

    pub(super) fn update(
        &self,
        table: usize,
        namespace: &str,
        name: &str,
        mut body: Value,
        options: &WriteOptions,
    ) -> Result<Written, Failure> {
        let kind = self.state().tables[table].kind;
        check_type(kind, &body)?;
        check_address(kind, namespace, name, &body)?;
        let warnings = fields::check(kind, &mut body, options.strictness)?;
        self.replace(table, namespace, name, options, |before| match before {
            Some(_) => Ok((body.clone(), warnings.clone())),
            None if kind.create_on_update && options.part == Part::Main => {
                Ok((body.clone(), warnings.clone()))
            }
            None => Err(Failure::not_found(kind, name)),
        })
    }

    pub(super) fn patch(
        &self,
        table: usize,
        namespace: &str,
        name: &str,
        change: &Change,
        options: &WriteOptions,
    ) -> Result<Written, Failure> {
        let kind = self.state().tables[table].kind;
        self.replace(table, namespace, name, options, |before| {
            let mut body = before.cloned().ok_or_else(|| Failure::not_found(kind, name))?;
            match change {
                Change::Merge(patch) => json_patch::merge(&mut body, patch),
                Change::Json(patch) => json_patch::patch(&mut body, patch).map_err(|error| {
                    Failure::unprocessable(format!(
                        "the server rejected our request due to an error in our request: {error}"
                    ))
                })?,
            }
            check_address(kind, namespace, name, &body)?;
            metadata::check_texts(&body)?;
            let warnings = fields::check(kind, &mut body, options.strictness)?;
            Ok((body, warnings))
        })
    }

    /// Stores what `decide` makes of the stored version.
    fn replace(
        &self,
        table: usize,
        namespace: &str,
        name: &str,
        options: &WriteOptions,
        decide: impl Fn(Option<&Value>) -> Result<(Value, Vec<String>), Failure>,
    ) -> Result<Written, Failure> {
        let kind = self.state().tables[table].kind;
        let key = kind.key(namespace, name);
        loop {
            let stored = self.state().tables[table].objects.get(&key).cloned();
            let Some(stored) = stored else {
                let (body, _) = decide(None)?;
                return self.create(table, namespace, body, options);
            };
            let before = stored.value();
            let (body, warnings) = decide(Some(&before))?;
            check_version(kind, name, &body, &stored)?;
            let mut after = change::update(kind, &before, body, &options.stamp, options.part)?;
            builtin::keep(kind, &before, &mut after);
            self.review(kind, &after)?;
            // A write that changes nothing makes no version and no event.
            if after == before {
                return Ok(Written { object: stored, created: false, warnings });
            }
            if options.dry_run {
                let object = Arc::new(Object::new(kind, after, stored.revision));
                return Ok(Written { object, created: false, warnings });
            }
            let last = !meta_text(&after, "deletionTimestamp").is_empty() && !change::has_finalizers(&after);
            let mut state = self.state();
            let done = if last {
                state.remove(table, &key, stored.revision)
            } else {
                state.store(table, after, stored.revision)
            };
            if let Ok(object) = done {
                return Ok(Written { object, created: false, warnings });
            }
        }
    }

    pub(super) fn remove(
        &self,
        table: usize,
        namespace: &str,
        name: &str,
        options: &DeleteOptions,
    ) -> Result<Deleted, Failure> {
        let kind = self.state().tables[table].kind;
        let key = kind.key(namespace, name);
        loop {
            let stored = self.state().tables[table].objects.get(&key).cloned();
            let stored = stored.ok_or_else(|| Failure::not_found(kind, name))?;
            let before = stored.value();
            check_preconditions(kind, name, &before, options)?;
            if options.dry_run {
                return Ok(answer(kind, &stored, &before));
            }
            if change::has_finalizers(&before) {
                let after = change::mark_deleted(&before, self.now());
                if after == before {
                    return Ok(Deleted::Object(stored));
                }
                if let Ok(object) = self.state().store(table, after, stored.revision) {
                    return Ok(Deleted::Object(object));
                }
                continue;
            }
            if kind.kind == "Namespace" {
                self.empty_namespace(name);
            }
            let removed = self.state().remove(table, &key, stored.revision);
            if let Ok(object) = removed {
                return Ok(answer(kind, &object, &before));
            }
        }
    }

    /// Deletes what a namespace holds. A real cluster does this in the background.
    fn empty_namespace(&self, name: &str) {
        let mut state = self.state();
        for table in 0..state.tables.len() {
            if !state.tables[table].kind.namespaced {
                continue;
            }
            for object in state.tables[table].now(&Scope::Namespace(name.into())) {
                let key = state.tables[table].kind.key(&object.namespace, &object.name);
                // No other write can come first: the lock is held.
                drop(state.remove(table, &key, object.revision));
            }
        }
    }

    /// What validation and the webhook say about the object that would be stored.
    fn review(&self, kind: &Kind, value: &Value) -> Result<(), Failure> {
        let mut errors = metadata::check(value);
        errors.extend(builtin::validate(kind, value));
        fields::check_types(kind, value, &mut errors);
        if !errors.is_empty() {
            return Err(Failure::invalid(kind, kind.kind, meta_text(value, "name"), &errors));
        }
        if self.webhook_on() {
            admission::review(kind, value)?;
        }
        Ok(())
    }
}

fn namespaces() -> &'static Kind {
    &super::kinds::KINDS[0]
}

fn answer(kind: &Kind, object: &Arc<Object>, before: &Value) -> Deleted {
    if kind.returns_deleted {
        return Deleted::Object(object.clone());
    }
    let mut details = json!({"name": &*object.name, "kind": kind.plural, "uid": meta_text(before, "uid")});
    if !kind.group.is_empty() {
        details["group"] = kind.group.into();
    }
    Deleted::Status(json!({
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "details": details,
    }))
}

/// The body says what it is, and it is what the URL says.
fn check_type(kind: &Kind, body: &Value) -> Result<(), Failure> {
    let text = |key: &str| body.get(key).and_then(Value::as_str).unwrap_or_default();
    let (sent_kind, sent_version) = (text("kind"), text("apiVersion"));
    if !body.is_object() || (sent_kind.is_empty() && kind.custom) {
        return Err(Failure::bad_request("Object 'Kind' is missing in the request body"));
    }
    if !sent_version.is_empty() && sent_version != kind.api_version() {
        return Err(Failure::bad_request(format!(
            "the API version in the data ({sent_version}) does not match the expected API version ({})",
            kind.api_version()
        )));
    }
    metadata::check_texts(body)?;
    if !sent_kind.is_empty() && sent_kind != kind.kind {
        if kind.custom {
            let text = format!("must be {}", kind.kind);
            let error = FieldError::invalid("kind", &format!("{sent_kind:?}"), &text);
            return Err(Failure::invalid(kind, sent_kind, meta_text(body, "name"), &[error]));
        }
        return Err(Failure::bad_request(format!(
            "{} in version \"{}\" cannot be handled as a {}: converting ({sent_kind}) to ({})",
            kind.kind, kind.version, kind.kind, kind.kind
        )));
    }
    Ok(())
}

/// Name and namespace of the body are those of the URL.
fn check_address(kind: &Kind, namespace: &str, name: &str, body: &Value) -> Result<(), Failure> {
    let sent = meta_text(body, "name");
    if sent != name {
        if sent.is_empty() {
            return Err(Failure::bad_request("name must be provided"));
        }
        return Err(Failure::bad_request(format!(
            "the name of the object ({sent}) does not match the name on the URL ({name})"
        )));
    }
    let sent = meta_text(body, "namespace");
    if kind.namespaced && !sent.is_empty() && sent != namespace {
        return Err(Failure::bad_request(
            "the namespace of the provided object does not match the namespace sent on the request",
        ));
    }
    Ok(())
}

/// Optimistic locking: built-in kinds may leave the version out, custom resources may not.
fn check_version(kind: &Kind, name: &str, body: &Value, stored: &Object) -> Result<(), Failure> {
    let sent = meta_text(body, "resourceVersion");
    if sent.is_empty() || sent == "0" {
        if !kind.custom {
            return Ok(());
        }
        let error = FieldError::invalid("metadata.resourceVersion", "0", "must be specified for an update");
        return Err(Failure::invalid(kind, kind.plural, name, &[error]));
    }
    if sent.parse() == Ok(stored.revision) { Ok(()) } else { Err(Failure::conflict(kind, name)) }
}

fn check_preconditions(
    kind: &Kind,
    name: &str,
    before: &Value,
    options: &DeleteOptions,
) -> Result<(), Failure> {
    let stored = |key: &str| meta_text(before, key);
    if let Some(uid) = options.uid.as_deref().filter(|uid| *uid != stored("uid")) {
        let why = format!(
            "the UID in the precondition ({uid}) does not match the UID in record ({}). The object might have been \
             deleted and then recreated",
            stored("uid")
        );
        return Err(Failure::conflict_because(kind, name, &why));
    }
    let version = options.resource_version.as_deref();
    if let Some(version) = version.filter(|v| *v != stored("resourceVersion")) {
        let why = format!(
            "the ResourceVersion in the precondition ({version}) does not match the ResourceVersion in record ({}). \
             The object might have been modified",
            stored("resourceVersion")
        );
        return Err(Failure::conflict_because(kind, name, &why));
    }
    Ok(())
}

/// Makes sure that a body which a person seeds has its type and name in place.
pub(super) fn complete(kind: &Kind, body: &mut Value) {
    metadata_mut(body);
    body["kind"] = kind.kind.into();
    body["apiVersion"] = kind.api_version().into();
}
