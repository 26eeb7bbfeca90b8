//! The history, `/audit`: filters, one row an entry, the detail that opens in place, and the short rows on
//! the page of a service.

use std::collections::VecDeque;

use askama::Template;
use askama::filters::HtmlSafe;

use crate::domain::actor::Channel;
use crate::domain::audit::{Action, Details, Ending, Entry, Filter, ReleaseMark, WayBack, WorkloadRecord};
use crate::domain::ids::{Revision, VersionName};
use crate::domain::plan::Effect;
use crate::domain::release::{Happened, Phase, Word};
use crate::domain::routing::Weights;

use super::bars::{Bar, Slots, short};
use super::chrome::{Chip, Chrome, Tone};
use super::lang::Lang;
use super::query::{Address, service_path};
use super::release::said::{Stage, action, happened, phase};
use super::text;
use super::time::Moment;

pub use super::audit_detail::AuditDetail;

/// The words of `show` in addresses.
pub const ALL_EVENTS: &str = "all";
pub const CHANGES: &str = "changes";

/// The whole page. With `open`, one entry shows its detail: `/audit/{id}` renders the same page.
#[derive(Debug, Template)]
#[template(path = "audit.html", blocks = ["results"])]
pub struct AuditPage {
    pub chrome: Chrome,
    pub fields: Fields,
    pub rows: Vec<AuditRow>,
    pub open: Option<AuditDetail>,
    /// Entries that match, on all pages; `None` when counting would take too long.
    pub total: Option<u64>,
    pub older: Option<String>,
    pub csv: String,
    pub json: String,
    /// This list without an open entry.
    pub list: String,
    pub services: Vec<String>,
    pub actors: Vec<String>,
}

/// The filters as they were typed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Fields {
    pub text: String,
    pub service: String,
    pub actor: String,
    pub action: String,
    pub result: String,
    /// `2026-11-01`, in the person's zone, inclusive.
    pub from: String,
    pub to: String,
    /// `all` shows routine events of releases, too; empty = they are left out.
    pub show: String,
}

/// One entry as a row.
#[derive(Clone, Debug, PartialEq, Eq, Template)]
#[template(path = "parts/audit_row.html")]
pub struct AuditRow {
    pub lang: Lang,
    pub id: i64,
    pub href: String,
    pub time: String,
    pub zone_time: String,
    pub service: Option<(String, String)>,
    /// The release that it belongs to: address and number.
    pub release: Option<(String, String)>,
    pub who: String,
    pub channel: String,
    pub what: String,
    pub before: Option<Bar>,
    pub after: Option<Bar>,
    pub change: String,
    pub reason: String,
    pub result: Chip,
    pub revision: Option<Revision>,
    pub open: bool,
    /// Routine events of one release are one fold.
    pub fold: Fold,
}

/// Where a row stands among routine events of the same release.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Fold {
    /// Not folded.
    #[default]
    None,
    /// Can be folded with its neighbours: the release.
    Routine(String),
    /// The first of a fold: its number on the page and what it says.
    First { number: usize, text: String },
    /// Inside a fold.
    Inside(usize),
}

impl HtmlSafe for AuditRow {}

/// One entry on the page of its service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HistoryRow {
    pub when: Moment,
    pub href: String,
    pub who: String,
    /// Actions of Sluice itself in a person's name are marked.
    pub channel: Option<String>,
    pub what: String,
    pub change: String,
    /// The release that it belongs to: address and number.
    pub release: Option<(String, String)>,
    pub result: Chip,
    pub revision: Option<Revision>,
    /// The dialog that switches back to it; `None` for what changed nothing and for the present one.
    pub back: Option<String>,
    pub back_label: String,
}

/// One page of the history, as the use case answers it.
pub struct Answer<'a> {
    pub entries: &'a [Entry],
    pub next: Option<&'a str>,
    pub total: Option<u64>,
    pub services: Vec<String>,
    pub actors: Vec<String>,
}

