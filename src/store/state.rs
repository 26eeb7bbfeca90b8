//! The state of each service after its last recorded change: revision, fingerprint, weights, who and how.
//! A small mutable table, written in the transaction of the entry that it follows from.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use serde::{Deserialize, Serialize};
use sqlx::sqlite::SqliteRow;
use sqlx::{Row, SqliteConnection};

use crate::domain::{
    actor::Channel,
    audit::{Action, Ending, Intent, Outcome},
    ids::{Revision, ServiceRef},
    progress::Steps,
    routing::Weights,
};

use super::{Revise, Store, StoreError, row};

/// The state of a service as the history knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServiceState {
    pub revision: Revision,
    /// Of the routing objects at this revision; `None` while only attempts that changed nothing are known.
    pub fingerprint: Option<String>,
    /// The declared weights at this revision, where the entry says them.
    pub weights: Option<Weights>,
    /// The latest entry that changed the service, tried to and failed, or saw it changed from outside.
    /// Refusals do not count.
    pub at_ms: i64,
    pub by: String,
    pub channel: Channel,
    pub action: Action,
    pub ending: Ending,
    pub entry: i64,
    /// How the change went that made this revision, when it was made here.
    pub steps: Option<Steps>,
}

/// More states than this are not kept in memory.
const MOST: usize = 16_384;

/// The states that were read since the last write.
#[derive(Default)]
pub(super) struct Kept(Mutex<Read>);

#[derive(Default)]
struct Read {
    generation: u64,
    states: HashMap<ServiceRef, Option<Arc<ServiceState>>>,
}

impl Kept {
    /// All of these, when nothing was written since they were read.
    fn all(&self, generation: u64, services: &[ServiceRef]) -> Option<Vec<Option<Arc<ServiceState>>>> {
        let read = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // What was read at a later generation is good, too.
        if read.generation < generation {
            return None;
        }
        services.iter().map(|at| read.states.get(at).cloned()).collect()
    }

    /// Keeps what was read after `generation` was looked up.
    fn keep(&self, generation: u64, services: &[ServiceRef], states: &[Option<Arc<ServiceState>>]) {
        let mut read = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if read.generation > generation {
            return;
        }
        if read.generation < generation || read.states.len() + services.len() > MOST {
            *read = Read { generation, ..Read::default() };
        }
        read.states.extend(services.iter().cloned().zip(states.iter().cloned()));
    }
}

#[derive(Serialize, Deserialize)]
struct Last {
    at_ms: i64,
    by: String,
    channel: Channel,
    action: Action,
    ending: Ending,
    entry: i64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    steps: Option<Steps>,
}

impl Store {
    /// Keeps when requests were first seen to follow a revision. Nothing changes when another revision was made
    /// since, or when it was seen before.
    pub async fn seen(&self, service: &ServiceRef, revision: Revision, at_ms: i64) -> Result<(), StoreError> {
        let service = service.clone();
        self.write(move |db| {
            Box::pin(async move {
                let Some(mut state) = of(db, &service).await?.filter(|state| state.revision == revision)
                else {
                    return Ok(());
                };
                match &mut state.steps {
                    Some(steps) if steps.seen_ms.is_none() => steps.seen_ms = Some(at_ms),
                    _ => return Ok(()),
                }
                put(db, &service, &state).await
            })
        })
        .await
    }

    /// How a service stands; `None` when nothing was ever recorded of it.
    pub async fn revision(&self, service: &ServiceRef) -> Result<Option<ServiceState>, StoreError> {
        let mut db = self.inner.readers.acquire().await?;
        of(&mut db, service).await
    }

    /// How these services stand, in their order. Read again only after something was written.
    pub async fn states_of(
        &self,
        services: &[ServiceRef],
    ) -> Result<Vec<Option<Arc<ServiceState>>>, StoreError> {
        let generation = self.generation();
        if let Some(known) = self.inner.states.all(generation, services) {
            return Ok(known);
        }
        let states = self.read_states(services).await?;
        self.inner.states.keep(generation, services, &states);
        Ok(states)
    }

    async fn read_states(
        &self,
        services: &[ServiceRef],
    ) -> Result<Vec<Option<Arc<ServiceState>>>, StoreError> {
        let names: Vec<String> = services.iter().map(ToString::to_string).collect();
        let rows = sqlx::query(
            "SELECT s.service, s.revision, s.fingerprint, s.weights, s.last
             FROM json_each(?1) j CROSS JOIN service_state s ON s.service = j.value",
        )
        .bind(serde_json::to_string(&names)?)
        .fetch_all(&self.inner.readers)
        .await?;
        let mut found = HashMap::with_capacity(rows.len());
        for row in &rows {
            found.insert(row.try_get::<String, _>(0)?, Arc::new(read_or_bare(row)?));
        }
        Ok(names.iter().map(|name| found.get(name).cloned()).collect())
    }

    /// How every service stands of which something was recorded.
    pub async fn states(&self) -> Result<Vec<(ServiceRef, ServiceState)>, StoreError> {
        let rows = sqlx::query("SELECT service, revision, fingerprint, weights, last FROM service_state")
            .fetch_all(&self.inner.readers)
            .await?;
        let mut out = Vec::with_capacity(rows.len());
        for row in &rows {
            let name: String = row.try_get(0)?;
            if let Some((namespace, name)) = name.split_once('/') {
                out.push((ServiceRef::new(namespace, name), read_or_bare(row)?));
            }
        }
        Ok(out)
    }
}

