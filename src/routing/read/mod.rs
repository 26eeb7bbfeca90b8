//! Reading: from the views of a snapshot to [`Routing`], and to what plans must know besides.
//!
//! Never looks at JSON, so that the watch cache and a fresh reading say the same.

use std::collections::{HashMap, HashSet};

use crate::domain::ids::{Kind, ObjectRef, RouteId};
use crate::domain::istio::{HttpRoute, L4Match, VirtualService};
use crate::domain::routing::{Mirror, Route, RouteKind, Routing};
use crate::domain::snapshot::{Held, Snapshot};

use super::lookup::{self, Merged, Rules};
use super::takes_all;

mod answers;
mod delegates;
mod findings;
mod keys;
mod others;
mod parts;
mod ports;
mod rules;
mod selection;
mod spots;
mod targets;

pub use answers::{answered, lost_finding};
pub use delegates::Trouble;
pub use findings::{by_port, listed, owned};
pub use keys::short_hash;
pub use rules::Scope;
pub use selection::{Selection, is_by, scope, selected, within};
pub use targets::{Namer, shares};

/// A snapshot and everything that is concluded from it.
pub struct Inspected<'a> {
    pub snapshot: &'a Snapshot,
    /// The service's full name.
    pub host: String,
    pub rules: Rules<'a>,
    /// Namespaces of clients; the service's own is the first.
    pub clients: Vec<&'a str>,
    /// For each client, the DestinationRules that its workloads use.
    pub effective: Vec<Vec<Merged<'a>>>,
    pub routing: Routing,
    /// What is known besides of each of `routing.routes`, in the same order.
    pub spots: Vec<Spot>,
    /// Position of the default route.
    pub default: Option<usize>,
    /// Positions (among `routing.routes`) of the routes behind `routing.rules`, in the same order.
    pub rule_spots: Vec<usize>,
    /// Two VirtualServices that claim the host for the same clients: the one that acts, and the other.
    pub conflict: Option<(usize, usize)>,
    pub troubles: Vec<Trouble>,
    /// True when a VirtualService acts for the service's host in sidecars.
    pub claimed_in_mesh: bool,
}

/// Where a route stands and who uses it.
#[derive(Clone, Debug)]
pub struct Spot {
    /// Position of the object that holds it among the snapshot's VirtualServices.
    pub vs: usize,
    pub kind: RouteKind,
    pub index: usize,
    /// The VirtualServices through which requests come to it: itself, or the roots that delegate to it.
    pub roots: Vec<usize>,
    /// Positions among [`Inspected::clients`].
    pub clients: Vec<usize>,
    pub place: Place,
    /// It takes everything of a port or gateway (all, when the route is a catch-all).
    pub everything: bool,
    /// It (or its root) holds for requests in the mesh.
    pub for_mesh: bool,
    /// It (and its root) holds for callers of every namespace and with every label.
    pub for_others: bool,
}

/// Which part a route plays for the service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// Of a VirtualService that claims the service's host in the mesh.
    Own,
    /// Of a VirtualService for gateways.
    Gateway,
    /// Of a VirtualService of another host, in the mesh.
    Elsewhere,
}

/// Who acts for the host, by kind of traffic.
struct Winners {
    /// For each VirtualService, the clients for which it acts.
    http: HashMap<usize, Vec<usize>>,
    l4: HashMap<usize, Vec<usize>>,
    /// The one that counts as the service's own: what its own namespace uses, else all others.
    main_http: Option<usize>,
    main_l4: Option<usize>,
    conflict: Option<(usize, usize)>,
}

