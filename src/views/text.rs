//! Codes → sentences: refusals, checks, findings, states, actions, and what a change does, in both languages.
//!
//! The JSON of the API uses the same functions as the pages, so a portal reads the same words.

use crate::domain::audit::{Action, Ending};
use crate::domain::ids::VersionName;
use crate::domain::overview::{Overview, State};
use crate::domain::plan::Effect;
use crate::domain::refusal::{Args, Check, Code, Refusal, Severity};
use crate::domain::routing::{HIDDEN, Mirror};

use super::bars::{in_words, short};
use super::chrome::{Chip, Notice, Tone};
use super::lang::{Lang, Text};
use super::time::Clockface;

/// A sentence, and what to do next where that helps. Pages show both with their marks ([`Text::rich`]), everything
/// else as plain text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Said {
    pub text: Text,
    pub next: Option<Text>,
}

impl Said {
    /// Both as one.
    pub fn whole(self) -> Text {
        match self.next {
            Some(next) => self.text.and(next),
            None => self.text,
        }
    }
}

/// Fills a sentence; an empty value is none. The value `since` is milliseconds since 1970 and is
/// written as the person's clock shows it.
fn fill(clock: Clockface, text: Text, args: &Args) -> Text {
    args.iter().filter(|(_, value)| !value.is_empty()).fold(text, |text, (name, value)| {
        match (name.as_ref(), value.parse::<i64>()) {
            ("since", Ok(at_ms)) => {
                text.with(name.clone(), format!("{} {}", clock.hour(at_ms), clock.zone()))
            }
            _ if NAMES.contains(&name.as_ref()) => text.with_marks(name, &listed(clock.lang, name, value)),
            _ => text.with(name.clone(), listed(clock.lang, name, value)),
        }
    })
}

/// Values that the planner and the findings put together of names between backticks.
const NAMES: [&str; 4] = ["list", "objects", "namespace", "namespaces"];

/// A value that lists names, with the separator of the language; any other value as it is.
fn listed<'a>(lang: Lang, name: &str, value: &'a str) -> std::borrow::Cow<'a, str> {
    match name {
        "list" | "objects" | "versions" if value.contains(", ") => {
            named(lang, value).replace(", ", &lang.t("sum.list").to_string()).into()
        }
        "metrics" => {
            let words: Vec<String> = value.split(", ").map(|word| metric(lang, word)).collect();
            words.join(&lang.t("sum.list").to_string()).into()
        }
        // Words of the API, in a refusal that a page shows.
        "phase" | "command" => {
            let key = format!("release.{}.{value}", if name == "phase" { name } else { "word" });
            if lang.knows(&key) { lang.t(&key).to_string().into() } else { value.into() }
        }
        "object" | "other" | "list" | "objects" | "namespace" | "namespaces" => named(lang, value),
        _ => value.into(),
    }
}

/// A text that names objects, with words for the names that its reader may not have.
pub fn named(lang: Lang, value: &str) -> std::borrow::Cow<'_, str> {
    if !value.contains(HIDDEN) {
        return value.into();
    }
    let word = lang.t("shown.name").to_string();
    let numbered = value.replace(&format!("{HIDDEN}/{HIDDEN}-"), &format!("{word} #"));
    let named = numbered.replace(&format!("{HIDDEN}/{HIDDEN}"), &word);
    match named.strip_suffix(HIDDEN).filter(|rest| rest.is_empty() || rest.ends_with('/')) {
        Some(rest) => format!("{rest}{word}").into(),
        None => named.into(),
    }
}

/// What was measured, by the word that a release keeps: `success_rate`, `p95`; a query by its name.
fn metric(lang: Lang, word: &str) -> String {
    let quantile = word.strip_prefix('p').filter(|rest| ["50", "90", "95", "99"].contains(rest));
    match (word, quantile) {
        ("success_rate", _) => lang.t("release.metric.success_rate").into(),
        (_, Some(quantile)) => lang.t("release.metric.latency").with("q", quantile).into(),
        _ => word.to_owned(),
    }
}

/// The code in two or three words, as a heading: *No ready pods*.
pub fn name(lang: Lang, code: Code) -> Text {
    lang.t(&format!("code.{}.name", code.text_key()))
}

