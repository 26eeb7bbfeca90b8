//! `ServiceEntries` and Sidecars: objects that decide for some callers whether they know a service, and which endpoints
//! its host has. Sluice reads them, changes none, and makes no plan by them; what they do to a service is said.
//!
//! Source: <https://istio.io/latest/docs/reference/config/networking/service-entry/>,
//! <https://istio.io/latest/docs/reference/config/networking/sidecar/>.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::refusal::{Code, Finding, Severity};
use super::snapshot::Snapshot;

/// So many objects are named in one finding.
const NAMED: usize = 5;

/// What is known of a kind.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Seen<T> {
    /// Nobody has looked yet.
    #[default]
    NotYet,
    /// Sluice may not list them, or the cluster serves no such kind.
    NotLookedAt,
    All(Vec<T>),
}

impl<T> Seen<T> {
    fn all(&self) -> &[T] {
        if let Self::All(all) = self { all } else { &[] }
    }
}

/// Both kinds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HostConfig {
    pub entries: Seen<ServiceEntry>,
    pub sidecars: Seen<Sidecar>,
}

/// A `ServiceEntry`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ServiceEntry {
    pub namespace: String,
    pub name: String,
    pub spec: EntrySpec,
}

/// The part of its spec that is read.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct EntrySpec {
    pub hosts: Vec<String>,
}

/// A Sidecar.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sidecar {
    pub namespace: String,
    pub name: String,
    pub spec: SidecarSpec,
}

/// The part of its spec that is read.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct SidecarSpec {
    pub workload_selector: Option<Selector>,
    pub egress: Vec<Egress>,
}

/// The workloads that a Sidecar is for.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Selector {
    pub labels: BTreeMap<String, String>,
}

/// What callers know.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Egress {
    /// `namespace/host`: the namespace may be `*`, `.` or `~`, the host may be a wildcard.
    pub hosts: Vec<String>,
}

impl HostConfig {
    /// What of it touches a service, graver first.
    pub fn findings(&self, snapshot: &Snapshot) -> Vec<Finding> {
        let at = &snapshot.service.at;
        let host = format!("{}.{}.svc.{}", at.name, at.namespace, snapshot.mesh.cluster_domain);
        let same = |entry: &&ServiceEntry| entry.spec.hosts.iter().any(|own| own.eq_ignore_ascii_case(&host));
        let entries = self.entries.all().iter().filter(same);
        let entries: Vec<String> =
            entries.map(|entry| format!("ServiceEntry {}/{}", entry.namespace, entry.name)).collect();
        let sidecars = self.sidecars.all().iter().filter(|sidecar| sidecar.hides(&host, snapshot));
        let sidecars: Vec<String> = sidecars.map(Sidecar::named).collect();
        [
            (Severity::Acknowledge, Code::HostElsewhere, entries),
            (Severity::Info, Code::SidecarHides, sidecars),
        ]
        .into_iter()
        .filter(|(.., names)| !names.is_empty())
        .map(|(severity, code, names)| Finding::new(severity, code).arg("list", listed(&names)))
        .collect()
    }

    /// The kinds that were not looked at.
    pub fn unseen(&self) -> Vec<&'static str> {
        let entries = (self.entries == Seen::NotLookedAt).then_some("ServiceEntry");
        let sidecars = (self.sidecars == Seen::NotLookedAt).then_some("Sidecar");
        entries.into_iter().chain(sidecars).collect()
    }
}

impl Sidecar {
    fn named(&self) -> String {
        let labels = self.spec.workload_selector.iter().flat_map(|selector| &selector.labels);
        let labels: Vec<String> = labels.map(|(key, value)| format!("{key}={value}")).collect();
        let object = format!("Sidecar {}/{}", self.namespace, self.name);
        if labels.is_empty() { object } else { format!("{object} ({})", labels.join(" ")) }
    }

    /// True when the callers that it is for do not get the service's host. One without `egress` hides nothing. A
    /// route that they get brings its destinations with it: nothing is claimed then.
    fn hides(&self, host: &str, snapshot: &Snapshot) -> bool {
        let gets = |namespace: &str, name: &str| {
            let hosts = self.spec.egress.iter().flat_map(|egress| &egress.hosts);
            hosts.filter_map(|known| known.split_once('/')).any(|(of, known)| {
                let there = match of {
                    "*" => true,
                    "." => self.namespace == namespace,
                    other => other == namespace,
                };
                let known = known.to_ascii_lowercase();
                there && known.strip_prefix('*').map_or(known == name, |tail| name.ends_with(tail))
            })
        };
        let routes = || {
            snapshot.virtual_services.iter().any(|held| {
                let (meta, spec) = (&held.object.meta, &held.object.spec);
                spec.hosts.iter().any(|host| gets(&meta.namespace, &host.to_ascii_lowercase()))
            })
        };
        !self.spec.egress.is_empty() && !gets(snapshot.service.at.namespace.as_str(), host) && !routes()
    }
}

fn listed(names: &[String]) -> String {
    let mut shown: Vec<String> = names.iter().take(NAMED).cloned().collect();
    if names.len() > NAMED {
        shown.push(format!("… (+{})", names.len() - NAMED));
    }
    shown.join(", ")
}
