//! Words of a release: its state as a chip, its steps, its commands, what happened, in both languages.
//! The list, the page, the history and the dialogs say the same.

use crate::domain::overview::Moving;
use crate::domain::release::state::{ActionKind, Aim, Side};
use crate::domain::release::{
    Happened, Metric, OnFailure, PauseReason, Phase, Release, State, Step, Verdict, Word, Wording,
};
use crate::views::bars::short;
use crate::views::chrome::{Chip, Tone};
use crate::views::figures::duration;
use crate::views::lang::{Lang, Text};
use crate::views::time::{Clockface, span};
use crate::views::{rule_words, text};

/// `/releases/R-1042`.
pub fn path(release: &Release) -> String {
    format!("/releases/{}", release.id)
}

/// `/releases/R-1042/promote-all`.
pub fn word_path(release: &Release, word: Word) -> String {
    format!("{}/{}", path(release), segment(word))
}

/// A command as the last segment of an address.
pub fn segment(word: Word) -> String {
    word.as_str().replace('_', "-")
}

/// A strategy's name.
pub fn strategy(lang: Lang, word: &str) -> String {
    lang.t(&format!("release.strategy.{word}")).into()
}

/// A command's name.
pub fn word(lang: Lang, word: Word) -> String {
    lang.t(&format!("release.word.{}", word.as_str())).into()
}

/// A phase's name.
pub fn phase(lang: Lang, phase: Phase) -> String {
    lang.t(&format!("release.phase.{}", phase.as_str())).into()
}

/// Why it paused, in a few words.
pub fn pause(lang: Lang, reason: PauseReason) -> String {
    lang.t(&format!("release.pause.{}", reason.as_str())).into()
}

/// The state in the word that its chip has, for a sentence: *Waiting for approval*, not *Paused*.
pub fn state_word(lang: Lang, state: &State) -> String {
    if state.is_waiting() {
        return lang.t("release.waiting").into();
    }
    if state.phase == Phase::RolledBack && !state.switch_back {
        return match state.back_to {
            Some(revision) => lang.t("release.rolled_back").with("r", revision).into(),
            None => lang.t("release.aborted").into(),
        };
    }
    phase(lang, state.phase)
}

/// How a release stands, as a chip. `clock` says times in the person's zone.
pub fn state(clock: Clockface, release: &Release) -> Chip {
    let lang = clock.lang;
    let (state, spec) = (&release.state, &release.spec);
    let plain = || lang.t(&format!("release.phase.{}", state.phase.as_str()));
    let stable = short(spec.stable.as_str());
    match state.phase {
        Phase::Draft | Phase::Validated | Phase::Cancelled | Phase::Superseded => {
            Chip::new(Tone::Line, "", plain())
        }
        Phase::PendingApproval => Chip::new(Tone::Warn, "user", plain()),
        Phase::Scheduled => {
            let text = match state.due_ms {
                Some(at) => lang.t("release.starts_at").with("time", clock.exact(at)),
                None => plain(),
            };
            Chip::new(Tone::Info, "clock", text)
        }
        Phase::Running => {
            let (n, of) = crate::domain::release::stages::position(&spec.steps, state.step);
            let text = lang.t("release.running").with("n", n).with("of", of);
            Chip::new(Tone::Info, "run", text)
        }
        Phase::Promoting | Phase::Finalising => Chip::new(Tone::Info, "run", plain()),
        Phase::Succeeded => {
            let key =
                if state.removed.contains(&Side::Stable) { "release.done_retired" } else { "release.done" };
            Chip::new(Tone::Ok, "ok", lang.t(key))
        }
        Phase::Paused => match state.pause_reason() {
            _ if state.is_waiting() => Chip::new(Tone::Warn, "user", lang.t("release.waiting")),
            Some(reason) if reason.is_trouble() => {
                let text = lang.t("release.paused_itself").with("why", pause(lang, reason));
                Chip::new(Tone::Bad, "pause", text)
            }
            _ => Chip::new(Tone::Warn, "pause", plain()),
        },
        Phase::Aborting => {
            let text = match state.back_to {
                Some(revision) => lang.t("release.rolling_back").with("r", revision),
                None => lang.t("release.aborting").with("v", stable),
            };
            Chip::new(Tone::Warn, "back", text)
        }
        Phase::RolledBack if state.back_to.is_some() && !state.switch_back => {
            // What a revision gives the versions is not said by the name of one of them.
            let key = if state.ended_by_pods { "release.rolled_back_pods" } else { "release.rolled_back" };
            let text = lang.t(key).with("r", state.back_to.unwrap_or_default());
            let text = text.with("n", release.share()).with("v", short(release.candidate().as_str()));
            Chip::new(Tone::Plain, "back", text)
        }
        Phase::RolledBack => {
            let key = if state.switch_back {
                "release.switched_back"
            } else if failed_itself(release) {
                "release.back_itself"
            } else {
                "release.back"
            };
            let tone = if failed_itself(release) { Tone::Bad } else { Tone::Plain };
            Chip::new(tone, "back", lang.t(key).with("v", stable))
        }
        Phase::NeedsAttention => Chip::new(Tone::Bad, "bad", plain()),
    }
}