/// Says what the objects of a snapshot declare.
pub fn inspect(snapshot: &Snapshot) -> Inspected<'_> {
    let host = snapshot.service.at.host(&snapshot.mesh.cluster_domain);
    let rules = Rules::new(snapshot, &host);
    let clients = lookup::client_namespaces(snapshot);
    let effective = clients.iter().map(|client| rules.effective(client)).collect();
    let winners = winners(snapshot, &host, &clients);
    let claimed_in_mesh = !winners.http.is_empty() || !winners.l4.is_empty();
    let conflict = winners.conflict;
    let mut inspected = Inspected {
        snapshot,
        host,
        rules,
        clients,
        effective,
        routing: Routing::default(),
        spots: Vec::new(),
        default: None,
        rule_spots: Vec::new(),
        conflict,
        troubles: Vec::new(),
        claimed_in_mesh,
    };
    spots::collect(&mut inspected, &winners);
    inspected.default = default_of(&inspected, &winners);
    if let Some(at) = inspected.default {
        inspected.routing.routes[at].is_default = true;
    }
    rules::collect(&mut inspected, winners.main_http);
    inspected.routing.mirror = inspected.default.and_then(|at| inspected.mirror_of(at));
    inspected.routing.split = inspected.split();
    inspected.routing.scope = inspected.scope_of_default();
    inspected.routing.beyond = inspected.beyond();
    inspected.routing.objects = objects(&inspected);
    inspected.routing.fingerprint = super::fingerprint::of(&inspected);
    inspected.routing.findings = findings::of(&inspected);
    inspected
}

fn winners(snapshot: &Snapshot, host: &str, clients: &[&str]) -> Winners {
    let mut found =
        Winners { http: HashMap::new(), l4: HashMap::new(), main_http: None, main_l4: None, conflict: None };
    let spec = |at: usize| &snapshot.virtual_services[at].object.spec;
    let last = clients.len().saturating_sub(1);
    // The service's own namespace decides what is shown, then "all others", which stands last.
    let order = std::iter::once(0).chain((last > 0).then_some(last)).chain(1..last);
    for client in order {
        // A proxy that does not know the Service has no route for it.
        let knows = |namespace: &&&str| snapshot.service.is_known_in(namespace);
        let Some(namespace) = clients.get(client).filter(knows) else { continue };
        let claimants = lookup::claimants(snapshot, host, namespace);
        let mut pick = |speaks: &dyn Fn(&VirtualService) -> bool, l4: bool| {
            let mut speakers = claimants.iter().filter(|(at, _)| speaks(spec(*at)));
            let Some((first, rank)) = speakers.next() else { return };
            let (all, main) = if l4 {
                (&mut found.l4, &mut found.main_l4)
            } else {
                (&mut found.http, &mut found.main_http)
            };
            all.entry(*first).or_default().push(client);
            main.get_or_insert(*first);
            if let Some((second, _)) = speakers.find(|(_, other)| other == rank) {
                found.conflict.get_or_insert((*first, *second));
            }
        };
        pick(&|spec| !spec.http.is_empty(), false);
        pick(&|spec| !spec.tcp.is_empty() || !spec.tls.is_empty(), true);
    }
    found
}

/// The route that a command without a route means.
fn default_of(inspected: &Inspected<'_>, winners: &Winners) -> Option<usize> {
    let routes = &inspected.routing.routes;
    let usable = |at: &usize| routes[*at].fixed.is_none();
    // Routes of a list that no port of the service speaks are never asked.
    let speaks = |kind: RouteKind| inspected.has_port_for(kind);
    let under = |root: usize, kind: RouteKind| {
        (0..routes.len()).filter(move |at| {
            let spot = &inspected.spots[*at];
            spot.kind == kind && spot.for_mesh && spot.roots.contains(&root)
        })
    };
    if let Some(root) = winners.main_http.filter(|_| speaks(RouteKind::Http)) {
        let all = || under(root, RouteKind::Http);
        // The first catch-all takes everything; when it is a redirect, nothing is left to split.
        return match all().find(|at| routes[*at].catch_all) {
            Some(at) => Some(at).filter(usable),
            None => all().filter(usable).find(|at| inspected.spots[*at].everything),
        };
    }
    if let Some(root) = winners.main_l4.filter(|_| speaks(RouteKind::Tcp) || speaks(RouteKind::Tls)) {
        let of = |kind: RouteKind| under(root, kind).filter(usable).filter(move |_| speaks(kind));
        let tcp = of(RouteKind::Tcp).find(|at| inspected.spots[*at].everything);
        return tcp.or_else(|| of(RouteKind::Tls).find(|at| inspected.reaches_service(*at)));
    }
    // Nothing claims the host in the mesh, but routes of gateways or of other hosts bring requests: their
    // split is the service's, where it is clear which of them is meant.
    let bring = |place: Place| -> Vec<usize> {
        (0..routes.len())
            .filter(|at| inspected.spots[*at].place == place)
            .filter(usable)
            .filter(|at| inspected.reaches_service(*at))
            .collect()
    };
    let only = |list: &[usize]| match list {
        [only] => Some(*only),
        _ => None,
    };
    let free =
        |list: &[usize]| -> Vec<usize> { list.iter().copied().filter(|at| inspected.is_free(*at)).collect() };
    let gateways = bring(Place::Gateway);
    if !gateways.is_empty() {
        let whole = gateways.iter().copied().find(|at| routes[*at].catch_all);
        return whole.or_else(|| only(&gateways)).or_else(|| only(&free(&gateways)));
    }
    // A route of another host sends only a part of itself here when it sends elsewhere, too.
    let mut others = bring(Place::Elsewhere);
    others.retain(|at| inspected.has_host(*at) && inspected.unexpanded(*at).is_none());
    only(&free(&others)).filter(|at| routes[*at].foreign_percent() == 0)
}

