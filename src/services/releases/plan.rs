//! The effect of a specification on the service as it is now: the wizard's live plan, and the last look before a
//! release is stored or started. Writes nothing.

use crate::cluster::Ask;
use crate::domain::actor::Actor;
use crate::domain::ids::VersionName;
use crate::domain::observed::VersionTraffic;
use crate::domain::overview::barriers;
use crate::domain::refusal::{Check, Code, Refusal, Severity};
use crate::domain::release::{
    Candidate, Metric, Objects, Phase, Release, ReleaseId, Spec, State, Step, Strategy, validate,
};
use crate::domain::service::WorkloadKind;
use crate::metrics::Health;
use crate::release::workload;
use crate::services::Services;
use crate::services::change::Look;

use super::acceptance::{asked, checks_of, is_implied, open, whole};
use super::ahead::rules_keep;
use super::forecast::{blind, too_slow, unheld};
use super::mirror;
use super::plan_objects::objects_of;
use super::workloads::{source_of, workload_taken};

/// Stands for a version that has no name yet.
const UNNAMED: &str = "sluice-unnamed";

/// A wish, thought through.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ReleasePlan {
    /// Why it cannot be started, each with its field; empty = it can.
    pub refusals: Vec<Refusal>,
    /// Good to know.
    pub checks: Vec<Check>,
    /// The candidate's share over time: seconds from the start (approvals take none), percent.
    pub shares: Vec<(u64, u8)>,
    /// Objects that are made, changed and (where the policies say so) deleted: `Deployment shop/reviews-v2`.
    pub creates: Vec<String>,
    pub changes: Vec<String>,
    pub deletes: Vec<String>,
    /// The same step by step, with the differences of the first write.
    pub objects: Objects,
    /// Checks that `policies.accept` must name before it can start, accepted already or not.
    pub accepts: Vec<Check>,
}

impl Services {
    /// What a wish would do, and everything that stands in its way.
    pub async fn plan_release(&self, who: &Actor, spec: &Spec) -> Result<ReleasePlan, Refusal> {
        let mut plan = self.whole_plan(who, spec).await?;
        let diffs = std::mem::take(&mut plan.objects.diffs);
        plan.objects.diffs = self.shown_diffs(&who.identity, &spec.service, diffs).await;
        if let Some(unread) = self.unread_with_workloads(&who.identity, &spec.service).await {
            unread.lines(plan.creates.iter_mut().chain(&mut plan.changes).chain(&mut plan.deletes));
            unread.lines(plan.objects.names_mut());
            unread.checks(&mut plan.checks);
            unread.checks(&mut plan.accepts);
            plan.refusals = plan.refusals.into_iter().map(|refusal| unread.refusal(refusal)).collect();
        }
        Ok(plan)
    }

    /// The same with all that it names, for the history.
    pub(super) async fn whole_plan(&self, who: &Actor, spec: &Spec) -> Result<ReleasePlan, Refusal> {
        self.must_see(who, &spec.service).await?;
        let mut plan = ReleasePlan { refusals: validate::validate(spec), ..ReleasePlan::default() };
        let always = |refusal: &Refusal| refusal.code == Code::FreezeAlways;
        let late = validate::times(&spec.policies, self.inner.clock.now_ms());
        // The week alone may leave no time: once is enough.
        let late = late.filter(|late| !always(late) || !plan.refusals.iter().any(always));
        plan.refusals.extend(late);
        // What would never move has no course.
        if !plan.refusals.iter().any(|refusal| always(refusal) || refusal.code == Code::StartRange) {
            plan.shares = shares(spec);
        }
        if let Some(id) = self.owner_now(&spec.service).await {
            plan.refusals.push(Refusal::new(Code::ReleaseOwnsService).field("service").arg("id", id));
        }
        let look = self.known_look(&who.identity, self.look(&spec.service, false).await?).await?;
        plan.refusals.extend(self.wish_right(&who.identity, spec, &look).await?);
        against(spec, &look, &mut plan);
        plan.checks.extend(mirror::says(spec, look.routing.mirror.as_ref()));
        if spec.strategy != Strategy::Replicas {
            plan.checks.extend(rules_keep(&look.routing.rules, &spec.stable));
        }
        self.rolls(spec, &look, &mut plan).await;
        self.name_is_free(spec, &look, &mut plan).await;
        let written = self.written(spec, &look);
        let early = self.reached_early(spec, &look, &written);
        let (accepts, known): (Vec<Check>, Vec<Check>) =
            asked(&written).into_iter().chain(early).partition(|check| !is_implied(check.code));
        plan.refusals.extend(whole(&imagined(spec), &look, &self.inner.settings.policy));
        plan.accepts = accepts;
        let blind = blind(spec, &look);
        plan.checks.extend(unheld(spec).filter(|_| blind.is_none()));
        plan.accepts.extend(blind);
        plan.refusals.extend(open(&plan.accepts, &spec.policies.accept));
        // The steps themselves show how far it jumps; that few pods would answer is reported.
        let few = known.into_iter().filter(|check| check.code == Code::FewPods);
        plan.checks.extend(few.map(|check| Check { severity: Severity::Info, ..check }));
        let objects = objects_of(&imagined(spec), &look, &self.inner.settings.policy);
        plan.creates = objects.all(|step| &step.creates);
        plan.changes = objects.all(|step| &step.changes);
        plan.changes.retain(|name| !plan.creates.contains(name));
        let more: Vec<String> =
            objects.at_end.iter().filter(|name| !plan.changes.contains(name)).cloned().collect();
        plan.changes.extend(more);
        plan.deletes = objects.after_abort.clone();
        plan.objects = objects;
        self.figures(who, spec, &look, &mut plan).await?;
        Ok(plan)
    }

