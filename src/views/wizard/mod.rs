//! The wizard, `/releases/new` and `/releases/drafts/{id}`: one page of six sections with a saved draft and
//! a live plan. Works as a plain form; with JavaScript every change saves and plans again.

pub mod fields;
pub mod plan;
pub mod read;

mod applied;
mod beside;
mod choices;
mod laid;
mod metric_fields;
mod rows;

use std::collections::{BTreeMap, BTreeSet};

use askama::Template;
use askama::filters::HtmlSafe;

use super::chrome::{Chrome, Notice, Tone};
use super::lang::{Lang, Rich};
use super::pending::CheckItem;
use super::release::said;
use super::text;
use crate::domain::refusal::Refusal;

pub use applied::Applied;
pub use beside::{Beside, other_repository};
pub use choices::{Choice, Choices, Figures, Known};
pub use fields::{Fields, MetricField, Row};
pub use laid::Fit;
pub use plan::{Plan, Planned, Writes};
pub use read::{Wish, section};
pub use rows::press;

/// `/releases/drafts/{id}`.
pub fn path(draft: &str) -> String {
    format!("/releases/drafts/{}", super::query::segment(draft))
}

/// The address of a form in which nothing was typed yet: its choices.
pub fn address(fields: &Fields) -> String {
    let mut out = url::form_urlencoded::Serializer::new(String::new());
    let from = if fields.from == "adopt" { "adopt" } else { "" };
    let before = fields.before();
    let was = before.as_ref().map_or("", |before| before.template.as_str());
    for (name, value) in [
        ("service", fields.service.as_str()),
        ("stable", &fields.stable),
        ("strategy", &fields.strategy),
        ("from", from),
        ("version", &fields.adopt),
        ("template", &fields.template),
        ("was", was),
    ] {
        if !value.is_empty() {
            out.append_pair(name, value);
        }
    }
    format!("/releases/new?{}", out.finish())
}

/// The whole page.
#[derive(Debug, Template)]
#[template(path = "wizard.html")]
pub struct WizardPage {
    pub chrome: Chrome,
    pub marks: Marks,
    /// When the draft was saved.
    pub saved: Option<String>,
    pub fields: Fields,
    pub choices: Choices,
    pub errors: Errors,
    pub plan: Plan,
    pub start: Start,
    pub rail: Rail,
    pub accepts: Accepts,
    pub facts: Facts,
    /// Warnings beside the image and the minimum of requests.
    pub beside: [Beside; 2],
    /// What the last template changed.
    pub applied: Option<Applied>,
    pub request_id: String,
    /// This draft was saved elsewhere.
    pub stale: Option<Notice>,
}

/// The answer to a change of a field: the plan, and the messages at the fields, out of band.
#[derive(Debug, Template)]
#[template(path = "wizard/fragment.html")]
pub struct WizardFragment {
    pub plan: Plan,
    pub slots: Vec<Slot>,
    pub start: Start,
    pub rail: Rail,
    pub accepts: Accepts,
    pub facts: Facts,
    /// Warnings beside the image and the minimum of requests.
    pub beside: [Beside; 2],
    pub marks: Marks,
    pub stale: Option<Notice>,
}

/// Which draft this is, and which save of it the form stands on.
#[derive(Clone, Debug, PartialEq, Eq, Template)]
#[template(
    ext = "html",
    source = r#"<div id="draft-marks" data-url="{{ url }}" hidden{% if oob %} hx-swap-oob="true"{% endif %}><input type="hidden" name="draft" value="{{ draft }}" form="draft"><input type="hidden" name="seq" value="{{ seq }}" form="draft"></div>"#
)]
pub struct Marks {
    pub draft: String,
    pub seq: String,
    /// The draft's page.
    pub url: String,
    pub oob: bool,
}

impl HtmlSafe for Marks {}