impl Fields {
    /// The address of a list with these filters below `path`.
    pub fn address(&self, path: &str) -> Address {
        Address::new(path)
            .with("service", &self.service)
            .with("actor", &self.actor)
            .with("action", &self.action)
            .with("result", &self.result)
            .with("from", &self.from)
            .with("to", &self.to)
            .with("q", &self.text)
            .with("show", &self.show)
    }

    /// The fields of a filter; dates stay as they were typed.
    pub fn of(filter: &Filter, from: &str, to: &str) -> Self {
        Self {
            text: filter.text.clone().unwrap_or_default(),
            service: filter.service.as_ref().map(ToString::to_string).unwrap_or_default(),
            actor: filter.actor.clone().unwrap_or_default(),
            action: filter.action.map(Action::as_str).unwrap_or_default().to_owned(),
            result: filter.ending.map(Ending::as_str).unwrap_or_default().to_owned(),
            from: from.to_owned(),
            to: to.to_owned(),
            show: if filter.changes_only { String::new() } else { ALL_EVENTS.to_owned() },
        }
    }

    /// True when nothing is filtered; which events are shown is no filter.
    pub fn is_empty(&self) -> bool {
        *self == Self { show: self.show.clone(), ..Self::default() }
    }

    /// True when routine events of releases are shown, too.
    pub fn shows_all(&self) -> bool {
        self.show == ALL_EVENTS
    }

    /// The address of a file with exactly these entries; a file without `show` holds all events.
    fn file(&self, path: &str) -> String {
        let show = if self.shows_all() { ALL_EVENTS } else { CHANGES };
        self.address(path).with("show", show).to_string()
    }

    /// The same list with all events.
    pub fn with_all(&self) -> String {
        self.address("/audit").with("show", ALL_EVENTS).to_string()
    }
}

/// Puts the routine events of a release under one line, where the newest of them is; not while one of them is open.
fn fold(rows: Vec<AuditRow>, lang: Lang) -> Vec<AuditRow> {
    let opened: Vec<Fold> = rows.iter().filter(|row| row.open).map(|row| row.fold.clone()).collect();
    let mut rest: VecDeque<AuditRow> = rows.into();
    let (mut out, mut number) = (Vec::with_capacity(rest.len()), 0);
    while let Some(mut row) = rest.pop_front() {
        let Fold::Routine(release) = row.fold.clone() else {
            out.push(row);
            continue;
        };
        let apart = opened.contains(&row.fold) || !rest.iter().any(|other| other.fold == row.fold);
        if apart {
            row.fold = Fold::None;
            out.push(row);
            continue;
        }
        let (same, others): (Vec<_>, Vec<_>) = rest.into_iter().partition(|other| other.fold == row.fold);
        rest = others.into();
        number += 1;
        let events = lang.count("audit_show.fold", same.len() + 1);
        let text = lang.t("audit_show.fold_of").with("id", &release).with("events", events).into();
        row.fold = Fold::First { number, text };
        out.push(row);
        out.extend(same.into_iter().map(|row| AuditRow { fold: Fold::Inside(number), ..row }));
    }
    out
}

impl AuditPage {
    /// The page for an answer; `open` is the entry whose detail is shown.
    pub fn of(chrome: Chrome, fields: Fields, answer: Answer<'_>, open: Option<&Entry>) -> Self {
        let opened = |entry: &Entry| open.is_some_and(|open| open.id == entry.id);
        let mut rows: Vec<AuditRow> =
            answer.entries.iter().map(|entry| AuditRow::of(&chrome, &fields, entry, opened(entry))).collect();
        if let Some(open) = open.filter(|open| !answer.entries.iter().any(|entry| entry.id == open.id)) {
            rows.insert(0, AuditRow::of(&chrome, &fields, open, true));
        }
        let rows = fold(rows, chrome.lang());
        Self {
            open: open.map(|entry| AuditDetail::of(&chrome, entry)),
            rows,
            total: answer.total,
            older: answer.next.map(|cursor| fields.address("/audit").with("cursor", cursor).to_string()),
            csv: fields.file("/audit.csv"),
            json: fields.file("/audit.json"),
            list: fields.address("/audit").to_string(),
            services: answer.services,
            actors: answer.actors,
            fields,
            chrome,
        }
    }

