//! The shapes of services and their parts, and how the words of the domain become them. Portals program
//! against these: fields may be added, none is renamed or removed.

use serde::Serialize;
use utoipa::ToSchema;
use utoipa::openapi::schema::{Array, ArrayBuilder, Ref};

use super::progress::Progress;
use super::split_shape::{Agreement, Scope};
use super::values::{Check, Shares, Weights, moment, rounded};
use super::waiting::WaitingPod;
use crate::domain::ids::VersionName;
use crate::domain::overview::{self, ListPage, Overview};
use crate::domain::routing::{self as words, Dest, Outcome, Subject};
use crate::views::lang::Lang;

/// One service.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Service {
    pub namespace: String,
    pub name: String,
    /// `broken`, `last_failed`, `failing`, `drift`, `answered`, `changed_outside`, `not_routable`, `spread_by_pods`, `steady`.
    #[schema(value_type = String, example = "steady")]
    pub state: &'static str,
    /// Grows with every applied change and every change from outside.
    pub revision: u64,
    /// Why the state is what it is comes first.
    pub findings: Vec<Check>,
    /// Oldest first.
    pub versions: Vec<Version>,
    /// Every place where the service's traffic is split.
    pub routes: Vec<Route>,
    /// Percents of the default route for every version; null where requests are spread by pods. Versions that are
    /// only reached by a shared subset are left out: their number is not declared. What is missing to 100 goes to no
    /// version of its own: `split` says where.
    #[schema(required = true)]
    pub declared: Option<Weights>,
    /// What the default route sends to subsets that hold several versions: no version's number is in it.
    pub declared_shared: Vec<Shared>,
    /// For whom `declared` holds; null where it is null.
    #[schema(required = true)]
    pub declared_for: Option<Scope>,
    /// All that becomes of the requests that no rule takes, in whole percents that sum to 100: versions, other
    /// hosts, and what the proxy answers by itself. Empty where requests are spread by pods, or where several
    /// routes split them and none stands for all.
    pub split: Vec<Part>,
    /// What the metrics show; null without metrics or requests.
    #[schema(required = true)]
    pub observed: Option<Shares>,
    /// How `observed` compares with `declared`; null without either.
    #[schema(required = true)]
    pub agreement: Option<Agreement>,
    /// First match wins; what no rule matches is split as declared.
    pub rules: Vec<Rule>,
    #[schema(required = true)]
    pub mirror: Option<Mirror>,
    /// Figures of the window that `observed` comes from.
    #[schema(required = true)]
    pub figures: Option<Figures>,
    #[schema(required = true)]
    pub last_change: Option<LastChange>,
    /// How far the change has come that made this revision; null when it was not made here.
    #[schema(required = true)]
    pub progress: Option<Progress>,
    /// The release that moves its traffic now; changes of its weights are refused meanwhile.
    #[schema(required = true)]
    pub release: Option<Moving>,
}

/// A share that goes to several versions at once.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Shared {
    pub subset: String,
    pub versions: Vec<String>,
    /// Percent of the route.
    pub percent: u8,
}

/// A release that moves a service's traffic.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Moving {
    #[schema(example = "R-12")]
    pub id: String,
    /// `running`, `promoting`, `paused`, `finalising` or `aborting`.
    #[schema(value_type = String, example = "running")]
    pub phase: &'static str,
    /// What the new version gets of all requests.
    #[schema(minimum = 0, maximum = 100)]
    pub percent: u8,
}

/// The workloads behind a service that share a version.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Version {
    #[schema(example = "v1")]
    pub version: String,
    pub image: String,
    /// Pods that take traffic now.
    pub ready: u32,
    pub total: u32,
    /// Why a pod is not ready, in the cluster's words.
    #[schema(required = true)]
    pub cause: Option<String>,
    /// Pods that are not ready, at most 5.
    pub waiting: Vec<WaitingPod>,
}

/// One place where traffic is split.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Route {
    /// Goes into `route` of a change. Of an object that you may not get, `hidden` and a number; its hosts, gateways
    /// and other destinations are `hidden`.
    pub id: String,
    /// The kind of object that holds it.
    #[schema(value_type = String, example = "VirtualService")]
    pub kind: &'static str,
    pub namespace: String,
    pub name: String,
    #[schema(value_type = String, example = "http")]
    pub protocol: &'static str,
    pub hosts: Vec<String>,
    pub gateways: Vec<String>,
    #[schema(required = true)]
    pub port: Option<u32>,
    /// True for the route that a change without `route` means.
    pub default: bool,
    /// Null when the route does not choose among versions.
    #[schema(required = true)]
    pub weights: Option<Weights>,
    /// Percent that leaves for other hosts.
    pub foreign_percent: u8,
    /// All that becomes of its requests, in whole percents that sum to 100; empty when it sends them nowhere.
    pub split: Vec<Part>,
}

