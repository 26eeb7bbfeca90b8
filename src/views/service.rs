//! The page of one service, `/services/{ns}/{name}`: traffic, versions with their weights, rules, mirror,
//! routing objects, history, and the pending change beside them.
//!
//! `web` renders the page whole; live updates render [`Declared`], [`ObservedLine`], [`Facts`],
//! [`super::versions::VersionLive`] alone; a preview answers with [`super::pending::PendingFragment`].

use askama::Template;

use crate::domain::ids::{ObjectRef, Revision, VersionName};
use crate::domain::overview::{Detail, Overview};
use crate::domain::refusal::{Check, Code, Refusal, Severity};
use crate::domain::routing::{HIDDEN, Part, Rule, Weights};
use crate::domain::split::Split;

use super::audit::HistoryRow;
use super::bars::{Slots, in_words};
use super::chrome::{Chrome, Notice, Off, Tone};
use super::findings::Findings;
use super::lang::{Lang, Rich};
use super::pending::{Case, Pending, Place};
use super::query::{Address, segment, service_path};
use super::rules::{CardOf, RuleEditor, RulesCard};
use super::service_release;
use super::text;
use super::time::Clockface;
use super::traffic::{Declared, Facts, ObservedLine, ProgressLine, Verdict};
use super::versions::{Controls, VersionRow};

/// The whole page.
#[derive(Debug, Template)]
#[template(path = "service.html")]
pub struct ServicePage {
    pub chrome: Chrome,
    pub namespace: String,
    pub name: String,
    /// `/services/ns/name`.
    pub path: String,
    /// The wizard for this service, and the list of its releases.
    pub start: String,
    pub releases: String,
    pub facts: Facts,
    pub progress: Option<ProgressLine>,
    /// Why this person can change nothing here, if so.
    pub denied: Option<Notice>,
    /// The release that moves the service, or went back and left it as it is.
    pub release: Option<Notice>,
    /// That the change of the address is in force already.
    pub already: Option<Notice>,
    pub findings: Findings,
    pub routes: Vec<RouteChoice>,
    pub route: String,
    pub declared: Declared,
    pub observed: ObservedLine,
    pub verdict: Verdict,
    pub rows: Vec<VersionRow>,
    pub can_change: bool,
    /// Why nothing can be changed, on every control that is disabled because of it; empty = it can.
    pub why_not: String,
    pub total: String,
    /// What of the route is no version's, in words; empty where versions get all of it.
    pub rest: String,
    /// What is wrong with the numbers.
    pub weights_error: Option<String>,
    pub reason: String,
    pub reason_error: Option<String>,
    pub pending: Pending,
    pub rules: RulesCard,
    pub mirror: MirrorCard,
    /// Each with the address of its live YAML; `None` = this person may not get it.
    pub objects: Vec<(&'static str, String, Option<String>)>,
    pub history: Vec<HistoryRow>,
    /// What *switch back* makes, in words, and its dialog.
    pub back: Option<(String, String)>,
    /// The way back to what was there before the first change from here: what that was, and the dialog.
    pub origin: Option<(String, Option<String>)>,
}

/// One of several routes that could be shifted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RouteChoice {
    pub id: String,
    pub label: String,
    pub chosen: bool,
}

/// Where copies of requests go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MirrorCard {
    pub on: Option<Rich>,
    /// Version, and whether it is the chosen one.
    pub choices: Vec<(String, bool)>,
    pub percent: String,
    pub can_change: bool,
    pub error: Option<String>,
    /// A mirror to somewhere that is no version of this service.
    pub foreign: bool,
}

/// What the person typed, or asked for, before the page is shown. Everything empty = nothing is pending.
#[derive(Clone, Debug, Default)]
pub struct Typed {
    /// The route that was chosen; empty = the default one.
    pub route: String,
    /// Fields `w.VERSION` as they were sent.
    pub weights: Vec<(String, String)>,
    pub rules: Option<Vec<Rule>>,
    /// `Some("")` = no person.
    pub mirror: Option<String>,
    pub mirror_percent: Option<String>,
    pub reason: String,
    /// The revision that the form stood on; `None` = the present one.
    pub base_revision: Option<Revision>,
    /// The rule editor that is open.
    pub editor: Option<RuleEditor>,
    /// The change of the address is in force already.
    pub already: bool,
    /// What was wrong with the last press on a rule's button.
    pub rule_refusal: Option<Refusal>,
}

