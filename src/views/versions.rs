//! The rows of the service page: a version with its health, slider, number, lock, presets and take over.
//!
//! [`VersionRow`] holds form fields and is rendered with the page only; [`VersionLive`] is the part of it
//! that live updates replace.

use askama::Template;
use askama::filters::HtmlSafe;

use crate::domain::ids::VersionName;
use crate::domain::observed::Observed;
use crate::domain::overview::{Overview, Retirement};
use crate::domain::routing::{Outcome, Part, Routing};
use crate::domain::service::Version;

use super::bars::Slots;
use super::figures::{POOR, duration, success_rate};
use super::lang::{Lang, Rich, Text};

/// The values that one press sets.
pub const PRESETS: [u8; 7] = [0, 1, 5, 10, 25, 50, 100];

/// One version with its controls.
#[derive(Clone, Debug, PartialEq, Eq, Template)]
#[template(path = "parts/version_row.html")]
pub struct VersionRow {
    pub lang: Lang,
    pub name: String,
    pub slot: u8,
    pub role: Role,
    pub image: String,
    pub live: VersionLive,
    /// Percent now: as declared, or by ready pods where nothing is declared.
    pub declared: u8,
    /// What stands in the number field: whole percent, or whatever was typed.
    pub value: String,
    /// `value` as a width class.
    pub width: u8,
    /// The highest value that the slider takes: 100, or what the version has when no pod is ready.
    pub cap: u8,
    /// False = shown, but disabled.
    pub can_change: bool,
    pub why_not: String,
    pub take_over: TakeOver,
    pub retire: RetireItem,
    /// True when this version's number was refused.
    pub wrong: bool,
    /// A share of the requests is meant for it and fails: how much, and why.
    pub fails: Option<String>,
}

impl HtmlSafe for VersionRow {}

/// What a version is to the service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Had the traffic before this course of changes began, and has some of it; else has the largest share.
    Stable,
    /// The newest version with ready pods that is newer than the stable one.
    Candidate,
    Other,
}

/// Pods and figures of a version.
#[derive(Clone, Debug, PartialEq, Eq, Template)]
#[template(path = "parts/version_live.html")]
pub struct VersionLive {
    pub lang: Lang,
    pub name: String,
    pub ready: u32,
    pub total: u32,
    /// `ImagePullBackOff`, in the cluster's words.
    pub cause: Option<String>,
    pub success: Option<String>,
    pub poor: bool,
    pub p95: Option<String>,
    pub traffic: Seen,
}

impl HtmlSafe for VersionLive {}

/// *Take over all traffic* for one version, or why it cannot be pressed. A live region.
#[derive(Clone, Debug, PartialEq, Eq, Template)]
#[template(path = "parts/take_over.html")]
pub struct TakeOver {
    pub lang: Lang,
    pub name: String,
    pub state: Lever,
}

impl HtmlSafe for TakeOver {}

/// *Retire* for one version: for how long it has had no requests, and where the button leads; or why it stays.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RetireItem {
    /// It is not known whether it can go: no item.
    Absent,
    Free {
        /// For how long, or what has to be accepted.
        said: Vec<Rich>,
        href: String,
    },
    No(String),
}

/// For how long a version has had no requests, or that there are no figures.
pub fn quiet(lang: Lang, version: &str, quiet_s: Option<u32>) -> Text {
    let text = match quiet_s {
        None => lang.t("weights.quiet_unknown"),
        Some(s) if s >= 3_600 => lang.t("weights.quiet_hour"),
        Some(s) => lang.t("weights.quiet").with("n", s / 60),
    };
    text.with("v", version)
}

impl RetireItem {
    fn of(lang: Lang, controls: &Controls<'_>, version: &str) -> Self {
        if !controls.can_change {
            return Self::No(controls.why_not.to_owned());
        }
        let Some(found) = controls.retire.iter().find(|one| one.version.as_str() == version) else {
            return Self::Absent;
        };
        match &found.state {
            Ok(quiet_s) => {
                let address = super::query::Address::new(format!("{}/traffic/retire", controls.path));
                let open = found.open.iter().map(|check| super::text::check(lang, check).text.rich());
                let quiet = || vec![quiet(lang, version, *quiet_s).rich()];
                Self::Free {
                    said: if found.open.is_empty() { quiet() } else { open.collect() },
                    href: address.with("version", version).to_string(),
                }
            }
            Err(refusal) => {
                let said = super::text::refusal(lang, refusal);
                let next = said.next.map(|next| format!(" {next}")).unwrap_or_default();
                Self::No(format!("{}{next}", said.text))
            }
        }
    }
}

/// Whether a version can take over all traffic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Lever {
    /// Where the button leads.
    Free(String),
    /// It has everything already.
    HasAll(String),
    /// No pod is ready.
    NoPods(String),
}

/// Whether requests were seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Seen {
    Requests,
    None,
    /// There are no metrics at all.
    Unknown,
}

/// What the rows need besides the overview.
pub struct Controls<'a> {
    /// The start of the service's addresses: `/services/ns/name`.
    pub path: &'a str,
    pub can_change: bool,
    /// Why not.
    pub why_not: &'a str,
    /// What becomes of the requests of the route whose weights are shown.
    pub parts: &'a [Part],
    /// Percents now, for every version.
    pub now: &'a [(VersionName, u8)],
    /// The version that had the traffic before this course of changes; `None` = the one with the largest share.
    pub stable: Option<&'a VersionName>,
    /// Whether each version can be retired.
    pub retire: &'a [Retirement],
    /// What stands in the fields, where it differs from now.
    pub typed: &'a [(String, String)],
    /// The version whose number was refused.
    pub wrong: Option<&'a str>,
}