    /// The checks on everything that it will write. What they ask of the service is known before the new version has a
    /// name, and is asked then.
    fn written(&self, spec: &Spec, look: &Look) -> Vec<Check> {
        let policy = &self.inner.settings.policy;
        let candidate = spec.candidate.version();
        if !candidate.as_str().is_empty() {
            return checks_of(&imagined(spec), look, policy);
        }
        // A name that no version can have, so that nothing of the cluster is taken for it.
        let unnamed = VersionName::trusted(UNNAMED);
        let image = String::new();
        let candidate = Candidate::Image { version: unnamed, image, replicas: None, in_place: false };
        let mut checks = checks_of(&imagined(&Spec { candidate, ..spec.clone() }), look, policy);
        checks.retain(|check| !check.args.iter().any(|(_, value)| value.contains(UNNAMED)));
        checks
    }

    /// A StatefulSet that does not replace its pods by itself cannot be released in batches.
    async fn rolls(&self, spec: &Spec, look: &Look, plan: &mut ReleasePlan) {
        let Ok((_, source)) = source_of(&look.snapshot, &spec.stable) else { return };
        if !spec.candidate.is_in_place() || source.kind != WorkloadKind::StatefulSet {
            return;
        }
        let at = &spec.service.namespace;
        if let Ok(Some(set)) = self.inner.cluster.workload(source.kind, at, &source.name).await
            && let Err(refusal) = workload::rolls(&set)
        {
            plan.refusals.push(refusal.field("candidate.in_place"));
        }
    }

    /// The workload that would be made must not exist, whatever its labels are: it is not written over.
    async fn name_is_free(&self, spec: &Spec, look: &Look, plan: &mut ReleasePlan) {
        let Ok((_, source)) = source_of(&look.snapshot, &spec.stable) else { return };
        let candidate = spec.candidate.version();
        let known = look.snapshot.versions.iter().any(|version| version.name == *candidate);
        let named = !candidate.as_str().is_empty() && !known;
        // Who may not make it learns nothing of what is there.
        let may = !plan.refusals.iter().any(|refusal| refusal.code == Code::Forbidden);
        if !spec.candidate.is_made() || !named || !may {
            return;
        }
        let at = &spec.service.namespace;
        let name = workload::name_of(&source.name, &spec.stable, candidate);
        if let Ok(Some(_)) = self.inner.cluster.workload(source.kind, at, &name).await {
            plan.refusals.push(workload_taken(source.kind, at, &name).field("candidate.version"));
        }
    }

