//! A server that plays Prometheus: honest, slow, down, lying.

use std::time::Duration;

use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect, Response};
use proptest::prelude::*;
use serde_json::{Value, json};
use sluice::domain::ids::Namespace;
use sluice::domain::observed::Sample;
use sluice::metrics::{MetricsError, Prometheus, Source, queries};
use url::Url;

use super::support::{Server, both, vector, who};

async fn read(server: &Server) -> Result<Vec<Sample>, MetricsError> {
    Prometheus::new(&server.url, None).unwrap().namespace(&Namespace::from("bookinfo"), 60).await
}

async fn read_json(counts: Value, p95: Value) -> Result<Vec<Sample>, MetricsError> {
    read(&Server::start(both(counts, p95)).await).await
}

async fn read_raw(
    answer: impl Fn() -> Response + Send + Sync + 'static,
) -> Result<Vec<Sample>, MetricsError> {
    read(&Server::start(move |_| answer()).await).await
}

fn requests(samples: &[Sample]) -> Vec<(&str, f64, f64)> {
    samples.iter().map(|s| (&*s.version, s.requests, s.errors)).collect()
}

#[tokio::test]
async fn answers_are_added_up_by_workload_and_failures_told_apart() {
    let mut grpc = who("v2", "200");
    grpc.push(("grpc_response_status", "14"));
    let mut fine_grpc = who("v2", "200");
    fine_grpc.push(("grpc_response_status", "5"));
    let counts = vector(&[
        (&who("v1", "200"), "90.5"),
        (&who("v1", "404"), "4"),
        (&who("v1", "503"), "3"),
        (&who("v1", "0"), "2"),
        (&grpc, "7"),
        (&fine_grpc, "8"),
    ]);
    let p95 = vector(&[(&who("v1", "")[..3], "12.5"), (&who("v2", "")[..3], "NaN")]);
    let samples = read_json(counts, p95).await.unwrap();
    assert_eq!(requests(&samples), [("v1", 99.5, 5.0), ("v2", 15.0, 7.0)]);
    assert_eq!(samples.iter().map(|s| s.p95_ms).collect::<Vec<_>>(), [Some(12.5), None]);
}

#[tokio::test]
async fn connections_count_only_where_there_are_no_requests() {
    let tcp = |service: &'static str, flags: &'static str| {
        vec![
            ("destination_service_name", service),
            ("destination_workload", "db-v1"),
            ("destination_version", "v1"),
            ("response_flags", flags),
        ]
    };
    let counts = vector(&[
        (&tcp("mongodb", "-"), "40"),
        (&tcp("mongodb", "UF,URX"), "2"),
        (&tcp("reviews", "-"), "1000"),
        (&who("v1", "200"), "5"),
    ]);
    let samples = read_json(counts, vector(&[])).await.unwrap();
    let of = |service: &str| samples.iter().filter(|s| &*s.service == service).cloned().collect::<Vec<_>>();
    assert_eq!(requests(&of("mongodb")), [("v1", 42.0, 2.0)]);
    assert_eq!(requests(&of("reviews")), [("v1", 5.0, 0.0)]);
}

#[tokio::test]
async fn one_doubtful_series_takes_its_service_out_and_no_other() {
    let other = [("destination_service_name", "ratings"), ("response_code", "200")];
    for value in ["NaN", "+Inf", "-Inf", "Inf", "-1", "1e999", "", "12,5", "0x10", "many"] {
        let counts = vector(&[(&who("v1", "200"), "10"), (&who("v2", "500"), value), (&other, "3")]);
        let samples = read_json(counts, vector(&[])).await.unwrap();
        assert_eq!(requests(&samples), [("", 3.0, 0.0)], "{value:?}");
    }
    let twice = vector(&[(&who("v1", "200"), "10"), (&who("v1", "200"), "11"), (&other, "3")]);
    assert_eq!(requests(&read_json(twice, vector(&[])).await.unwrap()), [("", 3.0, 0.0)]);
    let no_code = vector(&[(&who("v1", "2xx"), "10"), (&other, "3")]);
    assert_eq!(requests(&read_json(no_code, vector(&[])).await.unwrap()), [("", 3.0, 0.0)]);
}

