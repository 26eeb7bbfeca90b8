//! Kubernetes JSON ⇄ `domain::routing`, and plans. Called by `services` (and by its tests); sees only
//! `domain`. Pure: no client, no clock, no randomness, and no input makes it panic.
//!
//! [`read()`] says what the routing objects declare about one service. [`plan()`] says which objects a
//! command must change, in which order, without touching anything. Edits are made inside the JSON that
//! was read, so whatever Sluice does not know survives.

use serde_json::Value;

use crate::domain::ids::{Kind, ObjectRef, Revision, ServiceRef};
use crate::domain::plan::Plan;
use crate::domain::routing::Routing;
use crate::domain::snapshot::Snapshot;

pub mod hosts;
pub mod lookup;

mod cookies;
mod fingerprint;
mod read;

pub mod diff;
mod json;
mod plan;
mod regexes;
pub mod rule_input;
mod takes_all;
mod validate;

pub use fingerprint::is_of_before;
pub use json::{is_made_here, is_written_here};
pub use plan::checks;
pub use plan::{applied, plan, recorded};

/// What counts as a big step, an unhealthy version and so on; from the configuration.
#[derive(Clone, Debug, PartialEq)]
pub struct Policy {
    /// Points by which one version may rise in one step without an acknowledgement.
    pub big_jump_points: u8,
    /// Success rate (percent) below which a version that gets more traffic must be acknowledged.
    pub min_success_percent: f64,
    /// Whether objects that Sluice made may be deleted on the way back to a time before them.
    pub may_delete: bool,
}

impl Default for Policy {
    fn default() -> Self {
        Self { big_jump_points: 25, min_success_percent: 99.0, may_delete: true }
    }
}

/// What is written on the objects of a change, so that it can be found out later whether it arrived.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChangeStamp {
    pub change: String,
    pub revision: Option<Revision>,
    pub actor: String,
}

/// What these specs declared about the snapshot's service when its routing objects had them.
pub fn read_specs(snapshot: &Snapshot, specs: &[(ObjectRef, Value)]) -> Routing {
    read(&plan::with_specs(snapshot, specs))
}

/// What the objects declare about the snapshot's service. Needs the views only, never the JSON.
pub fn read(snapshot: &Snapshot) -> Routing {
    read::inspect(snapshot).routing
}

/// True when a recorded fingerprint is that of what a snapshot declares, whichever form it was recorded in.
pub fn is_recorded(snapshot: &Snapshot, routing: &Routing, recorded: &str) -> bool {
    recorded == routing.fingerprint
        || (is_of_before(recorded) && fingerprint::is(&read::inspect(snapshot), recorded))
}

/// True when what an object's spec was before (`None` = it was not there) would decide something else about the
/// snapshot's service than what it is now.
pub fn decides(snapshot: &Snapshot, at: &ObjectRef, before: Option<&Value>) -> bool {
    read(&plan::with_spec(snapshot, at, before)).fingerprint != read(snapshot).fingerprint
}

/// Of more other Services than this nothing is asked.
const MOST_NAMED: usize = 16;

/// The Services besides the snapshot's own that routes of these specs send to and of which it knows nothing.
pub fn unknown_services(snapshot: &Snapshot, specs: &[(ObjectRef, Value)]) -> Vec<ServiceRef> {
    let domain = &*snapshot.mesh.cluster_domain;
    let known =
        |at: &ServiceRef| *at == snapshot.service.at || snapshot.others.iter().any(|other| other.at == *at);
    let mut out: Vec<ServiceRef> = Vec::new();
    for (at, spec) in specs.iter().filter(|(at, _)| at.kind == Kind::VirtualService) {
        let lists = ["http", "tls", "tcp"].into_iter().filter_map(|list| spec[list].as_array()).flatten();
        let entries = lists.filter_map(|route| route["route"].as_array()).flatten();
        let hosts = entries.filter_map(|entry| entry["destination"]["host"].as_str());
        for service in hosts.filter_map(|host| hosts::service(host, at.namespace.as_str(), domain)) {
            if out.len() < MOST_NAMED && !known(&service) && !out.contains(&service) {
                out.push(service);
            }
        }
    }
    out
}

/// The specs of all objects that say something about the service: what the history keeps and what
/// switch back restores. Objects whose JSON was not read are left out.
pub fn saved(snapshot: &Snapshot) -> Vec<(ObjectRef, Value)> {
    saved_of(snapshot, &read(snapshot).objects)
}

/// The same of a snapshot that was read already: these are the objects.
pub fn saved_of(snapshot: &Snapshot, objects: &[ObjectRef]) -> Vec<(ObjectRef, Value)> {
    let spec = |at: &ObjectRef| Some((at.clone(), spec_of(snapshot, at)?.clone()));
    objects.iter().filter_map(spec).collect()
}

/// The spec of an object of the snapshot, where its JSON was read.
pub fn spec_of<'s>(snapshot: &'s Snapshot, at: &ObjectRef) -> Option<&'s Value> {
    json_of(snapshot, at).map(|json| json.get("spec").unwrap_or(&Value::Null))
}

/// The same once a plan is written that leaves these objects.
pub fn saved_after(snapshot: &Snapshot, plan: &Plan, objects: &[ObjectRef]) -> Vec<(ObjectRef, Value)> {
    let spec = |at: &ObjectRef| {
        let edited = plan.edits().find(|edit| edit.object == *at).map(|edit| edit.after.as_ref());
        let json = edited.unwrap_or_else(|| json_of(snapshot, at))?;
        Some((at.clone(), json.get("spec").cloned().unwrap_or(Value::Null)))
    };
    objects.iter().filter_map(spec).collect()
}

fn json_of<'s>(snapshot: &'s Snapshot, at: &ObjectRef) -> Option<&'s Value> {
    let json = match at.kind {
        Kind::VirtualService => {
            snapshot.virtual_services.iter().find(|held| held.object.at(at.kind) == *at)?.json.as_ref()
        }
        Kind::DestinationRule => {
            snapshot.destination_rules.iter().find(|held| held.object.at(at.kind) == *at)?.json.as_ref()
        }
    };
    json.map(|json| &**json)
}
