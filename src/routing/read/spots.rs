//! Collects the routes that matter to a service, through delegates, in the order in which they are tried.

use std::collections::HashMap;

use crate::domain::ids::RouteId;
use crate::domain::istio::{HttpMatch, HttpRoute, L4Match, VirtualService, WeightedDestination};
use crate::domain::routing::{Fixed, Route, RouteKind};

use super::super::{lookup, takes_all};
use super::{Inspected, Place, Spot, Winners, delegates, keys, parts, virtual_service};

/// Fills `routing.routes`, `spots` and `troubles`.
pub fn collect(into: &mut Inspected<'_>, winners: &Winners) {
    let snapshot = into.snapshot;
    let mut roots: Vec<usize> = (0..snapshot.virtual_services.len())
        .filter(|at| {
            let object = &snapshot.virtual_services[*at].object;
            object.malformed.is_none() && !object.spec.hosts.is_empty()
        })
        .collect();
    let wins = |at: &usize| winners.http.contains_key(at) || winners.l4.contains_key(at);
    roots.sort_by_cached_key(|at| {
        let meta = &snapshot.virtual_services[*at].object.meta;
        (
            Some(*at) != winners.main_http,
            Some(*at) != winners.main_l4,
            !wins(at),
            meta.namespace.clone(),
            meta.name.clone(),
        )
    });
    let mut collector = Collector { into, keys: HashMap::new(), seen: HashMap::new() };
    for root in roots {
        collector.root(root, winners);
    }
}

struct Collector<'c, 'a> {
    into: &'c mut Inspected<'a>,
    keys: HashMap<(usize, RouteKind), Vec<RouteId>>,
    seen: HashMap<(usize, RouteKind, usize), usize>,
}

/// One route as it is found: where it is, and what about it depends on the way to it.
#[expect(clippy::struct_excessive_bools, reason = "each says something else of the same conditions")]
struct Found<'s> {
    vs: usize,
    root: usize,
    kind: RouteKind,
    index: usize,
    name: Option<&'s str>,
    port: Option<u32>,
    catch_all: bool,
    everything: bool,
    for_mesh: bool,
    for_others: bool,
    destinations: &'s [WeightedDestination],
    fixed: Option<Fixed>,
}

