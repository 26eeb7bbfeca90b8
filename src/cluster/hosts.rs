//! Which services a host in a routing object may mean. An index key, deliberately generous: one object too
//! many in a snapshot does no harm, one too few would. What Istio really makes of a host is `routing`'s business.

use super::words::{Word, Words};

/// The services that a host is about.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum HostKey {
    /// One service: namespace and name.
    Service(Word, Word),
    /// Every service of a namespace (`*.shop.svc.cluster.local`).
    Namespace(Word),
    /// Every service (`*`, `*.local`).
    All,
}

/// Reads a host as an object in `namespace` means it; `None` when it can be no Service of the cluster.
pub(super) fn key(host: &str, namespace: &str, domain: &str, words: &Words) -> Option<HostKey> {
    if let Some(rest) = host.strip_prefix('*') {
        return wildcard(rest.strip_prefix('.').unwrap_or(rest), domain, words);
    }
    let mut labels = host.splitn(3, '.');
    let name = labels.next().filter(|name| !name.is_empty())?;
    let Some(second) = labels.next() else {
        return Some(HostKey::Service(words.get(namespace), words.get(name)));
    };
    // `reviews.shop` and `reviews.shop.svc` are no hosts to Istio. They are found all the same, so that
    // the service's page can say that the object has no effect.
    let is_service = match labels.next() {
        None | Some("svc") => true,
        Some(rest) => rest.strip_prefix("svc.") == Some(domain),
    };
    is_service.then(|| HostKey::Service(words.get(second), words.get(name)))
}

/// What comes after `*.`.
fn wildcard(rest: &str, domain: &str, words: &Words) -> Option<HostKey> {
    let services = format!("svc.{domain}");
    if rest.is_empty() || services == rest || services.ends_with(&format!(".{rest}")) {
        return Some(HostKey::All);
    }
    let namespace = rest.strip_suffix(&services)?.strip_suffix('.')?;
    (!namespace.is_empty() && !namespace.contains('.')).then(|| HostKey::Namespace(words.get(namespace)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_are_read_with_the_objects_own_namespace() {
        let words = Words::default();
        let check = |host: &str, expected: Option<HostKey>| {
            assert_eq!(key(host, "shop", "cluster.local", &words), expected, "{host}");
        };
        let service = |ns: &str, name: &str| Some(HostKey::Service(ns.into(), name.into()));
        check("reviews", service("shop", "reviews"));
        check("reviews.bank", service("bank", "reviews"));
        check("reviews.bank.svc", service("bank", "reviews"));
        check("reviews.bank.svc.cluster.local", service("bank", "reviews"));
        check("reviews.bank.svc.other.domain", None);
        check("www.example.com", None);
        check("*", Some(HostKey::All));
        check("*.local", Some(HostKey::All));
        check("*.svc.cluster.local", Some(HostKey::All));
        check("*.cal", None);
        check("*.bank.svc.cluster.local", Some(HostKey::Namespace("bank".into())));
        check("*.example.com", None);
        check("", None);
        check(".bank", None);
    }
}
