//! VirtualServices and DestinationRules by the services that they are about, delegation included.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use crate::domain::istio::{Destination, DestinationRule, Object, VirtualService};

use super::find::remove;
use super::hosts::{self, HostKey};
use super::words::{Word, Words};

type Rule = Arc<Object<DestinationRule>>;
type Virtual = Arc<Object<VirtualService>>;
/// Namespace and name.
type Key = (Word, Word);

/// Of more other Services than this nothing is kept: a route to so many does not split versions by them.
const MOST_OTHERS: usize = 64;

/// All routing objects.
#[derive(Default)]
pub(super) struct Routes {
    virtual_services: HashMap<Key, Virtual>,
    /// By the services that are named as hosts or as destinations.
    named: HashMap<HostKey, Vec<Virtual>>,
    /// Who delegates to an object (which need not exist).
    roots: HashMap<Key, Vec<Key>>,
    destination_rules: HashMap<Key, Rule>,
    rules_for: HashMap<HostKey, Vec<Rule>>,
}

impl Routes {
    pub fn virtual_service(&self, namespace: &str, name: &str) -> Option<&Virtual> {
        self.virtual_services.get(&(namespace.into(), name.into()))
    }

    pub fn destination_rule(&self, namespace: &str, name: &str) -> Option<&Rule> {
        self.destination_rules.get(&(namespace.into(), name.into()))
    }

