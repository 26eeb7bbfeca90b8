//! Host names as Istio resolves them.

use sluice::routing::hosts;

#[test]
fn short_names_belong_to_the_namespace_of_the_object() {
    for (host, namespace, expected) in [
        ("reviews", "shop", "reviews.shop.svc.cluster.local"),
        ("Reviews", "shop", "reviews.shop.svc.cluster.local"),
        ("reviews.shop", "shop", "reviews.shop"),
        ("reviews.shop.svc.cluster.local", "other", "reviews.shop.svc.cluster.local"),
        ("*", "shop", "*"),
        ("*.shop.svc.cluster.local", "shop", "*.shop.svc.cluster.local"),
        ("", "shop", ""),
    ] {
        assert_eq!(hosts::resolve(host, namespace, "cluster.local"), expected);
        let full = "reviews.shop.svc.cluster.local";
        assert_eq!(hosts::is(host, namespace, "cluster.local", full), expected == full, "{host}");
    }
}

#[test]
fn wildcards_cover_by_their_end() {
    for (pattern, covers) in [
        ("*", true),
        ("*.cluster.local", true),
        ("*.shop.svc.cluster.local", true),
        ("*.other.svc.cluster.local", false),
        ("reviews.shop.svc.cluster.local", true),
        ("ratings.shop.svc.cluster.local", false),
        ("*local", true),
    ] {
        assert_eq!(hosts::covers(pattern, "reviews.shop.svc.cluster.local"), covers, "{pattern}");
    }
    assert!(hosts::closeness("a.b") > hosts::closeness("*.very.long.pattern"));
    assert!(hosts::closeness("*.shop.local") > hosts::closeness("*.local"));
}

#[test]
fn gateways_have_namespaces() {
    assert_eq!(hosts::gateway_namespace("mesh", "shop"), None);
    assert_eq!(hosts::gateway_namespace("gw", "shop"), Some("shop"));
    assert_eq!(hosts::gateway_namespace("istio-system/gw", "shop"), Some("istio-system"));
}

#[test]
fn cluster_hosts_are_told_from_others() {
    for (host, inside) in [
        ("*", true),
        ("ratings.shop.svc.cluster.local", true),
        ("*.svc.cluster.local", true),
        ("bookinfo.example.com", false),
        ("cluster.local", false),
        ("reviews.shop", false),
    ] {
        assert_eq!(hosts::in_cluster(host, "cluster.local"), inside, "{host}");
    }
}
