//! Sessions through the API: list, end one, end all of a person.

use axum::extract::State;
use axum::response::Response;
use serde::Serialize;
use utoipa::ToSchema;

use super::extract::{Query, SessionId, bad_query, owners};
use super::values::moment;
use super::words::{SessionName, SessionScope};
use crate::domain::session::{Session as Known, SessionPage};
use crate::web::auth::Who;
use crate::web::caller::Caller;
use crate::web::error::Failure;
use crate::web::respond;
use crate::web::site::App;

/// A browser session. The value of its cookie is never returned.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Session {
    #[schema(example = "3f2a9c0d1b7e4455")]
    pub id: String,
    pub user: String,
    /// As the cluster last returned them.
    pub groups: Vec<String>,
    #[schema(format = "date-time")]
    pub created_at: String,
    #[schema(format = "date-time")]
    pub last_used_at: String,
    /// At the latest; earlier when it is not used for 30 minutes, or when its token is no longer accepted.
    #[schema(format = "date-time")]
    pub ends_at: String,
    /// When the cluster last accepted its token.
    #[schema(format = "date-time")]
    pub checked_at: String,
    #[schema(required = true)]
    pub address: Option<String>,
    /// The kind of browser that began it; empty when it is not known.
    #[schema(example = "Firefox, Linux")]
    pub agent: String,
    /// Through what it was last used: `browser` or `api`.
    #[schema(value_type = String, example = "browser")]
    pub channel: &'static str,
    /// The one that this call came with.
    pub current: bool,
}

/// A page of sessions.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Sessions {
    pub items: Vec<Session>,
    /// The `cursor` of the next page; null at the end.
    #[schema(required = true)]
    pub next: Option<String>,
}

/// How many sessions were ended.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Revoked {
    pub revoked: usize,
}

/// Sessions that are not over, the one that began last first: your own, or with the right to `list` `sessions.sluice.io` a person's or everybody's.
#[utoipa::path(
    get,
    path = "/api/v1/sessions",
    operation_id = "listSessions",
    tag = "sessions",
    params(
        ("scope" = inline(Option<SessionScope>), Query, description = "`own` (default) or `all`."),
        ("user" = Option<String>, Query, description = "Of this person only."),
        ("limit" = Option<i32>, Query, description = "Sessions on a page.", minimum = 1, maximum = 500),
        ("cursor" = Option<String>, Query, description = "`next` of the page before."),
    ),
    responses((status = 200, description = "A page of sessions.", body = Sessions))
)]
pub async fn list(State(app): State<App>, who: Who, mut query: Query) -> Result<Response, Failure> {
    let (owners, cursor) = (owners(&mut query)?, query.take("cursor"));
    let limit = u32::try_from(query.limit()?).unwrap_or(u32::MAX);
    query.finish()?;
    let page = app.services.sessions(&who.actor, &owners, cursor.as_deref(), limit).await?;
    Ok(respond::json(&Sessions::of(page, who.session.as_deref())))
}

/// Ends one session at once: your own, or with the right to `delete` `sessions.sluice.io` anybody's.
#[utoipa::path(
    delete,
    path = "/api/v1/sessions/{session}",
    operation_id = "revokeSession",
    tag = "sessions",
    params(
        ("session" = inline(SessionName), Path, description = "The session's id."),
        ("reason" = Option<String>, Query, description = "Kept in the history."),
    ),
    responses((status = 200, description = "It is over.", body = Revoked))
)]
pub async fn revoke(
    State(app): State<App>,
    who: Who,
    caller: Caller,
    SessionId(id): SessionId,
    mut query: Query,
) -> Result<Response, Failure> {
    let reason = query.take("reason").unwrap_or_default();
    query.finish()?;
    app.services.revoke_session(&who.actor, &id, &reason, &caller.request_id).await?;
    Ok(respond::json(&Revoked { revoked: 1 }))
}

/// Ends all sessions of a person: your own, or with the right to `delete` `sessions.sluice.io` anybody's.
#[utoipa::path(
    delete,
    path = "/api/v1/sessions",
    operation_id = "revokeSessions",
    tag = "sessions",
    params(
        ("user" = String, Query, description = "Whose."),
        ("reason" = Option<String>, Query, description = "Kept in the history."),
    ),
    responses((status = 200, description = "They are over.", body = Revoked))
)]
pub async fn revoke_all(
    State(app): State<App>,
    who: Who,
    caller: Caller,
    mut query: Query,
) -> Result<Response, Failure> {
    let user = query.take("user").ok_or_else(|| bad_query("user", "the name of a person is expected"))?;
    let reason = query.take("reason").unwrap_or_default();
    query.finish()?;
    let revoked = app.services.revoke_sessions(&who.actor, &user, &reason, &caller.request_id).await?;
    Ok(respond::json(&Revoked { revoked }))
}

impl Sessions {
    fn of(page: SessionPage, current: Option<&str>) -> Self {
        let items = page.items.iter().map(|session| Session::of(session, current)).collect();
        Self { items, next: page.next }
    }
}

impl Session {
    fn of(session: &Known, current: Option<&str>) -> Self {
        Self {
            id: session.id.clone(),
            user: session.identity.user.clone(),
            groups: session.identity.groups.clone(),
            created_at: moment(session.created_ms),
            last_used_at: moment(session.seen_ms),
            ends_at: moment(session.ends_ms),
            checked_at: moment(session.checked_ms),
            address: session.address.clone(),
            agent: session.agent.clone(),
            channel: session.channel.as_str(),
            current: current == Some(session.id.as_str()),
        }
    }
}