    async fn figures(
        &self,
        who: &Actor,
        spec: &Spec,
        look: &Look,
        plan: &mut ReleasePlan,
    ) -> Result<(), Refusal> {
        let Some(analysis) = &spec.analysis else { return Ok(()) };
        if self.inner.metrics.health() == Health::Absent {
            plan.refusals.push(Refusal::new(Code::AnalysisWithoutMetrics).field("analysis"));
            return Ok(());
        }
        let observed = self.inner.metrics.observed(&look.snapshot, analysis.window_s).await.ok().flatten();
        let stable = observed.as_ref().and_then(|seen| seen.of(spec.stable.as_str()));
        if let Some(seen) = &observed {
            let now = seen.share(spec.candidate.version().as_str());
            plan.checks.extend(too_slow(spec, analysis, seen.rate(), now));
        }
        for (at, metric) in analysis.metrics.iter().enumerate() {
            let now = match metric {
                Metric::SuccessRate { .. } => {
                    stable.and_then(VersionTraffic::success).map(|share| share * 100.0)
                }
                Metric::Latency { quantile: 95, .. } => stable.and_then(|seen| seen.p95_ms),
                _ => None,
            };
            if let (Some(now), Some(limit)) = (now, metric.limit().absolute) {
                let worse = match metric {
                    Metric::SuccessRate { .. } => now < limit,
                    _ => now > limit,
                };
                if worse {
                    plan.checks.push(
                        Check::new(Severity::Info, Code::LimitBelowNow)
                            .arg("v", &spec.stable)
                            .arg("now", format!("{now:.1}"))
                            .arg("limit", limit),
                    );
                }
            }
            if let Metric::Custom { query, .. } = metric {
                let field = format!("analysis.metrics.{at}.query");
                let ask = Ask {
                    verb: "create",
                    group: "sluice.io",
                    resource: "promql",
                    namespace: None,
                    name: None,
                };
                let allowed = self.inner.cluster.allowed(&who.identity, ask).await;
                if !allowed.map_err(|error| error.refusal())? {
                    plan.refusals.push(Refusal::new(Code::PromqlForbidden).field(field));
                    continue;
                }
                if let Err(refusal) = self.try_query(&imagined(spec), query).await {
                    plan.refusals.push(refusal.field(field));
                }
            }
        }
        Ok(())
    }
}

/// The release that a wish would be.
fn imagined(spec: &Spec) -> Release {
    Release {
        id: ReleaseId(0),
        spec: spec.clone(),
        state: State { phase: Phase::Draft, ..State::new() },
        seq: 0,
        created_ms: 0,
        changed_ms: 0,
        started_ms: None,
        ended_ms: None,
        by: String::new(),
        reason: String::new(),
    }
}