impl Collector<'_, '_> {
    fn root(&mut self, root: usize, winners: &Winners) {
        let snapshot = self.into.snapshot;
        let object = &snapshot.virtual_services[root].object;
        let spec = &object.spec;
        let http_clients = winners.http.get(&root);
        for (index, route) in spec.http.iter().enumerate() {
            if let Some(delegate) = &route.delegate {
                self.delegated(root, index, route, delegate, http_clients.is_some(), winners);
                continue;
            }
            let found = Found { vs: root, root, index, ..self.of_http(root, route) };
            self.add(found, http_clients.is_some(), winners);
        }
        let l4 = winners.l4.contains_key(&root);
        for (index, route) in spec.tls.iter().enumerate() {
            let found = of_l4(root, RouteKind::Tls, index, &route.r#match, &route.route);
            self.add(found, l4, winners);
        }
        for (index, route) in spec.tcp.iter().enumerate() {
            let found = of_l4(root, RouteKind::Tcp, index, &route.r#match, &route.route);
            self.add(found, l4, winners);
        }
    }

    fn delegated(
        &mut self,
        root: usize,
        index: usize,
        entry: &HttpRoute,
        delegate: &crate::domain::istio::Delegate,
        own: bool,
        winners: &Winners,
    ) {
        let snapshot = self.into.snapshot;
        let vs = match delegates::find(snapshot, root, delegate) {
            Ok(vs) => vs,
            Err(trouble) => {
                // The whole entry vanishes, so only the service's own VirtualService is worth a word.
                if own {
                    self.into.troubles.push(trouble);
                    let fixed = Some(Fixed::Delegate);
                    let found = Found { vs: root, root, index, fixed, ..self.of_http(root, entry) };
                    self.add(found, own, winners);
                }
                return;
            }
        };
        for (index, route) in snapshot.virtual_services[vs].object.spec.http.iter().enumerate() {
            if route.delegate.is_some() || delegates::conflict(&entry.r#match, &route.r#match) {
                if own {
                    self.into.troubles.push(delegates::Trouble::dropped(snapshot, root, vs, index));
                }
                continue;
            }
            let outer = self.of_http(root, entry);
            let inner = self.of_http(root, route);
            let found = Found {
                vs,
                root,
                index,
                port: inner.port.or(outer.port),
                catch_all: inner.catch_all && outer.catch_all,
                everything: inner.everything && outer.everything,
                for_mesh: inner.for_mesh && outer.for_mesh,
                for_others: inner.for_others && outer.for_others,
                ..inner
            };
            self.add(found, own, winners);
        }
    }

    /// Adds a route that is the service's own, or that reaches it.
    fn add(&mut self, found: Found<'_>, own: bool, winners: &Winners) {
        let snapshot = self.into.snapshot;
        let holder = &snapshot.virtual_services[found.vs].object;
        let root = &snapshot.virtual_services[found.root].object;
        let namespace = &*holder.meta.namespace;
        if !own {
            let namer = self.into.namer(0);
            if !found.destinations.iter().any(|entry| namer.is_own(&entry.destination, namespace)) {
                return;
            }
        }
        let place = self.place(found.root, own);
        let clients = self.clients(&found, place, winners);
        let hosts: Vec<String> = root.spec.hosts.iter().map(ToString::to_string).collect();
        let gateways: Vec<String> = if root.spec.gateways.is_empty() {
            vec!["mesh".to_owned()]
        } else {
            root.spec.gateways.iter().map(ToString::to_string).collect()
        };
        if let Some(at) = self.seen.get(&(found.vs, found.kind, found.index)).copied() {
            // The same route of a delegate, by a second way.
            extend(&mut self.into.spots[at].roots, [found.root]);
            extend(&mut self.into.spots[at].clients, clients);
            extend(&mut self.into.routing.routes[at].hosts, hosts);
            extend(&mut self.into.routing.routes[at].gateways, gateways);
            return;
        }
        let at = self.into.spots.len();
        self.seen.insert((found.vs, found.kind, found.index), at);
        let ids = self.keys.entry((found.vs, found.kind)).or_insert_with(|| keys::of(holder, found.kind));
        let Some(id) = ids.get(found.index).cloned() else { return };
        let home = clients.first().copied().unwrap_or(0);
        let targets = self.into.namer(home).targets(found.destinations, namespace);
        let http = holder.spec.http.get(found.index).filter(|_| found.kind == RouteKind::Http);
        let parts = parts::of(&targets, found.fixed, http, &snapshot.versions);
        self.into.routing.routes.push(Route {
            id,
            object: virtual_service(snapshot, found.vs),
            kind: found.kind,
            index: found.index,
            name: found.name.map(str::to_owned),
            hosts,
            gateways,
            port: found.port,
            catch_all: found.catch_all,
            is_default: false,
            targets,
            fixed: found.fixed,
            parts,
            delay: http.and_then(parts::delay),
        });
        self.into.spots.push(Spot {
            vs: found.vs,
            kind: found.kind,
            index: found.index,
            roots: vec![found.root],
            clients,
            place,
            everything: found.everything,
            for_mesh: found.for_mesh,
            for_others: found.for_others,
        });
    }

    /// `root`: the VirtualService by which requests come to the route.
    fn of_http<'s>(&self, root: usize, route: &'s HttpRoute) -> Found<'s> {
        let fixed = if route.redirect.is_some() {
            Some(Fixed::Redirect)
        } else if route.direct_response.is_some() {
            Some(Fixed::DirectResponse)
        } else if route.route.is_empty() && route.delegate.is_none() {
            Some(Fixed::Empty)
        } else {
            None
        };
        let ports: Vec<Option<u32>> = route.r#match.iter().map(|entry| entry.port).collect();
        let in_mesh = |gateways: &[Box<str>]| gateways.is_empty() || gateways.iter().any(|g| &**g == "mesh");
        Found {
            vs: 0,
            root: 0,
            kind: RouteKind::Http,
            index: 0,
            name: route.name.as_deref(),
            port: common(&ports),
            catch_all: self.into.catch_all(root, route),
            everything: takes_all::everything(route, &self.into.host),
            for_mesh: route.r#match.is_empty() || route.r#match.iter().any(|entry| in_mesh(&entry.gateways)),
            for_others: route.r#match.is_empty() || route.r#match.iter().any(HttpMatch::is_for_every_caller),
            destinations: &route.route,
            fixed,
        }
    }

