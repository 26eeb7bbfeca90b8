//! Names that must not be mixed up: who is meant, and by which revision. Parsed at the edge, trusted afterwards.

use std::borrow::Borrow;
use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::refusal::{Code, Refusal};

macro_rules! name_type {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(Arc<str>);

        impl $name {
            /// Takes a name that is known to be good (read from the API server, or checked before).
            pub fn trusted(name: impl Into<Arc<str>>) -> Self {
                Self(name.into())
            }

            /// The name as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{:?}", &*self.0)
            }
        }

        impl Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }

        impl From<&str> for $name {
            fn from(name: &str) -> Self {
                Self(name.into())
            }
        }
    };
}

name_type!(
    /// A Kubernetes namespace (RFC 1123 label).
    Namespace
);
name_type!(
    /// A version of a service: a label value, or a workload's name where no label tells versions apart.
    VersionName
);
name_type!(
    /// Which route of which object is meant. Stable while weights change and while rules are reordered.
    RouteId
);

impl Namespace {
    /// Reads a namespace from outside; refused unless it is an RFC 1123 label of at most 63 characters.
    pub fn parse(text: &str) -> Result<Self, Refusal> {
        if is_dns_label(text) { Ok(Self::from(text)) } else { Err(bad_name("namespace", text)) }
    }
}

impl VersionName {
    /// Reads a version name from outside; refused unless it could be a Kubernetes label value.
    pub fn parse(text: &str) -> Result<Self, Refusal> {
        if is_label_value(text) { Ok(Self::from(text)) } else { Err(bad_name("version", text)) }
    }
}

fn bad_name(field: &'static str, text: &str) -> Refusal {
    let shown: String = text.chars().take(80).collect();
    Refusal::new(Code::BadName).field(field).arg("name", shown)
}

/// True for an RFC 1123 label: 1-63 of `a-z 0-9 -`, no `-` at either end.
pub fn is_dns_label(text: &str) -> bool {
    let bytes = text.as_bytes();
    (1..=63).contains(&bytes.len())
        && bytes.iter().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || *b == b'-')
        && bytes[0] != b'-'
        && bytes[bytes.len() - 1] != b'-'
}

/// True for a non-empty Kubernetes label value: 1-63 of `A-Z a-z 0-9 - _ .`, alphanumeric at both ends.
pub fn is_label_value(text: &str) -> bool {
    let bytes = text.as_bytes();
    (1..=63).contains(&bytes.len())
        && bytes.iter().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'))
        && bytes[0].is_ascii_alphanumeric()
        && bytes[bytes.len() - 1].is_ascii_alphanumeric()
}

/// A Kubernetes Service, by namespace and name.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ServiceRef {
    pub namespace: Namespace,
    pub name: Arc<str>,
}

impl ServiceRef {
    /// A service that is known to be named well.
    pub fn new(namespace: &str, name: &str) -> Self {
        Self { namespace: namespace.into(), name: name.into() }
    }

    /// Reads both names from outside; refused unless each is an RFC 1123 label (RFC 1035 is a part of it).
    pub fn parse(namespace: &str, name: &str) -> Result<Self, Refusal> {
        let namespace = Namespace::parse(namespace)?;
        if is_dns_label(name) {
            Ok(Self { namespace, name: name.into() })
        } else {
            Err(bad_name("service", name))
        }
    }

    /// Reads `namespace/name`.
    pub fn parse_path(text: &str) -> Result<Self, Refusal> {
        let (namespace, name) = text.split_once('/').ok_or_else(|| bad_name("service", text))?;
        Self::parse(namespace, name)
    }

    /// The full host name in a cluster with this domain: `name.namespace.svc.cluster.local`.
    pub fn host(&self, cluster_domain: &str) -> String {
        format!("{}.{}.svc.{cluster_domain}", self.name, self.namespace)
    }
}

impl fmt::Display for ServiceRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

impl fmt::Debug for ServiceRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

/// The kinds of objects that Sluice writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Kind {
    DestinationRule,
    VirtualService,
}

impl Kind {
    /// The kind's name as Kubernetes writes it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::DestinationRule => "DestinationRule",
            Self::VirtualService => "VirtualService",
        }
    }

    /// The plural of the kind in URLs and RBAC rules.
    pub fn plural(self) -> &'static str {
        match self {
            Self::DestinationRule => "destinationrules",
            Self::VirtualService => "virtualservices",
        }
    }
}

/// One routing object of the cluster.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ObjectRef {
    pub kind: Kind,
    pub namespace: Namespace,
    pub name: Arc<str>,
}

impl ObjectRef {
    pub fn new(kind: Kind, namespace: &str, name: &str) -> Self {
        Self { kind, namespace: namespace.into(), name: name.into() }
    }
}

impl fmt::Display for ObjectRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}/{}", self.kind.as_str(), self.namespace, self.name)
    }
}

impl fmt::Debug for ObjectRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

/// A service's revision: 0 before Sluice ever saw it change, then one more for every applied change
/// and for every outside edit.
pub type Revision = u64;