    /// The page of what was in force, for the service that is filtered by.
    pub fn as_of(&self) -> String {
        Address::new("/audit/as-of").with("service", &self.fields.service).to_string()
    }

    /// All actions with their words, for the select.
    pub fn actions(&self) -> Vec<(&'static str, String)> {
        Action::ALL
            .iter()
            .map(|action| (action.as_str(), text::action(self.chrome.lang(), *action)))
            .collect()
    }

    /// All results with their words, for the select.
    pub fn results(&self) -> Vec<(&'static str, String)> {
        let word = |ending: &Ending| {
            (ending.as_str(), self.chrome.lang().t(&format!("ending.{}", ending.as_str())).to_string())
        };
        Ending::ALL.iter().map(word).collect()
    }
}

/// Details of the outcome where they exist, else those of the intent.
pub fn details(entry: &Entry) -> &Details {
    let outcome = entry.outcome.as_ref().map(|outcome| &outcome.details);
    outcome
        .filter(|details| details.after.is_some() || details.refusal.is_some())
        .unwrap_or(&entry.intent.details)
}

/// Before and after of an entry.
pub fn weights(entry: &Entry) -> (Option<&Weights>, Option<&Weights>) {
    let outcome = entry.outcome.as_ref().map(|outcome| &outcome.details);
    let intent = &entry.intent.details;
    let of = |pick: fn(&Details) -> Option<&Weights>| outcome.and_then(pick).or_else(|| pick(intent));
    (of(|d| d.before.as_ref()), of(|d| d.after.as_ref()))
}

/// The effect on weights, rules and mirror, to be written as sentences.
pub fn effect(entry: &Entry) -> Effect {
    let (before, after) = weights(entry);
    let late = entry.outcome.as_ref().map(|outcome| &outcome.details);
    let all = || late.into_iter().chain([&entry.intent.details]);
    let mirror = all().find_map(|details| details.mirror.as_deref()).cloned().unwrap_or_default();
    Effect {
        before: before.cloned().unwrap_or_default(),
        after: after.cloned().unwrap_or_default(),
        rule_changes: all().find_map(|details| details.rules.as_deref()).cloned(),
        mirror_before: mirror.before,
        mirror_after: mirror.after,
        ..Effect::default()
    }
}

/// The change of the version that changed most: `v2 10 → 25%`.
pub fn largest_change(entry: &Entry) -> String {
    let effect = effect(entry);
    let Some((version, _)) =
        effect.deltas().into_iter().max_by_key(|(name, delta)| (delta.abs(), *delta > 0, name.clone()))
    else {
        return String::new();
    };
    let of = |weights: &Weights| {
        weights.iter().find(|(name, _)| *name == version).map_or(0, |(_, weight)| *weight)
    };
    format!("{} {} → {}%", short(version.as_str()), of(&effect.before), of(&effect.after))
}

/// Channel and address, in words: *browser · 10.2.8.41*.
pub fn channel(lang: Lang, entry: &Entry) -> String {
    let word = lang.t(&format!("channel.{}", entry.intent.channel.as_str())).to_string();
    let managers = &entry.intent.details.managers;
    match (&entry.intent.address, entry.intent.channel) {
        (_, Channel::Outside) if !managers.is_empty() => managers.join(&lang.t("sum.list").to_string()),
        (Some(address), _) => format!("{word} · {address}"),
        (None, _) => word,
    }
}

/// What the history kept of the release that an entry belongs to.
pub fn mark(entry: &Entry) -> Option<&ReleaseMark> {
    let late = entry.outcome.as_ref().and_then(|outcome| outcome.details.release.as_deref());
    late.or(entry.intent.details.release.as_deref())
}

