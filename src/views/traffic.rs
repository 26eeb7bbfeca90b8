//! The traffic card of the service page: who and what the service is, the declared and observed bars, and
//! how far the last change has come. Every struct here is a live region of its own.

use askama::Template;
use askama::filters::HtmlSafe;

use crate::domain::agreement::{Agreement, Beside};
use crate::domain::ids::Revision;
use crate::domain::observed::Observed;
use crate::domain::overview::{Overview, State};
use crate::domain::progress::{Progress, SoFar};
use crate::domain::service::{Protocol, Version};

use super::bars::{Bar, Slots, declared_bar, in_words, short};
use super::chrome::{Chip, Tone};
use super::figures::{rate, thousands};
use super::lang::Lang;

use super::time::{Clockface, Moment, lasted, span};

/// The line under the name: protocol, object, revision, last change, state.
#[derive(Clone, Debug, PartialEq, Eq, Template)]
#[template(path = "parts/facts.html")]
pub struct Facts {
    pub lang: Lang,
    pub ports: String,
    pub object: Option<(String, String)>,
    pub revision: Revision,
    pub last: Option<(Moment, String)>,
    pub state: Chip,
    /// The versions with pods or a workload: the page is taken whole when one comes or goes.
    pub versions: String,
    /// The release that moves it: address and number.
    pub release: Option<(String, String)>,
}

impl HtmlSafe for Facts {}

/// The first bar: what the routing objects say.
#[derive(Clone, Debug, PartialEq, Eq, Template)]
#[template(path = "parts/declared.html")]
pub struct Declared {
    pub lang: Lang,
    pub bar: Option<Bar>,
    /// Where nothing is declared: how pods spread the requests.
    pub spread: String,
    /// The rules and the mirror that are in force besides the split; empty = none.
    pub besides: String,
    pub revision: Revision,
}

impl HtmlSafe for Declared {}

/// The second bar: what the metrics show, with window and sample size.
#[derive(Clone, Debug, PartialEq, Eq, Template)]
#[template(path = "parts/observed.html")]
pub struct ObservedLine {
    pub lang: Lang,
    pub bar: Option<Bar>,
    /// Why there is no bar.
    pub none: String,
    pub sample: String,
    /// All shares in words; `Some` of nothing keeps the line's place.
    pub legend: Option<String>,
}

impl HtmlSafe for ObservedLine {}

/// Whether the second bar fits the first, and how many requests there are.
#[derive(Clone, Debug, PartialEq, Eq, Template)]
#[template(path = "parts/verdict.html")]
pub struct Verdict {
    pub chip: Option<Chip>,
    /// The longest text that the chip may get while figures arrive: its place is kept from the start, so that
    /// a comparison that comes out otherwise moves nothing.
    pub longest: String,
    pub rate: Option<String>,
}

impl HtmlSafe for Verdict {}

/// How far a change has come: accepted, written, seen.
#[derive(Clone, Debug, PartialEq, Eq, Template)]
#[template(path = "parts/progress.html")]
pub struct ProgressLine {
    pub lang: Lang,
    pub revision: Revision,
    pub steps: Vec<Stage>,
}

impl HtmlSafe for ProgressLine {}

/// One step of it. What is done has its time of day, with the exact moment behind it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stage {
    pub text: String,
    pub done: Option<Moment>,
}

impl Facts {
    pub fn of(clock: Clockface, now_ms: i64, item: &Overview) -> Self {
        let service = &item.snapshot.service;
        let port = |port: &crate::domain::service::Port| {
            let protocol = match port.protocol {
                Protocol::Http => "HTTP",
                Protocol::Tcp => "TCP",
                Protocol::Tls => "TLS",
                Protocol::Udp => "UDP",
                // HTTP or TCP, connection by connection.
                Protocol::Auto => "HTTP/TCP",
            };
            format!("{protocol} {}", port.number)
        };
        let ports: Vec<String> = service.ports.iter().map(port).collect();
        let object = item.routing.default_route().or(item.routing.routes.first()).map(|route| {
            let at = &route.object;
            let name = if at.namespace == service.at.namespace {
                at.name.to_string()
            } else {
                format!("{}/{}", at.namespace, at.name)
            };
            (at.kind.as_str().to_owned(), name)
        });
        // What has no workload any more is being deleted: its buttons go with it.
        let one = |version: &Version| {
            let mark = if version.workloads.is_empty() { "-" } else { "" };
            format!("{}{mark}", version.name)
        };
        Self {
            lang: clock.lang,
            ports: ports.join(" · "),
            object,
            revision: item.revision,
            last: item.last.as_ref().map(|last| (clock.moment(last.at_ms, now_ms), last.by.clone())),
            state: super::service_release::state(clock.lang, item),
            versions: item.snapshot.versions.iter().map(one).collect::<Vec<_>>().join(" "),
            release: item.release.map(|one| (format!("/releases/{}", one.id), one.id.to_string())),
        }
    }
}

