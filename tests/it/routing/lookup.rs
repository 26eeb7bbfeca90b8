//! Which DestinationRule and which VirtualService a client uses.

use sluice::routing::lookup::{ANY_OTHER, Rules, claimants};

use super::support::{World, three};

const HOST: &str = "reviews.shop.svc.cluster.local";

/// `namespace name host exportTo subsets [selector]`, one rule a line, oldest first.
fn rules(lines: &str) -> World {
    let mut world = three();
    for line in lines.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let words: Vec<&str> = line.split_whitespace().collect();
        let list = |text: &str| if text == "-" { String::new() } else { text.to_owned() };
        let subsets: Vec<String> = list(words[4])
            .split(',')
            .filter(|name| !name.is_empty())
            .map(|name| format!("  - {{name: {name}, labels: {{version: v1}}}}\n"))
            .collect();
        let export: Vec<String> =
            list(words[3]).split(',').filter(|to| !to.is_empty()).map(|to| format!("\"{to}\",")).collect();
        let (subsets, export) = (subsets.concat(), export.concat());
        let selector = words
            .get(5)
            .map_or(String::new(), |app| format!("  workloadSelector: {{matchLabels: {{app: {app}}}}}\n"));
        world = world.with(&format!(
            "kind: DestinationRule\nmetadata: {{name: {}, namespace: {}}}\nspec:\n  host: \"{}\"\n  exportTo: [{export}]\n{selector}  subsets:\n{}",
            words[1],
            words[0],
            words[2],
            if subsets.is_empty() { "  []\n".to_owned() } else { subsets }
        ));
    }
    world
}

/// The rules that clients of a namespace use, as `first-rule:subsets`, those of some workloads in brackets.
fn seen(world: &World, client: &str) -> String {
    let parts: Vec<String> = Rules::new(&world.snapshot, HOST)
        .effective(client)
        .iter()
        .map(|merged| {
            let names: Vec<&str> = merged.subsets.iter().map(|subset| &*subset.name).collect();
            let first = &world.snapshot.destination_rules[merged.from[0]].object.meta.name;
            let text = format!("{first}:{}", names.join(","));
            if merged.for_everybody() { text } else { format!("[{text}]") }
        })
        .collect();
    parts.join(" ")
}

fn check(lines: &str, client: &str, expected: &str) {
    assert_eq!(seen(&rules(lines), client), expected, "{client}: {lines}");
}

#[test]
fn the_clients_namespace_comes_first_then_the_services_then_the_root() {
    let all = "
        client own reviews.shop.svc.cluster.local - a
        shop owners reviews - b
        istio-system root reviews.shop.svc.cluster.local - c";
    check(all, "client", "own:a");
    check(all, "shop", "owners:b");
    check(all, "other", "owners:b");
    check(all, ANY_OTHER, "owners:b");
    check(all, "istio-system", "owners:b");
    let without_owner = "
        client own reviews.shop.svc.cluster.local - a
        istio-system root reviews.shop.svc.cluster.local - c";
    check(without_owner, "client", "own:a");
    check(without_owner, "shop", "root:c");
    check(without_owner, ANY_OTHER, "root:c");
    check("third rule reviews.shop.svc.cluster.local - a", "shop", "");
    check("third rule reviews.shop.svc.cluster.local - a", ANY_OTHER, "");
    check("", "shop", "");
}

#[test]
fn the_most_specific_host_of_a_namespace_wins() {
    check("shop wide *.shop.svc.cluster.local - a\nshop exact reviews - b", "shop", "exact:b");
    check("shop exact reviews - b\nshop wide *.shop.svc.cluster.local - a", "shop", "exact:b");
    check("shop wider *.cluster.local - a\nshop wide *.shop.svc.cluster.local - b", "shop", "wide:b");
    check("shop all * - a", "shop", "all:a");
    check("shop other ratings - a", "shop", "");
    check("client wide *.svc.cluster.local - a\nshop exact reviews - b", "client", "wide:a");
    // A short name is the rule's own namespace's.
    check("client short reviews - a", "client", "");
}

