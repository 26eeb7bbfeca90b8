//! Matches: first one wins, all conditions of one must hold.

use serde_json::{Value, json};

use super::support::{Ask, ask, client, only, web};

/// A route to v2 under this match, everything else to v1.
fn with(when: Value) -> sluice::demo::world::World {
    web(json!([{ "match": when, "route": only("v2") }, { "route": only("v1") }]))
}

fn check(when: Value, fits: &[Ask], does_not: &[Ask]) {
    let world = with(json!([when]));
    for ask in fits {
        assert_eq!(ask.end(&world), "v2", "{when} should take {} {:?}", ask.path, ask.headers);
    }
    for ask in does_not {
        assert_eq!(ask.end(&world), "v1", "{when} should leave {} {:?}", ask.path, ask.headers);
    }
}

fn query(pairs: &[(&'static str, &'static str)]) -> Ask {
    Ask { query: pairs.to_vec(), ..ask() }
}

fn method(method: &'static str) -> Ask {
    Ask { method, ..ask() }
}

#[test]
fn paths_match_exactly_by_prefix_or_as_a_whole_regular_expression() {
    let p = |path| ask().path(path);
    check(json!({ "uri": { "exact": "/a" } }), &[p("/a")], &[p("/a/"), p("/A"), p("/")]);
    check(json!({ "uri": { "prefix": "/a" } }), &[p("/a"), p("/ab"), p("/a/b")], &[p("/A"), p("/")]);
    check(json!({ "uri": { "regex": "/a[0-9]+" } }), &[p("/a1")], &[p("/a1x"), p("x/a1"), p("/a")]);
    check(json!({ "uri": { "exact": "/a" }, "ignoreUriCase": true }), &[p("/a"), p("/A")], &[p("/b")]);
    check(json!({ "uri": { "prefix": "/Ab" }, "ignoreUriCase": true }), &[p("/aBc")], &[p("/b")]);
    // RE2 has no look-around: a proxy would refuse it, so it takes nothing.
    check(json!({ "uri": { "regex": "(?=/a).*" } }), &[], &[p("/a")]);
}

#[test]
fn headers_match_by_value_or_presence_whatever_the_case_of_the_name() {
    let h = |value| ask().header("end-user", value);
    check(json!({ "headers": { "end-user": { "exact": "jason" } } }), &[h("jason")], &[h("Jason"), ask()]);
    check(json!({ "headers": { "End-User": { "prefix": "ja" } } }), &[h("jason")], &[h("amy")]);
    let gmail = json!({ "headers": { "end-user": { "regex": ".*@gmail\\.com" } } });
    check(gmail, &[h("amy@gmail.com")], &[h("amy@gmail.com.cn"), h("amy@gmailxcom"), ask()]);
    check(json!({ "headers": { "end-user": {} } }), &[h("x"), h("")], &[ask()]);
    check(json!({ "headers": { "end-user": { "regex": "*" } } }), &[h("x")], &[ask()]);
    check(
        json!({ "withoutHeaders": { "end-user": { "exact": "jason" } } }),
        &[h("amy"), ask()],
        &[h("jason")],
    );
    check(json!({ "withoutHeaders": { "end-user": {} } }), &[ask()], &[h("jason")]);
    let cookie = json!({ "headers": { "cookie": { "regex": "^(.*?;)?\\s*user=jason(;.*)?$" } } });
    check(
        cookie,
        &[ask().header("cookie", "user=jason"), ask().header("cookie", "a=b; user=jason; c=d")],
        &[ask().header("cookie", "user=jasons"), ask().header("cookie", "xuser=jason")],
    );
}

#[test]
fn query_method_authority_and_scheme_match() {
    check(
        json!({ "queryParams": { "v": { "exact": "2" } } }),
        &[query(&[("v", "2")]), query(&[("a", "b"), ("v", "2")])],
        &[query(&[("v", "22")]), query(&[("w", "2")]), ask()],
    );
    check(json!({ "queryParams": { "beta": {} } }), &[query(&[("beta", "")])], &[ask()]);
    check(json!({ "method": { "exact": "POST" } }), &[method("POST")], &[method("GET"), method("post")]);
    check(json!({ "authority": { "exact": "web" } }), &[ask()], &[ask().host("web.shop")]);
    check(json!({ "scheme": { "exact": "http" } }), &[ask()], &[]);
    check(json!({ "scheme": { "exact": "https" } }), &[], &[ask()]);
}

