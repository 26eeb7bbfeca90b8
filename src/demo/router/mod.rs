//! Where a request goes: the objects of the cluster, evaluated as Istio's proxies do. Pure; chance comes in.
//!
//! Called by the demo's applications and by tests, as a second opinion beside `routing`: it must not use that
//! module. Rules: `pilot/pkg/networking/core/route` and `pilot/pkg/model/push_context.go` of Istio 1.31, and
//! <https://istio.io/latest/docs/reference/config/networking/virtual-service/>.

mod delegates;
mod hosts;
mod layer4;
mod matching;
mod pick;

use std::collections::BTreeMap;
use std::sync::Arc;

pub use self::layer4::connect;

use self::delegates::{Candidate, Fit};
use super::random::Random;
use super::world::{Endpoint, Service, World};
use crate::domain::ids::ObjectRef;
use crate::domain::istio::HttpMatch;
use crate::domain::routing::RouteKind;
use crate::domain::service::Labels;

/// Who sends a request, and through which proxy.
#[derive(Clone, Debug)]
pub struct Caller {
    pub namespace: Arc<str>,
    pub labels: Labels,
    pub proxy: Proxy,
}

/// Whose rules a request meets first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Proxy {
    /// The caller's own sidecar (`mesh` in `gateways`).
    Sidecar,
    /// An ingress gateway with this Gateway object, `namespace/name`.
    Gateway(Arc<str>),
    /// None: the caller is outside the mesh, no rule applies.
    Absent,
}

/// An HTTP request as a proxy sees it.
#[derive(Clone, Debug)]
pub struct Request<'a> {
    /// The `Host` header, with a port where the client writes one.
    pub authority: &'a str,
    /// The port that the client connects to.
    pub port: u16,
    pub method: &'a str,
    /// Without the query.
    pub path: &'a str,
    pub query: &'a [(&'a str, &'a str)],
    /// Names in lower case.
    pub headers: &'a BTreeMap<String, String>,
}

/// What became of a request.
#[derive(Clone, Debug)]
pub struct Routed {
    /// The service that the request was meant for, or that its route chose.
    pub service: Option<Arc<str>>,
    /// The namespace of that service.
    pub namespace: Option<Arc<str>>,
    pub end: End,
    /// The route that was taken; `None` = no VirtualService had a say.
    pub by: Option<Taken>,
    /// Who got copies.
    pub mirrors: Vec<Arc<Endpoint>>,
    /// The path as the application sees it.
    pub path: String,
}

/// The route that a request took.
#[derive(Clone, Debug, PartialEq)]
pub struct Taken {
    pub object: ObjectRef,
    pub name: Option<Box<str>>,
    pub when: Arc<[HttpMatch]>,
}

/// How routing ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum End {
    Pod(Arc<Endpoint>),
    /// The proxy answers by itself: status and Envoy's response flag.
    Proxy {
        status: u16,
        flag: &'static str,
    },
}

impl End {
    /// No route matches.
    pub const NO_ROUTE: Self = Self::Proxy { status: 404, flag: "NR" };
    /// The route names a subset, port or host that does not exist.
    pub const NO_CLUSTER: Self = Self::Proxy { status: 503, flag: "NC" };
    /// No pod behind it is ready.
    pub const NOBODY: Self = Self::Proxy { status: 503, flag: "UH" };
}

impl Caller {
    /// A pod with a sidecar.
    pub fn pod(endpoint: &Endpoint) -> Self {
        Self {
            namespace: endpoint.service.namespace.as_str().into(),
            labels: endpoint.labels.clone(),
            proxy: if endpoint.meshed { Proxy::Sidecar } else { Proxy::Absent },
        }
    }

    /// A client outside the mesh, through this gateway (`namespace/name`).
    pub fn outside(gateway: &str) -> Self {
        Self {
            namespace: "istio-system".into(),
            labels: Labels::from([("istio".into(), "ingressgateway".into())]),
            proxy: Proxy::Gateway(gateway.into()),
        }
    }
}

