//! What a release will write: every object that a step makes, changes or deletes, step by step, and the difference
//! of the first write. Pure: a wish held against the service as it stands.

use std::sync::Arc;

use crate::domain::ids::ObjectRef;
use crate::domain::overview::DiffLine;
use crate::domain::release::state::Aim;
use crate::domain::release::{Objects, Release, Step, StepObjects, Strategy};
use crate::domain::service::{Workload, WorkloadKind};
use crate::routing::{self, ChangeStamp, Policy};
use crate::services::change::Look;

use super::acceptance::aims;
use super::traffic::change_of;
use super::workloads::{key_of, source_of};

/// Pods of a StatefulSet that are named one by one; more are named from the first to the last.
const NAMED_PODS: u32 = 6;

/// Objects of a wish that can be meant. What cannot be planned is left out: the plan says why in its refusals.
pub(super) fn objects_of(release: &Release, look: &Look, policy: &Policy) -> Objects {
    let spec = &release.spec;
    let mesh = spec.strategy != Strategy::Replicas;
    let named = |workload: &Workload| {
        let kind = match workload.kind {
            WorkloadKind::Deployment => "Deployment",
            WorkloadKind::StatefulSet => "StatefulSet",
        };
        format!("{kind} {}/{}", spec.service.namespace, workload.name)
    };
    let of = |version| source_of(&look.snapshot, version).ok().map(|(_, workload)| workload);
    let stable = of(&spec.stable);
    let made = stable
        .filter(|_| spec.candidate.is_made() && !spec.candidate.version().as_str().is_empty())
        .map(|workload| {
            let name =
                crate::release::workload::name_of(&workload.name, &spec.stable, spec.candidate.version());
            named(&Workload { name: name.as_str().into(), ..workload.clone() })
        });
    let candidate = made.clone().or_else(|| of(spec.candidate.version()).map(&named));
    let mut out = Objects::default();
    // Before the first step all traffic is declared to be the stable version's.
    let mut routes: Vec<String> = Vec::new();
    let mut first = StepObjects::default();
    if mesh {
        let deployed = with_candidate(release, look);
        let then = deployed.as_ref().unwrap_or(look);
        for (at, aim) in aims(spec, look).iter().enumerate() {
            let begins = at == 0;
            // What changes nothing is not written: the first write is that of the first step that does.
            if at > 1 && !out.diffs.is_empty() {
                break;
            }
            let look = if begins { look } else { then };
            let Some((edits, diffs)) = edits_of(release, look, aim, policy) else { continue };
            for (object, creates) in edits {
                let name = object.to_string();
                let list = if creates { &mut first.creates } else { &mut first.changes };
                if begins && !list.contains(&name) {
                    list.push(name.clone());
                }
                if !routes.contains(&name) {
                    routes.push(name);
                }
            }
            if out.diffs.is_empty() {
                out.diffs = diffs;
            }
        }
        for object in &look.routing.objects {
            let name = object.to_string();
            if !routes.contains(&name) {
                routes.push(name);
            }
        }
    }
    // Where requests were spread by pods, an abort that takes the new version away takes its routing away, too.
    let by_pods = mesh && look.routing.declared().is_none();
    let own_routes: Vec<String> =
        first.creates.iter().filter(|_| by_pods && made.is_some()).cloned().collect();
    first.creates.extend(made.clone());
    push(&mut out.steps, first);
    for (at, step) in spec.steps.iter().enumerate() {
        let mut one = StepObjects { step: Some(at), ..StepObjects::default() };
        match step {
            Step::Weight { .. } | Step::Rules { .. } | Step::Mirror { .. } => {
                one.changes.extend(routes.iter().cloned());
            }
            Step::Replicas { candidate: until, .. } if spec.candidate.is_in_place() => {
                one.changes.extend(stable.map(&named));
                let before = spec.steps[..at].iter().rev().find_map(|step| match step {
                    Step::Replicas { candidate, .. } => Some(*candidate),
                    _ => None,
                });
                if let Some(set) = stable {
                    let pods =
                        pod_names(set, &spec.service.namespace.to_string(), before.unwrap_or(0), *until);
                    one.changes.extend(pods);
                }
            }
            Step::Replicas { stable: left, .. } => {
                one.changes.extend(candidate.clone());
                one.changes.extend(stable.filter(|_| left.is_some()).map(&named));
            }
            Step::Hold { .. } | Step::Approval | Step::Analysis { .. } => {}
        }
        push(&mut out.steps, one);
    }
    if spec.policies.stable_after.is_some() && !spec.candidate.is_in_place() {
        out.at_end.extend(stable.map(&named));
    }
    if spec.policies.delete_after_abort {
        out.after_abort.extend(own_routes);
        out.after_abort.extend(made);
    }
    out
}

