//! The form of a service's page: its fields as typed, and the wish that they amount to.
//!
//! Fields: `route`, `w.VERSION`, `rules` (JSON, when edited), `mirror`, `mirror_pct`, `reason`, `ack`,
//! `base_revision`, `rebase`, `preview_id`, `request_id`. What does not differ from now is no part of the wish, so a
//! change of weights leaves rules and mirror alone and the other way round.

use crate::domain::command::{MirrorWish, TrafficChange};
use crate::domain::ids::{Revision, RouteId, VersionName};
use crate::domain::overview::Overview;
use crate::domain::refusal::{Code, Refusal};
use crate::domain::routing::{MAX_ALTERNATIVES, MAX_CONDITIONS, MAX_RULES, Mirror, Rule, Weights};
use crate::domain::split::{MAX_VERSIONS, Split};
use crate::services::ask::Wish;
use crate::views::service::{Typed, now};
use crate::views::text;
use crate::web::api::body::ACKS;
use crate::web::auth::form::Form;

/// A form that was sent.
#[derive(Clone, Debug)]
pub struct Draft {
    pub typed: Typed,
    pub ack: Vec<String>,
    pub preview_id: Option<String>,
    /// The revision that the page was rendered on.
    pub base: Option<Revision>,
    /// The wish, or the field that is wrong.
    pub wish: Result<Wish, Refusal>,
    /// The split that was typed, when it is one.
    pub yours: Option<Weights>,
}

impl Draft {
    /// Reads a form about a service as it stands now.
    pub fn read(form: &Form, item: &Overview) -> Self {
        let base =
            Some(form.text("rebase")).filter(|text| !text.is_empty()).unwrap_or(form.text("base_revision"));
        let base = base.parse().ok();
        let mut weights: Vec<(String, String)> = Vec::new();
        for (name, value) in &form.0 {
            // One too many is enough to refuse the split.
            if let Some(version) = name.strip_prefix("w.").filter(|_| weights.len() <= MAX_VERSIONS) {
                // A locked number travels in its hidden twin: the later one counts.
                weights.retain(|(other, _)| other != version);
                weights.push((version.to_owned(), value.clone()));
            }
        }
        let sent = |name: &str| form.0.iter().any(|(field, _)| field == name);
        let rules = Some(form.text("rules")).filter(|text| !text.is_empty());
        let rules = rules.map(|json| {
            let rules = serde_json::from_str::<Vec<Rule>>(json);
            let rules = rules.map_err(|error| Refusal::new(Code::BadJson).field("rules").arg("why", error));
            rules.and_then(|rules| few(&rules).map(|()| rules))
        });
        let (rules, broken) = match rules {
            None => (None, None),
            Some(Ok(rules)) => (Some(rules), None),
            Some(Err(refusal)) => (None, Some(refusal)),
        };
        let typed = Typed {
            already: false,
            route: form.text("route").to_owned(),
            weights,
            rules,
            mirror: sent("mirror").then(|| form.text("mirror").to_owned()),
            mirror_percent: sent("mirror_pct").then(|| form.text("mirror_pct").to_owned()),
            reason: form.text("reason").to_owned(),
            base_revision: base,
            editor: None,
            rule_refusal: None,
        };
        let split = split(&typed.weights);
        let yours = split.as_ref().ok().and_then(Clone::clone).map(Weights::from);
        let wish = match broken {
            Some(refusal) => Err(refusal),
            None => split.and_then(|split| wish(&typed, split, item)),
        };
        Self {
            ack: form.acknowledged(),
            preview_id: Some(form.text("preview_id").to_owned()).filter(|id| !id.is_empty()),
            base,
            wish,
            yours,
            typed,
        }
    }
}

impl Draft {
    /// The wish after the rules were edited.
    pub fn again(&self, item: &Overview) -> Result<Wish, Refusal> {
        split(&self.typed.weights).and_then(|split| wish(&self.typed, split, item))
    }
}

