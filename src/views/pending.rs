//! The panel beside the weights: what a change would do, its checks, its diff, the same as an API call,
//! the reason, and Apply. Also the panel for a change that came too late.
//!
//! `web` renders [`PendingFragment`] as the answer to a preview; the page holds the same parts.

use askama::Template;
use askama::filters::HtmlSafe;

use crate::domain::audit::Ending;
use crate::domain::overview::{DiffLine, Preview, Sign, Stale};
use crate::domain::refusal::{Check, Code, Refusal, Severity};
use crate::domain::routing::Weights;

use super::bars::{Bar, Slots};
use super::chrome::{Notice, Tone};
use super::figures::rate;
use super::lang::{Lang, Rich, Text};
use super::text;
use super::time::Clockface;

/// The part that a new preview replaces: summary, checks, diffs, the API call.
#[derive(Clone, Debug, PartialEq, Eq, Template)]
#[template(path = "parts/preview.html")]
pub struct PreviewPanel {
    pub lang: Lang,
    /// The sentences of the change, most important first; empty = nothing is pending yet.
    pub say: Vec<Rich>,
    /// *About 29 of 42 requests per second, in one step.*
    pub size: Option<String>,
    /// What stands in the way although it is no check (sum, unknown version …).
    pub problem: Option<Notice>,
    pub checks: Vec<CheckItem>,
    pub edits: Vec<EditItem>,
    pub call: Option<Call>,
    pub preview_id: String,
    pub request_id: String,
    pub base_revision: u64,
    /// The address that opens the page with this change pending.
    pub link: Option<String>,
}

impl HtmlSafe for PreviewPanel {}

/// One check.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CheckItem {
    pub code: &'static str,
    pub tone: Tone,
    pub icon: &'static str,
    /// The code in words, for those that need a decision.
    pub name: Option<String>,
    pub text: Rich,
    pub next: Option<Rich>,
    /// The box that accepts it, and whether it is ticked.
    pub ack: Option<(String, bool)>,
}

/// One object that would be written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EditItem {
    pub object: String,
    /// Number of lines that differ, in words.
    pub size: String,
    pub lines: Vec<DiffLine>,
}

/// The same change through the API.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    pub method: String,
    pub path: String,
    pub if_match: u64,
    pub body: String,
}

/// The button, with the result on it.
#[derive(Clone, Debug, PartialEq, Eq, Template)]
#[template(path = "parts/apply.html")]
pub struct ApplyBox {
    pub lang: Lang,
    pub path: String,
    pub label: String,
    pub possible: bool,
    /// It becomes possible by what the person does here (a number, a tick), so that without JavaScript, where
    /// nothing follows the fields, it can be pressed and the server judges.
    pub later: bool,
    /// Why it is not possible.
    pub why: Option<String>,
    pub oob: bool,
}

impl HtmlSafe for ApplyBox {}

/// The third bar: what the split would be.
#[derive(Clone, Debug, PartialEq, Eq, Template)]
#[template(path = "parts/next.html")]
pub struct NextLine {
    pub lang: Lang,
    pub bar: Option<Bar>,
    /// Keeps the place of a line with all shares in words.
    pub several: bool,
    pub oob: bool,
}

impl HtmlSafe for NextLine {}

/// The bar at the bottom of a phone.
#[derive(Clone, Debug, PartialEq, Eq, Template)]
#[template(path = "parts/dock.html")]
pub struct Dock {
    pub lang: Lang,
    pub say: String,
    pub open: usize,
    pub oob: bool,
}

impl HtmlSafe for Dock {}

/// Another change came first: You saw, Now, Yours.
#[derive(Clone, Debug, PartialEq, Eq, Template)]
#[template(path = "parts/conflict.html")]
pub struct Conflict {
    pub lang: Lang,
    pub path: String,
    pub who: Rich,
    pub saw: (u64, Option<Bar>),
    pub now: (u64, Option<Bar>),
    pub yours: Option<Bar>,
    pub oob: bool,
}

impl HtmlSafe for Conflict {}

/// Everything that answers a preview: the panel, and the parts elsewhere that follow it.
#[derive(Clone, Debug, PartialEq, Eq, Template)]
#[template(path = "fragments/pending.html")]
pub struct PendingFragment {
    pub pending: Pending,
}

/// The pending change on the page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pending {
    pub preview: PreviewPanel,
    pub apply: ApplyBox,
    pub next: NextLine,
    pub dock: Dock,
    pub conflict: Option<Conflict>,
}

/// What the panel is about.
pub enum Case<'a> {
    /// Nothing was changed yet.
    Untouched,
    /// The server's preview, with the codes that the person ticked.
    Checked { preview: &'a Preview, acknowledged: &'a [String] },
    /// The change cannot even be previewed; `yours` is the split if one could be read.
    Refused { refusal: &'a Refusal, yours: Option<&'a Weights> },
    /// It was begun and did not end well; `request` names the request in log and history.
    Broke { refusal: &'a Refusal, yours: Option<&'a Weights>, ending: Ending, request: &'a str },
    /// It stood on an older revision.
    Stale { refusal: &'a Refusal, stale: &'a Stale },
}

