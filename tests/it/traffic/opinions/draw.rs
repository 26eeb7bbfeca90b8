//! Draws configurations and requests: matches of every kind, several routes, weights, missing subsets,
//! redirects, rewrites, faults, mirrors, delegates, two objects for one host.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use sluice::demo::random::Random;

use crate::support::mesh::Ask;

/// One service and the objects that decide about it.
pub struct Configuration {
    pub name: String,
    /// What requests name.
    pub host: String,
    /// Kind, name, spec.
    pub objects: Vec<(&'static str, String, Value)>,
    gate: bool,
}

/// Configuration number `n` of a namespace; behind a gateway when there is one.
pub fn configuration(random: &mut Random, namespace: &str, gate: Option<&str>, n: usize) -> Configuration {
    let name = format!("c{n:03}");
    let full = format!("{name}.{namespace}.svc.cluster.local");
    let mut objects = Vec::new();
    // v9 is never there; a few services have no subsets at all.
    if random.percent(93.0) {
        let subsets: Vec<Value> =
            ["v1", "v2", "v3", "v4"].iter().map(|v| json!({"name": v, "labels": {"version": v}})).collect();
        objects.push(("DestinationRule", name.clone(), json!({"host": full, "subsets": subsets})));
    }
    let host = gate.map_or_else(|| full.clone(), |_| format!("{name}.example.com"));
    let claims = if random.percent(12.0) { 2 } else { 1 };
    for claim in 0..claims {
        let mut http = Vec::new();
        for at in 0..=random.below(4) {
            if random.percent(12.0) {
                let delegate = format!("{name}-{claim}-{at}");
                let mut root = json!({"delegate": {"name": delegate}});
                if random.percent(70.0) {
                    root["match"] = matches(random, namespace, gate, false);
                }
                http.push(root);
                // Now and then one that is not there.
                if random.percent(85.0) {
                    let routes: Vec<Value> =
                        (0..=random.below(2)).map(|_| one(random, &full, namespace, gate)).collect();
                    objects.push(("VirtualService", delegate, json!({"http": routes})));
                }
            } else {
                http.push(one(random, &full, namespace, gate));
            }
        }
        let mut spec = json!({"hosts": [host], "http": http});
        if let Some(gate) = gate {
            spec["gateways"] = json!([gate]);
        }
        objects.push(("VirtualService", format!("{name}-{claim}"), spec));
    }
    Configuration { name, host, objects, gate: gate.is_some() }
}

/// The one that tells that the proxy has all others.
pub fn last(namespace: &str, gate: Option<&str>) -> Configuration {
    let name = "last".to_owned();
    let host =
        gate.map_or_else(|| format!("last.{namespace}.svc.cluster.local"), |_| "last.example.com".to_owned());
    let mut spec = json!({"hosts": [host], "http": [{"directResponse": {"status": 299}}]});
    if let Some(gate) = gate {
        spec["gateways"] = json!([gate]);
    }
    Configuration { host, objects: vec![("VirtualService", name.clone(), spec)], name, gate: gate.is_some() }
}

fn pick<'a>(random: &mut Random, of: &[&'a str]) -> &'a str {
    random.choose(of).unwrap()
}

/// One http route.
fn one(random: &mut Random, host: &str, namespace: &str, gate: Option<&str>) -> Value {
    let mut route = json!({});
    if random.percent(75.0) {
        route["match"] = matches(random, namespace, gate, true);
    }
    match random.below(20) {
        0 => route["redirect"] = redirect(random),
        1 => route["directResponse"] = json!({"status": 200 + random.below(4) * 100 + 2}),
        _ => {
            route["route"] = destinations(random, host);
            if random.percent(15.0) {
                route["rewrite"] = json!({"uri": pick(random, &["/", "/new", "/new/"])});
            } else if random.percent(8.0) {
                route["fault"] = json!({"abort": {"httpStatus": 418, "percentage": {"value": 100}}});
            }
            if random.percent(15.0) {
                route["mirror"] = json!({"host": host, "subset": "v3"});
                route["mirrorPercentage"] = json!({"value": 50});
            }
        }
    }
    route
}

fn redirect(random: &mut Random) -> Value {
    let mut redirect = json!({"uri": "/elsewhere"});
    if random.percent(50.0) {
        redirect["authority"] = json!("other.example.com");
    }
    if random.percent(50.0) {
        redirect["redirectCode"] = json!(*random.choose(&[301, 302, 303, 307, 308]).unwrap());
    }
    redirect
}

fn destinations(random: &mut Random, host: &str) -> Value {
    let to = |subset: &str| match subset {
        "" => json!({"host": host}),
        "nobody" => json!({"host": "nobody"}),
        subset => json!({"host": host, "subset": subset}),
    };
    let all = ["v1", "v2", "v3", "v1", "v2", "v3", "v1", "v2", "v3", "", "v4", "v9", "nobody"];
    match random.below(3) {
        0 => json!([{"destination": to(pick(random, &all))}]),
        // One alone gets everything, whatever its weight.
        1 => json!([{"destination": to(pick(random, &all)), "weight": random.below(101)}]),
        _ => {
            let count = 2 + random.below(2);
            let one = |random: &mut Random| {
                let weight = *random.choose(&[0, 0, 1, 20, 50, 100]).unwrap();
                json!({"destination": to(pick(random, &all)), "weight": weight})
            };
            (0..count).map(|_| one(random)).collect()
        }
    }
}

