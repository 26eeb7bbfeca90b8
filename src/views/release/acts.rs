//! The questions before a command that moves traffic or deletes something: a dialog on the page and, at the
//! same address, a page of its own. Going back needs no reason; deleting needs the name typed.

use askama::Template;
use askama::filters::HtmlSafe;

use super::after::deletes;
use super::buttons::{next_share, why_not};
use super::{Given, coming, said, slots};
use crate::domain::command::MirrorWish;
use crate::domain::ids::{Revision, VersionName};
use crate::domain::refusal::{Check, Code, Refusal, Severity};
use crate::domain::release::{PauseReason, Phase, Release, Step, Strategy, Verdict, Word};
use crate::domain::removal;
use crate::domain::routing::Weights;
use crate::views::bars::{Bar, in_words, short};
use crate::views::chrome::{Chrome, Notice, Tone};
use crate::views::lang::{Lang, Rich};
use crate::views::pending::CheckItem;
use crate::views::removal::Confirm;
use crate::views::text;

/// A question.
#[derive(Clone, Debug, PartialEq, Eq, Template)]
#[template(path = "release/ask.html")]
pub struct Ask {
    pub lang: Lang,
    pub csrf: String,
    /// Where *Cancel* leads.
    pub path: String,
    pub action: String,
    pub request_id: String,
    /// The `seq` that the question stands on.
    pub seq: u64,
    pub title: String,
    pub effect: Vec<Rich>,
    pub bar: Option<Bar>,
    pub deletes: Vec<String>,
    pub notes: Vec<Notice>,
    pub problem: Option<Notice>,
    /// Revisions to go back to, newest first, and the chosen one.
    pub revisions: Option<(Vec<(Revision, String)>, String)>,
    /// Those of them that need a version that is gone.
    pub gone: Vec<Revision>,
    pub revision_error: Option<String>,
    pub confirm: Option<Confirm>,
    /// What has to be accepted, each with its box.
    pub accepts: Vec<CheckItem>,
    pub reason: Reason,
    pub cancel: String,
    pub button: String,
    pub class: &'static str,
    /// Back is fast: the action has the focus. Forward is careful: *Cancel* has it.
    pub goes_back: bool,
    pub possible: bool,
}

impl HtmlSafe for Ask {}

/// Why, in the person's words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reason {
    pub required: bool,
    pub typed: String,
    pub error: Option<String>,
}

/// The same as a page.
#[derive(Debug, Template)]
#[template(path = "release/ask_page.html")]
pub struct AskPage {
    pub chrome: Chrome,
    pub id: String,
    pub path: String,
    pub ask: Ask,
}

/// What was typed, and what came of it.
#[derive(Clone, Copy, Debug, Default)]
pub struct Typed<'a> {
    pub reason: &'a str,
    pub confirm: &'a str,
    pub revision: &'a str,
    pub refusal: Option<&'a Refusal>,
    pub request_id: &'a str,
    /// Revisions that the service had, newest first, with what each was.
    pub revisions: &'a [(Revision, String)],
    /// Those of them that need a version that is gone.
    pub gone: &'a [Revision],
    /// What a switch back would give.
    pub back: Option<&'a Back>,
    /// The mirror that an abort gives back.
    pub mirror_back: Option<&'a MirrorWish>,
    /// Checks on what the command leads to, as a change by hand has them.
    pub checks: &'a [Check],
    /// Codes that are accepted.
    pub ack: &'a [String],
}

/// What a switch back of a release that is done gives its service.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Back {
    /// What the routing says now and would say then; empty without a mesh.
    pub now: Weights,
    pub then: Weights,
    pub rules: bool,
    pub mirror: bool,
    /// Workload, pods now, pods then.
    pub pods: Vec<(String, u32, u32)>,
    /// A StatefulSet and the image that its pods run again.
    pub image: Option<(String, String)>,
}

