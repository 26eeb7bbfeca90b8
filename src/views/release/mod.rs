//! The page of one release, `/releases/R-…`: where it stands, the step rail, the timer, what is declared
//! and observed, the analysis, the events, and the commands that it accepts now.
//!
//! `web` renders [`ReleasePage`] whole; live updates render its parts alone ([`ReleasePage::shared`], [`ReleasePage::own`]).

pub mod said;

pub use crate::domain::release::stages;

mod after;
mod buttons;
mod charts;
mod coming;
mod log;
mod now;

mod outside;
mod past;
mod rail;
mod waits;

pub mod acts;
pub mod change_steps;

use askama::Template;
use askama::filters::HtmlSafe;

use crate::domain::ids::VersionName;
use crate::domain::overview::{Difference, Overview, Rights};
use crate::domain::refusal::{Check, Code, Refusal};
use crate::domain::release::state::Side;
use crate::domain::release::{
    Happened, Judgement, PauseReason, Phase, Release, Strategy, TimelineEntry, Word,
};
use crate::domain::routing::Weights;

use super::bars::{Slots, in_words, short};
use super::chrome::{Chip, Chrome, Notice, Tone};
use super::lang::Lang;
use super::query::service_path;
use super::text;
use super::time::{Clockface, Moment};
use super::traffic::{Declared, ObservedLine, Verdict};

pub use after::After;
pub use buttons::{Actions, Button, Dock, How};
pub use charts::{Charts, Numbers};
pub use log::Log;
pub use now::Now;
pub use outside::Outside;
pub use rail::Rail;
pub use waits::Waits;

/// Everything that the page is made of, as the use case answers it.
#[derive(Clone, Copy, Debug)]
pub struct Given<'a> {
    pub release: &'a Release,
    /// Newest first.
    pub timeline: &'a [TimelineEntry],
    /// Newest first.
    pub judgements: &'a [Judgement],
    /// `None` when the service is not there any more.
    pub overview: Option<&'a Overview>,
    pub rights: &'a Rights,
    /// Commands that the person lacks a right for, with that right.
    pub denied: &'a [(Word, Refusal)],
    /// What has to be accepted before a version is deleted.
    pub reached: &'a [(VersionName, Vec<Check>)],
    /// What was changed outside, while it stands still because of that.
    pub outside: Option<&'a Difference>,
}

/// The whole page.
#[derive(Debug, Template)]
#[template(path = "release.html")]
pub struct ReleasePage {
    pub chrome: Chrome,
    pub id: String,
    /// The title that a person gave it; may be empty.
    pub name: String,
    pub path: String,
    pub service: String,
    pub service_href: String,
    /// `v1 → v2`.
    pub versions: String,
    /// A fresh key for the buttons that act at once.
    pub request_id: String,
    pub head: Head,
    /// Why a command that asks nothing was not taken.
    pub refused: Option<Notice>,
    pub banner: Banner,
    pub outside: Outside,
    pub actions: Actions,
    pub dock: Dock,
    pub rail: Rail,
    pub now: Now,
    pub waits: Waits,
    pub bars: Option<(Declared, ObservedLine, Verdict)>,
    pub charts: Option<Charts>,
    pub numbers: Option<Numbers>,
    pub after: After,
    pub log: Log,
}

/// The line below the title.
#[derive(Clone, Debug, PartialEq, Eq, Template)]
#[template(path = "release/head.html")]
pub struct Head {
    pub lang: Lang,
    pub state: Chip,
    pub strategy: String,
    pub namespace: String,
    pub started: Option<Moment>,
    pub by: String,
    pub reason: String,
    /// An open page fetches itself once when this changes: other cards are shown after the end.
    pub ended: bool,
}

impl HtmlSafe for Head {}

/// The most important messages: why it waits, what is wrong.
#[derive(Clone, Debug, PartialEq, Eq, Template)]
#[template(
    ext = "html",
    source = r#"<div class="notes" id="rel-banner" data-live>{% for notice in notices %}{{ notice }}{% endfor %}</div>"#
)]
pub struct Banner {
    pub notices: Vec<Notice>,
}

impl HtmlSafe for Banner {}