/// The place of a refusal beside its field; always there, hidden when there is none.
#[derive(Clone, Debug, PartialEq, Eq, Template)]
#[template(
    ext = "html",
    source = r#"<p class="err" id="err-{{ id }}"{% if oob %} hx-swap-oob="true"{% endif %}{% if text.is_empty() %} hidden{% else if !parts.is_empty() %} data-parts="{{ parts }}"{% endif %}><i class="ic i-bad" aria-hidden="true"></i><span>{{ text }}</span></p>"#
)]
pub struct Slot {
    pub id: String,
    pub text: String,
    /// Which fields of the place it is about; empty = all.
    pub parts: &'static str,
    pub oob: bool,
}

impl HtmlSafe for Slot {}

/// What is known of the chosen service. It never says that traffic can be shifted beside a sentence that says why not.
#[derive(Clone, Debug, PartialEq, Eq, Template)]
#[template(
    ext = "html",
    source = r#"<div id="wiz-facts"{% if oob %} hx-swap-oob="true"{% endif %}>{% if let Some(notice) = notice %}{{ notice }}{% endif %}</div>"#
)]
pub struct Facts {
    pub notice: Option<Notice>,
    pub oob: bool,
}

impl HtmlSafe for Facts {}

impl Facts {
    fn of(lang: Lang, given: &Given<'_>, errors: &Errors, oob: bool) -> Self {
        let refused = errors.has("service");
        Self { notice: given.known.service.map(|item| choices::facts(lang, item, refused)), oob }
    }
}

/// What it comes to, and the button.
#[derive(Clone, Debug, PartialEq, Eq, Template)]
#[template(path = "wizard/start.html")]
pub struct Start {
    pub lang: Lang,
    pub say: Option<Rich>,
    /// *1 thing to fix*, and the section of the first.
    pub fix: Option<(String, u8)>,
    /// The same for what is only missing.
    pub todo: Option<(String, u8)>,
    pub oob: bool,
}

impl HtmlSafe for Start {}

/// Checks on what the release will write that a person has to accept before it starts, each with its box. Always
/// there, so that it can come and go with the service.
#[derive(Clone, Debug, PartialEq, Eq, Template)]
#[template(path = "wizard/accepts.html")]
pub struct Accepts {
    pub lang: Lang,
    pub items: Vec<CheckItem>,
    /// Boxes that were ticked while it is not known which are asked for.
    pub kept: Vec<String>,
    pub oob: bool,
}

impl HtmlSafe for Accepts {}

impl Accepts {
    fn of(lang: Lang, given: &Given<'_>, oob: bool) -> Self {
        let accepted = &given.fields.accept;
        let items = CheckItem::all(lang, &given.planned.accepts, accepted);
        let kept = if given.planned.known { Vec::new() } else { accepted.clone() };
        Self { lang, items, kept, oob }
    }
}

/// The sections with how they stand.
#[derive(Clone, Debug, PartialEq, Eq, Template)]
#[template(path = "wizard/rail.html")]
pub struct Rail {
    pub lang: Lang,
    /// Number, title key, problems, fields that are still missing.
    pub sections: Vec<(u8, String, usize, usize)>,
    pub oob: bool,
}

impl HtmlSafe for Rail {}

/// Refusals by slot. A field that was not filled in or left yet counts as missing, and is not called wrong.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Errors {
    /// The message of each place, and the field that it is about.
    all: BTreeMap<String, (String, &'static str)>,
    unsaid: BTreeSet<String>,
}

impl Errors {
    /// The message of each place: its first refusal.
    pub fn of(lang: Lang, fields: &Fields, wish: &Wish, refusals: &[Refusal]) -> Self {
        let mut all = BTreeMap::new();
        for refusal in refusals {
            let slot = wish.slot(refusal);
            // What is to be accepted is written beside its box.
            let accept = || lang.t("wizard.accept_missing").to_string();
            let text = || text::refusal(lang, refusal).whole().to_string();
            let text = if slot == "accept" { accept() } else { text() };
            all.entry(slot).or_insert_with(|| (text, wish.parts(refusal, &fields.rows)));
        }
        Self { all, unsaid: BTreeSet::new() }
    }

    fn of_given(lang: Lang, given: &Given<'_>) -> Self {
        let mut out = Self::of(lang, &given.fields, given.wish, given.refusals);
        if !given.loud {
            out.unsaid = missing(&given.fields);
        }
        out
    }