/// Sends one request on its way.
pub fn route(world: &World, from: &Caller, request: &Request<'_>, random: &mut Random) -> Routed {
    let meant = hosts::service_of(world, request.authority, &from.namespace);
    let addressed = meant.filter(|service| service.port(request.port).is_some());
    match &from.proxy {
        Proxy::Absent => plain(addressed, request, random),
        Proxy::Sidecar => {
            let Some(service) = addressed else {
                return if meant.is_none() {
                    unlisted(world, from, request, random)
                } else {
                    ended(None, request, End::NO_CLUSTER)
                };
            };
            if !service.is_known_in(&from.namespace) {
                // The proxy passes on what it does not know, and Kubernetes chooses the pod.
                return plain(Some(service), request, random);
            }
            let host = hosts::full_name(&service.at);
            for rules in hosts::for_sidecar(world, &host, &from.namespace) {
                let routes = delegates::routes(world, rules, from, request.port);
                // An object that holds no route for this client and port has no say: the next one may.
                if !routes.is_empty() {
                    return follow(world, from, request, &routes, Some(service), random);
                }
            }
            plain(Some(service), request, random)
        }
        Proxy::Gateway(name) => {
            let mut routes = Vec::new();
            for rules in hosts::for_gateway(world, name, request.authority) {
                routes.extend(delegates::routes(world, rules, from, request.port));
            }
            // Gateways put the routes of several objects together, catch-alls last.
            routes.sort_by_key(Candidate::is_catch_all);
            follow(world, from, request, &routes, None, random)
        }
    }
}

/// A host that no Service has, asked for in the mesh: a VirtualService may claim it on every port on which the proxy
/// listens for HTTP, which is one that some Service has.
fn unlisted(world: &World, from: &Caller, request: &Request<'_>, random: &mut Random) -> Routed {
    let listens = world.services.values().any(|service| {
        service.port(request.port).is_some_and(|port| RouteKind::Http.applies_to(port.protocol))
    });
    if listens {
        for rules in hosts::for_sidecar(world, &hosts::plain(request.authority), &from.namespace) {
            let routes = delegates::routes(world, rules, from, request.port);
            if !routes.is_empty() {
                return follow(world, from, request, &routes, None, random);
            }
        }
    }
    ended(None, request, End::NO_CLUSTER)
}

fn follow(
    world: &World,
    from: &Caller,
    request: &Request<'_>,
    candidates: &[Candidate<'_>],
    meant: Option<&Service>,
    random: &mut Random,
) -> Routed {
    let found = candidates.iter().find_map(|c| c.matches(world, request).map(|fit| (c, fit)));
    let Some((candidate, fit)) = found else {
        return ended(meant, request, End::NO_ROUTE);
    };
    let mut routed = ended(meant, request, End::NO_CLUSTER);
    routed.by = Some(Taken {
        object: candidate.rules.at.clone(),
        name: candidate.route.name.clone(),
        when: candidate.when.clone(),
    });
    let extra = candidate.extra;
    // The filter for faults comes before the router. Without a percentage, or without a status, it does nothing.
    let abort = extra.fault.as_ref().and_then(|fault| fault.abort.as_ref());
    let status = abort.and_then(|abort| abort.http_status);
    if let (Some(abort), Some(status)) = (abort, status) {
        let percent = abort.percentage.as_ref().map_or(0.0, |percentage| percentage.value);
        if random.percent(percent) {
            routed.end = End::Proxy { status, flag: "FI" };
            return routed;
        }
    }
    if let Some(redirect) = &extra.redirect {
        routed.end = End::Proxy { status: redirect.redirect_code.unwrap_or(301), flag: "-" };
        return routed;
    }
    if let Some(direct) = &extra.direct_response {
        routed.end = End::Proxy { status: direct.status, flag: "-" };
        return routed;
    }
    if let Some(uri) = extra.rewrite.as_ref().and_then(|rewrite| rewrite.uri.as_ref()) {
        routed.path = match fit {
            Fit::Whole => uri.clone(),
            Fit::Prefix(length) => format!("{uri}{}", request.path.get(length..).unwrap_or_default()),
        };
    }
    let namespace = candidate.rules.at.namespace.as_str();
    let Some(destination) = pick::weighted(&candidate.route.route, random) else { return routed };
    let (service, end) = pick::endpoint(world, from, destination, namespace, request.port, random);
    if let Some(service) = service {
        routed.service = Some(service.at.name.clone());
        routed.namespace = Some(service.at.namespace.as_str().into());
    }
    routed.end = end;
    routed.mirrors = pick::mirrors(world, from, candidate.route, namespace, request.port, random);
    routed
}

/// Without rules: any ready pod.
fn plain(service: Option<&Service>, request: &Request<'_>, random: &mut Random) -> Routed {
    let end = match service {
        None => End::NO_CLUSTER,
        Some(service) => pick::any(&service.endpoints, random),
    };
    ended(service, request, end)
}

fn ended(service: Option<&Service>, request: &Request<'_>, end: End) -> Routed {
    Routed {
        service: service.map(|service| service.at.name.clone()),
        namespace: service.map(|service| service.at.namespace.as_str().into()),
        end,
        by: None,
        mirrors: Vec::new(),
        path: request.path.to_owned(),
    }
}