impl Ask {
    /// The question of a command.
    pub fn of(chrome: &Chrome, given: Given<'_>, word: Word, typed: Typed<'_>) -> Self {
        let (lang, release) = (chrome.lang(), given.release);
        let (spec, state) = (&release.spec, &release.state);
        let (stable, candidate) = (short(spec.stable.as_str()), short(spec.candidate.version().as_str()));
        let key = key(given, word);
        let next = next_share(release);
        let of = |part: &str| {
            lang.t(&format!("release.ask.{key}.{part}"))
                .with("service", format!("{} / {}", release.at().namespace, release.at().name))
                .with("name", &release.at().name)
                .with("v", &candidate)
                .with("stable", &stable)
                .with("n", next.unwrap_or(100))
                .with("more", next.unwrap_or(100).saturating_sub(release.share()))
                .with("now", release.share())
                .with("last", last_step(lang, given))
                .with("pods", spec.policies.stable_after.unwrap_or_default())
        };
        let ruled = typed.checks.iter().any(|check| check.code == Code::RulesKeep);
        let share = match word {
            Word::Promote => coming::share(given, key),
            Word::PromoteAll => Some(100),
            Word::Abort if !state.phase.is_before() => Some(0),
            _ => None,
        };
        let back = typed.back.filter(|_| word == Word::SwitchBack);
        let bar = share
            .map(|share| {
                let candidate = spec.candidate.version().clone();
                vec![(spec.stable.clone(), 100 - share), (candidate, share)]
            })
            .or_else(|| back.map(|back| back.then.clone()).filter(|then| !then.is_empty()))
            .map(|weights| Bar::whole(&lang.t("traffic.next").to_string(), &weights, &slots(given)));
        let removed = match word {
            Word::Retire => Some(&spec.stable),
            Word::DeleteVersion => Some(spec.candidate.version()),
            _ => None,
        };
        let field = |name: &str| {
            let no = typed.refusal.filter(|no| no.field.as_deref() == Some(name));
            no.map(|no| text::refusal(lang, no).text.to_string())
        };
        let problem = typed
            .refusal
            .filter(|no| !matches!(no.field.as_deref(), Some("reason" | "confirm" | "revision")));
        let why_not = why_not(lang, given, word);
        let impossible = why_not.map(|why| {
            Notice::new(Tone::Bad, crate::views::lang::Text::verbatim("%{why}").with("why", why).rich())
        });
        let accepts: Vec<CheckItem> = CheckItem::all(lang, &open(given, word), typed.ack);
        let danger = removed.is_some() || word == Word::Abort;
        Self {
            lang,
            csrf: chrome.csrf.clone(),
            path: said::path(release),
            action: said::word_path(release, word),
            request_id: typed.request_id.to_owned(),
            seq: release.seq,
            title: of("title").into(),
            effect: if word == Word::SwitchBack {
                back.map(|back| back_effect(lang, given, back)).unwrap_or_default()
            } else {
                coming::effect(lang, given, key, word, typed.mirror_back, ruled, || {
                    of(effect_part(release, key, ruled))
                })
            },
            bar,
            deletes: removed.map(|version| deletes(lang, given, version)).unwrap_or_default(),
            notes: notes(lang, given, word, typed.checks),
            possible: impossible.is_none(),
            problem: problem.map(|no| text::refused(lang, no)).or(impossible),
            revisions: (word == Word::Rollback)
                .then(|| (typed.revisions.to_vec(), typed.revision.to_owned())),
            gone: typed.gone.to_vec(),
            revision_error: field("revision"),
            confirm: removed.map(|version| Confirm {
                expected: removal::confirmation(&release.at().name, version),
                typed: typed.confirm.to_owned(),
                error: field("confirm"),
            }),
            accepts,
            reason: Reason {
                required: word.needs_reason() || !state.asked(word).is_empty(),
                typed: typed.reason.to_owned(),
                error: field("reason"),
            },
            cancel: of("cancel").into(),
            button: of("button").into(),
            class: if danger { "bad solid" } else { "pri" },
            goes_back: matches!(word, Word::Abort | Word::Rollback | Word::SwitchBack),
        }
    }
}

/// What a switch back does, one sentence each, the result first.
fn back_effect(lang: Lang, given: Given<'_>, back: &Back) -> Vec<Rich> {
    let spec = &given.release.spec;
    let stable = short(spec.stable.as_str());
    let of = |part: &str| lang.t(&format!("release.ask.switch_back.{part}")).with("stable", &stable);
    let mut out = Vec::new();
    let some = |weights: &Weights| in_words(weights);
    let all = back.then.iter().any(|(name, weight)| *name == spec.stable && *weight == 100);
    if !back.then.is_empty() {
        let (now, then) = (some(&back.now), some(&back.then));
        out.push(match () {
            () if back.now == back.then => of("same").with("then", then).rich(),
            () if now.is_empty() => of(if all { "all_pods" } else { "split_pods" }).with("then", then).rich(),
            () if all => of("all").with("now", now).rich(),
            () => of("split").with("then", then).with("now", now).rich(),
        });
    }
    if let Some((set, image)) = &back.image {
        out.push(of("image").with("set", set).with("image", image).rich());
    }
    for (workload, now, then) in &back.pods {
        let text = lang.count("release.ask.switch_back.pods", then);
        out.push(text.with("workload", workload).with("now", now).rich());
    }
    if back.rules {
        out.push(of("rules").rich());
    }
    if back.mirror {
        out.push(of("mirror").rich());
    }
    if out.is_empty() {
        out.push(of("nothing").rich());
    }
    out
}

