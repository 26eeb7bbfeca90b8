//! Idempotency keys: a write that is sent again with its `Idempotency-Key` gets the first answer again.

use crate::domain::actor::Actor;
use crate::domain::refusal::{Code, Refusal};
use crate::store::{Begin, StoreError};

use super::Services;

/// What is to be done with a request that carries a key.
#[derive(Debug)]
pub enum Once {
    /// Not seen before: do it, then call [`Services::finish_once`] with this.
    Fresh(Ticket),
    /// Seen and answered: give the same answer.
    Replay { status: u16, body: String },
}

/// The right (and duty) to store the answer of one keyed request.
#[derive(Debug)]
pub struct Ticket {
    who: String,
    key: String,
}

impl Services {
    /// Begins a keyed request. `hash` names method, path and body: the same key with another request is
    /// refused (`idempotency_mismatch`), one that is still under way too (`conflict`).
    pub async fn begin_once(&self, who: &Actor, key: &str, hash: &str) -> Result<Once, Refusal> {
        let good = (1..=128).contains(&key.len()) && key.bytes().all(|b| b.is_ascii_graphic());
        if !good {
            return Err(Refusal::new(Code::BadIdempotencyKey).field("Idempotency-Key"));
        }
        let user = who.identity.user.clone();
        match self.inner.store.begin_once(&user, key, hash).await.map_err(unavailable)? {
            Begin::Fresh => Ok(Once::Fresh(Ticket { who: user, key: key.to_owned() })),
            Begin::Replay { status, body } => Ok(Once::Replay { status, body }),
            Begin::Mismatch => Err(Refusal::new(Code::IdempotencyMismatch).field("Idempotency-Key")),
            Begin::InProgress => Err(Refusal::new(Code::Conflict).field("Idempotency-Key")),
        }
    }

    /// Stores the answer of a keyed request, so that it can be given again for 24 hours. Answers of the
    /// 5xx family are not kept: the same request may be tried again.
    pub async fn finish_once(&self, ticket: Ticket, status: u16, body: &str) -> Result<(), Refusal> {
        let kept = (status < 500).then_some((status, body));
        self.inner.store.finish_once(&ticket.who, &ticket.key, kept).await.map_err(unavailable)
    }
}

/// The store's troubles, as the outside sees them. Logged here once.
pub(super) fn unavailable(error: StoreError) -> Refusal {
    if let StoreError::CannotWrite { .. } = &error {
        // Logged by the store, once for as long as it lasts.
        tracing::debug!(%error, "refused");
    } else {
        tracing::error!(%error, "the history cannot be read or written");
    }
    error.refusal()
}
