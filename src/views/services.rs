//! The page of services, `/services`: what needs attention, filters, one row a service.
//!
//! `web` renders its parts: [`Top`] and [`Bottom`] for each person, the block `main` of [`ServicesPage`] between them
//! once for all who see the same, its block `results` for a changed filter, and a single [`ServiceRow`] for a
//! live update.

use std::fmt::{self, Display};
use std::sync::Arc;

use askama::Template;
use askama::filters::HtmlSafe;

use crate::domain::overview::{ListAsk, ListPage, Overview, Show, Sort, State};
use crate::domain::refusal::Severity;
use crate::domain::release::{Phase, Release};
use crate::domain::service::Version;

use super::bars::{Bar, Slots, declared_bar, short};
use super::chrome::{Chip, Chrome};
use super::figures::{POOR, duration, rate, success_rate};
use super::lang::{Lang, Text};
use super::query::{Address, service_path};
use super::release::said;
use super::text;
use super::time::{Clockface, Moment};

/// The whole page.
#[derive(Debug, Template)]
#[template(path = "services.html", blocks = ["main", "results"])]
pub struct ServicesPage {
    pub chrome: Chrome,
    pub filter: Filter,
    /// *38 services in 4 namespaces*.
    pub summary: String,
    pub attention: Attention,
    pub namespaces: Vec<String>,
    pub tabs: Vec<Tab>,
    pub rows: Vec<Row>,
    pub total: usize,
    pub next: Option<String>,
    pub empty: Option<Empty>,
}

/// The page up to what [`ServicesPage`] shows in its block `main`.
#[derive(Debug, Template)]
#[template(path = "services.html", block = "top")]
pub struct Top<'a> {
    pub chrome: &'a Chrome,
}

/// The page from there on.
#[derive(Debug, Template)]
#[template(path = "services.html", block = "bottom")]
pub struct Bottom<'a> {
    pub chrome: &'a Chrome,
}

/// The filters as they were asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    pub namespace: String,
    pub text: String,
    pub show: Show,
    pub sort: Sort,
    pub window_s: u32,
}

/// One of *All / Attention / Not routable*.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tab {
    pub label: String,
    pub count: usize,
    pub href: String,
    pub current: bool,
}

/// Why there is no row, and what to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Empty {
    pub title: String,
    pub text: String,
    pub nearest: Option<(String, String)>,
    pub clear: Option<String>,
}

/// The worst services and the releases that wait for a person, on top of the page; hidden when there are none.
#[derive(Clone, Debug, PartialEq, Eq, Template)]
#[template(path = "parts/attention.html")]
pub struct Attention {
    pub lang: Lang,
    pub items: Vec<Alarm>,
}

impl HtmlSafe for Attention {}

/// One service or release that a person should look at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Alarm {
    pub bad: bool,
    pub service: String,
    pub why: String,
    pub href: String,
    /// What the button says, and its accessible name.
    pub button: String,
    pub label: String,
}

/// One service.
#[derive(Clone, Debug, PartialEq, Eq, Template)]
#[template(path = "parts/service_row.html")]
pub struct ServiceRow {
    pub lang: Lang,
    pub namespace: String,
    pub name: String,
    pub href: String,
    pub bar: Option<Bar>,
    /// The shares in words, or why there is no bar.
    pub shares: String,
    /// The rules and the mirror that are in force besides the split; empty = none.
    pub besides: String,
    /// Ready of all pods by version.
    pub pods: Vec<String>,
    pub rate: Option<String>,
    pub success: Option<String>,
    /// True when the success rate is below [`POOR`].
    pub poor: bool,
    pub p95: Option<String>,
    pub state: Chip,
    /// The release that moves it: address and number.
    pub release: Option<(String, String)>,
    pub last: Option<(Moment, String)>,
}

impl HtmlSafe for ServiceRow {}

/// A rendered row, to be shown as often as one likes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row(Arc<str>);

impl From<&ServiceRow> for Row {
    fn from(row: &ServiceRow) -> Self {
        Self(row.to_string().into())
    }
}

impl Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// It was escaped when it was rendered.
impl HtmlSafe for Row {}

impl Filter {
    /// The filters of an ask.
    pub fn of(ask: &ListAsk) -> Self {
        Self {
            namespace: ask.namespace.as_ref().map(ToString::to_string).unwrap_or_default(),
            text: ask.text.clone(),
            show: ask.show,
            sort: ask.sort,
            window_s: if ask.window_s == 0 { 60 } else { ask.window_s },
        }
    }

