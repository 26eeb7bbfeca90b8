//! What the wizard offers to choose from: services, versions, templates, kinds of steps, and what is known
//! of the chosen service.

use super::fields::Fields;
use crate::domain::overview::Overview;
use crate::domain::refusal::Severity;
use crate::domain::release::{Strategy, Template};
use crate::views::bars::in_words;
use crate::views::chrome::{Notice, Tone};
use crate::views::figures::{duration, success_rate};
use crate::views::lang::{Lang, Text};
use crate::views::release::said;
use crate::views::text;

/// What is known besides the form.
#[derive(Clone, Copy, Debug, Default)]
pub struct Known<'a> {
    /// `namespace/name` of services that the person may see.
    pub services: &'a [String],
    /// The chosen service.
    pub service: Option<&'a Overview>,
    /// Names of templates of one's own.
    pub own: &'a [String],
    /// False where nobody could answer an analysis.
    pub figures: bool,
}

/// One thing to choose: value, label, what it means, whether it is chosen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Choice {
    pub value: String,
    pub label: String,
    pub hint: String,
    pub on: bool,
}

/// Everything to choose from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Choices {
    pub strategies: Vec<Choice>,
    pub services: Vec<Choice>,
    pub facts: Option<Notice>,
    pub stable: Vec<Choice>,
    pub adopt: Vec<Choice>,
    /// *Now 1.16.4*.
    pub image_now: String,
    pub templates: Vec<Choice>,
    /// Kinds of steps that fit the strategy.
    pub kinds: Vec<(&'static str, String)>,
    /// The stable version's figures, by kind of metric.
    pub success_now: String,
    pub p95_now: String,
    pub can_batch: bool,
    pub figures: bool,
}

fn choice(value: &str, label: String, hint: String, chosen: &str) -> Choice {
    Choice { value: value.to_owned(), label, hint, on: value == chosen }
}

impl Choices {
    pub fn of(lang: Lang, fields: &Fields, known: &Known<'_>) -> Self {
        let strategies = Strategy::ALL.map(|strategy| {
            let word = strategy.as_str();
            let hint = lang.t(&format!("wizard.strategy.{word}"));
            choice(word, said::strategy(lang, word), hint.into(), &fields.strategy)
        });
        let mut services: Vec<String> = known.services.to_vec();
        if !fields.service.is_empty() && !services.contains(&fields.service) {
            services.insert(0, fields.service.clone());
        }
        let versions = known.service.map(|item| item.snapshot.versions.as_slice()).unwrap_or_default();
        let now = known.service.map(|item| super::super::service::now(item, "")).unwrap_or_default();
        let version = |one: &crate::domain::service::Version, chosen: &str| {
            let share = now.iter().find(|(name, _)| *name == one.name).map_or(0, |(_, n)| *n);
            let label = lang.t("wizard.version_is").with("v", &one.name).with("n", share);
            let label = label.with("ready", one.ready).with("of", one.total);
            choice(one.name.as_str(), label.into(), one.image().to_owned(), chosen)
        };
        let stable: Vec<Choice> = versions.iter().map(|one| version(one, &fields.stable)).collect();
        let adopt = versions
            .iter()
            .filter(|one| one.name.as_str() != fields.stable)
            .map(|one| version(one, &fields.adopt))
            .collect();
        let found = versions.iter().find(|one| one.name.as_str() == fields.stable);
        let seen =
            known.service.and_then(|item| item.observed.as_ref()).and_then(|seen| seen.of(&fields.stable));
        let templates = Template::ALL.map(|template| {
            let word = template.as_str();
            choice(word, lang.t(&format!("wizard.template.{word}")).into(), String::new(), &fields.template)
        });
        let own = known
            .own
            .iter()
            .map(|name| choice(&format!("own:{name}"), name.clone(), String::new(), &fields.template));
        Self {
            strategies: strategies.into(),
            services: services
                .iter()
                .map(|path| choice(path, path.replace('/', " / "), String::new(), &fields.service))
                .collect(),
            facts: known.service.map(|item| facts(lang, item, &now)),
            stable,
            adopt,
            image_now: found.map(|one| one.image().to_owned()).unwrap_or_default(),
            templates: templates.into_iter().chain(own).collect(),
            kinds: kinds(&fields.strategy)
                .iter()
                .map(|kind| (*kind, lang.t(&format!("wizard.kind.{kind}")).to_string()))
                .collect(),
            success_now: seen
                .and_then(crate::domain::observed::VersionTraffic::success)
                .map_or_else(|| "–".to_owned(), success_rate),
            p95_now: seen
                .and_then(|seen| seen.p95_ms)
                .map_or_else(|| "–".to_owned(), |ms| duration(lang, ms)),
            can_batch: fields.strategy == Strategy::Replicas.as_str(),
            figures: known.figures,
        }
    }
}

/// Which kinds of rows fit a strategy: a choice of the form only; what is allowed is said by the rules.
fn kinds(strategy: &str) -> &'static [&'static str] {
    match Strategy::parse(strategy) {
        Some(Strategy::Replicas) => &["replicas", "wait"],
        Some(Strategy::Mirror) => &["mirror", "weight", "replicas", "wait"],
        Some(Strategy::AbTest) => &["rules", "weight", "replicas", "wait"],
        Some(Strategy::Canary | Strategy::BlueGreen) | None => &["weight", "replicas", "wait"],
    }
}

/// What the service is, or why nothing can be released there.
fn facts(lang: Lang, item: &Overview, now: &crate::domain::routing::Weights) -> Notice {
    let block = item.findings.iter().find(|finding| finding.severity == Severity::Block);
    if let Some(finding) = block {
        let said = text::check(lang, finding);
        return Notice { more: said.next.map(Text::rich), ..Notice::new(Tone::Bad, said.text.rich()) };
    }
    let rate = item.observed.as_ref().map(|seen| crate::views::figures::rate(seen.rate()));
    let key = if rate.is_some() { "wizard.facts_rate" } else { "wizard.facts" };
    let text = lang.t(key).with("split", in_words(now)).with("rate", rate.unwrap_or_default());
    Notice::new(Tone::Ok, text.rich())
}
