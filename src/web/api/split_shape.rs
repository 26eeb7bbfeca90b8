//! The shapes of what a split holds for, and of how what was observed compares with it. Portals program against
//! these: fields may be added, none is renamed or removed.

use serde::Serialize;
use utoipa::ToSchema;

use crate::domain::agreement::{self, Beside};
use crate::domain::overview::Overview;
use crate::domain::routing as words;

/// For whom a split holds.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Scope {
    /// The hosts that callers ask for.
    pub hosts: Vec<String>,
    /// `mesh` for callers in the mesh, and/or gateways.
    pub gateways: Vec<String>,
    /// Only requests to this port; null = to every port.
    #[schema(required = true)]
    pub port: Option<u32>,
    /// Only callers in these namespaces; null = in all but `except`.
    #[schema(required = true)]
    pub namespaces: Option<Vec<String>>,
    /// Namespaces whose callers follow other routes.
    pub except: Vec<String>,
    /// What becomes of callers in the mesh for whom it does not hold: `nobody` (there are none), `spread_by_pods`,
    /// `other_routes`, or `unknown` (their proxies do not know the Service).
    #[schema(value_type = String, example = "nobody")]
    pub rest: &'static str,
    /// Traffic of the service's ports that no route takes: it is spread by pods, whatever is declared. A port whose
    /// protocol is detected carries HTTP and other TCP, and needs a route for each.
    pub uncovered: Vec<Uncovered>,
}

/// Traffic of a port that no route takes.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Uncovered {
    pub port: u16,
    /// `http`, `tcp` or `tls`: the list in which a route would have to be.
    #[schema(value_type = String, example = "tcp")]
    pub protocol: &'static str,
}

/// How the observed shares compare with the declared split.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Agreement {
    /// `agrees`; `settling` (not as declared, and the last change is young); `differs`; `few_requests`;
    /// `not_judged` (not as declared, which cannot be judged from shares: `why`).
    #[schema(value_type = String, example = "agrees")]
    pub verdict: &'static str,
    /// What moves requests besides the declared split, where it cannot be judged: `rules`, `other_routes`,
    /// `other_destinations`, `sibling_services`, `service_entries`; else null.
    #[schema(required = true, value_type = Option<String>, example = "rules")]
    pub why: Option<&'static str>,
}

impl Scope {
    pub fn of(scope: &words::Scope) -> Self {
        let uncovered =
            |open: &words::Uncovered| Uncovered { port: open.port.number, protocol: open.kind.as_str() };
        Self {
            hosts: scope.hosts.clone(),
            gateways: scope.gateways.clone(),
            port: scope.port,
            namespaces: scope.namespaces.clone(),
            except: scope.except.clone(),
            rest: scope.rest.as_str(),
            uncovered: scope.uncovered.iter().map(uncovered).collect(),
        }
    }
}

impl Agreement {
    /// `None` where nothing is declared, or nothing was observed.
    pub fn of(item: &Overview) -> Option<Self> {
        let agreement = agreement::Agreement::of(item)?;
        let why = match agreement {
            agreement::Agreement::NotJudged(beside) => Some(Beside::as_str(beside)),
            _ => None,
        };
        Some(Self { verdict: agreement.as_str(), why })
    }
}
