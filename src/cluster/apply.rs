//! Writes a plan: stage by stage, with a barrier between stages, undone in reverse when something fails; and one
//! workload or pod of a release. The one way in which anything is written to the cluster. `services` has a durable
//! intent before it calls, and records what comes back.
//!
//! Says nothing that was not seen: *applied* = the API server stored it, *failed* = nothing of it remains,
//! *partial* = something does, *unknown* = an answer was lost and the object could not be read.

use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;
use serde_json::Value;
use tokio::sync::broadcast::error::RecvError;
use tokio::time::{Instant, sleep, timeout};

use crate::domain::audit::{EditRecord, Ending, Written};
use crate::domain::ids::{Namespace, ObjectRef};
use crate::domain::plan::{Edit, Plan};
use crate::domain::refusal::{Code, Refusal};
use crate::domain::service::WorkloadKind;

use super::WorkloadError;
use super::cache::Cache;
use super::error::{ApplyError, ClusterError};
use super::write::{self, Mode, annotation, generation, marked, text};
use super::{Cluster, LEAST, meta, within};

/// How a plan ended.
#[derive(Clone, Debug, PartialEq)]
pub struct Applied {
    /// One for each edit, in the plan's order.
    pub records: Vec<EditRecord>,
    /// `Applied`, `Failed`, `Partial` or `Unknown`.
    pub ending: Ending,
    pub error: Option<ApplyError>,
    /// Objects whose stored spec is not the one that was sent: admission changed it. Whether that says anything about
    /// traffic is for the caller to find out.
    pub altered: Vec<ObjectRef>,
}

impl Applied {
    /// The refusal to show when it is not applied.
    pub fn refusal(&self) -> Option<Refusal> {
        let error = self.error.as_ref()?;
        Some(match self.ending {
            Ending::Partial => {
                Refusal::new(Code::PartlyApplied).arg("object", error.object()).arg("words", error)
            }
            Ending::Unknown => {
                Refusal::new(Code::OutcomeUnknown).arg("object", error.object()).arg("words", error)
            }
            _ => error.refusal(),
        })
    }
}