impl Declared {
    pub fn of(lang: Lang, item: &Overview) -> Self {
        let bar = declared_bar(lang, item);
        let spread = if bar.is_some() {
            String::new()
        } else if item.state == State::NotRoutable {
            lang.t("traffic.nothing").into()
        } else if item.routing.is_undecided() {
            lang.t("traffic.by_route").into()
        } else {
            let now = super::service::now(item, "");
            lang.t("traffic.by_pods_about").with("split", in_words(&now)).into()
        };
        Self { lang, bar, spread, besides: besides(lang, item), revision: item.revision }
    }
}

/// *2 match rules · 25% mirrored to v2*: what is in force besides the split. Empty when nothing is.
pub fn besides(lang: Lang, item: &Overview) -> String {
    let routing = &item.routing;
    let rules =
        (!routing.rules.is_empty()).then(|| lang.count("rules.in_force", routing.rules.len()).to_string());
    let mirror = routing.mirror.as_ref().map(|mirror| {
        let elsewhere = lang.t("mirror.elsewhere").to_string();
        let version = mirror.version().map_or(elsewhere, |version| short(version.as_str()).clone());
        let percent = super::text::percent(mirror.percent);
        lang.t("mirror.on").with("v", version).with("n", percent).to_string()
    });
    rules.into_iter().chain(mirror).collect::<Vec<_>>().join(" · ")
}

impl ObservedLine {
    pub fn of(lang: Lang, item: &Overview) -> Self {
        let Some(seen) = &item.observed else {
            return Self {
                lang,
                bar: None,
                none: lang.t("traffic.no_metrics").into(),
                sample: String::new(),
                legend: None,
            };
        };
        let slots = Slots::of(item);
        let window = span(lang, i64::from(seen.window_s) * 1_000);
        let what = lang.t("traffic.observed_in").with("window", &window).to_string();
        let shares: Vec<_> = item
            .snapshot
            .versions
            .iter()
            .filter_map(|version| Some((version.name.clone(), seen.share(version.name.as_str())?)))
            .collect();
        let some = seen.requests() > 0.0;
        let sample = lang.t("traffic.sample").with("window", &window).with("n", thousands(seen.requests()));
        let bar = some.then(|| Bar::observed(&what, &shares, &slots));
        let rest = nobody(lang, item, seen);
        let words =
            |bar: &Bar| if rest.is_empty() { bar.words.clone() } else { format!("{} · {rest}", bar.words) };
        Self {
            lang,
            legend: slots.are_several().then(|| bar.as_ref().map(words).unwrap_or_default()),
            bar,
            none: lang.t("traffic.no_requests").into(),
            sample: sample.into(),
        }
    }
}

/// Requests that none of the versions took, in words: those without an answer, and others (a version
/// that is gone). Empty when there are none to speak of.
fn nobody(lang: Lang, item: &Overview, seen: &Observed) -> String {
    let known = |name: &str| item.snapshot.versions.iter().any(|version| version.name.as_str() == name);
    let (mut unanswered, mut others) = (0.0, 0.0);
    for one in seen.versions.iter().filter(|one| !known(one.version.as_str())) {
        let share = one.requests * 100.0 / seen.requests().max(1.0);
        *(if one.version.as_str() == "unknown" { &mut unanswered } else { &mut others }) += share;
    }
    let say = |key: &str, share: f64| (share >= 0.05).then(|| format!("{} {share:.1}%", lang.t(key)));
    let all: Vec<String> =
        say("traffic.nobody", unanswered).into_iter().chain(say("traffic.others", others)).collect();
    all.join(" · ")
}

impl Verdict {
    pub fn of(lang: Lang, item: &Overview) -> Self {
        let seen = item.observed.as_ref().filter(|seen| seen.requests() > 0.0);
        let rate = seen.map(|seen| lang.t("traffic.rate").with("n", rate(seen.rate())).into());
        Self { chip: verdict(lang, item), longest: longest(lang, item), rate }
    }
}