#[test]
fn all_conditions_of_one_match_and_any_of_several() {
    let both = json!({ "uri": { "prefix": "/a" }, "headers": { "x": { "exact": "1" } } });
    let good = ask().path("/a").header("x", "1");
    check(both.clone(), std::slice::from_ref(&good), &[ask().path("/a"), ask().header("x", "1")]);
    let world = with(json!([{ "uri": { "exact": "/z" } }, both]));
    assert_eq!([good.end(&world), ask().path("/z").end(&world), ask().end(&world)], ["v2", "v2", "v1"]);
}

#[test]
fn the_source_decides_whether_a_match_is_there_at_all() {
    let from = |labels: &[(&str, &str)]| ask().from(client("shop", labels));
    let labelled = json!({ "sourceLabels": { "app": "a", "tier": "1" } });
    check(labelled, &[from(&[("app", "a"), ("tier", "1"), ("x", "y")])], &[from(&[("app", "a")]), ask()]);
    check(json!({ "sourceNamespace": "shop" }), &[ask()], &[]);
    check(json!({ "sourceNamespace": "other" }), &[], &[ask()]);
    check(json!({ "port": 80 }), &[ask()], &[]);
    check(json!({ "port": 81 }), &[], &[ask()]);
    check(json!({ "gateways": ["mesh"] }), &[ask()], &[]);
    check(json!({ "gateways": ["some-gateway"] }), &[], &[ask()]);
    // With gateways in a match, its labels are ignored.
    check(json!({ "gateways": ["mesh"], "sourceLabels": { "app": "nobody" } }), &[ask()], &[]);
}

#[test]
fn the_first_match_wins_and_nothing_after_a_catch_all_is_reached() {
    let world = web(json!([
        { "match": [{ "uri": { "prefix": "/a" } }], "route": only("v1") },
        { "match": [{ "uri": { "exact": "/ab" } }], "route": only("v2") },
        { "match": [{ "uri": { "prefix": "/" } }], "route": only("v3") },
        { "match": [{ "headers": { "x": { "exact": "1" } } }], "route": only("v2") },
    ]));
    assert_eq!(ask().path("/ab").end(&world), "v1");
    assert_eq!(ask().header("x", "1").end(&world), "v3");
}

#[test]
fn no_match_is_404_and_the_proxy_can_answer_by_itself() {
    let when = json!([{ "uri": { "exact": "/a" } }]);
    let ends = |http: Value| ask().path("/a").end(&web(json!([http])));
    assert_eq!(ask().end(&web(json!([{ "match": when, "route": only("v2") }]))), "404 NR");
    assert_eq!(ends(json!({ "match": when, "redirect": { "uri": "/b" } })), "301 -");
    assert_eq!(ends(json!({ "match": when, "redirect": { "uri": "/b", "redirectCode": 308 } })), "308 -");
    assert_eq!(ends(json!({ "match": when, "directResponse": { "status": 418 } })), "418 -");
    let abort = json!({ "abort": { "httpStatus": 555, "percentage": { "value": 100 } } });
    assert_eq!(ends(json!({ "route": only("v1"), "fault": abort })), "555 FI");
    let never = json!({ "abort": { "httpStatus": 555, "percentage": { "value": 0 } } });
    assert_eq!(ends(json!({ "route": only("v1"), "fault": never })), "v1");
}

#[test]
fn a_rewrite_replaces_what_the_prefix_took_or_the_whole_path() {
    let path = |when: Value, path| {
        let world = web(json!([{ "match": [when], "rewrite": { "uri": "/new" }, "route": only("v1") }]));
        ask().path(path).routed(&world, &mut sluice::demo::random::Random::new(1)).path
    };
    assert_eq!(path(json!({ "uri": { "prefix": "/old" } }), "/old/page"), "/new/page");
    assert_eq!(path(json!({ "uri": { "exact": "/old" } }), "/old"), "/new");
    // Without a path in the match Envoy has the prefix `/` and replaces that; tests/it/traffic asked it.
    assert_eq!(path(json!({ "method": { "exact": "GET" } }), "/old/page"), "/newold/page");
}
