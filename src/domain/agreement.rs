//! Whether the observed shares of a service agree with its declared split. Asked by the pages, the API, the state of a
//! service and the progress of a change. Must never call shares wrong that the declared split does not speak of.

use super::observed::interval;
use super::overview::{Overview, State};
use super::refusal::Code;
use super::routing::{Outcome, Part, Routing};

/// What moves requests besides the declared split, so that the shares of all requests cannot be judged by it: the mesh
/// counts by service and pod, not by route or rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Beside {
    /// Match rules take requests before the split applies.
    Rules,
    /// Other routes (of another port, gateway or host) split requests to the same service.
    Routes,
    /// A part of the route does not reach a version of its own: other hosts, answers of the proxy, several versions
    /// at once, all pods.
    Parts,
    /// A `ServiceEntry` has the service's host, too: its endpoints answer requests that no version sees.
    Entries,
    /// Versions are reached by Services of their own, which callers may ask for by name, too.
    Siblings,
}

impl Beside {
    /// What moves requests besides the default route's split, if anything does.
    pub fn of(routing: &Routing) -> Option<Self> {
        let route = routing.default_route()?;
        // Routes of another list take other traffic than what is counted for this one.
        let alike = routing.routes.iter().filter(|other| other.kind == route.kind).count();
        let version = |part: &Part| matches!(part.to, Outcome::Version(_));
        if !routing.rules.is_empty() {
            Some(Self::Rules)
        } else if alike > 1 {
            Some(Self::Routes)
        } else if route.foreign_percent() > 0 || !route.parts.iter().all(version) {
            Some(Self::Parts)
        } else if route.targets.iter().any(|target| target.via.is_some()) {
            Some(Self::Siblings)
        } else {
            None
        }
    }

    /// `rules`, `other_routes`, `other_destinations`, `sibling_services` or `service_entries`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Rules => "rules",
            Self::Routes => "other_routes",
            Self::Parts => "other_destinations",
            Self::Siblings => "sibling_services",
            Self::Entries => "service_entries",
        }
    }
}

/// How observed shares compare with the declared split.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Agreement {
    /// Fewer requests than a share can be judged by.
    Few,
    /// Every declared share lies in the interval of what was seen.
    Agrees,
    /// One does not, and the last change is too young for it to mean anything.
    Settling,
    /// One does not, although every request of the window came after the last change.
    Differs,
    /// One does not, which cannot be judged from shares.
    NotJudged(Beside),
}

impl Agreement {
    /// `None` where nothing is declared, or nothing was observed.
    pub fn of(item: &Overview) -> Option<Self> {
        let seen = item.observed.as_ref().filter(|seen| seen.requests() > 0.0)?;
        let declared = item.routing.declared()?;
        if item.findings.iter().any(|finding| finding.code == Code::HostElsewhere) {
            return Some(Self::NotJudged(Beside::Entries));
        }
        if item.state == State::Drift {
            return Some(Self::Differs);
        }
        if seen.too_few() {
            return Some(Self::Few);
        }
        let all = seen.requests();
        let fits = declared.iter().all(|(name, weight)| {
            let hits = seen.of(name.as_str()).map_or(0.0, |version| version.requests);
            let (low, high) = interval(hits, all);
            (low..=high).contains(&f64::from(*weight))
        });
        Some(match (fits, Beside::of(&item.routing)) {
            (true, _) => Self::Agrees,
            (false, Some(beside)) => Self::NotJudged(beside),
            (false, None) => Self::Settling,
        })
    }

    /// `few_requests`, `agrees`, `settling`, `differs` or `not_judged`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Few => "few_requests",
            Self::Agrees => "agrees",
            Self::Settling => "settling",
            Self::Differs => "differs",
            Self::NotJudged(_) => "not_judged",
        }
    }
}