/// The wish against the service as it stands.
fn against(spec: &Spec, look: &Look, plan: &mut ReleasePlan) {
    let refuse = |code: Code, field: &str| Refusal::new(code).field(field);
    let versions = &look.snapshot.versions;
    let candidate = spec.candidate.version();
    let source = source_of(&look.snapshot, &spec.stable);
    if let Err(refusal) = &source {
        plan.refusals.push(refusal.clone().field("stable"));
    }
    let there = versions.iter().any(|version| version.name == *candidate);
    match &spec.candidate {
        Candidate::Adopt { version } if !there => {
            plan.refusals.push(refuse(Code::UnknownVersion, "candidate.version").arg("v", version));
        }
        Candidate::Adopt { .. } => {}
        Candidate::Image { version, image, in_place, .. } => {
            // Two names of versions can make the same name of a workload: `V2` and `v2`.
            let made = source.as_ref().ok().filter(|_| !in_place && !version.as_str().is_empty());
            let made = made.map(|(_, source)| workload::name_of(&source.name, &spec.stable, version));
            let named = |made: &String| {
                versions.iter().any(|one| one.workloads.iter().any(|workload| *workload.name == **made))
            };
            if there || made.as_ref().is_some_and(named) {
                plan.refusals.push(refuse(Code::VersionTaken, "candidate.version").arg("v", version));
            }
            if let Ok((stable, source)) = &source {
                if *source.image == **image {
                    plan.refusals.push(refuse(Code::SameImage, "candidate.image").arg("image", image));
                }
                if *in_place {
                    if source.kind != WorkloadKind::StatefulSet {
                        plan.refusals
                            .push(refuse(Code::NotStateful, "candidate.in_place").arg("v", &spec.stable));
                    }
                } else {
                    // Pods of a copy that the service does not choose would never get a request.
                    let key = super::workloads::key_of(stable);
                    if look.snapshot.service.selector.contains_key(key) {
                        plan.refusals
                            .push(refuse(Code::NoLabel, "service").arg("v", version).arg("key", key));
                    }
                }
            }
            let tag = image.rsplit('/').next().is_some_and(|name| !name.contains('@'));
            if tag && !image.is_empty() {
                plan.checks.push(Check::new(Severity::Info, Code::ImageTag).arg("image", image));
            }
        }
    }
    if spec.strategy == Strategy::Replicas {
        if look.snapshot.service.deleting {
            let object = format!("Service {}", spec.service);
            plan.refusals.push(refuse(Code::Deleting, "service").arg("object", object));
        }
        let total: u32 = versions.iter().map(|version| version.total).sum();
        let step = spec.steps.iter().find_map(|step| match step {
            Step::Replicas { candidate, stable } => Some((*candidate, stable.unwrap_or(total))),
            _ => None,
        });
        if let Some((n, beside)) = step.filter(|_| !spec.candidate.is_in_place()) {
            let all = n.saturating_add(beside).max(1);
            plan.checks.push(
                Check::new(Severity::Info, Code::NoMesh)
                    .arg("n", n)
                    .arg("all", all)
                    .arg("percent", n * 100 / all)
                    .arg("cost", 100),
            );
        }
        return;
    }
    // Without a label of its own, what is meant for the stable version would reach the candidate too.
    if let Ok((stable, _)) = &source
        && stable.subset_labels.is_empty()
    {
        plan.refusals.push(refuse(Code::NoLabel, "stable").arg("v", &spec.stable));
    }
    for finding in barriers(&look.routing.findings) {
        plan.refusals.push(Refusal {
            code: finding.code,
            args: finding.args.clone(),
            field: Some("service".to_owned()),
            checks: Vec::new(),
        });
    }
    for (version, weight) in look.routing.declared().unwrap_or_default() {
        if weight > 0 && version != spec.stable && version != *candidate {
            plan.refusals.push(refuse(Code::ThirdVersion, "stable").arg("v", version).arg("n", weight));
        }
    }
    // A canary that was begun by hand is taken over where it is: its first step must not take it back.
    let has = look.routing.declared().unwrap_or_default();
    let has = has.iter().find(|(version, _)| version == candidate).map_or(0, |(_, weight)| *weight);
    let first = spec.steps.iter().enumerate().find_map(|(at, step)| match step {
        Step::Weight { percent } => Some((at, *percent)),
        _ => None,
    });
    if let Some((at, percent)) = first.filter(|(_, percent)| *percent < has) {
        let refusal = Refusal::new(Code::StepBelowNow).field(format!("steps.{at}.percent"));
        plan.refusals.push(refusal.arg("v", candidate).arg("n", percent).arg("now", has));
    }
}

fn shares(spec: &Spec) -> Vec<(u64, u8)> {
    let mut at = 0_u64;
    let mut out = vec![(0, 0)];
    for step in &spec.steps {
        match step {
            Step::Weight { percent } => out.push((at, *percent)),
            Step::Replicas { candidate, stable: Some(stable) } if spec.strategy == Strategy::Replicas => {
                let all = candidate.saturating_add(*stable).max(1);
                out.push((at, u8::try_from(u64::from(*candidate) * 100 / u64::from(all)).unwrap_or(100)));
            }
            Step::Hold { seconds } => at = at.saturating_add(*seconds),
            Step::Analysis { passes } => {
                let interval = spec.analysis.as_ref().map_or(0, |analysis| analysis.interval_s);
                at = at.saturating_add(u64::from(*passes) * u64::from(interval));
            }
            _ => {}
        }
    }
    // The last hold is held, too: the release ends after it.
    let last = out.last().copied().unwrap_or_default();
    if at > last.0 {
        out.push((at, last.1));
    }
    out
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_last_hold_is_a_part_of_the_plan() {
        let hold = json!({"kind": "hold", "seconds": 5});
        let weight = |percent: u8| json!({"kind": "weight", "percent": percent});
        let of = |steps: serde_json::Value| {
            let spec = json!({
                "service": {"namespace": "shop", "name": "cart"}, "strategy": "canary", "stable": "v1",
                "candidate": {"from": "adopt", "version": "v2"}, "steps": steps,
            });
            shares(&serde_json::from_value(spec).unwrap())
        };
        let shown = of(json!([weight(10), hold, weight(50), hold, weight(100), hold]));
        assert_eq!(shown, [(0, 0), (0, 10), (5, 50), (10, 100), (15, 100)]);
        assert_eq!(of(json!([weight(10), hold, weight(100)])), [(0, 0), (0, 10), (5, 100)]);
    }
}