fn push(steps: &mut Vec<StepObjects>, one: StepObjects) {
    if !one.creates.is_empty() || !one.changes.is_empty() || !one.deletes.is_empty() {
        steps.push(one);
    }
}

/// The service as it will be when the first step begins: with the version that the release makes, as a copy of the
/// stable one whose pods are ready. `None` where it is there already, or where none is made.
fn with_candidate(release: &Release, look: &Look) -> Option<Look> {
    let (spec, name) = (&release.spec, release.candidate());
    let versions = &look.snapshot.versions;
    let missing = spec.candidate.is_made()
        && !name.as_str().is_empty()
        && !versions.iter().any(|version| version.name == *name);
    let mut made = versions.iter().find(|version| missing && version.name == spec.stable)?.clone();
    let key: Arc<str> = key_of(&made).into();
    let value: Arc<str> = name.as_str().into();
    made.name = name.clone();
    made.subset_labels.insert(key.clone(), value.clone());
    for group in &mut made.pods {
        let own = std::iter::once((key.clone(), value.clone()));
        group.labels = group.labels.iter().cloned().chain(own).collect();
        group.total = group.total.max(1);
        group.ready = group.total;
    }
    made.total = made.total.max(1);
    made.ready = made.total;
    for workload in &mut made.workloads {
        workload.name = crate::release::workload::name_of(&workload.name, &spec.stable, name).as_str().into();
    }
    let mut snapshot = look.snapshot.clone();
    snapshot.versions.push(made);
    Some(Look { snapshot, routing: look.routing.clone(), revision: look.revision })
}

type Edits = (Vec<(ObjectRef, bool)>, Vec<(ObjectRef, Vec<DiffLine>)>);

/// Objects that an aim would write (true = made), with their differences.
fn edits_of(release: &Release, look: &Look, aim: &Aim, policy: &Policy) -> Option<Edits> {
    let change = change_of(release, aim, look).ok()?;
    let command = crate::domain::command::Command::Set(change);
    let stamp = ChangeStamp { change: String::new(), revision: None, actor: String::new() };
    let planned = routing::plan(&command, &look.snapshot, policy, &stamp).ok()?;
    let edits = planned.plan.edits().map(|edit| (edit.object.clone(), edit.before.is_none())).collect();
    let diffs = planned.plan.edits().map(|edit| (edit.object.clone(), routing::diff::yaml(edit))).collect();
    Some((edits, diffs))
}

/// The pods that a batch replaces: from the last ordinal down.
fn pod_names(set: &Workload, namespace: &str, before: u32, until: u32) -> Vec<String> {
    let top = set.wanted.saturating_sub(before);
    let bottom = set.wanted.saturating_sub(until);
    let name = |ordinal: u32| format!("Pod {namespace}/{}-{ordinal}", set.name);
    match top.saturating_sub(bottom) {
        0 => Vec::new(),
        n if n <= NAMED_PODS => (bottom..top).rev().map(name).collect(),
        _ => vec![format!("{} … {}-{bottom}", name(top - 1), set.name)],
    }
}
