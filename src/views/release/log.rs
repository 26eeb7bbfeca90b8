//! The events of a release, newest first; each leads to its row of the history.

use askama::Template;
use askama::filters::HtmlSafe;

use super::{Given, said};
use crate::domain::actor::Channel;
use crate::domain::release::TimelineEntry;
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
        let lines = given.timeline.iter().flat_map(|entry| lines(clock, given, entry)).collect();
        Self { lang: clock.lang, lines }
    }
}

fn lines(clock: Clockface, given: Given<'_>, entry: &TimelineEntry) -> Vec<Line> {
    let lang = clock.lang;
    let by = match entry.channel {
        Channel::Automatic => lang.t("release.by_itself").to_string(),
        Channel::Outside => lang.t("channel.not_here").into(),
        Channel::Browser | Channel::Api => entry.by.clone(),
    };
    let said = entry.happened.iter().filter_map(|one| said::happened(lang, &given.release.spec, one));
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
