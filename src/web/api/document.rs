//! The OpenAPI document: what the handlers declare, and what all of them share (refusals, security, limits).
//!
//! The structs of request bodies stand here for the document only: bodies are read by `body`, which can
//! name the field and the code of everything that is wrong.

use axum::Router;
use serde::Serialize;

use utoipa::openapi::path::Operation;
use utoipa::openapi::schema::{ObjectBuilder, Type};
use utoipa::openapi::security::{
    ApiKey, ApiKeyValue, Http, HttpAuthScheme, SecurityRequirement, SecurityScheme,
};
use utoipa::openapi::{
    ContentBuilder, HeaderBuilder, InfoBuilder, OpenApi, OpenApiBuilder, Ref, RefOr, ResponseBuilder,
};
use utoipa::{PartialSchema, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::release_body::ConditionBody;
use super::shape::{Condition, Rule};
use super::values::Weights;
use super::{as_of, audit, changes, live_object, release_drafts, releases, services, sessions};
use crate::web::error::Problem;
use crate::web::site::App;

/// A change of traffic. What is left out stays as it is.
#[derive(ToSchema)]
pub struct TrafficBody {
    /// Percents by version; sum 100. Versions that are left out get 0.
    pub weights: Option<Weights>,
    /// The `id` of the route that is meant; null or left out = the default route.
    #[schema(nullable)]
    pub route: Option<String>,
    /// The whole list in its new order.
    #[schema(max_items = 50)]
    pub rules: Option<Vec<Rule>>,
    /// Null switches it off.
    #[schema(nullable)]
    pub mirror: Option<MirrorBody>,
    /// Kept in the history. Required when the change is made; a preview does not need it.
    #[schema(max_length = 2000, example = "canary looks good")]
    pub reason: Option<String>,
    /// Codes of checks that you accept.
    #[schema(max_items = 64, example = json!(["big_jump"]))]
    pub ack: Option<Vec<String>>,
}

/// Where copies shall go.
#[derive(ToSchema)]
pub struct MirrorBody {
    #[schema(example = "v2")]
    pub version: String,
    #[schema(exclusive_minimum = 0, maximum = 100, example = 10)]
    pub percent: f64,
}

/// All traffic to one version.
#[derive(ToSchema)]
pub struct TakeOverBody {
    #[schema(example = "v2")]
    pub version: String,
    /// Kept in the history.
    #[schema(min_length = 1, max_length = 2000, example = "v2 has proved itself")]
    pub reason: String,
    /// Codes of checks that you accept.
    #[schema(max_items = 64)]
    pub ack: Option<Vec<String>>,
}

/// A version without traffic goes: what the routing says of it, and its workloads.
#[derive(ToSchema)]
pub struct RetireBody {
    #[schema(example = "v1")]
    pub version: String,
    /// The service and the version, to confirm: `reviews v1`.
    #[schema(max_length = 512, example = "reviews v1")]
    pub confirm: String,
    /// Kept in the history.
    #[schema(min_length = 1, max_length = 2000, example = "v2 has replaced it")]
    pub reason: String,
    /// Codes of checks that you accept.
    #[schema(max_items = 64, example = json!(["still_answers"]))]
    pub ack: Option<Vec<String>>,
}

/// Back to an earlier revision.
#[derive(ToSchema)]
pub struct SwitchBackBody {
    #[schema(minimum = 0, example = 40)]
    pub revision: i64,
    /// Kept in the history.
    #[schema(max_length = 2000)]
    pub reason: Option<String>,
    /// Codes of checks that you accept.
    #[schema(max_items = 64)]
    pub ack: Option<Vec<String>>,
}

/// A reason that is given later.
#[derive(ToSchema)]
pub struct ReasonBody {
    /// Kept in the history.
    #[schema(min_length = 1, max_length = 2000)]
    pub reason: String,
}

/// What a change answers: the change, or with `dry_run=true` its preview.
#[derive(Serialize, ToSchema)]
#[serde(untagged)]
pub enum Changed {
    Applied(super::effect::Applied),
    Preview(super::effect::Preview),
}

/// The routes of the API and the document that describes them.
pub fn build() -> (Router<App>, OpenApi) {
    let info = InfoBuilder::new()
        .title("Sluice")
        .version(env!("CARGO_PKG_VERSION"))
        .description(Some(INTRODUCTION))
        .build();
    let security = SecurityRequirement::new::<_, [&str; 0], &str>("token", []);
    let cookie = SecurityRequirement::new::<_, [&str; 0], &str>("session", []);
    let open = OpenApiBuilder::new().info(info).security(Some([security, cookie])).build();
    let (router, mut document) = OpenApiRouter::with_openapi(open)
        .routes(routes!(services::list))
        .routes(routes!(services::one))
        .routes(routes!(services::me))
        .routes(routes!(changes::preview))
        .routes(routes!(changes::set))
        .routes(routes!(changes::take_over))
        .routes(routes!(changes::switch_back))
        .routes(routes!(changes::retire))
        .routes(routes!(live_object::show))
        .routes(routes!(releases::list, releases::create))
        .routes(routes!(releases::plan))
        .routes(routes!(release_drafts::list, release_drafts::create))
        .routes(routes!(release_drafts::one, release_drafts::save, release_drafts::delete))
        .routes(routes!(release_drafts::templates))
        .routes(routes!(release_drafts::save_template, release_drafts::delete_template))
        .routes(routes!(releases::one))
        .routes(routes!(releases::command))
        .routes(routes!(releases::timeline))
        .routes(routes!(releases::judgements))
        .routes(routes!(audit::list))
        .routes(routes!(as_of::show))
        .routes(routes!(audit::export))
        .routes(routes!(audit::one))
        .routes(routes!(audit::add_reason))
        .routes(routes!(sessions::list, sessions::revoke_all))
        .routes(routes!(sessions::revoke))
        .split_for_parts();
    complete(&mut document);
    (router, document)
}

const INTRODUCTION: &str = "Move traffic between versions of a service on Kubernetes and Istio, and read what \
happened. Every call does what the pages do, with the same checks.\n\n\
Send a Kubernetes token as `Authorization: Bearer …`. What you may see and change is what the cluster's RBAC \
allows you.\n\n\
A refusal is an `application/problem+json` with a stable `code`, a sentence in English or Chinese \
(`Accept-Language`), and often what to do `next`. Nothing was written unless `ending` says so.\n\n\
To change traffic safely: read the service, send the change with its `ETag` as `If-Match`, and an \
`Idempotency-Key` of your own so that it can be sent again. Unknown fields and parameters are refused.";

/// Statuses that every operation may answer, and why.
const SHARED: &[(&str, &str)] = &[
    (
        "400",
        "The request cannot be read: `bad_host`, `bad_json`, `bad_query`, `bad_cursor`, `bad_name`, `bad_if_match`, `bad_idempotency_key`.",
    ),
    ("401", "Nobody is known by this token: `unauthenticated`, `bad_token`."),
    ("403", "Not allowed: `forbidden`; or a browser sent it for another site: `csrf`."),
    (
        "404",
        "There is none, or none that you may see: `service_not_found`, `entry_not_found`, `release_not_found`, `draft_not_found`, `template_not_found`.",
    ),
    (
        "429",
        "Too often: `rate_limited`; too much at a time: `too_many_at_once`. `Retry-After` says how many seconds to wait.",
    ),
    ("500", "A fault of Sluice: `internal`."),
    (
        "503",
        "Something that is needed does not answer: `cluster_unreachable`, `cluster_timeout`, `cluster_busy`, `history_unavailable`, `overloaded`; or a change was cut off: `partly_applied`, `outcome_unknown` (see `ending`).",
    ),
];

/// Statuses of operations with a body.
const WITH_BODY: &[(&str, &str)] = &[
    ("408", "The body did not arrive whole in time: `body_incomplete`."),
    ("413", "The body is longer than 256 KiB: `body_too_large`."),
    ("415", "The body is not `application/json`: `unsupported_media_type`."),
    (
        "422",
        "Understood and refused: values (`sum`, `weight_range`, `reason_required`, …) or checks (`no_ready_pods`, `big_jump`, …); with a key, `idempotency_mismatch`.",
    ),
];

/// Statuses of operations that change traffic.
const CHANGING: &[(&str, &str)] = &[
    (
        "409",
        "Somebody else is at it: `conflict`, `host_conflict`, `owned_by_controller`, `gitops`, `other_writer`, `object_deleting`, `release_owns_service`; or not now: `release_illegal`.",
    ),
    (
        "412",
        "Something has changed since: `stale_revision`, with both splits in `stale`; `release_stale`, `draft_stale`.",
    ),
    ("428", "`If-Match` is missing where it is required: `precondition_required`."),
];

fn complete(document: &mut OpenApi) {
    let components = document.components.get_or_insert_default();
    components.add_security_scheme("token", SecurityScheme::Http(Http::new(HttpAuthScheme::Bearer)));
    let cookie = ApiKeyValue::with_description(
        "sluice",
        "The session of a signed-in browser (`__Host-sluice` with HTTPS). Changes also need `X-CSRF-Token`.",
    );
    components.add_security_scheme("session", SecurityScheme::ApiKey(ApiKey::Cookie(cookie)));
    let mut schemas = Vec::new();
    Problem::schemas(&mut schemas);
    schemas.push((Problem::name().into_owned(), Problem::schema()));
    // Named by schemas that are written by hand, which bring nothing along.
    Condition::schemas(&mut schemas);
    schemas.push((Condition::name().into_owned(), Condition::schema()));
    ConditionBody::schemas(&mut schemas);
    schemas.push((ConditionBody::name().into_owned(), ConditionBody::schema()));
    components.schemas.extend(schemas);
    for (path, item) in &mut document.paths.paths {
        let conditions = path.contains("/traffic") || path.contains("/releases");
        let operations = [
            (&mut item.get, false),
            (&mut item.put, true),
            (&mut item.post, true),
            (&mut item.delete, false),
        ];
        for (operation, body) in operations {
            let Some(operation) = operation else { continue };
            share(operation, SHARED);
            if body {
                share(operation, WITH_BODY);
            }
            if conditions || path.ends_with("/reasons") {
                share(operation, CHANGING);
            }
            for response in operation.responses.responses.values_mut() {
                if let RefOr::T(response) = response {
                    let id = HeaderBuilder::new()
                        .schema(Some(ObjectBuilder::new().schema_type(Type::String)))
                        .description(Some("Names this request in log and history."));
                    response.headers.insert("X-Request-Id".to_owned(), id.build().into());
                }
            }
        }
    }
}

fn share(operation: &mut Operation, statuses: &[(&str, &str)]) {
    for (status, description) in statuses {
        let content = ContentBuilder::new().schema(Some(Ref::from_schema_name("Problem"))).build();
        let mut response = ResponseBuilder::new()
            .description(*description)
            .content("application/problem+json", content)
            .build();
        if matches!(*status, "429" | "503") {
            let wait = HeaderBuilder::new()
                .schema(Some(ObjectBuilder::new().schema_type(Type::String)))
                .description(Some("Seconds to wait before asking again."));
            response.headers.insert("Retry-After".to_owned(), wait.build().into());
        }
        operation.responses.responses.entry((*status).to_owned()).or_insert(RefOr::T(response));
    }
}