/// Which sentences a command has in this state.
fn key(given: Given<'_>, word: Word) -> &'static str {
    let (phase, reason) = (given.release.state.phase, given.release.state.pause_reason());
    let spec = &given.release.spec;
    match word {
        Word::Start => "start",
        Word::Promote if phase == Phase::PendingApproval => "approve_start",
        Word::Promote if phase == Phase::Scheduled => "start_now",
        Word::Promote if phase == Phase::Paused && given.release.state.unapproved => "approve_steps",
        Word::Promote if reason == Some(PauseReason::Gate) && next_share(given.release).is_some() => {
            "approve_to"
        }
        Word::Promote if reason == Some(PauseReason::Gate) => "approve",
        Word::Promote if next_share(given.release).is_some() => "promote_to",
        Word::PromoteAll if spec.strategy == Strategy::Replicas => "promote_all_pods",
        Word::PromoteAll => "promote_all",
        Word::Abort if phase.is_before() => "cancel",
        Word::Abort if spec.candidate.is_in_place() => "abort_in_place",
        Word::Abort if spec.strategy == Strategy::Replicas => "abort_pods",
        Word::Abort => "abort",
        Word::Rollback => "rollback",
        Word::SwitchBack => "switch_back",
        Word::Retry if phase == Phase::RolledBack => "retry_all",
        Word::Retry if given.release.state.retries_way_back() => "retry_back",
        Word::Retry => "retry",
        Word::Retire => "retire",
        Word::DeleteVersion => "delete_version",
        Word::Resume => "resume",
        Word::Promote | Word::Pause | Word::ChangeSteps => "promote",
    }
}

/// Which sentence says the effect: an abort may delete the new version, the end may scale the old one, and match rules may
/// keep their requests (`ruled`).
fn effect_part(release: &Release, key: &str, ruled: bool) -> &'static str {
    let (made, policies) = (release.spec.candidate.is_made(), &release.spec.policies);
    match key {
        "abort" | "abort_pods" if made && policies.delete_after_abort => "effect_deletes",
        "promote_all" if policies.stable_after.is_some() => {
            if ruled {
                "effect_ruled_scales"
            } else {
                "effect_scales"
            }
        }
        "promote_all" if ruled => "effect_ruled",
        _ => "effect",
    }
}

/// What has to be accepted before this command is taken.
fn open(given: Given<'_>, word: Word) -> Vec<Check> {
    let (spec, state) = (&given.release.spec, &given.release.state);
    let asked = state.asked(word).into_iter();
    let mut out: Vec<Check> =
        asked.map(|no| Check { code: no.code, severity: Severity::Acknowledge, args: no.args }).collect();
    let removed = match word {
        Word::Retire => Some(&spec.stable),
        Word::DeleteVersion => Some(spec.candidate.version()),
        _ => None,
    };
    out.extend(removed.into_iter().flat_map(|version| reached(given, version)).cloned());
    out
}

/// Who still sends requests to a version that can be deleted.
pub fn reached<'a>(given: Given<'a>, version: &VersionName) -> &'a [Check] {
    given.reached.iter().find(|(name, _)| name == version).map_or(&[], |(_, checks)| checks)
}

/// The last step in words.
fn last_step(lang: Lang, given: Given<'_>) -> String {
    let spec = &given.release.spec;
    let last = spec.steps.iter().rfind(|step| matches!(step, Step::Replicas { .. } | Step::Weight { .. }));
    last.map(|step| said::step(lang, spec, step).into()).unwrap_or_default()
}

/// What is good to know before going forward.
fn notes(lang: Lang, given: Given<'_>, word: Word, checks: &[Check]) -> Vec<Notice> {
    let mut out = Vec::new();
    if matches!(word, Word::Promote | Word::PromoteAll) {
        if let Some(look) = given.judgements.first().filter(|look| look.verdict != Verdict::Pass) {
            let word = said::verdict(lang, look.verdict).text;
            let tone = if look.verdict == Verdict::Fail { Tone::Bad } else { Tone::Warn };
            out.push(Notice::new(tone, lang.t("release.ask.latest").with("verdict", word).rich()));
        }
        let candidate = given.release.candidate();
        let version = given
            .overview
            .and_then(|item| item.snapshot.versions.iter().find(|version| version.name == *candidate));
        if let Some(version) = version.filter(|version| version.ready < version.total) {
            let text = lang.t("release.ask.pods").with("v", short(candidate.as_str()));
            let text = text.with("n", version.ready).with("of", version.total);
            out.push(Notice::new(Tone::Warn, text.rich()));
        }
    }
    out.extend(checks.iter().map(|check| {
        let tone = match check.severity {
            Severity::Block => Tone::Bad,
            Severity::Acknowledge => Tone::Warn,
            Severity::Info | Severity::Ok => Tone::Info,
        };
        Notice::new(tone, text::check(lang, check).text.rich())
    }));
    out
}

impl AskPage {
    /// The page of a question.
    pub fn of(chrome: Chrome, given: Given<'_>, word: Word, typed: Typed<'_>) -> Self {
        let ask = Ask::of(&chrome, given, word, typed);
        Self { id: given.release.id.to_string(), path: said::path(given.release), ask, chrome }
    }
}
