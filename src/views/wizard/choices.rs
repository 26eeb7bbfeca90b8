//! What the wizard offers to choose from: services, versions, templates, kinds of steps, and what is known
//! of the chosen service.

use super::fields::Fields;
use crate::domain::observed::VersionTraffic;
use crate::domain::overview::Overview;
use crate::domain::refusal::Severity;
use crate::domain::release::{OwnTemplate, Step, Strategy, Template, TemplateRights};
use crate::domain::service::WorkloadKind;
use crate::views::bars::in_words;
use crate::views::chrome::{Notice, Tone};
use crate::views::figures::{duration, success_rate};
use crate::views::lang::{Lang, Rich, Text};
use crate::views::release::said;
use crate::views::text;

/// What is known besides the form.
#[derive(Clone, Copy, Debug, Default)]
pub struct Known<'a> {
    /// `namespace/name` of services that the person may see.
    pub services: &'a [String],
    /// The chosen service.
    pub service: Option<&'a Overview>,
    /// Templates that people here made.
    pub own: &'a [OwnTemplate],
    /// What the person may do with them.
    pub rights: Option<&'a TemplateRights>,
    /// Who that is.
    pub user: &'a str,
    /// False where no source could answer an analysis.
    pub figures: bool,
    /// The rules say that the steps are another strategy's.
    pub mismatch: bool,
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
    pub stable: Vec<Choice>,
    pub adopt: Vec<Choice>,
    /// *Now 1.16.4*.
    pub image_now: String,
    pub templates: Vec<Choice>,
    /// Kinds of steps that fit the strategy.
    pub kinds: Vec<(&'static str, String)>,
    /// The stable version's figures.
    pub now: Figures,
    /// The new version's, where it runs and gets requests.
    pub candidate_now: Option<Figures>,
    /// *Use the steps of blue-green*: the steps are another strategy's.
    pub offer: Option<String>,
    /// Templates that may be deleted from here.
    pub deletable: Vec<String>,
    /// Why no template can be kept.
    pub keep_off: Option<Rich>,
    pub can_batch: bool,
    pub figures: bool,
}

/// What a version does now.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Figures {
    pub version: String,
    pub success: String,
    pub p95: String,
}

impl Figures {
    fn of(lang: Lang, version: &str, seen: Option<&VersionTraffic>) -> Self {
        let none = || "–".to_owned();
        Self {
            version: version.to_owned(),
            success: seen.and_then(VersionTraffic::success).map_or_else(none, success_rate),
            p95: seen.and_then(|seen| seen.p95_ms).map_or_else(none, |ms| duration(lang, ms)),
        }
    }
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
        let seen = |version: &str| known.service?.observed.as_ref()?.of(version);
        let candidate = seen(&fields.adopt).filter(|_| fields.from == "adopt" && !fields.adopt.is_empty());
        let strategy = Strategy::parse(&fields.strategy).unwrap_or(Strategy::Canary);
        let pods = found.map_or(3, |one| one.total);
        let templates = Template::ALL.map(|template| {
            choice(
                template.as_str(),
                template_label(lang, template, strategy, pods),
                String::new(),
                &fields.template,
            )
        });
        let own = known.own.iter().map(|own| {
            let label = if own.strategy == strategy {
                own.name.clone()
            } else {
                format!("{} ({})", own.name, said::strategy(lang, own.strategy.as_str()))
            };
            choice(&format!("own:{}", own.name), label, String::new(), &fields.template)
        });
        let may =
            |own: &&OwnTemplate| known.rights.is_some_and(|rights| rights.delete_all || own.by == known.user);
        Self {
            strategies: strategies.into(),
            services: services
                .iter()
                .map(|path| choice(path, path.replace('/', " / "), String::new(), &fields.service))
                .collect(),
            stable,
            adopt,
            image_now: found.map(|one| one.image().to_owned()).unwrap_or_default(),
            templates: templates.into_iter().chain(own).collect(),
            kinds: kinds(&fields.strategy)
                .iter()
                .map(|kind| (*kind, lang.t(&format!("wizard.kind.{kind}")).to_string()))
                .collect(),
            now: Figures::of(lang, &fields.stable, seen(&fields.stable)),
            candidate_now: candidate.map(|seen| Figures::of(lang, &fields.adopt, Some(seen))),
            offer: is_of_another(fields, known.mismatch).then(|| {
                lang.t("wizard.use_steps").with("strategy", said::strategy(lang, strategy.as_str())).into()
            }),
            deletable: known.own.iter().filter(may).map(|own| own.name.clone()).collect(),
            keep_off: known
                .rights
                .and_then(|rights| rights.add.as_ref())
                .map(|no| text::refusal(lang, no).text.rich()),
            can_batch: fields.strategy == Strategy::Replicas.as_str()
                && found.is_some_and(|one| {
                    one.workloads.iter().any(|workload| workload.kind == WorkloadKind::StatefulSet)
                }),
            figures: known.figures,
        }
    }
}

