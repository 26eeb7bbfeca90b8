//! The API's description: the OpenAPI document, and our own rendering of it.

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::{HeaderValue, header};

use crate::views::api_docs::ApiPage;
use crate::views::chrome::Nav;
use crate::web::auth::Who;
use crate::web::caller::Caller;
use crate::web::chrome::chrome;
use crate::web::respond;
use crate::web::site::App;

/// `GET /api/openapi.json`. Open to everybody: it says nothing about this cluster.
pub async fn document(State(app): State<App>) -> Response {
    let kind = [(header::CONTENT_TYPE, HeaderValue::from_static("application/json"))];
    (kind, app.document.to_string()).into_response()
}

/// `GET /api/docs`.
pub async fn page(State(app): State<App>, who: Who, caller: Caller) -> Response {
    let chrome = chrome(&app, &caller, Some(&who), Nav::Api, "");
    respond::html(&ApiPage::of(chrome, &app.document))
}