impl VersionRow {
    /// The rows of a service, oldest version first.
    pub fn all(lang: Lang, item: &Overview, controls: &Controls<'_>) -> Vec<Self> {
        let versions = &item.snapshot.versions;
        let slots = Slots::of(item);
        let present = super::service::now(item, "");
        let weight = |name: &VersionName| controls.now.iter().find(|(v, _)| v == name).map_or(0, |(_, w)| *w);
        let largest = || versions.iter().rev().max_by_key(|version| weight(&version.name));
        let known = controls.stable.filter(|name| versions.iter().any(|version| version.name == **name));
        let stable = known.or_else(|| largest().map(|version| &version.name));
        let newer = versions.iter().skip_while(|version| Some(&version.name) != stable).skip(1);
        let candidate = newer.filter(|version| version.ready > 0).last().map(|version| &version.name);
        versions
            .iter()
            .map(|version| {
                let declared = weight(&version.name);
                let typed = controls.typed.iter().find(|(name, _)| name == version.name.as_str());
                let value = typed.map_or_else(|| declared.to_string(), |(_, value)| value.clone());
                // Where there is no newer version, nothing is distinguished.
                let role = if Some(&version.name) == stable && candidate.is_some() {
                    Role::Stable
                } else if Some(&version.name) == candidate {
                    Role::Candidate
                } else {
                    Role::Other
                };
                Self {
                    lang,
                    name: version.name.to_string(),
                    slot: slots.slot(version.name.as_str()),
                    role,
                    image: version.image().to_owned(),
                    live: VersionLive::of(lang, version, item.observed.as_ref()),
                    declared,
                    width: value.trim().parse().ok().filter(|w| *w <= 100).unwrap_or(declared),
                    value,
                    cap: if version.ready > 0 { 100 } else { declared },
                    can_change: controls.can_change,
                    why_not: controls.why_not.to_owned(),
                    take_over: TakeOver::of(lang, controls.path, version, &present, &item.routing),
                    retire: RetireItem::of(lang, controls, version.name.as_str()),
                    wrong: controls.wrong == Some(version.name.as_str()),
                    fails: fails(lang, controls.parts, version.name.as_str()),
                }
            })
            .collect()
    }

    /// True for a version that has nothing and may get nothing: its fields are disabled, its 0 is still sent.
    pub fn stuck(&self) -> bool {
        self.cap == 0 && self.value == "0"
    }

    /// `+70`, `−30`; `None` when the number is what it is now, or no number.
    fn delta(&self) -> Option<String> {
        let typed: i64 = self.value.trim().parse().ok()?;
        match typed.checked_sub(i64::from(self.declared))? {
            0 => None,
            more if more > 0 => Some(format!("+{more}")),
            less => Some(format!("−{}", less.unsigned_abs())),
        }
    }

    /// What a number field can show of what was typed: browsers drop what is no number.
    fn number(&self) -> &str {
        if self.value.trim().parse::<f64>().is_ok_and(f64::is_finite) { self.value.trim() } else { "" }
    }

    fn id(&self) -> String {
        format!("v-{}", self.name)
    }
}

/// Requests for a version by name that reach no pod.
fn fails(lang: Lang, parts: &[Part], version: &str) -> Option<String> {
    parts.iter().find_map(|part| {
        let Outcome::Answer(answer) = &part.to else { return None };
        let lost = !answer.is_wanted() && answer.name == version && part.percent > 0;
        let why = lang.t(&format!("split.{}", answer.why.as_str())).with("status", answer.status);
        lost.then(|| lang.t("weights.fails").with("n", part.percent).with("why", why).into())
    })
}

impl TakeOver {
    /// The button of a version. `now` are the percents of the default route; all routes are taken over.
    pub fn of(
        lang: Lang,
        path: &str,
        version: &Version,
        now: &[(VersionName, u8)],
        routing: &Routing,
    ) -> Self {
        let share = now.iter().find(|(name, _)| *name == version.name).map_or(0, |(_, weight)| *weight);
        let why = |key: &str| lang.t(key).with("v", &version.name).to_string();
        let state = if version.ready == 0 {
            Lever::NoPods(why(if share == 0 { "weights.no_pods" } else { "weights.only_down" }))
        } else if share == 100 && !routing.sends_elsewhere(&version.name) {
            Lever::HasAll(why("weights.has_all"))
        } else {
            let address = super::query::Address::new(format!("{path}/traffic/takeover"));
            Lever::Free(address.with("version", &version.name).to_string())
        };
        Self { lang, name: version.name.to_string(), state }
    }

    /// The id of the element.
    pub fn id(&self) -> String {
        format!("take-{}", self.name)
    }

    fn has_pods(&self) -> bool {
        !matches!(self.state, Lever::NoPods(_))
    }
}

impl VersionLive {
    /// Pods and figures of one version.
    pub fn of(lang: Lang, version: &Version, observed: Option<&Observed>) -> Self {
        let seen = observed.and_then(|seen| seen.of(version.name.as_str()));
        let success = seen.and_then(crate::domain::observed::VersionTraffic::success);
        let traffic = match (observed, seen) {
            (None, _) => Seen::Unknown,
            (_, Some(seen)) if seen.requests > 0.0 => Seen::Requests,
            _ => Seen::None,
        };
        Self {
            lang,
            name: version.name.to_string(),
            ready: version.ready,
            total: version.total,
            cause: version.cause.as_ref().map(ToString::to_string),
            success: success.map(success_rate),
            poor: success.is_some_and(|rate| rate < POOR),
            p95: seen.and_then(|seen| seen.p95_ms).map(|ms| duration(lang, ms)),
            traffic,
        }
    }

    /// The id of the element.
    pub fn id(version: &str) -> String {
        format!("ver-{version}-live")
    }
}
