//! The step rail: what is done, what is under way, what is to come and what it waits for.

use askama::Template;
use askama::filters::HtmlSafe;

use super::stages::{StageOf, stages};
use super::{Given, said};
use crate::domain::release::state::{ActionKind, Side};
use crate::domain::release::{Happened, PauseReason, Phase, Step};
use crate::views::bars::short;
use crate::views::lang::Lang;
use crate::views::time::Clockface;

/// The steps as stages.
#[derive(Clone, Debug, PartialEq, Eq, Template)]
#[template(path = "release/rail.html")]
pub struct Rail {
    pub lang: Lang,
    pub items: Vec<Item>,
}

impl HtmlSafe for Rail {}

/// One stage.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Item {
    pub mark: Mark,
    /// What the mark says.
    pub word: String,
    pub title: String,
    pub text: String,
}

/// How far a stage is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mark {
    Done,
    Current,
    /// Current, and it stands still.
    Stuck,
    ToCome,
    /// Will not happen any more.
    Skipped,
}

impl Mark {
    /// Icon with its tone.
    pub fn icon(self) -> &'static str {
        match self {
            Self::Done => "ok t-ok",
            Self::Current => "run t-info",
            Self::Stuck => "pause t-warn",
            Self::ToCome => "wait muted",
            Self::Skipped => "x muted",
        }
    }

    /// What the icon says.
    pub fn word(self, lang: Lang) -> String {
        let key = match self {
            Self::Done => "done",
            Self::Current => "current",
            Self::Stuck => "stuck",
            Self::ToCome => "to_come",
            Self::Skipped => "skipped",
        };
        lang.t(&format!("release.mark.{key}")).into()
    }
}

impl Rail {
    pub fn of(clock: Clockface, given: Given<'_>) -> Self {
        let (lang, release) = (clock.lang, given.release);
        let (spec, state) = (&release.spec, &release.state);
        let candidate = short(spec.candidate.version().as_str());
        let mut items = Vec::new();
        if spec.candidate.is_made() {
            let mark = match state.phase {
                _ if is_deployed(given) => Mark::Done,
                Phase::Running => Mark::Current,
                Phase::Paused => Mark::Stuck,
                phase if phase.is_before() => Mark::ToCome,
                _ => Mark::Skipped,
            };
            items.push(Item {
                mark,
                word: mark.word(lang),
                title: lang.t("release.rail.deploy").with("v", &candidate).into(),
                text: ready(lang, given).unwrap_or_default(),
            });
        }
        let deploying = items.first().is_some_and(|item| matches!(item.mark, Mark::Current | Mark::Stuck));
        for stage in stages(&spec.steps) {
            let mark = mark(given, &stage, deploying);
            items.push(Item {
                mark,
                word: mark.word(lang),
                title: title(lang, given, &stage),
                text: said_of(clock, given, &stage, mark),
            });
        }
        let mark = match state.phase {
            _ if state.removed.contains(&Side::Stable) => Mark::Done,
            Phase::RolledBack
            | Phase::NeedsAttention
            | Phase::Cancelled
            | Phase::Superseded
            | Phase::Aborting => Mark::Skipped,
            _ => Mark::ToCome,
        };
        if !spec.candidate.is_in_place() {
            items.push(Item {
                mark,
                word: mark.word(lang),
                title: lang.t("release.rail.retire").with("v", short(spec.stable.as_str())).into(),
                text: match retired_ms(given) {
                    Some(at_ms) => lang.t("release.rail.done_at").with("time", clock.second(at_ms)).into(),
                    None if matches!(mark, Mark::Done | Mark::Skipped) => String::new(),
                    None => lang.t("release.rail.by_hand").into(),
                },
            });
        }
        Self { lang, items }
    }
}

/// When the old version was deleted, milliseconds since 1970.
fn retired_ms(given: Given<'_>) -> Option<i64> {
    let gone = ActionKind::Remove { side: Side::Stable };
    let gone = |one: &Happened| matches!(one, Happened::Done { action } if *action == gone);
    given.timeline.iter().find(|entry| entry.happened.iter().any(gone)).map(|entry| entry.at_ms)
}

fn ready(lang: Lang, given: Given<'_>) -> Option<String> {
    let name = given.release.candidate();
    let versions = &given.overview?.snapshot.versions;
    // Before its first step has given it pods there is nothing to count.
    let version = versions.iter().find(|version| version.name == *name && version.total > 0)?;
    Some(lang.t("release.rail.ready").with("n", version.ready).with("of", version.total).into())
}

