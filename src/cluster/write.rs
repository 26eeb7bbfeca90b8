//! One write: PUT or DELETE at the resourceVersion that was read, or POST for an object that did not exist; and finding out
//! what became of it when the answer is lost. `apply` puts these in order. Never sends a write twice, except after
//! a conflict in which nothing but status or metadata had moved.

use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;
use http::Method;
use serde_json::{Map, Value, json};
use tokio::time::{Instant, sleep};

use crate::domain::ids::ObjectRef;
use crate::domain::plan::{CHANGE_ANNOTATION, Edit, Plan};

use super::error::{ApplyError, ClusterError};
use super::kinds;
use super::meta;
use super::wire::{self, Call, query};
use super::{Cluster, FIELD_MANAGER, within};

/// How often a write is rebased on an object of which only status or metadata moved.
const REBASES: u32 = 3;

/// What the API server warned of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Warning {
    pub object: ObjectRef,
    pub text: String,
}

/// Whether a write counts.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Mode {
    /// Everything is checked, webhooks included; nothing is stored.
    DryRun,
    Real,
}

/// What became of one write.
pub(super) enum Fate {
    /// Stored; the object as it is now, null for one that was deleted.
    Written(Value, Vec<String>),
    /// Certainly not stored.
    Not(ApplyError),
    /// Unknown: the answer was lost and the object could not be read.
    Unknown(ApplyError),
}

impl Cluster {
    /// Lets the API server and its webhooks check every edit of a plan, without storing any.
    /// Refusals come in their own words, that of the first edit first; the answer holds their warnings.
    pub async fn dry_run(&self, plan: &Plan) -> Result<Vec<Warning>, ApplyError> {
        let end = within(self.limits().write);
        let tries = plan.edits().map(|edit| async move {
            match self.write(edit, body_of(edit, None), Mode::DryRun, end, end).await {
                Fate::Written(_, warnings) => Ok((edit, warnings)),
                Fate::Not(error) | Fate::Unknown(error) => Err(error),
            }
        });
        let mut all = Vec::new();
        for tried in join_all(tries).await {
            let (edit, warnings) = tried?;
            all.extend(warnings.into_iter().map(|text| Warning { object: edit.object.clone(), text }));
        }
        Ok(all)
    }

    /// False when the API server forbids Sluice itself a deletion of the plan: its role may be older than it is.
    /// Whatever else stands in the way comes up when the plan is tried.
    pub async fn may_delete(&self, plan: &Plan) -> bool {
        let end = within(self.limits().write);
        for edit in plan.edits().filter(|edit| edit.deletes()) {
            let tried = self.write(edit, body_of(edit, None), Mode::DryRun, end, end).await;
            if let Fate::Not(ApplyError::Cluster { error: ClusterError::Forbidden(words), .. }) = tried {
                tracing::warn!(object = %edit.object, words, "Sluice's own role does not allow this deletion");
                return false;
            }
        }
        true
    }

    /// Writes one edit. The request ends by `end`; finding out what became of it, by `find_out`.
    pub(super) async fn write(
        &self,
        edit: &Edit,
        mut body: Value,
        mode: Mode,
        end: Instant,
        find_out: Instant,
    ) -> Fate {
        let object = &edit.object;
        let not = |error| Fate::Not(ApplyError::Cluster { object: object.clone(), error });
        for _ in 0..=REBASES {
            let call = Self::call(edit, &body, mode, end);
            let answer = match wire::send(&self.inner.clients.write, &call, end).await {
                Ok(answer) => answer,
                Err(wire::Failed::NotSent(error)) => return not(error),
                Err(failed) => {
                    return self.find_out(edit, &body, mode, failed.error("a write"), find_out).await;
                }
            };
            match answer.status {
                200..=299 if edit.deletes() => return Fate::Written(Value::Null, answer.warnings),
                200..=299 => {
                    return match serde_json::from_slice::<Value>(&answer.body) {
                        Ok(stored) => {
                            if mode == Mode::Real {
                                let json = Arc::new(stored.clone());
                                self.inner.recent.keep(object, json, answer.body.len());
                            }
                            Fate::Written(stored, answer.warnings)
                        }
                        Err(error) => {
                            let error = ClusterError::Invalid(error.to_string());
                            self.find_out(edit, &body, mode, error, find_out).await
                        }
                    };
                }
                // Another client deleted it, too.
                404 if edit.deletes() => return Fate::Written(Value::Null, Vec::new()),
                // A PUT to an object that is gone.
                404 if edit.before.is_some() => {
                    return Fate::Not(ApplyError::Conflict { object: object.clone(), manager: None });
                }
                409 => {
                    let now = match self.get(object, find_out).await {
                        Ok(now) => now,
                        // A conflict is never stored, so this is sure even though the object cannot be read.
                        Err(error) => return not(error),
                    };
                    match now.as_ref().and_then(|now| rebased(edit, &body, now)) {
                        Some(again) => body = again,
                        None => return Fate::Not(conflict(edit, now.as_ref())),
                    }
                }
                401 | 429 => return not(answer.error("a write")),
                403 => {
                    let message = answer.told().message;
                    return if wire::is_denied(&message) {
                        Fate::Not(ApplyError::Refused { object: object.clone(), message })
                    } else {
                        not(ClusterError::Forbidden(message))
                    };
                }
                400..=499 => {
                    let message = answer.told().message;
                    return Fate::Not(ApplyError::Refused { object: object.clone(), message });
                }
                _ => return self.find_out(edit, &body, mode, answer.error("a write"), find_out).await,
            }
        }
        Fate::Not(ApplyError::Conflict { object: object.clone(), manager: None })
    }

