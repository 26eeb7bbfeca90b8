//! The text of the PromQL queries. Pure. Fixed templates: only a namespace and a window are filled in.
//!
//! Series: <https://istio.io/latest/docs/reference/config/metrics/>. `reporter` is the client's side
//! (its sidecar, or a waypoint), because only the client sees requests that no pod ever got, and because
//! copies that go to a mirror are not counted there.

use std::fmt::Write;
use std::sync::Arc;

use super::source::Latency;
use crate::domain::ids::Namespace;

/// Labels that tell one workload behind one service from another.
const WHO: &str = "destination_service_name,destination_workload,destination_version";

/// Requests by answer, and TCP connections by flag, in the window. Rows of requests have a
/// `response_code`, rows of connections do not; so one query holds both.
pub fn counts(namespace: &Namespace, window_s: u32) -> String {
    let chosen = selection(namespace, window_s);
    format!(
        "sum by ({WHO},response_code,grpc_response_status) (increase(istio_requests_total{chosen})) or \
         sum by ({WHO},response_flags) (increase(istio_tcp_connections_opened_total{chosen}))"
    )
}

/// The 95th percentile of the duration in milliseconds, by workload.
pub fn p95(namespace: &Namespace, window_s: u32) -> String {
    let chosen = selection(namespace, window_s);
    format!(
        "histogram_quantile(0.95, sum by (le,{WHO}) \
         (increase(istio_request_duration_milliseconds_bucket{chosen})))"
    )
}

/// One quantile of the duration in milliseconds, of one service and some workloads together.
pub fn latency(asked: &Latency) -> String {
    let Latency { service, siblings, workloads, quantile, window_s } = asked;
    let any = |names: &mut dyn Iterator<Item = &Arc<str>>| -> String {
        names.map(|name| regex::escape(name)).collect::<Vec<_>>().join("|")
    };
    let services = any(&mut std::iter::once(&service.name).chain(siblings));
    format!(
        "histogram_quantile({:.2}, sum by (le) (increase(istio_request_duration_milliseconds_bucket{{\
         reporter=~\"source|waypoint\",destination_service_namespace=\"{}\",\
         destination_service_name=~\"{}\",destination_workload=~\"{}\"}}[{window_s}s])))",
        f64::from(*quantile) / 100.0,
        escape(service.namespace.as_str()),
        escape(&services),
        escape(&any(&mut workloads.iter())),
    )
}

fn selection(namespace: &Namespace, window_s: u32) -> String {
    let namespace = escape(namespace.as_str());
    format!("{{reporter=~\"source|waypoint\",destination_service_namespace=\"{namespace}\"}}[{window_s}s]")
}

/// A label value inside double quotes: whatever it holds, it stays a value.
/// Source: <https://prometheus.io/docs/prometheus/latest/querying/basics/#string-literals>.
pub fn escape(value: &str) -> String {
    let mut out = String::with_capacity(value.len());
    for c in value.chars() {
        match c {
            '\\' => out.push_str("\\\\"),
            '"' => out.push_str("\\\""),
            '\n' => out.push_str("\\n"),
            c if c.is_control() => {
                // Writing to a String cannot fail.
                let _ = write!(out, "\\u{:04x}", u32::from(c));
            }
            c => out.push(c),
        }
    }
    out
}
