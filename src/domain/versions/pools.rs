//! How a service's routing objects tell its pods apart: the subsets of its DestinationRules, and which of them stand
//! beside each other in a route. Read off the objects as they are; which rule acts for whom is `routing`'s business.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::super::ids::ServiceRef;
use super::super::istio::{
    Destination, DestinationRule, Object, Subset, VirtualService, WeightedDestination,
};
use super::super::labels::{LabelSet, is_place};

/// The subsets of a service.
#[derive(Clone, Debug, Default)]
pub struct Pools {
    /// What each selects by; labels of places are left out, and what is left with none is, too.
    pub selectors: Vec<LabelSet>,
    /// The name of each.
    pub names: Vec<Arc<str>>,
    /// For each route, the positions of the subsets that it shares requests among; routes to one are left out.
    pub routes: Vec<Vec<usize>>,
}

impl Pools {
    /// Reads the objects that concern a service.
    pub fn of<'a>(
        service: &ServiceRef,
        virtual_services: impl Iterator<Item = &'a Object<VirtualService>>,
        rules: impl Iterator<Item = &'a Object<DestinationRule>> + Clone,
    ) -> Self {
        let with = |at_home: bool| {
            let rules = rules
                .clone()
                .filter(move |rule| (*rule.meta.namespace == *service.namespace.as_str()) == at_home);
            rules.flat_map(|rule| &rule.spec.subsets)
        };
        let mut out = Self::default();
        let mut names: BTreeMap<&str, usize> = BTreeMap::new();
        // Rules of other namespaces count where the service's own has none.
        let at_home = with(true).next().is_some();
        for subset in with(at_home) {
            let selector = selector(subset);
            if !selector.is_empty() && !names.contains_key(&*subset.name) {
                names.insert(&subset.name, out.selectors.len());
                out.selectors.push(selector);
                out.names.push((*subset.name).into());
            }
        }
        if out.selectors.is_empty() {
            return out;
        }
        for object in virtual_services {
            let spec = &object.spec;
            let lists = (spec.http.iter().map(|route| &route.route))
                .chain(spec.tls.iter().map(|route| &route.route))
                .chain(spec.tcp.iter().map(|route| &route.route));
            for list in lists {
                let own = |entry: &&WeightedDestination| is_own(&entry.destination, object, service);
                let subsets = list.iter().filter(own).filter_map(|entry| entry.destination.subset.as_deref());
                let mut route: Vec<usize> = subsets.filter_map(|name| names.get(name).copied()).collect();
                route.sort_unstable();
                route.dedup();
                if route.len() > 1 && !out.routes.contains(&route) {
                    out.routes.push(route);
                }
            }
        }
        out
    }
}

fn selector(subset: &Subset) -> LabelSet {
    let pairs = subset.labels.iter().filter(|(key, _)| !is_place(key));
    pairs.map(|(key, value)| ((**key).into(), (**value).into())).collect()
}

/// True when a destination names the service: `name`, `name.namespace` or longer.
fn is_own(destination: &Destination, object: &Object<VirtualService>, service: &ServiceRef) -> bool {
    let mut parts = destination.host.split('.');
    parts.next() == Some(&*service.name)
        && parts.next().unwrap_or(&object.meta.namespace) == service.namespace.as_str()
}
