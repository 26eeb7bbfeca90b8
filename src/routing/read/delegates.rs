//! Delegation: a root VirtualService hands requests to the routes of another one. What Istio cannot
//! resolve it leaves out with a log line only, so it is found out here.
//! Source: `mergeVirtualServicesIfNeeded` in pilot/pkg/model/virtualservice.go of Istio.

use std::collections::BTreeMap;

use crate::domain::ids::ObjectRef;
use crate::domain::istio::{Delegate, HttpMatch, StringMatch};
use crate::domain::snapshot::Snapshot;

use super::super::lookup;
use super::virtual_service;

/// A delegation that does not work.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trouble {
    pub root: ObjectRef,
    /// The delegate as it is named.
    pub delegate: String,
    /// True when it is there but cannot be used (hosts of its own, not exported, conflicting match).
    pub invalid: bool,
}

impl Trouble {
    /// A route of a delegate that Istio drops, because its match contradicts the root's.
    pub fn dropped(snapshot: &Snapshot, root: usize, vs: usize, index: usize) -> Self {
        let delegate = virtual_service(snapshot, vs);
        Self {
            root: virtual_service(snapshot, root),
            delegate: format!("{}/{} (http[{index}])", delegate.namespace, delegate.name),
            invalid: true,
        }
    }
}

/// The VirtualService that a root's entry delegates to.
pub fn find(snapshot: &Snapshot, root: usize, delegate: &Delegate) -> Result<usize, Trouble> {
    let own = &*snapshot.virtual_services[root].object.meta.namespace;
    let namespace = delegate.namespace.as_deref().filter(|name| !name.is_empty()).unwrap_or(own);
    let trouble = |invalid| Trouble {
        root: virtual_service(snapshot, root),
        delegate: format!("{namespace}/{}", delegate.name),
        invalid,
    };
    let at = snapshot
        .virtual_services
        .iter()
        .position(|held| {
            *held.object.meta.namespace == *namespace && *held.object.meta.name == *delegate.name
        })
        .ok_or_else(|| trouble(false))?;
    let object = &snapshot.virtual_services[at].object;
    let spec = &object.spec;
    let usable = object.malformed.is_none()
        && spec.hosts.is_empty()
        && spec.gateways.is_empty()
        && spec.tcp.is_empty()
        && spec.tls.is_empty()
        && lookup::reach(&spec.export_to, namespace, own).is_some();
    if usable { Ok(at) } else { Err(trouble(true)) }
}

/// True when Istio drops a delegate's route, because one of its matches is no part of any of the root's.
pub fn conflict(root: &[HttpMatch], delegate: &[HttpMatch]) -> bool {
    !root.is_empty() && delegate.iter().any(|inner| root.iter().all(|outer| contradicts(outer, inner)))
}

fn contradicts(root: &HttpMatch, leaf: &HttpMatch) -> bool {
    let plain = [
        (&root.uri, &leaf.uri),
        (&root.scheme, &leaf.scheme),
        (&root.method, &leaf.method),
        (&root.authority, &leaf.authority),
    ];
    let values = |root: &BTreeMap<Box<str>, StringMatch>, leaf: &BTreeMap<Box<str>, StringMatch>| {
        leaf.iter().any(|(key, value)| differ(root.get(key), Some(value)))
    };
    plain.iter().any(|(root, leaf)| differ(root.as_ref(), leaf.as_ref()))
        || values(&root.headers, &leaf.headers)
        || values(&root.without_headers, &leaf.without_headers)
        || values(&root.query_params, &leaf.query_params)
        || root.ignore_uri_case != leaf.ignore_uri_case
        || matches!((root.port, leaf.port), (Some(outer), Some(inner)) if outer != inner)
        || (root.source_namespace.is_some() && root.source_namespace != leaf.source_namespace)
        || leaf
            .source_labels
            .iter()
            .any(|(key, value)| root.source_labels.get(key).is_some_and(|outer| outer != value))
        || (!root.gateways.is_empty() && leaf.gateways.iter().any(|gateway| !root.gateways.contains(gateway)))
}

fn differ(root: Option<&StringMatch>, leaf: Option<&StringMatch>) -> bool {
    let (Some(root), Some(leaf)) = (root, leaf) else { return false };
    if root.regex.is_some() || leaf.regex.is_some() {
        return true;
    }
    match (&root.exact, &root.prefix) {
        (Some(exact), _) => leaf.prefix.is_some() || leaf.exact.as_ref() != Some(exact),
        (None, Some(prefix)) => {
            let inner = leaf.prefix.as_ref().or(leaf.exact.as_ref());
            !inner.is_some_and(|inner| inner.starts_with(&**prefix))
        }
        (None, None) => true,
    }
}