    /// The list with these filters; defaults are left out of the address.
    pub fn address(&self) -> Address {
        let show = match self.show {
            Show::All => "",
            Show::Releasing => "releasing",
            Show::Attention => "attention",
            Show::NotRoutable => "not_routable",
        };
        let sort = if self.sort == Sort::Name { "name" } else { "" };
        let window = if self.window_s == 60 { String::new() } else { self.window_s.to_string() };
        Address::new("/services")
            .with("ns", &self.namespace)
            .with("q", &self.text)
            .with("show", show)
            .with("sort", sort)
            .with("win", window)
    }

    fn showing(&self, show: Show) -> String {
        Self { show, ..self.clone() }.address().to_string()
    }

    /// The same list in another order.
    pub fn sorted(&self, sort: Sort) -> String {
        Self { sort, ..self.clone() }.address().to_string()
    }

    /// The value of the hidden field that keeps `show` while other filters change.
    pub fn show_word(&self) -> &'static str {
        match self.show {
            Show::All => "",
            Show::Releasing => "releasing",
            Show::Attention => "attention",
            Show::NotRoutable => "not_routable",
        }
    }
}

impl ServicesPage {
    /// The page for an answer of the catalogue, with the rows of its services.
    pub fn of(ask: &ListAsk, page: &ListPage, rows: Vec<Row>, chrome: Chrome) -> Self {
        let lang = chrome.lang();
        let filter = Filter::of(ask);
        let tab = |show, key: &str, count| Tab {
            label: lang.t(key).into(),
            count,
            href: filter.showing(show),
            current: filter.show == show,
        };
        let tabs = vec![
            tab(Show::All, "services.show.all", page.counts.all),
            tab(Show::Releasing, "services.show.releasing", page.counts.releasing),
            tab(Show::Attention, "services.show.attention", page.counts.attention),
            tab(Show::NotRoutable, "services.show.not_routable", page.counts.not_routable),
        ];
        let summary = lang
            .t("services.summary")
            .with("services", lang.count("services.services", page.counts.all))
            .with("namespaces", lang.count("services.namespaces", page.populated));
        Self {
            summary: summary.into(),
            attention: Attention::of(chrome.clock, &page.attention, &page.waiting),
            namespaces: page.namespaces.iter().map(ToString::to_string).collect(),
            tabs,
            rows,
            total: page.total,
            next: page.next.as_ref().map(|cursor| filter.address().with("cursor", cursor).to_string()),
            empty: page.items.is_empty().then(|| Empty::of(lang, &filter, page)),
            filter,
            chrome,
        }
    }
}

impl Empty {
    fn of(lang: Lang, filter: &Filter, page: &ListPage) -> Self {
        let nearest =
            page.nearest.as_ref().map(|at| (service_path(at.namespace.as_str(), &at.name), at.to_string()));
        let clear = Some("/services".to_owned());
        let (title, text): (Text, Text) = if page.namespaces.is_empty() {
            return Self {
                title: lang.t("services.empty.no_namespace").into(),
                text: lang.t("services.empty.no_namespace_more").into(),
                nearest: None,
                clear: None,
            };
        } else if page.counts.all == 0 {
            let text = lang.t("services.empty.none_more");
            let title = lang.t("services.empty.none").into();
            return Self { title, text: text.into(), nearest: None, clear: None };
        } else if !filter.text.is_empty() {
            let looked = lang.count("services.empty.looked", page.namespaces.len());
            (lang.t("services.empty.filter").with("q", &filter.text), looked)
        } else if filter.show == Show::Attention {
            (lang.t("services.empty.calm"), lang.t("services.empty.calm_more"))
        } else {
            (lang.t("services.empty.other"), lang.count("services.empty.looked", page.namespaces.len()))
        };
        Self { title: title.into(), text: text.into(), nearest, clear }
    }
}

impl Attention {
    /// The alarms of the given releases and services: what is bad first, otherwise as they come.
    pub fn of(clock: Clockface, items: &[Overview], waiting: &[Arc<Release>]) -> Self {
        let lang = clock.lang;
        let releases = waiting.iter().map(|release| Alarm::of_release(clock, release));
        let mut items: Vec<Alarm> =
            releases.chain(items.iter().map(|item| Alarm::of_service(lang, item))).collect();
        items.sort_by_key(|alarm| !alarm.bad);
        Self { lang, items }
    }
}

impl Alarm {
    fn of_service(lang: Lang, item: &Overview) -> Self {
        let service = format!("{} / {}", item.at().namespace, item.at().name);
        Self {
            bad: item.state <= State::Failing,
            why: item.findings.first().map_or_else(
                || text::state(lang, item.state).text,
                |finding| text::check(lang, finding).text.to_string(),
            ),
            href: service_path(item.at().namespace.as_str(), &item.at().name),
            button: lang.t("services.look").into(),
            label: lang.t("services.open").with("service", &service).into(),
            service,
        }
    }

