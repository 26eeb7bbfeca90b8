//! Requests that are spread by pods past a declared split: whoever has a ready pod gets a part of them, whatever its
//! weight. Pure; a retirement, the plan of a release and its page ask here.

use super::routing::{Outcome, Part, Rest, Routing};
use super::service::{Protocol, ServiceFacts};

/// Callers in the mesh for whom the declared split does not hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Callers<'r> {
    /// Those of other namespaces than these.
    Elsewhere(&'r [String]),
    /// Those that ask for other hosts than these.
    ByHost(&'r [String]),
    /// All of them: the split holds at these gateways only.
    InMesh(&'r [String]),
}

impl Routing {
    /// True when no route says which version gets how much: requests are spread by pods.
    pub fn is_by_pods(&self) -> bool {
        self.declared().is_none() && !self.is_undecided() && self.split.iter().all(Part::is_by_pods)
    }
}

/// True when pods decide who answers any of a Service's requests: nothing is declared for it, or not for all callers
/// or ports.
pub fn decide_some(routing: &Routing) -> bool {
    let declared = routing
        .split
        .iter()
        .all(|part| matches!(part.to, Outcome::Version(_) | Outcome::Answer(_) | Outcome::Host(_)));
    let open =
        routing.scope.as_ref().is_some_and(|scope| scope.rest == Rest::ByPods || !scope.uncovered.is_empty());
    !declared || routing.declared().is_none() || open
}

/// The callers whose requests are spread by pods; `None` = there are none, or nothing is declared.
pub fn callers(routing: &Routing) -> Option<Callers<'_>> {
    let scope = routing.scope.as_ref().filter(|scope| scope.rest == Rest::ByPods)?;
    let mesh = scope.gateways.iter().any(|gateway| gateway == "mesh");
    Some(match &scope.namespaces {
        Some(only) => Callers::Elsewhere(only),
        None if mesh => Callers::ByHost(&scope.hosts),
        None => Callers::InMesh(&scope.gateways),
    })
}

/// The ports whose traffic no route takes, as protocol and label (`TCP`, `9181 (tcp-x)`), each once. No proxy splits
/// UDP, so a port of it is always among them.
pub fn ports(routing: &Routing, service: &ServiceFacts) -> Vec<(String, String)> {
    let scope = routing.scope.iter().flat_map(|scope| &scope.uncovered);
    let mut out: Vec<(String, String)> =
        scope.map(|open| (open.kind.as_str().to_uppercase(), open.port.label())).collect();
    let udp = service.ports.iter().filter(|port| port.protocol == Protocol::Udp);
    for one in udp.map(|port| ("UDP".to_owned(), port.label())) {
        if !out.contains(&one) {
            out.push(one);
        }
    }
    out
}
