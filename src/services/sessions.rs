//! Sessions as people see them: one's own, and everybody's for whoever has the right; ended one by one or all of a
//! person. Live streams hear of the end at once.
//!
//! The right is Kubernetes' own RBAC, as for the history: `list` and `delete` of `sessions.sluice.io`, cluster-wide.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::broadcast;
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use crate::cluster::Ask;
use crate::domain::actor::{Actor, Channel, Identity};
use crate::domain::audit::{Action, SessionRecord};
use crate::domain::refusal::{Code, Refusal};
use crate::domain::session::{Owners, Session, SessionPage};
use crate::store::{Revise, Sessions};

use super::Services;
use super::access::OWN_GROUP;
use super::change::check_reason;
use super::once::unavailable;
use super::sign_in::session_rows;

/// How often it is looked for sessions that `sluice sessions revoke` ended, and for minutes that are over.
const LOOK: Duration = Duration::from_secs(1);

impl Services {
    /// Sessions that are not over: one's own (`user` = `None`), a person's, or everybody's.
    pub async fn sessions(
        &self,
        who: &Actor,
        of: &Owners,
        cursor: Option<&str>,
        most: u32,
    ) -> Result<SessionPage, Refusal> {
        let may_list_all = self.session_right(&who.identity, "list").await?;
        let which = match of {
            Owners::Own => Sessions::Of(who.identity.user.clone()),
            Owners::Person(user) => Sessions::Of(user.clone()),
            Owners::Everybody => Sessions::All,
        };
        if !may_list_all && which != Sessions::Of(who.identity.user.clone()) {
            return Err(lacking(who, "list"));
        }
        let after = cursor.map(cursor_of).transpose()?;
        let after = after.as_ref().map(|(created_ms, id)| (*created_ms, id.as_str()));
        let found = self.inner.store.sessions(&which, after, most.saturating_add(1)).await;
        let mut items = found.map_err(unavailable)?;
        let more = items.len() > usize::try_from(most).unwrap_or(usize::MAX);
        items.truncate(usize::try_from(most).unwrap_or(usize::MAX));
        let next = items.last().filter(|_| more).map(|last| format!("{}-{}", last.created_ms, last.id));
        let may_revoke_all = self.session_right(&who.identity, "delete").await?;
        Ok(SessionPage { items, next, may_list_all, may_revoke_all })
    }

    /// Ends one session: one's own, or anybody's with the right. The same answer for one that is not there and
    /// for one that the person may not know of.
    pub async fn revoke_session(
        &self,
        who: &Actor,
        id: &str,
        reason: &str,
        request_id: &str,
    ) -> Result<Session, Refusal> {
        let reason = check_reason(reason, false)?;
        let all = self.session_right(&who.identity, "delete").await?;
        let user = Some(who.identity.user.clone()).filter(|_| !all);
        let which = Sessions::One { id: id.to_owned(), user };
        let ended = self.end_sessions(who, which, &reason, request_id).await?;
        ended.into_iter().next().ok_or_else(|| Refusal::new(Code::SessionNotFound).arg("id", id))
    }

    /// Ends every session of a person: one's own, or anybody's with the right. Returns how many.
    pub async fn revoke_sessions(
        &self,
        who: &Actor,
        user: &str,
        reason: &str,
        request_id: &str,
    ) -> Result<usize, Refusal> {
        let reason = check_reason(reason, false)?;
        if user != who.identity.user && !self.session_right(&who.identity, "delete").await? {
            return Err(lacking(who, "delete"));
        }
        let which = Sessions::Of(user.to_owned());
        Ok(self.end_sessions(who, which, &reason, request_id).await?.len())
    }

    async fn end_sessions(
        &self,
        who: &Actor,
        which: Sessions,
        reason: &str,
        request_id: &str,
    ) -> Result<Vec<Session>, Refusal> {
        let ended = self.inner.store.end_sessions(which).await.map_err(unavailable)?;
        self.announce_ended(&ended);
        let now = self.inner.clock.now_ms();
        let row = |session: &Session| {
            let record = SessionRecord { id: session.id.clone(), user: session.identity.user.clone() };
            tracing::info!(
                by = who.identity.user,
                user = record.user,
                session = record.id,
                "a session was revoked"
            );
            let (intent, outcome) = session_rows(who, Action::RevokeSession, record, reason, request_id, now);
            (intent, outcome, Revise::Keep)
        };
        let rows: Vec<_> = ended.iter().map(row).collect();
        if !rows.is_empty() {
            self.inner.store.singles(rows).await.map_err(unavailable)?;
        }
        Ok(ended)
    }

    /// Whether the person may do that with everybody's sessions.
    async fn session_right(&self, who: &Identity, verb: &'static str) -> Result<bool, Refusal> {
        let ask = Ask { verb, group: OWN_GROUP, resource: "sessions", namespace: None, name: None };
        self.inner.cluster.allowed(who, ask).await.map_err(|error| error.refusal())
    }

    /// The ids of sessions, as they end.
    pub fn session_ends(&self) -> broadcast::Receiver<Arc<str>> {
        self.inner.session_ends.subscribe()
    }

    /// Tells the streams of these sessions. No receiver is no error.
    pub(super) fn announce_ended(&self, ended: &[Session]) {
        for session in ended {
            let _ = self.inner.session_ends.send(session.id.as_str().into());
        }
    }

    /// Gives what `sluice sessions revoke` did its rows in the history, and ends the streams.
    async fn take_revocations(&self) -> Result<(), Refusal> {
        let found = self.inner.store.revocations().await.map_err(unavailable)?;
        if found.is_empty() {
            return Ok(());
        }
        let mut rows = Vec::with_capacity(found.len());
        for one in &found {
            tracing::info!(
                by = one.by,
                user = one.user,
                session = one.session,
                "a session was revoked by command"
            );
            let identity = Identity {
                user: one.by.clone(),
                uid: String::new(),
                groups: Vec::new(),
                unrestricted: false,
            };
            let who = Actor { identity: Arc::new(identity), channel: Channel::Command, address: None };
            let record = SessionRecord { id: one.session.clone(), user: one.user.clone() };
            let (intent, outcome) =
                session_rows(&who, Action::RevokeSession, record, &one.reason, "", one.at_ms);
            rows.push((one.id, intent, outcome));
        }
        self.inner.store.record_revocations(rows).await.map_err(unavailable)?;
        for one in &found {
            let _ = self.inner.session_ends.send(one.session.as_str().into());
        }
        Ok(())
    }
}

/// Reads the cursor of a page: when the last session before it began, and its id.
fn cursor_of(text: &str) -> Result<(i64, String), Refusal> {
    let parts = text.split_once('-').and_then(|(at, id)| Some((at.parse().ok()?, id.to_owned())));
    parts.ok_or_else(|| Refusal::new(Code::BadCursor).field("cursor"))
}

fn lacking(who: &Actor, verb: &str) -> Refusal {
    Refusal::new(Code::SessionsForbidden).arg("verb", verb).arg("who", &who.identity.user)
}

/// Follows what the command did to the file, and writes the counts of refused tokens and attempts, until `stop`.
pub(super) async fn follow(services: Services, stop: CancellationToken) {
    let mut tick = interval(LOOK);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _ = tick.tick() => {}
            () = stop.cancelled() => return,
        }
        if let Err(refusal) = services.take_revocations().await {
            tracing::warn!(%refusal, "sessions that were revoked by command are not in the history yet");
        }
        services.flush_refused_tokens(false).await;
        services.flush_refused_attempts(false).await;
    }
}
