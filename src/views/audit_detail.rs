//! One entry of the history in full: what it did in words and as YAML, its checks, ids, and the way back.

use askama::Template;
use askama::filters::HtmlSafe;
use serde_json::Value;
use similar::{ChangeTag, TextDiff};

use crate::domain::actor::Channel;
use crate::domain::audit::{Action, EditRecord, Ending, Entry, WorkloadRecord};
use crate::domain::overview::{DiffLine, Sign};
use crate::domain::refusal::{Refusal, Severity};

use super::audit::{details, effect, mark, what, workloads};
use super::chrome::{Chrome, Notice, Tone};
use super::lang::{Lang, Text};
use super::pending::CheckItem;
use super::query::{Address, service_path};
use super::text;

/// The detail; the answer to opening a row, and a part of the page.
#[derive(Clone, Debug, PartialEq, Eq, Template)]
#[template(path = "parts/audit_detail.html")]
pub struct AuditDetail {
    pub lang: Lang,
    pub id: i64,
    pub title: String,
    pub problem: Option<Notice>,
    pub edits: Vec<EditView>,
    pub facts: Vec<(String, String)>,
    pub checks: Vec<CheckItem>,
    pub reason: String,
    /// The form for a reason, on entries of one's own that have none.
    pub add_reason: Option<AddReason>,
    /// Where each revision can be prepared again: label and address.
    pub restore: Vec<(String, String)>,
    /// The address of this entry, to be copied.
    pub link: String,
}

impl HtmlSafe for AuditDetail {}

/// A reason that is added later, as an entry of its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AddReason {
    pub action: String,
    pub csrf: String,
    pub typed: String,
    pub error: Option<String>,
}

/// One object, before against after.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EditView {
    pub object: String,
    pub written: String,
    pub lines: Vec<DiffLine>,
}

impl AuditDetail {
    pub fn of(chrome: &Chrome, entry: &Entry) -> Self {
        let lang = chrome.lang();
        let (intent, details) = (&entry.intent, details(entry));
        let effect = effect(entry);
        let ending = entry.outcome.as_ref().map(|outcome| outcome.ending);
        let tense = match ending {
            Some(Ending::Applied | Ending::Outside) => text::Tense::Past,
            _ => text::Tense::Wanted,
        };
        let moved =
            text::moves(lang, tense, &effect.deltas(), effect.moved()).filter(|_| !effect.before.is_empty());
        let title = moved.map_or_else(|| what(lang, entry), String::from);
        let error = details.error.as_ref().map(|error| Notice {
            more: Some(Text::quoted(error.clone()).rich()),
            ..Notice::new(Tone::Bad, lang.t("audit.cluster_said").rich())
        });
        let problem =
            details.refusal.as_ref().map(|no| Notice { alert: false, ..text::refused(lang, no) }).or(error);
        let checks =
            details.refusal.as_ref().map(|no| no.checks.as_slice()).filter(|checks| !checks.is_empty());
        let checks = checks.unwrap_or(&details.checks);
        // The outcome knows what was written; the intent only what was to be.
        let late = entry.outcome.as_ref().map(|outcome| &outcome.details.edits);
        let edits = late.filter(|late| !late.is_empty()).unwrap_or(&intent.details.edits);
        Self {
            lang,
            id: entry.id,
            title,
            problem,
            edits: edits
                .iter()
                .map(|edit| EditView::of(lang, edit, intent.channel))
                .chain(workloads(entry).iter().map(|record| EditView::of_workload(lang, record)))
                .collect(),
            facts: facts(chrome, entry),
            checks: checks
                .iter()
                .filter(|check| check.severity != Severity::Ok)
                .map(|check| CheckItem { ack: None, ..CheckItem::of(lang, check, &[]) })
                .collect(),
            reason: intent.reason.clone(),
            add_reason: AddReason::of(chrome, entry),
            restore: restore(lang, entry),
            link: format!("/audit/{}", entry.id),
        }
    }
}

impl AddReason {
    fn of(chrome: &Chrome, entry: &Entry) -> Option<Self> {
        let intent = &entry.intent;
        let change = matches!(intent.action, Action::SetTraffic | Action::TakeOver | Action::SwitchBack);
        let own = chrome.person.as_ref().is_some_and(|person| person.name == intent.actor);
        (change && own && intent.reason.is_empty()).then(|| Self {
            action: format!("/audit/{}/reason", entry.id),
            csrf: chrome.csrf.clone(),
            typed: String::new(),
            error: None,
        })
    }
}

impl AuditDetail {
    /// The detail after a reason was refused: what was typed stays.
    pub fn reason_refused(&mut self, typed: &str, refusal: &Refusal) {
        if let Some(form) = &mut self.add_reason {
            typed.clone_into(&mut form.typed);
            form.error = Some(text::refusal(self.lang, refusal).text.to_string());
        }
    }
}