    fn of_release(clock: Clockface, release: &Release) -> Self {
        let (lang, state, at) = (clock.lang, &release.state, release.at());
        let reason = state.pause_reason();
        let key = match (state.phase, reason) {
            (Phase::NeedsAttention, _) => "needs",
            (Phase::PendingApproval, _) => "second",
            _ if state.is_waiting() => "gate",
            (_, Some(reason)) if reason.is_trouble() => "itself",
            _ => "paused",
        };
        let why = match &state.needs {
            Some(needs) if state.phase == Phase::NeedsAttention => {
                text::refusal(lang, needs).text.to_string()
            }
            _ => reason.map(|reason| said::pause(lang, reason)).unwrap_or_default(),
        };
        let since = state.paused.as_ref().map_or(release.changed_ms, |paused| paused.since_ms);
        let button = lang.t("releases.open").with("id", release.id).to_string();
        let why = lang
            .t(&format!("releases.alarm.{key}"))
            .with("id", release.id)
            .with("v", short(release.candidate().as_str()))
            .with("n", release.share())
            .with("time", clock.hour(since))
            .with("why", why);
        Self {
            bad: matches!(key, "needs" | "itself"),
            service: format!("{} / {}", at.namespace, at.name),
            why: why.into(),
            href: said::path(release),
            label: button.clone(),
            button,
        }
    }
}

impl ServiceRow {
    /// One row. For fragments that several people see, `clock` is UTC in their language.
    pub fn of(clock: Clockface, now_ms: i64, item: &Overview) -> Self {
        let lang = clock.lang;
        let (at, versions) = (item.at(), &item.snapshot.versions);
        let (bar, shares) = traffic(lang, item);
        let observed = item.observed.as_ref();
        let success = observed.and_then(crate::domain::observed::Observed::success);
        Self {
            lang,
            namespace: at.namespace.to_string(),
            name: at.name.to_string(),
            href: service_path(at.namespace.as_str(), &at.name),
            bar,
            shares,
            besides: super::traffic::besides(lang, item),
            pods: versions.iter().map(|version| pods(version, versions.len())).collect(),
            rate: observed.map(|seen| rate(seen.rate())),
            success: success.map(success_rate),
            poor: success.is_some_and(|rate| rate < POOR),
            p95: observed.and_then(crate::domain::observed::Observed::p95_ms).map(|ms| duration(lang, ms)),
            state: super::service_release::state(lang, item),
            release: item
                .release
                .map(|release| (format!("/releases/{}", release.id), release.id.to_string())),
            last: item.last.as_ref().map(|last| (clock.moment(last.at_ms, now_ms), last.by.clone())),
        }
    }

    /// The id of the row's element: a dot cannot stand in either name, so no two services share one.
    pub fn id(namespace: &str, name: &str) -> String {
        format!("row-{namespace}.{name}")
    }
}

fn pods(version: &Version, versions: usize) -> String {
    if versions == 1 {
        format!("{}/{}", version.ready, version.total)
    } else {
        format!("{} {}/{}", short(version.name.as_str()), version.ready, version.total)
    }
}

/// The observed split, else the declared one, else why there is none.
fn traffic(lang: Lang, item: &Overview) -> (Option<Bar>, String) {
    let versions = &item.snapshot.versions;
    let slots = Slots::of(item);
    if item.state == State::NotRoutable {
        let why = item
            .findings
            .iter()
            .find(|finding| finding.severity == Severity::Block)
            .or(item.findings.first());
        let name = why.map_or_else(|| lang.t("state.not_routable"), |why| text::name(lang, why.code));
        return (None, name.into());
    }
    if let Some(seen) = item.observed.as_ref().filter(|seen| seen.requests() > 0.0) {
        let shares: Vec<_> = versions
            .iter()
            .filter_map(|version| Some((version.name.clone(), seen.share(version.name.as_str())?)))
            .collect();
        let words: Vec<String> =
            shares.iter().map(|(name, share)| format!("{} {share:.0}%", short(name.as_str()))).collect();
        let bar = Bar::observed(&lang.t("traffic.observed").to_string(), &shares, &slots).small();
        return (Some(bar), words.join(" · "));
    }
    if let Some(bar) = declared_bar(lang, item) {
        let words = lang.t("services.declared_only").with("split", &bar.words);
        return (Some(bar.small()), words.into());
    }
    (None, lang.t("services.no_traffic").into())
}
