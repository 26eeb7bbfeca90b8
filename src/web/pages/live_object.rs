//! `GET /services/{namespace}/{name}/objects/{kind}/{object_namespace}/{object}`: the live YAML of a routing object.

use axum::extract::State;
use axum::response::Response;

use super::service::Visit;
use crate::views::live_object::{ObjectCard, ObjectPage};
use crate::views::query::service_path;
use crate::web::api::extract::{At, ObjectAt};
use crate::web::auth::Who;
use crate::web::caller::{Caller, Door};
use crate::web::error::Failure;
use crate::web::respond;
use crate::web::site::App;

/// The dialog, or the page.
pub async fn show(
    State(app): State<App>,
    who: Who,
    caller: Caller,
    At(at): At,
    ObjectAt(object): ObjectAt,
) -> Result<Response, Failure> {
    let visit = Visit { app, who, caller, at };
    let (services, lang) = (&visit.app.services, visit.caller.lang());
    let live = services.live_object(&visit.who.actor, &visit.at, &object).await?;
    let path = service_path(visit.at.namespace.as_str(), &visit.at.name);
    let card = ObjectCard::of(lang, &live, path);
    if visit.caller.door == Door::Fragment {
        return Ok(respond::html(&card));
    }
    let detail = services.detail(&visit.who.actor, &visit.at, 60).await?;
    let (namespace, service) = (visit.at.namespace.to_string(), visit.at.name.to_string());
    Ok(respond::html(&ObjectPage { chrome: visit.chrome(&detail, 60, None), namespace, service, card }))
}
