//! Match rules on the service page: the ordered list, the editor of one rule, and what a press on one of
//! their buttons does to the list that travels in the form (field `rules`, JSON of `Vec<Rule>`).
//!
//! Nothing here writes or decides: an edited list is a part of the pending change and is checked there.

use askama::Template;
use askama::filters::HtmlSafe;

use crate::domain::affix::Affix;
use crate::domain::observed::Hits;
use crate::domain::refusal::Refusal;
use crate::domain::routing::{Condition, HIDDEN, Op, Rule, Subject};

use super::bars::Slots;
use super::chrome::{Chip, Chrome, Notice, Off, Tone};
use super::figures::thousands;
use super::lang::{Lang, Rich};
use super::rule_form::{Draft, SPLIT};
use super::text;

/// The card with all rules; the answer to a press on one of its buttons, too.
#[derive(Clone, Debug, PartialEq, Eq, Template)]
#[template(path = "parts/rules_card.html")]
pub struct RulesCard {
    pub lang: Lang,
    pub path: String,
    pub rows: Vec<RuleRow>,
    /// How many requests no rule took; `None` where nothing is counted: then there is no such column.
    pub rest: Option<HitCount>,
    /// The edited list as it travels; `None` = as it stands in the cluster.
    pub json: Option<String>,
    /// There are no weights: what no rule takes is spread by pods.
    pub by_pods: bool,
    pub can_change: bool,
    /// Why not; shown by each button that is disabled because of it.
    pub why_not: String,
    pub editor: Option<RuleEditor>,
    /// What was wrong with the last press.
    pub problem: Option<Notice>,
}

impl HtmlSafe for RulesCard {}

/// One rule in words.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "each says by itself whether one control is there")]
pub struct RuleRow {
    pub at: usize,
    pub name: Option<String>,
    /// Alternatives; within one, all conditions must hold.
    pub when: Vec<Vec<InWords>>,
    /// Fields that Sluice keeps but does not show in words.
    pub opaque: Option<String>,
    pub to: Vec<(String, u8, u8)>,
    pub action: Option<String>,
    /// How many requests the rule took; `None` for one that is not written yet.
    pub hits: Option<HitCount>,
    /// *new*, *changed*, when the list was edited.
    pub mark: Option<Chip>,
    pub up: bool,
    pub down: bool,
    pub can_edit: bool,
    /// The editor stands in its place.
    pub open: bool,
}

/// How many requests were taken, by the rule at a place of the list as it stands in the cluster or by none.
/// A live region.
#[derive(Clone, Debug, PartialEq, Eq, Template)]
#[template(ext = "html", source = r#"<span id="{{ self.id() }}" data-live>{{ said }}</span>"#)]
pub struct HitCount {
    /// `None` = everything else.
    pub at: Option<usize>,
    pub said: String,
}

impl HtmlSafe for HitCount {}

impl HitCount {
    /// Of every rule in order, then of everything else.
    pub fn all(hits: &Hits) -> impl Iterator<Item = Self> {
        let rules = hits.rules.iter().enumerate().map(|(at, n)| Self { at: Some(at), said: thousands(*n) });
        rules.chain([Self { at: None, said: thousands(hits.rest) }])
    }

    /// The id of the element.
    pub fn id(&self) -> String {
        self.at.map_or_else(|| "hits-rest".to_owned(), |at| format!("hits-{at}"))
    }
}

/// One condition in words: *header `end-user`* · *is exactly* · `jason`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InWords {
    pub subject: Rich,
    pub op: String,
    pub value: Option<String>,
}

/// The form for one rule.
#[derive(Clone, Debug, PartialEq, Eq, Template)]
#[template(path = "parts/rule_editor.html")]
pub struct RuleEditor {
    pub lang: Lang,
    pub path: String,
    /// `new`, or the rule's place in the list.
    pub at: String,
    pub title: String,
    pub name: String,
    pub conditions: Vec<Field>,
    /// True for a rule with alternatives or fields that Sluice does not edit: its conditions stay.
    pub conditions_fixed: bool,
    /// A version's name, [`SPLIT`], or nothing yet.
    pub target: String,
    pub to: Vec<Destination>,
    pub sample: String,
    /// Whether the sample matched, after *Try it*.
    pub matched: Option<bool>,
    pub problem: Option<Notice>,
}