/// A release as the state of the service that it moves: *Canary 25%*, *Paused · 25%*.
pub fn moving(lang: Lang, release: Moving) -> Chip {
    let (tone, icon, key) = match release.phase {
        Phase::Paused if release.waits => (Tone::Warn, "user", "release.stands"),
        Phase::Paused if release.trouble => (Tone::Bad, "pause", "release.stands"),
        Phase::Paused => (Tone::Warn, "pause", "release.stands"),
        Phase::Aborting => (Tone::Warn, "back", "release.stands"),
        _ => (Tone::Info, "run", "release.moves"),
    };
    let word = if release.waits { lang.t("release.waiting").into() } else { phase(lang, release.phase) };
    let text = lang
        .t(key)
        .with("phase", word)
        .with("strategy", strategy(lang, release.strategy.as_str()))
        .with("n", release.percent);
    Chip::new(tone, icon, text)
}

/// True when the analysis, not a person, ended it: with the policy *pause* a failure only pauses, and whatever ended
/// the release was a command.
pub fn failed_itself(release: &Release) -> bool {
    // A revision is chosen by a person.
    if release.spec.policies.on_failure == OnFailure::Pause || release.state.back_to.is_some() {
        return false;
    }
    let most = release.spec.analysis.as_ref().map_or(u32::MAX, |analysis| analysis.failures);
    release.state.latest == Some(Verdict::Fail) && release.state.failures >= most
}

/// A stretch of time, exact where that matters: `1 h 30 min`, `90 s` is `1 min 30 s`.
pub fn long_span(lang: Lang, seconds: u64) -> String {
    let parts = [(86_400, "time.d"), (3_600, "time.h"), (60, "time.min"), (1, "time.s")];
    let mut left = seconds;
    let mut words: Vec<String> = Vec::new();
    for (unit, key) in parts {
        if left >= unit && words.len() < 2 {
            words.push(lang.t(key).with("n", left / unit).into());
            left %= unit;
        }
    }
    if words.is_empty() { lang.t("time.s").with("n", 0).into() } else { words.join(" ") }
}

/// `06:12`, `1:06:12`: what is left of a timer.
pub fn countdown(ms: i64) -> String {
    let s = (ms.max(0) + 999) / 1_000;
    let (hours, minutes, seconds) = (s / 3_600, s / 60 % 60, s % 60);
    if hours > 0 {
        format!("{hours}:{minutes:02}:{seconds:02}")
    } else {
        format!("{minutes:02}:{seconds:02}")
    }
}

/// What a step gives the new version: *v2 25%*, *v2 3 pods*, *10% copied to v2*.
pub fn step(lang: Lang, of: &impl Wording, step: &Step) -> Text {
    let v = short(of.candidate().as_str());
    match step {
        Step::Weight { percent } => lang.t("release.step.weight").with("v", v).with("n", percent),
        Step::Replicas { candidate, .. } if of.in_place() => lang.count("release.step.batch", candidate),
        Step::Replicas { candidate, stable } => {
            let of_old = |n: &u32| {
                lang.count("release.step.replicas", n).with("v", short(of.stable().as_str())).to_string()
            };
            let mine = lang.count("release.step.replicas", candidate).with("v", v).to_string();
            let both: Vec<String> = std::iter::once(mine).chain(stable.as_ref().map(of_old)).collect();
            Text::quoted(both.join(&lang.t("sum.comma").to_string()))
        }
        Step::Rules { when } if when.is_empty() => lang.t("release.step.rules_off").with("v", v),
        Step::Rules { when } => {
            lang.t("release.step.rules").with("v", v).with("when", rule_words::ways(lang, when))
        }
        Step::Mirror { percent: 0 } => lang.t("release.step.mirror_off").with("v", v),
        Step::Mirror { percent } => lang.t("release.step.mirror").with("v", v).with("n", percent),
        Step::Hold { seconds } => lang.t("release.step.hold").with("span", long_span(lang, *seconds)),
        Step::Approval => lang.t("release.step.approval"),
        Step::Analysis { passes } => lang.count("release.step.analysis", passes),
    }
}

