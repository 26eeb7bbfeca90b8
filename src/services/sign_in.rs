//! Authentication: bearer tokens (each call) and browser sessions (one token, then a cookie).
//!
//! The cluster says who a token belongs to, and is asked about the token of a session as long as the session is
//! used: a person who is deleted, or whose token is over, is out within a minute. The token is stored only as the
//! session's cookie seals it (`store::seal`); of the cookie only a hash is.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::domain::actor::{Actor, BearerToken, Channel, Identity};
use crate::domain::audit::{Action, Details, Ending, Intent, Outcome, SessionRecord};
use crate::domain::refusal::{Code, Refusal};
use crate::domain::session::Session;
use crate::store::{NewSession, OpenSession, Revise, Sessions, SignIn};

use super::Services;
use super::once::unavailable;
use super::refused_tokens::Attempt;

/// "Last used" is written at most this often.
const TOUCH_MS: i64 = 60 * 1000;
/// So long a session is believed while the API server cannot be asked about its token.
const BELIEVED_MS: i64 = 5 * 60 * 1000;

/// More people than this are not remembered.
const MOST: usize = 16_384;

/// Everybody who showed a token, with the identity that the cluster last returned.
#[derive(Default)]
pub(super) struct Identities(Mutex<HashMap<String, Arc<Identity>>>);

impl Identities {
    fn remember(&self, identity: &Arc<Identity>) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if all.get(&identity.user) == Some(identity) {
            return;
        }
        if all.len() >= MOST {
            all.clear();
        }
        all.insert(identity.user.clone(), identity.clone());
    }

    fn get(&self, user: &str) -> Option<Arc<Identity>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(user).cloned()
    }
}

impl Services {
    /// The bearer of a Kubernetes token, by TokenReview. Refuses with `bad_token`.
    pub async fn identify(&self, token: &str) -> Result<Arc<Identity>, Refusal> {
        let sane = (1..=16_384).contains(&token.len()) && token.bytes().all(|b| b.is_ascii_graphic());
        if !sane {
            return Err(Refusal::new(Code::BadToken));
        }
        let found = self.inner.cluster.review_token(token).await.map_err(|error| error.refusal())?;
        let identity = found.map(Arc::new).ok_or_else(|| Refusal::new(Code::BadToken))?;
        self.inner.identities.remember(&identity);
        Ok(identity)
    }

    /// An identity as the cluster last returned it: the same person with the groups of now, where they showed a token
    /// since.
    pub(super) fn present_identity(&self, known: &Identity) -> Identity {
        let latest = self.inner.identities.get(&known.user).filter(|latest| latest.uid == known.uid);
        latest.map_or_else(|| known.clone(), |latest| Identity::clone(&latest))
    }

    /// The same for a call with a bearer token; a token that is not accepted is logged and counted in the history.
    pub async fn identify_caller(
        &self,
        token: &str,
        address: Option<&str>,
    ) -> Result<Arc<Identity>, Refusal> {
        let found = self.identify(token).await;
        if found.as_ref().is_err_and(|refusal| refusal.code == Code::BadToken) {
            self.token_refused(Attempt::Bearer, address.unwrap_or_default()).await;
        }
        found
    }

    /// Begins a browser session for a token's bearer. How often it may be tried the caller decides. `agent` is the
    /// kind of browser.
    pub async fn sign_in(
        &self,
        token: &str,
        address: Option<String>,
        agent: &str,
        request_id: &str,
    ) -> Result<NewSession, Refusal> {
        let from = address.clone().unwrap_or_default();
        let token = token.trim();
        let identity = match self.identify(token).await {
            Ok(identity) => identity,
            Err(refusal) => {
                if refusal.code == Code::BadToken {
                    self.token_refused(Attempt::SignIn, &from).await;
                }
                return Err(refusal.field("token"));
            }
        };
        let begin = SignIn {
            identity: identity.clone(),
            token: BearerToken::new(token),
            address: address.clone(),
            agent: agent.to_owned(),
            token_ends_ms: expiry_ms(token),
        };
        let new = self.inner.store.begin_session(begin).await.map_err(unavailable)?;
        let actor = Actor { identity, channel: Channel::Browser, address };
        let record = SessionRecord { id: new.session.id.clone(), user: actor.identity.user.clone() };
        tracing::info!(user = record.user, session = record.id, address = from, "signed in");
        let row = session_rows(&actor, Action::SignIn, record, "", request_id, self.inner.clock.now_ms());
        self.inner.store.single(&row.0, &row.1, Revise::Keep).await.map_err(unavailable)?;
        Ok(new)
    }