/// What happened to the release, one sentence each; empty for what is no transition of one.
pub fn said(lang: Lang, entry: &Entry) -> Vec<String> {
    let mark = mark(entry).filter(|_| entry.intent.action == Action::Release);
    let all = mark.into_iter().flat_map(|mark| mark.happened.iter().map(move |one| (mark, one)));
    let words = |(mark, one): (&ReleaseMark, &Happened)| match one {
        // The approval says it all.
        Happened::Told { .. } if mark.happened.contains(&Happened::Approved) => None,
        // The page of the release tells only what came of it.
        Happened::Decided { action: decided } => Some(
            lang.t("release.happened.decided")
                .with("action", action(lang, mark, decided, Stage::Next))
                .to_string(),
        ),
        _ => Some(happened(lang, mark, one)?.2.to_string()),
    };
    all.filter_map(words).collect()
}

/// What an entry is about: the words of its action, or what happened to its release.
pub fn what(lang: Lang, entry: &Entry) -> String {
    if let Some(version) = &entry.intent.details.retired {
        return lang.t("audit.retired").with("v", version).into();
    }
    let said = said(lang, entry);
    if said.is_empty() {
        text::action(lang, entry.intent.action)
    } else {
        said.join(&lang.t("sum.clause").to_string())
    }
}

/// What it changes in few words: the version that changes most, the workload, or the phase of the release.
fn change(lang: Lang, entry: &Entry) -> String {
    let phases = mark(entry).filter(|mark| entry.intent.action == Action::Release && mark.from != mark.to);
    if let Some(mark) = phases {
        return format!("{} → {}", phase_of(lang, mark, mark.from), phase_of(lang, mark, mark.to));
    }
    let workloads: Vec<String> = workloads(entry).iter().map(|record| workload(lang, record)).collect();
    if !workloads.is_empty() {
        return workloads.join(&lang.t("sum.clause").to_string());
    }
    let weights = Some(largest_change(entry)).filter(|change| !change.is_empty());
    let lines = weights.into_iter().chain(super::rule_words::of_entry(lang, entry));
    lines.collect::<Vec<_>>().join(&lang.t("sum.clause").to_string())
}

/// A phase in the word for what was done: *Aborting*, *Rolled back*, *Switched back*.
fn phase_of(lang: Lang, mark: &ReleaseMark, of: Phase) -> String {
    let stage = match of {
        Phase::Aborting => "under_way",
        Phase::RolledBack => "over",
        _ => return phase(lang, of),
    };
    let is_abort =
        |one: &Happened| matches!(one, Happened::Told { word: Word::Abort } | Happened::AbortedItself { .. });
    let way = mark.way_back.or_else(|| mark.happened.iter().any(is_abort).then_some(WayBack::Abort));
    way.map_or_else(
        || phase(lang, of),
        |way| lang.t(&format!("release.way_back.{}.{stage}", way.as_str())).into(),
    )
}

/// The workloads of an entry: of the outcome where it has some, else of the intent.
pub fn workloads(entry: &Entry) -> &[WorkloadRecord] {
    let late = entry.outcome.as_ref().map(|outcome| outcome.details.workloads.as_slice());
    late.filter(|late| !late.is_empty()).unwrap_or(&entry.intent.details.workloads)
}

fn workload(lang: Lang, record: &WorkloadRecord) -> String {
    let object = format!("{} {}", record.kind, record.name);
    lang.t(&format!("audit.workload.{}", record.act)).with("object", object).into()
}

/// Who acted; for outside edits, that it was not through here.
pub fn who(lang: Lang, entry: &Entry) -> String {
    match entry.intent.channel {
        Channel::Outside => lang.t("channel.not_here").into(),
        _ => entry.intent.actor.clone(),
    }
}