/// Where and for whom the panel is made.
pub struct Place<'a> {
    pub clock: Clockface,
    /// `/services/ns/name`.
    pub path: &'a str,
    pub service: &'a str,
    pub slots: &'a Slots,
    /// The revision that the form stands on.
    pub base_revision: u64,
    /// A fresh key for the next attempt.
    pub request_id: String,
    /// The address that opens the page with what was typed.
    pub link: Option<String>,
}

impl Pending {
    /// The panel and its satellites for a case.
    pub fn of(place: &Place<'_>, case: Case<'_>) -> Self {
        let lang = place.clock.lang;
        let mut panel = PreviewPanel {
            lang,
            say: Vec::new(),
            size: None,
            problem: None,
            checks: Vec::new(),
            edits: Vec::new(),
            call: None,
            preview_id: String::new(),
            request_id: place.request_id.clone(),
            base_revision: place.base_revision,
            link: None,
        };
        let mut apply = ApplyBox {
            lang,
            path: place.path.to_owned(),
            label: lang.t("pending.apply").into(),
            possible: false,
            later: true,
            why: None,
            oob: false,
        };
        let mut next = NextLine { lang, bar: None, several: place.slots.are_several(), oob: false };
        let after = lang.t("traffic.next").to_string();
        let mut conflict = None;
        let mut open = 0;
        let mut summary = None;
        match case {
            Case::Untouched => {}
            Case::Checked { preview, acknowledged } => {
                let effect = &preview.planned.effect;
                let nothing = effect.is_nothing();
                let said = text::effect(lang, effect);
                summary = said.first().map(ToString::to_string);
                panel.say = said.into_iter().map(super::lang::Text::rich).collect();
                panel.size = size(lang, preview);
                panel.checks = CheckItem::all(lang, &preview.checks, acknowledged);
                panel.edits = preview.diffs.iter().map(|(at, lines)| EditItem::of(lang, at, lines)).collect();
                panel.call = (!nothing).then(|| Call::of(preview));
                panel.link = place.link.clone().filter(|_| !nothing);
                panel.preview_id.clone_from(&preview.preview_id);
                panel.base_revision = preview.base;
                let hidden =
                    |refusal: &&Refusal| !preview.checks.iter().any(|check| check.code == refusal.code);
                panel.problem = preview.refusal.as_ref().filter(hidden).map(|no| text::refused(lang, no));
                open = panel
                    .checks
                    .iter()
                    .filter(|check| check.tone != Tone::Ok && check.tone != Tone::Info)
                    .count();
                if !nothing {
                    apply.possible = preview.refusal.is_none();
                    apply.later = preview.refusal.as_ref().is_none_or(asks_for_a_tick);
                    apply.label = apply_label(lang, preview);
                    apply.why = preview.refusal.as_ref().map(|no| why_not(lang, no));
                    next.bar = Some(Bar::whole(&after, &effect.after, place.slots));
                }
            }
            Case::Refused { refusal, yours } => {
                panel.problem = Some(text::refused(lang, refusal));
                panel.checks = CheckItem::all(lang, &refusal.checks, &[]);
                next.bar = yours.map(|weights| Bar::whole(&after, weights, place.slots));
                open = 1;
            }
            Case::Broke { refusal, yours, ending, request } => {
                panel.problem = Some(broke(lang, refusal, ending, request));
                panel.checks = CheckItem::all(lang, &refusal.checks, &[]);
                next.bar = yours.map(|weights| Bar::whole(&after, weights, place.slots));
                // Nothing of it is in the cluster, so it can be pressed again as it is.
                apply.possible = ending == Ending::Failed;
                open = 1;
            }
            Case::Stale { refusal, stale } => {
                // The panel above the form is the alert; here it only says why nothing can be applied.
                panel.problem = Some(Notice { alert: false, ..text::refused(lang, refusal) });
                next.bar = stale.yours.as_ref().map(|weights| Bar::whole(&after, weights, place.slots));
                conflict = Some(Conflict::of(place, stale));
                open = 1;
            }
        }
        let blocked = panel.problem.is_some() || conflict.is_some();
        let say = summary.or_else(|| blocked.then(|| lang.t("pending.blocked").into())).unwrap_or_default();
        let dock = Dock { lang, say, open, oob: false };
        Self { preview: panel, apply, next, dock, conflict }
    }

    /// The answer to a preview, where the parts outside the panel are swapped by their ids.
    pub fn into_fragment(mut self) -> PendingFragment {
        self.apply.oob = true;
        self.next.oob = true;
        self.dock.oob = true;
        if let Some(conflict) = &mut self.conflict {
            conflict.oob = true;
        }
        PendingFragment { pending: self }
    }
}