    /// Keys of all objects of one kind, of one namespace or of all.
    pub fn keys<'a>(&'a self, virtual_services: bool, scope: Option<&'a str>) -> Vec<Key> {
        let within = |key: &&Key| scope.is_none_or(|scope| &*key.0 == scope);
        if virtual_services {
            self.virtual_services.keys().filter(within).cloned().collect()
        } else {
            self.destination_rules.keys().filter(within).cloned().collect()
        }
    }

    /// Puts, or with `None` removes, a VirtualService. Returns the services that it may matter to, before and
    /// after; nothing when it is the same as before.
    pub fn set_virtual_service(
        &mut self,
        key: &Key,
        new: Option<Virtual>,
        ctx: &Ctx<'_>,
    ) -> HashSet<HostKey> {
        let old = self.virtual_services.get(key).cloned();
        if old == new {
            return HashSet::new();
        }
        let mut touched = HashSet::new();
        if let Some(old) = old {
            self.reach(key, &old, ctx, &mut touched);
            self.virtual_services.remove(key);
            for host in named_by(&old, ctx) {
                remove(&mut self.named, &host, |other| Arc::ptr_eq(other, &old));
            }
            for delegate in delegates_of(&old, ctx.words) {
                remove(&mut self.roots, &delegate, |root| root == key);
            }
        }
        if let Some(new) = new {
            for host in named_by(&new, ctx) {
                self.named.entry(host).or_insert_with(|| Vec::with_capacity(1)).push(Arc::clone(&new));
            }
            for delegate in delegates_of(&new, ctx.words) {
                self.roots.entry(delegate).or_default().push(key.clone());
            }
            self.virtual_services.insert(key.clone(), Arc::clone(&new));
            self.reach(key, &new, ctx, &mut touched);
        }
        touched
    }

    /// The same for a DestinationRule.
    pub fn set_destination_rule(&mut self, key: &Key, new: Option<Rule>, ctx: &Ctx<'_>) -> HashSet<HostKey> {
        let old = self.destination_rules.get(key).cloned();
        let mut touched = HashSet::new();
        if old == new {
            return touched;
        }
        if let Some(old) = old {
            self.destination_rules.remove(key);
            if let Some(host) = ctx.host(&old.spec.host, &key.0) {
                remove(&mut self.rules_for, &host, |other| Arc::ptr_eq(other, &old));
                touched.insert(host);
            }
        }
        if let Some(new) = new {
            if let Some(host) = ctx.host(&new.spec.host, &key.0) {
                let list = self.rules_for.entry(host.clone()).or_insert_with(|| Vec::with_capacity(1));
                list.push(Arc::clone(&new));
                touched.insert(host);
            }
            self.destination_rules.insert(key.clone(), new);
        }
        touched
    }

    /// The VirtualServices that matter to a service: those that name it as host or destination, what these delegate
    /// to, and every root of any of them (which need not name the service itself).
    pub fn virtual_services_for(&self, namespace: &Word, name: &Word, words: &Words) -> Vec<Virtual> {
        let mut found: Vec<Virtual> = Vec::new();
        let mut seen: HashSet<*const Object<VirtualService>> = HashSet::new();
        let mut take = |object: &Virtual, found: &mut Vec<Virtual>| {
            if seen.insert(Arc::as_ptr(object)) {
                found.push(Arc::clone(object));
            }
        };
        for host in keys_of(namespace, name) {
            for object in self.named.get(&host).into_iter().flatten() {
                take(object, &mut found);
            }
        }
        for at in 0..found.len() {
            for delegate in delegates_of(&found[at].clone(), words) {
                if let Some(object) = self.virtual_services.get(&delegate) {
                    take(object, &mut found);
                }
            }
        }
        for at in 0..found.len() {
            for root in self.roots_of(&found[at].clone()) {
                take(root, &mut found);
            }
        }
        found.sort_by(|a, b| (&a.meta.namespace, &a.meta.name).cmp(&(&b.meta.namespace, &b.meta.name)));
        found
    }

    /// The DestinationRules whose host is the service's, or a wildcard that covers it.
    pub fn destination_rules_for(&self, namespace: &Word, name: &Word) -> Vec<Rule> {
        let lists = keys_of(namespace, name).map(|host| self.rules_for.get(&host));
        let mut found: Vec<Rule> = lists.into_iter().flatten().flatten().cloned().collect();
        found.sort_by(|a, b| (&a.meta.namespace, &a.meta.name).cmp(&(&b.meta.namespace, &b.meta.name)));
        found
    }

    /// Every service whose snapshot says something about this one because a route names both: as destinations, or
    /// the other one as the host that is routed.
    pub fn beside(&self, namespace: &Word, name: &Word, ctx: &Ctx<'_>) -> HashSet<HostKey> {
        let own = HostKey::Service(namespace.clone(), name.clone());
        let mut found = HashSet::new();
        for object in self.named.get(&own).into_iter().flatten() {
            for destinations in routes_of(object) {
                let keys: Vec<HostKey> =
                    destinations.iter().filter_map(|to| ctx.host(&to.host, &object.meta.namespace)).collect();
                if keys.contains(&own) {
                    found.extend(keys);
                }
            }
            for one in std::iter::once(object).chain(self.roots_of(object)) {
                let hosts = one.spec.hosts.iter().filter(|host| !host.starts_with('*'));
                found.extend(hosts.filter_map(|host| ctx.host(host, &one.meta.namespace)));
            }
        }
        found
    }

    /// The Services besides this one that the routes which are about it send to: namespace and name, at most
    /// [`MOST_OTHERS`], sorted.
    pub fn others_of(&self, namespace: &Word, name: &Word, ctx: &Ctx<'_>) -> Vec<Key> {
        let own = HostKey::Service(namespace.clone(), name.clone());
        let mut found: BTreeSet<Key> = BTreeSet::new();
        for object in self.virtual_services_for(namespace, name, ctx.words) {
            let of = &object.meta.namespace;
            let claims = |one: &Virtual| {
                let mut hosts = one.spec.hosts.iter();
                hosts.any(|host| ctx.host(host, &one.meta.namespace).as_ref() == Some(&own))
            };
            let claims = claims(&object) || self.roots_of(&object).any(claims);
            for destinations in routes_of(&object) {
                let is_own = |to: &&Destination| ctx.host(&to.host, of).as_ref() == Some(&own);
                if !claims && !destinations.iter().any(is_own) {
                    continue;
                }
                let named = destinations.iter().filter_map(|to| ctx.service(&to.host, of));
                found.extend(named.filter(|key| key.0 != *namespace || key.1 != *name));
                if found.len() > MOST_OTHERS {
                    return found.into_iter().take(MOST_OTHERS).collect();
                }
            }
        }
        found.into_iter().collect()
    }

    /// Delegates that a set of VirtualServices names and that are not among those held.
    pub fn missing_delegates(&self, of: &[Virtual], words: &Words) -> Vec<Key> {
        let mut missing: Vec<Key> = of.iter().flat_map(|object| delegates_of(object, words)).collect();
        missing.sort_unstable();
        missing.dedup();
        missing.retain(|key| !self.virtual_services.contains_key(key));
        missing
    }

    fn roots_of(&self, object: &Virtual) -> impl Iterator<Item = &Virtual> {
        let key = (object.meta.namespace.clone(), object.meta.name.clone());
        self.roots.get(&key).into_iter().flatten().filter_map(|root| self.virtual_services.get(root))
    }

    /// Every service whose [`virtual_services_for`](Self::virtual_services_for) an object may be in. The object can
    /// be the one that names the service, its delegate, its root, or another root of its delegate.
    fn reach(&self, key: &Key, object: &Virtual, ctx: &Ctx<'_>, touched: &mut HashSet<HostKey>) {
        let mut around: Vec<Virtual> = vec![Arc::clone(object)];
        let roots = |key: &Key, around: &mut Vec<Virtual>| {
            let roots = self.roots.get(key).into_iter().flatten();
            around.extend(roots.filter_map(|root| self.virtual_services.get(root)).cloned());
        };
        roots(key, &mut around);
        for delegate in delegates_of(object, ctx.words) {
            around.extend(self.virtual_services.get(&delegate).cloned());
            roots(&delegate, &mut around);
        }
        for one in around {
            touched.extend(named_by(&one, ctx));
        }
    }
}

