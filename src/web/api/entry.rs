//! The shapes of the history.

use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use super::values::{Check, Weights, moment};
use crate::domain::audit::{self, Action, Details};
use crate::domain::routing as words;
use crate::services::history::{Damage, Page};
use crate::views::audit as view;
use crate::views::lang::Lang;
use crate::views::text;

/// One entry of the history.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Entry {
    /// Grows with time.
    pub id: i64,
    #[schema(format = "date-time")]
    pub at: String,
    /// `namespace/name`; null for sign-in and sign-out.
    #[schema(required = true, example = "bookinfo/reviews")]
    pub service: Option<String>,
    pub actor: String,
    pub groups: Vec<String>,
    /// `browser`, `api`, `automatic`, `outside` or `command`.
    #[schema(value_type = String, example = "api")]
    pub channel: &'static str,
    #[schema(required = true)]
    pub address: Option<String>,
    /// `set_traffic`, `take_over`, `switch_back`, `outside_edit`, `add_reason`, `release`, `workload`, `sign_in`, `sign_out`,
    /// `revoke_session`, `authenticate`.
    #[schema(value_type = String, example = "set_traffic")]
    pub action: &'static str,
    /// `applied`, `refused`, `failed`, `partial`, `unknown`, `outside`; null while it is under way.
    #[schema(required = true, value_type = Option<String>, example = "applied")]
    pub result: Option<&'static str>,
    #[schema(required = true, format = "date-time")]
    pub ended_at: Option<String>,
    /// The revision that it made; null when nothing changed.
    #[schema(required = true)]
    pub revision: Option<u64>,
    #[schema(required = true)]
    pub route: Option<String>,
    #[schema(required = true)]
    pub before: Option<Weights>,
    #[schema(required = true)]
    pub after: Option<Weights>,
    /// What it does to match rules and the mirror, in words; empty = nothing.
    #[schema(example = json!(["header end-user equals jason → v2 (added)"]))]
    pub rules: Vec<String>,
    pub reason: String,
    pub request_id: String,
    /// Names the change on the objects that it wrote.
    pub change: String,
    /// Why it was refused.
    #[schema(required = true)]
    pub refusal: Option<Said>,
    /// The cluster's own words, when it refused or failed.
    #[schema(required = true)]
    pub error: Option<String>,
    /// Codes that were acknowledged.
    pub acknowledged: Vec<String>,
    /// Field managers of an edit from outside.
    pub managers: Vec<String>,
    /// The revision that a switch back restored.
    #[schema(required = true)]
    pub to_revision: Option<u64>,
    /// The entry that a later reason belongs to.
    #[schema(required = true)]
    pub about: Option<i64>,
    /// The browser session that began or ended.
    #[schema(required = true)]
    pub session: Option<SessionRecord>,
    /// How often it happened within the minute that the entry stands for.
    pub times: u64,
    /// The release that it belongs to.
    #[schema(required = true)]
    pub release: Option<Transition>,
}

/// A browser session, as lists name it.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct SessionRecord {
    #[schema(example = "3f2a9c0d1b7e4455")]
    pub id: String,
    /// Whose it is.
    pub user: String,
}

/// What the history kept of a release with an entry.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Transition {
    #[schema(example = "R-12")]
    pub id: String,
    /// The phase before.
    #[schema(value_type = String, example = "running")]
    pub from: &'static str,
    /// The phase after.
    #[schema(value_type = String, example = "paused")]
    pub to: &'static str,
    /// The step under way after it, counted from 0.
    pub step: usize,
    /// What happened, in words; empty for changes that were made for the release.
    pub said: Vec<String>,
    /// The same for programs.
    #[schema(value_type = Vec<Object>)]
    pub happened: Value,
}

/// One row of an exported history.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(untagged)]
pub enum ExportedEntry {
    Entry(Box<FullEntry>),
    Damaged(Damaged),
}

