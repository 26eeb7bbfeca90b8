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
    /// `ok`, or `starting` while the first lists are not in.
    pub status: &'static str,
    /// What it waits for, or what is wrong although it goes on.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub notices: Vec<Check>,
}

/// `GET /healthz`: the process answers. Says nothing about the cluster: restarting would not mend that.
pub async fn alive() -> Response {
    respond::json(&Health { status: "ok", notices: Vec::new() })
}

/// `GET /readyz`: 200 as soon as every watch has its first list, 503 before, with what is missing.
pub async fn ready(State(app): State<App>, caller: Caller) -> Response {
    let told = |notices: &[crate::domain::refusal::Check]| {
        notices.iter().map(|notice| Check::of(caller.lang(), notice)).collect()
    };
    match app.services.ready() {
        Ok(()) => respond::json(&Health { status: "ok", notices: Vec::new() }),
        Err(notices) => {
            let mut response = respond::json(&Health { status: "starting", notices: told(&notices) });
            *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
            response
        }
    }
}
