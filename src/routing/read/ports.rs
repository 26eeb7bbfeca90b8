//! Which ports of the service a route acts on: a list of a VirtualService (`http`, `tls`, `tcp`) applies only to
//! ports of its protocol, and a port whose protocol Istio detects by itself needs an `http` and a `tcp` route.
//! Called by the reader, by weights (routes of one port move together) and by the checks.

use crate::domain::routing::{Dest, RouteKind, Uncovered};
use crate::domain::service::{Port, Protocol};

use super::{Inspected, Place};

impl Inspected<'_> {
    /// True when callers in the mesh can use routes of this list at all. Without known ports everything can.
    pub fn has_port_for(&self, kind: RouteKind) -> bool {
        let ports = &self.snapshot.service.ports;
        ports.is_empty() || ports.iter().any(|port| kind.applies_to(port.protocol))
    }

    /// The ports of the service on which a route acts for callers in the mesh, by its list and by the ports that
    /// its conditions name.
    pub fn ports_of(&self, route: usize) -> Vec<&Port> {
        let kind = self.spots[route].kind;
        let outer = self.route(route).port;
        let named = self.named_ports(route);
        let takes = |port: &&Port| {
            let number = u32::from(port.number);
            kind.applies_to(port.protocol)
                && outer.is_none_or(|only| only == number)
                && (named.is_empty() || named.iter().any(|named| named.is_none_or(|named| named == number)))
        };
        self.snapshot.service.ports.iter().filter(takes).collect()
    }

    /// The port of each alternative of a route's conditions; empty = it has none.
    fn named_ports(&self, route: usize) -> Vec<Option<u32>> {
        let spot = &self.spots[route];
        let spec = &self.holder(route).object.spec;
        match spot.kind {
            RouteKind::Http => {
                spec.http.get(spot.index).map(|route| route.r#match.iter().map(|entry| entry.port).collect())
            }
            RouteKind::Tcp => {
                spec.tcp.get(spot.index).map(|route| route.r#match.iter().map(|entry| entry.port).collect())
            }
            RouteKind::Tls => {
                spec.tls.get(spot.index).map(|route| route.r#match.iter().map(|entry| entry.port).collect())
            }
        }
        .unwrap_or_default()
    }

    fn is_own_in_mesh(&self, route: usize) -> bool {
        let spot = &self.spots[route];
        spot.place == Place::Own && spot.for_mesh
    }

    /// The route that takes the rest of the same ports: of a port whose protocol is detected, HTTP requests follow
    /// one list and all other connections another. `None` where the two split differently, or where one of them
    /// acts on ports that the other does not reach: they are then moved one by one.
    pub fn counterpart(&self, route: usize) -> Option<usize> {
        let kind = match self.spots[route].kind {
            RouteKind::Http => RouteKind::Tcp,
            RouteKind::Tcp => RouteKind::Http,
            RouteKind::Tls => return None,
        };
        let whole = |at: usize| self.is_own_in_mesh(at) && self.spots[at].everything;
        if !whole(route) {
            return None;
        }
        let detected = |port: &&Port| port.protocol == Protocol::Auto;
        let within = |inner: &[&Port], outer: &[&Port]| {
            !inner.is_empty() && inner.iter().all(|port| detected(port) && outer.contains(port))
        };
        let own = self.ports_of(route);
        (0..self.spots.len()).find(|at| {
            let spot = &self.spots[*at];
            let candidate = spot.kind == kind && spot.vs == self.spots[route].vs && whole(*at);
            candidate
                && self.alike(route, *at)
                && match kind {
                    // The tcp route must not act on a port that is TCP alone.
                    RouteKind::Tcp => within(&self.ports_of(*at), &own),
                    _ => within(&own, &self.ports_of(*at)),
                }
        })
    }

    fn alike(&self, a: usize, b: usize) -> bool {
        let shares = |at: usize| -> Vec<(&Dest, u8)> {
            self.route(at).targets.iter().map(|target| (&target.to, target.percent)).collect()
        };
        shares(a) == shares(b)
    }

    /// What of the service's ports no route takes, where something claims the service's host in the mesh.
    pub fn uncovered(&self) -> Vec<Uncovered> {
        if !self.claimed_in_mesh {
            return Vec::new();
        }
        let mut taken: Vec<(RouteKind, u16)> = Vec::new();
        for route in (0..self.spots.len()).filter(|at| self.is_own_in_mesh(*at)) {
            let kind = self.spots[route].kind;
            taken.extend(self.ports_of(route).iter().map(|port| (kind, port.number)));
        }
        let lists = [RouteKind::Http, RouteKind::Tcp, RouteKind::Tls];
        let mut open = Vec::new();
        for port in &self.snapshot.service.ports {
            let of_port = || lists.into_iter().filter(|kind| kind.applies_to(port.protocol));
            let lacks = |kind: &RouteKind| !taken.contains(&(*kind, port.number));
            let half = of_port().any(|kind| !lacks(&kind));
            open.extend(of_port().filter(lacks).map(|kind| Uncovered { port: port.clone(), kind, half }));
        }
        open
    }
}