fn objects(inspected: &Inspected<'_>) -> Vec<ObjectRef> {
    let snapshot = inspected.snapshot;
    let mut used: HashSet<usize> =
        inspected.spots.iter().flat_map(|spot| spot.roots.iter().copied().chain([spot.vs])).collect();
    used.extend(inspected.conflict.iter().flat_map(|(a, b)| [*a, *b]));
    used.extend(
        snapshot
            .virtual_services
            .iter()
            .enumerate()
            .filter(|(_, held)| held.object.malformed.is_some())
            .map(|(at, _)| at),
    );
    let mut all: Vec<ObjectRef> = used.iter().map(|at| virtual_service(snapshot, *at)).collect();
    all.extend(inspected.rules.all().iter().map(|at| destination_rule(snapshot, *at)));
    all.extend(
        snapshot
            .destination_rules
            .iter()
            .filter(|held| held.object.malformed.is_some())
            .map(|held| held.object.at(Kind::DestinationRule)),
    );
    all.sort();
    all.dedup();
    all
}

/// The name of a VirtualService of the snapshot.
pub fn virtual_service(snapshot: &Snapshot, at: usize) -> ObjectRef {
    snapshot.virtual_services[at].object.at(Kind::VirtualService)
}

/// The name of a DestinationRule of the snapshot.
pub fn destination_rule(snapshot: &Snapshot, at: usize) -> ObjectRef {
    snapshot.destination_rules[at].object.at(Kind::DestinationRule)
}