impl ReleasePage {
    /// The page for a release as it stands, and why the last command was refused.
    pub fn of(chrome: Chrome, given: Given<'_>, refused: Option<&Refusal>, request_id: String) -> Self {
        let release = given.release;
        let (lang, at) = (chrome.lang(), release.at());
        let bars = given
            .overview
            .filter(|_| !release.state.phase.is_final())
            .map(|item| (Declared::of(lang, item), ObservedLine::of(lang, item), Verdict::of(lang, item)));
        let actions = Actions::of(lang, given);
        Self {
            id: release.id.to_string(),
            name: release.spec.name.clone(),
            path: said::path(release),
            service: at.name.to_string(),
            service_href: service_path(at.namespace.as_str(), &at.name),
            versions: format!(
                "{} → {}",
                short(release.spec.stable.as_str()),
                short(release.candidate().as_str())
            ),
            request_id,
            head: Head::of(chrome.clock, chrome.now_ms, release),
            refused: refused.map(|refusal| text::refused(lang, refusal)),
            banner: Banner::of(chrome.clock, given),
            outside: Outside::of(chrome.clock, given),
            dock: Dock::of(&actions),
            actions,
            rail: Rail::of(chrome.clock, given),
            now: Now::of(chrome.clock, chrome.now_ms, given),
            waits: Waits::of(lang, given),
            bars,
            charts: Charts::of(chrome.clock, given),
            numbers: Numbers::of(lang, given),
            after: After::of(lang, given),
            log: Log::of(chrome.clock, given),
            chrome,
        }
    }

    /// The parts that change on an open page and that everybody sees alike, with their ids.
    pub fn shared(clock: Clockface, now_ms: i64, given: Given<'_>) -> Vec<(String, String)> {
        let lang = clock.lang;
        let mut out = vec![
            ("rel-state", Head::of(clock, now_ms, given.release).to_string()),
            ("rel-steps", Rail::of(clock, given).to_string()),
            ("rel-now", Now::of(clock, now_ms, given).to_string()),
            ("rel-pods", Waits::of(lang, given).to_string()),
            ("rel-log", Log::of(clock, given).to_string()),
        ];
        out.extend(Charts::of(clock, given).map(|charts| ("rel-charts", charts.to_string())));
        out.extend(Numbers::of(lang, given).map(|numbers| ("rel-numbers", numbers.to_string())));
        if let Some(item) = given.overview.filter(|_| !given.release.state.phase.is_final()) {
            out.push(("t-declared", Declared::of(lang, item).to_string()));
            out.push(("t-observed", ObservedLine::of(lang, item).to_string()));
            out.push(("t-verdict", Verdict::of(lang, item).to_string()));
        }
        out.into_iter().map(|(id, html)| (id.to_owned(), html)).collect()
    }

    /// Those that depend on what the person may do.
    pub fn own(clock: Clockface, given: Given<'_>) -> Vec<(String, String)> {
        let actions = Actions::of(clock.lang, given);
        vec![
            ("rel-banner".to_owned(), Banner::of(clock, given).to_string()),
            ("rel-dock".to_owned(), Dock::of(&actions).to_string()),
            ("rel-actions".to_owned(), actions.to_string()),
            ("rel-after".to_owned(), After::of(clock.lang, given).to_string()),
            // Not everybody may read the objects.
            ("rel-outside".to_owned(), Outside::of(clock, given).to_string()),
        ]
    }

    /// What the analysis does, in one sentence.
    pub fn analysis_hint(&self) -> String {
        self.charts.as_ref().map_or_else(String::new, |charts| charts.hint.clone())
    }
}

/// Colours of the versions: those of the service, and the candidate's even before it is there.
fn slots(given: Given<'_>) -> Slots {
    let (stable, candidate) = (&given.release.spec.stable, given.release.candidate());
    match given.overview {
        Some(item) => Slots::of(item).and(stable).and(candidate),
        None => Slots::listed([stable.clone(), candidate.clone()]),
    }
}

impl Head {
    fn of(clock: Clockface, now_ms: i64, release: &Release) -> Self {
        let state = said::state(clock, release);
        Self {
            lang: clock.lang,
            state,
            strategy: said::strategy(clock.lang, release.spec.strategy.as_str()),
            namespace: release.at().namespace.to_string(),
            started: release.started_ms.map(|at| clock.moment(at, now_ms)),
            by: release.state.started_by.clone().unwrap_or_else(|| release.by.clone()),
            reason: release.reason.clone(),
            ended: release.state.phase.is_final(),
        }
    }
}

/// What became of the service after the end, where that is something else than the release left.
fn since(lang: Lang, given: Given<'_>) -> Option<Notice> {
    let (item, state) = (given.overview?, &given.release.state);
    let by_pods = given.release.spec.strategy == Strategy::Replicas;
    let now = if by_pods {
        given.release.split_by_pods(&item.snapshot.versions)?
    } else {
        item.routing.declared()?
    };
    let of = |weights: &Weights, name: &VersionName| {
        weights.iter().find(|(known, _)| known == name).map_or(0, |(_, weight)| *weight)
    };
    let same =
        now.iter().chain(&state.ended_split).all(|(name, _)| of(&now, name) == of(&state.ended_split, name));
    if !state.phase.is_final() || state.ended_split.is_empty() || same {
        return None;
    }
    let by = item.last.as_ref().map_or("?", |last| last.by.as_str());
    // Pods have no revision, and nothing says who scaled them.
    let key = if by_pods { "release.since_pods" } else { "release.since" };
    let text = lang.t(key).with("split", in_words(&now)).with("n", item.revision);
    let at = given.release.at();
    let link = (service_path(at.namespace.as_str(), &at.name), lang.t("release.see_service").to_string());
    Some(Notice { link: Some(link), ..Notice::new(Tone::Info, text.with("who", by).rich()) })
}

