//! Which DestinationRule and which VirtualService a client uses: Istio's own lookup, which
//! `istioctl analyze` does not do. Called by the reader and by the checks of a plan.
//!
//! DestinationRule: the client's namespace, then the service's, then the root namespace; the first that
//! has a rule for the host wins, nothing is merged across namespaces. VirtualService: private to the
//! client's namespace, then exported to it by name, then public; the oldest of them.
//! Source: pilot/pkg/model/{`push_context`,`destination_rule`,virtualservice}.go of Istio.

use std::collections::{BTreeMap, BTreeSet};

use crate::domain::istio::{DestinationRule, Meta, Subset, VirtualService};
use crate::domain::snapshot::{Held, Snapshot};

use super::hosts;

/// A client namespace that stands for all those that no object names.
pub const ANY_OTHER: &str = "";

/// Rules of one namespace for one host, merged as Istio merges them.
#[derive(Clone, Debug)]
pub struct Merged<'a> {
    export_to: BTreeSet<&'a str>,
    /// Labels of the clients that it is for; `None` = all of them.
    selector: Option<&'a BTreeMap<Box<str>, Box<str>>>,
    pub subsets: Vec<&'a Subset>,
    /// Positions in the snapshot of the rules that went into it, the first one first.
    pub from: Vec<usize>,
}

impl Merged<'_> {
    /// The subset with this name; a later one of the same name is dropped by Istio.
    pub fn subset(&self, name: &str) -> Option<&Subset> {
        self.subsets.iter().find(|subset| &*subset.name == name).copied()
    }

    /// The labels of the clients that it is for, as `app=shop`; empty = all of them.
    pub fn clients(&self) -> String {
        let labels = self.selector.into_iter().flatten().map(|(key, value)| format!("{key}={value}"));
        labels.collect::<Vec<_>>().join(",")
    }

    /// True for the rule of all clients, false for one that only some workloads use.
    pub fn for_everybody(&self) -> bool {
        self.selector.is_none()
    }
}

/// The DestinationRules of a snapshot, ready to be asked.
pub struct Rules<'a> {
    snapshot: &'a Snapshot,
    /// Positions of the rules that cover the host, in Istio's order: with selector first, then oldest.
    order: Vec<usize>,
}

impl<'a> Rules<'a> {
    /// Keeps the rules that cover the service's host.
    pub fn new(snapshot: &'a Snapshot, host: &str) -> Self {
        let domain = &*snapshot.mesh.cluster_domain;
        let mut order: Vec<usize> = (0..snapshot.destination_rules.len())
            .filter(|at| {
                let object = &snapshot.destination_rules[*at].object;
                object.malformed.is_none()
                    && hosts::covers(&hosts::resolve(&object.spec.host, &object.meta.namespace, domain), host)
            })
            .collect();
        order.sort_by_key(|at| {
            let object = &snapshot.destination_rules[*at].object;
            let Meta { created_ms, name, namespace, .. } = &object.meta;
            // Istio compares whole seconds.
            (
                object.spec.workload_selector.is_none(),
                created_ms.div_euclid(1000),
                name.clone(),
                namespace.clone(),
            )
        });
        Self { snapshot, order }
    }

    fn rule(&self, at: usize) -> &'a DestinationRule {
        &self.snapshot.destination_rules[at].object.spec
    }

    fn meta(&self, at: usize) -> &'a Meta {
        &self.snapshot.destination_rules[at].object.meta
    }

    /// Every rule that covers the host, wherever it is.
    pub fn all(&self) -> &[usize] {
        &self.order
    }

    /// What a client of this namespace uses for the host; several when some workloads have a rule of
    /// their own. Empty = no rule at all, so no subset either.
    pub fn effective(&self, client: &str) -> Vec<Merged<'a>> {
        let service = self.snapshot.service.at.namespace.as_str();
        let root = &*self.snapshot.mesh.root_namespace;
        let local: Vec<usize> = self
            .order
            .iter()
            .copied()
            .filter(|at| *self.meta(*at).namespace == *client && self.counts_at_home(*at, client == root))
            .collect();
        if let Some(found) = self.closest(local) {
            return found;
        }
        for owner in [service, root] {
            let exported = self
                .order
                .iter()
                .copied()
                .filter(|at| *self.meta(*at).namespace == *owner && !self.is_private(*at))
                .collect();
            let found: Vec<Merged<'a>> = self
                .closest(exported)
                .unwrap_or_default()
                .into_iter()
                .filter(|rule| {
                    rule.export_to.is_empty()
                        || rule.export_to.contains("*")
                        || rule.export_to.contains(client)
                })
                .collect();
            if !found.is_empty() {
                return found;
            }
        }
        Vec::new()
    }

    /// Clients look in their own namespace first, except in the root namespace, where only rules that
    /// are private to it count: the others are meant for the whole mesh.
    fn counts_at_home(&self, at: usize, root: bool) -> bool {
        if root {
            return self.is_private(at);
        }
        let rule = self.rule(at);
        rule.workload_selector.is_some()
            || rule.export_to.is_empty()
            || rule.export_to.iter().any(|to| matches!(&**to, "*" | ".") || **to == *self.meta(at).namespace)
    }

    fn is_private(&self, at: usize) -> bool {
        let rule = self.rule(at);
        rule.workload_selector.is_some()
            || (rule.export_to.len() == 1
                && (&*rule.export_to[0] == "." || *rule.export_to[0] == *self.meta(at).namespace))
    }

    /// Of rules of one namespace, those of the most specific host, merged.
    fn closest(&self, rules: Vec<usize>) -> Option<Vec<Merged<'a>>> {
        let domain = &*self.snapshot.mesh.cluster_domain;
        let host =
            |at: usize| hosts::resolve(&self.rule(at).host, &self.meta(at).namespace, domain).into_owned();
        let best = rules.iter().map(|at| hosts::closeness(&host(*at))).max()?;
        let same = rules.into_iter().filter(|at| hosts::closeness(&host(*at)) == best);
        let mut merged: Vec<Merged<'a>> = Vec::new();
        for at in same {
            self.merge(&mut merged, at);
        }
        Some(merged)
    }

    fn merge(&self, list: &mut Vec<Merged<'a>>, at: usize) {
        let rule = self.rule(at);
        let selector = rule.workload_selector.as_ref().map(|selector| &selector.match_labels);
        let export_to: BTreeSet<&str> = if selector.is_some() {
            BTreeSet::from(["."])
        } else {
            rule.export_to.iter().map(|to| &**to).collect()
        };
        let mut stands_alone = true;
        for other in list.iter_mut() {
            let alike = other.selector == selector;
            let wider = !other.export_to.is_empty() && export_to.is_superset(&other.export_to);
            if export_to != other.export_to && !wider {
                continue;
            }
            if other.selector.is_some() && selector.is_some() && !alike {
                continue;
            }
            if alike {
                stands_alone = false;
            }
            other.from.push(at);
            for subset in &rule.subsets {
                if other.subset(&subset.name).is_none() {
                    other.subsets.push(subset);
                }
            }
        }
        if stands_alone {
            let mut own = Merged { export_to, selector, subsets: Vec::new(), from: vec![at] };
            for subset in &rule.subsets {
                if own.subset(&subset.name).is_none() {
                    own.subsets.push(subset);
                }
            }
            list.push(own);
        }
    }
}