    fn place(&self, root: usize, own: bool) -> Place {
        let object = &self.into.snapshot.virtual_services[root].object;
        let domain = &*self.into.snapshot.mesh.cluster_domain;
        if !lookup::in_mesh(&object.spec) {
            Place::Gateway
        } else if own
            || lookup::claims(&object.spec, &object.meta.namespace, domain, &self.into.host).is_some()
        {
            Place::Own
        } else {
            Place::Elsewhere
        }
    }

    /// The client namespaces in which the route is used.
    fn clients(&self, found: &Found<'_>, place: Place, winners: &Winners) -> Vec<usize> {
        let root = &self.into.snapshot.virtual_services[found.root].object;
        let own = if found.kind == RouteKind::Http { &winners.http } else { &winners.l4 };
        let sees = |client: &&usize| {
            let namespace = self.into.clients[**client];
            self.into.snapshot.service.is_known_in(namespace)
                && lookup::reach(&root.spec.export_to, &root.meta.namespace, namespace).is_some()
        };
        let all: Vec<usize> = (0..self.into.clients.len()).collect();
        let mut list: Vec<usize> = match place {
            Place::Own => own.get(&found.root).cloned().unwrap_or_default(),
            Place::Elsewhere => all.iter().filter(sees).copied().collect(),
            Place::Gateway => Vec::new(),
        };
        list.extend(gateway_clients(&self.into.clients, &root.spec, &root.meta.namespace));
        list.retain(|client| sees(&client));
        list.sort_unstable();
        list.dedup();
        list
    }
}

/// Gateway proxies run in the namespace of their Gateway, or anywhere else.
fn gateway_clients(clients: &[&str], spec: &VirtualService, owner: &str) -> Vec<usize> {
    let namespaces: Vec<&str> = spec
        .gateways
        .iter()
        .filter_map(|gateway| super::super::hosts::gateway_namespace(gateway, owner))
        .collect();
    if namespaces.is_empty() {
        return Vec::new();
    }
    (0..clients.len())
        .filter(|at| clients[*at] == lookup::ANY_OTHER || namespaces.contains(&clients[*at]))
        .collect()
}

fn extend<T: PartialEq>(list: &mut Vec<T>, more: impl IntoIterator<Item = T>) {
    for item in more {
        if !list.contains(&item) {
            list.push(item);
        }
    }
}

fn of_l4<'s>(
    root: usize,
    kind: RouteKind,
    index: usize,
    matches: &[L4Match],
    destinations: &'s [WeightedDestination],
) -> Found<'s> {
    let ports: Vec<Option<u32>> = matches.iter().map(|entry| entry.port).collect();
    let bare = |entry: &L4Match| {
        entry.destination_subnets.is_empty()
            && entry.sni_hosts.is_empty()
            && entry.source_labels.is_empty()
            && entry.source_namespace.is_none()
    };
    let free = |entry: &L4Match| bare(entry) && entry.port.is_none() && entry.gateways.is_empty();
    let in_mesh =
        |entry: &L4Match| entry.gateways.is_empty() || entry.gateways.iter().any(|g| &**g == "mesh");
    Found {
        vs: root,
        root,
        kind,
        index,
        name: None,
        port: common(&ports),
        catch_all: matches.is_empty() || matches.iter().any(free),
        everything: matches.is_empty() || matches.iter().any(bare),
        for_mesh: matches.is_empty() || matches.iter().any(in_mesh),
        for_others: matches.is_empty()
            || matches.iter().any(|entry| entry.source_labels.is_empty() && entry.source_namespace.is_none()),
        destinations,
        fixed: destinations.is_empty().then_some(Fixed::Empty),
    }
}

fn common(ports: &[Option<u32>]) -> Option<u32> {
    let first = ports.first().copied().flatten()?;
    ports.iter().all(|port| *port == Some(first)).then_some(first)
}