fn facts(chrome: &Chrome, entry: &Entry) -> Vec<(String, String)> {
    let lang = chrome.lang();
    let (intent, details) = (&entry.intent, details(entry));
    let mut facts: Vec<(String, String)> = Vec::new();
    let mut add = |key: &str, value: String| {
        if !value.is_empty() {
            facts.push((lang.t(&format!("audit.fact.{key}")).into(), value));
        }
    };
    add("entry", entry.id.to_string());
    add("time", format!("{} {}", chrome.clock.exact(intent.at_ms), chrome.clock.zone()));
    if let Some(outcome) = &entry.outcome {
        let took = outcome.at_ms - intent.at_ms;
        add(
            "took",
            super::figures::duration(lang, f64::from(i32::try_from(took.max(0)).unwrap_or(i32::MAX))),
        );
        if let Some(revision) = outcome.revision {
            add("revision", revision.to_string());
        }
    }
    add("release", mark(entry).map(|mark| mark.id.to_string()).unwrap_or_default());
    add("route", details.route.as_ref().map(ToString::to_string).unwrap_or_default());
    let passed = details.checks.iter().filter(|check| check.severity == Severity::Ok).count();
    if passed > 0 {
        add("checks", lang.count("audit.passed", passed).into());
    }
    // Boxes can be sent that nothing asked for: only what stood in the way was accepted.
    let refused = details.refusal.iter().flat_map(|no| &no.checks);
    let asked: Vec<&str> = details
        .checks
        .iter()
        .chain(refused)
        .filter(|check| check.severity == Severity::Acknowledge)
        .map(|check| check.code.as_str())
        .collect();
    let accepted: Vec<String> = details
        .acknowledged
        .iter()
        .filter(|key| asked.contains(&key.as_str()))
        .map(|key| {
            let code = crate::domain::refusal::Code::ALL.iter().find(|code| code.as_str() == key);
            code.map_or_else(|| key.clone(), |code| text::name(lang, *code).to_string())
        })
        .collect();
    add("accepted", accepted.join(&lang.t("sum.list").to_string()));
    let session = details.session.as_ref().or(intent.details.session.as_ref());
    add("session", session.map(|one| format!("{} · {}", one.user, one.id)).unwrap_or_default());
    add("times", details.times.map(|n| n.to_string()).unwrap_or_default());
    add("groups", intent.groups.join(&lang.t("sum.list").to_string()));
    add("to_revision", details.to_revision.map(|n| n.to_string()).unwrap_or_default());
    add("about", details.about.map(|n| n.to_string()).unwrap_or_default());
    add("change", intent.change.clone());
    add("request", intent.request_id.clone());
    facts
}

/// Links that open the service with an earlier state as a pending change.
fn restore(lang: Lang, entry: &Entry) -> Vec<(String, String)> {
    let revision = entry.outcome.as_ref().and_then(|outcome| outcome.revision);
    let Some((revision, at)) = revision.zip(entry.intent.service.as_ref()) else { return Vec::new() };
    let path = service_path(at.namespace.as_str(), &at.name);
    let link = |n: u64| {
        let address = Address::new(path.as_str()).with("restore", n);
        (lang.t("audit.restore").with("n", n).to_string(), address.to_string())
    };
    revision.checked_sub(1).into_iter().chain([revision]).map(link).collect()
}

impl EditView {
    fn of(lang: Lang, edit: &EditRecord, channel: Channel) -> Self {
        let written = if channel == Channel::Outside { "outside" } else { edit.written.as_str() };
        Self {
            object: text::named(lang, &edit.object.to_string()).into_owned(),
            written: lang.t(&format!("audit.written.{written}")).into(),
            lines: if edit.is_hidden() {
                vec![DiffLine::hidden()]
            } else {
                diff(edit.before.as_ref(), edit.after.as_ref())
            },
        }
    }

    fn of_workload(lang: Lang, record: &WorkloadRecord) -> Self {
        Self {
            object: text::named(lang, &format!("{} {}/{}", record.kind, record.namespace, record.name))
                .into_owned(),
            written: lang.t(&format!("audit.written.{}", record.written.as_str())).into(),
            lines: if record.is_hidden() {
                vec![DiffLine::hidden()]
            } else {
                diff(record.before.as_ref(), record.after.as_ref())
            },
        }
    }
}

/// The lines that differ between two specs, with three lines of what surrounds them.
pub fn diff(before: Option<&Value>, after: Option<&Value>) -> Vec<DiffLine> {
    let yaml = |value: Option<&Value>| {
        value.map(|value| serde_saphyr::to_string(value).unwrap_or_default()).unwrap_or_default()
    };
    let (old, new) = (yaml(before), yaml(after));
    let diff = TextDiff::from_lines(&old, &new);
    let mut lines = Vec::new();
    for (at, group) in diff.grouped_ops(3).iter().enumerate() {
        if at > 0 {
            lines.push(DiffLine { sign: Sign::Same, text: "…".to_owned() });
        }
        for change in group.iter().flat_map(|op| diff.iter_changes(op)) {
            let sign = match change.tag() {
                ChangeTag::Equal => Sign::Same,
                ChangeTag::Insert => Sign::Add,
                ChangeTag::Delete => Sign::Del,
            };
            lines.push(DiffLine { sign, text: change.value().trim_end_matches('\n').to_owned() });
        }
    }
    lines
}