/// A part of what becomes of requests.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Part {
    /// `version`, `versions` (spread by pods among them), `pods` (spread by pods among all), `host` (another host),
    /// or `answer` (the proxy answers by itself).
    #[schema(value_type = String, example = "version")]
    pub to: &'static str,
    #[schema(minimum = 0, maximum = 100)]
    pub percent: u8,
    /// The version, the subset that holds several, the host, or who was meant by what the proxy answers; null where
    /// nobody was.
    #[schema(required = true)]
    pub name: Option<String>,
    /// For `versions`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub versions: Vec<String>,
    /// For `answer`: the status that callers get.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// For `answer`: Envoy's response flag, `-` where it has none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub flag: Option<String>,
    /// For `answer`: `fault`, `redirect`, `direct_response`, `no_subset`, `no_host`, `no_port`, `no_pods` or
    /// `no_route`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub why: Option<&'static str>,
}

/// Requests that match go to `to` before the declared split applies.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Rule {
    /// Sent back, it keeps the rule's other fields; left out = a new rule.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Alternatives; within one, all conditions must hold. New rules may have 8 of 8 conditions.
    #[schema(schema_with = alternatives)]
    pub when: Vec<Vec<Condition>>,
    pub to: Weights,
    /// Fields of the match that are kept but cannot be changed here. `hidden` alone: you may not get the object that
    /// holds the conditions.
    #[schema(max_items = 64)]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub opaque: Vec<String>,
    /// What the rule does instead of choosing among versions.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub action: Option<String>,
}

fn alternatives() -> Array {
    let all =
        ArrayBuilder::new().items(Ref::from_schema_name("Condition")).max_items(Some(words::MAX_CONDITIONS));
    ArrayBuilder::new().items(all).max_items(Some(words::MAX_ALTERNATIVES)).build()
}

/// One condition on a request.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Condition {
    /// `header`, `cookie`, `query`, `path` or `method`.
    #[serde(rename = "in")]
    #[schema(value_type = String, example = "header")]
    pub subject: &'static str,
    /// For `header`, `cookie` and `query`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "end-user")]
    pub name: Option<String>,
    /// `exact`, `prefix`, `regex` (RE2, the whole value) or `present`.
    #[schema(value_type = String, example = "exact")]
    pub op: &'static str,
    #[schema(example = "jason")]
    pub value: String,
}

/// A share of requests that is copied; the copy's answers are thrown away, its writes are real.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Mirror {
    /// Null when the copies go to another host.
    #[schema(required = true)]
    pub version: Option<String>,
    pub percent: f64,
}

/// What the metrics show.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Figures {
    pub window_s: u32,
    #[schema(format = "date-time")]
    pub at: String,
    /// Requests in the window.
    pub requests: f64,
    /// Requests a second.
    pub rate: f64,
    /// Share of answers that are not errors, 0..=1.
    #[schema(required = true)]
    pub success: Option<f64>,
    #[schema(required = true)]
    pub p95_ms: Option<f64>,
    /// True when there are too few requests to speak of shares.
    pub too_few: bool,
}

/// The latest change that was applied, failed or came from outside.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct LastChange {
    #[schema(format = "date-time")]
    pub at: String,
    pub by: String,
    #[schema(value_type = String, example = "browser")]
    pub channel: &'static str,
    #[schema(value_type = String, example = "set_traffic")]
    pub action: &'static str,
    #[schema(value_type = String, example = "applied")]
    pub result: &'static str,
    /// Its entry of the history.
    pub entry: i64,
}

impl Service {
    pub fn of(lang: Lang, item: &Overview) -> Self {
        let at = item.at();
        let versions = &item.snapshot.versions;
        let routing = &item.routing;
        let shared: Vec<Shared> = routing.default_route().map(Shared::all).unwrap_or_default();
        Self {
            namespace: at.namespace.to_string(),
            name: at.name.to_string(),
            state: item.state.as_str(),
            revision: item.revision,
            findings: Check::all(lang, &item.findings),
            versions: versions
                .iter()
                .map(|version| Version {
                    version: version.name.to_string(),
                    image: version.image().to_owned(),
                    ready: version.ready,
                    total: version.total,
                    cause: version.cause.as_ref().map(ToString::to_string),
                    waiting: WaitingPod::all(version),
                })
                .collect(),
            routes: routing.routes.iter().map(Route::of).collect(),
            declared: routing.declared().map(|weights| {
                let own = |name: &VersionName| weights.iter().find(|(v, _)| v == name).map(|(_, w)| *w);
                let shared = |name: &VersionName| {
                    shared.iter().any(|one| one.versions.iter().any(|v| **v == *name.as_str()))
                };
                let of = |name: &VersionName| own(name).or_else(|| (!shared(name)).then_some(0));
                let known = versions.iter().map(|version| &version.name);
                Weights(known.filter_map(|name| Some((name.clone(), of(name)?))).collect())
            }),
            declared_shared: shared.clone(),
            declared_for: routing.scope.as_ref().filter(|_| routing.declared().is_some()).map(Scope::of),
            split: routing.split.iter().map(Part::of).collect(),
            observed: item.observed.as_ref().filter(|seen| seen.requests() > 0.0).map(|seen| {
                let of = |name: &VersionName| seen.share(name.as_str()).unwrap_or_default();
                Shares(versions.iter().map(|version| (version.name.clone(), of(&version.name))).collect())
            }),
            agreement: Agreement::of(item),
            rules: routing.rules.iter().map(Rule::of).collect(),
            mirror: routing.mirror.as_ref().map(Mirror::of),
            figures: item.observed.as_ref().map(|seen| Figures {
                window_s: seen.window_s,
                at: moment(seen.at_ms),
                requests: rounded(seen.requests(), 1),
                rate: rounded(seen.rate(), 3),
                success: seen.success().map(|share| rounded(share, 5)),
                p95_ms: seen.p95_ms().map(|ms| rounded(ms, 1)),
                too_few: seen.too_few(),
            }),
            last_change: item.last.as_ref().map(LastChange::of),
            progress: item.progress.as_ref().map(Progress::of),
            release: item.release.map(|release| Moving {
                id: release.id.to_string(),
                phase: release.phase.as_str(),
                percent: release.percent,
            }),
        }
    }
}