impl Choices {
    /// Columns of the table of metrics.
    pub fn metric_columns(&self) -> usize {
        if self.candidate_now.is_some() { 5 } else { 4 }
    }

    /// The kinds for a row: those that fit, and what it is, where that does not fit any more.
    pub fn kinds_with(&self, lang: &Lang, kind: &str) -> Vec<(String, String)> {
        let mut out: Vec<(String, String)> =
            self.kinds.iter().map(|(kind, word)| ((*kind).to_owned(), word.clone())).collect();
        if !kind.is_empty() && !self.kinds.iter().any(|(known, _)| *known == kind) {
            out.push((kind.to_owned(), lang.t(&format!("wizard.kind.{kind}")).into()));
        }
        out
    }
}

/// True when the steps were laid out for another strategy, or cannot be this one's.
fn is_of_another(fields: &Fields, mismatch: bool) -> bool {
    mismatch || fields.steps_of().is_some_and(|steps| steps != fields.strategy)
}

/// A template in the words of a strategy: *Careful: 1, 5, 10, 25, 50, 100*, *Quick: copies 100, then 10, 100*.
fn template_label(lang: Lang, template: Template, strategy: Strategy, pods: u32) -> String {
    let mut words: Vec<String> = Vec::new();
    for step in template.steps(strategy, pods.max(1)) {
        words.push(match step {
            Step::Weight { percent } => percent.to_string(),
            // The step in which only the old version gives its pods up.
            Step::Replicas { candidate, .. } if words.last() == Some(&candidate.to_string()) => continue,
            Step::Replicas { candidate, .. } => candidate.to_string(),
            Step::Mirror { percent: 0 } | Step::Hold { .. } | Step::Analysis { .. } => continue,
            Step::Mirror { percent } => lang.t("wizard.template_of.mirror").with("n", percent).into(),
            Step::Rules { .. } => lang.t("wizard.template_of.rules").into(),
            Step::Approval if matches!(strategy, Strategy::BlueGreen | Strategy::Replicas) => {
                lang.t("wizard.template_of.approval").into()
            }
            Step::Approval => continue,
        });
    }
    let single = words.last().is_some_and(|last| last == "1");
    let unit = match strategy {
        Strategy::Replicas if single => "wizard.template_of.pods.one",
        Strategy::Replicas => "wizard.template_of.pods.many",
        _ => "wizard.template_of.share",
    };
    let list = words.join(lang.t("wizard.template_of.and").to_string().as_str());
    let name = lang.t(&format!("wizard.template.{}", template.as_str())).to_string();
    lang.t(unit).with("name", name).with("list", list).into()
}

/// Which kinds of rows fit a strategy: a choice of the form only; what is allowed is decided by the rules.
fn kinds(strategy: &str) -> &'static [&'static str] {
    match Strategy::parse(strategy) {
        Some(Strategy::Replicas) => &["replicas", "wait"],
        Some(Strategy::Mirror) => &["mirror", "weight", "replicas", "wait"],
        Some(Strategy::AbTest) => &["rules", "weight", "replicas", "wait"],
        Some(Strategy::Canary | Strategy::BlueGreen) | None => &["weight", "replicas", "wait"],
    }
}

/// What the service is, or why nothing can be released there. `refused`: its place says why this release cannot be.
pub(super) fn facts(lang: Lang, item: &Overview, refused: bool) -> Notice {
    let now = &super::super::service::now(item, "");
    if refused {
        return Notice::new(Tone::Info, lang.t("wizard.split").with("split", in_words(now)).rich());
    }
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