#[tokio::test]
async fn a_doubtful_duration_is_none_and_leaves_the_counts_alone() {
    let v1 = who("v1", "");
    for durations in [vector(&[]), vector(&[(&v1[..3], "+Inf")]), vector(&[(&v1[..3], "5"), (&v1[..3], "6")])]
    {
        let samples = read_json(vector(&[(&who("v1", "200"), "10")]), durations).await.unwrap();
        assert_eq!(requests(&samples), [("v1", 10.0, 0.0)]);
        assert_eq!(samples[0].p95_ms, None);
    }
}

#[tokio::test]
async fn an_answer_that_is_not_what_the_api_promises_is_no_data() {
    let strange = [
        json!({}),
        json!([]),
        json!(null),
        json!({ "status": "success" }),
        json!({ "status": "error", "errorType": "bad_data", "error": "secret words" }),
        json!({ "status": "success", "data": { "resultType": "matrix", "result": [] } }),
        json!({ "status": "success", "data": { "resultType": "scalar", "result": [1, "2"] } }),
        json!({ "status": "success", "data": { "resultType": "vector", "result": {} } }),
        json!({ "status": "success", "data": { "resultType": "vector", "result": [{ "metric": {} }] } }),
        json!({ "status": "success", "data": { "resultType": "vector",
            "result": [{ "metric": {}, "value": [1, 2] }] } }),
        json!({ "status": "success", "data": { "resultType": "vector",
            "result": [{ "metric": { "response_code": 200 }, "value": [1, "2"] }] } }),
        json!({ "status": "success", "data": { "resultType": "vector",
            "result": [{ "metric": [], "value": ["now", "2"] }] } }),
    ];
    for body in strange {
        let found = read_json(body.clone(), vector(&[])).await;
        assert!(matches!(found, Err(MetricsError::Strange(_))), "{body}: {found:?}");
        let found = read_json(vector(&[]), body.clone()).await;
        assert!(matches!(found, Err(MetricsError::Strange(_))), "{body}: {found:?}");
    }
    let found = read_raw(|| "<html>sign in</html>".into_response()).await;
    assert!(matches!(found, Err(MetricsError::Strange(_))));
    let deep = "[".repeat(100_000);
    assert!(matches!(read_raw(move || deep.clone().into_response()).await, Err(MetricsError::Strange(_))));
}

#[tokio::test]
async fn warnings_mean_partial_data_and_partial_data_is_no_data() {
    let mut counts = vector(&[(&who("v1", "200"), "10")]);
    counts["warnings"] = json!(["no StoreAPIs matched for this query"]);
    assert_eq!(read_json(counts, vector(&[])).await, Err(MetricsError::Partial));
    let mut counts = vector(&[(&who("v1", "200"), "10")]);
    counts["warnings"] = json!([]);
    counts["infos"] = json!(["PromQL info: metric might not be a counter"]);
    assert!(read_json(counts, vector(&[])).await.is_ok());
}

#[tokio::test]
async fn a_server_that_refuses_redirects_or_floods_gives_no_data() {
    for status in [400, 401, 403, 404, 422, 429, 500, 503] {
        let found = read_raw(move || StatusCode::from_u16(status).unwrap().into_response()).await;
        assert_eq!(found, Err(MetricsError::Status(status)));
    }
    let elsewhere = Server::start(both(vector(&[]), vector(&[]))).await;
    let target = elsewhere.url.join("/api/v1/query?query=up").unwrap().to_string();
    let found = read_raw(move || Redirect::temporary(&target).into_response()).await;
    assert_eq!(found, Err(MetricsError::Status(307)));
    assert!(elsewhere.asked().is_empty(), "a redirect is not followed");
    let flood = " ".repeat(4 * 1024 * 1024 + 1);
    assert_eq!(read_raw(move || flood.clone().into_response()).await, Err(MetricsError::TooLarge));
}

#[tokio::test]
async fn a_server_that_is_down_or_closes_at_once_is_unreachable() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = Url::parse(&format!("http://{}", listener.local_addr().unwrap())).unwrap();
    let prometheus = Prometheus::new(&url, None).unwrap();
    let closing = tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            drop(stream);
        }
    });
    let namespace = Namespace::from("bookinfo");
    assert_eq!(prometheus.namespace(&namespace, 60).await, Err(MetricsError::Unreachable));
    closing.abort();
    assert!(closing.await.unwrap_err().is_cancelled());
    assert_eq!(prometheus.namespace(&namespace, 60).await, Err(MetricsError::Unreachable));
}

