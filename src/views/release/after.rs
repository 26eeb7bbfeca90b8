//! The card below: what becomes of the version that is left over. Lists what would be deleted, and says
//! what it waits for while it is not possible.

use askama::Template;
use askama::filters::HtmlSafe;

use super::acts::reached;
use super::buttons::why_not;
use super::{Given, said};
use crate::domain::ids::{Kind, VersionName};
use crate::domain::release::state::Side;
use crate::domain::release::{Phase, Strategy, Word};
use crate::domain::removal as domain;
use crate::views::bars::short;
use crate::views::lang::{Lang, Rich};
use crate::views::query::service_path;
use crate::views::removal;
use crate::views::text;

/// The card.
#[derive(Clone, Debug, PartialEq, Eq, Template)]
#[template(path = "release/after.html")]
pub struct After {
    pub lang: Lang,
    pub title: String,
    pub text: Rich,
    /// *Deployment reviews-v1, 3 pods*.
    pub deletes: Vec<String>,
    /// Who still sends requests to it, one sentence each.
    pub reached: Vec<Rich>,
    /// Where that is seen.
    pub service: String,
    /// `None` = it is gone already.
    pub button: Option<(String, Result<String, String>)>,
}

impl HtmlSafe for After {}

impl After {
    pub fn of(lang: Lang, given: Given<'_>) -> Self {
        let release = given.release;
        let state = &release.state;
        let went_back = matches!(state.phase, Phase::RolledBack | Phase::NeedsAttention | Phase::Aborting);
        let (word, side, version) = if went_back {
            (Word::DeleteVersion, Side::Candidate, release.candidate())
        } else {
            (Word::Retire, Side::Stable, &release.spec.stable)
        };
        let name = short(version.as_str());
        if release.spec.candidate.is_in_place() {
            // One workload is both versions: there is nothing that could go alone.
            let title = lang.t("release.after.title").into();
            return Self::without(lang, title, lang.t("release.after.in_place").rich());
        }
        let group = if went_back { "delete" } else { "retire" };
        let of = |part: &str| lang.t(&format!("release.after.{group}_{part}")).with("v", &name);
        let title = of("title").into();
        if state.removed.contains(&side) {
            return Self::without(lang, title, of("gone").rich());
        }
        if state.removing == Some(side) {
            return Self::without(lang, title, of("going").rich());
        }
        let why = why_not(lang, given, word);
        let ended = given.overview.filter(|_| given.release.state.phase.is_final());
        let serving = ended.and_then(|item| {
            let has = domain::share_of(&item.snapshot, &item.routing, version);
            (has > 0).then(|| domain::serving(&item.routing, version, has))
        });
        let why = why.or_else(|| serving.map(|refusal| text::refusal(lang, &refusal).text.into()));
        let text = match (&why, state.phase) {
            (Some(_), Phase::Succeeded | Phase::RolledBack | Phase::NeedsAttention) | (None, _) => {
                of("text").rich()
            }
            (Some(_), _) => of("later").with("w", short(release.candidate().as_str())).rich(),
        };
        let at = release.at();
        let busy = reached(given, version);
        // "Has no traffic" is not shown beside "answered 100 % of the last minute".
        let text = if !busy.is_empty() && went_back && why.is_none() { of("text_busy").rich() } else { text };
        let busy = busy.iter().filter(|_| why.is_none());
        let reached = busy.map(|check| text::check(lang, check).text.rich()).collect();
        let button = match why {
            None => Ok(said::word_path(release, word)),
            Some(why) => Err(why),
        };
        Self {
            lang,
            title,
            text,
            deletes: deletes(lang, given, version),
            reached,
            service: service_path(at.namespace.as_str(), &at.name),
            button: Some((of("button").into(), button)),
        }
    }
}

impl After {
    fn without(lang: Lang, title: String, text: Rich) -> Self {
        Self {
            lang,
            title,
            text,
            deletes: Vec::new(),
            reached: Vec::new(),
            service: String::new(),
            button: None,
        }
    }
}

/// What goes with a version of a release.
pub fn deletes(lang: Lang, given: Given<'_>, version: &VersionName) -> Vec<String> {
    let Some(item) = given.overview else { return Vec::new() };
    let rule = item.routing.objects.iter().any(|object| object.kind == Kind::DestinationRule);
    let subset = rule && given.release.spec.strategy != Strategy::Replicas;
    removal::deletes(lang, item, version, subset)
}
