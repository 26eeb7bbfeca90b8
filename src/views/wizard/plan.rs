//! The live plan beside the form: shares over time, what is made and changed, what happens when it fails.

use askama::Template;
use askama::filters::HtmlSafe;

use super::fields::Fields;
use crate::domain::refusal::{Check, Severity};
use crate::domain::release::{Objects, Spec};
use crate::views::chrome::Tone;
use crate::views::lang::{Lang, Rich, Text};
use crate::views::pending::EditItem;
use crate::views::release::said;
use crate::views::release::stages::position;
use crate::views::text;

/// The plan as the use case answers it.
#[derive(Clone, Debug, Default)]
pub struct Planned {
    /// Nothing is listed as missing that was not looked at: the form cannot be read yet.
    pub known: bool,
    /// The wish that was planned.
    pub spec: Option<Spec>,
    pub checks: Vec<Check>,
    /// Checks that must be accepted before it can start.
    pub accepts: Vec<Check>,
    /// Seconds from the start, percent for the new version.
    pub shares: Vec<(u64, u8)>,
    /// Every object that is written, step by step.
    pub objects: Objects,
}

/// Steps that write the same objects.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Writes {
    /// *Before step 1*, *Steps 1 to 6*.
    pub when: String,
    /// What is done (a key of the catalogue), to which objects.
    pub what: Vec<(&'static str, Vec<String>)>,
}

/// The panel.
#[derive(Clone, Debug, PartialEq, Eq, Template)]
#[template(path = "wizard/plan.html")]
pub struct Plan {
    pub lang: Lang,
    /// `points` of the line; empty = there is no plan yet.
    pub line: String,
    pub chart_text: String,
    /// *at least 50 min*
    pub whole: String,
    pub writes: Vec<Writes>,
    /// The first write, object by object.
    pub edits: Vec<EditItem>,
    pub on_failure: String,
    /// Icon, class, sentence, what to do next.
    pub checks: Vec<(&'static str, &'static str, Rich, Option<Rich>)>,
}

impl HtmlSafe for Plan {}

impl Plan {
    pub fn of(lang: Lang, fields: &Fields, planned: &Planned) -> Self {
        let version = if fields.from == "adopt" { &fields.adopt } else { &fields.version };
        let version =
            if version.is_empty() { lang.t("wizard.new_version").to_string() } else { version.clone() };
        let whole = planned.shares.last().map_or(0, |(at, _)| *at);
        let mut held: Vec<u8> = planned.shares.iter().map(|(_, share)| *share).collect();
        held.dedup();
        let words: Vec<String> = held.iter().map(|share| format!("{share}%")).collect();
        let chart_text = lang
            .t("wizard.plan.chart")
            .with("v", &version)
            .with("span", said::long_span(lang, whole))
            .with("list", words.join(", "));
        let on_failure = if fields.on_failure == "pause" {
            lang.t("wizard.plan.fail_pause")
        } else {
            let stable = if fields.stable.is_empty() { "–" } else { &fields.stable };
            lang.t("wizard.plan.fail_abort").with("v", stable)
        };
        let check = |check: &Check| {
            let (icon, tone) = match check.severity {
                Severity::Ok => ("ok", Tone::Ok),
                Severity::Info => ("info", Tone::Info),
                Severity::Acknowledge => ("warn", Tone::Warn),
                Severity::Block => ("bad", Tone::Bad),
            };
            let said = text::check(lang, check);
            // What would have to be accepted elsewhere is information here: there is nothing to accept.
            let asks = lang.knows(&format!("code.{}.ack", check.code.text_key()));
            let next = said.next.filter(|_| !(asks && check.severity == Severity::Info));
            (icon, tone.class(), said.text.rich(), next.map(Text::rich))
        };
        Self {
            lang,
            line: line(&planned.shares, whole),
            chart_text: chart_text.into(),
            whole: if whole == 0 {
                lang.t("wizard.plan.no_hold").into()
            } else {
                lang.t("wizard.plan.least").with("span", said::long_span(lang, whole)).into()
            },
            writes: writes(lang, planned),
            edits: planned.objects.diffs.iter().map(|(at, lines)| EditItem::of(lang, at, lines)).collect(),
            on_failure: if fields.analyse {
                on_failure.into()
            } else {
                lang.t("wizard.plan.fail_nobody").into()
            },
            checks: planned.checks.iter().filter(|one| one.severity != Severity::Ok).map(check).collect(),
        }
    }
}

/// Lists of objects, each with the word for what becomes of them.
type What = Vec<(&'static str, Vec<String>)>;

fn what(creates: &[String], changes: &[String], deletes: &[String]) -> What {
    let lists = [("creates", creates), ("changes", changes), ("deletes", deletes)];
    lists.into_iter().filter(|(_, list)| !list.is_empty()).map(|(word, list)| (word, list.to_vec())).collect()
}

/// What is written when. Steps are counted as people see them; those that write the same are one line.
fn writes(lang: Lang, planned: &Planned) -> Vec<Writes> {
    let steps = planned.spec.as_ref().map(|spec| spec.steps.as_slice()).unwrap_or_default();
    let objects = &planned.objects;
    let mut runs: Vec<(Option<(usize, usize)>, What)> = Vec::new();
    for one in &objects.steps {
        let what = what(&one.creates, &one.changes, &one.deletes);
        let number = one.step.map(|at| position(steps, at).0);
        match (runs.last_mut(), number) {
            (Some((Some((_, last)), before)), Some(n)) if *before == what => *last = n,
            _ => runs.push((number.map(|n| (n, n)), what)),
        }
    }
    let label = |range: Option<(usize, usize)>| match range {
        None => lang.t("wizard.plan.before"),
        Some((first, last)) if first == last => lang.t("wizard.plan.step").with("n", first),
        Some((first, last)) => lang.t("wizard.plan.steps").with("n", first).with("m", last),
    };
    let mut out: Vec<Writes> =
        runs.into_iter().map(|(range, what)| Writes { when: label(range).into(), what }).collect();
    for (key, what) in [
        ("wizard.plan.at_end", what(&[], &objects.at_end, &[])),
        ("wizard.plan.after_abort", what(&[], &[], &objects.after_abort)),
    ] {
        if !what.is_empty() {
            out.push(Writes { when: lang.t(key).into(), what });
        }
    }
    out
}

/// A staircase: each share holds until the next.
fn line(shares: &[(u64, u8)], whole: u64) -> String {
    let x = |at: u64| {
        let part = u32::try_from(at.saturating_mul(2_300) / whole.max(1)).unwrap_or(2_300);
        f64::from(part) / 10.0
    };
    let y = |share: u8| 90.0 - f64::from(share.min(100)) * 0.88;
    let mut points = Vec::new();
    let mut before = 0;
    for (at, share) in shares {
        points.push(format!("{:.1},{:.1}", x(*at), y(before)));
        points.push(format!("{:.1},{:.1}", x(*at), y(*share)));
        before = *share;
    }
    if !points.is_empty() {
        points.push(format!("240.0,{:.1}", y(before)));
    }
    points.join(" ")
}
