//! The little cluster that the samples show.

use std::sync::Arc;

use crate::domain::actor::Channel;
use crate::domain::audit::{Action, Ending};
use crate::domain::ids::{Kind, ObjectRef, RouteId, VersionName};
use crate::domain::observed::{Observed, VersionTraffic};
use crate::domain::overview::{LastChange, Overview, State};
use crate::domain::refusal::Finding;
use crate::domain::routing::{
    Condition, Dest, Mirror, Op, Route, RouteKind, Routing, Rule, Subject, Target, Weights,
};
use crate::domain::service::{
    MOST_WAITING, PodCause, PodTemplate, Port, Protocol, ServiceFacts, Shape, Version, WaitingPod, Workload,
    WorkloadKind,
};
use crate::domain::snapshot::{Mesh, Snapshot};
use crate::domain::version_slots::VersionSlots;

use super::NOW;

/// `[(version, weight)]` as the domain writes it.
pub fn weights(list: &[(&str, u8)]) -> Weights {
    list.iter().map(|(name, weight)| (VersionName::from(*name), *weight)).collect()
}

/// A version with its pods; `cause` says why one is not ready.
pub fn version(name: &str, image: &str, ready: u32, total: u32, cause: Option<&str>) -> Version {
    Version {
        name: name.into(),
        subset_labels: std::iter::once(("version".into(), name.into())).collect(),
        pods: Vec::new(),
        image: image.into(),
        workloads: vec![Workload {
            kind: WorkloadKind::Deployment,
            name: format!("reviews-{name}").into(),
            image: image.into(),
            wanted: total,
            template: PodTemplate::default(),
            shared: false,
            going: None,
        }],
        ready,
        total,
        lacks: None,
        cause: cause.map(Into::into),
        waiting: waiting(name, total.saturating_sub(ready), cause),
        created_ms: NOW - 86_400_000,
    }
}

/// The pods that are not ready.
fn waiting(version: &str, pods: u32, cause: Option<&str>) -> Vec<WaitingPod> {
    let cause = cause.map(|reason| {
        let last_exit = (reason == "CrashLoopBackOff").then(|| ("OOMKilled".into(), 137));
        let message = "Back-off pulling image \"shop/reviews:2.3\"".into();
        Arc::new(PodCause { reason: reason.into(), message, last_exit })
    });
    let names = (1..=pods).take(MOST_WAITING).map(|n| format!("reviews-{version}-5d8f-{n}"));
    names.map(|name| WaitingPod { name: name.into(), cause: cause.clone() }).collect()
}

/// What was seen: `(version, requests, errors, p95)` in 60 seconds.
pub fn seen(list: &[(&str, f64, f64, f64)]) -> Observed {
    let one = |(name, requests, errors, p95): &(&str, f64, f64, f64)| VersionTraffic {
        version: (*name).into(),
        requests: *requests,
        errors: *errors,
        p95_ms: (*requests > 0.0).then_some(*p95),
    };
    Observed { window_s: 60, at_ms: NOW - 4_000, versions: list.iter().map(one).collect() }
}

/// A rule on one header.
pub fn rule(id: &str, header: &str, op: Op, value: &str, to: &[(&str, u8)]) -> Rule {
    Rule {
        id: Some(id.into()),
        name: None,
        when: vec![vec![Condition { on: Subject::Header(header.to_owned()), op, value: value.to_owned() }]],
        opaque: Vec::new(),
        to: weights(to),
        action: None,
    }
}

fn route(namespace: &str, name: &str, declared: &[(&str, u8)]) -> Route {
    let target = |(version, percent): &(&str, u8)| Target {
        to: Dest::Version((*version).into()),
        weight: i64::from(*percent),
        percent: *percent,
        via: None,
        lost: None,
    };
    Route {
        id: RouteId::from("reviews/http/default"),
        object: ObjectRef::new(Kind::VirtualService, namespace, name),
        kind: RouteKind::Http,
        index: 0,
        name: None,
        hosts: vec![name.to_owned()],
        gateways: vec!["mesh".to_owned()],
        port: None,
        catch_all: true,
        is_default: true,
        targets: declared.iter().map(target).collect(),
        fixed: None,
        parts: Vec::new(),
        delay: None,
    }
}

/// A service to be completed by the caller.
pub struct Service {
    pub overview: Overview,
}

impl Service {
    /// A service with these versions, of which nothing is declared or known.
    pub fn new(namespace: &str, name: &str, versions: Vec<Version>) -> Self {
        let service = ServiceFacts {
            at: crate::domain::ids::ServiceRef::new(namespace, name),
            uid: "uid".into(),
            shape: Shape::ClusterIp,
            ports: vec![Port { name: Some("http".into()), number: 9080, protocol: Protocol::Http }],
            selector: std::iter::once(("app".into(), name.into())).collect(),
            deleting: false,
            export_to: Box::default(),
        };
        let snapshot = Snapshot {
            taken: Vec::new(),
            others: Vec::new(),
            service,
            versions,
            virtual_services: Vec::new(),
            destination_rules: Vec::new(),
            mesh: Mesh {
                installed: true,
                cluster_domain: "cluster.local".into(),
                root_namespace: "istio-system".into(),
                meshed_pods: 7,
                pods: 7,
            },
        };
        let names = snapshot.versions.iter().map(|version| &version.name);
        let slots = VersionSlots::default().with(names).unwrap_or_default();
        let overview = Overview {
            slots,
            snapshot: Arc::new(snapshot),
            routing: Arc::new(Routing::default()),
            state: State::Steady,
            findings: Vec::new(),
            observed: None,
            revision: 0,
            last: None,
            progress: None,
            release: None,
        };
        Self { overview }
    }

