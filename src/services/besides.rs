//! Edits by others that decide nothing about a service's traffic (a timeout, retries): no revision and no row of
//! their own, but a later change of the object shows them, and its row names them. They stay as they are.

use serde_json::Value;

use crate::cluster::FIELD_MANAGER;
use crate::domain::ids::{ObjectRef, ServiceRef};
use crate::domain::plan::Plan;
use crate::domain::refusal::{Check, Code, Refusal, Severity};
use crate::routing;

use super::Services;
use super::change::Look;
use super::once::unavailable;
use super::outside::{generations, meta_of};

/// So many fields are named.
const FIELDS: usize = 5;

impl Services {
    /// The objects that a plan writes and that others edited since the last recorded change, or, before any, since
    /// Sluice first saw them.
    pub(super) async fn edited_besides(
        &self,
        at: &ServiceRef,
        look: &Look,
        plan: &Plan,
    ) -> Result<Vec<Check>, Refusal> {
        let written = self.inner.outside.written(at);
        // What stands at the version that was written last is as it was written. The specs may be large.
        let as_written = |object: &ObjectRef| {
            let version = meta_of(&look.snapshot, object).map(|meta| &meta.resource_version);
            let of = |(other, wrote): &(ObjectRef, String)| {
                other == object && version.is_some_and(|now| **now == **wrote)
            };
            written.iter().any(of)
        };
        let edited = plan.edits().map(|edit| &edit.object).filter(|object| !as_written(object));
        let edited: Vec<&ObjectRef> = edited.collect();
        if edited.is_empty() {
            return Ok(Vec::new());
        }
        let recorded = self.inner.store.specs_at(at, look.revision).await.map_err(unavailable)?;
        let seen = self.inner.outside.generations(at);
        let standing = generations(&look.snapshot, &look.routing);
        let mut out = Vec::new();
        let now = look.routing.objects.iter().filter(|object| edited.contains(object));
        for (object, spec) in
            now.filter_map(|object| Some((object, routing::spec_of(&look.snapshot, object)?)))
        {
            let fields = if let Some(recorded) = &recorded {
                let was = recorded.iter().find(|(other, _)| other == object).map(|(_, spec)| spec);
                was.map(|was| changed_fields(was, spec)).unwrap_or_default()
            } else {
                let of = |list: &[(ObjectRef, i64)]| {
                    list.iter().find(|(other, _)| other == object).map(|(_, generation)| *generation)
                };
                let edited = of(&seen).is_some_and(|seen| of(&standing).is_some_and(|now| now != seen));
                if edited { vec!["/spec".to_owned()] } else { Vec::new() }
            };
            if fields.is_empty() {
                continue;
            }
            // An edit that only takes a field away leaves Sluice as the last manager; that says nothing of who it was.
            let manager = meta_of(&look.snapshot, object)
                .and_then(|meta| meta.manager.as_deref())
                .filter(|manager| *manager != FIELD_MANAGER);
            let check = Check::new(Severity::Info, Code::EditedBesides).arg("object", object);
            out.push(check.arg("who", manager.unwrap_or("-")).arg("list", fields.join(", ")));
        }
        Ok(out)
    }
}

/// Where two specs differ, as JSON pointers, at most [`FIELDS`].
fn changed_fields(was: &Value, now: &Value) -> Vec<String> {
    let mut out = Vec::new();
    differ("/spec".to_owned(), was, now, &mut out);
    out
}

fn differ(path: String, was: &Value, now: &Value, out: &mut Vec<String>) {
    if was == now || out.len() >= FIELDS {
        return;
    }
    match (was, now) {
        (Value::Object(was), Value::Object(now)) => {
            let gone = was.keys().filter(|key| !now.contains_key(*key));
            for key in now.keys().chain(gone) {
                let (was, now) = (was.get(key), now.get(key));
                let at = format!("{path}/{}", key.replace('~', "~0").replace('/', "~1"));
                differ(at, was.unwrap_or(&Value::Null), now.unwrap_or(&Value::Null), out);
            }
        }
        (Value::Array(was), Value::Array(now)) if was.len() == now.len() => {
            for (at, (was, now)) in was.iter().zip(now).enumerate() {
                differ(format!("{path}/{at}"), was, now, out);
            }
        }
        _ => out.push(path),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn fields_are_named_where_they_differ() {
        let was = json!({"http": [{"timeout": "1s", "route": [1]}, {"a": null}], "x/y": 1});
        let check = |now: &Value, expected: &[&str]| assert_eq!(changed_fields(&was, now), expected);
        check(&was, &[]);
        check(
            &json!({"http": [{"timeout": "2s", "route": [1], "retries": {}}, {}], "x/y": 2}),
            &["/spec/http/0/retries", "/spec/http/0/timeout", "/spec/x~1y"],
        );
        check(&json!({"http": [{"timeout": "1s"}], "x/y": 1}), &["/spec/http"]);
        let many = json!({"a": 1, "b": 1, "c": 1, "d": 1, "e": 1, "f": 1});
        assert_eq!(changed_fields(&json!({}), &many).len(), FIELDS);
    }
}
