//! What is to be known about the next write of a release: the checks that a change by hand of the same kind has.

use crate::domain::actor::Actor;
use crate::domain::ids::VersionName;
use crate::domain::refusal::{Check, Code, Refusal, Severity};
use crate::domain::release::state::Aim;
use crate::domain::release::{Release, ReleaseId, Strategy, Word};
use crate::domain::routing::Rule;
use crate::services::Services;
use crate::services::ask::Wish;
use crate::services::change::Look;

use super::traffic::change_of;

impl Services {
    /// Checks on what this command leads to at once; empty where it moves no share, or where it cannot be planned now.
    pub async fn checks_ahead(&self, who: &Actor, id: ReleaseId, word: Word) -> Result<Vec<Check>, Refusal> {
        let held = self.held_release(who, id).await?;
        let release = &held.release;
        let Some(aim) = aim_of(release, word) else { return Ok(Vec::new()) };
        let look = self.known_look(&who.identity, self.look(release.at(), false).await?).await?;
        let Ok(change) = change_of(release, &aim, &look) else { return Ok(Vec::new()) };
        let decided = self.decide(who, release.at(), &Wish::Set(change), &look, "preview").await;
        let Ok(decided) = decided else { return Ok(Vec::new()) };
        let rules = rules_keep(&decided.planned.effect.rules_after, &release.spec.stable);
        let carried = |check: &Check| check.code == Code::FewPods && has_carried(release, &look, &aim);
        let told = decided.checks.into_iter().filter(|check| is_told(check) && !carried(check));
        Ok(rules.into_iter().chain(told).collect())
    }
}

/// True when each pod of the new version gets no more than each pod of the old version had in this release, before the new
/// version had anything. Known where the release made the new version, and the old one still has its pods.
fn has_carried(release: &Release, look: &Look, aim: &Aim) -> bool {
    let (spec, state) = (&release.spec, &release.state);
    if !spec.candidate.is_made() || state.stable_lowered {
        return false;
    }
    let weights = look.routing.declared().unwrap_or_default();
    let share = |version: &VersionName| {
        weights.iter().find(|(name, _)| name == version).map_or(0, |(_, share)| u32::from(*share))
    };
    let ready = |version: &VersionName| {
        let mut versions = look.snapshot.versions.iter();
        versions.find(|known| known.name == *version).map_or(0, |known| known.ready)
    };
    let candidate = spec.candidate.version();
    let (pods, now) = (ready(&spec.stable), ready(candidate));
    let had = share(&spec.stable) + share(candidate);
    pods > 0 && now > 0 && u64::from(aim.percent) * u64::from(pods) <= u64::from(had) * u64::from(now)
}

/// Match rules that send to the old version whatever the shares are; `None` = there are none.
pub(super) fn rules_keep(rules: &[Rule], stable: &VersionName) -> Option<Check> {
    let sends = |rule: &Rule| rule.to.iter().any(|(version, weight)| version == stable && *weight > 0);
    let places: Vec<String> = rules
        .iter()
        .enumerate()
        .filter(|(_, rule)| sends(rule))
        .map(|(at, _)| (at + 1).to_string())
        .collect();
    let check = Check::new(Severity::Info, Code::RulesKeep).arg("v", stable);
    (!places.is_empty()).then(|| check.arg("list", places.join(", ")))
}

/// What the question itself says (how far it goes), what its box asks (the analysis), and what is in order is left out.
fn is_told(check: &Check) -> bool {
    let said = [Code::BigJump, Code::Unhealthy, Code::NoMetrics, Code::CreatesObjects];
    check.severity != Severity::Ok && !said.contains(&check.code)
}

/// The traffic that a command leads to.
fn aim_of(release: &Release, word: Word) -> Option<Aim> {
    let state = &release.state;
    if release.spec.strategy == Strategy::Replicas || state.phase.is_before() || !state.may(word) {
        return None;
    }
    match word {
        Word::PromoteAll => Some(Aim { percent: 100, ..state.aim.clone() }),
        Word::Promote => state.aim.after(release.next_step()?),
        _ => None,
    }
}