/// A row of the history that cannot be read any more; the rows around it can.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Damaged {
    /// The row's number.
    #[schema(required = true)]
    pub id: Option<i64>,
    /// Why. `sluice audit verify` names every bad row.
    pub damaged: String,
}

impl Damaged {
    pub fn of(damage: Damage) -> Self {
        Self { id: damage.row, damaged: damage.why }
    }
}

/// One entry with everything that was kept.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct FullEntry {
    #[serde(flatten)]
    pub entry: Entry,
    pub checks: Vec<Check>,
    pub edits: Vec<EditRecord>,
    pub workloads: Vec<WorkloadRecord>,
}

/// One workload before and after: the part of it that changed.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct WorkloadRecord {
    /// `Deployment`, `StatefulSet` or `Pod`.
    #[schema(example = "Deployment")]
    pub kind: String,
    pub namespace: String,
    pub name: String,
    /// `create`, `scale`, `batch`, `label` or `delete`.
    #[schema(example = "create")]
    pub act: String,
    /// `no`, `yes`, `undone` or `unknown`.
    #[schema(value_type = String, example = "yes")]
    pub written: &'static str,
    /// Null = it was created.
    #[schema(value_type = Option<Object>, required = true)]
    pub before: Option<Value>,
    /// Null = it was deleted.
    #[schema(value_type = Option<Object>, required = true)]
    pub after: Option<Value>,
    /// False = you may not get this object; `before` and `after` are left out.
    pub shown: bool,
}

/// A code and its sentence.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Said {
    #[schema(value_type = String, example = "no_ready_pods")]
    pub code: &'static str,
    pub text: String,
}

/// One object before and after.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct EditRecord {
    #[schema(value_type = String, example = "VirtualService")]
    pub kind: &'static str,
    pub namespace: String,
    pub name: String,
    /// `no`, `yes`, `undone` or `unknown`.
    #[schema(value_type = String, example = "yes")]
    pub written: &'static str,
    /// `spec` before; null = it was created.
    #[schema(value_type = Option<Object>, required = true)]
    pub before: Option<Value>,
    /// `spec` after; null = it was deleted.
    #[schema(value_type = Option<Object>, required = true)]
    pub after: Option<Value>,
    #[schema(required = true)]
    pub resource_version_before: Option<String>,
    #[schema(required = true)]
    pub resource_version_after: Option<String>,
    /// False = you may not get this object; `before` and `after` are left out.
    pub shown: bool,
}

/// Entries, newest first.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Entries {
    pub items: Vec<Entry>,
    /// Numbers of rows that belong here and cannot be read.
    pub damaged: Vec<i64>,
    /// Goes into `cursor`; null at the end.
    #[schema(required = true)]
    pub next: Option<String>,
}