/// The sentence of a code with its values; times are written in the zone of `clock`. Where a value is not
/// known and the catalogue has a sentence without it (`bare`), that one is used.
pub fn sentence(clock: Clockface, code: Code, args: &Args) -> Text {
    let of = |part: &str| format!("code.{}.{part}", code.text_key());
    let single = args.iter().any(|(name, value)| name == "n" && value == "1") && clock.lang.knows(&of("one"));
    let full = fill(clock, clock.lang.t(&of(if single { "one" } else { "text" })), args);
    if full.is_complete() || !clock.lang.knows(&of("bare")) {
        return full;
    }
    fill(clock, clock.lang.t(&of("bare")), args)
}

fn next(clock: Clockface, code: Code, args: &Args) -> Option<Text> {
    let of = |part: &str| format!("code.{}.{part}", code.text_key());
    // What to set in a product, where the catalogue knows the product.
    if let Some((_, product)) = args.iter().find(|(name, value)| name == "advice" && !value.is_empty()) {
        let key = of(&format!("for_{product}"));
        let advice = clock.lang.knows(&key).then(|| fill(clock, clock.lang.t(&key), args));
        if let Some(advice) = advice.filter(Text::is_complete) {
            return Some(advice);
        }
    }
    let exact = code == Code::GitOps && args.iter().any(|(name, _)| name == "pointer");
    let key = of(if exact { "exempt" } else { "next" });
    clock.lang.knows(&key).then(|| fill(clock, clock.lang.t(&key), args))
}

/// What a refusal says.
pub fn refusal(lang: Lang, refusal: &Refusal) -> Said {
    said(Clockface::new(lang, None), refusal.code, &refusal.args)
}

/// What a check or finding says.
pub fn check(lang: Lang, check: &Check) -> Said {
    said(Clockface::new(lang, None), check.code, &check.args)
}

fn said(clock: Clockface, code: Code, args: &Args) -> Said {
    Said { text: sentence(clock, code, args), next: next(clock, code, args) }
}

/// A finding or a lack of our own, as a notice on the page.
pub fn notice(clock: Clockface, check: &Check) -> Notice {
    let tone = match check.severity {
        Severity::Ok => Tone::Ok,
        Severity::Info => Tone::Info,
        Severity::Acknowledge => Tone::Warn,
        Severity::Block => Tone::Bad,
    };
    let said = said(clock, check.code, &check.args);
    Notice { more: said.next.map(Text::rich), ..Notice::new(tone, said.text.rich()) }
}

/// A refusal as a notice that is heard at once.
pub fn refused(lang: Lang, refusal: &Refusal) -> Notice {
    let clock = Clockface::new(lang, None);
    let said = said(clock, refusal.code, &refusal.args);
    Notice { more: said.next.map(Text::rich), alert: true, ..Notice::new(Tone::Bad, said.text.rich()) }
}

/// How a service stands, as a chip.
pub fn state(lang: Lang, state: State) -> Chip {
    let (tone, icon) = match state {
        State::Broken => (Tone::Bad, "bad"),
        State::LastFailed | State::Failing => (Tone::Bad, "warn"),
        State::Drift | State::Answered => (Tone::Warn, "warn"),
        State::ChangedOutside => (Tone::Warn, "drift"),
        State::NotRoutable | State::SpreadByPods => (Tone::Line, ""),
        State::Steady => (Tone::Plain, "ok"),
    };
    Chip::new(tone, icon, lang.t(&format!("state.{}", state.as_str())))
}

/// How a service stands, with the percentage that the proxy answers by itself where that is its state.
pub fn standing(lang: Lang, item: &Overview) -> Chip {
    let chip = state(lang, item.state);
    let n = item.routing.answered_percent();
    if item.state != State::Answered || n == 0 {
        return chip;
    }
    Chip { text: lang.t("state.answered_share").with("n", n).into(), ..chip }
}

/// What was attempted.
pub fn action(lang: Lang, action: Action) -> String {
    lang.t(&format!("action.{}", action.as_str())).into()
}