pub(super) async fn of(
    db: &mut SqliteConnection,
    service: &ServiceRef,
) -> Result<Option<ServiceState>, StoreError> {
    let found = sqlx::query(
        "SELECT service, revision, fingerprint, weights, last FROM service_state WHERE service = ?1",
    )
    .bind(service.to_string())
    .fetch_optional(db)
    .await?;
    found.as_ref().map(read_or_bare).transpose()
}

/// A state whose words cannot be read still has its revision, and its service can be changed: only who changed it
/// last is not known.
fn read_or_bare(found: &SqliteRow) -> Result<ServiceState, StoreError> {
    match read(found) {
        Err(StoreError::Unreadable { why, .. }) => {
            let service: String = found.try_get(0)?;
            tracing::warn!(service, why, "the last change of a service cannot be read");
            let revision: i64 = found.try_get(1)?;
            Ok(ServiceState {
                revision: revision.cast_unsigned(),
                fingerprint: found.try_get(2)?,
                weights: None,
                at_ms: 0,
                by: String::new(),
                channel: Channel::Automatic,
                action: Action::SetTraffic,
                ending: Ending::Unknown,
                entry: 0,
                steps: None,
            })
        }
        other => other,
    }
}

pub(super) fn read(found: &SqliteRow) -> Result<ServiceState, StoreError> {
    let revision: i64 = found.try_get(1)?;
    let fingerprint: Option<String> = found.try_get(2)?;
    let weights: Option<String> = found.try_get(3)?;
    let last: String = found.try_get(4)?;
    let last: Last = serde_json::from_str(&last).map_err(|error| row::unreadable(0, error))?;
    let weights = weights.as_deref().map(serde_json::from_str).transpose();
    Ok(ServiceState {
        revision: revision.cast_unsigned(),
        fingerprint,
        weights: weights.map_err(|error| row::unreadable(last.entry, error))?,
        at_ms: last.at_ms,
        by: last.by,
        channel: last.channel,
        action: last.action,
        ending: last.ending,
        entry: last.entry,
        steps: last.steps,
    })
}

/// The state after an entry; `None` = as before.
pub(super) fn after(
    before: Option<ServiceState>,
    intent: &Intent,
    outcome: &Outcome,
    entry: i64,
    revise: &Revise,
) -> Option<ServiceState> {
    let change = matches!(
        intent.action,
        Action::SetTraffic | Action::TakeOver | Action::SwitchBack | Action::OutsideEdit
    );
    let revised = matches!(revise, Revise::Next { .. });
    // Pods of a release change who gets requests where no route says it. They make no revision, and what is wrong with
    // the routing stays known.
    let is_well =
        |state: &ServiceState| state.ending == Ending::Applied && state.action != Action::OutsideEdit;
    let scaled = intent.action == Action::Workload
        && outcome.ending == Ending::Applied
        && before.as_ref().is_none_or(is_well);
    if !revised && !scaled && (!change || outcome.ending == Ending::Refused) {
        return None;
    }
    let (revision, fingerprint, weights, steps) = match (revise, before) {
        (Revise::Next { fingerprint }, _) => {
            let weights = weights_after(intent, outcome);
            let steps = Steps::of(intent, outcome);
            (outcome.revision.unwrap_or(0), Some(fingerprint.clone()), weights, steps)
        }
        (Revise::Keep, Some(before)) => (before.revision, before.fingerprint, before.weights, before.steps),
        (Revise::Keep, None) => (0, None, None, None),
    };
    Some(ServiceState {
        revision,
        fingerprint,
        weights,
        at_ms: outcome.at_ms,
        by: intent.actor.clone(),
        channel: intent.channel,
        action: intent.action,
        ending: outcome.ending,
        entry,
        steps,
    })
}

/// The weights that an entry leaves behind: as the outcome says, else as was meant if that was done.
pub(super) fn weights_after(intent: &Intent, outcome: &Outcome) -> Option<Weights> {
    let meant = matches!(outcome.ending, Ending::Applied | Ending::Outside);
    let planned = intent.details.after.as_ref().filter(|_| meant);
    outcome.details.after.as_ref().or(planned).cloned()
}

pub(super) async fn put(
    db: &mut SqliteConnection,
    service: &ServiceRef,
    state: &ServiceState,
) -> Result<(), StoreError> {
    let last = Last {
        at_ms: state.at_ms,
        by: state.by.clone(),
        channel: state.channel,
        action: state.action,
        ending: state.ending,
        entry: state.entry,
        steps: state.steps.clone(),
    };
    sqlx::query(
        "INSERT INTO service_state (service, revision, fingerprint, weights, last) VALUES (?1, ?2, ?3, ?4, ?5)
         ON CONFLICT (service) DO UPDATE SET revision = excluded.revision,
             fingerprint = excluded.fingerprint, weights = excluded.weights, last = excluded.last",
    )
    .bind(service.to_string())
    .bind(state.revision.cast_signed())
    .bind(&state.fingerprint)
    .bind(state.weights.as_ref().map(serde_json::to_string).transpose()?)
    .bind(serde_json::to_string(&last)?)
    .execute(db)
    .await?;
    Ok(())
}