#[tokio::test(start_paused = true)]
async fn a_server_that_never_answers_is_given_up_within_ten_seconds() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = Url::parse(&format!("http://{}", listener.local_addr().unwrap())).unwrap();
    let began = tokio::time::Instant::now();
    let found = Prometheus::new(&url, None).unwrap().namespace(&Namespace::from("bookinfo"), 60).await;
    assert_eq!(found, Err(MetricsError::Timeout));
    assert!(began.elapsed() <= Duration::from_millis(10_100), "{:?}", began.elapsed());
}

#[tokio::test]
async fn the_token_is_read_again_for_every_question_and_goes_nowhere_else() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let server = Server::start(both(vector(&[]), vector(&[]))).await;
    let prometheus = Prometheus::new(&server.url, Some(file.path().to_owned())).unwrap();
    for token in ["first", "second"] {
        std::fs::write(file.path(), format!("{token}\n")).unwrap();
        prometheus.namespace(&Namespace::from("bookinfo"), 60).await.unwrap();
        let sent = server.asked().pop().unwrap().authorization.unwrap();
        assert_eq!(sent, format!("Bearer {token}"));
    }
    std::fs::write(file.path(), "with\nbreak").unwrap();
    let found = prometheus.namespace(&Namespace::from("bookinfo"), 60).await;
    assert_eq!(found, Err(MetricsError::Token));
    assert!(!format!("{prometheus:?}").contains("second"));
}

#[tokio::test]
async fn an_api_below_a_path_is_found_and_odd_addresses_are_refused() {
    let mut server = Server::start(both(vector(&[]), vector(&[]))).await;
    server.url = server.url.join("/below/").unwrap();
    assert_eq!(read(&server).await, Ok(vec![]));
    for bad in
        ["ftp://p/", "http://u:p@p/", "http://u@p/", "http://p/?a=b", "http://p/#x", "file:///etc/passwd"]
    {
        let found = Prometheus::new(&Url::parse(bad).unwrap(), None).unwrap_err();
        assert!(matches!(found, MetricsError::Address(_)), "{bad}");
    }
    assert!(Prometheus::new(&Url::parse("https://p/").unwrap(), None).is_ok());
}

#[tokio::test]
async fn one_namespace_costs_two_questions_that_name_it() {
    let server = Server::start(both(vector(&[]), vector(&[]))).await;
    read(&server).await.unwrap();
    let asked = server.asked();
    assert_eq!(asked.len(), 2);
    for asked in asked {
        let chosen = r#"{reporter=~"source|waypoint",destination_service_namespace="bookinfo"}[60s]"#;
        assert!(asked.query.contains(chosen), "{}", asked.query);
    }
}

#[test]
fn a_label_value_cannot_leave_its_quotes() {
    assert_eq!(queries::escape(r#"a"} or up{x="\"#), r#"a\"} or up{x=\"\\"#);
    assert_eq!(queries::escape("a\nb\u{7}ü"), "a\\nb\\u0007ü");
    let hostile = Namespace::trusted("x\"}[1s])) or vector(1) #\n\\");
    for query in [queries::counts(&hostile, 60), queries::p95(&hostile, 60)] {
        assert!(!query.contains('\n'), "{query}");
        assert!(query.contains(r#"="x\"}[1s])) or vector(1) #\n\\"}[60s]"#), "{query}");
    }
}

proptest! {
    #[test]
    fn an_escaped_value_reads_back_as_itself(value in any::<String>()) {
        let escaped = queries::escape(&value);
        prop_assert!(!escaped.contains('\n'));
        let mut back = String::new();
        let mut chars = escaped.chars();
        while let Some(c) = chars.next() {
            prop_assert_ne!(c, '"', "a bare quote would end the string");
            if c != '\\' {
                back.push(c);
                continue;
            }
            match chars.next().unwrap() {
                'n' => back.push('\n'),
                'u' => {
                    let code: String = chars.by_ref().take(4).collect();
                    back.push(char::from_u32(u32::from_str_radix(&code, 16).unwrap()).unwrap());
                }
                other => back.push(other),
            }
        }
        prop_assert_eq!(back, value);
    }
}
