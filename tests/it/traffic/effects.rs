//! What the documented forms of a route do besides splitting: that Envoy still does it after Sluice changed the
//! weights. Called by `shapes` for each form, right after its new split is served.

use serde_json::json;

use crate::support::mesh::{Ask, Got, Load, Town};

/// A request, and what has to be true of every answer to it.
type Effect = (Ask, fn(&Got) -> bool);

fn of(form: &str, host: &str) -> Vec<Effect> {
    let get = |path: &str| Ask { path: path.to_owned(), ..Ask::to(host) };
    let with = |path: &str, name: &str, value: &str| get(path).header(name, value);
    let method = |path: &str, method: &str| Ask { method: method.to_owned(), ..get(path) };
    let second: fn(&Got) -> bool = |got| got.status == 200 && got.version == "v2";
    match form {
        "match-uri" => vec![(get("/X"), second)],
        "match-prefix" => vec![(method("/xyz", "POST"), second)],
        "match-headers" => {
            let all = with("/", "end-user", "jason").header("x-b", "abc").header("x-c", "any");
            vec![(all, second)]
        }
        "match-without" => vec![(with("/x", "x-a", "c"), second), (get("/x"), second)],
        "match-query" => vec![(get("/?q=1&r=42&s=abc"), second)],
        "redirect" => {
            vec![(get("/old"), |got| got.status == 308 && got.location == "https://a.example.com/new")]
        }
        "redirect-port" => vec![(get("/old"), |got| got.status == 301 && got.location.contains(":8443/old"))],
        "direct-response" => {
            vec![(get("/no"), |got| got.status == 503 && got.version.is_empty() && header(got, "x-a") == "b")]
        }
        "direct-bytes" => vec![(get("/no"), |got| got.status == 404 && got.version.is_empty())],
        "rewrite" => vec![(get("/a"), |got| got.status == 200 && got.host == "web")],
        "rewrite-regex" => vec![(get("/a/b/c"), |got| got.status == 200 && got.path == "/b/c")],
        "timeout-retries" => vec![
            // Two tries more than Istio would make by itself are needed, and the last one is good.
            (with("/", "x-tests-good-from", "4"), |got| got.status == 200),
            (with("/", "x-tests-wait", "20s"), |got| got.status == 504),
        ],
        "fault-abort" => vec![(get("/abort"), |got| got.status == 418 && got.version.is_empty())],
        // Envoy's timers count whole milliseconds, so 300 ms may be a little less; at once it is never.
        "fault-delay" => vec![(get("/slow"), |got| got.status == 200 && got.millis > 290.0)],
        "cors" => {
            let preflight =
                Ask { method: "OPTIONS".to_owned(), ..with("/", "origin", "https://a.example.com") }
                    .header("access-control-request-method", "GET");
            let allowed: fn(&Got) -> bool = |got| {
                header(got, "access-control-allow-origin") == "https://a.example.com"
                    && header(got, "access-control-allow-credentials") == "true"
            };
            vec![
                (with("/", "origin", "https://a.example.com"), allowed),
                (preflight, |got| {
                    got.status == 200
                        && got.version.is_empty()
                        && header(got, "access-control-allow-methods") == "GET"
                        && header(got, "access-control-max-age") == "86400"
                }),
            ]
        }
        "headers" => vec![(with("/", "x-e", "gone"), |got| {
            header(got, "x-seen-x-a") == "b"
                && header(got, "x-seen-x-c") == "d"
                && header(got, "x-seen-x-e").is_empty()
                && header(got, "x-g") == "h"
                && header(got, "x-own").is_empty()
        })],
        "destination-headers" => {
            vec![(get("/"), |got| header(got, "x-from") == if got.version == "v1" { "one" } else { "two" })]
        }
        "plain" => vec![(with("/", "x-e", "here"), |got| {
            // What the others take away is there where nobody takes it away.
            header(got, "x-seen-x-e") == "here" && header(got, "x-own") == "yes"
        })],
        _ => Vec::new(),
    }
}

fn header<'a>(got: &'a Got, name: &str) -> &'a str {
    got.headers.get(name).map_or("", String::as_str)
}

/// Makes the requests of a form; every answer has to be as it says.
pub async fn hold(town: &Town<'_>, load: &Load, form: &str) {
    for (ask, holds) in of(form, &load.requests[0].host) {
        // What waits is asked for less often.
        let count = if ask.headers.contains_key("x-tests-wait") || form == "fault-delay" { 4 } else { 40 };
        let said = json!(ask).to_string();
        let got =
            town.load(&Load { requests: vec![ask], count, each: true, streams: 4, ..load.clone() }).await;
        assert_eq!(got.each.len(), usize::try_from(count).unwrap(), "{form}: {said}");
        for one in &got.each {
            assert!(holds(one), "{form}: {said}: {one:?}");
        }
    }
}
