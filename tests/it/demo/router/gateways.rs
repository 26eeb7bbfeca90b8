//! Requests from outside.

use serde_json::{Value, json};
use sluice::demo::router::Caller;

use super::support::{Ask, ask, object, only, shop};

fn gateway(host: &str) -> Value {
    let servers = json!([{ "port": { "number": 80 }, "hosts": [host] }]);
    object("Gateway", "shop", "door", 0, json!({ "servers": servers }))
}

fn outside(host: &'static str) -> Ask {
    ask().host(host).from(Caller::outside("shop/door"))
}

fn rules(name: &str, age: u32, host: &str, gateways: Value, http: Value) -> Value {
    object(
        "VirtualService",
        "shop",
        name,
        age,
        json!({ "hosts": [host], "gateways": gateways, "http": http }),
    )
}

fn all_to(version: &str) -> Value {
    json!([{ "route": only(version) }])
}

#[test]
fn a_gateway_has_the_routes_of_the_objects_that_name_it() {
    for (names, is) in [
        (json!(["door"]), "v1"),
        (json!(["shop/door"]), "v1"),
        (json!(["mesh", "door"]), "v1"),
        (json!(["other/door"]), "404 NR"),
        (json!(["mesh"]), "404 NR"),
        (json!([]), "404 NR"),
    ] {
        let world = shop(vec![gateway("*"), rules("a", 0, "*", names.clone(), all_to("v1"))]);
        assert_eq!(outside("www.example.com").end(&world), is, "{names}");
    }
}

#[test]
fn hosts_of_the_gateway_and_of_the_object_must_both_fit() {
    let world = |door: &str, host: &str| {
        shop(vec![gateway(door), rules("a", 0, host, json!(["door"]), all_to("v1"))])
    };
    assert_eq!(outside("a.example.com:80").end(&world("*.example.com", "a.example.com")), "v1");
    assert_eq!(outside("b.example.com").end(&world("*.example.com", "a.example.com")), "404 NR");
    assert_eq!(outside("a.example.com").end(&world("b.example.com", "a.example.com")), "404 NR");
    assert_eq!(outside("a.example.com").end(&world("shop/a.example.com", "*")), "v1");
    let no_gateway = shop(vec![rules("a", 0, "*", json!(["door"]), all_to("v1"))]);
    assert_eq!(outside("a.example.com").end(&no_gateway), "404 NR");
}

#[test]
fn routes_of_several_objects_are_put_together_with_catch_alls_last() {
    let path = json!([{ "match": [{ "uri": { "prefix": "/a" } }], "route": only("v2") }]);
    let door = || json!(["door"]);
    let world = shop(vec![
        gateway("*"),
        rules("a", 1, "*", door(), all_to("v1")),
        rules("b", 2, "*", door(), path),
        rules("c", 3, "*", door(), all_to("v3")),
    ]);
    assert_eq!(outside("x.com").path("/a").end(&world), "v2");
    assert_eq!(outside("x.com").path("/b").end(&world), "v1", "of two catch-alls the older wins");
    let world = shop(vec![
        gateway("*"),
        rules("a", 1, "*", door(), all_to("v1")),
        rules("b", 2, "x.com", door(), all_to("v2")),
    ]);
    assert_eq!(outside("x.com").end(&world), "v2", "a host of its own is not mixed with wildcards");
    assert_eq!(outside("y.com").end(&world), "v1");
}
