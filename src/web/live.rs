//! The parts of open pages that change: id and HTML, rendered by the same views as the page.

use std::hash::{DefaultHasher, Hash, Hasher};

use super::pages::releases::given;
use super::site::App;
use crate::domain::ids::Revision;
use crate::domain::overview::{ListPage, Overview};
use crate::domain::release::Release;
use crate::services::releases::ReleaseDetail;
use crate::views::chrome::{Chrome, UnderWay};
use crate::views::findings::Findings;
use crate::views::lang::Lang;
use crate::views::release::ReleasePage;
use crate::views::releases::ReleaseRow;
use crate::views::rules::HitCount;
use crate::views::services::{Attention, ServiceRow};
use crate::views::time::Clockface;
use crate::views::traffic::{Declared, Facts, ObservedLine, ProgressLine, Verdict};
use crate::views::versions::{TakeOver, VersionLive};

/// An element's id and the element.
pub type Part = (String, String);

/// Says what a page was rendered from, as far as its live parts show it.
pub fn stamp(items: &[Overview]) -> u64 {
    let mut hasher = DefaultHasher::new();
    for item in items {
        stamp_one(item, &mut hasher);
    }
    hasher.finish()
}

/// What the live parts of one service show.
pub fn stamp_one(item: &Overview, hasher: &mut DefaultHasher) {
    (item.at(), item.revision, item.state, &item.routing.fingerprint).hash(hasher);
    for version in &item.snapshot.versions {
        (&version.name, version.ready, version.total, &version.cause, &version.waiting).hash(hasher);
    }
    item.observed.as_ref().map(|seen| seen.at_ms).hash(hasher);
    item.progress.as_ref().map(|progress| progress.steps.seen_ms).hash(hasher);
    item.release.hash(hasher);
}

/// The same for a release's page.
pub fn release_stamp(detail: &ReleaseDetail) -> u64 {
    let mut hasher = DefaultHasher::new();
    detail.release.seq.hash(&mut hasher);
    detail.judgements.first().map(|look| look.at_ms).hash(&mut hasher);
    detail.overview.as_ref().map(|item| stamp(std::slice::from_ref(item))).hash(&mut hasher);
    hasher.finish()
}

/// The same for the list of releases.
pub fn releases_stamp(items: &[Release]) -> u64 {
    let mut hasher = DefaultHasher::new();
    for item in items {
        (item.id, item.seq).hash(&mut hasher);
    }
    hasher.finish()
}

/// A row of the list of releases.
pub fn release_row(chrome: &Chrome, release: &Release) -> Part {
    (format!("rel-{}", release.id), ReleaseRow::of(chrome, release).to_string())
}

/// The parts of a release's page that everybody sees alike.
pub fn release_shared(chrome: &Chrome, detail: &ReleaseDetail) -> Vec<Part> {
    ReleasePage::shared(chrome.clock, chrome.now_ms, given(detail))
}

/// Those that depend on what the person may do.
pub fn release_own(chrome: &Chrome, detail: &ReleaseDetail) -> Vec<Part> {
    ReleasePage::own(chrome.clock, given(detail))
}

/// The notices on top of every page.
pub fn notices(chrome: &Chrome) -> Part {
    let notices: String = chrome.notices().iter().map(ToString::to_string).collect();
    ("notices".to_owned(), format!("<div class=\"notes\" id=\"notices\" data-live>{notices}</div>"))
}

/// What needs attention, on the list of services.
pub fn attention(clock: Clockface, page: &ListPage) -> Part {
    ("attention".to_owned(), Attention::of(clock, &page.attention, &page.waiting).to_string())
}

/// The number of releases under way, in the navigation of every page.
pub fn under_way(lang: Lang, count: usize) -> Part {
    ("nav-active".to_owned(), UnderWay::of(lang, count).to_string())
}

/// A row of the list of services.
pub fn row(chrome: &Chrome, item: &Overview) -> Part {
    let at = item.at();
    let id = ServiceRow::id(at.namespace.as_str(), &at.name);
    (id, ServiceRow::of(chrome.clock, chrome.now_ms, item).to_string())
}

/// The live parts of a service's page.
pub fn service(app: &App, chrome: &Chrome, item: &Overview, applied: Option<Revision>) -> Vec<Part> {
    let lang = chrome.lang();
    let mut out = vec![
        ("svc-facts".to_owned(), Facts::of(chrome.clock, chrome.now_ms, item).to_string()),
        ("t-declared".to_owned(), Declared::of(lang, item).to_string()),
        ("t-observed".to_owned(), ObservedLine::of(lang, item).to_string()),
        ("t-verdict".to_owned(), Verdict::of(lang, item).to_string()),
        ("findings".to_owned(), Findings::of(chrome.clock, item).to_string()),
    ];
    if let Some(hits) = app.services.hits(item) {
        out.extend(HitCount::all(&hits).map(|count| (count.id(), count.to_string())));
    }
    let split = crate::views::service::now(item, "");
    for version in &item.snapshot.versions {
        let live = VersionLive::of(lang, version, item.observed.as_ref());
        out.push((VersionLive::id(version.name.as_str()), live.to_string()));
        let at = item.at();
        let path = crate::views::query::service_path(at.namespace.as_str(), &at.name);
        let take = TakeOver::of(lang, &path, version, &split, &item.routing);
        out.push((take.id(), take.to_string()));
    }
    if let Some(progress) = progress(chrome, item, applied) {
        out.push(("progress".to_owned(), progress.to_string()));
    }
    out
}

/// How far a change has come. `None` when there is no such change, or another one came after it.
pub fn progress(chrome: &Chrome, item: &Overview, applied: Option<Revision>) -> Option<ProgressLine> {
    let progress = item.progress.as_ref().filter(|progress| applied == Some(progress.revision))?;
    Some(ProgressLine::of(chrome.clock, chrome.now_ms, progress))
}