/// Refuses rules whose lists are longer than those of the API may be.
fn few(rules: &[Rule]) -> Result<(), Refusal> {
    if rules.len() > MAX_RULES {
        return Err(Refusal::new(Code::TooManyRules).field("rules").arg("n", MAX_RULES));
    }
    for (at, rule) in rules.iter().enumerate() {
        let conditions = rule.when.iter().map(Vec::len).max().unwrap_or_default();
        for (part, n, max) in [
            ("to", rule.to.len(), MAX_VERSIONS),
            ("when", rule.when.len(), MAX_ALTERNATIVES),
            ("when", conditions, MAX_CONDITIONS),
            ("opaque", rule.opaque.len(), ACKS),
        ] {
            if n > max {
                return Err(Refusal::too_many(format!("rules.{at}.{part}"), n, max));
            }
        }
    }
    Ok(())
}

/// The numbers as a split; `None` when none was sent.
fn split(typed: &[(String, String)]) -> Result<Option<Split>, Refusal> {
    if typed.is_empty() {
        return Ok(None);
    }
    let mut weights: Weights = Vec::with_capacity(typed.len());
    for (name, text) in typed {
        let text = text.trim();
        let refuse = |code: Code| Refusal::new(code).field("weights").arg("v", name).arg("n", text);
        let version = VersionName::parse(name).map_err(|_| refuse(Code::UnknownVersion))?;
        let weight = match text.parse::<i64>() {
            Ok(n) => u8::try_from(n).ok().filter(|n| *n <= 100).ok_or_else(|| refuse(Code::WeightRange))?,
            Err(_) => return Err(refuse(Code::WeightType)),
        };
        weights.push((version, weight));
    }
    Split::new(weights).map(Some)
}

fn wish(typed: &Typed, split: Option<Split>, item: &Overview) -> Result<Wish, Refusal> {
    let route = Some(typed.route.as_str()).filter(|route| !route.is_empty()).map(RouteId::from);
    let declared = match &route {
        None => item.routing.declared(),
        Some(id) => item.routing.route(id).and_then(crate::domain::routing::Route::weights),
    };
    let rules = typed.rules.clone().filter(|rules| *rules != item.routing.rules);
    let mut change = TrafficChange { route, rules, ..TrafficChange::default() };
    wish_mirror(&mut change, typed, item)?;
    let present = now(item, &typed.route);
    let same = |split: &Split| present.iter().all(|(version, weight)| split.of(version) == *weight);
    let other = change.rules.is_some() || change.mirror.is_some();
    change.weights = split.filter(|split| !other || declared.is_none() || !same(split));
    Ok(Wish::Set(change))
}

fn wish_mirror(change: &mut TrafficChange, typed: &Typed, item: &Overview) -> Result<(), Refusal> {
    let declared = item.routing.mirror.as_ref();
    let name = match typed.mirror.as_deref() {
        // Not on the page, or to stay where it is.
        None | Some("-") => return Ok(()),
        Some("") => {
            change.mirror = declared.map(|_| None);
            return Ok(());
        }
        Some(name) => name,
    };
    let version = VersionName::parse(name)
        .map_err(|_| Refusal::new(Code::UnknownVersion).field("mirror").arg("v", name))?;
    let text = typed.mirror_percent.as_deref().unwrap_or_default().trim();
    let bad = || Refusal::new(Code::MirrorPercent).field("mirror").arg("n", text);
    let percent = match declared {
        // What was not touched stays exactly as it is.
        Some(mirror) if text::percent(mirror.percent) == text => mirror.percent,
        _ => text.parse().ok().and_then(Mirror::possible).ok_or_else(bad)?,
    };
    let same = declared.is_some_and(|mirror| {
        mirror.version() == Some(&version) && mirror.percent.total_cmp(&percent).is_eq()
    });
    if !same {
        change.mirror = Some(Some(MirrorWish { version, percent }));
    }
    Ok(())
}