/// How a VirtualService reaches the clients of a namespace; the smaller one is tried first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reach {
    Private,
    Named,
    Public,
}

/// How an object of `owner` with this `exportTo` reaches clients of `client`; `None` = not at all.
pub fn reach(export_to: &[Box<str>], owner: &str, client: &str) -> Option<Reach> {
    if export_to.is_empty() || export_to.iter().any(|to| &**to == "*") {
        return Some(Reach::Public);
    }
    export_to.iter().find_map(|to| match &**to {
        "." if owner == client => Some(Reach::Private),
        named if named == client && client != ANY_OTHER => {
            Some(if owner == client { Reach::Private } else { Reach::Named })
        }
        _ => None,
    })
}

/// True when a VirtualService acts in sidecars.
pub fn in_mesh(spec: &VirtualService) -> bool {
    spec.gateways.is_empty() || spec.gateways.iter().any(|gateway| &**gateway == "mesh")
}

/// The closest of the object's hosts that covers the service's host.
pub fn claims(spec: &VirtualService, namespace: &str, domain: &str, host: &str) -> Option<(bool, usize)> {
    spec.hosts
        .iter()
        .filter_map(|pattern| {
            let pattern = hosts::resolve(pattern, namespace, domain);
            hosts::covers(&pattern, host).then(|| hosts::closeness(&pattern))
        })
        .max()
}

/// How close a VirtualService's host is, and how private it is: of equal ranks the older object wins.
pub type Rank = ((bool, usize), Reach);

/// The order in which sidecars of `client` try the VirtualServices that claim the host, with how close
/// and how private each is. Only the first one acts.
pub fn claimants(snapshot: &Snapshot, host: &str, client: &str) -> Vec<(usize, Rank)> {
    let domain = &*snapshot.mesh.cluster_domain;
    let mut found: Vec<(usize, Rank)> = snapshot
        .virtual_services
        .iter()
        .enumerate()
        .filter_map(|(at, held)| {
            let Held { object, .. } = held;
            let namespace = &*object.meta.namespace;
            if object.malformed.is_some() || !in_mesh(&object.spec) {
                return None;
            }
            let close = claims(&object.spec, namespace, domain, host)?;
            Some((at, (close, reach(&object.spec.export_to, namespace, client)?)))
        })
        .collect();
    found.sort_by_key(|(at, (close, reach))| {
        let meta = &snapshot.virtual_services[*at].object.meta;
        (
            std::cmp::Reverse(*close),
            *reach,
            meta.created_ms.div_euclid(1000),
            meta.name.clone(),
            meta.namespace.clone(),
        )
    });
    found
}

/// Every namespace from which the lookups may differ: those that the objects live in or name, the
/// service's, the root's, those of gateways, those that know the Service, and one that stands for all others.
pub fn client_namespaces<'a>(snapshot: &'a Snapshot) -> Vec<&'a str> {
    let mut all: BTreeSet<&'a str> = BTreeSet::new();
    all.insert(&snapshot.mesh.root_namespace);
    for held in &snapshot.virtual_services {
        let spec = &held.object.spec;
        let own = &*held.object.meta.namespace;
        all.insert(own);
        all.extend(named(&spec.export_to));
        all.extend(spec.gateways.iter().filter_map(|gateway| hosts::gateway_namespace(gateway, own)));
    }
    for held in &snapshot.destination_rules {
        all.insert(&held.object.meta.namespace);
        all.extend(named(&held.object.spec.export_to));
    }
    all.extend(named(&snapshot.service.export_to));
    let service = snapshot.service.at.namespace.as_str();
    all.remove(service);
    all.remove(ANY_OTHER);
    // The service's own namespace first: what is shown is what its own clients see.
    let mut list = vec![service];
    list.extend(all);
    list.push(ANY_OTHER);
    list
}

fn named(export_to: &[Box<str>]) -> impl Iterator<Item = &str> {
    export_to.iter().map(|to| &**to).filter(|to| !matches!(*to, "*" | "." | "~"))
}