fn matches(random: &mut Random, namespace: &str, gate: Option<&str>, own: bool) -> Value {
    (0..=random.below(2)).map(|_| conditions(random, namespace, gate, own)).collect()
}

fn conditions(random: &mut Random, namespace: &str, gate: Option<&str>, own: bool) -> Value {
    let mut all = json!({});
    for _ in 0..=random.below(2) {
        match random.below(if own { 13 } else { 6 }) {
            0..=4 => all["uri"] = path(random),
            5 | 6 => all["headers"] = json!({pick(random, &["x-user", "X-Team"]): text(random)}),
            7 => all["withoutHeaders"] = json!({"x-user": text(random)}),
            8 => all["queryParams"] = json!({"q": query(random)}),
            9 => {
                all["method"] = match random.below(3) {
                    0 => json!({"exact": pick(random, &["GET", "POST"])}),
                    1 => json!({"prefix": "P"}),
                    _ => json!({"regex": "GET|DELETE"}),
                }
            }
            10 => {
                all["port"] = json!(*random.choose(&[8080, 80, 9999]).unwrap());
            }
            11 => match (random.below(4), gate) {
                (0, _) => all["sourceNamespace"] = json!(pick(random, &[namespace, "elsewhere"])),
                (1, _) => all["scheme"] = json!({"exact": pick(random, &["http", "https"])}),
                (2, Some(gate)) => all["gateways"] = json!([gate]),
                (2, None) => all["gateways"] = json!(["mesh"]),
                _ => all["sourceLabels"] = json!({"app": pick(random, &["client", "other"])}),
            },
            _ => {
                let authority = match random.below(2) {
                    0 => json!({"prefix": "c"}),
                    _ => json!({"regex": "c[0-9]*[02468]\\..*"}),
                };
                all["authority"] = authority;
            }
        }
    }
    if random.percent(10.0) && all["uri"].is_object() {
        all["ignoreUriCase"] = json!(true);
    }
    all
}

fn path(random: &mut Random) -> Value {
    match random.below(3) {
        0 => json!({"exact": pick(random, &["/", "/a", "/A", "/a/b", "/a/b/"])}),
        1 => json!({"prefix": pick(random, &["/", "/a", "/a/", "/A/b", "/b"])}),
        _ => {
            json!({"regex": pick(random, &["/a.*", "/[ab]/[0-9]+", ".*\\.html", "/a", "/(a|b)(/.*)?", "(?i)/A/.*"])})
        }
    }
}

fn text(random: &mut Random) -> Value {
    match random.below(4) {
        0 => json!({"exact": pick(random, &["amy", "bob", "amy@gmail.com"])}),
        1 => json!({"prefix": pick(random, &["a", "bo", "amy@"])}),
        2 => json!({"regex": pick(random, &[".*@gmail\\.com", "a.*|b.*", "[a-c]+", ".*"])}),
        _ => json!({}),
    }
}

fn query(random: &mut Random) -> Value {
    match random.below(3) {
        0 => json!({"exact": pick(random, &["1", "two", ""])}),
        1 => json!({"prefix": "t"}),
        _ => json!({"regex": "[0-9]+"}),
    }
}

/// A request that may meet the conditions above.
pub fn ask(random: &mut Random, one: &Configuration) -> Ask {
    let paths =
        ["/", "/a", "/A", "/a/b", "/a/b/", "/a/7", "/b/12", "/b", "/x/y.html", "/A/b/c", "/ab", "/a/B"];
    let mut path = pick(random, &paths).to_owned();
    if random.percent(35.0) {
        path = format!("{path}?{}", pick(random, &["q=1", "q=two", "q=", "q=12&r=3", "r=1", "r=3&q=7"]));
    }
    let mut headers = BTreeMap::new();
    if random.percent(50.0) {
        let value = pick(random, &["amy", "bob", "amy@gmail.com", "amy@gmail.com.evil.org", "carol", "abc"]);
        headers.insert("x-user".to_owned(), value.to_owned());
    }
    if random.percent(30.0) {
        headers.insert("x-team".to_owned(), pick(random, &["amy", "abba", "bob"]).to_owned());
    }
    let short = || one.host.trim_end_matches(".svc.cluster.local").to_owned();
    let host = if one.gate {
        if random.percent(30.0) { format!("{}:80", one.host) } else { one.host.clone() }
    } else {
        match random.below(5) {
            0 => one.name.clone(),
            1 => short(),
            2 => format!("{}.svc", short()),
            3 => format!("{}:8080", one.host),
            _ => one.host.clone(),
        }
    };
    let method = pick(random, &["GET", "GET", "GET", "POST", "PUT", "DELETE"]).to_owned();
    Ask { method, host, path, headers }
}
