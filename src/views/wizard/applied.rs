//! What a template changed in the form, shown beside it, and the way back to what was there before.

use askama::Template;
use askama::filters::HtmlSafe;

use super::fields::{Fields, MetricField, Row};
use super::laid::{Fit, fingerprint};
use crate::domain::release;
use crate::views::lang::Lang;

/// *The template “Quick” was used. It changed: …*
#[derive(Clone, Debug, PartialEq, Eq, Template)]
#[template(path = "wizard/applied.html")]
pub struct Applied {
    pub lang: Lang,
    pub name: String,
    /// What, before and now, each in words.
    pub changes: Vec<(String, String, String)>,
}

impl HtmlSafe for Applied {}

impl Applied {
    /// What the last template changed, while it stands as the template set it.
    pub fn of(lang: Lang, fields: &Fields) -> Option<Self> {
        let before = fields.before().filter(|_| fields.stands())?;
        let name = match fields.template.strip_prefix("own:") {
            Some(own) => own.to_owned(),
            None => lang.t(&format!("wizard.template.{}", fields.template)).into(),
        };
        let (before, now) = (words(lang, &before), words(lang, fields));
        let changes = before.into_iter().zip(now).filter(|(before, now)| before.1 != now.1);
        Some(Self { lang, name, changes: changes.map(|(was, now)| (was.0, was.1, now.1)).collect() })
    }
}

/// Everything that a template sets, each with its value in words.
fn words(lang: Lang, fields: &Fields) -> Vec<(String, String)> {
    let t = |key: &str| lang.t(key).to_string();
    let flag = |on: bool| t(if on { "wizard.yes" } else { "wizard.no" });
    let or_none = |text: String| if text.is_empty() { t("wizard.none") } else { text };
    let list = |all: Vec<String>| or_none(all.join(&t("wizard.template_of.and")));
    let ends = |word: &str| match word {
        "pause" => t("wizard.pause"),
        _ => lang.t("wizard.abort").with("v", &fields.stable).to_string(),
    };
    let analysed = |text: String| if fields.analyse { text } else { t("wizard.plan.fail_nobody") };
    let window = match fields.window.as_str() {
        "60" => t("services.window_1m"),
        "300" => t("services.window_5m"),
        "3600" => t("services.window_1h"),
        other => other.to_owned(),
    };
    let unit = |n: &str, key: &str| format!("{n} {}", t(key));
    let drift = lang.t(&format!("wizard.drift.{}", fields.on_drift)).to_string();
    let approvals = fields.rows.iter().filter(|row| row.approval).count();
    vec![
        (t("releases.col.strategy"), t(&format!("release.strategy.{}", fields.strategy))),
        (t("wizard.section.n4"), list(fields.rows.iter().filter_map(|row| share(lang, row)).collect())),
        (t("wizard.step.hold"), list(holds(lang, &fields.rows))),
        (t("wizard.template_approvals"), approvals.to_string()),
        (t("wizard.interval"), analysed(unit(&fields.interval, "wizard.unit.s"))),
        (t("wizard.window"), analysed(window)),
        (t("wizard.min_requests"), analysed(fields.min_requests.clone())),
        (t("wizard.failures"), analysed(fields.failures.clone())),
        (
            t("wizard.template_limits"),
            analysed(list(fields.metrics.iter().filter_map(|m| limit(lang, m)).collect())),
        ),
        (t("wizard.plan.fails"), analysed(ends(&fields.on_failure))),
        (t("wizard.on_deadline"), ends(&fields.on_deadline)),
        (t("wizard.on_drift"), drift),
        (t("wizard.deadline"), unit(&fields.deadline, "wizard.unit.min")),
        (
            lang.t("wizard.stable_after").with("v", &fields.stable).into(),
            or_none(fields.stable_after.clone()),
        ),
        (t("wizard.freeze"), or_none(fields.freeze.clone())),
        (t("wizard.delete_after_abort"), flag(fields.delete_after_abort)),
        (t("wizard.second_person"), flag(fields.second_person)),
    ]
}

