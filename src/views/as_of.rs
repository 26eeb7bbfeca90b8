//! `/audit/as-of`: what was in force at a moment, as a card that can be linked and printed.

use askama::Template;
use askama::filters::HtmlSafe;

use crate::domain::as_of::AsOf;
use crate::domain::audit::Entry;
use crate::domain::overview::{DiffLine, Sign};
use crate::domain::refusal::Refusal;

use super::audit::who;
use super::bars::{Bar, Slots, in_words};
use super::chrome::{Chrome, Notice};
use super::lang::Lang;
use super::query::{Address, service_path};
use super::{rule_words, text};

/// The page: the fields, and the card once they are filled in.
#[derive(Debug, Template)]
#[template(path = "as_of.html")]
pub struct AsOfPage {
    pub chrome: Chrome,
    pub fields: AsOfFields,
    pub services: Vec<String>,
    pub card: Option<AsOfCard>,
    pub problem: Option<Notice>,
}

/// The fields as they were typed: `bookinfo/reviews`, `2026-11-20`, `14:05:00`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AsOfFields {
    pub service: String,
    pub date: String,
    pub time: String,
}

/// What was in force.
#[derive(Clone, Debug, PartialEq, Eq, Template)]
#[template(path = "parts/as_of.html")]
pub struct AsOfCard {
    pub lang: Lang,
    pub title: String,
    pub bar: Option<Bar>,
    /// Where nothing is known of the split, why.
    pub split: String,
    pub rules: Vec<String>,
    pub facts: Vec<(String, String)>,
    /// The entries that made it and that ended it: label and address.
    pub entries: Vec<(String, String)>,
    pub service: (String, String),
    pub objects: Vec<(String, Vec<DiffLine>)>,
    /// The address of this card, to be copied and printed.
    pub link: String,
}

impl HtmlSafe for AsOfCard {}

impl AsOfFields {
    /// The address of the card.
    pub fn address(&self) -> String {
        let address = Address::new("/audit/as-of").with("service", &self.service);
        address.with("date", &self.date).with("time", &self.time).to_string()
    }

    /// The fields for a moment as this person's clock shows it.
    pub fn of(chrome: &Chrome, service: &str, at_ms: i64) -> Self {
        let exact = chrome.clock.exact(at_ms);
        let (date, time) = exact.split_once(' ').unwrap_or((&exact, ""));
        Self { service: service.to_owned(), date: date.to_owned(), time: time.to_owned() }
    }
}

impl AsOfPage {
    pub fn new(chrome: Chrome, fields: AsOfFields, services: Vec<String>) -> Self {
        Self { chrome, fields, services, card: None, problem: None }
    }

    /// The page with its answer.
    #[must_use]
    pub fn answered(mut self, found: &AsOf) -> Self {
        self.card = Some(AsOfCard::of(&self.chrome, &self.fields, found));
        self
    }

    /// The page that says what is wrong with the fields; what was typed stays.
    #[must_use]
    pub fn refused(mut self, refusal: &Refusal) -> Self {
        self.problem = Some(text::refused(self.chrome.lang(), refusal));
        self
    }
}

impl AsOfCard {
    fn of(chrome: &Chrome, fields: &AsOfFields, found: &AsOf) -> Self {
        let lang = chrome.lang();
        let time = |at_ms: i64| format!("{} {}", chrome.clock.exact(at_ms), chrome.clock.zone());
        let at = &found.service;
        let title = lang.t("as_of.title_of").with("service", at).with("time", time(found.at_ms));
        let split = found.weights.as_ref().filter(|weights| !weights.is_empty());
        let names = split.into_iter().flatten().map(|(name, _)| name);
        let slots = Slots::remembered(chrome.slots.of(at), names);
        let mut card = Self {
            lang,
            title: title.into(),
            bar: split.map(|weights| Bar::whole(&lang.t("traffic.declared").to_string(), weights, &slots)),
            split: split.map_or_else(|| unknown(lang, found), |weights| in_words(weights)),
            rules: rules(lang, found),
            facts: Vec::new(),
            entries: Vec::new(),
            service: (service_path(at.namespace.as_str(), &at.name), at.to_string()),
            objects: found
                .objects
                .iter()
                .map(|(at, spec)| (text::named(lang, &at.to_string()).into_owned(), lines(spec.as_ref())))
                .collect(),
            link: fields.address(),
        };
        let mut fact = |key: &str, value: String| {
            if !value.is_empty() {
                card.facts.push((lang.t(&format!("as_of.fact.{key}")).into(), value));
            }
        };
        let revision = if found.revision == 0 {
            lang.t("as_of.revision_0").to_string()
        } else {
            found.revision.to_string()
        };
        if !found.is_unknown() {
            fact("revision", revision);
        }
        if let Some(entry) = &found.made {
            fact("since", time(entry.in_force_ms()));
            fact("who", who(lang, entry));
            fact("what", super::audit::what(lang, entry));
            fact("reason", entry.intent.reason.clone());
        }
        match &found.ended {
            Some(entry) => fact("until", time(entry.in_force_ms())),
            None if found.made.is_some() => fact("until", lang.t("as_of.still").into()),
            None => {}
        }
        let link = |key: &str, entry: &Entry| {
            (lang.t(key).with("id", entry.id).to_string(), format!("/audit/{}", entry.id))
        };
        card.entries.extend(found.made.as_ref().map(|entry| link("as_of.made", entry)));
        card.entries.extend(found.ended.as_ref().map(|entry| link("as_of.ended", entry)));
        card
    }
}

fn unknown(lang: Lang, found: &AsOf) -> String {
    let key = match (found.is_unknown(), &found.weights) {
        (true, _) => "as_of.nothing",
        (false, Some(_)) => "traffic.by_pods",
        (false, None) => "as_of.no_split",
    };
    lang.t(key).into()
}

/// Match rules and mirror, one line each.
pub fn rules(lang: Lang, found: &AsOf) -> Vec<String> {
    let Some((rules, mirror)) = &found.rest else { return Vec::new() };
    let mirror = mirror.as_ref().map(|mirror| rule_words::mirror_line(lang, mirror));
    rules.iter().map(|rule| rule_words::rule(lang, rule)).chain(mirror).collect()
}

fn lines(spec: Option<&serde_json::Value>) -> Vec<DiffLine> {
    match spec {
        Some(spec) => {
            let yaml = serde_saphyr::to_string(spec).unwrap_or_default();
            yaml.lines().map(|line| DiffLine { sign: Sign::Same, text: line.to_owned() }).collect()
        }
        None => vec![DiffLine::hidden()],
    }
}