#[test]
fn rules_are_visible_to_whom_they_are_exported() {
    check("shop r reviews . a", "shop", "r:a");
    check("shop r reviews . a", "other", "");
    check("shop r reviews shop a", "other", "");
    check("shop r reviews shop a", "shop", "r:a");
    check("shop r reviews client a", "client", "r:a");
    check("shop r reviews client a", "other", "");
    check("shop r reviews client a", "shop", "");
    check("shop r reviews .,client a", "shop", "r:a");
    check("shop r reviews .,client a", "client", "r:a");
    check("shop r reviews * a", ANY_OTHER, "r:a");
    check("istio-system r reviews.shop.svc.cluster.local . a", "istio-system", "r:a");
    check("istio-system r reviews.shop.svc.cluster.local . a", "shop", "");
    // What is exported narrowly falls through to the root's rule.
    check("shop r reviews . a\nistio-system d *.local - z", "other", "d:z");
}

#[test]
fn rules_for_one_host_of_one_namespace_are_merged() {
    check("shop r reviews - a\nshop s reviews.shop.svc.cluster.local - b", "shop", "r:a,b");
    check("shop r reviews - a\nshop s reviews - b,a", "other", "r:a,b");
    check("shop r reviews - a\nshop s reviews - a", "shop", "r:a");
    // Different exportTo: they stay apart, and the last one counts.
    check("shop r reviews . a\nshop s reviews * b", "shop", "r:a s:b");
    check("shop r reviews . a\nshop s reviews * b", "other", "s:b");
    // A wider set goes into the narrower one.
    check("shop r reviews client a\nshop s reviews client,other b", "client", "r:a,b");
    check("shop r reviews client a\nshop s reviews client,other b", "other", "");
}

#[test]
fn rules_for_some_workloads_act_at_home_only() {
    check("shop r reviews - a\nshop s reviews - b web", "shop", "[s:b] r:a");
    check("shop r reviews - a\nshop s reviews - b web", "other", "r:a");
    check("shop s reviews - b web", "shop", "[s:b]");
    check("shop s reviews - b web", "other", "");
    check("shop s reviews - b web\nshop t reviews - c api", "shop", "[s:b] [t:c]");
    check("shop s reviews - b web\nshop t reviews - c web", "shop", "[s:b,c]");
    check("client s reviews.shop.svc.cluster.local - b web\nshop r reviews - a", "client", "[s:b]");
}

/// `namespace name host exportTo gateways`, one VirtualService a line, oldest first.
fn services(lines: &str, client: &str) -> String {
    let mut world = three();
    for line in lines.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let words: Vec<&str> = line.split_whitespace().collect();
        let list = |text: &str| {
            text.split(',')
                .filter(|to| *to != "-")
                .map(|to| format!("\"{to}\","))
                .collect::<Vec<_>>()
                .concat()
        };
        world = world.with(&format!(
            "kind: VirtualService\nmetadata: {{name: {}, namespace: {}}}\nspec:\n  hosts: [\"{}\"]\n  exportTo: [{}]\n  gateways: [{}]\n  http: [{{route: [{{destination: {{host: reviews}}}}]}}]\n",
            words[1],
            words[0],
            words[2],
            list(words[3]),
            list(words.get(4).copied().unwrap_or("-"))
        ));
    }
    let names: Vec<String> = claimants(&world.snapshot, HOST, client)
        .iter()
        .map(|(at, _)| world.snapshot.virtual_services[*at].object.meta.name.to_string())
        .collect();
    names.join(" ")
}

#[test]
fn sidecars_try_private_then_named_then_public_and_the_oldest_first() {
    let all = "
        shop public reviews -
        client private reviews.shop.svc.cluster.local .
        third named reviews.shop.svc.cluster.local client";
    assert_eq!(services(all, "client"), "private named public");
    assert_eq!(services(all, "shop"), "public");
    assert_eq!(services(all, ANY_OTHER), "public");
    assert_eq!(services("shop a reviews -\nshop b reviews -", "shop"), "a b");
    assert_eq!(services("shop b reviews -\nshop a reviews -", "shop"), "b a");
    assert_eq!(services("shop w *.shop.svc.cluster.local -\nshop a reviews -", "shop"), "a w");
    assert_eq!(services("shop w *.shop.svc.cluster.local .\nshop a reviews -", "shop"), "a w");
    assert_eq!(services("shop a reviews ~", "shop"), "");
}

#[test]
fn gateways_only_is_not_the_mesh() {
    assert_eq!(services("shop a reviews - gw", "shop"), "");
    assert_eq!(services("shop a reviews - gw,mesh", "shop"), "a");
    assert_eq!(services("shop a reviews - mesh", "shop"), "a");
}