/// Who aborted the release, where a person did.
fn aborted_by(clock: Clockface, given: Given<'_>) -> Option<Notice> {
    let release = given.release;
    if release.state.phase != Phase::RolledBack || said::failed_itself(release) {
        return None;
    }
    // Newest first: what turned it back last counts.
    let turned = given.timeline.iter().find_map(|entry| {
        let found = entry.happened.iter().rev().find(|one| match one {
            Happened::Told { word } => {
                matches!(word, Word::Abort | Word::Rollback | Word::SwitchBack)
            }
            Happened::AbortedItself { .. } => true,
            _ => false,
        })?;
        Some((entry, found))
    });
    let (entry, Happened::Told { word: Word::Abort }) = turned? else { return None };
    let key = match release.spec.strategy {
        Strategy::Replicas if release.spec.candidate.is_in_place() => "release.aborted_by_in_place",
        Strategy::Replicas => "release.aborted_by_pods",
        _ => "release.aborted_by",
    };
    let text = clock.lang.t(key).with("who", &entry.by).with("time", clock.hour(entry.at_ms));
    let text = text.with("v", short(release.spec.stable.as_str()));
    Some(Notice { icon: "back", ..Notice::new(Tone::Info, text.rich()) })
}

impl Banner {
    fn of(clock: Clockface, given: Given<'_>) -> Self {
        let (lang, release) = (clock.lang, given.release);
        let state = &release.state;
        let mut notices = Vec::new();
        if let Some(why) = &given.rights.change {
            let notice = text::refused(lang, why);
            notices.push(Notice { icon: "lock", alert: false, tone: Tone::Info, ..notice });
        }
        if let Some(paused) = state.paused.as_ref().filter(|_| state.phase == Phase::Paused) {
            let scaled = paused.reason == PauseReason::Drift && release.spec.strategy == Strategy::Replicas;
            let of_candidate = [Code::CandidateChanged, Code::CandidateGone, Code::CandidateRestored];
            let word = match paused.detail.as_ref().map(|detail| detail.code) {
                Some(code) if of_candidate.contains(&code) => "drift_candidate",
                _ if scaled => "drift_pods",
                _ => paused.reason.as_str(),
            };
            let key = format!("release.why.{word}");
            let candidate = short(release.candidate().as_str());
            let said = lang.t(&key).with("v", candidate).with("time", clock.hour(paused.since_ms)).with(
                "who",
                given.timeline.iter().find(|e| e.to == Phase::Paused).map_or("?", |e| e.by.as_str()),
            );
            let tone = if paused.reason.is_trouble() { Tone::Bad } else { Tone::Warn };
            let more = match paused.reason {
                PauseReason::Failed => charts::failed(lang, given),
                _ => None,
            };
            let more =
                paused.detail.as_ref().map(|detail| text::refusal(lang, detail).whole().rich()).or(more);
            let at = release.at();
            let link = (paused.reason == PauseReason::Drift).then(|| {
                (service_path(at.namespace.as_str(), &at.name), lang.t("release.see_service").to_string())
            });
            let icon = if paused.reason == PauseReason::Drift { "drift" } else { "pause" };
            notices.push(Notice { icon, more, link, ..Notice::new(tone, said.rich()) });
        }
        // Where it paused for this reason, that is shown above.
        if state.overrules_analysis(Word::Promote) && state.pause_reason() != Some(PauseReason::Failed) {
            notices.push(Notice { alert: false, ..text::refused(lang, &state.analysis_failed()) });
        }
        if let Some(needs) = &state.needs {
            notices.push(Notice { alert: false, ..text::refused(lang, needs) });
        }
        if state.phase == Phase::RolledBack && said::failed_itself(release) {
            let key = match release.spec.strategy {
                Strategy::Replicas if release.spec.candidate.is_in_place() => "release.went_back_in_place",
                Strategy::Replicas => "release.went_back_pods",
                _ if state.removed.contains(&Side::Candidate) => "release.went_back_deleted",
                _ => "release.went_back",
            };
            let text = lang.t(key).with("v", short(release.spec.stable.as_str()));
            notices.push(Notice::new(Tone::Bad, text.rich()));
        }
        notices.extend(aborted_by(clock, given));
        if state.phase == Phase::Superseded {
            notices.push(Notice::new(Tone::Info, lang.t("release.superseded").rich()));
        }
        notices.extend(since(lang, given));
        if given.overview.is_none() {
            notices.push(Notice::new(Tone::Warn, lang.t("release.no_service").rich()));
        }
        Self { notices }
    }
}