/// What came of the last press on Check or Apply.
pub struct Outcome<'a> {
    pub case: Case<'a>,
    /// A refusal that belongs to a field, to be shown at that field.
    pub refusal: Option<&'a Refusal>,
    pub request_id: String,
    pub progress: Option<ProgressLine>,
}

impl ServicePage {
    /// The page for a service as it stands, with what was typed and what came of it.
    pub fn of(chrome: Chrome, detail: &Detail, typed: Typed, outcome: Outcome<'_>) -> Self {
        let (lang, item) = (chrome.lang(), &detail.overview);
        let at = item.at();
        let (namespace, name) = (at.namespace.to_string(), at.name.to_string());
        let path = service_path(&namespace, &name);
        let slots = Slots::of(item);
        let findings = Findings::of(chrome.clock, item);
        let barrier = item.barrier().map(|finding| text::check(lang, finding).text.to_string());
        let why_not =
            detail.rights.change.as_ref().map(|why| text::refusal(lang, why).text.to_string()).or(barrier);
        let (can_change, why_not) = (why_not.is_none(), why_not.unwrap_or_default());
        let weights = now(item, &typed.route);
        let parts = parts(item, &typed.route);
        let refused_field = outcome.refusal.and_then(|refusal| refusal.field.as_deref()).unwrap_or_default();
        let said = |field: &str| {
            outcome
                .refusal
                .filter(|_| {
                    refused_field == field
                        || refused_field.strip_prefix(field).is_some_and(|rest| rest.starts_with('.'))
                })
                .map(|refusal| text::refusal(lang, refusal).text.to_string())
        };
        let wrong = outcome
            .refusal
            .and_then(|no| no.args.iter().find(|(arg, _)| arg == "v").map(|(_, v)| v.as_str()));
        let rows = VersionRow::all(
            lang,
            item,
            &Controls {
                path: &path,
                can_change,
                why_not: &why_not,
                parts,
                now: &weights,
                stable: detail.stable.as_ref(),
                retire: &detail.retire,
                typed: &typed.weights,
                wrong: wrong.filter(|_| refused_field.starts_with("weights")),
            },
        );
        let sum: i64 = rows.iter().filter_map(|row| row.value.trim().parse::<i64>().ok()).sum();
        let place = Place {
            clock: chrome.clock,
            path: &path,
            service: &name,
            slots: &slots,
            base_revision: typed.base_revision.unwrap_or(item.revision),
            request_id: outcome.request_id,
            link: super::review_link::link(item, &typed),
        };
        let rules = RulesCard::of(
            lang,
            CardOf {
                path: &path,
                slots: &slots,
                declared: &item.routing.rules,
                edited: typed.rules.as_deref(),
                by_pods: item.is_by_pods(),
                can_change,
                why_not: &why_not,
                hits: detail.hits.as_ref(),
                editor: typed.editor,
                refusal: typed.rule_refusal.as_ref(),
            },
        );
        let mirror = MirrorCard::of(
            lang,
            item,
            can_change,
            typed.mirror.as_deref(),
            typed.mirror_percent,
            said("mirror"),
        );
        Self {
            start: Address::new("/releases/new").with("service", at).to_string(),
            releases: Address::new("/releases").with("service", at).to_string(),
            facts: Facts::of(chrome.clock, chrome.now_ms, item),
            progress: outcome.progress,
            denied: detail.rights.change.as_ref().and_then(|why| denied(chrome.clock, why, detail)),
            already: typed.already.then(|| already(&chrome, item)),
            release: detail.release.as_ref().map(|story| service_release::notice(chrome.clock, story)),
            findings,
            routes: routes(lang, item, &typed.route),
            route: typed.route,
            declared: Declared::of(lang, item),
            observed: ObservedLine::of(lang, item),
            verdict: Verdict::of(lang, item),
            rows,
            can_change,
            why_not,
            total: sum.to_string(),
            rest: super::bars::rest(lang, parts),
            weights_error: said("weights"),
            reason: typed.reason,
            reason_error: said("reason"),
            pending: Pending::of(&place, outcome.case),
            rules,
            mirror,
            objects: objects(lang, &path, detail),
            history: detail
                .history
                .iter()
                .map(|entry| HistoryRow::of(&chrome, entry, item.revision, &detail.unchanged))
                .collect(),
            back: detail
                .back
                .as_ref()
                .map(|back| (service_release::back_label(lang, back), back_href(&path, back.revision)))
                .or_else(|| detail.undo.as_ref().map(|release| service_release::undo(lang, release))),
            origin: detail.origin.as_ref().map(|weights| {
                let was = if weights.is_empty() { lang.t("split.pods").into() } else { in_words(weights) };
                (was, (!detail.unchanged.contains(&0)).then(|| back_href(&path, 0)))
            }),
            namespace,
            name,
            path,
            chrome,
        }
    }
}