impl Entry {
    pub fn of(lang: Lang, entry: &audit::Entry) -> Self {
        let intent = &entry.intent;
        let outcome = entry.outcome.as_ref();
        let (before, after) = weights(entry);
        let late = outcome.map(|outcome| &outcome.details);
        let pick = |of: fn(&Details) -> Option<String>| late.and_then(of).or_else(|| of(&intent.details));
        let refusal = late.and_then(|details| details.refusal.as_ref()).or(intent.details.refusal.as_ref());
        Self {
            id: entry.id,
            at: moment(intent.at_ms),
            service: intent.service.as_ref().map(ToString::to_string),
            actor: intent.actor.clone(),
            groups: intent.groups.clone(),
            channel: intent.channel.as_str(),
            address: intent.address.clone(),
            action: intent.action.as_str(),
            result: outcome.map(|outcome| outcome.ending.as_str()),
            ended_at: outcome.map(|outcome| moment(outcome.at_ms)),
            revision: outcome.and_then(|outcome| outcome.revision),
            route: pick(|details| details.route.as_ref().map(ToString::to_string)),
            before: before.cloned().map(Weights),
            after: after.cloned().map(Weights),
            rules: crate::views::rule_words::of_entry(lang, entry),
            reason: intent.reason.clone(),
            request_id: intent.request_id.clone(),
            change: intent.change.clone(),
            refusal: refusal.map(|refusal| Said {
                code: refusal.code.as_str(),
                text: text::refusal(lang, refusal).text.to_string(),
            }),
            error: pick(|details| details.error.clone()),
            acknowledged: longer(&intent.details.acknowledged, late.map(|details| &details.acknowledged)),
            managers: longer(&intent.details.managers, late.map(|details| &details.managers)),
            to_revision: late.and_then(|details| details.to_revision).or(intent.details.to_revision),
            about: late.and_then(|details| details.about).or(intent.details.about),
            session: late
                .and_then(|details| details.session.as_ref())
                .or(intent.details.session.as_ref())
                .map(|session| SessionRecord { id: session.id.clone(), user: session.user.clone() }),
            times: late.and_then(|details| details.times).unwrap_or(1),
            release: view::mark(entry).map(|mark| Transition {
                id: mark.id.to_string(),
                from: mark.from.as_str(),
                to: mark.to.as_str(),
                step: mark.step,
                said: view::said(lang, entry),
                happened: match intent.action {
                    Action::Release => serde_json::to_value(&mark.happened).unwrap_or_default(),
                    _ => Value::Array(Vec::new()),
                },
            }),
        }
    }
}

impl FullEntry {
    pub fn of(lang: Lang, entry: &audit::Entry) -> Self {
        let (intent, late) = (&entry.intent.details, entry.outcome.as_ref().map(|outcome| &outcome.details));
        let checks = longer(&intent.checks, late.map(|details| &details.checks));
        let edits = longer(&intent.edits, late.map(|details| &details.edits));
        Self {
            entry: Entry::of(lang, entry),
            checks: Check::all(lang, &checks),
            edits: edits.into_iter().map(EditRecord::of).collect(),
            workloads: view::workloads(entry).iter().map(WorkloadRecord::of).collect(),
        }
    }
}

impl WorkloadRecord {
    fn of(record: &audit::WorkloadRecord) -> Self {
        Self {
            kind: record.kind.clone(),
            namespace: record.namespace.to_string(),
            name: record.name.clone(),
            act: record.act.clone(),
            written: record.written.as_str(),
            before: record.before.clone(),
            after: record.after.clone(),
            shown: !record.is_hidden(),
        }
    }
}

impl EditRecord {
    fn of(edit: audit::EditRecord) -> Self {
        Self {
            kind: edit.object.kind.as_str(),
            namespace: edit.object.namespace.to_string(),
            name: edit.object.name.to_string(),
            written: edit.written.as_str(),
            shown: !edit.is_hidden(),
            before: edit.before,
            after: edit.after,
            resource_version_before: edit.resource_version_before,
            resource_version_after: edit.resource_version_after,
        }
    }
}

impl Entries {
    pub fn of(lang: Lang, page: Page) -> Self {
        let items = page.items.iter().map(|entry| Entry::of(lang, entry)).collect();
        Self { items, damaged: page.damaged, next: page.next }
    }
}

/// Percents before and after; the outcome knows better than the intent.
fn weights(entry: &audit::Entry) -> (Option<&words::Weights>, Option<&words::Weights>) {
    let late = entry.outcome.as_ref().map(|outcome| &outcome.details);
    let early = &entry.intent.details;
    let of = |pick: fn(&Details) -> Option<&words::Weights>| late.and_then(pick).or_else(|| pick(early));
    (of(|details| details.before.as_ref()), of(|details| details.after.as_ref()))
}

/// The list of the outcome, or of the intent where that is empty.
fn longer<T: Clone>(early: &[T], late: Option<&Vec<T>>) -> Vec<T> {
    late.filter(|late| !late.is_empty()).map_or(early, |late| late).to_vec()
}