    /// The session that a cookie names; `None` when it is unknown or over. Prolongs its idle time. Its token is
    /// reviewed (an answer counts for up to a minute): one that is not accepted ends the session, and groups are
    /// those of now. While the API server cannot be asked, the last answer counts for five minutes.
    pub async fn session(&self, cookie: &str, channel: Channel) -> Result<Option<Session>, Refusal> {
        let Some(open) = self.inner.store.session(cookie).await.map_err(unavailable)? else {
            return Ok(None);
        };
        let OpenSession { session, token } = open;
        let now = self.inner.clock.now_ms();
        let mut used = session.clone();
        match self.identify(token.reveal()).await {
            Ok(identity)
                if identity.user == session.identity.user && identity.uid == session.identity.uid =>
            {
                used.checked_ms = now;
                used.identity = identity;
            }
            Ok(_) => return self.end_refused(&session).await.map(|()| None),
            Err(refusal) if refusal.code == Code::BadToken => {
                return self.end_refused(&session).await.map(|()| None);
            }
            // A clock that went back makes everything old.
            Err(refusal) if !(0..BELIEVED_MS).contains(&(now - session.checked_ms)) => return Err(refusal),
            Err(refusal) => {
                tracing::debug!(session = session.id, %refusal, "the token of a session cannot be reviewed now");
            }
        }
        if now - session.seen_ms >= TOUCH_MS || used.identity != session.identity {
            used.seen_ms = now;
            used.channel = channel;
            if let Err(error) = self.inner.store.use_session(&used).await {
                // Signed-in people may go on reading while the disk is full.
                tracing::debug!(%error, "the last use of a session was not noted");
            }
        }
        Ok(Some(used))
    }

    /// Ends a session because the API server no longer accepts its token.
    async fn end_refused(&self, session: &Session) -> Result<(), Refusal> {
        let which = Sessions::One { id: session.id.clone(), user: None };
        let ended = self.inner.store.end_sessions(which).await.map_err(unavailable)?;
        // Of several requests at the same time one ends it.
        for session in &ended {
            let user = session.identity.user.clone();
            tracing::info!(user, session = session.id, "a session ended: its token is no longer accepted");
            let record = SessionRecord { id: session.id.clone(), user };
            let who = Actor {
                identity: session.identity.clone(),
                channel: Channel::Automatic,
                address: session.address.clone(),
            };
            let now = self.inner.clock.now_ms();
            let (intent, mut outcome) = session_rows(&who, Action::RevokeSession, record, "", "", now);
            outcome.details.refusal = Some(Refusal::new(Code::SessionTokenEnded));
            self.inner.store.single(&intent, &outcome, Revise::Keep).await.map_err(unavailable)?;
        }
        self.announce_ended(&ended);
        Ok(())
    }

    /// Ends a session at once.
    pub async fn sign_out(&self, who: &Actor, session: &str, request_id: &str) -> Result<(), Refusal> {
        let which = Sessions::One { id: session.to_owned(), user: Some(who.identity.user.clone()) };
        let ended = self.inner.store.end_sessions(which).await.map_err(unavailable)?;
        self.announce_ended(&ended);
        let record = SessionRecord { id: session.to_owned(), user: who.identity.user.clone() };
        tracing::info!(user = record.user, session = record.id, "signed out");
        let now = self.inner.clock.now_ms();
        let (intent, outcome) = session_rows(who, Action::SignOut, record, "", request_id, now);
        self.inner.store.single(&intent, &outcome, Revise::Keep).await.map_err(unavailable)?;
        Ok(())
    }
}

/// The row of the history about a session.
pub(super) fn session_rows(
    who: &Actor,
    action: Action,
    session: SessionRecord,
    reason: &str,
    request_id: &str,
    at_ms: i64,
) -> (Intent, Outcome) {
    let intent = Intent {
        change: uuid::Uuid::now_v7().to_string(),
        at_ms,
        service: None,
        actor: who.identity.user.clone(),
        groups: who.identity.groups.clone(),
        channel: who.channel,
        address: who.address.clone(),
        action,
        reason: reason.to_owned(),
        request_id: request_id.to_owned(),
        details: Details { session: Some(session), ..Details::default() },
    };
    let outcome = Outcome { at_ms, ending: Ending::Applied, revision: None, details: Details::default() };
    (intent, outcome)
}

/// When a token says that it ends (`exp` of a JSON Web Token, RFC 7519 §4.1.4), milliseconds since 1970. The API
/// server has verified the token; this can only make a session shorter.
fn expiry_ms(token: &str) -> Option<i64> {
    let mut parts = token.split('.');
    let (_, payload, _) = (parts.next()?, parts.next()?, parts.next()?);
    let payload = URL_SAFE_NO_PAD.decode(payload).ok()?;
    let claims: serde_json::Value = serde_json::from_slice(&payload).ok()?;
    claims["exp"].as_i64()?.checked_mul(1000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(payload: &str, expected: Option<i64>) {
        let token = format!("e30.{}.c2ln", URL_SAFE_NO_PAD.encode(payload));
        assert_eq!(expiry_ms(&token), expected, "{payload}");
    }

    #[test]
    fn a_token_says_when_it_ends() {
        check(r#"{"exp":1767326645,"sub":"amy"}"#, Some(1_767_326_645_000));
        check(r#"{"sub":"amy"}"#, None);
        check(r#"{"exp":"soon"}"#, None);
        check(r#"{"exp":9223372036854775807}"#, None);
        check("not JSON", None);
        assert_eq!(expiry_ms("opaque"), None);
        assert_eq!(expiry_ms("a.!!!.c"), None);
    }
}