impl ServicePage {
    /// What a control says of itself when nothing can be changed.
    fn off(&self) -> Off<'_> {
        Off((!self.can_change).then_some(self.why_not.as_str()))
    }
}

/// The routing objects, each with where its live YAML is.
fn objects(lang: Lang, path: &str, detail: &Detail) -> Vec<(&'static str, String, Option<String>)> {
    let of = |object: &ObjectRef| {
        let (namespace, name) = (segment(object.namespace.as_str()), segment(&object.name));
        let href = format!("{path}/objects/{}/{namespace}/{name}", object.kind.as_str());
        let shown = format!("{}/{}", object.namespace, object.name);
        let shown = text::named(lang, &shown).into_owned();
        (object.kind.as_str(), shown, (!detail.unread.contains(object)).then_some(href))
    };
    detail.overview.routing.objects.iter().map(of).collect()
}

/// The dialog (and page) that switches back to a revision.
pub fn back_href(path: &str, revision: Revision) -> String {
    Address::new(format!("{path}/traffic/switch-back")).with("revision", revision).to_string()
}

/// What the page says instead of a pending change that was applied already, with the latest change.
fn already(chrome: &Chrome, item: &Overview) -> Notice {
    let lang = chrome.lang();
    let text = match item.last.as_ref().filter(|_| item.revision > 0) {
        Some(last) => {
            let when = format!("{} {}", chrome.clock.exact(last.at_ms), chrome.clock.zone());
            lang.t("service.already_by").with("who", &last.by).with("n", item.revision).with("time", when)
        }
        None => lang.t("service.already"),
    };
    Notice { icon: "ok", ..Notice::new(Tone::Info, text.rich()) }
}

/// Why the person may not change the service. Shown as a fact, not as an alarm. A release that
/// controls the weights is one press away; where the page shows it, the reason is shown there.
fn denied(clock: Clockface, why: &Refusal, detail: &Detail) -> Option<Notice> {
    let id = why.args.iter().find(|(name, _)| name == "id").map(|(_, id)| id.as_str());
    if why.code == Code::ReleaseOwnsService && detail.release.is_some() {
        return None;
    }
    Some(refusal_notice(clock, why, id))
}

fn refusal_notice(clock: Clockface, why: &Refusal, id: Option<&str>) -> Notice {
    if let Some(id) = id.filter(|_| why.code == Code::ReleaseOwnsService) {
        let lang = clock.lang;
        return Notice {
            icon: "release",
            link: Some((format!("/releases/{id}"), lang.t("releases.see").with("id", id).into())),
            ..Notice::new(Tone::Info, lang.t("releases.controls").with("id", id).rich())
        };
    }
    let fact = Check { code: why.code, severity: Severity::Info, args: why.args.clone() };
    let said = Notice { icon: "lock", ..text::notice(clock, &fact) };
    if why.code != Code::Forbidden {
        return said;
    }
    let value = |name: &str| why.args.iter().find(|(arg, _)| arg == name).map_or("–", |(_, value)| value);
    let text = ["svc", "verb", "resource", "ns"]
        .into_iter()
        .fold(clock.lang.t("service.denied"), |text, name| text.with(name, value(name)));
    Notice { text: text.rich(), ..said }
}

