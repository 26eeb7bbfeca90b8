//! Who is there: bearer tokens (each call) and browser sessions (one token, then a cookie).
//!
//! The cluster says who a token belongs to. The token itself is never stored; of the cookie only a hash is.

use std::sync::Arc;

use crate::domain::actor::{Actor, Channel, Identity};
use crate::domain::audit::{Action, Details, Ending, Intent, Outcome};
use crate::domain::refusal::{Code, Refusal};
use crate::store::{Revise, Session};

use super::Services;
use super::once::unavailable;

/// A session that has just begun.
#[derive(Clone)]
pub struct NewSession {
    /// What the cookie holds; kept nowhere else.
    pub secret: String,
    pub session: Session,
}

impl Services {
    /// The bearer of a Kubernetes token, by TokenReview. Refuses with `bad_token`.
    pub async fn identify(&self, token: &str) -> Result<Arc<Identity>, Refusal> {
        let sane = (1..=16_384).contains(&token.len()) && token.bytes().all(|b| b.is_ascii_graphic());
        if !sane {
            return Err(Refusal::new(Code::BadToken));
        }
        let found = self.inner.cluster.review_token(token).await.map_err(|error| error.refusal())?;
        found.map(Arc::new).ok_or_else(|| Refusal::new(Code::BadToken))
    }

    /// Begins a browser session for a token's bearer. How often it may be tried the caller decides.
    pub async fn sign_in(
        &self,
        token: &str,
        address: Option<String>,
        request_id: &str,
    ) -> Result<NewSession, Refusal> {
        let identity = self.identify(token.trim()).await.map_err(|refusal| refusal.field("token"))?;
        let new = self.inner.store.begin_session(&identity).await.map_err(unavailable)?;
        let actor = Actor { identity, channel: Channel::Browser, address };
        self.record_visit(&actor, Action::SignIn, request_id).await?;
        Ok(NewSession { secret: new.secret, session: new.session })
    }

    /// The session that a cookie names; `None` when it is unknown or over. Prolongs its idle time.
    pub async fn session(&self, cookie: &str) -> Result<Option<Session>, Refusal> {
        self.inner.store.session(cookie).await.map_err(unavailable)
    }

    /// Ends a session at once.
    pub async fn sign_out(&self, who: &Actor, cookie: &str, request_id: &str) -> Result<(), Refusal> {
        self.inner.store.end_session(cookie).await.map_err(unavailable)?;
        self.record_visit(who, Action::SignOut, request_id).await
    }

    async fn record_visit(&self, who: &Actor, action: Action, request_id: &str) -> Result<(), Refusal> {
        let now = self.inner.clock.now_ms();
        let intent = Intent {
            change: uuid::Uuid::now_v7().to_string(),
            at_ms: now,
            service: None,
            actor: who.identity.user.clone(),
            groups: who.identity.groups.clone(),
            channel: who.channel,
            address: who.address.clone(),
            action,
            reason: String::new(),
            request_id: request_id.to_owned(),
            details: Details::default(),
        };
        let outcome =
            Outcome { at_ms: now, ending: Ending::Applied, revision: None, details: Details::default() };
        self.inner.store.single(&intent, &outcome, Revise::Keep).await.map_err(unavailable)?;
        Ok(())
    }
}
