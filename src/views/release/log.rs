//! The events of a release, newest first; each leads to its row of the history.

use askama::Template;
use askama::filters::HtmlSafe;

use super::{Given, said};
use crate::domain::actor::Channel;
use crate::domain::release::{Happened, Judgement, PauseReason, TimelineEntry, Verdict, Word};
use crate::views::chrome::Tone;
use crate::views::lang::Lang;
use crate::views::time::Clockface;

/// The list.
#[derive(Clone, Debug, PartialEq, Eq, Template)]
#[template(path = "release/log.html")]
pub struct Log {
    pub lang: Lang,
    pub lines: Vec<Line>,
}

impl HtmlSafe for Log {}

/// One thing that happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    pub icon: &'static str,
    pub tone: Tone,
    pub text: String,
    /// `2026-11-20 14:23:19 UTC+8`.
    pub exact: String,
    pub time: String,
    pub by: String,
    pub reason: String,
    pub entry: Option<String>,
}

impl Log {
    pub fn of(clock: Clockface, given: Given<'_>) -> Self {
        let told = given.timeline.iter().map(|entry| (entry.at_ms, lines(clock, given, entry)));
        // A look is no transition; one that failed is still an event.
        let in_transition = |look: &&Judgement| {
            let judged = |one: &Happened| matches!(one, Happened::Judged { .. });
            given.timeline.iter().any(|entry| entry.at_ms == look.at_ms && entry.happened.iter().any(judged))
        };
        let failed = given.judgements.iter().filter(|look| look.verdict == Verdict::Fail);
        let failed = failed.filter(|look| !in_transition(look));
        let failed = failed.map(|look| (look.at_ms, vec![look_failed(clock, given, look)]));
        // Transitions stand in the order in which they were stored, whatever the clock did between them.
        let mut all: Vec<(i64, Vec<Line>)> = told.collect();
        for look in failed {
            let before = all.iter().position(|(at, _)| *at <= look.0).unwrap_or(all.len());
            all.insert(before, look);
        }
        Self { lang: clock.lang, lines: all.into_iter().flat_map(|(_, lines)| lines).collect() }
    }
}

fn look_failed(clock: Clockface, given: Given<'_>, look: &Judgement) -> Line {
    let lang = clock.lang;
    let metrics = given.release.spec.analysis.as_ref().map_or(&[][..], |analysis| &analysis.metrics);
    let failed = look.metrics.iter().filter(|one| one.verdict == Verdict::Fail);
    let said: Vec<String> = failed
        .filter_map(|one| {
            let metric = metrics.get(one.metric)?;
            let value = one.value.map_or_else(|| "–".to_owned(), |value| said::value(lang, metric, value));
            Some(format!("{} {value}", said::metric(lang, metric)))
        })
        .collect();
    let (icon, tone) = ("bad", Tone::Bad);
    let text =
        lang.t("release.happened.look_failed").with("what", said.join(&lang.t("sum.list").to_string()));
    Line {
        icon,
        tone,
        text: text.into(),
        exact: format!("{} {}", clock.exact(look.at_ms), clock.zone()),
        time: clock.second(look.at_ms),
        by: lang.t("release.by_itself").into(),
        reason: String::new(),
        entry: None,
    }
}

fn lines(clock: Clockface, given: Given<'_>, entry: &TimelineEntry) -> Vec<Line> {
    let lang = clock.lang;
    let by = match entry.channel {
        Channel::Automatic => lang.t("release.by_itself").to_string(),
        Channel::Outside => lang.t("channel.not_here").into(),
        Channel::Browser | Channel::Api | Channel::Command => entry.by.clone(),
    };
    // Pressing *Approve*, *Pause* or *Resume* is one event, named by who pressed.
    let acted = |one: &Happened| match one {
        Happened::Approved => Some("approved_by"),
        Happened::Paused { reason: PauseReason::User } => Some("paused_by"),
        Happened::Resumed => Some("resumed_by"),
        _ => None,
    };
    let approved = entry.happened.contains(&Happened::Approved);
    let pressed = approved || entry.happened.iter().any(|one| acted(one).is_some());
    let of = |one: &Happened| match one {
        Happened::Told { word: Word::Pause | Word::Resume } if pressed => None,
        Happened::Told { .. } | Happened::Resumed if approved => None,
        _ => {
            let (icon, tone, text) = said::happened(lang, &given.release.spec, one)?;
            let by_name = acted(one).filter(|_| entry.channel != Channel::Automatic);
            let by_name = by_name.map(|key| lang.t(&format!("release.happened.{key}")).with("who", &by));
            Some((icon, tone, by_name.unwrap_or(text)))
        }
    };
    let said = entry.happened.iter().filter_map(of);
    let mut out: Vec<Line> = said
        .map(|(icon, tone, text)| Line {
            icon,
            tone,
            text: text.into(),
            exact: format!("{} {}", clock.exact(entry.at_ms), clock.zone()),
            time: clock.second(entry.at_ms),
            by: by.clone(),
            reason: String::new(),
            entry: entry.entry.map(|id| format!("/audit/{id}")),
        })
        .collect();
    // What led to the others stands first in the transition, so it is the last of newest first.
    out.reverse();
    if let Some(first) = out.last_mut() {
        first.reason.clone_from(&entry.reason);
    }
    out
}