/// Percents now, for every version: declared on the chosen route, else by ready pods. What is observed is not what is
/// declared, and is never shown as that.
pub fn now(item: &Overview, route: &str) -> Weights {
    let chosen = item.routing.routes.iter().find(|one| one.id.as_str() == route);
    let declared = chosen.map_or_else(|| item.routing.declared(), crate::domain::routing::Route::weights);
    let names = || item.snapshot.versions.iter().map(|version| version.name.clone());
    if let Some(weights) = declared {
        let of = |name: &VersionName| {
            weights.iter().find(|(other, _)| other == name).map_or(0, |(_, weight)| *weight)
        };
        return names().map(|name| (of(&name), name)).map(|(weight, name)| (name, weight)).collect();
    }
    let by_pods = match &chosen.map_or(&item.routing.split, |route| &route.parts)[..] {
        [] => 100,
        parts => parts.iter().filter(|part| part.is_by_pods()).map(|part| part.percent).sum(),
    };
    let pods: Vec<(VersionName, u64)> = item
        .snapshot
        .versions
        .iter()
        .map(|version| (version.name.clone(), u64::from(version.ready)))
        .collect();
    let share = |weight: u8| u8::try_from(u32::from(weight) * u32::from(by_pods) / 100).unwrap_or(weight);
    Split::rounded(&pods).map_or_else(
        || names().map(|name| (name, 0)).collect(),
        |split| Weights::from(split).into_iter().map(|(name, weight)| (name, share(weight))).collect(),
    )
}

/// What becomes of the requests of the chosen route, or of all that no rule takes.
fn parts<'a>(item: &'a Overview, route: &str) -> &'a [Part] {
    let chosen = item.routing.routes.iter().find(|one| one.id.as_str() == route);
    chosen.map_or(&item.routing.split, |route| &route.parts)
}

fn routes(lang: Lang, item: &Overview, chosen: &str) -> Vec<RouteChoice> {
    let undecided = item.routing.is_undecided();
    let shiftable: Vec<_> = item
        .routing
        .routes
        .iter()
        .filter(|route| {
            route.fixed.is_none() && (route.weights().is_some() || (undecided && route.reaches()))
        })
        .collect();
    if shiftable.len() < 2 && !undecided {
        return Vec::new();
    }
    let label = |route: &crate::domain::routing::Route| {
        // A name that was made here says nothing: the conditions do.
        let rule = item.routing.rules.iter().find(|rule| rule.id.as_ref() == Some(&route.id));
        let conditions = || {
            let words =
                rule.map(|rule| super::rule_words::when(lang, rule)).filter(|words| !words.is_empty());
            words.unwrap_or_else(|| format!("#{}", route.index + 1))
        };
        let given = route.name.clone().filter(|name| !crate::domain::rule_changes::is_made(name));
        let name = given.unwrap_or_else(conditions);
        let port = route.port.map(|port| format!(" :{port}")).unwrap_or_default();
        let holder = if route.object.namespace.as_str() == HIDDEN { HIDDEN } else { &*route.object.name };
        let holder = text::named(lang, holder);
        let text = format!("{holder} · {} {name}{port}", route.kind.as_str().to_uppercase());
        if route.is_default { lang.t("service.route_default").with("route", text).into() } else { text }
    };
    let ask = (undecided && chosen.is_empty()).then(|| RouteChoice {
        id: String::new(),
        label: lang.t("service.route_choose").into(),
        chosen: true,
    });
    let routes = shiftable.into_iter().map(|route| RouteChoice {
        id: route.id.to_string(),
        label: label(route),
        chosen: if chosen.is_empty() { route.is_default } else { route.id.as_str() == chosen },
    });
    ask.into_iter().chain(routes).collect()
}

impl MirrorCard {
    fn of(
        lang: Lang,
        item: &Overview,
        can_change: bool,
        typed: Option<&str>,
        typed_percent: Option<String>,
        error: Option<String>,
    ) -> Self {
        let declared = item.routing.mirror.as_ref();
        let target = declared.and_then(|mirror| mirror.version()).map(ToString::to_string);
        let chosen = typed.map(ToOwned::to_owned).or_else(|| target.clone()).unwrap_or_default();
        let percent = declared.map(|mirror| text::percent(mirror.percent));
        let on = declared.map(|mirror| {
            let version = target.clone().unwrap_or_else(|| lang.t("mirror.elsewhere").into());
            lang.t("mirror.on").with("v", version).with("n", text::percent(mirror.percent)).rich()
        });
        let choice = |version: &crate::domain::service::Version| {
            (version.name.to_string(), version.name.as_str() == chosen)
        };
        Self {
            on,
            choices: item.snapshot.versions.iter().map(choice).collect(),
            percent: typed_percent.or(percent).unwrap_or_else(|| "10".to_owned()),
            can_change,
            error,
            foreign: declared.is_some() && target.is_none(),
        }
    }
}
