//! The commands that a release accepts now. Every button keeps its place; one that is not possible says why.
//! Which are possible is `State::may`, the one table behind pages and API.

use askama::Template;
use askama::filters::HtmlSafe;

use super::{Given, said};
use crate::domain::refusal::{Code, Refusal};
use crate::domain::release::state::Side;
use crate::domain::release::{PauseReason, Phase, Release, Step, Strategy, Word};
use crate::views::bars::short;
use crate::views::lang::Lang;
use crate::views::text;

/// The buttons in the head of the page. Swapped as a whole when the state changes.
#[derive(Clone, Debug, PartialEq, Eq, Template)]
#[template(path = "release/actions.html")]
pub struct Actions {
    pub lang: Lang,
    pub first: Button,
    pub second: Button,
    pub abort: Button,
    pub more: Vec<Button>,
    /// The address of the same commands in the API, to be copied.
    pub call: String,
}

impl HtmlSafe for Actions {}

/// The three that a phone always shows.
#[derive(Clone, Debug, PartialEq, Eq, Template)]
#[template(path = "release/dock.html")]
pub struct Dock {
    pub buttons: Vec<Button>,
}

impl HtmlSafe for Dock {}

/// One command.
#[derive(Clone, Debug, PartialEq, Eq, Template)]
#[template(path = "release/button.html")]
pub struct Button {
    /// Unique on the page.
    pub id: String,
    pub label: String,
    pub short: String,
    pub icon: &'static str,
    pub class: &'static str,
    pub how: How,
}

impl HtmlSafe for Button {}

/// What a press does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum How {
    /// Acts at once: safe, or nothing more to say.
    Send(String),
    /// Opens the question (a dialog, or its page).
    Ask(String),
    /// Leads to a page.
    Go(String),
    /// Not now, and why.
    No(String),
}

/// The share that the very next step gives, where it gives one: a step of another kind that comes first is not
/// passed over.
pub fn next_share(release: &Release) -> Option<u8> {
    match release.next_step()? {
        Step::Weight { percent } => Some(*percent),
        _ => None,
    }
}

impl Actions {
    pub fn of(lang: Lang, given: Given<'_>) -> Self {
        let release = given.release;
        let (phase, reason) = (release.state.phase, release.state.pause_reason());
        let make = |word: Word, key: &str, icon, class, how: How| {
            Button::of(lang, given, word, key, icon, class, how)
        };
        let ask = |word| How::Ask(said::word_path(release, word));
        let send = |word| How::Send(said::word_path(release, word));
        let gate = reason == Some(PauseReason::Gate);
        // Where the analysis failed the way back is what is meant first.
        let failed = phase == Phase::Paused && reason == Some(PauseReason::Failed);
        let overrules = release.state.overrules_analysis(Word::Promote);
        // What has to be accepted first is not proposed.
        let stuck = release.state.changed.is_some();
        let forward = if overrules || stuck { "" } else { "pri" };
        let (first, second) = match phase {
            Phase::Validated => (make(Word::Start, "start", "run", "pri", ask(Word::Start)), Word::Pause),
            Phase::PendingApproval => {
                (make(Word::Promote, "approve_start", "ok", "pri", ask(Word::Promote)), Word::Pause)
            }
            Phase::Scheduled => {
                (make(Word::Promote, "start_now", "run", "pri", ask(Word::Promote)), Word::Pause)
            }
            Phase::Paused if gate => {
                (make(Word::Promote, "approve", "ok", forward, ask(Word::Promote)), Word::Pause)
            }
            Phase::Paused if release.state.unapproved => {
                (make(Word::Promote, "approve_steps", "ok", "pri", ask(Word::Promote)), Word::Pause)
            }
            Phase::Paused => {
                let class = if failed || stuck { "" } else { "pri" };
                // It only looks again: without a pass it does not go on. Going on all the same is a promotion.
                let key = if failed { "resume_look" } else { "resume" };
                let asks = !release.state.asked(Word::Resume).is_empty();
                let how = if asks { ask(Word::Resume) } else { send(Word::Resume) };
                (make(Word::Resume, key, "run", class, how), Word::Promote)
            }
            Phase::Aborting | Phase::RolledBack | Phase::NeedsAttention => {
                (make(Word::Retry, "retry", "run", "pri", ask(Word::Retry)), Word::Pause)
            }
            // What is retired is nowhere to switch back to; other revisions are.
            Phase::Succeeded if release.state.removed.contains(&Side::Stable) => {
                (make(Word::Rollback, "rollback", "back", "", ask(Word::Rollback)), Word::Pause)
            }
            Phase::Succeeded => {
                (make(Word::SwitchBack, "switch_back", "back", "pri", ask(Word::SwitchBack)), Word::Pause)
            }
            _ => (make(Word::Promote, "promote", "", forward, ask(Word::Promote)), Word::Pause),
        };
        let second = match second {
            Word::Promote => make(Word::Promote, "promote", "", "", ask(Word::Promote)),
            _ => make(Word::Pause, "pause", "pause", "", send(Word::Pause)),
        };
        let abort_key = if phase.is_before() { "cancel" } else { "abort" };
        let abort = make(
            Word::Abort,
            abort_key,
            "back",
            if failed || overrules || stuck { "bad solid" } else { "bad" },
            ask(Word::Abort),
        );
        let mut more = vec![
            make(Word::PromoteAll, "promote_all", "next", "ghost", ask(Word::PromoteAll)),
            make(Word::Rollback, "rollback", "back", "ghost", ask(Word::Rollback)),
            make(
                Word::ChangeSteps,
                "change_steps",
                "edit",
                "ghost",
                How::Go(said::word_path(release, Word::ChangeSteps)),
            ),
            make(Word::Retry, "retry", "run", "ghost", ask(Word::Retry)),
            make(Word::DeleteVersion, "delete_version", "x", "ghost bad", ask(Word::DeleteVersion)),
        ];
        // Without a mesh a revision has nothing to say.
        let revisions = release.spec.strategy != Strategy::Replicas;
        let rollback = format!("rel-{}", said::segment(Word::Rollback));
        more.retain(|button| button.id != first.id && (revisions || button.id != rollback));
        for button in &mut more {
            button.id.push_str("-more");
        }
        let call = format!("/api/v1/releases/{}/commands", release.id);
        Self { lang, first, second, abort, more, call }
    }
}