/// What is measured: *Success rate*, *p95 latency*, the query's name.
pub fn metric(lang: Lang, metric: &Metric) -> String {
    match metric {
        Metric::SuccessRate { .. } => lang.t("release.metric.success_rate").into(),
        Metric::Latency { quantile, .. } => lang.t("release.metric.latency").with("q", quantile).into(),
        Metric::Custom { name, .. } => name.clone(),
    }
}

/// A value of a metric in its unit.
pub fn value(lang: Lang, metric: &Metric, value: f64) -> String {
    match metric {
        Metric::SuccessRate { .. } => format!("{}%", text::percent((value * 100.0).floor() / 100.0)),
        Metric::Latency { .. } => duration(lang, value),
        Metric::Custom { .. } => text::percent(value),
    }
}

/// A verdict as a chip: shape, word, colour.
pub fn verdict(lang: Lang, verdict: Verdict) -> Chip {
    let (tone, icon) = match verdict {
        Verdict::Pass => (Tone::Ok, "ok"),
        Verdict::Undecided => (Tone::Warn, "warn"),
        Verdict::Error => (Tone::Warn, "off"),
        Verdict::Fail => (Tone::Bad, "bad"),
    };
    Chip::new(tone, icon, lang.t(&format!("release.verdict.{}", verdict.as_str())))
}

fn side(of: &impl Wording, side: Side) -> String {
    match side {
        Side::Stable => short(of.stable().as_str()),
        Side::Candidate => short(of.candidate().as_str()),
    }
}

/// Whether an action is still to be done, or was done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    Next,
    Done,
}

/// What an action does or did, in a few words: *set v2 to 50%*, *v2 set to 50%*.
pub fn action(lang: Lang, of: &impl Wording, action: &ActionKind, stage: Stage) -> Text {
    let v = short(of.candidate().as_str());
    let group = match stage {
        Stage::Next => "release.do",
        Stage::Done => "release.did",
    };
    let t = |key: &str| lang.t(&format!("{group}.{key}"));
    match action {
        ActionKind::Deploy { .. } => t("deploy").with("v", v),
        ActionKind::Scale { side: which, replicas } => {
            lang.count(&format!("{group}.scale"), replicas).with("v", side(of, *which))
        }
        ActionKind::Batch { updated, number } => {
            lang.count(&format!("{group}.batch"), updated).with("batch", number)
        }
        ActionKind::Traffic { aim } => {
            let percent = (aim.percent > 0 || !is_beside(aim))
                .then(|| t("traffic").with("v", &v).with("n", aim.percent));
            let mirror = (aim.mirror > 0).then(|| t("mirror").with("v", &v).with("n", aim.mirror));
            let rule = (!aim.when.is_empty())
                .then(|| t("rules").with("v", &v).with("when", rule_words::ways(lang, &aim.when)));
            let parts: Vec<String> =
                [rule, mirror, percent].into_iter().flatten().map(String::from).collect();
            Text::quoted(parts.join(&lang.t("release.then").to_string()))
        }
        ActionKind::SwitchBack { revision } => t("switch_back").with("n", revision),
        ActionKind::Restore => t("restore"),
        ActionKind::Heal => t("heal"),
        ActionKind::Settle => t("settle"),
        ActionKind::Measure => t("measure"),
        ActionKind::Remove { side: which } => t("remove").with("v", side(of, *which)),
    }
}

/// True when the new version gets requests by a rule or copies, besides its share.
fn is_beside(aim: &Aim) -> bool {
    !aim.when.is_empty() || aim.mirror > 0
}

/// What the new version gets besides its share, as it was last written: the rule, then the copies. One sentence each.
pub fn besides(lang: Lang, v: &str, aim: &Aim) -> Vec<String> {
    let rule = (!aim.when.is_empty()).then(|| {
        lang.t("release.now.rules").with("v", v).with("when", rule_words::ways(lang, &aim.when)).into()
    });
    let copies =
        (aim.mirror > 0).then(|| lang.t("release.now.mirror").with("v", v).with("n", aim.mirror).into());
    rule.into_iter().chain(copies).collect()
}