/// What is needed to read a host.
pub(super) struct Ctx<'a> {
    pub domain: &'a str,
    pub words: &'a Words,
}

impl Ctx<'_> {
    fn host(&self, host: &str, namespace: &str) -> Option<HostKey> {
        hosts::key(host, namespace, self.domain, self.words)
    }

    /// The Service that a destination's host is, as Istio reads it: a name with a dot is taken as it is.
    fn service(&self, host: &str, namespace: &str) -> Option<Key> {
        if !host.contains('.') {
            return (!host.is_empty() && !host.starts_with('*'))
                .then(|| (self.words.get(namespace), self.words.get(&host.to_ascii_lowercase())));
        }
        let host = host.to_ascii_lowercase();
        let (name, namespace) = host.strip_suffix(self.domain)?.strip_suffix(".svc.")?.split_once('.')?;
        let plain = !namespace.contains('.') && !name.is_empty() && !name.starts_with('*');
        plain.then(|| (self.words.get(namespace), self.words.get(name)))
    }
}

/// The destinations of each route of an object.
fn routes_of(object: &Object<VirtualService>) -> impl Iterator<Item = Vec<&Destination>> {
    let spec = &object.spec;
    let http = spec.http.iter().map(|route| &route.route);
    let tls = spec.tls.iter().map(|route| &route.route);
    let tcp = spec.tcp.iter().map(|route| &route.route);
    http.chain(tls).chain(tcp).map(|route| route.iter().map(|entry| &entry.destination).collect())
}

/// The keys under which an object about a service is held.
fn keys_of(namespace: &Word, name: &Word) -> [HostKey; 3] {
    [HostKey::Service(namespace.clone(), name.clone()), HostKey::Namespace(namespace.clone()), HostKey::All]
}

/// The services that a VirtualService names, as hosts or as destinations.
fn named_by(object: &Object<VirtualService>, ctx: &Ctx<'_>) -> HashSet<HostKey> {
    let mut named: HashSet<HostKey> = HashSet::new();
    let namespace = &*object.meta.namespace;
    // `*` is for gateways only: it is about the services that are routed to, which are named below.
    let hosts = object.spec.hosts.iter().filter(|host| &***host != "*");
    named.extend(hosts.filter_map(|host| ctx.host(host, namespace)));
    let http = object.spec.http.iter().flat_map(|route| {
        let copies = route.mirror.iter().chain(route.mirrors.iter().map(|mirror| &mirror.destination));
        route.route.iter().map(|weighted| &weighted.destination).chain(copies)
    });
    let tcp = object.spec.tcp.iter().flat_map(|route| &route.route).map(|weighted| &weighted.destination);
    let tls = object.spec.tls.iter().flat_map(|route| &route.route).map(|weighted| &weighted.destination);
    let destinations = http.chain(tcp).chain(tls);
    named.extend(destinations.filter_map(|Destination { host, .. }| ctx.host(host, namespace)));
    named
}

/// The VirtualServices that one delegates to.
fn delegates_of(object: &Object<VirtualService>, words: &Words) -> Vec<Key> {
    let own = &object.meta.namespace;
    let delegates = object.spec.http.iter().filter_map(|route| route.delegate.as_ref());
    let mut keys: Vec<Key> = delegates
        .map(|delegate| {
            let namespace = delegate.namespace.as_deref().filter(|namespace| !namespace.is_empty());
            (
                namespace.map_or_else(|| own.clone(), |namespace| words.get(namespace)),
                words.get(&delegate.name),
            )
        })
        .collect();
    keys.sort_unstable();
    keys.dedup();
    keys
}