/// True when requests were seen to follow the change that made the present revision.
fn is_seen(item: &Overview) -> bool {
    let progress = item.progress.as_ref().filter(|progress| progress.revision == item.revision);
    progress.is_some_and(|progress| progress.steps.seen_ms.is_some())
}

/// The longest text that [`verdict`] has for a service with this configuration.
fn longest(lang: Lang, item: &Overview) -> String {
    let always =
        ["drift", "too_few", "match", "settling"].map(|key| lang.t(&format!("traffic.{key}")).into());
    let beside = Beside::of(&item.routing).map(|beside| not_judged(lang, beside));
    let all = always.into_iter().chain([catching_up(lang, item)]).chain(beside);
    all.max_by_key(|text: &String| text.chars().count()).unwrap_or_default()
}

fn not_judged(lang: Lang, beside: Beside) -> String {
    lang.t(&format!("traffic.not_judged.{}", beside.as_str())).into()
}

/// Requests follow already; the window reaches back to before the change.
fn catching_up(lang: Lang, item: &Overview) -> String {
    let seconds = item.observed.as_ref().map_or(60, |seen| seen.window_s);
    lang.t("traffic.catching_up").with("window", span(lang, i64::from(seconds) * 1_000)).into()
}

fn verdict(lang: Lang, item: &Overview) -> Option<Chip> {
    Some(match Agreement::of(item)? {
        Agreement::Differs => Chip::new(Tone::Warn, "warn", lang.t("traffic.drift")),
        Agreement::Few => Chip::new(Tone::Line, "", lang.t("traffic.too_few")),
        Agreement::Agrees => Chip::new(Tone::Plain, "ok", lang.t("traffic.match")),
        Agreement::Settling if is_seen(item) => Chip::new(Tone::Info, "ok", catching_up(lang, item)),
        Agreement::Settling => Chip::new(Tone::Info, "clock", lang.t("traffic.settling")),
        Agreement::NotJudged(beside) => Chip::new(Tone::Line, "", not_judged(lang, beside)),
    })
}

impl ProgressLine {
    /// The three steps, each with how long it took from the moment at which it was asked for.
    pub fn of(clock: Clockface, now_ms: i64, progress: &Progress) -> Self {
        let lang = clock.lang;
        let steps = &progress.steps;
        let done = |key: &str, at_ms: i64| {
            let exact = clock.moment(at_ms, now_ms);
            let done = Some(Moment { ago: clock.second(at_ms), ..exact });
            let text = lang.t(key).with("t", lasted(lang, at_ms - steps.begun_ms)).to_string();
            Stage { text, done }
        };
        let version = steps.by.as_ref().map_or("", |(version, _)| version.as_str());
        let figures = |key: &str, share: f64, low: f64, high: f64| {
            lang.t(key)
                .with("v", short(version))
                .with("share", format!("{share:.1}"))
                .with("low", format!("{low:.1}"))
                .with("high", format!("{high:.1}"))
                .to_string()
        };
        let waits = match progress.so_far {
            None => lang.t("progress.unseen").to_string(),
            Some(SoFar::Blind) => lang.t("progress.blind").into(),
            Some(SoFar::Unmoved) => lang.t("progress.unmoved").into(),
            Some(SoFar::NotJudged(beside)) => {
                lang.t(&format!("progress.not_judged.{}", beside.as_str())).into()
            }
            Some(SoFar::Few { requests }) => lang.t("progress.few").with("n", thousands(requests)).into(),
            Some(SoFar::NotYet { share, low, high }) => figures("progress.not_yet", share, low, high),
            Some(SoFar::Yes { share, low, high }) => figures("progress.seen", share, low, high),
        };
        let seen = match steps.seen_ms {
            None => Stage { text: waits, done: None },
            Some(at_ms) => {
                let stage = done("progress.seen_after", at_ms);
                let yes = matches!(progress.so_far, Some(SoFar::Yes { .. }));
                Stage { text: if yes { format!("{} · {waits}", stage.text) } else { stage.text }, ..stage }
            }
        };
        let accepted = done("progress.accepted", steps.accepted_ms);
        let written = done("progress.written", steps.written_ms);
        Self { lang, revision: progress.revision, steps: vec![accepted, written, seen] }
    }
}