impl HtmlSafe for RuleEditor {}

/// The fields of one condition, as typed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Field {
    pub subject: String,
    pub name: String,
    pub op: String,
    pub value: String,
}

/// The number field of one version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Destination {
    pub version: String,
    pub slot: u8,
    pub ready: u32,
    pub value: String,
}

/// The editor as a page of its own (no JavaScript, deep links). It carries the rest of the pending change.
#[derive(Debug, Template)]
#[template(path = "rule.html")]
pub struct RulePage {
    pub chrome: Chrome,
    pub path: String,
    pub service: String,
    pub namespace: String,
    pub editor: RuleEditor,
    /// Every other field of the service page's form, as it was sent.
    pub carry: Vec<(String, String)>,
}

/// What the card shows.
pub struct CardOf<'a> {
    pub path: &'a str,
    pub slots: &'a Slots,
    /// As it stands in the cluster.
    pub declared: &'a [Rule],
    /// As edited, when it was.
    pub edited: Option<&'a [Rule]>,
    /// Nothing declares weights.
    pub by_pods: bool,
    pub can_change: bool,
    pub why_not: &'a str,
    pub hits: Option<&'a Hits>,
    /// The editor that is open, at its rule's place.
    pub editor: Option<RuleEditor>,
    pub refusal: Option<&'a Refusal>,
}

impl RulesCard {
    pub fn of(lang: Lang, card: CardOf<'_>) -> Self {
        let rules = card.edited.unwrap_or(card.declared);
        let last = rules.len().saturating_sub(1);
        let open = card.editor.as_ref().and_then(|editor| editor.at.parse().ok());
        let counts: Vec<HitCount> = card.hits.map(|hits| HitCount::all(hits).collect()).unwrap_or_default();
        let count = |rule: &Rule| {
            let place = card.declared.iter().position(|other| rule.id.is_some() && other.id == rule.id)?;
            counts.iter().find(|count| count.at == Some(place)).cloned()
        };
        let row = |(at, rule): (usize, &Rule)| RuleRow {
            at,
            name: rule.given_name().map(str::to_owned),
            when: rule.when.iter().map(|all| all.iter().map(|one| in_words(lang, one)).collect()).collect(),
            opaque: match rule.opaque.as_slice() {
                [] => None,
                [one] if one == HIDDEN => Some(lang.t("shown.not").into()),
                named => Some(super::rule_words::fields_words(lang, named)),
            },
            to: rule.to.iter().map(|(v, n)| (v.to_string(), card.slots.slot(v.as_str()), *n)).collect(),
            action: rule.action.as_deref().map(|action| action_words(lang, action)),
            hits: count(rule),
            mark: card.edited.and_then(|_| mark(lang, rule, card.declared)),
            up: at > 0,
            down: at < last,
            can_edit: rule.action.is_none(),
            open: open == Some(at),
        };
        Self {
            lang,
            path: card.path.to_owned(),
            rows: rules.iter().enumerate().map(row).collect(),
            rest: counts.iter().find(|count| count.at.is_none()).cloned(),
            json: card.edited.map(|rules| serde_json::to_string(rules).unwrap_or_default()),
            by_pods: card.by_pods,
            can_change: card.can_change,
            why_not: card.why_not.to_owned(),
            editor: card.editor,
            problem: card.refusal.map(|refusal| text::refused(lang, refusal)),
        }
    }

    /// What a button says of itself when nothing can be changed.
    fn off(&self) -> Off<'_> {
        Off((!self.can_change).then_some(self.why_not.as_str()))
    }

    /// How many columns the table has.
    pub fn columns(&self) -> usize {
        if self.rest.is_some() { 5 } else { 4 }
    }

    /// True when the open editor is for a rule that is not in the list yet.
    pub fn adds(&self) -> bool {
        self.editor.as_ref().is_some_and(|editor| editor.at == "new")
    }
}

