//! Traffic bars: shares of versions as colours, patterns, numbers and text at once.
//!
//! Used by every page that shows a split. A version keeps its slot (colour and pattern) by age.

use askama::Template;
use askama::filters::HtmlSafe;

use crate::domain::ids::VersionName;
use crate::domain::overview::Overview;
use crate::domain::routing::{HIDDEN, Outcome, Part};
use crate::domain::version_slots::VersionSlots;

use super::lang::Lang;

/// Which colour a version has: four have one each, the others share grey and are distinguished by name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Slots {
    slots: VersionSlots,
    /// How many versions there are to show.
    count: usize,
}

impl Slots {
    /// Those of a service's versions, as they are kept.
    pub fn of(item: &Overview) -> Self {
        Self { slots: item.slots.clone(), count: item.snapshot.versions.len() }
    }

    /// Those that are kept of versions which the history names; by their names where one of them is not kept.
    pub fn remembered<'a>(kept: VersionSlots, names: impl Iterator<Item = &'a VersionName> + Clone) -> Self {
        let known = names.clone().all(|name| kept.get(name.as_str()).is_some());
        if known { Self::kept(kept) } else { Self::by_name(names) }
    }

    /// Those that a service's versions had when the history was written, as they are kept.
    pub fn kept(slots: VersionSlots) -> Self {
        Self { count: slots.iter().count(), slots }
    }

    /// Slots in the order in which versions are named, where none are kept.
    pub fn by_name<'a>(versions: impl Iterator<Item = &'a VersionName>) -> Self {
        let mut names: Vec<VersionName> = versions.cloned().collect();
        names.sort();
        names.dedup();
        Self::listed(names)
    }

    /// True when there is more than one version: then a bar has a line of its own for all shares in words,
    /// which stays when shares become too narrow or wide enough, so that nothing below it moves.
    pub fn are_several(&self) -> bool {
        self.count > 1
    }

    /// Slots in the order in which they are given.
    pub fn listed(names: impl IntoIterator<Item = VersionName>) -> Self {
        let names: Vec<VersionName> = names.into_iter().collect();
        let slots = VersionSlots::default().with(names.iter()).unwrap_or_default();
        Self { slots, count: names.len() }
    }

    /// The same with one more version after the others, unless it is among them.
    #[must_use]
    pub fn and(mut self, version: &VersionName) -> Self {
        if self.slots.get(version.as_str()).is_none() {
            // None of those that have a slot loses it to a version that is not there yet.
            let known: Vec<VersionName> = self.slots.iter().map(|(name, _)| name.clone()).collect();
            if let Some(slots) = self.slots.with(known.iter().chain([version])) {
                self.slots = slots;
            }
            self.count += 1;
        }
        self
    }

    /// 1 to 4, or 5 for versions without a slot of their own and for strangers. [`FAILS`] is for no version.
    pub fn slot(&self, version: &str) -> u8 {
        self.slots.get(version).unwrap_or(5)
    }
}

/// The slot of requests that no version answers.
pub const FAILS: u8 = 6;
/// The slot of what is no single version, and fails not.
const STRANGER: u8 = 5;

/// What a part of a split is called, and its slot where it is no version.
fn named(lang: Lang, to: &Outcome, slots: &Slots) -> (String, Option<u8>) {
    match to {
        Outcome::Version(version) => (version.to_string(), Some(slots.slot(version.as_str()))),
        Outcome::Several { subset, versions } => {
            let names: Vec<&str> = versions.iter().map(VersionName::as_str).collect();
            (format!("{subset} ({})", names.join(", ")), Some(STRANGER))
        }
        Outcome::Pods => (lang.t("split.pods").into(), Some(STRANGER)),
        Outcome::Host(host) if host == HIDDEN => (lang.t("rules.act.hidden").into(), Some(STRANGER)),
        Outcome::Host(host) => (host_name(host).to_owned(), Some(STRANGER)),
        Outcome::Answer(answer) if answer.name.is_empty() => {
            let text = lang.t(&format!("split.{}", answer.why.as_str())).with("status", answer.status);
            (text.into(), Some(FAILS))
        }
        Outcome::Answer(answer) => {
            let text = lang.t("split.fails").with("v", short(host_name(&answer.name)));
            (text.with("status", answer.status).into(), Some(FAILS))
        }
    }
}

/// What of a split is no version's: `v2 (v2.0, v2.1) 10% · legacy 5%`; empty where versions get all of it.
pub fn rest(lang: Lang, split: &[Part]) -> String {
    // What is spread by pods is in the numbers of the versions.
    let other = |part: &&Part| part.percent > 0 && !matches!(part.to, Outcome::Version(_) | Outcome::Pods);
    let slots = Slots::default();
    let parts = split.iter().filter(other);
    let words: Vec<String> =
        parts.map(|part| format!("{} {}%", named(lang, &part.to, &slots).0, part.percent)).collect();
    words.join(" · ")
}

/// The name of a Service's host without the rest, other hosts as they are.
fn host_name(host: &str) -> &str {
    match host.split_once('.') {
        Some((name, rest)) if rest.contains(".svc.") => name,
        _ => host,
    }
}