/// True once the new version's pods were ready: a workload whose pods never run deploys nothing.
fn is_deployed(given: Given<'_>) -> bool {
    let state = &given.release.state;
    let was_ready = || {
        let ready = |one: &Happened| matches!(one, Happened::Ready);
        given.timeline.iter().any(|entry| entry.happened.iter().any(ready))
    };
    let versions = given.overview.map_or(&[][..], |item| &item.snapshot.versions);
    let lacks =
        || given.release.lacking(versions).iter().any(|version| version.name == *given.release.candidate());
    // The record of an end does not ask what the pods do now.
    state.step > 0 || was_ready() || (state.deployed && !state.phase.is_final() && !lacks())
}

fn mark(given: Given<'_>, stage: &StageOf, deploying: bool) -> Mark {
    let now = &given.release.state;
    match now.phase {
        Phase::Succeeded | Phase::Finalising => Mark::Done,
        _ if stage.steps.end <= now.step => Mark::Done,
        phase if phase.is_before() => Mark::ToCome,
        Phase::Running | Phase::Promoting if !deploying && stage.steps.contains(&now.step) => Mark::Current,
        Phase::Paused if !deploying && stage.steps.contains(&now.step) => Mark::Stuck,
        Phase::Running | Phase::Paused | Phase::Promoting => Mark::ToCome,
        // What was reached was reached, whatever came of the release afterwards.
        _ if reached(stage, now.step) => Mark::Done,
        _ => Mark::Skipped,
    }
}

/// True when the stage gave the new version what it says, though it did not end.
fn reached(stage: &StageOf, step: usize) -> bool {
    stage.aim.is_some_and(|aim| aim < step)
}

fn title(lang: Lang, given: Given<'_>, stage: &StageOf) -> String {
    let spec = &given.release.spec;
    let named = stage.aim.or(Some(stage.steps.start)).and_then(|at| spec.steps.get(at));
    let title = named.map_or_else(String::new, |step| said::step(lang, spec, step).to_string());
    let mut letters = title.chars();
    // A version's name keeps its case; a sentence begins with a capital.
    match letters.next() {
        Some(first) if !matches!(named, Some(Step::Weight { .. } | Step::Replicas { .. })) => {
            first.to_uppercase().chain(letters).collect()
        }
        _ => title,
    }
}

fn said_of(clock: Clockface, given: Given<'_>, stage: &StageOf, mark: Mark) -> String {
    let lang = clock.lang;
    if mark == Mark::Done {
        let last = stage.steps.end.saturating_sub(1);
        let at = |at: usize| {
            let ended = |one: &Happened| matches!(one, Happened::StepDone { step } if *step == at);
            given.timeline.iter().find(|entry| entry.happened.iter().any(ended))
        };
        let (key, found) = match (at(last), stage.aim) {
            (Some(entry), _) => ("release.rail.done_at", Some(entry)),
            (None, Some(aim)) => ("release.rail.reached_at", at(aim)),
            (None, None) => ("", None),
        };
        return found
            .map_or_else(String::new, |entry| lang.t(key).with("time", clock.second(entry.at_ms)).into());
    }
    // It does not happen any more: what it would have waited for is no news.
    if mark == Mark::Skipped {
        return String::new();
    }
    if mark == Mark::Stuck && given.release.state.pause_reason() != Some(PauseReason::Gate) {
        let reason = given.release.state.pause_reason();
        return reason.map_or_else(String::new, |reason| said::pause(lang, reason));
    }
    let mut words: Vec<String> = Vec::new();
    if stage.aim.is_some() || stage.steps.len() > 1 {
        words.extend(
            stage.hold.map(|s| lang.t("release.rail.holds").with("span", said::long_span(lang, s)).into()),
        );
        words.extend(stage.passes.map(|n| lang.count("release.rail.passes", n).into()));
    }
    let last = stage.steps.end >= given.release.spec.steps.len();
    words.push(match (stage.approval, last) {
        (true, _) => lang.t("release.rail.approval").into(),
        (false, true) => kept(lang, given),
        (false, false) => lang.t("release.rail.by_itself").into(),
    });
    words.join(&lang.t("sum.comma").to_string())
}

/// What the old version keeps at the end of the steps.
fn kept(lang: Lang, given: Given<'_>) -> String {
    let spec = &given.release.spec;
    let last = spec.steps.iter().rev().find_map(|step| match step {
        Step::Replicas { stable, .. } => Some(*stable),
        _ => None,
    });
    let stable = short(spec.stable.as_str());
    match spec.policies.stable_after.or(last.flatten()) {
        _ if spec.candidate.is_in_place() => lang.t("release.rail.replaced").into(),
        Some(0) => lang.t("release.rail.stops_all").with("v", stable).into(),
        Some(pods) => lang.count("release.rail.stops", pods).with("v", stable).into(),
        None => lang.t("release.rail.kept").with("v", stable).into(),
    }
}
