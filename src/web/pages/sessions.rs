//! `/sessions`: one's own sessions, everybody's for people with the right, and the forms that end them.

use axum::extract::State;
use axum::response::{IntoResponse, Redirect, Response};

use crate::views::chrome::Nav;
use crate::views::sessions::SessionsPage;
use crate::web::api::extract::{Query, SessionId, owners};
use crate::web::auth::form::Form;
use crate::web::auth::{Who, go_with, session};
use crate::web::caller::Caller;
use crate::web::chrome::chrome;
use crate::web::error::Failure;
use crate::web::events::topic::Topic;
use crate::web::respond;
use crate::web::site::App;

/// Sessions on a page.
const ROWS: u32 = 50;

/// `GET /sessions?scope=&user=&cursor=`.
pub async fn list(
    State(app): State<App>,
    who: Who,
    caller: Caller,
    mut query: Query,
) -> Result<Response, Failure> {
    let (owners, cursor) = (owners(&mut query)?, query.take("cursor"));
    let page = app.services.sessions(&who.actor, &owners, cursor.as_deref(), ROWS).await?;
    let chrome = chrome(&app, &caller, Some(&who), Nav::Nowhere, &Topic::Notices.to_string());
    Ok(respond::html(&SessionsPage::of(chrome, &owners, &page, who.session.as_deref())))
}

/// `POST /sessions/{id}/revoke`.
pub async fn revoke(
    State(app): State<App>,
    who: Who,
    caller: Caller,
    SessionId(id): SessionId,
    form: Form,
) -> Result<Response, Failure> {
    let ended = app.services.revoke_session(&who.actor, &id, form.text("reason"), &caller.request_id).await?;
    Ok(after(&app, who.session.as_deref() == Some(ended.id.as_str())))
}

/// `POST /sessions/revoke`: field `user`.
pub async fn revoke_all(
    State(app): State<App>,
    who: Who,
    caller: Caller,
    form: Form,
) -> Result<Response, Failure> {
    let user = form.text("user");
    app.services.revoke_sessions(&who.actor, user, form.text("reason"), &caller.request_id).await?;
    Ok(after(&app, who.session.is_some() && user == who.actor.identity.user))
}

/// Back to the list, or to the sign-in page after the end of the own session.
fn after(app: &App, own: bool) -> Response {
    if own { go_with(session::end(app), "/login") } else { Redirect::to("/sessions").into_response() }
}
