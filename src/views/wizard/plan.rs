//! The live plan beside the form: shares over time, what is made and changed, what happens when it fails.

use askama::Template;
use askama::filters::HtmlSafe;

use super::fields::Fields;
use crate::domain::refusal::{Check, Severity};
use crate::views::chrome::Tone;
use crate::views::lang::{Lang, Rich, Text};
use crate::views::release::said;
use crate::views::text;

/// The plan as the use case answers it.
#[derive(Clone, Debug, Default)]
pub struct Planned {
    /// Nothing is listed as missing that was not looked at: the form cannot be read yet.
    pub known: bool,
    pub checks: Vec<Check>,
    /// Checks that must be accepted before it can start.
    pub accepts: Vec<Check>,
    /// Seconds from the start, percent for the new version.
    pub shares: Vec<(u64, u8)>,
    pub creates: Vec<String>,
    pub changes: Vec<String>,
    pub deletes: Vec<String>,
}

/// The panel.
#[derive(Clone, Debug, PartialEq, Eq, Template)]
#[template(path = "wizard/plan.html")]
pub struct Plan {
    pub lang: Lang,
    /// `points` of the line; empty = there is no plan yet.
    pub line: String,
    pub chart_text: String,
    pub whole: String,
    pub creates: Vec<String>,
    pub changes: Vec<String>,
    pub deletes: Vec<String>,
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
        let words: Vec<String> = planned.shares.iter().map(|(_, share)| format!("{share}%")).collect();
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
            (icon, tone.class(), said.text.rich(), said.next.map(Text::rich))
        };
        Self {
            lang,
            line: line(&planned.shares, whole),
            chart_text: chart_text.into(),
            whole: said::long_span(lang, whole),
            creates: planned.creates.clone(),
            changes: planned.changes.clone(),
            deletes: planned.deletes.clone(),
            on_failure: if fields.analyse {
                on_failure.into()
            } else {
                lang.t("wizard.plan.fail_nobody").into()
            },
            checks: planned.checks.iter().filter(|one| one.severity != Severity::Ok).map(check).collect(),
        }
    }
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