/// What a rule does instead of choosing among versions, in words; a host stays as it is.
pub(super) fn action_words(lang: Lang, action: &str) -> String {
    let key = format!("rules.act.{action}");
    if let Some(subset) = action.strip_prefix("subset ") {
        lang.t("rules.act.subset").with("subset", subset).into()
    } else if lang.knows(&key) {
        lang.t(&key).into()
    } else {
        action.to_owned()
    }
}

fn mark(lang: Lang, rule: &Rule, declared: &[Rule]) -> Option<Chip> {
    match declared.iter().find(|other| rule.id.is_some() && other.id == rule.id) {
        None => Some(Chip::new(Tone::Info, "", lang.t("rules.new"))),
        Some(old) if old != rule => Some(Chip::new(Tone::Info, "", lang.t("rules.changed"))),
        Some(_) => None,
    }
}

/// A condition in words.
pub fn in_words(lang: Lang, condition: &Condition) -> InWords {
    let (key, name) = match &condition.on {
        Subject::Header(name) => ("rules.in.header", name.as_str()),
        Subject::Cookie(name) => ("rules.in.cookie", name.as_str()),
        Subject::Query(name) => ("rules.in.query", name.as_str()),
        Subject::Path => ("rules.in.path", ""),
        Subject::Method => ("rules.in.method", ""),
    };
    let (op, value) = if let Some((affix, text)) = Affix::of(condition) {
        (affix.as_str(), Some(text))
    } else {
        let value = (condition.op != Op::Present).then(|| condition.value.clone());
        (condition.op.as_str(), value)
    };
    let op = lang.t(&format!("rules.op.{op}")).into();
    InWords { subject: lang.t(key).with("name", name).rich(), op, value }
}

impl RuleEditor {
    /// The editor for what is in `draft`, with the versions that a rule can send to.
    pub fn of(lang: Lang, path: &str, draft: &Draft, versions: &[(String, u32)], slots: &Slots) -> Self {
        let title = match draft.at {
            None => lang.t("rules.add"),
            Some(at) => lang.t("rules.edit_n").with("n", at + 1),
        };
        let value = |version: &str| {
            let typed = draft.to.iter().find(|(name, _)| name == version);
            typed.map_or_else(|| "0".to_owned(), |(_, value)| value.clone())
        };
        let destination = |(version, ready): &(String, u32)| Destination {
            slot: slots.slot(version),
            ready: *ready,
            value: value(version),
            version: version.clone(),
        };
        Self {
            lang,
            path: path.to_owned(),
            at: draft.at.map_or_else(|| "new".to_owned(), |at| at.to_string()),
            title: title.into(),
            name: draft.name.clone(),
            conditions: draft.conditions.clone(),
            conditions_fixed: draft.kept.is_some(),
            target: draft.target.clone().unwrap_or_else(|| SPLIT.to_owned()),
            to: versions.iter().map(destination).collect(),
            sample: draft.sample.clone(),
            matched: draft.matched(),
            problem: draft.refusal.as_ref().map(|refusal| text::refused(lang, refusal)),
        }
    }

    /// `header`, `cookie`, … with their words, for the select.
    pub fn subjects(&self) -> Vec<(&'static str, String)> {
        let word =
            |subject: &'static str| (subject, self.lang.t(&format!("rules.subject.{subject}")).to_string());
        ["header", "cookie", "query", "path", "method"].map(word).into()
    }

    /// `exact`, `prefix`, … with their words, for the select.
    pub fn ops(&self) -> Vec<(&'static str, String)> {
        let word = |op: &'static str| (op, self.lang.t(&format!("rules.op.{op}")).to_string());
        let (suffix, contains) = (Affix::Suffix.as_str(), Affix::Contains.as_str());
        ["exact", "prefix", suffix, contains, "regex", "present"].map(word).into()
    }
}