/// What the new version gets in a step.
fn share(lang: Lang, row: &Row) -> Option<String> {
    Some(match row.kind.as_str() {
        "weight" => format!("{}%", row.percent),
        "mirror" => lang.t("wizard.template_of.mirror").with("n", &row.percent).into(),
        "replicas" => format!("{}/{}", row.candidate, row.stable),
        "rules" => lang.t("wizard.template_of.rules").into(),
        _ => return None,
    })
}

/// The holds, each length once.
fn holds(lang: Lang, rows: &[Row]) -> Vec<String> {
    let mut out: Vec<String> = Vec::new();
    for row in rows.iter().filter(|row| !row.hold.is_empty() && row.hold != "0") {
        let word = format!("{} {}", row.hold, lang.t(&format!("wizard.unit.{}", row.unit)));
        if !out.contains(&word) {
            out.push(word);
        }
    }
    out
}

/// A metric with its limits.
fn limit(lang: Lang, metric: &MetricField) -> Option<String> {
    let name: String = match metric.kind.as_str() {
        _ if !metric.on => return None,
        "success_rate" => lang.t("release.metric.success_rate").into(),
        "latency" => lang.t("release.metric.latency").with("q", &metric.quantile).into(),
        _ => format!("{} {}", metric.name, metric.query),
    };
    let sign = if metric.kind == "success_rate" { "−" } else { "× " };
    let parts = [("", &metric.absolute), (sign, &metric.relative), ("+ ", &metric.floor)];
    let limits =
        parts.iter().filter(|(_, value)| !value.is_empty()).map(|(sign, value)| format!(" {sign}{value}"));
    Some(name + &limits.collect::<String>())
}

impl Fields {
    /// What a template sets, and nothing else.
    fn covered(&self) -> Self {
        Self {
            strategy: self.strategy.clone(),
            template: self.template.clone(),
            rows: self.rows.clone(),
            laid: self.laid.clone(),
            analyse: self.analyse,
            fitted: self.fitted.clone(),
            interval: self.interval.clone(),
            window: self.window.clone(),
            min_requests: self.min_requests.clone(),
            failures: self.failures.clone(),
            metrics: self.metrics.clone(),
            on_failure: self.on_failure.clone(),
            on_deadline: self.on_deadline.clone(),
            on_drift: self.on_drift.clone(),
            deadline: self.deadline.clone(),
            delete_after_abort: self.delete_after_abort,
            stable_after: self.stable_after.clone(),
            second_person: self.second_person,
            freeze: self.freeze.clone(),
            ..Self::default()
        }
    }

    /// A name for what a template set. The least number of requests follows the service's rate.
    fn print(&self) -> String {
        let rows = self.rows.iter().map(|row| Row { key: String::new(), ..row.clone() }).collect();
        let none = String::new;
        fingerprint(&Self {
            rows,
            min_requests: none(),
            fitted: none(),
            laid: none(),
            template: none(),
            ..self.covered()
        })
    }

    /// The template whose steps, analysis and policies the form has.
    fn named(&self, fit: Fit) -> Option<release::Template> {
        release::Template::ALL.into_iter().find(|template| {
            let mut same = self.clone();
            same.take_template(*template, fit);
            same.print() == self.print()
        })
    }

    /// Keeps what was there before a template was taken.
    pub fn remember(&mut self, before: &Self, fit: Fit) {
        let template = before.named(fit).map(|template| template.as_str().to_owned()).unwrap_or_default();
        let before = Self { template, ..before.covered() };
        self.undo = format!("{}:{}", self.print(), before.to_draft());
    }

    /// The form before the last template; its other fields are empty.
    pub fn before(&self) -> Option<Self> {
        let (_, kept) = self.undo.split_once(':')?;
        let kept: serde_json::Value = serde_json::from_str(kept).ok()?;
        let pairs =
            kept.as_object()?.iter().map(|(name, value)| Some((name.clone(), value.as_str()?.to_owned())));
        Some(Self { stable: self.stable.clone(), ..Self::of_pairs(&pairs.collect::<Option<Vec<_>>>()?) })
    }

