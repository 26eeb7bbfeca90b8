//! Take over, switch back and retire: each a dialog on the service page and, at the same address, a page of its own
//! (no JavaScript, deep links, refusals). Both render the same struct.

use askama::Template;
use askama::filters::HtmlSafe;

use crate::domain::audit::Ending;
use crate::domain::ids::{Kind as ObjectKind, Revision, VersionName};
use crate::domain::overview::{Detail, Preview, Stale};
use crate::domain::plan::Edit;
use crate::domain::refusal::{Refusal, Severity};
use crate::domain::removal;

use super::bars::{Bar, Slots};
use super::chrome::{Chrome, Notice, Tone};
use super::lang::{Lang, Rich, Text};
use super::pending::{CheckItem, Conflict, Place, broke};
use super::query::{Address, service_path};
use super::removal::Confirm;
use super::text;

/// A question with its effect, what must be accepted, a reason, and two buttons.
#[derive(Clone, Debug, PartialEq, Eq, Template)]
#[template(path = "parts/act.html")]
pub struct Act {
    pub lang: Lang,
    pub kind: Kind,
    pub csrf: String,
    /// The service's page: where *Cancel* leads.
    pub path: String,
    /// Where the form goes: also the page's own address.
    pub action: String,
    /// `version` or `revision`, and its value.
    pub target: (&'static str, String),
    pub base_revision: Revision,
    pub preview_id: String,
    pub request_id: String,
    pub title: String,
    pub effect: Vec<Rich>,
    pub bar: Option<Bar>,
    /// Blocks and acknowledgements, then what is good to know.
    pub checks: Vec<CheckItem>,
    /// Workloads and other things that go.
    pub deletes: Vec<String>,
    /// What must be typed before something is deleted.
    pub confirm: Option<Confirm>,
    pub problem: Option<Notice>,
    pub reason: String,
    pub reason_error: Option<String>,
    pub cancel: String,
    pub button: String,
    /// False when a check blocks it.
    pub possible: bool,
}

impl HtmlSafe for Act {}

/// Forward is careful, back is fast: they differ in focus and in whether a reason is required.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    TakeOver,
    SwitchBack,
    /// Deletes: what it takes away cannot be switched back to.
    Retire,
}

impl Kind {
    /// True where a reason is required, and *Cancel* has the focus.
    fn is_careful(self) -> bool {
        self != Self::SwitchBack
    }

    fn class(self) -> &'static str {
        if self == Self::Retire { "bad solid" } else { "pri" }
    }

    /// The last segment of the address.
    fn segment(self) -> &'static str {
        match self {
            Self::TakeOver => "takeover",
            Self::SwitchBack => "switch-back",
            Self::Retire => "retire",
        }
    }
}

/// The same as a page.
#[derive(Debug, Template)]
#[template(path = "act.html")]
pub struct ActPage {
    pub chrome: Chrome,
    pub namespace: String,
    pub service: String,
    pub path: String,
    pub conflict: Option<Conflict>,
    pub act: Act,
}

/// What was asked and what came of it.
#[derive(Default)]
pub struct Asked<'a> {
    /// What the server's preview says; `None` when there is none because of `refusal`.
    pub preview: Option<&'a Preview>,
    pub refusal: Option<&'a Refusal>,
    pub stale: Option<&'a Stale>,
    /// What became of the cluster when it was tried, and under which request; `None` = it was not tried yet.
    pub tried: Option<(Ending, &'a str)>,
    pub reason: String,
    /// What was typed to confirm it.
    pub confirm: String,
    pub acknowledged: &'a [String],
    pub request_id: String,
}

