//! What is to be known about the next write of a release: the checks that a change by hand of the same kind has.

use crate::domain::actor::Actor;
use crate::domain::refusal::{Check, Code, Refusal, Severity};
use crate::domain::release::state::Aim;
use crate::domain::release::{Release, ReleaseId, Step, Strategy, Word};
use crate::services::Services;
use crate::services::ask::Wish;

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
        let checks = decided.map(|decided| decided.checks).unwrap_or_default();
        Ok(checks.into_iter().filter(is_told).collect())
    }
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
    let share = match word {
        Word::PromoteAll => 100,
        Word::Promote => match release.next_step()? {
            Step::Weight { percent } => (*percent).min(100),
            Step::Rules { when } => return Some(Aim { when: when.clone(), ..state.aim.clone() }),
            Step::Mirror { percent } => {
                return Some(Aim { mirror: (*percent).min(100), ..state.aim.clone() });
            }
            _ => return None,
        },
        _ => return None,
    };
    Some(Aim { percent: share, ..state.aim.clone() })
}