    /// The slot, with what is wrong there.
    pub fn slot(&self, id: &str) -> Slot {
        let said = self.all.get(id).filter(|_| !self.unsaid.contains(id)).cloned();
        let (text, parts) = said.unwrap_or_default();
        Slot { id: id.to_owned(), text, parts, oob: false }
    }

    /// True when there is a message.
    pub fn has(&self, id: &str) -> bool {
        self.all.contains_key(id) && !self.unsaid.contains(id)
    }

    /// True when there is a message about this field.
    pub fn about(&self, id: &str, part: &str) -> bool {
        let parts = self.all.get(id).filter(|_| self.has(id)).map(|(_, parts)| *parts);
        parts.is_some_and(|parts| parts.is_empty() || parts.split(',').any(|one| one == part))
    }

    /// How many places are wrong (or only missing), and the first section of them.
    fn count(&self, missing: bool) -> Option<(usize, u8)> {
        let of = || self.all.keys().filter(|slot| self.unsaid.contains(*slot) == missing);
        Some((of().count(), of().map(|slot| section(slot)).min()?))
    }

    fn of_section(&self, n: u8, missing: bool) -> usize {
        let of = |slot: &&String| section(slot) == n && self.unsaid.contains(*slot) == missing;
        self.all.keys().filter(of).count()
    }
}

/// Slots of fields that are empty and that the person has not been at yet.
fn missing(fields: &Fields) -> BTreeSet<String> {
    let left: BTreeSet<&str> = fields.left.split_whitespace().collect();
    let empty = [
        ("service", fields.service.is_empty()),
        ("version", fields.version.is_empty()),
        ("image", fields.image.is_empty()),
        ("adopt", fields.adopt.is_empty()),
        ("reason", fields.reason.is_empty()),
    ];
    let mut out: BTreeSet<String> = empty
        .into_iter()
        .filter(|(slot, empty)| *empty && !left.contains(slot))
        .map(|(slot, _)| slot.to_owned())
        .collect();
    for (at, row) in fields.rows.iter().enumerate() {
        let been = left.iter().any(|id| id.starts_with(&format!("s-{}-", row.key)));
        if row.is_empty() && !been {
            out.insert(format!("row-{at}"));
        }
    }
    if fields.accept.is_empty() && !left.iter().any(|id| id.starts_with("accept-")) {
        out.insert("accept".to_owned());
    }
    if fields.service.is_empty() {
        // Without a service nothing else can be judged.
        out.insert("start".to_owned());
    }
    out
}

/// What a page or fragment is made of.
pub struct Given<'a> {
    pub fields: Fields,
    pub known: Known<'a>,
    pub wish: &'a Wish,
    /// Everything that stands in the way.
    pub refusals: &'a [Refusal],
    pub planned: &'a Planned,
    /// The draft's id, the save it stands on, when that was.
    pub draft: Option<(&'a str, u64, i64)>,
    /// The draft was saved elsewhere since.
    pub stale: bool,
    /// Start was pressed: fields that are still empty are named too.
    pub loud: bool,
    pub request_id: String,
}

/// The places at which a message can be shown, for a form with so many rows and metrics.
fn slots(fields: &Fields) -> Vec<String> {
    let fixed = [
        "service",
        "version",
        "image",
        "replicas",
        "adopt",
        "steps",
        "analysis",
        "policies",
        "accept",
        "name",
        "reason",
        "start",
        "template_name",
    ];
    let rows = (0..fields.rows.len()).map(|at| format!("row-{at}"));
    let metrics = (0..fields.metrics.len()).map(|at| format!("metric-{at}"));
    fixed.into_iter().map(str::to_owned).chain(rows).chain(metrics).collect()
}

fn stale(lang: Lang, given: &Given<'_>) -> Option<Notice> {
    let (draft, ..) = given.draft.filter(|_| given.stale)?;
    let link = (path(draft), lang.t("wizard.stale_load").to_string());
    Some(Notice { alert: true, link: Some(link), ..Notice::new(Tone::Warn, lang.t("wizard.stale").rich()) })
}

