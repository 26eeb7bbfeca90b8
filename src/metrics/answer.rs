//! What Prometheus answered, read without trust. Pure; called by `prometheus` only.
//!
//! A series that is not a plain count (NaN, infinite, negative, twice) takes its whole service out: half
//! of a service's counts is a wrong number, none is honest.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::Arc;

use serde::Deserialize;

use super::source::MetricsError;
use crate::domain::observed::Sample;

#[derive(Deserialize)]
struct Answer {
    status: String,
    data: Option<Data>,
    #[serde(default)]
    warnings: Option<Vec<String>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Data {
    result_type: String,
    result: Vec<Series>,
}

#[derive(Deserialize)]
struct Series {
    metric: Labels,
    value: (f64, String),
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Deserialize)]
#[serde(default)]
struct Labels {
    destination_service_name: String,
    destination_workload: String,
    destination_version: String,
    response_code: String,
    grpc_response_status: String,
    response_flags: String,
}

/// Reads the answers to [`super::queries::counts`] and [`super::queries::p95`].
pub fn samples(counts: &[u8], p95: &[u8]) -> Result<Vec<Sample>, MetricsError> {
    let mut samples = count(vector(counts)?);
    let mut durations: BTreeMap<Who, Option<f64>> = BTreeMap::new();
    for series in vector(p95)? {
        let value = plain(&series.value.1);
        // A second value for the same workload: neither can be believed.
        durations.entry(who(&series.metric)).and_modify(|known| *known = None).or_insert(value);
    }
    for sample in &mut samples {
        let who = Who(sample.service.clone(), sample.workload.clone(), sample.version.clone());
        sample.p95_ms = durations.get(&who).copied().flatten();
    }
    Ok(samples)
}

/// Reads the answer to a query that is to give one number: a scalar, or a vector of one series.
pub fn number(body: &[u8]) -> Result<Option<f64>, MetricsError> {
    let strange = || MetricsError::Strange("not the JSON of a number");
    let answer: serde_json::Value = serde_json::from_slice(body).map_err(|_| strange())?;
    if answer["status"] != "success" {
        return Err(MetricsError::Strange("its status is not success"));
    }
    if answer["warnings"].as_array().is_some_and(|warnings| !warnings.is_empty()) {
        return Err(MetricsError::Partial);
    }
    let result = answer["data"]["result"].as_array().ok_or_else(strange)?;
    let text = match answer["data"]["resultType"].as_str() {
        Some("scalar") => result.get(1),
        Some("vector") if result.len() > 1 => return Err(MetricsError::Many(result.len())),
        Some("vector") => match result.first() {
            Some(series) => series["value"].get(1),
            None => return Ok(None),
        },
        _ => return Err(strange()),
    };
    let text = text.and_then(serde_json::Value::as_str).ok_or_else(strange)?;
    Ok(text.parse::<f64>().ok().filter(|value| value.is_finite()))
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Who(Arc<str>, Arc<str>, Arc<str>);

fn who(labels: &Labels) -> Who {
    Who(
        labels.destination_service_name.as_str().into(),
        labels.destination_workload.as_str().into(),
        labels.destination_version.as_str().into(),
    )
}

fn vector(body: &[u8]) -> Result<Vec<Series>, MetricsError> {
    let answer: Answer =
        serde_json::from_slice(body).map_err(|_| MetricsError::Strange("not the JSON of a vector"))?;
    if answer.status != "success" {
        return Err(MetricsError::Strange("its status is not success"));
    }
    if answer.warnings.is_some_and(|warnings| !warnings.is_empty()) {
        return Err(MetricsError::Partial);
    }
    match answer.data {
        Some(data) if data.result_type == "vector" => Ok(data.result),
        Some(_) => Err(MetricsError::Strange("not an instant vector")),
        None => Err(MetricsError::Strange("no data in it")),
    }
}

fn count(series: Vec<Series>) -> Vec<Sample> {
    let mut requests: BTreeMap<Who, Sample> = BTreeMap::new();
    let mut connections: BTreeMap<Who, Sample> = BTreeMap::new();
    let mut doubtful: BTreeSet<Arc<str>> = BTreeSet::new();
    let mut seen: HashSet<Labels> = HashSet::new();
    for Series { metric, value } in series {
        let who = who(&metric);
        let (Some(value), Some(outcome)) = (plain(&value.1), outcome(&metric)) else {
            doubtful.insert(who.0);
            continue;
        };
        let table = if metric.response_code.is_empty() { &mut connections } else { &mut requests };
        let sample = table.entry(who.clone()).or_insert_with(|| Sample {
            service: who.0.clone(),
            workload: who.1.clone(),
            version: who.2.clone(),
            requests: 0.0,
            errors: 0.0,
            p95_ms: None,
        });
        sample.requests += value;
        if outcome == Outcome::Failed {
            sample.errors += value;
        }
        if !seen.insert(metric) {
            doubtful.insert(who.0);
        }
    }
    // A service with requests is judged by them: a connection is not worth a request.
    let with_requests: HashSet<Arc<str>> = requests.keys().map(|who| who.0.clone()).collect();
    connections.retain(|who, _| !with_requests.contains(&who.0));
    requests
        .into_values()
        .chain(connections.into_values())
        .filter(|sample| !doubtful.contains(&sample.service) && sample.requests.is_finite())
        .collect()
}

/// A finite number that is not negative, else nothing.
fn plain(text: &str) -> Option<f64> {
    text.parse::<f64>().ok().filter(|value| value.is_finite() && *value >= 0.0)
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outcome {
    Fine,
    Failed,
}

/// Whether requests with these labels failed: 5xx, no answer at all (code 0), a gRPC status that is the
/// server's fault, a connection that reached nobody. `None` when the labels make no sense.
///
/// gRPC: <https://opentelemetry.io/docs/specs/semconv/rpc/grpc/> (2 unknown, 4 deadline
/// exceeded, 12 unimplemented, 13 internal, 14 unavailable, 15 data loss are the server's). Flags:
/// <https://www.envoyproxy.io/docs/envoy/latest/configuration/observability/access_log/usage>.
fn outcome(labels: &Labels) -> Option<Outcome> {
    let failed = if labels.response_code.is_empty() {
        labels.response_flags.split(',').any(|flag| matches!(flag, "UH" | "UF" | "NC" | "NR" | "UO" | "UR"))
    } else {
        let code: u16 = labels.response_code.parse().ok()?;
        let grpc = labels.grpc_response_status.as_str();
        code == 0 || code >= 500 || matches!(grpc, "2" | "4" | "12" | "13" | "14" | "15")
    };
    Some(if failed { Outcome::Failed } else { Outcome::Fine })
}
