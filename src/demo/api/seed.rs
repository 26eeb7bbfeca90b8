//! Direct writes of the demo and of tests: past the webhook and past optimistic locking, status included.
//!
//! Called by [`ApiServer::put`] and its neighbours. Everything else about an object (identity, generation,
//! managed fields, events) is done by the same functions as for a request.

use std::sync::Arc;

use serde_json::{Value, json};

use super::ApiServer;
use super::change::{self, Part, Stamp};
use super::failure::Failure;
use super::kinds::Kind;
use super::object::{Object, meta_text, metadata_mut};
use super::{builtin, metadata, object};

impl ApiServer {
    /// Makes a namespace when it is missing.
    pub(super) fn ensure_namespace(&self, name: &str) {
        if self.state().namespace_exists(name) {
            return;
        }
        let object = json!({"kind": "Namespace", "apiVersion": "v1", "metadata": {"name": name}});
        if let Ok((table, kind)) = self.find("Namespace") {
            // Another client may have made it since: just as well.
            drop(self.seed(table, kind, "", object, "kube-apiserver"));
        }
    }

    pub(super) fn seed(
        &self,
        table: usize,
        kind: &'static Kind,
        namespace: &str,
        mut body: Value,
        manager: &str,
    ) -> Result<Arc<Object>, Failure> {
        metadata_mut(&mut body).remove("resourceVersion");
        let stamp = Stamp { now: self.now(), manager: manager.to_owned() };
        let status = body.get("status").cloned();
        let key = kind.key(namespace, meta_text(&body, "name"));
        loop {
            let (stored, serial) = {
                let mut state = self.state();
                (state.tables[table].objects.get(&key).cloned(), state.next_serial())
            };
            let mut after = match &stored {
                None => {
                    let mut first = change::create(kind, namespace, body.clone(), serial, &stamp)?;
                    builtin::fill_in(kind, &mut first, serial);
                    first
                }
                Some(stored) => {
                    let before = stored.value();
                    metadata_mut(&mut body).remove("uid");
                    let mut next = change::update(kind, &before, body.clone(), &stamp, Part::Main)?;
                    builtin::keep(kind, &before, &mut next);
                    next
                }
            };
            if let Some(status) = &status {
                object::as_map(&mut after).insert("status".into(), status.clone());
            }
            let mut errors = metadata::check(&after);
            errors.extend(builtin::validate(kind, &after));
            if !errors.is_empty() {
                return Err(Failure::invalid(kind, kind.kind, meta_text(&after, "name"), &errors));
            }
            if let Some(stored) = stored.as_ref().filter(|o| o.value() == after) {
                return Ok(stored.clone());
            }
            let decided_on = stored.map_or(0, |o| o.revision);
            if let Ok(object) = self.state().store(table, after, decided_on) {
                return Ok(object);
            }
        }
    }

    /// Writes the status of an object and nothing else of it, as a controller does.
    ///
    /// # Errors
    /// When the kind is unknown or the object does not exist.
    pub fn put_status(
        &self,
        kind: &str,
        namespace: &str,
        name: &str,
        status: Value,
        manager: &str,
    ) -> Result<Arc<Object>, Failure> {
        let (table, kind) = self.find(kind)?;
        let stamp = Stamp { now: self.now(), manager: manager.to_owned() };
        let key = kind.key(namespace, name);
        loop {
            let stored = self.state().tables[table].objects.get(&key).cloned();
            let Some(stored) = stored else { return Err(Failure::not_found(kind, name)) };
            let before = stored.value();
            let mut body = before.clone();
            object::as_map(&mut body).insert("status".into(), status.clone());
            let after = change::update(kind, &before, body, &stamp, Part::Status)?;
            if after["status"] == before["status"] {
                return Ok(stored);
            }
            if let Ok(object) = self.state().store(table, after, stored.revision) {
                return Ok(object);
            }
        }
    }
}