/// Which version takes over, which revision comes back, or which version goes.
pub enum Target<'a> {
    Version(&'a str),
    Revision(Revision),
    Retired(&'a VersionName),
}

impl Act {
    /// The dialog for a target.
    pub fn of(chrome: &Chrome, detail: &Detail, target: &Target<'_>, asked: &Asked<'_>) -> Self {
        let (lang, item) = (chrome.lang(), &detail.overview);
        let at = item.at();
        let path = service_path(at.namespace.as_str(), &at.name);
        let slots = Slots::of(item);
        let service = format!("{} / {}", at.namespace, at.name);
        let planned = asked.preview.map(|preview| &preview.planned.effect);
        let after = lang.t("traffic.next").to_string();
        let bar = planned
            .filter(|effect| !effect.after.is_empty() && !matches!(target, Target::Retired(_)))
            .map(|effect| Bar::whole(&after, &effect.after, &slots));
        let (kind, field, value, title, button, mut effect) = match target {
            Target::Version(version) => {
                let now = super::service::now(item, "");
                let share =
                    now.iter().find(|(name, _)| name.as_str() == *version).map_or(0, |(_, weight)| *weight);
                // A version may have the whole split, and rules still send requests to another.
                let key = if share == 100 { "act.take.effect_rest" } else { "act.take.effect" };
                let text = lang.t(key).with("service", service).with("v", version).with("n", share);
                let title = lang.t("act.take.title").with("v", version);
                let button = lang.t("act.take.button").with("v", version);
                (Kind::TakeOver, "version", (*version).to_owned(), title, button, vec![text.rich()])
            }
            Target::Retired(version) => {
                let of = |part: &str| {
                    lang.t(&format!("act.retire.{part}")).with("name", &at.name).with("v", version)
                };
                let mut effect = vec![of("effect").rich()];
                effect.extend(quiet(lang, detail, version).map(super::lang::Text::rich));
                (Kind::Retire, "version", version.to_string(), of("title"), of("button"), effect)
            }
            Target::Revision(revision) => {
                let text = lang.t("act.back.effect").with("service", service).with("n", revision);
                let title = lang.t("act.back.title").with("n", revision);
                (
                    Kind::SwitchBack,
                    "revision",
                    revision.to_string(),
                    title,
                    planned.filter(|effect| !effect.is_nothing()).map_or_else(
                        || lang.t("act.back.button"),
                        |effect| {
                            let goal = super::rule_words::goal(lang, effect);
                            lang.t("act.back.button_to").with("split", goal)
                        },
                    ),
                    vec![text.rich()],
                )
            }
        };
        if let (Kind::SwitchBack, Some(planned)) = (kind, planned) {
            effect.extend(text::effect(lang, planned).into_iter().map(super::lang::Text::rich));
        } else if let Some(planned) = planned.filter(|planned| planned.rules_followed > 0) {
            effect.push(lang.count("act.take.rules", planned.rules_followed).rich());
        }
        let confirm = match target {
            Target::Retired(version) => Some(Confirm {
                expected: removal::confirmation(&at.name, version),
                typed: asked.confirm.clone(),
                error: asked
                    .refusal
                    .filter(|no| no.field.as_deref() == Some("confirm"))
                    .map(|no| text::refusal(lang, no).text.to_string()),
            }),
            _ => None,
        };
        let deletes = match target {
            Target::Retired(version) => {
                let plan = asked.preview.map(|preview| &preview.planned.plan);
                let rule = |edit: &Edit| edit.object.kind == ObjectKind::DestinationRule;
                super::removal::deletes(lang, item, version, plan.is_some_and(|plan| plan.edits().any(rule)))
            }
            _ => Vec::new(),
        };
        let cancel = match target {
            Target::Retired(version) => lang.t("act.retire.cancel").with("v", version),
            _ => lang.t("act.cancel"),
        };
        let reason_error = asked
            .refusal
            .filter(|no| no.field.as_deref() == Some("reason"))
            .map(|no| text::refusal(lang, no).text.to_string());
        let all = asked.preview.map(|preview| preview.checks.as_slice());
        let all = all.or(asked.refusal.map(|no| no.checks.as_slice())).unwrap_or_default();
        let listed = |refusal: &&Refusal| !all.iter().any(|check| check.code == refusal.code);
        let problem = asked.refusal.filter(listed).filter(|_| {
            reason_error.is_none() && confirm.as_ref().is_none_or(|confirm| confirm.error.is_none())
        });
        let problem = problem.map(|no| match asked.tried {
            // Everything was read again: the effect above the buttons is that on what is there now.
            Some((_, request)) if asked.stale.is_some() => {
                Notice { tone: Tone::Warn, icon: "warn", ..broke(lang, no, Ending::Refused, request) }
            }
            Some((ending, request)) => broke(lang, no, ending, request),
            None => text::refused(lang, no),
        });
        Self {
            lang,
            kind,
            csrf: chrome.csrf.clone(),
            action: Address::new(format!("{path}/traffic/{}", kind.segment()))
                .with(field, &value)
                .to_string(),
            path,
            target: (field, value),
            base_revision: asked.preview.map_or(item.revision, |preview| preview.base),
            preview_id: asked.preview.map(|preview| preview.preview_id.clone()).unwrap_or_default(),
            request_id: asked.request_id.clone(),
            title: title.into(),
            effect,
            bar,
            possible: !all.iter().any(|check| check.severity == Severity::Block)
                && (asked.preview.is_some() || asked.refusal.is_none()),
            checks: CheckItem::all(lang, all, asked.acknowledged),
            deletes,
            confirm,
            problem,
            reason: asked.reason.clone(),
            reason_error,
            cancel: cancel.into(),
            button: button.into(),
        }
    }
}

/// For how long a version has had no requests, or that there are no figures.
fn quiet(lang: Lang, detail: &Detail, version: &VersionName) -> Option<Text> {
    let found = detail.retire.iter().find(|one| one.version == *version)?;
    // What reaches it stands among the checks.
    let quiet = found.state.as_ref().ok().filter(|_| found.open.is_empty())?;
    Some(super::versions::quiet(lang, version.as_str(), *quiet))
}

impl ActPage {
    /// The page for a target.
    pub fn of(chrome: Chrome, detail: &Detail, target: &Target<'_>, asked: &Asked<'_>) -> Self {
        let mut act = Act::of(&chrome, detail, target, asked);
        let at = detail.overview.at();
        let slots = Slots::of(&detail.overview);
        let place = Place {
            clock: chrome.clock,
            path: &act.path,
            service: &at.name,
            slots: &slots,
            base_revision: act.base_revision,
            request_id: String::new(),
            link: None,
        };
        let conflict = asked.stale.map(|stale| Conflict::of(&place, stale));
        if conflict.is_some() {
            // The panel above says it, with all three splits.
            act.problem = None;
        }
        Self {
            namespace: at.namespace.to_string(),
            service: at.name.to_string(),
            path: act.path.clone(),
            conflict,
            act,
            chrome,
        }
    }
}
