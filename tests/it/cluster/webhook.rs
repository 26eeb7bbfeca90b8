//! The webhook of the server in memory says what istiod says: the words below are istiod's own answers, asked with
//! the same objects as dry runs against a real API server with Istio's control plane behind it.

use kube::Client;
use serde_json::{Value, json};
use sluice::clock::Clock;
use sluice::demo::api::ApiServer;

use super::behaviours::{send, virtual_service};

const PATH: &str = "/apis/networking.istio.io/v1/namespaces/default";
const START: &str =
    "admission webhook \"rev.validation.istio.io\" denied the request: configuration is invalid: ";

fn client() -> Client {
    Client::new(ApiServer::new(Clock::System).service(), "default")
}

async fn ask(client: &Client, plural: &str, body: Value) -> Option<String> {
    let answer = send(client, "POST", &format!("{PATH}/{plural}?dryRun=All"), Some(body)).await;
    if answer.code == 201 {
        return None;
    }
    // istiod gives no reason and no details.
    assert_eq!(
        (answer.code, answer.body.get("reason"), answer.body.get("details")),
        (400, None, None),
        "{answer:?}"
    );
    let message = answer.body["message"].as_str().unwrap();
    Some(message.strip_prefix(START).unwrap_or_else(|| panic!("{message}")).to_owned())
}

/// Sets the value at a JSON pointer below `spec`; a null takes the field away.
fn with(mut body: Value, changes: &Value) -> Value {
    for (pointer, value) in changes.as_object().unwrap() {
        let (parent, field) = pointer.rsplit_once('/').unwrap();
        let holder = body["spec"].pointer_mut(parent).unwrap().as_object_mut().unwrap();
        if value.is_null() {
            holder.remove(field);
        } else {
            holder.insert(field.to_owned(), value.clone());
        }
    }
    body
}

fn weights(list: &[i64]) -> Value {
    virtual_service("reviews", list)["spec"]["http"][0]["route"].clone()
}

