//! The history: read it, export it, add a reason to it. Nothing here can change or remove an entry.

use futures::{Stream, StreamExt};

use crate::domain::actor::Actor;
use crate::domain::audit::{Action, Details, Ending, Entry, Filter, Intent, Outcome};
use crate::domain::refusal::{Code, Refusal};
use crate::store::Revise;
pub use crate::store::{Count, Damage, Loaded};

use super::Services;
use super::change::check_reason;
use super::once::unavailable;

/// Some entries, newest first.
#[derive(Clone, Debug)]
pub struct Page {
    pub items: Vec<Entry>,
    /// Rows that belong here and cannot be read.
    pub damaged: Vec<i64>,
    /// The cursor of the entries after these; `None` at the end.
    pub next: Option<String>,
}

/// Entries that began within this time of their neighbour are shown by when they began, milliseconds.
const NEIGHBOURS_MS: u64 = 60_000;

/// Rows are written when something ends and show when it began, so neighbours can be out of order. A clock that was set
/// back moves nothing: only neighbours in time change places.
fn by_time(mut items: Vec<Entry>) -> Vec<Entry> {
    let near = |a: &Entry, b: &Entry| a.intent.at_ms.abs_diff(b.intent.at_ms) <= NEIGHBOURS_MS;
    for run in items.chunk_by_mut(near) {
        run.sort_by_key(|entry| std::cmp::Reverse((entry.intent.at_ms, entry.id)));
    }
    items
}

impl Services {
    /// Entries that match and that the person may read, newest first. `limit` is 1..=500.
    pub async fn entries(
        &self,
        who: &Actor,
        filter: &Filter,
        cursor: Option<&str>,
        limit: usize,
    ) -> Result<Page, Refusal> {
        let filter = self.readable(who, filter).await?;
        let page = self.inner.store.entries(&filter, cursor, limit.clamp(1, 500)).await;
        let page = page.map_err(|error| error.cursor_refusal().unwrap_or_else(|| unavailable(error)))?;
        let mut items = Vec::with_capacity(page.items.len());
        for entry in by_time(page.items) {
            items.push(self.shown(&who.identity, entry).await);
        }
        Ok(Page { items, damaged: page.damaged, next: page.next })
    }

    /// One entry. One that the person may not read is not found.
    pub async fn entry(&self, who: &Actor, id: i64) -> Result<Entry, Refusal> {
        let missing = || Refusal::new(Code::EntryNotFound).arg("id", id);
        let entry = self.inner.store.entry(id).await.map_err(unavailable)?.ok_or_else(missing)?;
        let own = entry.intent.actor == who.identity.user;
        let readable = match (self.readable_history(&who.identity).await?, &entry.intent.service) {
            (None, _) => true,
            (Some(namespaces), Some(service)) => namespaces.contains(&service.namespace),
            (Some(_), None) => own,
        };
        if readable { Ok(self.shown(&who.identity, entry).await) } else { Err(missing()) }
    }

    /// How many entries match, as far as it is cheap to say.
    pub async fn count(&self, who: &Actor, filter: &Filter) -> Result<Count, Refusal> {
        let filter = self.readable(who, filter).await?;
        self.inner.store.count(&filter).await.map_err(unavailable)
    }

    /// Everybody who stands in the history as an actor, for the filter's menu.
    pub async fn people(&self, who: &Actor) -> Result<Vec<String>, Refusal> {
        if self.readable_history(&who.identity).await?.is_some() {
            // Names of strangers are not for everybody: offer the person's own.
            return Ok(vec![who.identity.user.clone()]);
        }
        self.inner.store.actors().await.map_err(unavailable)
    }

    /// All matching entries, newest first, read in portions while they are sent. A row that cannot be read is
    /// named in its place.
    pub async fn export(
        &self,
        who: &Actor,
        filter: &Filter,
    ) -> Result<impl Stream<Item = Result<Loaded, Refusal>> + Send + use<>, Refusal> {
        let filter = self.readable(who, filter).await?;
        let (this, who) = (self.clone(), who.identity.clone());
        Ok(self.inner.store.export(filter).then(move |entry| {
            let (this, who) = (this.clone(), who.clone());
            async move {
                match entry {
                    Ok(Ok(entry)) => Ok(Ok(this.shown(&who, entry).await)),
                    Ok(Err(damage)) => Ok(Err(damage)),
                    Err(error) => Err(unavailable(error)),
                }
            }
        }))
    }

    /// Adds a reason to an entry that the person may read and that is theirs: an entry of its own.
    pub async fn add_reason(
        &self,
        who: &Actor,
        id: i64,
        reason: &str,
        request_id: &str,
    ) -> Result<Entry, Refusal> {
        let about = self.entry(who, id).await?;
        let reason = check_reason(reason, true)?;
        if about.intent.actor != who.identity.user && !who.identity.unrestricted {
            return Err(Refusal::new(Code::Forbidden)
                .arg("svc", about.intent.service.as_ref().map(ToString::to_string).unwrap_or_default())
                .arg("ns", "")
                .arg("verb", "add")
                .arg("resource", "reason")
                .arg("who", &who.identity.user));
        }
        let now = self.inner.clock.now_ms();
        let intent = Intent {
            change: uuid::Uuid::now_v7().to_string(),
            at_ms: now,
            service: about.intent.service.clone(),
            actor: who.identity.user.clone(),
            groups: who.identity.groups.clone(),
            channel: who.channel,
            address: who.address.clone(),
            action: Action::AddReason,
            reason,
            request_id: request_id.to_owned(),
            details: Details { about: Some(id), ..Details::default() },
        };
        let outcome =
            Outcome { at_ms: now, ending: Ending::Applied, revision: None, details: Details::default() };
        self.inner.store.single(&intent, &outcome, Revise::Keep).await.map_err(unavailable)
    }

    async fn readable(&self, who: &Actor, filter: &Filter) -> Result<Filter, Refusal> {
        let mut filter = filter.clone();
        filter.namespaces = self.readable_history(&who.identity).await?;
        if filter.namespaces.is_some() {
            filter.own = Some(who.identity.user.clone());
        }
        Ok(filter)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn entry(id: i64, at_ms: i64) -> Entry {
        let intent = json!({
            "change": "c", "at_ms": at_ms, "service": null, "actor": "amy", "groups": [], "channel": "api",
            "address": null, "action": "sign_in", "reason": "", "request_id": "", "details": {},
        });
        Entry { id, intent: serde_json::from_value(intent).unwrap(), outcome: None }
    }

    #[test]
    fn entries_of_neighbouring_seconds_are_in_order_and_a_clock_that_was_set_back_moves_nothing() {
        let ids = |entries: &[(i64, i64)]| {
            let entries = entries.iter().map(|(id, at)| entry(*id, *at)).collect();
            by_time(entries).into_iter().map(|entry| entry.id).collect::<Vec<_>>()
        };
        assert_eq!(ids(&[(4, 5_000), (3, 6_000), (2, 6_000), (1, 4_000)]), [3, 2, 4, 1]);
        assert_eq!(ids(&[(2, 1_000), (1, 3_600_000)]), [2, 1], "the clock was set back by an hour");
    }
}
