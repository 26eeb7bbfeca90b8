//! Edits of the routing from outside while a release moves it: what was last written from here, beside
//! what is there now. The page and the API show it as long as the release stands still because of it; nothing
//! is decided on it.

use serde_json::Value;

use crate::domain::actor::Actor;
use crate::domain::audit::{Ending, Entry, Filter};
use crate::domain::ids::{ObjectRef, Revision, ServiceRef};
use crate::domain::overview::Difference;
use crate::domain::refusal::Refusal;
use crate::domain::release::{PauseReason, Phase, Release, Strategy};
use crate::routing;
use crate::services::Services;
use crate::services::once::unavailable;

/// So many entries are looked through for the last one that was written from here.
const LOOK_BACK: usize = 200;

impl Services {
    /// The difference that a release stands still because of; `None` when it does not. The caller has made sure
    /// that the person may see the release. Both sides come from the history: what was seen last is there with
    /// its row, and a page costs no read of the cluster.
    pub async fn difference(&self, who: &Actor, release: &Release) -> Result<Option<Difference>, Refusal> {
        let state = &release.state;
        // Without a mesh no routing object is compared: the pause itself says which pods changed.
        let by_pods = release.spec.strategy == Strategy::Replicas;
        // The same where its new version was changed.
        let detailed = state.paused.as_ref().is_some_and(|paused| paused.detail.is_some());
        if by_pods
            || detailed
            || state.phase != Phase::Paused
            || state.pause_reason() != Some(PauseReason::Drift)
        {
            return Ok(None);
        }
        let at = release.at();
        let filter = Filter { service: Some(at.clone()), ..Filter::default() };
        let page = self.inner.store.entries(&filter, None, LOOK_BACK).await.map_err(unavailable)?;
        // Only through an object that it shares with others can the service be changed while the release moves it.
        let is_ours =
            |entry: &Entry| entry.intent.details.release.as_ref().is_some_and(|mark| mark.id == release.id);
        let revision = |entry: &Entry| entry.outcome.as_ref().and_then(|outcome| outcome.revision);
        let foreign = |entry: &&Entry| !is_ours(entry) && (is_outside(entry) || revision(entry).is_some());
        let Some(seen) = page.items.iter().find(foreign) else { return Ok(None) };
        let ours = page.items.iter().filter(|entry| !foreign(entry)).find_map(revision);
        let now = page.items.iter().find_map(revision);
        let now = self.specs(at, now).await?;
        let before = self.specs(at, ours).await?;
        let mut diffs = Vec::new();
        for (object, spec) in &before {
            let is = now.iter().find(|(other, _)| other == object).map(|(_, spec)| spec);
            diffs.push((object.clone(), routing::diff::specs(Some(spec), is)));
        }
        for (object, spec) in &now {
            if !before.iter().any(|(other, _)| other == object) {
                diffs.push((object.clone(), routing::diff::specs(None, Some(spec))));
            }
        }
        diffs.retain(|(_, lines)| !lines.is_empty());
        let diffs = self.shown_diffs(&who.identity, at, diffs).await;
        let mut by = seen.intent.details.managers.clone();
        if !is_outside(seen) {
            by = vec![seen.intent.actor.clone()];
        }
        Ok(Some(Difference { entry: seen.id, at_ms: seen.intent.at_ms, by, diffs }))
    }

    /// The routing objects at a revision; nothing where the history does not know.
    async fn specs(
        &self,
        at: &ServiceRef,
        revision: Option<Revision>,
    ) -> Result<Vec<(ObjectRef, Value)>, Refusal> {
        let Some(revision) = revision else { return Ok(Vec::new()) };
        let specs = self.inner.store.specs_at(at, revision).await.map_err(unavailable)?;
        Ok(specs.unwrap_or_default())
    }
}

fn is_outside(entry: &Entry) -> bool {
    entry.outcome.as_ref().is_some_and(|outcome| outcome.ending == Ending::Outside)
}