#[tokio::test]
async fn virtual_services_are_refused_in_the_words_of_istiod() {
    let client = client();
    let one_match = |rule: Value| json!({"/http/0/match": [rule]});
    let regex = |reason: &str| {
        format!(
            "{reason}; Istio uses RE2 style regex-based match (https://github.com/google/re2/wiki/Syntax)"
        )
    };
    let cases: Vec<(Value, &str)> = vec![
        (json!({"/http/0/route": weights(&[-5, 105])}), "weight -5 < 0"),
        (
            json!({"/http/0/route": weights(&[-5, -6])}),
            "2 errors occurred:\n\t* weight -5 < 0\n\t* weight -6 < 0\n\n",
        ),
        (json!({"/http/0/route": weights(&[0, 0])}), "total destination weight = 0"),
        (json!({"/http/0/route": weights(&[0])}), ""),
        (json!({"/http/0/route": weights(&[60, 50])}), ""),
        (json!({"/hosts": null}), ""),
        (
            json!({"/hosts": null, "/gateways": ["mesh"]}),
            "delegate virtual service must have no gateways specified",
        ),
        (
            json!({"/hosts": ["*"]}),
            "wildcard host * is not allowed for virtual services bound to the mesh gateway",
        ),
        (json!({"/hosts": ["*"], "/gateways": ["default/gw"]}), ""),
        (json!({"/hosts": ["a.b", "a.b"]}), "duplicate hosts in virtual service: a.b & a.b"),
        (json!({"/hosts": ["*.b.com", "a.b.com"]}), "duplicate hosts in virtual service: *.b.com & a.b.com"),
        (json!({"/hosts": ["a_b"]}), "domain name \"a_b\" invalid (label \"a_b\" invalid)"),
        (json!({"/hosts": ["a..b"]}), "domain name \".b\" invalid (label \"\" invalid)"),
        (json!({"/hosts": [""]}), "empty domain name not allowed"),
        (json!({"/hosts": ["a:80"]}), "domain name \"a:80\" invalid (label \"a:80\" invalid)"),
        (json!({"/hosts": ["*x.com"]}), ""),
        (json!({"/hosts": ["1.2.3.4", "::1"]}), ""),
        (json!({"/http": null}), "http, tcp or tls must be provided in virtual service"),
        (json!({"/http": [{}]}), "HTTP route, redirect or direct_response is required"),
        (json!({"/http/0/redirect": {"uri": "/a"}}), "HTTP route cannot contain both route and redirect"),
        (json!({"/http": [{"redirect": {}}]}), "redirect must specify URI, authority, scheme, or port"),
        (
            json!({"/http/0/directResponse": {"status": 200}}),
            "HTTP route cannot contain both route and direct_response",
        ),
        (
            json!({"/http/0/delegate": {"name": "x"}, "/http/0/name": "r1"}),
            "root HTTP route r1 must not specify route",
        ),
        (json!({"/http/0/route/0/destination/host": ""}), "empty domain name not allowed"),
        (json!({"/http/0/route/0/destination/host": "*"}), "invalid destination host *"),
        (json!({"/http/0/route/0/destination/subset": "v1.0"}), "subset name is invalid: v1.0"),
        (json!({"/http/0/route/0/destination/subset": "V1"}), ""),
        (
            json!({"/http/0/route/0/destination/port": {"number": 0}}),
            "port number 0 must be in the range 1..65535",
        ),
        (
            json!({"/http/0/route/0/destination/port": {"number": 70000}}),
            "port number 70000 must be in the range 1..65535",
        ),
        (
            json!({"/http/0/mirror": {"host": "reviews"}, "/http/0/mirrorPercentage": {"value": 101}}),
            "mirror_percentage must have a max value of 100 (it has 101.000000)",
        ),
        (
            json!({"/http/0/mirror": {"host": "reviews"}, "/http/0/mirrorPercentage": {"value": -1}}),
            "mirror_percentage must have a min value of 0 (it has -1.000000)",
        ),
        (
            json!({
                "/http/0/mirror": {"host": "reviews"},
                "/http/0/mirrors": [{"destination": {"host": "a"}, "percentage": {"value": 101}}],
            }),
            "2 errors occurred:\n\t* HTTP route cannot contain both mirror and mirrors\n\t* mirror percentage must have a \
             max value of 100 (it has 101.000000)\n\n",
        ),
        (
            one_match(json!({"headers": {"a b": {"exact": "x"}}})),
            "header name a b is not a valid header name",
        ),
        (
            one_match(json!({"headers": {"a\r\nb": {"exact": "x"}}})),
            "header name a\r\nb is not a valid header name",
        ),
        (one_match(json!({"headers": {"": {"exact": "x"}}})), "header name cannot be empty"),
        (
            one_match(json!({"headers": {"@request.auth.claims[sub]": {"exact": "x"}}})),
            "JWT claim based routing (key: @request.auth.claims[sub]) is only supported for gateway, found no gateways: []",
        ),
        (
            one_match(json!({"headers": {"a": {"prefix": ""}}})),
            "\"headers\": prefix string match should not be empty",
        ),
        (
            one_match(json!({"withoutHeaders": {"a": {"prefix": ""}}})),
            "\"withoutHeaders\": prefix string match should not be empty",
        ),
        (
            one_match(json!({"queryParams": {"a": {"prefix": ""}}})),
            "\"queryParams\": prefix string match should not be empty",
        ),
        (one_match(json!({"uri": {"prefix": ""}})), ""),
        (one_match(json!({"uri": {"exact": ""}})), ""),
        (one_match(json!({"uri": {"regex": ""}})), "\"uri\": regex string match should not be empty"),
        (
            one_match(json!({"uri": {"regex": "a".repeat(1025)}})),
            "\"uri\": regex is too large, max length allowed is 1024",
        ),
        (one_match(json!({"port": 70000})), "port number 70000 must be in the range 1..65535"),
        (one_match(json!({})), ""),
        (one_match(json!({"sourceNamespace": "A_b"})), "sourceNamespace match A_b is invalid"),
        (
            one_match(json!({"sourceLabels": {"a b": "c"}})),
            "1 error occurred:\n\t* invalid tag key: \"a b\"\n\n",
        ),
        (json!({"/gateways": ["a/b/c"]}), "invalid value for gateway name: \"b/c\""),
        (json!({"/gateways": ["a_b"]}), "domain name \"a_b\" invalid (label \"a_b\" invalid)"),
        (
            json!({"/tls": [{"match": [], "route": [{"destination": {"host": "reviews"}}]}]}),
            "TLS route must have at least one match condition",
        ),
        (
            json!({"/tls": [{"match": [{"sniHosts": []}], "route": [{"destination": {"host": "reviews"}}]}]}),
            "TLS match must have at least one SNI host",
        ),
        (
            json!({"/tls": [{"match": [{"sniHosts": ["other"]}], "route": [{"destination": {"host": "reviews"}}]}]}),
            "SNI host \"other\" is not a compatible subset of any of the virtual service hosts: [reviews]",
        ),
        (json!({"/tls": [{"match": [{"sniHosts": ["reviews"]}]}]}), "TLS route is required"),
        (json!({"/tcp": [{}]}), "TCP route is required"),
        (
            json!({"/tcp": [{"route": [{"destination": {"host": "a"}, "weight": 0}, {"destination": {"host": "b"}, "weight": 0}]}]}),
            "total destination weight = 0",
        ),
        (json!({"/exportTo": ["a", "a"]}), "duplicate entries in exportTo for entry a"),
        (json!({"/exportTo": [".", "default"]}), "duplicate entries in exportTo for entry default"),
        (
            json!({"/exportTo": ["*", "a"]}),
            "cannot have both public (*) and non-public exportTo values for a resource",
        ),
        (json!({"/exportTo": ["A_b"]}), "only .,*, or a valid DNS 1123 label is allowed as exportTo entry"),
        (
            json!({"/http/0/retries": {"attempts": -1}}),
            "1 error occurred:\n\t* attempts cannot be negative\n\n",
        ),
        (
            json!({"/http/0/retries": {"attempts": 0, "perTryTimeout": "1s"}}),
            "http retry policy configured when attempts are set to 0 (disabled)",
        ),
        (json!({"/http/0/timeout": "1.5ms"}), "only durations to ms precision are supported"),
        (
            json!({"/hosts": ["*"], "/http/0/route": weights(&[-5, 0])}),
            "2 errors occurred:\n\t* wildcard host * is not allowed for virtual services bound to the mesh gateway\n\t* \
             weight -5 < 0\n\n",
        ),
    ];
    for (changes, wanted) in cases {
        let said =
            ask(&client, "virtualservices", with(virtual_service("reviews", &[50, 50]), &changes)).await;
        assert_eq!(said.as_deref().unwrap_or_default(), wanted, "{changes}");
    }
    // Of a pattern that RE2 refuses, the reason in the middle is worded by our own engine.
    for pattern in ["(", "(?=a)", "(a)\\1", "[", "*a", "[z-a]", "a)", "a\\", "\\q", "\\pX", "a{2,1}"] {
        let said = ask(
            &client,
            "virtualservices",
            with(virtual_service("reviews", &[100]), &one_match(json!({"uri": {"regex": pattern}}))),
        )
        .await;
        let said = said.unwrap_or_else(|| panic!("{pattern} was taken"));
        assert!(
            said.starts_with("\"uri\": error parsing regexp: ") && said.ends_with(&regex("")),
            "{pattern}: {said}"
        );
    }
    let large = one_match(json!({"uri": {"regex": "a{1001}"}}));
    let said = ask(&client, "virtualservices", with(virtual_service("reviews", &[100]), &large)).await;
    assert_eq!(said.unwrap(), regex("\"uri\": error parsing regexp: invalid repeat count: `{1001}`"));
}