fn besides(lang: Lang, given: &Given<'_>, oob: bool) -> [Beside; 2] {
    let image = Beside::image(lang, &given.fields, &given.known, oob);
    [image, Beside::requests(lang, given.planned, oob)]
}

impl Marks {
    fn of(given: &Given<'_>, oob: bool) -> Self {
        let (draft, seq) = given
            .draft
            .map_or((String::new(), String::new()), |(id, seq, _)| (id.to_owned(), seq.to_string()));
        let url = given.draft.map_or_else(|| "/releases/new".to_owned(), |(id, ..)| path(id));
        Self { draft, seq, url, oob }
    }
}

impl Start {
    fn of(lang: Lang, given: &Given<'_>, errors: &Errors, oob: bool) -> Self {
        let fields = &given.fields;
        let version = if fields.from == "adopt" { &fields.adopt } else { &fields.version };
        let approvals = fields.rows.iter().filter(|row| row.approval).count();
        let seconds = given.planned.shares.last().map_or(0, |(at, _)| *at);
        let say =
            (!fields.service.is_empty() && !version.is_empty() && !fields.stable.is_empty()).then(|| {
                let name = fields.service.rsplit('/').next().unwrap_or_default();
                lang.t(if seconds == 0 { "wizard.say_now" } else { "wizard.say" })
                    .with("service", name)
                    .with("stable", &fields.stable)
                    .with("v", version)
                    .with("steps", lang.count("wizard.steps_n", fields.rows.len()))
                    .with("span", said::long_span(lang, seconds))
                    .with("approvals", lang.count("wizard.approvals", approvals))
                    .rich()
            });
        let line = |key: &str, missing: bool| {
            let (n, section) = errors.count(missing)?;
            Some((lang.count(key, n).with("section", section).to_string(), section))
        };
        let fix = line("wizard.fix", false);
        let todo = line("wizard.todo", true).filter(|_| fix.is_none());
        Self { lang, say, fix, todo, oob }
    }
}

impl Rail {
    fn of(lang: Lang, errors: &Errors, oob: bool) -> Self {
        let sections = (1..=6).map(|n| {
            let title = lang.t(&format!("wizard.section.n{n}")).into();
            (n, title, errors.of_section(n, false), errors.of_section(n, true))
        });
        Self { lang, sections: sections.collect(), oob }
    }
}

impl WizardPage {
    pub fn of(chrome: Chrome, given: Given<'_>) -> Self {
        let lang = chrome.lang();
        let errors = Errors::of_given(lang, &given);
        Self {
            marks: Marks::of(&given, false),
            saved: given.draft.map(|(_, _, at)| chrome.clock.second(at)),
            choices: Choices::of(lang, &given.fields, &given.known),
            plan: Plan::of(lang, &given.fields, given.planned),
            start: Start::of(lang, &given, &errors, false),
            rail: Rail::of(lang, &errors, false),
            accepts: Accepts::of(lang, &given, false),
            facts: Facts::of(lang, &given, &errors, false),
            beside: besides(lang, &given, false),
            stale: stale(lang, &given),
            applied: Applied::of(lang, &given.fields),
            request_id: given.request_id,
            fields: given.fields,
            errors,
            chrome,
        }
    }

    /// The number of a row that a slot or field belongs to, as people count.
    pub fn row_number(&self, at: &usize) -> usize {
        at + 1
    }
}

impl WizardFragment {
    pub fn of(lang: Lang, given: &Given<'_>) -> Self {
        let errors = Errors::of_given(lang, given);
        Self {
            plan: Plan::of(lang, &given.fields, given.planned),
            slots: slots(&given.fields).iter().map(|id| Slot { oob: true, ..errors.slot(id) }).collect(),
            start: Start::of(lang, given, &errors, true),
            rail: Rail::of(lang, &errors, true),
            accepts: Accepts::of(lang, given, true),
            facts: Facts::of(lang, given, &errors, true),
            beside: besides(lang, given, true),
            marks: Marks::of(given, true),
            stale: stale(lang, given),
        }
    }
}