impl<'a> Inspected<'a> {
    /// The VirtualService that holds the route at this position.
    pub fn holder(&self, route: usize) -> &'a Held<VirtualService> {
        &self.snapshot.virtual_services[self.spots[route].vs]
    }

    /// The route at this position.
    pub fn route(&self, at: usize) -> &Route {
        &self.routing.routes[at]
    }

    /// Position of the client whose view of the subsets is shown for a route.
    pub fn home(&self, route: usize) -> usize {
        self.spots[route].clients.first().copied().unwrap_or(0)
    }

    /// What a subset name or destination means for clients of this position.
    pub fn namer(&self, client: usize) -> Namer<'_> {
        Namer { snapshot: self.snapshot, host: &self.host, plain: self.plain(client), at_home: self.plain(0) }
    }

    /// True for a DestinationRule of the snapshot whose host is the service's and no wildcard.
    pub fn is_own_rule(&self, at: usize) -> bool {
        let object = &self.snapshot.destination_rules[at].object;
        let domain = &*self.snapshot.mesh.cluster_domain;
        super::hosts::is(&object.spec.host, &object.meta.namespace, domain, &self.host)
    }

    /// The DestinationRule that most workloads of a client namespace use.
    pub fn plain(&self, client: usize) -> Option<&Merged<'a>> {
        self.effective.get(client)?.iter().rfind(|rule| rule.for_everybody())
    }

    /// True when callers have a host to ask for to come to a route.
    fn has_host(&self, at: usize) -> bool {
        self.route(at).hosts.iter().any(|host| !host.is_empty())
    }

    /// The host by which a route in the mesh seems to be the service's, where it has no other that anybody asks for.
    pub fn unexpanded(&self, at: usize) -> Option<&str> {
        let hosts = &self.route(at).hosts;
        let seems = |host: &String| super::hosts::is_unexpanded(host, &self.host);
        let elsewhere = self.spots[at].place == Place::Elsewhere;
        hosts.first().filter(|_| elsewhere && hosts.iter().all(seems)).map(String::as_str)
    }

    /// True when the object that holds a route gives it no condition; a root that delegates to it may.
    pub fn is_free(&self, at: usize) -> bool {
        let (spot, spec) = (&self.spots[at], &self.holder(at).object.spec);
        let free = |matches: Option<&Vec<L4Match>>| {
            matches.is_some_and(|all| all.is_empty() || all.contains(&L4Match::default()))
        };
        match spot.kind {
            RouteKind::Http => {
                spec.http.get(spot.index).is_some_and(|route| self.catch_all(spot.roots[0], route))
            }
            RouteKind::Tls => free(spec.tls.get(spot.index).map(|route| &route.r#match)),
            RouteKind::Tcp => free(spec.tcp.get(spot.index).map(|route| &route.r#match)),
        }
    }

    /// True when nothing that comes by the VirtualService at `root` gets past the route.
    pub fn catch_all(&self, root: usize, route: &HttpRoute) -> bool {
        let ports = &self.snapshot.service.ports;
        let http = ports.iter().filter(|port| RouteKind::Http.applies_to(port.protocol));
        let ports: Vec<u32> = http.map(|port| u32::from(port.number)).collect();
        let gateways = &self.snapshot.virtual_services[root].object.spec.gateways;
        takes_all::catch_all(route, takes_all::Site { host: &self.host, gateways, ports: &ports })
    }

    /// True for a route of the service's own VirtualService that may take every request before the default route is
    /// asked; it cannot be known from the objects.
    pub fn may_take_all(&self, at: usize) -> bool {
        let spot = &self.spots[at];
        if spot.kind != RouteKind::Http
            || spot.place != Place::Own
            || !spot.for_mesh
            || self.default == Some(at)
        {
            return false;
        }
        let behind = self.default.is_some_and(|default| default < at);
        let route = self.holder(at).object.spec.http.get(spot.index);
        !behind && route.is_some_and(|route| takes_all::may(route, &self.host))
    }

    /// The routes that bring requests to the service and whose weights can be moved, by their ids.
    pub fn choices(&self) -> Vec<&RouteId> {
        (0..self.spots.len())
            .filter(|at| self.route(*at).fixed.is_none() && self.reaches_service(*at))
            .filter(|at| self.has_host(*at) && self.unexpanded(*at).is_none())
            .map(|at| &self.route(at).id)
            .collect()
    }

    /// True when the route sends (or could send) requests to the service.
    pub fn reaches_service(&self, at: usize) -> bool {
        self.route(at).reaches()
    }

    /// The mirror of an http route, when it is on.
    pub fn mirror_of(&self, at: usize) -> Option<Mirror> {
        let spot = &self.spots[at];
        if spot.kind != RouteKind::Http {
            return None;
        }
        let held = self.holder(at);
        let route = held.object.spec.http.get(spot.index)?;
        self.namer(self.home(at)).mirror(route, &held.object.meta.namespace).map(|(_, mirror)| mirror)
    }

    /// The subset that the mirror of an http route names.
    pub fn mirror_subset(&self, at: usize) -> Option<&str> {
        let spot = &self.spots[at];
        let held = self.holder(at);
        let route = held.object.spec.http.get(spot.index).filter(|_| spot.kind == RouteKind::Http)?;
        let (position, _) = self.namer(self.home(at)).mirror(route, &held.object.meta.namespace)?;
        let to = match position {
            None => route.mirror.as_ref()?,
            Some(position) => &route.mirrors.get(position)?.destination,
        };
        to.subset.as_deref()
    }
}
