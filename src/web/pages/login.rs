//! `/login` and `/logout`: a Kubernetes token becomes a browser session, and ends.

use axum::extract::{RawQuery, Request, State};
use axum::response::{IntoResponse, Redirect, Response};
use bytes::Bytes;
use http::request::Parts;
use http::{HeaderValue, header};
use url::form_urlencoded;

use crate::domain::refusal::{Code, Refusal};
use crate::views::chrome::Nav;
use crate::views::login::LoginPage;
use crate::web::auth::csrf::{self, Sender};
use crate::web::auth::{Who, agent, form, go_with, session};
use crate::web::caller::Caller;
use crate::web::chrome::chrome;
use crate::web::error::Failure;
use crate::web::local::local;
use crate::web::respond;
use crate::web::site::App;

/// Where people go who came from nowhere.
const HOME: &str = "/services";

/// `GET /login?next=`.
pub async fn show(
    State(app): State<App>,
    caller: Caller,
    RawQuery(query): RawQuery,
    request: Request,
) -> Response {
    let query = query.unwrap_or_default();
    let of = |name: &str| {
        form_urlencoded::parse(query.as_bytes()).find(|(key, _)| key == name).map(|(_, value)| value)
    };
    let ended = of("ended").is_some();
    let next = of("next");
    let next = next.as_deref().and_then(local).unwrap_or(HOME).to_owned();
    let (parts, _) = request.into_parts();
    let known = session::find(&app, &caller, &parts.headers, crate::domain::actor::Channel::Browser).await;
    if app.is_open() || known.is_ok_and(|who| who.is_some()) {
        return Redirect::to(&next).into_response();
    }
    let page = LoginPage::of(chrome(&app, &caller, None, Nav::Nowhere, ""), &next, None);
    says_origin(respond::html(&page.ended(ended)))
}

/// `POST /login`: fields `token` and `next`.
pub async fn enter(
    State(app): State<App>,
    caller: Caller,
    parts: Parts,
    bytes: Bytes,
) -> Result<Response, Failure> {
    // There is no session yet whose token could be asked for; the browser's own word must do.
    if app.is_open() || matches!(csrf::sender(&parts, &app), Sender::Foreign | Sender::Hidden) {
        return Err(Code::Csrf.into());
    }
    let form = form::fields(&parts, &bytes)?;
    let next = local(form.text("next")).unwrap_or(HOME);
    let address = caller.address.map(|address| super::super::listen::network(address).to_string());
    let token = form.text("token").trim();
    if token.is_empty() {
        let refusal = Refusal::new(Code::BadToken).field("token");
        return Ok(form_page(&app, &caller, next, Some(&refusal)));
    }
    let agent = agent::kind(&parts.headers);
    let signing_in = app.services.sign_in(token, address, &agent, &caller.request_id);
    match app.guesses.judge(&caller, token, app.clock.now_ms(), signing_in).await {
        Ok(new) => Ok(go_with(session::begin(&app, &new.secret), next)),
        Err(refusal) => Ok(form_page(&app, &caller, next, Some(&refusal))),
    }
}

/// `POST /logout`.
pub async fn leave(State(app): State<App>, who: Who, caller: Caller) -> Result<Response, Failure> {
    if let Some(session) = &who.session {
        app.services.sign_out(&who.actor, session, &caller.request_id).await?;
    }
    Ok(go_with(session::end(&app), "/login"))
}

fn form_page(app: &App, caller: &Caller, next: &str, refusal: Option<&Refusal>) -> Response {
    let chrome = chrome(app, caller, None, Nav::Nowhere, "");
    let status = refusal.map_or(200, |refusal| refusal.code.status());
    says_origin(respond::html_with(status, &LoginPage::of(chrome, next, refusal)))
}

/// Lets the browser say where the form comes from. The policy of the other pages makes it hide that on plain HTTP
/// (`Origin: null`, Fetch standard "append a request Origin header"), and what is hidden is refused here.
fn says_origin(mut page: Response) -> Response {
    page.headers_mut().insert(header::REFERRER_POLICY, HeaderValue::from_static("same-origin"));
    page
}
