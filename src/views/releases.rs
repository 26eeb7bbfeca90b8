//! The page of releases, `/releases`: filters, one row a release, active ones first.
//!
//! `web` renders [`ReleasesPage`] whole, its block `results` for a changed filter, and a single
//! [`ReleaseRow`] for a live update.

use askama::Template;
use askama::filters::HtmlSafe;

use crate::domain::release::Release;

use super::bars::{Bar, Slots, short};
use super::chrome::{Chip, Chrome};
use super::lang::Lang;
use super::query::{Address, service_path};
use super::release::said;
use super::time::Moment;

/// The whole page.
#[derive(Debug, Template)]
#[template(path = "releases.html", blocks = ["results"])]
pub struct ReleasesPage {
    pub chrome: Chrome,
    pub filter: Filter,
    /// *2 under way*.
    pub summary: String,
    pub rows: Vec<ReleaseRow>,
    pub next: Option<String>,
    /// Half-filled forms of this person: what they are about, when saved, where, their ids.
    pub drafts: Vec<(String, Moment, String, String)>,
}

/// The filters as they were asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    pub show: Which,
    pub text: String,
    /// `namespace/name`; empty = all.
    pub service: String,
}

/// Which releases are shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Which {
    #[default]
    All,
    Active,
    Attention,
    Done,
}

/// One release.
#[derive(Clone, Debug, PartialEq, Eq, Template)]
#[template(path = "release/row.html")]
pub struct ReleaseRow {
    pub lang: Lang,
    pub id: String,
    /// The title that a person gave it; may be empty.
    pub name: String,
    pub href: String,
    pub service: String,
    pub service_href: String,
    pub namespace: String,
    /// `v1 → v2`.
    pub versions: String,
    pub strategy: String,
    pub bar: Bar,
    pub share: u8,
    /// `4 / 7`.
    pub step: String,
    pub state: Chip,
    pub started: Option<Moment>,
    pub by: String,
    pub took: Option<String>,
}

impl HtmlSafe for ReleaseRow {}

impl Which {
    pub const ALL: [Self; 4] = [Self::Active, Self::Attention, Self::Done, Self::All];

    /// The word of addresses and of the API.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::All => "all",
            Self::Active => "active",
            Self::Attention => "attention",
            Self::Done => "done",
        }
    }

    /// Reads the word.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|which| which.as_str() == word)
    }

    /// Empty for what an address leaves out.
    pub fn in_address(self) -> &'static str {
        if self == Self::All { "" } else { self.as_str() }
    }
}

impl Filter {
    /// The list with these filters; defaults are left out of the address.
    pub fn address(&self) -> Address {
        Address::new("/releases")
            .with("show", self.show.in_address())
            .with("service", &self.service)
            .with("q", &self.text)
    }

    fn showing(&self, show: Which) -> String {
        Self { show, ..self.clone() }.address().to_string()
    }

    /// True when something is left out.
    pub fn is_set(&self) -> bool {
        *self != Self::default()
    }
}

impl ReleasesPage {
    /// The page for an answer. `drafts` = what a draft is about, when it was saved, its id.
    pub fn of(
        chrome: Chrome,
        filter: Filter,
        items: &[Release],
        next: Option<&str>,
        active: usize,
        drafts: &[(String, i64, String)],
    ) -> Self {
        let lang = chrome.lang();
        Self {
            summary: lang.count("releases.active", active).into(),
            rows: items.iter().map(|item| ReleaseRow::of(&chrome, item)).collect(),
            next: next.map(|cursor| filter.address().with("cursor", cursor).to_string()),
            drafts: drafts
                .iter()
                .map(|(about, at, id)| {
                    (about.clone(), chrome.moment(*at), super::wizard::path(id), id.clone())
                })
                .collect(),
            filter,
            chrome,
        }
    }

    /// *Active / Attention / Done / All*: label, address, whether it is the present one.
    pub fn tabs(&self) -> Vec<(String, String, bool)> {
        let tab = |which: Which| {
            let label = self.chrome.lang().t(&format!("releases.show.{}", which.as_str()));
            (label.into(), self.filter.showing(which), which == self.filter.show)
        };
        Which::ALL.into_iter().map(tab).collect()
    }
}

impl ReleaseRow {
    /// One row. For fragments that several people see, the frame is that of their topic.
    pub fn of(chrome: &Chrome, release: &Release) -> Self {
        let (clock, now_ms) = (chrome.clock, chrome.now_ms);
        let (lang, at) = (clock.lang, release.at());
        let (stable, candidate) = (&release.spec.stable, release.candidate());
        let share = release.share();
        let slots = Slots::kept(chrome.slots.of(release.at())).and(stable).and(candidate);
        let weights = [(stable.clone(), 100 - share.min(100)), (candidate.clone(), share.min(100))];
        let (step, steps) = crate::views::release::stages::position(&release.spec.steps, release.state.step);
        Self {
            lang,
            id: release.id.to_string(),
            name: release.spec.name.clone(),
            href: said::path(release),
            service: at.name.to_string(),
            service_href: service_path(at.namespace.as_str(), &at.name),
            namespace: at.namespace.to_string(),
            versions: format!("{} → {}", short(stable.as_str()), short(candidate.as_str())),
            strategy: said::strategy(lang, release.spec.strategy.as_str()),
            bar: Bar::whole("", &weights, &slots).small(),
            share,
            step: match release.state.phase {
                phase if phase.is_before() => format!("0 / {steps}"),
                _ => format!("{step} / {steps}"),
            },
            state: said::state(clock, release),
            started: release.started_ms.map(|at| clock.moment(at, now_ms)),
            by: release.by.clone(),
            took: said::took(lang, release, now_ms),
        }
    }
}
