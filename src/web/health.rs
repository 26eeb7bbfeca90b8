//! Probes for the platform: alive, and ready to show what is true.

use axum::extract::State;
use axum::response::Response;
use http::StatusCode;
use serde::Serialize;
use utoipa::ToSchema;

use super::api::values::Check;
use super::caller::Caller;
use super::respond;
use super::site::App;

/// What a probe answers.
#[derive(Debug, Serialize, ToSchema)]
pub struct Health {
    /// `ok`; `starting` while the first lists are not in; `cannot_write` while the history takes nothing.
    pub status: &'static str,
    /// What it waits for, or what is wrong although it goes on.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub notices: Vec<Check>,
}

/// `GET /healthz`: the process answers. Says nothing about the cluster: restarting would not mend that.
pub async fn alive() -> Response {
    respond::json(&Health { status: "ok", notices: Vec::new() })
}

/// `GET /readyz`: 200 as soon as every watch has its first list and while the history can be written; else 503,
/// with what is missing.
pub async fn ready(State(app): State<App>, caller: Caller) -> Response {
    let told = |notices: &[crate::domain::refusal::Check]| {
        notices.iter().map(|notice| Check::of(caller.lang(), notice)).collect()
    };
    match app.services.ready() {
        // What is wrong although it goes on (a damaged row, no metrics) does not make it unready.
        Ok(()) => respond::json(&Health { status: "ok", notices: told(&app.services.notices()) }),
        Err(notices) => {
            let status = if app.services.has_started() { "cannot_write" } else { "starting" };
            let mut response = respond::json(&Health { status, notices: told(&notices) });
            *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
            response
        }
    }
}