impl Shared {
    fn all(route: &words::Route) -> Vec<Self> {
        let served = route.shared().filter(|(.., percent)| *percent > 0);
        served
            .map(|(subset, versions, percent)| Self {
                subset: subset.to_owned(),
                versions: versions.iter().map(ToString::to_string).collect(),
                percent,
            })
            .collect()
    }
}

impl Part {
    fn of(part: &words::Part) -> Self {
        let bare = |to: &'static str, name: Option<&str>| Self {
            to,
            percent: part.percent,
            name: name.filter(|name| !name.is_empty()).map(ToOwned::to_owned),
            versions: Vec::new(),
            status: None,
            flag: None,
            why: None,
        };
        match &part.to {
            Outcome::Version(version) => bare("version", Some(version.as_str())),
            Outcome::Several { subset, versions } => Self {
                versions: versions.iter().map(ToString::to_string).collect(),
                ..bare("versions", Some(subset))
            },
            Outcome::Pods => bare("pods", None),
            Outcome::Host(host) => bare("host", Some(host)),
            Outcome::Answer(answer) => Self {
                status: Some(answer.status),
                flag: Some(answer.flag.to_owned()),
                why: Some(answer.why.as_str()),
                ..bare("answer", Some(&answer.name))
            },
        }
    }
}

impl Route {
    pub fn of(route: &words::Route) -> Self {
        Self {
            id: route.id.to_string(),
            kind: route.object.kind.as_str(),
            namespace: route.object.namespace.to_string(),
            name: route.object.name.to_string(),
            protocol: route.kind.as_str(),
            hosts: route.hosts.clone(),
            gateways: route.gateways.clone(),
            port: route.port,
            default: route.is_default,
            weights: route.weights().map(Weights),
            foreign_percent: route.foreign_percent(),
            split: route.parts.iter().map(Part::of).collect(),
        }
    }
}

impl Rule {
    fn of(rule: &words::Rule) -> Self {
        Self {
            id: rule.id.as_ref().map(ToString::to_string),
            name: rule.name.clone(),
            when: rule.when.iter().map(|all| all.iter().map(Condition::of).collect()).collect(),
            to: Weights(rule.to.clone()),
            opaque: rule.opaque.clone(),
            action: rule.action.clone(),
        }
    }
}

impl Condition {
    fn of(condition: &words::Condition) -> Self {
        let (subject, name) = match &condition.on {
            Subject::Header(name) => ("header", Some(name.clone())),
            Subject::Cookie(name) => ("cookie", Some(name.clone())),
            Subject::Query(name) => ("query", Some(name.clone())),
            Subject::Path => ("path", None),
            Subject::Method => ("method", None),
        };
        Self { subject, name, op: condition.op.as_str(), value: condition.value.clone() }
    }
}

impl Mirror {
    fn of(mirror: &words::Mirror) -> Self {
        let version = match &mirror.to {
            Dest::Version(version) => Some(version.to_string()),
            _ => None,
        };
        Self { version, percent: mirror.percent }
    }
}

impl LastChange {
    pub fn of(last: &overview::LastChange) -> Self {
        Self {
            at: moment(last.at_ms),
            by: last.by.clone(),
            channel: last.channel.as_str(),
            action: last.action.as_str(),
            result: last.ending.as_str(),
            entry: last.entry,
        }
    }
}

/// One page of services.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Services {
    pub items: Vec<Service>,
    /// Goes into `cursor`; null at the end.
    #[schema(required = true)]
    pub next: Option<String>,
    /// Services that match, on all pages.
    pub total: usize,
    /// Namespaces that you may see.
    pub namespaces: Vec<String>,
    /// What is missing or down.
    pub notices: Vec<Check>,
}

impl Services {
    pub fn of(lang: Lang, page: &ListPage) -> Self {
        Self {
            items: page.items.iter().map(|item| Service::of(lang, item)).collect(),
            next: page.next.clone(),
            total: page.total,
            namespaces: page.namespaces.iter().map(ToString::to_string).collect(),
            notices: Check::all(lang, &page.notices),
        }
    }
}
