//! What the page of a service says of its releases, and the words of its way back. Used by `views::service`,
//! `views::traffic`, and the toast after a change.

use crate::domain::overview::{Back, Overview, ReleaseStory};
use crate::domain::plan::Effect;
use crate::domain::release::{Judgement, Phase, Release, Verdict, Word};

use super::bars::short;
use super::chrome::{Chip, Notice, Tone};
use super::lang::{Lang, Text};
use super::release::said;
use super::time::Clockface;
use super::{rule_words, text};

/// How the service stands: what is wrong with it, else the release that moves it.
pub fn state(lang: Lang, item: &Overview) -> Chip {
    match item.release {
        Some(release) if !item.state.needs_attention() => said::moving(lang, release),
        _ => text::standing(lang, item),
    }
}

/// *v1 100%*, *by pods*, *header end-user equals jason → v2 (removed)*: what a change made, in short.
pub fn result(lang: Lang, effect: &Effect) -> String {
    if effect.after.is_empty() && !effect.before.is_empty() {
        return lang.t("split.pods").into();
    }
    rule_words::result(lang, effect)
}

/// *Back to v1 100%, without the 4 rules (revision 2)*.
pub fn back_label(lang: Lang, back: &Back) -> String {
    let goal = rule_words::goal(lang, &back.effect);
    lang.t("service.back_to").with("split", goal).with("n", back.revision).into()
}

/// *Back to v1 (R-3)*, and the question of the release: by pods, no revision of the routing leads there.
pub fn undo(lang: Lang, release: &Release) -> (String, String) {
    let stable = short(release.spec.stable.as_str());
    let label = lang.t("service.back_release").with("v", stable).with("id", release.id);
    (label.into(), said::word_path(release, Word::SwitchBack))
}

/// The release that moves the service, or the one that went back and left it as it is.
pub fn notice(clock: Clockface, story: &ReleaseStory) -> Notice {
    let (lang, release) = (clock.lang, &story.release);
    let state = &release.state;
    let link = Some((said::path(release), lang.t("releases.see").with("id", release.id).into()));
    let failing = story.judgement.as_ref().map(|judged| failing(lang, release, judged)).unwrap_or_default();
    let sentence = |key: &str| {
        let stable = short(release.spec.stable.as_str());
        lang.t(key).with("id", release.id).with("v", stable).with("why", &failing)
    };
    if !state.phase.owns_service() {
        let key = match (said::failed_itself(release), failing.is_empty()) {
            (true, false) => "service.release.went_back_why",
            (true, true) => "service.release.went_back",
            (false, _) if state.back_to.is_some() => "service.release.rolled_back",
            (false, _) => "service.release.aborted",
        };
        let tone = if said::failed_itself(release) { Tone::Bad } else { Tone::Info };
        let at_ms = release.ended_ms.unwrap_or(release.changed_ms);
        let text = sentence(key).with("time", clock.hour(at_ms));
        let text = state.back_to.iter().fold(text, |text, revision| text.with("r", revision));
        return Notice { icon: "back", link, ..Notice::new(tone, text.rich()) };
    }
    let moving = crate::domain::overview::Moving::of(release);
    let chip = said::moving(lang, moving);
    let strategy = said::strategy(lang, release.spec.strategy.as_str());
    let paused = state.paused.as_ref().filter(|_| state.phase == Phase::Paused);
    let text: Text = match paused {
        Some(paused) => {
            let key = if state.is_waiting() {
                "waits"
            } else if failing.is_empty() || !moving.trouble {
                "paused"
            } else {
                "paused_why"
            };
            sentence(&format!("service.release.{key}"))
                .with("strategy", strategy)
                .with("n", release.share())
                .with("reason", said::pause(lang, paused.reason))
                .with("time", clock.hour(paused.since_ms))
        }
        None => sentence("service.release.moves").with("state", &chip.text),
    };
    let tone = if chip.tone == Tone::Bad { Tone::Bad } else { Tone::Info };
    let more = Some(lang.t("releases.controls").with("id", release.id).rich());
    Notice { icon: "release", link, more, ..Notice::new(tone, text.rich()) }
}

/// What failed in a measurement, with its numbers: *p95 latency 49 ms > 33 ms*. Empty when nothing did.
fn failing(lang: Lang, release: &Release, judged: &Judgement) -> String {
    let Some(analysis) = &release.spec.analysis else { return String::new() };
    let failed = judged.metrics.iter().filter(|one| one.verdict == Verdict::Fail).filter_map(|one| {
        let metric = analysis.metrics.get(one.metric)?;
        let (value, limit) = (one.value?, one.limit?);
        let sign = if value > limit { ">" } else { "<" };
        let (value, limit) = (said::value(lang, metric, value), said::value(lang, metric, limit));
        Some(format!("{} {value} {sign} {limit}", said::metric(lang, metric)))
    });
    failed.collect::<Vec<_>>().join(&lang.t("sum.comma").to_string())
}
