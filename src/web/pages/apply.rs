//! Making a change from a page: the same use case as the API's, once for every form that was rendered.

use std::time::Duration;

use axum::extract::State;
use axum::response::{IntoResponse, Redirect, Response};

use super::draft::Draft;
use super::service::Visit;
use crate::domain::ids::{Revision, ServiceRef, VersionName};
use crate::domain::overview::Refused;
use crate::domain::refusal::{Code, Refusal};
use crate::services::ask::ChangeAsk;
use crate::services::once::Once;
use crate::views::query::{Address, service_path};
use crate::web::api::changes::permit;
use crate::web::api::extract::{At, request_hash};
use crate::web::auth::Who;
use crate::web::auth::form::Form;
use crate::web::caller::Caller;
use crate::web::error::Failure;
use crate::web::site::App;

/// How long a second press waits for the first one's answer.
const PATIENCE: Duration = Duration::from_secs(25);

/// `POST …/traffic/apply`.
pub async fn apply(
    State(app): State<App>,
    who: Who,
    caller: Caller,
    At(at): At,
    form: Form,
) -> Result<Response, Failure> {
    let visit = Visit { app, who, caller, at };
    let item = visit.app.services.overview(&visit.who.actor, &visit.at, 60).await?;
    let draft = Draft::read(&form, &item);
    let wish = match draft.wish.clone() {
        Ok(wish) => wish,
        Err(refusal) => return Box::pin(visit.refused(draft, refusal.into())).await,
    };
    let ask = ChangeAsk {
        service: visit.at.clone(),
        wish,
        expected: draft.base,
        reason: draft.typed.reason.clone(),
        ack: draft.ack.clone(),
        request_id: visit.caller.request_id.to_string(),
        preview_id: draft.preview_id.clone(),
    };
    match make(&visit, &form, ask).await {
        Ok(revision) => Ok(done(&visit.at, revision)),
        Err(refused) => Box::pin(visit.refused(draft, *refused)).await,
    }
}

/// Makes the change; a form that is sent a second time gets the first answer.
pub async fn make(visit: &Visit, form: &Form, ask: ChangeAsk) -> Result<Revision, Box<Refused>> {
    let (app, who) = (&visit.app, &visit.who);
    permit(app, who, &ask.wish).map_err(boxed)?;
    let key = form.text("request_id");
    if key.is_empty() {
        return app.services.apply(&who.actor, ask).await.map(|applied| applied.revision).map_err(Box::new);
    }
    let fields: Vec<&(String, String)> = form.0.iter().filter(|(name, _)| name != "csrf").collect();
    let path = visit.caller.here.split('?').next().unwrap_or_default();
    let hash = request_hash("POST", path, ask.expected, format!("{fields:?}").as_bytes());
    let ticket = match begin(&visit.app, &visit.who, key, &hash).await.map_err(boxed)? {
        Once::Fresh(ticket) => ticket,
        Once::Replay { body, .. } => {
            return body.parse().map_err(|_| boxed(Refusal::new(Code::PreviewMismatch)));
        }
    };
    let (app, who) = (app.clone(), who.clone());
    // Goes on when the browser does not wait, so that a second press finds the answer.
    let task = tokio::spawn(async move {
        let answer = app.services.apply(&who.actor, ask).await;
        let (status, body) = match &answer {
            Ok(applied) => (200, applied.revision.to_string()),
            // Not kept: what was refused may be asked again.
            Err(_) => (500, String::new()),
        };
        if let Err(refusal) = app.services.finish_once(ticket, status, &body).await {
            tracing::warn!(%refusal, "the answer to a form was not kept");
        }
        answer
    });
    match task.await {
        Ok(answer) => answer.map(|applied| applied.revision).map_err(Box::new),
        Err(error) => {
            tracing::error!(%error, "a change ended abnormally");
            Err(boxed(Refusal::new(Code::OutcomeUnknown)))
        }
    }
}

/// Begins a form's request; waits while the same one is still under way.
pub async fn begin(app: &App, who: &Who, key: &str, hash: &str) -> Result<Once, Refusal> {
    let until = tokio::time::Instant::now() + PATIENCE;
    loop {
        match app.services.begin_once(&who.actor, key, hash).await {
            // The first press is still under way: its answer is the answer.
            Err(refusal) if refusal.code == Code::Conflict && tokio::time::Instant::now() < until => {
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
            answer => return answer,
        }
    }
}

fn boxed(refusal: Refusal) -> Box<Refused> {
    Box::new(refusal.into())
}

/// To the service's page, which says that the version was retired.
pub fn retired(at: &ServiceRef, version: &VersionName) -> Response {
    let path = service_path(at.namespace.as_str(), &at.name);
    Redirect::to(&Address::new(path).with("retired", version).to_string()).into_response()
}

/// To the service's page, which says that the change was written.
pub fn done(at: &ServiceRef, revision: Revision) -> Response {
    let path = service_path(at.namespace.as_str(), &at.name);
    Redirect::to(&Address::new(path).with("applied", revision).to_string()).into_response()
}