fn result(lang: Lang, entry: &Entry) -> Chip {
    // What happened to a release changed nothing by itself: the change that it led to says how it ended.
    let is_applied = entry.outcome.as_ref().is_some_and(|outcome| outcome.ending == Ending::Applied);
    if entry.intent.action == Action::Release && is_applied {
        return Chip::new(Tone::Line, "", lang.t("ending.noted"));
    }
    let ending = entry.outcome.as_ref().map(|outcome| outcome.ending);
    text::ending(lang, ending, details(entry).refusal.as_ref().map(|refusal| refusal.code))
}

impl AuditRow {
    /// The line above the first row of a fold.
    fn fold_head(&self) -> Option<(usize, &str)> {
        match &self.fold {
            Fold::First { number, text } => Some((*number, text)),
            _ => None,
        }
    }

    /// The fold that the row is in.
    fn folded_in(&self) -> Option<usize> {
        match self.fold {
            Fold::First { number, .. } | Fold::Inside(number) => Some(number),
            _ => None,
        }
    }

    pub fn of(chrome: &Chrome, fields: &Fields, entry: &Entry, open: bool) -> Self {
        let lang = chrome.lang();
        let (before, after) = weights(entry);
        let names = before.into_iter().chain(after).flatten().map(|(name, _): &(VersionName, u8)| name);
        let kept = entry.intent.service.as_ref().map(|at| chrome.slots.of(at)).unwrap_or_default();
        let slots = Slots::remembered(kept, names);
        let bar = |weights: Option<&Weights>, key: &str| {
            let weights = weights.filter(|weights| !weights.is_empty())?;
            Some(Bar::whole(&lang.t(key).to_string(), weights, &slots).small())
        };
        let at = entry.intent.at_ms;
        Self {
            lang,
            id: entry.id,
            href: fields.address(&format!("/audit/{}", entry.id)).to_string(),
            time: chrome.clock.exact(at),
            zone_time: format!("{} {}", chrome.clock.exact(at), chrome.clock.zone()),
            service: entry.intent.service.as_ref().map(|at| {
                (service_path(at.namespace.as_str(), &at.name), format!("{} / {}", at.namespace, at.name))
            }),
            release: mark(entry).map(|mark| (format!("/releases/{}", mark.id), mark.id.to_string())),
            who: who(lang, entry),
            channel: channel(lang, entry),
            what: what(lang, entry),
            before: bar(before, "audit.before"),
            after: bar(after, "audit.after"),
            change: change(lang, entry),
            reason: entry.intent.reason.clone(),
            result: result(lang, entry),
            revision: entry.outcome.as_ref().and_then(|outcome| outcome.revision),
            fold: match mark(entry).filter(|_| entry.is_routine()) {
                Some(mark) => Fold::Routine(mark.id.to_string()),
                None => Fold::None,
            },
            open,
        }
    }
}

impl HistoryRow {
    /// `unchanged` are the revisions that are no way back: restoring them would change nothing.
    pub fn of(chrome: &Chrome, entry: &Entry, present: Revision, unchanged: &[Revision]) -> Self {
        let lang = chrome.lang();
        let revision = entry.outcome.as_ref().and_then(|outcome| outcome.revision);
        let path = entry.intent.service.as_ref().map(|at| service_path(at.namespace.as_str(), &at.name));
        let other = |revision: &Revision| *revision != present && !unchanged.contains(revision);
        let back = revision.filter(other).zip(path);
        Self {
            // When it was done, as the head of the page says it.
            when: chrome.moment(entry.outcome.as_ref().map_or(entry.intent.at_ms, |outcome| outcome.at_ms)),
            href: format!("/audit/{}", entry.id),
            who: who(lang, entry),
            channel: (entry.intent.channel == Channel::Automatic).then(|| channel(lang, entry)),
            what: what(lang, entry),
            change: change(lang, entry),
            release: mark(entry).map(|mark| (format!("/releases/{}", mark.id), mark.id.to_string())),
            result: result(lang, entry),
            revision,
            back: back.map(|(revision, path)| super::service::back_href(&path, revision)),
            back_label: revision.map(|n| lang.t("service.back").with("n", n).to_string()).unwrap_or_default(),
        }
    }
}