    /// Declares a split on its default route.
    pub fn declared(self, declared: &[(&str, u8)]) -> Self {
        let at = self.overview.at().clone();
        self.routing(|routing| {
            routing.routes.push(route(at.namespace.as_str(), &at.name, declared));
            for kind in [Kind::VirtualService, Kind::DestinationRule] {
                routing.objects.push(ObjectRef::new(kind, at.namespace.as_str(), &at.name));
            }
        })
    }

    /// A second route, on port 8080.
    pub fn second_route(self, declared: &[(&str, u8)]) -> Self {
        let at = self.overview.at().clone();
        let more = route(at.namespace.as_str(), &at.name, declared);
        let more = Route {
            id: "reviews/http/beta".into(),
            index: 1,
            name: Some("beta".into()),
            port: Some(8080),
            is_default: false,
            ..more
        };
        self.routing(|routing| routing.routes.push(more))
    }

    pub fn rules(self, rules: Vec<Rule>) -> Self {
        self.routing(|routing| routing.rules = rules)
    }

    pub fn mirror(self, version: &str, percent: f64) -> Self {
        self.routing(|routing| routing.mirror = Some(Mirror { to: Dest::Version(version.into()), percent }))
    }

    fn routing(mut self, change: impl FnOnce(&mut Routing)) -> Self {
        let mut routing = (*self.overview.routing).clone();
        change(&mut routing);
        self.overview.routing = Arc::new(routing);
        self
    }

    pub fn observed(mut self, observed: Observed) -> Self {
        self.overview.observed = Some(observed);
        self
    }

    pub fn state(mut self, state: State, findings: Vec<Finding>) -> Self {
        self.overview.state = state;
        self.overview.findings = findings;
        self
    }

    /// The last change, so many minutes ago.
    pub fn last(mut self, minutes: i64, by: &str, revision: u64) -> Self {
        self.overview.revision = revision;
        self.overview.last = Some(LastChange {
            at_ms: NOW - minutes * 60_000,
            by: by.to_owned(),
            channel: Channel::Browser,
            action: Action::SetTraffic,
            ending: Ending::Applied,
            entry: 1892,
        });
        self
    }

    pub fn done(self) -> Overview {
        self.overview
    }
}

/// `bookinfo/reviews` as in the mock-ups: v1 has all, v2 is ready, v3 is not.
pub fn reviews() -> Service {
    let versions = vec![
        version("v1", "bookinfo/reviews:1.16.4", 3, 3, None),
        version("v2", "bookinfo/reviews:1.17.0", 3, 3, None),
        version("v3", "bookinfo/reviews:1.18.0-rc2", 0, 1, Some("ImagePullBackOff")),
    ];
    let condition = |on, op, value: &str| Condition { on, op, value: value.to_owned() };
    let beta = Rule {
        id: Some("reviews/http/1".into()),
        name: Some("beta".into()),
        when: vec![
            vec![
                condition(Subject::Cookie("group".into()), Op::Regex, "^beta"),
                condition(Subject::Path, Op::Prefix, "/reviews"),
            ],
            vec![condition(Subject::Query("beta".into()), Op::Present, "")],
        ],
        opaque: vec!["sourceLabels".to_owned()],
        to: weights(&[("v2", 50), ("v1", 50)]),
        action: None,
    };
    Service::new("bookinfo", "reviews", versions)
        .declared(&[("v1", 100), ("v2", 0), ("v3", 0)])
        .rules(vec![rule("reviews/http/0", "end-user", Op::Exact, "jason", &[("v2", 100)]), beta])
        .observed(seen(&[("v1", 2_531.0, 1.0, 38.0)]))
        .last(124, "chen.yu", 41)
}

/// Five versions, all with traffic.
pub fn five() -> Service {
    let names = ["v1", "v2", "v3", "v4", "v5"];
    let versions = names.iter().map(|name| version(name, "shop/cart:2026.11", 2, 2, None)).collect();
    Service::new("shop", "cart", versions)
        .declared(&[("v1", 40), ("v2", 30), ("v3", 20), ("v4", 7), ("v5", 3)])
        .second_route(&[("v1", 50), ("v5", 50)])
        .mirror("v5", 2.5)
        .observed(seen(&[
            ("v1", 401.0, 0.0, 20.0),
            ("v2", 296.0, 0.0, 21.0),
            ("v3", 203.0, 9.0, 1_220.0),
            ("v4", 71.0, 0.0, 19.0),
            ("v5", 29.0, 0.0, 18.0),
        ]))
        .last(3, "zhao.min", 7)
}

/// Names as long as Kubernetes allows.
pub fn longest() -> Service {
    let name = "a-service-with-the-longest-name-that-kubernetes-will-accept-xyz";
    let long = |end: &str| format!("2026.11.20-release-candidate-with-the-longest-possible-label-{end}");
    let image = "registry.example/a/very/long/path/to/an/image/that/never/ends/reviews@sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
    let (one, two) = (long("aa"), long("bb"));
    let versions =
        vec![version(&one, image, 12, 12, None), version(&two, image, 9, 12, Some("CrashLoopBackOff"))];
    Service::new("a-namespace-with-the-longest-name-that-kubernetes-will-accept-x", name, versions)
        .declared(&[(&one, 85), (&two, 15)])
        .rules(vec![rule(
            "r0",
            "x-a-header-with-a-very-long-name-indeed",
            Op::Regex,
            "^(something|that|is|long|and|has|no|blank|to|break|at|whatsoever)+$",
            &[(&one, 33), (&two, 67)],
        )])
        .observed(seen(&[(&one, 8_412_345.0, 100.0, 12.0), (&two, 1_500_112.0, 90_000.0, 9_120.0)]))
        .last(60 * 24 * 12, "system:serviceaccount:a-namespace-with-the-longest-name:portal-ci", 1_204)
}
