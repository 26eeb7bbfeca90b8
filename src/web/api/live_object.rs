//! A routing object of a service as it is in the cluster, through the API.

use axum::extract::State;
use axum::response::Response;
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use super::extract::{At, ObjectAt, Query};
use super::words::{Name, ObjectKind, ObjectName};
use crate::domain::live_object::{ByUs, LiveObject};
use crate::web::auth::Who;
use crate::web::error::Failure;
use crate::web::respond;
use crate::web::site::App;

/// A routing object as it is now.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct RoutingObject {
    #[schema(value_type = String, example = "VirtualService")]
    pub kind: &'static str,
    pub namespace: String,
    pub name: String,
    /// Sluice created it.
    pub created_by_sluice: bool,
    /// The revision of the service that created it; null where the audit history does not say.
    #[schema(required = true)]
    pub created_at_revision: Option<u64>,
    /// Sluice has written it.
    pub changed_by_sluice: bool,
    /// The latest revision of the service that wrote it; null where the audit history does not say.
    #[schema(required = true)]
    pub changed_at_revision: Option<u64>,
    /// The whole object, without `metadata.managedFields`.
    #[schema(value_type = Object)]
    pub object: Value,
}

impl RoutingObject {
    fn of(live: LiveObject) -> Self {
        Self {
            kind: live.object.kind.as_str(),
            namespace: live.object.namespace.to_string(),
            name: live.object.name.to_string(),
            created_by_sluice: live.created != ByUs::No,
            created_at_revision: live.created.revision(),
            changed_by_sluice: live.changed != ByUs::No,
            changed_at_revision: live.changed.revision(),
            object: live.json,
        }
    }
}

/// A routing object of a service as it is in the cluster. Needs the right to `get` that object.
#[utoipa::path(
    get,
    path = "/api/v1/services/{namespace}/{name}/objects/{kind}/{object_namespace}/{object}",
    operation_id = "getRoutingObject",
    tag = "services",
    params(
        ("namespace" = inline(Name), Path, description = "The service's namespace.", example = "bookinfo"),
        ("name" = inline(Name), Path, description = "The service's name.", example = "reviews"),
        ("kind" = inline(ObjectKind), Path, description = "`VirtualService` or `DestinationRule`.", example = "VirtualService"),
        ("object_namespace" = inline(Name), Path, description = "The object's namespace.", example = "bookinfo"),
        ("object" = inline(ObjectName), Path, description = "The object's name.", example = "reviews"),
    ),
    responses((status = 200, description = "The object.", body = RoutingObject))
)]
pub async fn show(
    State(app): State<App>,
    who: Who,
    At(at): At,
    ObjectAt(object): ObjectAt,
    query: Query,
) -> Result<Response, Failure> {
    query.finish()?;
    let live = app.services.live_object(&who.actor, &at, &object).await?;
    Ok(respond::json(&RoutingObject::of(live)))
}