    fn call(edit: &Edit, body: &Value, mode: Mode, end: Instant) -> Call {
        // The API server gives up before we do, so that a write that we stopped waiting for does not land later.
        let patience = end.saturating_duration_since(Instant::now()).as_secs().saturating_sub(1).max(1);
        let patience = format!("{patience}s");
        let mut pairs = vec![
            ("fieldManager", FIELD_MANAGER),
            ("fieldValidation", "Strict"),
            ("timeout", patience.as_str()),
        ];
        if mode == Mode::DryRun {
            pairs.push(("dryRun", "All"));
        }
        if edit.deletes() {
            pairs.retain(|(name, _)| !matches!(*name, "fieldManager" | "fieldValidation"));
        }
        let (method, path) = match (&edit.before, &edit.after) {
            (_, None) => (Method::DELETE, kinds::path(&edit.object)),
            (Some(_), Some(_)) => (Method::PUT, kinds::path(&edit.object)),
            (None, Some(_)) => (Method::POST, kinds::collection_path(&edit.object)),
        };
        let path = path + &query(&pairs);
        if edit.deletes() && mode == Mode::DryRun {
            // The API server reads the options of a deletion from its body, or from the address where there is none:
            // never from both. Without this line a dry run with preconditions would delete the object.
            let mut options = body.clone();
            options["dryRun"] = json!(["All"]);
            return Call::with_body(method, path, &options);
        }
        Call::with_body(method, path, body)
    }