/// The bar of what is declared about a service; `None` where its requests are spread by pods, or where several
/// routes split it and none stands for all.
pub fn declared_bar(lang: Lang, item: &Overview) -> Option<Bar> {
    let slots = Slots::of(item);
    let what = lang.t("traffic.declared").to_string();
    let split = &item.routing.split;
    let by_pods = split.iter().all(Part::is_by_pods);
    match item.routing.declared_parts() {
        Some(weights) if by_pods => Some(Bar::whole(&what, &weights, &slots)),
        None if by_pods => None,
        _ => Some(Bar::parts(lang, &what, split, &slots)),
    }
}

/// One part of a bar.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Share {
    pub version: String,
    pub slot: u8,
    /// Whole percent, 0..=100: the width class.
    pub width: u8,
    /// What is written on it: name and number, the number, or nothing, as the width allows.
    pub label: String,
}

/// A bar with its text for people who do not see it.
#[derive(Clone, Debug, PartialEq, Eq, Template)]
#[template(path = "parts/bar.html")]
pub struct Bar {
    /// `Declared: v1 30%, v2 70%`.
    pub text: String,
    pub shares: Vec<Share>,
    pub mini: bool,
    /// All shares in words.
    pub words: String,
    /// The same, when a part is too narrow to carry its own label.
    pub legend: Option<String>,
}

impl HtmlSafe for Bar {}

/// A version's name as it is written beside numbers: long names keep both ends.
pub fn short(name: &str) -> String {
    let letters: Vec<char> = name.chars().collect();
    if letters.len() <= 24 {
        return name.to_owned();
    }
    let head: String = letters[..14].iter().collect();
    let tail: String = letters[letters.len() - 8..].iter().collect();
    format!("{head}…{tail}")
}

/// `v1 30% · v2 70%`, versions at 0 left out unless that leaves nothing.
pub fn in_words(weights: &[(VersionName, u8)]) -> String {
    let some: Vec<String> = weights
        .iter()
        .filter(|(_, weight)| *weight > 0)
        .map(|(name, weight)| format!("{} {weight}%", short(name.as_str())))
        .collect();
    some.join(" · ")
}

impl Bar {
    /// A bar of declared (whole) percents. `what` leads the text (`Declared`).
    pub fn whole(what: &str, weights: &[(VersionName, u8)], slots: &Slots) -> Self {
        let parts: Vec<(&str, f64, String)> = weights
            .iter()
            .map(|(name, weight)| (name.as_str(), f64::from(*weight), format!("{weight}%")))
            .collect();
        Self::build(what, &parts, slots)
    }

    /// A bar of all that becomes of requests: versions, other hosts, and what the proxy answers by itself.
    pub fn parts(lang: Lang, what: &str, split: &[Part], slots: &Slots) -> Self {
        let names: Vec<(String, Option<u8>)> =
            split.iter().map(|part| named(lang, &part.to, slots)).collect();
        let parts: Vec<(&str, f64, String)> = split
            .iter()
            .zip(&names)
            .map(|(part, (name, _))| (name.as_str(), f64::from(part.percent), format!("{}%", part.percent)))
            .collect();
        let mut bar = Self::build(what, &parts, slots);
        for share in &mut bar.shares {
            if let Some((_, Some(slot))) = names.iter().find(|(name, _)| *name == share.version) {
                share.slot = *slot;
            }
        }
        bar
    }

    /// A bar of observed shares in percent, with one decimal.
    pub fn observed(what: &str, shares: &[(VersionName, f64)], slots: &Slots) -> Self {
        let parts: Vec<(&str, f64, String)> =
            shares.iter().map(|(name, share)| (name.as_str(), *share, format!("{share:.1}%"))).collect();
        Self::build(what, &parts, slots)
    }

    /// The same bar, small and without labels, for tables.
    #[must_use]
    pub fn small(mut self) -> Self {
        self.mini = true;
        self.legend = None;
        for share in &mut self.shares {
            share.label.clear();
        }
        self
    }

    fn build(what: &str, parts: &[(&str, f64, String)], slots: &Slots) -> Self {
        let seen: Vec<&(&str, f64, String)> = parts.iter().filter(|(_, percent, _)| *percent > 0.0).collect();
        let list = |between: &str| {
            let words: Vec<String> =
                seen.iter().map(|(name, _, number)| format!("{name} {number}")).collect();
            words.join(between)
        };
        let text = if what.is_empty() { list(", ") } else { format!("{what}: {}", list(", ")) };
        let mut crowded = false;
        let shares = seen
            .iter()
            .map(|(name, percent, number)| {
                let label = fitting_label(name, number, *percent);
                crowded |= !label.starts_with(*name);
                Share { version: (*name).to_owned(), slot: slots.slot(name), width: width(*percent), label }
            })
            .collect();
        let words = list(" · ");
        Self { text, shares, mini: false, legend: crowded.then(|| words.clone()), words }
    }
}

/// The width class of a share: every share above zero is at least 1, so that it can be seen.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "clamped to 1..=100 before the cast"
)]
fn width(percent: f64) -> u8 {
    percent.round().clamp(1.0, 100.0) as u8
}

/// What fits on a part of a bar on the narrowest screen (about 330 px wide, 7 px a letter).
fn fitting_label(name: &str, number: &str, percent: f64) -> String {
    let room = percent * 3.3 - 12.0;
    let full = format!("{name} {number}");
    let needs = |text: &str| f64::from(u32::try_from(text.chars().count()).unwrap_or(u32::MAX)) * 7.0;
    if needs(&full) <= room {
        full
    } else if needs(number) <= room + 6.0 {
        number.to_owned()
    } else {
        String::new()
    }
}