/// What became of it comes first where that is known, then why, then the request to ask about.
/// The message for a change that was not made, or of which not all is known.
pub(super) fn broke(lang: Lang, refusal: &Refusal, ending: Ending, request: &str) -> Notice {
    let said = text::refusal(lang, refusal);
    let request = Text::quoted(format!("({} {request})", lang.t("error.request")));
    let notice = text::refused(lang, refusal);
    if matches!(ending, Ending::Failed | Ending::Refused) {
        let more = said.whole().and(request).rich();
        return Notice { text: lang.t("pending.failed").rich(), more: Some(more), ..notice };
    }
    let more = match said.next {
        Some(next) => next.and(request),
        None => request,
    };
    Notice { more: Some(more.rich()), ..notice }
}

fn asks_for_a_tick(refusal: &Refusal) -> bool {
    refusal.checks.iter().any(|c| c.code == refusal.code && c.severity == Severity::Acknowledge)
}

fn why_not(lang: Lang, refusal: &Refusal) -> String {
    match refusal.code {
        Code::NoReadyPods | Code::NoTargetPort => lang.t("pending.by_itself").into(),
        _ if asks_for_a_tick(refusal) => lang.t("pending.tick").into(),
        code => text::name(lang, code).into(),
    }
}

fn size(lang: Lang, preview: &Preview) -> Option<String> {
    let (moved, all) = (preview.planned.effect.moved(), preview.rate?);
    if moved == 0 || all <= 0.0 || preview.planned.effect.before.is_empty() {
        return None;
    }
    let part = rate(all * f64::from(moved) / 100.0);
    Some(lang.t("sum.size").with("r", part).with("t", rate(all)).into())
}

fn apply_label(lang: Lang, preview: &Preview) -> String {
    let result = super::rule_words::result(lang, &preview.planned.effect);
    lang.t("pending.apply_split").with("split", result).into()
}

impl CheckItem {
    /// Checks in their order. A code has one box, after the last of its sentences: it accepts all of them.
    pub fn all<'c>(
        lang: Lang,
        checks: impl IntoIterator<Item = &'c Check>,
        acknowledged: &[String],
    ) -> Vec<Self> {
        let mut items: Vec<Self> =
            checks.into_iter().map(|check| Self::of(lang, check, acknowledged)).collect();
        let mut boxes: Vec<&str> = Vec::new();
        for item in items.iter_mut().rev().filter(|item| item.ack.is_some()) {
            if boxes.contains(&item.code) {
                item.ack = None;
            } else {
                boxes.push(item.code);
            }
        }
        items
    }

    /// One check with its box, ticked when its code is among `acknowledged`.
    pub fn of(lang: Lang, check: &Check, acknowledged: &[String]) -> Self {
        let (tone, icon) = match check.severity {
            Severity::Ok => (Tone::Ok, "ok"),
            Severity::Info => (Tone::Info, "info"),
            Severity::Acknowledge => (Tone::Warn, "warn"),
            Severity::Block => (Tone::Bad, "bad"),
        };
        let said = text::check(lang, check);
        let decide = matches!(check.severity, Severity::Acknowledge | Severity::Block);
        let accept = || {
            let key = format!("code.{}.ack", check.code.text_key());
            let ticked = acknowledged.iter().any(|code| code == check.code.as_str());
            (lang.t(if lang.knows(&key) { &key } else { "pending.accept" }).to_string(), ticked)
        };
        Self {
            code: check.code.as_str(),
            tone,
            icon,
            name: decide.then(|| text::name(lang, check.code).to_string()),
            text: said.text.rich(),
            next: said.next.map(Text::rich).filter(|_| {
                check.severity == Severity::Block
                    || matches!(check.code, Code::GitOps | Code::OtherWriter | Code::PortByPods)
            }),
            ack: (check.severity == Severity::Acknowledge).then(accept),
        }
    }
}

impl EditItem {
    pub fn of(lang: Lang, object: &crate::domain::ids::ObjectRef, lines: &[DiffLine]) -> Self {
        let changed = lines.iter().filter(|line| line.sign != Sign::Same).count();
        Self {
            object: super::text::named(lang, &object.to_string()).into_owned(),
            size: lang.count("pending.lines", changed).into(),
            lines: lines.to_vec(),
        }
    }
}

impl Call {
    fn of(preview: &Preview) -> Self {
        let (method, path, body) = &preview.call;
        let body = serde_json::to_string_pretty(body).unwrap_or_default();
        Self { method: (*method).to_owned(), path: path.clone(), if_match: preview.base, body }
    }
}

impl Conflict {
    /// The three splits of a change that came too late.
    pub fn of(place: &Place<'_>, stale: &Stale) -> Self {
        let lang = place.clock.lang;
        let bar = |key: &str, weights: &Weights| Bar::whole(&lang.t(key).to_string(), weights, place.slots);
        let by =
            stale.by.as_ref().map_or_else(|| lang.t("conflict.somebody").to_string(), |last| last.by.clone());
        Self {
            lang,
            path: place.path.to_owned(),
            who: lang.t("conflict.title").with("who", by).with("service", place.service).rich(),
            saw: (stale.saw.0, stale.saw.1.as_ref().map(|weights| bar("conflict.saw", weights))),
            now: (stale.now.0, stale.now.1.as_ref().map(|weights| bar("conflict.now", weights))),
            yours: stale.yours.as_ref().map(|weights| bar("conflict.yours", weights)),
            oob: false,
        }
    }
}