#[tokio::test]
async fn destination_rules_are_refused_in_the_words_of_istiod() {
    let client = client();
    let rule = json!({
        "apiVersion": "networking.istio.io/v1", "kind": "DestinationRule", "metadata": {"name": "reviews"},
        "spec": {"host": "reviews", "subsets": [{"name": "v1", "labels": {"version": "v1"}}]},
    });
    let subset = |subset: Value| json!({"/subsets": [{"name": "v1"}, subset]});
    let cases: Vec<(Value, &str)> = vec![
        (json!({}), ""),
        (json!({"/host": "*"}), ""),
        (json!({"/host": ""}), "empty domain name not allowed"),
        (json!({"/host": "a_b"}), "domain name \"a_b\" invalid (label \"a_b\" invalid)"),
        (subset(json!({"name": "v1"})), "duplicate subset names: v1"),
        (subset(json!({"name": "v1.0"})), "subset name is invalid: v1.0"),
        (subset(json!({"name": ""})), "subset name cannot be empty"),
        (
            subset(json!({"name": "v2", "labels": {"a b": "c"}})),
            "1 error occurred:\n\t* invalid tag key: \"a b\"\n\n",
        ),
        (
            subset(json!({"name": "v2", "labels": {"a": "c d"}})),
            "1 error occurred:\n\t* invalid tag value: \"c d\"\n\n",
        ),
        (json!({"/trafficPolicy": {}}), "traffic policy must have at least one field"),
        (subset(json!({"name": "v2", "trafficPolicy": {}})), "traffic policy must have at least one field"),
        (
            json!({"/exportTo": ["*", "."]}),
            "cannot have both public (*) and non-public exportTo values for a resource",
        ),
    ];
    for (changes, wanted) in cases {
        let said = ask(&client, "destinationrules", with(rule.clone(), &changes)).await;
        assert_eq!(said.as_deref().unwrap_or_default(), wanted, "{changes}");
    }
}

#[tokio::test]
async fn without_the_webhook_nothing_is_said() {
    let server = ApiServer::new(Clock::System);
    server.set_webhook(false);
    let client = Client::new(server.service(), "default");
    assert_eq!(ask(&client, "virtualservices", virtual_service("reviews", &[-5, -6])).await, None);
}
