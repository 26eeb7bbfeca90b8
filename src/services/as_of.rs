//! What was in force at a moment: split, rules, mirror and objects of a service, from the history alone. The
//! service need not exist any more.

use crate::domain::actor::Actor;
use crate::domain::as_of::AsOf;
use crate::domain::audit::Ending;
use crate::domain::ids::ServiceRef;
use crate::domain::refusal::Refusal;
use crate::domain::routing::{Mirror, Rule};
use crate::routing;

use super::Services;
use super::access::not_found;
use super::once::unavailable;

impl Services {
    /// How the service was routed at a moment. A service of which nothing was recorded is not found unless it
    /// exists, and neither is one whose history the person may not read.
    pub async fn as_of(&self, who: &Actor, at: &ServiceRef, at_ms: i64) -> Result<AsOf, Refusal> {
        let readable = self.readable_history(&who.identity).await?;
        if readable.is_some_and(|namespaces| !namespaces.contains(&at.namespace)) {
            return Err(not_found(at));
        }
        let store = &self.inner.store;
        let (made, ended) = store.in_force(at, at_ms).await.map_err(unavailable)?;
        let snapshot = self.inner.cache.snapshot(at);
        if made.is_none() && ended.is_none() && snapshot.is_none() {
            return Err(not_found(at));
        }
        let revision = made.as_ref().and_then(|entry| entry.outcome.as_ref()?.revision).unwrap_or(0);
        let weights = store.weights_at(at, revision).await.map_err(unavailable)?;
        // Objects that failed to be written are none that were in force.
        let specs = match &made {
            Some(entry)
                if entry.outcome.as_ref().is_some_and(|outcome| outcome.ending == Ending::Unknown) =>
            {
                None
            }
            _ => store.specs_at(at, revision).await.map_err(unavailable)?,
        };
        let mut objects = Vec::new();
        let named: Vec<_> = specs.iter().flatten().map(|(object, _)| object.clone()).collect();
        let unread = self.unread_with(&who.identity, at, &named).await;
        for (object, spec) in specs.iter().flatten() {
            let shown = self.may_get(&who.identity, object).await;
            let name = unread.as_ref().map_or_else(|| object.clone(), |unread| unread.object(object));
            objects.push((name, shown.then(|| spec.clone())));
        }
        let rest = snapshot.zip(specs).map(|(snapshot, specs)| {
            let then = routing::read_specs(&snapshot, &specs);
            let hidden = objects.iter().any(|(_, spec)| spec.is_none());
            let (mut rules, mut mirror) = (then.rules, then.mirror);
            if hidden {
                rules.iter_mut().for_each(Rule::hide);
                mirror.iter_mut().for_each(Mirror::hide);
            }
            (rules, mirror)
        });
        let made = match made {
            Some(entry) => Some(self.shown(&who.identity, entry).await),
            None => None,
        };
        let ended = match ended {
            Some(entry) => Some(self.shown(&who.identity, entry).await),
            None => None,
        };
        Ok(AsOf { service: at.clone(), at_ms, revision, weights, rest, objects, made, ended })
    }
}