/// One object of a release besides routing, and what is done to it.
#[derive(Clone, Copy, Debug)]
pub enum ObjectWrite<'a> {
    /// Made; refused when it is there.
    Create(WorkloadKind, &'a Value),
    /// Replaced at the resourceVersion that it was read at.
    Replace(WorkloadKind, &'a Value),
    /// Deleted, if it is still the one that was read. One that is gone is fine.
    Delete(WorkloadKind, &'a Value),
    /// The labels of a pod, at the resourceVersion that it was read at.
    LabelPod(&'a Value),
    /// As `Delete`.
    DeletePod(&'a Value),
}

impl ObjectWrite<'_> {
    fn object(&self) -> &Value {
        match self {
            Self::Create(_, object)
            | Self::Replace(_, object)
            | Self::Delete(_, object)
            | Self::LabelPod(object)
            | Self::DeletePod(object) => object,
        }
    }
}

/// What an object says about a change that may have written it.
#[derive(Clone, Debug, PartialEq)]
pub enum Fate {
    /// It carries the change, and the spec is what the change wrote.
    Carries,
    /// It is as it was before the change.
    Before,
    /// It is something else: changed by another client since, or gone.
    Other { manager: Option<Arc<str>> },
    /// It could not be read.
    Unread(ClusterError),
}

impl Cluster {
    /// Writes a plan under a change's id. Ends within [`Limits::change`](super::Limits::change), whatever the cluster
    /// does; sends no write twice.
    pub async fn apply(&self, plan: &Plan, change: &str, cache: &Cache) -> Applied {
        let start = Instant::now();
        let end = within(self.limits().change);
        // The rest of the time belongs to finding out and undoing; a single edit needs no undoing.
        let share = if plan.edits().nth(1).is_some() { 0.6 } else { 0.85 };
        let forward = start + end.saturating_duration_since(start).mul_f64(share);
        let mut run = Run {
            cluster: self,
            change,
            cache,
            records: plan.edits().map(EditRecord::planned).collect(),
            done: Vec::new(),
            altered: Vec::new(),
        };
        let outcome = run.forward(plan, forward).await;
        let (ending, error) = match outcome {
            Ok(()) => (Ending::Applied, None),
            // What may have switched traffic must not lose the subsets that it names: nothing is undone.
            Err(error @ ApplyError::Unknown { .. }) => (Ending::Unknown, Some(error)),
            Err(error) => {
                run.undo(end).await;
                let remains = run.records.iter().any(|record| record.written == Written::Yes);
                let unknown = run.records.iter().any(|record| record.written == Written::Unknown);
                let ending = match (unknown, remains) {
                    (true, _) => Ending::Unknown,
                    (false, true) => Ending::Partial,
                    (false, false) => Ending::Failed,
                };
                (ending, Some(error))
            }
        };
        if let Some(error) = &error {
            tracing::warn!(change, ending = ending.as_str(), %error, "a change was not applied");
        }
        Applied { records: run.records, ending, error, altered: run.altered }
    }

    /// Writes one object of a release under a change's id. Sends it once.
    pub async fn apply_object(&self, write: ObjectWrite<'_>, change: &str) -> Result<(), WorkloadError> {
        let object = write.object();
        let (namespace, name) = (text(object, "namespace"), text(object, "name"));
        let result = match write {
            ObjectWrite::Create(kind, object) => self.create_workload(kind, object).await.map(|_| ()),
            ObjectWrite::Replace(kind, object) => self.replace_workload(kind, object).await.map(|_| ()),
            ObjectWrite::Delete(kind, object) => {
                self.delete_workload(kind, &Namespace::from(namespace), name, text(object, "uid")).await
            }
            ObjectWrite::LabelPod(pod) => self.label_pod(pod).await,
            ObjectWrite::DeletePod(pod) => self.delete_pod(pod).await,
        };
        match &result {
            Ok(()) => tracing::info!(change, namespace, name, "written"),
            Err(error) => tracing::warn!(change, namespace, name, %error, "an object was not written"),
        }
        result
    }

    /// What became of a change, by its objects: after a crash, and after an answer that was lost.
    pub async fn fate_of(&self, change: &str, records: &[EditRecord]) -> Vec<(ObjectRef, Fate)> {
        let end = within(self.limits().read);
        let fates = records.iter().map(|record| async move {
            let fate = match self.get(&record.object, end).await {
                Err(error) => Fate::Unread(error),
                Ok(now) => fate(change, record, now.as_ref()),
            };
            (record.object.clone(), fate)
        });
        join_all(fates).await
    }
}

fn fate(change: &str, record: &EditRecord, now: Option<&Value>) -> Fate {
    let Some(now) = now else {
        return match (&record.before, &record.after) {
            (None, _) => Fate::Before,
            (Some(_), None) => Fate::Carries,
            (Some(_), Some(_)) => Fate::Other { manager: None },
        };
    };
    let spec = now.get("spec");
    if annotation(now) == Some(change) && spec == record.after.as_ref() {
        Fate::Carries
    } else if record.before.is_some() && spec == record.before.as_ref() {
        Fate::Before
    } else {
        Fate::Other { manager: meta::changed_by(None, now) }
    }
}

/// A plan on its way.
struct Run<'a> {
    cluster: &'a Cluster,
    change: &'a str,
    cache: &'a Cache,
    records: Vec<EditRecord>,
    /// What was stored so far: stage, place in the records, the edit, and the object as the API server has it.
    done: Vec<(usize, usize, &'a Edit, Value)>,
    altered: Vec<ObjectRef>,
}

/// A change that has less time than this is not begun, and neither is a later edit of one.
const ENOUGH: Duration = Duration::from_secs(2);

impl<'a> Run<'a> {
    async fn forward(&mut self, plan: &'a Plan, end: Instant) -> Result<(), ApplyError> {
        let mut at = 0;
        for (stage, edits) in plan.stages().enumerate() {
            if stage > 0 {
                // Before the next stage: proxies must have heard of subsets before a route names them, and of
                // the routes before a subset goes.
                self.barrier(stage - 1, end).await;
            }
            for edit in edits {
                self.write(stage, at, edit, end).await?;
                at += 1;
            }
        }
        // What is known is read by name, the rest is found by lists that are as new as our own watch
        // ([`Cluster::read_fresh`]): what was just made or deleted has to be known before anybody reads again.
        let made = self.done.iter().filter(|(_, _, edit, _)| edit.before.is_none() || edit.deletes());
        self.known(made.map(|(_, _, edit, stored)| (&edit.object, stored)), self.patience(end)).await;
        Ok(())
    }

    async fn write(
        &mut self,
        stage: usize,
        at: usize,
        edit: &'a Edit,
        end: Instant,
    ) -> Result<(), ApplyError> {
        let left = end.saturating_duration_since(Instant::now());
        if left < ENOUGH {
            let error = ClusterError::Timeout("the time for the change was used up".to_owned());
            return Err(ApplyError::Cluster { object: edit.object.clone(), error });
        }
        let limit = left.mul_f64(0.75).min(self.cluster.limits().write);

        let body = write::body_of(edit, Some(self.change));
        let fate = self.cluster.write(edit, body, Mode::Real, Instant::now() + limit, end).await;
        let record = &mut self.records[at];
        match fate {
            write::Fate::Written(stored, _) => {
                let version = text(&stored, "resourceVersion");
                if edit.deletes() {
                    tracing::info!(change = self.change, object = %edit.object, "deleted");
                } else {
                    tracing::info!(change = self.change, object = %edit.object, version, "written");
                }
                record.written = Written::Yes;
                if !edit.deletes() && stored.get("spec") != record.after.as_ref() {
                    tracing::warn!(change = self.change, object = %edit.object, "admission changed what was stored");
                    self.altered.push(edit.object.clone());
                }
                record.resource_version_after = (!edit.deletes()).then(|| version.to_owned());
                self.done.push((stage, at, edit, stored));
                Ok(())
            }
            write::Fate::Not(error) => Err(error),
            write::Fate::Unknown(error) => {
                record.written = Written::Unknown;
                Err(error)
            }
        }
    }

    /// Waits until our own watch has seen everything that a stage wrote, then a little for the proxies.
    async fn barrier(&self, stage: usize, end: Instant) {
        let written = self.done.iter().filter(|(of, ..)| *of == stage);
        self.heard(written.map(|(_, _, edit, stored)| (&edit.object, stored)), end).await;
    }

    async fn heard(&self, written: impl Iterator<Item = (&ObjectRef, &Value)>, end: Instant) {
        let wait = self.patience(end);
        self.known(written, wait).await;
        self.quiet(wait + self.cluster.limits().grace).await;
    }

    /// Until when to wait for our own watch: most of what is left belongs to what follows.
    fn patience(&self, end: Instant) -> Instant {
        let now = Instant::now();
        let left = end.saturating_duration_since(now).mul_f64(0.4);
        now + left.min(self.cluster.limits().barrier)
    }

    /// Waits until our own watch has seen what was written.
    async fn known(&self, written: impl Iterator<Item = (&ObjectRef, &Value)>, wait: Instant) {
        for (object, stored) in written {
            if stored.is_null() {
                if !self.cache.heard_gone(object, wait).await {
                    tracing::warn!(%object, "our own watch has not told of a deletion yet");
                }
                continue;
            }
            let (version, generation) = (text(stored, "resourceVersion"), generation(stored));
            if !self.cache.heard_of(object, version, generation, wait).await {
                tracing::warn!(%object, version, "our own watch has not told of a write yet");
            }
        }
    }

    /// Lets proxies hear of it. Istio pushes once nothing has moved for 100 ms, or after 10 s; what is written
    /// before that goes out in one push, in which a route may arrive before the subset that it names. So the
    /// grace period starts again with each change in the cluster.
    async fn quiet(&self, end: Instant) {
        let grace = self.cluster.limits().grace;
        let mut changes = self.cache.changes();
        while Instant::now() < end {
            match timeout(grace, changes.recv()).await {
                Ok(Ok(_) | Err(RecvError::Lagged(_))) => {}
                Ok(Err(RecvError::Closed)) => return sleep(grace).await,
                Err(_) => return,
            }
        }
    }

    /// Puts back what was written, last first. Stops at the first object that cannot be put back: what was written
    /// before it may be needed by it.
    async fn undo(&mut self, end: Instant) {
        let mut back: Option<(usize, ObjectRef, Value)> = None;
        while let Some((stage, at, edit, stored)) = self.done.pop() {
            if let Some((_, object, now)) = back.take_if(|(last, ..)| *last != stage) {
                // As on the way there: a subset goes after the route that names it.
                self.heard(std::iter::once((&object, &now)), end).await;
            }
            // What was created stays: deleting is not among our rights, and a DestinationRule without a
            // route that names its subsets sends nothing anywhere.
            let Some(before) = edit.before.as_deref() else { return };
            match self.put_back(edit, before, &stored, end).await {
                write::Fate::Written(now, _) => {
                    let record = &mut self.records[at];
                    record.written = Written::Undone;
                    record.resource_version_after = Some(text(&now, "resourceVersion").to_owned());
                    tracing::info!(change = self.change, object = %edit.object, "put back");
                    back = Some((stage, edit.object.clone(), now));
                }
                write::Fate::Not(error) => {
                    tracing::warn!(change = self.change, object = %edit.object, %error, "cannot be put back");
                    return;
                }
                write::Fate::Unknown(error) => {
                    tracing::warn!(change = self.change, object = %edit.object, %error, "may be put back or not");
                    self.records[at].written = Written::Unknown;
                    return;
                }
            }
        }
    }

    /// Writes the old spec over ours. An object that another client changed since is left alone.
    async fn put_back(&self, edit: &Edit, before: &Value, stored: &Value, end: Instant) -> write::Fate {
        let mut back = if edit.deletes() { fresh_copy(before) } else { stored.clone() };
        if let (Some(members), Some(spec)) = (back.as_object_mut(), before.get("spec")) {
            members.insert("spec".to_owned(), spec.clone());
        }
        // So that it can be distinguished from our first write when this answer is lost too.
        let mark = format!("{}/undone", self.change);
        let undo = Edit {
            object: edit.object.clone(),
            before: (!edit.deletes()).then(|| Arc::new(stored.clone())),
            after: Some(back.clone()),
        };
        let left = end.saturating_duration_since(Instant::now()).max(LEAST);
        let limit = left.mul_f64(0.6);
        let find_out = Instant::now() + left;
        self.cluster
            .write(&undo, marked(back, Some(&mark)), Mode::Real, Instant::now() + limit, find_out)
            .await
    }
}

/// An object as it is made again: without what the API server gives to each new one.
fn fresh_copy(object: &Value) -> Value {
    let mut copy = object.clone();
    if let Some(metadata) = copy.get_mut("metadata").and_then(Value::as_object_mut) {
        for key in ["uid", "resourceVersion", "generation", "creationTimestamp", "managedFields", "selfLink"]
        {
            metadata.remove(key);
        }
    }
    if let Some(members) = copy.as_object_mut() {
        members.remove("status");
    }
    copy
}