/// One line of the events: icon, tone and sentence. `None` for what only the machine cares about.
pub fn happened(lang: Lang, of: &impl Wording, one: &Happened) -> Option<(&'static str, Tone, Text)> {
    let named = |key: &str| lang.t(&format!("release.happened.{key}"));
    let step_word =
        |n: &usize| of.step_at(*n).map_or_else(String::new, |known| step(lang, of, known).to_string());
    Some(match one {
        Happened::Created => ("release", Tone::Plain, named("created")),
        Happened::Told { word: told } => {
            let icon = if told.goes_back() { "back" } else { "user" };
            (icon, Tone::Plain, named(&format!("told.{}", told.as_str())))
        }
        Happened::Approved => ("user", Tone::Plain, named("approved")),
        Happened::Began => ("run", Tone::Info, named("began")),
        Happened::StepBegan { step } => (
            "next",
            Tone::Info,
            named("step_began").with("n", of.number_of(*step)).with("step", step_word(step)),
        ),
        Happened::StepDone { step } => {
            ("ok", Tone::Ok, named("step_done").with("n", of.number_of(*step)).with("step", step_word(step)))
        }
        Happened::Decided { .. } | Happened::Done { action: ActionKind::Measure } => return None,
        Happened::Done { action: done } => ("ok", Tone::Ok, action(lang, of, done, Stage::Done)),
        Happened::NotDone { action: tried, refusal } => {
            let why = text::refusal(lang, refusal).text.to_string();
            (
                "bad",
                Tone::Bad,
                named("not_done").with("action", action(lang, of, tried, Stage::Next)).with("why", why),
            )
        }
        Happened::Ready => ("ok", Tone::Ok, named("ready").with("v", short(of.candidate().as_str()))),
        Happened::Judged { verdict: said, failures } => {
            let chip = verdict(lang, *said);
            let text = if *said == Verdict::Fail {
                named("judged_fail").with("n", failures)
            } else {
                named("judged").with("verdict", chip.text)
            };
            (chip.icon, chip.tone, text)
        }
        Happened::Paused { reason } => {
            let tone = if reason.is_trouble() { Tone::Bad } else { Tone::Warn };
            ("pause", tone, named("paused").with("why", pause(lang, *reason)))
        }
        Happened::Resumed => ("run", Tone::Info, named("resumed")),
        Happened::ResumedAfterRestart => ("run", Tone::Info, named("restarted")),
        Happened::Drift { managers, percent } => {
            let by = if managers.is_empty() {
                "?".to_owned()
            } else {
                managers.join(&lang.t("sum.list").to_string())
            };
            let text = match percent {
                Some(n) => named("drift_to").with("n", n).with("v", short(of.candidate().as_str())),
                None => named("drift"),
            };
            ("drift", Tone::Warn, text.with("by", by))
        }
        Happened::Scaled { percent } => (
            "drift",
            Tone::Warn,
            named("scaled").with("n", percent).with("v", short(of.candidate().as_str())),
        ),
        Happened::CandidateChanged { change } => {
            ("drift", Tone::Bad, Text::quoted(text::refusal(lang, change).text.to_string()))
        }
        Happened::CandidateAccepted { change } => (
            "user",
            Tone::Warn,
            named("candidate_accepted").with("what", text::refusal(lang, change).text.to_string()),
        ),
        Happened::CandidateDown => {
            ("bad", Tone::Bad, named("candidate_down").with("v", short(of.candidate().as_str())))
        }
        Happened::StableLost => {
            ("bad", Tone::Bad, named("stable_lost").with("v", short(of.stable().as_str())))
        }
        Happened::ClockMoved { by_ms } => ("run", Tone::Info, named("clock_moved").with("n", by_ms / 1000)),
        Happened::Reasserted => ("drift", Tone::Info, named("reasserted")),
        Happened::Adopted { percent } => ("drift", Tone::Info, named("adopted").with("n", percent)),
        Happened::AbortedItself { reason } => {
            ("back", Tone::Bad, named("aborted_itself").with("why", pause(lang, *reason)))
        }
        Happened::StepsChanged { from, .. } => {
            ("edit", Tone::Plain, named("steps_changed").with("n", of.number_of(*from)))
        }
        Happened::Finished { phase: end, revision } => {
            let (icon, tone) = match end {
                Phase::Succeeded => ("ok", Tone::Ok),
                Phase::NeedsAttention => ("bad", Tone::Bad),
                _ => ("back", Tone::Plain),
            };
            // How it came to that is an event of its own: an abort, or a switch back.
            let text = if let Some(revision) = revision {
                named("finished_revision").with("r", revision)
            } else if *end == Phase::RolledBack {
                named("finished_back").with("v", short(of.stable().as_str()))
            } else {
                named("finished").with("phase", phase(lang, *end))
            };
            (icon, tone, text)
        }
    })
}

/// How long a release took, or has been going on.
pub fn took(lang: Lang, release: &Release, now_ms: i64) -> Option<String> {
    let from = release.started_ms?;
    Some(span(lang, release.ended_ms.unwrap_or(now_ms) - from))
}
