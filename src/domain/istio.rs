//! Read-only views of Istio's VirtualService and DestinationRule: the fields that decide where a
//! request goes, every one optional, unknown ones ignored. Never written back: edits happen in the
//! JSON that was read (`routing::json`), because a typed round trip loses what it does not know.
//!
//! Source of the meaning: <https://istio.io/latest/docs/reference/config/networking/>.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize};

use super::ids::{Kind, Namespace, ObjectRef};
use super::owner::Owner;

/// What Sluice keeps of an object's metadata.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Meta {
    pub namespace: Arc<str>,
    pub name: Arc<str>,
    pub uid: Arc<str>,
    /// Opaque; compared for equality only.
    pub resource_version: String,
    /// Rises when the spec changes, not when status or metadata do.
    pub generation: i64,
    /// Milliseconds since 1970; Istio's tie-breaker between objects for one host (1 s grain).
    pub created_ms: i64,
    /// Another controller or GitOps tool that writes this object.
    pub owner: Option<Owner>,
    /// The field manager of the latest spec write (`kubectl-edit`), from `managedFields`.
    pub manager: Option<Arc<str>>,
    /// True once a deletion has begun.
    pub deleting: bool,
}

/// An object: what is kept of its metadata, and the view of its spec. `malformed` carries the parse
/// error of a spec that is not of the documented shape; its view is then empty.
#[derive(Clone, Debug, PartialEq)]
pub struct Object<T> {
    pub meta: Meta,
    pub spec: T,
    pub malformed: Option<String>,
}

impl<T> Object<T> {
    /// Where the object is.
    pub fn at(&self, kind: Kind) -> ObjectRef {
        ObjectRef {
            kind,
            namespace: Namespace::trusted(self.meta.namespace.clone()),
            name: self.meta.name.clone(),
        }
    }
}

fn null_as_default<'de, D: Deserializer<'de>, T: Default + Deserialize<'de>>(from: D) -> Result<T, D::Error> {
    Ok(Option::<T>::deserialize(from)?.unwrap_or_default())
}