    /// True while everything is as the last template set it.
    pub fn stands(&self) -> bool {
        self.undo.split_once(':').is_some_and(|(print, _)| print == self.print())
    }

    /// Puts back what was there before the last template.
    pub fn take_back(&mut self) {
        let Some(before) = self.before() else { return };
        *self = Self {
            service: self.service.clone(),
            stable: self.stable.clone(),
            from: self.from.clone(),
            version: self.version.clone(),
            image: self.image.clone(),
            replicas: self.replicas.clone(),
            in_place: self.in_place,
            adopt: self.adopt.clone(),
            start_at: self.start_at.clone(),
            accept: self.accept.clone(),
            name: self.name.clone(),
            reason: self.reason.clone(),
            template_name: self.template_name.clone(),
            left: self.left.clone(),
            ..before
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::release::{OwnTemplate, Strategy, Template};

    const FIT: Fit = Fit { pods: 5, rate: Some(20.0) };

    fn used(fields: &mut Fields, template: Template) {
        let before = fields.clone();
        fields.take_template(template, FIT);
        fields.remember(&before, FIT);
    }

    #[test]
    fn a_template_is_taken_back_whole_and_what_was_typed_elsewhere_stays() {
        for strategy in Strategy::ALL {
            let mut fields = Fields::new("shop/cart", "v1");
            strategy.as_str().clone_into(&mut fields.strategy);
            fields.follow(FIT);
            "17".clone_into(&mut fields.failures);
            "fri 16:00-24:00".clone_into(&mut fields.freeze);
            let before = fields.clone();
            used(&mut fields, Template::Quick);
            assert!(fields.stands() && fields.failures != "17");
            // As the form comes back from the page.
            let pairs: Vec<(String, String)> = fields
                .to_draft()
                .as_object()
                .unwrap()
                .iter()
                .map(|(name, value)| (name.clone(), value.as_str().unwrap().to_owned()))
                .collect();
            let mut fields = Fields::of_pairs(&pairs);
            "REV-1".clone_into(&mut fields.reason);
            assert!(fields.stands(), "{strategy:?}");
            fields.take_back();
            let wanted = Fields { reason: "REV-1".to_owned(), template: String::new(), ..before };
            assert_eq!(fields, wanted, "{strategy:?}");
        }
    }

    #[test]
    fn everything_that_a_template_changed_is_named() {
        let mut fields = Fields::new("shop/cart", "v1");
        used(&mut fields, Template::Quick);
        for lang in [Lang::En, Lang::Zh] {
            let said = Applied::of(lang, &fields).unwrap();
            let all: Vec<String> =
                said.changes.iter().map(|(what, before, now)| format!("{what}: {before} > {now}")).collect();
            assert_eq!(all.len(), 8, "{all:?}");
            assert!(all.iter().any(|one| one.contains("60") && one.contains("15")), "{all:?}");
        }
        // A step that was touched since is the person's own: nothing is offered to be taken back.
        "7".clone_into(&mut fields.rows[0].percent);
        assert_eq!(Applied::of(Lang::En, &fields), None);
    }

    #[test]
    fn the_first_template_has_its_name_again() {
        let mut fields = Fields::begun(&Fields::new("shop/cart", "v1"), FIT);
        let first = fields.template.clone();
        used(&mut fields, Template::ByNight);
        fields.take_back();
        assert_eq!(fields.template, first);
        assert!(fields.is_begun() && fields.undo.is_empty());
        let own = OwnTemplate {
            name: "n".to_owned(),
            by: String::new(),
            at_ms: 0,
            strategy: Strategy::BlueGreen,
            steps: Template::Quick.steps(Strategy::BlueGreen, 3),
            analysis: None,
            policies: Template::Quick.policies(),
        };
        let before = fields.clone();
        fields.take_own(&own);
        fields.remember(&before, FIT);
        assert!(fields.strategy == "blue_green" && fields.stands());
        fields.take_back();
        assert_eq!(fields.strategy, "canary");
    }
}