impl Dock {
    pub fn of(actions: &Actions) -> Self {
        let small = |button: &Button| Button {
            id: format!("{}-dock", button.id),
            label: button.short.clone(),
            ..button.clone()
        };
        Self { buttons: [&actions.second, &actions.abort, &actions.first].map(small).into() }
    }
}

impl Button {
    fn of(
        lang: Lang,
        given: Given<'_>,
        word: Word,
        key: &str,
        icon: &'static str,
        class: &'static str,
        how: How,
    ) -> Self {
        let release = given.release;
        let (stable, candidate) = (short(release.spec.stable.as_str()), short(release.candidate().as_str()));
        let next = next_share(release).filter(|_| matches!(key, "promote" | "approve"));
        let of = |group: &str| {
            let key = match next {
                Some(_) => format!("release.{group}.{key}_to"),
                None => format!("release.{group}.{key}"),
            };
            let text = lang.t(&key).with("stable", &stable).with("v", &candidate);
            next.map_or_else(|| text.clone(), |n| text.clone().with("n", n)).to_string()
        };
        let how = match why_not(lang, given, word) {
            Some(why) => How::No(why),
            None => how,
        };
        Self {
            id: format!("rel-{}", said::segment(word)),
            label: of("button"),
            short: of("short"),
            icon,
            class,
            how,
        }
    }
}

/// Why a command is not possible now; `None` = it is.
pub fn why_not(lang: Lang, given: Given<'_>, word: Word) -> Option<String> {
    if let Some(why) = &given.rights.change {
        return Some(text::refusal(lang, why).text.to_string());
    }
    let state = &given.release.state;
    if let Some((_, why)) = given.denied.iter().find(|(denied, _)| *denied == word && state.may(word)) {
        return Some(text::refusal(lang, why).text.into());
    }
    if let Some(why) = state.missing(word) {
        return Some(text::refusal(lang, why).text.into());
    }
    (!state.may(word)).then(|| {
        let refusal = Refusal::new(Code::ReleaseIllegal)
            .arg("command", said::word(lang, word))
            .arg("phase", said::state_word(lang, state));
        text::refusal(lang, &refusal).text.to_string()
    })
}