macro_rules! views {
    ($($(#[$doc:meta])* struct $name:ident { $($(#[$fdoc:meta])* $field:ident: $ty:ty,)* })*) => {$(
        $(#[$doc])*
        #[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
        #[serde(default, rename_all = "camelCase")]
        pub struct $name { $($(#[$fdoc])* #[serde(deserialize_with = "null_as_default")] pub $field: $ty,)* }
    )*};
}

views! {
    /// `networking.istio.io/v1` VirtualService.spec.
    struct VirtualService {
        hosts: Vec<Box<str>>,
        /// Empty = `mesh` only.
        gateways: Vec<Box<str>>,
        /// Empty = the mesh's default, usually everywhere.
        export_to: Vec<Box<str>>,
        http: Vec<HttpRoute>,
        tls: Vec<TlsRoute>,
        tcp: Vec<TcpRoute>,
    }

    /// One entry of `spec.http`: the first whose `match` holds takes the request.
    struct HttpRoute {
        name: Option<Box<str>>,
        r#match: Vec<HttpMatch>,
        route: Vec<WeightedDestination>,
        redirect: Option<Redirect>,
        direct_response: Option<DirectResponse>,
        #[serde(skip_serializing_if = "Option::is_none")]
        fault: Option<Fault>,
        delegate: Option<Delegate>,
        mirror: Option<Destination>,
        mirrors: Vec<MirrorTo>,
        /// Absent with a `mirror` = 100 %.
        mirror_percentage: Option<PercentValue>,
        /// Older spellings of the same, still accepted by the CRD.
        mirror_percent: Option<f64>,
        #[serde(rename = "mirror_percent")]
        mirror_percent_snake: Option<f64>,
    }

    /// All conditions of one `match` entry must hold; the entries of a list are alternatives.
    struct HttpMatch {
        uri: Option<StringMatch>,
        scheme: Option<StringMatch>,
        method: Option<StringMatch>,
        authority: Option<StringMatch>,
        headers: BTreeMap<Box<str>, StringMatch>,
        without_headers: BTreeMap<Box<str>, StringMatch>,
        query_params: BTreeMap<Box<str>, StringMatch>,
        port: Option<u32>,
        source_labels: BTreeMap<Box<str>, Box<str>>,
        source_namespace: Option<Box<str>>,
        gateways: Vec<Box<str>>,
        ignore_uri_case: bool,
    }

    /// One of exact, prefix, regex (RE2, matches the whole value); none of them = the field is present.
    struct StringMatch {
        exact: Option<Box<str>>,
        prefix: Option<Box<str>>,
        regex: Option<Box<str>>,
    }

    /// A destination and its weight. Weight absent = 0, and ignored when the destination stands alone.
    struct WeightedDestination {
        destination: Destination,
        weight: i64,
    }

    struct Destination {
        host: Box<str>,
        subset: Option<Box<str>>,
        port: Option<PortSelector>,
    }

    struct PortSelector {
        number: Option<u32>,
    }

    struct MirrorTo {
        destination: Destination,
        percentage: Option<PercentValue>,
    }

    struct PercentValue {
        value: f64,
    }

    /// What the proxy does to a part of a route's requests by itself, before anything else.
    struct Fault {
        delay: Option<Delay>,
        abort: Option<Abort>,
    }

    /// Without a percentage nothing is delayed.
    struct Delay {
        percentage: Option<PercentValue>,
        /// The older spelling, whole percents.
        percent: i64,
        fixed_delay: Option<Box<str>>,
    }

    /// Without a percentage, or without a status, nothing is aborted.
    struct Abort {
        percentage: Option<PercentValue>,
        http_status: Option<u32>,
        grpc_status: Option<Box<str>>,
    }

    struct Delegate {
        name: Box<str>,
        /// Absent = the namespace of the root.
        namespace: Option<Box<str>>,
    }

    /// One entry of `spec.tls`.
    struct TlsRoute {
        r#match: Vec<L4Match>,
        route: Vec<WeightedDestination>,
    }

    /// One entry of `spec.tcp`.
    struct TcpRoute {
        r#match: Vec<L4Match>,
        route: Vec<WeightedDestination>,
    }

    /// A match of TCP or TLS.
    struct L4Match {
        destination_subnets: Vec<Box<str>>,
        sni_hosts: Vec<Box<str>>,
        port: Option<u32>,
        source_labels: BTreeMap<Box<str>, Box<str>>,
        source_namespace: Option<Box<str>>,
        gateways: Vec<Box<str>>,
    }

    /// `networking.istio.io/v1` DestinationRule.spec.
    struct DestinationRule {
        host: Box<str>,
        export_to: Vec<Box<str>>,
        subsets: Vec<Subset>,
        /// Set = the rule holds only for these workloads of its own namespace, as clients.
        workload_selector: Option<WorkloadSelector>,
    }

    struct WorkloadSelector {
        match_labels: BTreeMap<Box<str>, Box<str>>,
    }

    /// A named set of endpoints of the host; empty labels select every pod.
    struct Subset {
        name: Box<str>,
        labels: BTreeMap<Box<str>, Box<str>>,
    }
}

/// A field of which only the presence matters.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Anything;

impl<'de> Deserialize<'de> for Anything {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        serde::de::IgnoredAny::deserialize(from).map(|_| Self)
    }
}

macro_rules! answers {
    ($($(#[$doc:meta])* $name:ident $key:literal,)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        pub struct $name {
            /// The status of the answer, where one is written.
            pub status: Option<u16>,
        }

        /// Only its presence counts for the fingerprint of an object.
        impl Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
                to.serialize_unit_struct(stringify!($name))
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
                let object = serde_json::Value::deserialize(from)?;
                let status = object.get($key).and_then(serde_json::Value::as_u64);
                Ok(Self { status: status.and_then(|status| u16::try_from(status).ok()) })
            }
        }
    )*};
}

answers! {
    /// `http[].redirect`: 301 where no status is written.
    Redirect "redirectCode",
    /// `http[].directResponse`.
    DirectResponse "status",
}

/// Expressions that every path matches. Envoy matches the whole path, and a path begins with `/`.
/// There are others; one that is not known here counts as a condition.
const EVERY_PATH: [&str; 12] =
    [".*", "^.*", ".*$", "^.*$", ".+", "^.+$", "/.*", "^/.*", "/.*$", "^/.*$", "(.*)", "/(.*)"];

impl StringMatch {
    /// True when every path is a match.
    pub fn is_every_path(&self) -> bool {
        match (&self.exact, &self.prefix, &self.regex) {
            (None, Some(prefix), None) => &**prefix == "/",
            (None, None, Some(regex)) => EVERY_PATH.contains(&&**regex),
            _ => false,
        }
    }
}

impl HttpMatch {
    /// True when the entry holds for callers of every namespace and with every label.
    pub fn is_for_every_caller(&self) -> bool {
        self.source_labels.is_empty() && self.source_namespace.is_none()
    }

    /// True when the entry holds for every request: no condition at all, or only one on the path that every path
    /// meets (`prefix: /`, `regex: .*`).
    pub fn is_everything(&self) -> bool {
        self.uri.as_ref().is_none_or(StringMatch::is_every_path)
            && self.scheme.is_none()
            && self.method.is_none()
            && self.authority.is_none()
            && self.headers.is_empty()
            && self.without_headers.is_empty()
            && self.query_params.is_empty()
            && self.port.is_none()
            && self.source_labels.is_empty()
            && self.source_namespace.is_none()
            && self.gateways.is_empty()
    }
}

impl HttpRoute {
    /// True when the route takes every request that reaches it.
    pub fn is_catch_all(&self) -> bool {
        self.r#match.is_empty() || self.r#match.iter().any(HttpMatch::is_everything)
    }
}