/// How it ended, as a chip; a refusal names its code.
pub fn ending(lang: Lang, ending: Option<Ending>, refused_by: Option<Code>) -> Chip {
    let Some(ending) = ending else {
        return Chip::new(Tone::Info, "clock", lang.t("ending.pending"));
    };
    let (tone, icon) = match ending {
        Ending::Applied => (Tone::Plain, "ok"),
        Ending::Refused | Ending::Failed | Ending::Partial => (Tone::Bad, "bad"),
        Ending::Unknown | Ending::Outside => (Tone::Warn, "warn"),
    };
    let word = lang.t(&format!("ending.{}", ending.as_str()));
    let text = match refused_by {
        // The word itself says it already.
        Some(Code::PartlyApplied | Code::PartlyRetired | Code::OutcomeUnknown) => word,
        Some(code) if ending != Ending::Applied => {
            lang.t("ending.because").with("ending", word).with("why", name(lang, code))
        }
        _ => word,
    };
    Chip::new(tone, icon, text)
}

/// What a change does, in sentences: the weights first, then rules and mirror. Never empty.
pub fn effect(lang: Lang, effect: &Effect) -> Vec<Text> {
    let mut said = Vec::new();
    said.extend(weights_effect(lang, effect));
    if let (Some(port), false) = (effect.port, said.is_empty()) {
        said.push(lang.t("sum.port").with("port", port));
    }
    if !effect.kept.is_empty() && !said.is_empty() {
        said.push(lang.count("sum.kept", effect.kept.len()));
    }
    said.extend(super::rule_words::sentences(lang, effect));
    said.extend(mirror_effect(lang, effect.mirror_before.as_ref(), effect.mirror_after.as_ref()));
    if said.is_empty() {
        said.push(lang.t("sum.none"));
    }
    said
}

fn weights_effect(lang: Lang, effect: &Effect) -> Option<Text> {
    if effect.before.is_empty() {
        return (!effect.after.is_empty())
            .then(|| lang.t("sum.declare").with("split", in_words(&effect.after)));
    }
    moves(lang, Tense::Future, &effect.deltas(), effect.moved())
}

/// Whether a change is about to happen, has happened, or was only wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tense {
    Future,
    Past,
    Wanted,
}

/// *70% of requests move from v1 to v2*; `None` when nothing moves.
pub fn moves(lang: Lang, tense: Tense, deltas: &[(VersionName, i32)], moved: u8) -> Option<Text> {
    let group = match tense {
        Tense::Future => "sum",
        Tense::Past => "past",
        Tense::Wanted => "wanted",
    };
    let two = |from: &VersionName, to: &VersionName| {
        let text = lang.t(&format!("{group}.two")).with("n", moved);
        Some(text.with("a", short(from.as_str())).with("b", short(to.as_str())))
    };
    match deltas {
        [] => None,
        [(a, down), (b, up)] if *down < 0 && *up > 0 && down + up == 0 => two(a, b),
        [(b, up), (a, down)] if *down < 0 && *up > 0 && down + up == 0 => two(a, b),
        many => {
            let sign =
                |delta: i32| if delta > 0 { format!("+{delta}") } else { format!("−{}", delta.abs()) };
            let list: Vec<String> = many
                .iter()
                .map(|(name, delta)| format!("{} {}", short(name.as_str()), sign(*delta)))
                .collect();
            let between = lang.t("sum.list").to_string();
            Some(lang.t(&format!("{group}.many")).with("n", moved).with("list", list.join(&between)))
        }
    }
}

fn mirror_effect(lang: Lang, before: Option<&Mirror>, after: Option<&Mirror>) -> Option<Text> {
    let version = |mirror: &Mirror| mirror.version().map_or_else(|| "?".to_owned(), |v| short(v.as_str()));
    match (before, after) {
        (before, after) if before == after => None,
        (Some(old), None) => Some(lang.t("sum.mirror.off").with("v", version(old))),
        (_, Some(new)) => {
            Some(lang.t("sum.mirror.on").with("v", version(new)).with("n", percent(new.percent)))
        }
        (None, None) => None,
    }
}

/// A percentage without needless decimals, in steps of a millionth: `10`, `0.5`, `0.0001`.
pub fn percent(value: f64) -> String {
    let rounded = (value * 10_000.0).round() / 10_000.0;
    format!("{rounded}")
}
