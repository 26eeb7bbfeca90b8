//! What a person has to accept before a release starts: checks on its writes that a change by hand would have to
//! acknowledge, too. Planned beforehand for every kind of traffic that the steps bring, with the new version imagined
//! where it is not deployed yet. Pure.
//!
//! A code that is not listed as implied has to be accepted by name (`policies.accept`): a check that is added later
//! must never be passed over in silence.

use std::sync::Arc;

use crate::domain::command::Command as Traffic;
use crate::domain::labels::LabelSet;
use crate::domain::refusal::{Check, Code, Refusal, Severity};
use crate::domain::release::state::Aim;
use crate::domain::release::{Candidate, Release, Spec, Strategy};
use crate::domain::service::{PodGroup, Version, Workload};
use crate::release::workload::name_of;
use crate::routing::{self, ChangeStamp, Policy};
use crate::services::change::Look;

use super::traffic::{change_of, percent_now};
use super::workloads::{key_of, source_of};

/// Checks that the wish itself answers. Its steps name every share (`big_jump`), its pods and shares are set together
/// (`few_pods`; the plan shows it), and its analysis judges what is measured and never passes without figures
/// (`unhealthy`, `metrics_down`).
pub(super) const IMPLIED: [Code; 4] = [Code::BigJump, Code::FewPods, Code::Unhealthy, Code::NoMetrics];

/// True when a release may be started and may write without this being accepted by name.
pub(super) fn is_implied(code: Code) -> bool {
    IMPLIED.contains(&code)
}

/// What has to be accepted of the checks on the writes of a release: each code with one sentence for each object.
pub(super) fn asked(written: &[Check]) -> Vec<Check> {
    let mut out: Vec<Check> = Vec::new();
    for check in written.iter().filter(|check| check.severity == Severity::Acknowledge) {
        // The same code for the same object is one question, whatever the step.
        if !out.iter().any(|known| known.code == check.code && object(known) == object(check)) {
            out.push(check.clone());
        }
    }
    out
}

/// All checks on the writes of a release, step by step, worst first in each.
pub(super) fn checks_of(release: &Release, look: &Look, policy: &Policy) -> Vec<Check> {
    let spec = &release.spec;
    if spec.strategy == Strategy::Replicas {
        return Vec::new();
    }
    let imagined = imagined(spec, look);
    let look = imagined.as_ref().unwrap_or(look);
    let mut out: Vec<Check> = Vec::new();
    for aim in aims(spec, look) {
        let Ok(change) = change_of(release, &aim, look) else { continue };
        let stamp = ChangeStamp { change: String::new(), revision: None, actor: String::new() };
        let Ok(planned) = routing::plan(&Traffic::Set(change), &look.snapshot, policy, &stamp) else {
            continue;
        };
        out.extend(planned.checks);
    }
    out
}

/// A step whose conditions every request meets: it would be all of the traffic, whatever the weights say. No
/// acceptance helps, because no write of it is made.
pub(super) fn whole(release: &Release, look: &Look, policy: &Policy) -> Option<Refusal> {
    let imagined = imagined(&release.spec, look);
    let look = imagined.as_ref().unwrap_or(look);
    let stamp = ChangeStamp { change: String::new(), revision: None, actor: String::new() };
    aims(&release.spec, look).iter().find_map(|aim| {
        let change = change_of(release, aim, look).ok()?;
        let refusal = routing::plan(&Traffic::Set(change), &look.snapshot, policy, &stamp).err()?;
        (refusal.code == Code::RuleTakesAll).then(|| refusal.field("steps"))
    })
}

/// The checks that were not accepted, as refusals of a start.
pub(super) fn open<'c>(checks: &'c [Check], accepted: &'c [String]) -> impl Iterator<Item = Refusal> + 'c {
    let is_open = |check: &&Check| !accepted.iter().any(|code| code == check.code.as_str());
    checks.iter().filter(is_open).map(|check| Refusal {
        code: check.code,
        args: check.args.clone(),
        field: Some("policies.accept".to_owned()),
        checks: Vec::new(),
    })
}

fn object(check: &Check) -> Option<&str> {
    check.args.iter().find(|(name, _)| *name == "object").map(|(_, value)| value.as_str())
}

/// Every aim that the release comes to, from what is declared before its first step to the last.
pub(super) fn aims(spec: &Spec, look: &Look) -> Vec<Aim> {
    let mut aim = Aim::begin(percent_now(&look.routing, spec.candidate.version()));
    let mut out = vec![aim.clone()];
    for step in &spec.steps {
        let Some(next) = aim.after(step) else { continue };
        aim = next;
        if !out.contains(&aim) {
            out.push(aim.clone());
        }
    }
    out
}

/// The service as it will be once the new version is deployed; `None` where it is there already, or cannot be made.
pub(super) fn imagined(spec: &Spec, look: &Look) -> Option<Look> {
    let Candidate::Image { version, image, replicas, in_place: false } = &spec.candidate else { return None };
    if version.as_str().is_empty() || look.snapshot.versions.iter().any(|known| known.name == *version) {
        return None;
    }
    let (stable, source) = source_of(&look.snapshot, &spec.stable).ok()?;
    let key = key_of(stable).to_owned();
    let pods = replicas.unwrap_or(stable.total).max(1);
    let value: Arc<str> = version.as_str().into();
    // As the copy of the workload will have them.
    let selector = &look.snapshot.service.selector;
    let follows = |held: &str, of: &str| {
        held.contains("version") && of == spec.stable.as_str() && !selector.contains_key(held)
    };
    let labelled = |labels: &LabelSet| {
        let others = labels
            .iter()
            .filter(|(held, _)| **held != *key)
            .map(|(held, of)| (held.clone(), if follows(held, of) { value.clone() } else { of.clone() }));
        LabelSet::new(others.chain([(key.as_str().into(), value.clone())]).collect())
    };
    let group = stable.pods.first()?;
    let mut snapshot = look.snapshot.clone();
    snapshot.versions.push(Version {
        name: version.clone(),
        subset_labels: [(key.as_str().into(), value.clone())].into(),
        pods: vec![PodGroup { labels: labelled(&group.labels), ready: pods, total: pods }],
        workloads: vec![Workload {
            name: name_of(&source.name, &spec.stable, version).as_str().into(),
            image: image.as_str().into(),
            wanted: pods,
            ..source.clone()
        }],
        image: image.as_str().into(),
        ready: pods,
        total: pods,
        lacks: None,
        cause: None,
        waiting: Vec::new(),
        created_ms: i64::MAX,
    });
    let routing = routing::read(&snapshot);
    Some(Look { snapshot, routing, revision: look.revision })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_the_wish_itself_answers_is_accepted_in_silence() {
        // Every code that a plan or its metrics give with "acknowledge", and what was decided for it.
        let decided = [
            (Code::BigJump, true),
            (Code::FewPods, true),
            (Code::Unhealthy, true),
            (Code::NoMetrics, true),
            (Code::GitOps, false),
            (Code::OtherWriter, false),
            (Code::HostShared, false),
            (Code::SharedDelegate, false),
            (Code::PortByPods, false),
            (Code::AnsweredByProxy, false),
            (Code::RoutesStay, false),
            (Code::NoSidecar, false),
            (Code::SubsetDiffers, false),
            (Code::RestoresFailing, false),
            (Code::StillAnswers, false),
            (Code::AnalysisBlind, false),
        ];
        for code in Code::ALL {
            let implied = decided.iter().any(|(known, implied)| known == code && *implied);
            assert_eq!(is_implied(*code), implied, "{code}");
        }
    }
}