    /// The object as it is now; `None` when there is none.
    pub(super) async fn get(&self, object: &ObjectRef, end: Instant) -> Result<Option<Value>, ClusterError> {
        match wire::read(&self.inner.clients.read, &Call::get(kinds::path(object)), end).await {
            Ok(answer) => {
                let value = serde_json::from_slice(&answer.body);
                value.map(Some).map_err(|error| ClusterError::Invalid(error.to_string()))
            }
            Err(ClusterError::NotFound(_)) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The answer to a write was lost: reads the object to see whether it carries our change.
    async fn find_out(
        &self,
        edit: &Edit,
        body: &Value,
        mode: Mode,
        error: ClusterError,
        end: Instant,
    ) -> Fate {
        let object = edit.object.clone();
        if mode == Mode::DryRun {
            return Fate::Not(ApplyError::Cluster { object, error });
        }
        let mut looked = 0;
        loop {
            let seen = self.get(&edit.object, end).await;
            let may_wait = Instant::now() + LOOK_AGAIN < end;
            let verdict = match seen {
                Ok(now) => judge(edit, body, now),
                // As long as there is time: "unknown" is the worst answer.
                Err(_) if may_wait => {
                    sleep(LOOK_AGAIN).await;
                    continue;
                }
                Err(_) => Verdict::Open,
            };
            looked += 1;
            match verdict {
                Verdict::Written(stored) => return Fate::Written(stored, Vec::new()),
                // The write may still have been under way when we looked.
                Verdict::Not if looked == 1 && may_wait => sleep(LOOK_AGAIN).await,
                Verdict::Not => return Fate::Not(ApplyError::Cluster { object, error }),
                Verdict::Overtaken(manager) => return Fate::Not(ApplyError::Conflict { object, manager }),
                Verdict::Open => return Fate::Unknown(ApplyError::Unknown { object, error }),
            }
        }
    }
}

const LOOK_AGAIN: Duration = Duration::from_millis(500);

enum Verdict {
    Written(Value),
    Not,
    /// Another client wrote instead, and ours was not stored.
    Overtaken(Option<Arc<str>>),
    /// Ours may have been stored and overwritten since.
    Open,
}

fn judge(edit: &Edit, body: &Value, now: Option<Value>) -> Verdict {
    if edit.deletes() && now.as_ref().is_none_or(|now| now.pointer("/metadata/deletionTimestamp").is_some()) {
        return Verdict::Written(Value::Null);
    }
    let Some(now) = now else {
        return if edit.before.is_some() { Verdict::Overtaken(None) } else { Verdict::Not };
    };
    if !edit.deletes() && annotation(&now) == annotation(body) && annotation(body).is_some() {
        return Verdict::Written(now);
    }
    let Some(before) = edit.before.as_deref() else {
        return Verdict::Overtaken(meta::changed_by(None, &now));
    };
    if text(&now, "uid") != text(before, "uid") {
        return Verdict::Overtaken(None);
    }
    if now.get("spec") == before.get("spec") && generation(&now) == generation(before) {
        return Verdict::Not;
    }
    // Each stored change of the spec raises the generation by one. One step, and it is not ours: ours was not stored.
    match generation(&now) - generation(before) {
        0 | 1 => Verdict::Overtaken(meta::changed_by(Some(before), &now)),
        _ => Verdict::Open,
    }
}

/// What is sent for an edit: the object with the id of the change on it, or the options of a deletion.
pub(super) fn body_of(edit: &Edit, change: Option<&str>) -> Value {
    match (&edit.after, &edit.before) {
        (Some(after), _) if change.is_some() => marked(after.clone(), change),
        (Some(after), _) => after.clone(),
        (None, Some(before)) => deletion(before),
        (None, None) => Value::Null,
    }
}

/// The options that delete an object if it is still the one that was read, as it was read.
fn deletion(object: &Value) -> Value {
    json!({
        "kind": "DeleteOptions",
        "apiVersion": "v1",
        "preconditions": {
            "uid": text(object, "uid"),
            "resourceVersion": text(object, "resourceVersion"),
        },
    })
}

/// The same edit on an object of which only status or metadata moved since it was read; `None` when more did.
fn rebased(edit: &Edit, body: &Value, now: &Value) -> Option<Value> {
    let before = edit.before.as_deref()?;
    let same = text(now, "uid") == text(before, "uid")
        && generation(now) == generation(before)
        && now.get("spec") == before.get("spec")
        && now.pointer("/metadata/deletionTimestamp").is_none();
    if !same {
        return None;
    }
    if edit.deletes() {
        return Some(deletion(now));
    }
    let mut again = now.clone();
    again.as_object_mut()?.insert("spec".to_owned(), body.get("spec").cloned().unwrap_or_default());
    for part in ["labels", "annotations"] {
        let nothing = Map::new();
        let (old, new) = (member(before, part).unwrap_or(&nothing), member(body, part).unwrap_or(&nothing));
        let changed: Vec<(&String, Option<&Value>)> = new
            .iter()
            .filter(|(key, value)| old.get(*key) != Some(value))
            .map(|(key, value)| (key, Some(value)))
            .chain(old.keys().filter(|key| !new.contains_key(*key)).map(|key| (key, None)))
            .collect();
        for (key, value) in changed {
            set(&mut again, part, key, value.cloned());
        }
    }
    Some(again)
}

fn conflict(edit: &Edit, now: Option<&Value>) -> ApplyError {
    let manager = now.and_then(|now| meta::changed_by(edit.before.as_deref(), now));
    ApplyError::Conflict { object: edit.object.clone(), manager }
}

/// A text of an object's metadata; empty when it is absent.
pub(super) fn text<'a>(object: &'a Value, key: &str) -> &'a str {
    object.get("metadata").and_then(|meta| meta.get(key)).and_then(Value::as_str).unwrap_or_default()
}

pub(super) fn generation(object: &Value) -> i64 {
    object.pointer("/metadata/generation").and_then(Value::as_i64).unwrap_or_default()
}

/// The change that wrote the object last, as it says itself.
pub(super) fn annotation(object: &Value) -> Option<&str> {
    member(object, "annotations")?.get(CHANGE_ANNOTATION)?.as_str()
}

/// The object with the id of the change on it.
pub(super) fn marked(mut object: Value, change: Option<&str>) -> Value {
    set(&mut object, "annotations", CHANGE_ANNOTATION, change.map(Into::into));
    object
}

fn member<'a>(object: &'a Value, part: &str) -> Option<&'a Map<String, Value>> {
    object.get("metadata")?.get(part)?.as_object()
}

/// Sets or removes one label or annotation.
fn set(object: &mut Value, part: &str, key: &str, value: Option<Value>) {
    let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) else { return };
    let entry = metadata.entry(part).or_insert_with(|| Value::Object(Map::new()));
    if !entry.is_object() {
        *entry = Value::Object(Map::new());
    }
    if let Some(members) = entry.as_object_mut() {
        match value {
            Some(value) => drop(members.insert(key.to_owned(), value)),
            None => drop(members.remove(key)),
        }
        if members.is_empty() {
            metadata.remove(part);
        }
    }
}
