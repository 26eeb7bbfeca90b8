//! Warnings that stand beside a field: what was typed is allowed, and probably not what is meant.

use askama::Template;
use askama::filters::HtmlSafe;

use super::choices::Known;
use super::fields::Fields;
use super::plan::Planned;
use crate::domain::refusal::{Code, Severity};
use crate::views::lang::{Lang, Rich, Text};
use crate::views::text;

/// A warning in words; always there, hidden when there is nothing to say.
#[derive(Clone, Debug, PartialEq, Eq, Template)]
#[template(
    ext = "html",
    source = r#"<div class="note {% if warns %}warn{% else %}info{% endif %}" id="said-{{ id }}"{% if oob %} hx-swap-oob="true"{% endif %}{% if said.is_none() %} hidden{% endif %}>{% if let Some((text, next)) = said %}<i class="ic i-{% if warns %}warn{% else %}info{% endif %}" aria-hidden="true"></i><div><p>{{ text }}</p>{% if let Some(next) = next %}<p class="muted">{{ next }}</p>{% endif %}</div>{% endif %}</div>"#
)]
pub struct Beside {
    pub id: &'static str,
    pub said: Option<(Rich, Option<Rich>)>,
    pub warns: bool,
    pub oob: bool,
}

impl HtmlSafe for Beside {}

impl Beside {
    /// The service's rate brings the minimum of requests too late, or never.
    pub fn requests(lang: Lang, planned: &Planned, oob: bool) -> Self {
        let mut checks = planned.checks.iter();
        let found = checks.find(|check| matches!(check.code, Code::NeverEnough | Code::LowRate));
        let said = found.map(|check| {
            let said = text::check(lang, check);
            (said.text.rich(), said.next.map(Text::rich))
        });
        let warns = found.is_some_and(|check| check.severity != Severity::Info);
        Self { id: "min_requests", said, warns, oob }
    }

    /// The image comes from another repository than the old version's.
    pub fn image(lang: Lang, fields: &Fields, known: &Known<'_>, oob: bool) -> Self {
        let versions = known.service.map(|item| item.snapshot.versions.as_slice()).unwrap_or_default();
        let stable = versions.iter().find(|one| one.name.as_str() == fields.stable);
        let now = stable.map_or("", |one| one.image());
        let said =
            other_repository(&fields.image, now).filter(|_| fields.from != "adopt").map(|(typed, now)| {
                let text = lang.t("wizard.other_repository").with("typed", typed).with("now", now);
                (text.with("v", &fields.stable).rich(), None)
            });
        Self { id: "image", said, warns: true, oob }
    }
}

/// The repositories of two images, where both are there and differ.
pub fn other_repository<'i>(typed: &'i str, now: &'i str) -> Option<(&'i str, &'i str)> {
    let (typed, now) = (repository(typed.trim()), repository(now));
    (!typed.is_empty() && !now.is_empty() && typed != now).then_some((typed, now))
}

/// An image without its tag and digest, and without the registry that is meant where none is named.
fn repository(image: &str) -> &str {
    let bare = image.split_once('@').map_or(image, |(bare, _)| bare);
    let bare = match bare.rsplit_once(':') {
        Some((before, tag)) if !tag.contains('/') => before,
        _ => bare,
    };
    let bare =
        bare.strip_prefix("index.docker.io/").or_else(|| bare.strip_prefix("docker.io/")).unwrap_or(bare);
    bare.strip_prefix("library/").unwrap_or(bare)
}
