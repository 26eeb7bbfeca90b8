//! What was in force at a moment, through the API.

use axum::extract::State;
use axum::response::Response;
use jiff::Timestamp;
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use super::entry::Entry;
use super::extract::{At, Query, bad_query};
use super::values::{Weights, moment};
use super::words::{Instant, Name};
use crate::domain::as_of;
use crate::domain::refusal::{Code, Refusal};
use crate::views::lang::Lang;
use crate::web::auth::Who;
use crate::web::caller::Caller;
use crate::web::error::Failure;
use crate::web::respond;
use crate::web::site::App;

/// How the traffic of a service was declared at a moment.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct AsOf {
    #[schema(example = "bookinfo/reviews")]
    pub service: String,
    /// The moment that was asked about.
    #[schema(format = "date-time")]
    pub at: String,
    /// 0 = before the first recorded change.
    pub revision: u64,
    /// From when on it was in force; null before the first recorded change.
    #[schema(required = true, format = "date-time")]
    pub since: Option<String>,
    /// When the next revision replaced it; null while it is in force.
    #[schema(required = true, format = "date-time")]
    pub until: Option<String>,
    /// Null where the audit history does not hold it; empty where requests were spread by pods.
    #[schema(required = true)]
    pub weights: Option<Weights>,
    /// Match rules and mirror in words; empty = none, or they cannot be read from the objects any more.
    #[schema(example = json!(["header end-user equals jason → v2"]))]
    pub rules: Vec<String>,
    pub objects: Vec<ObjectThen>,
    /// The entry that made it.
    #[schema(required = true)]
    pub made_by: Option<Entry>,
    /// The entry that ended it.
    #[schema(required = true)]
    pub ended_by: Option<Entry>,
}

/// A routing object as it was.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct ObjectThen {
    #[schema(example = "VirtualService")]
    pub kind: &'static str,
    pub namespace: String,
    pub name: String,
    /// Null = you may not get this object.
    #[schema(value_type = Option<Object>, required = true)]
    pub spec: Option<Value>,
}

impl AsOf {
    fn of(lang: Lang, found: &as_of::AsOf) -> Self {
        let objects = found.objects.iter().map(|(at, spec)| ObjectThen {
            kind: at.kind.as_str(),
            namespace: at.namespace.to_string(),
            name: at.name.to_string(),
            spec: spec.clone(),
        });
        Self {
            service: found.service.to_string(),
            at: moment(found.at_ms),
            revision: found.revision,
            since: found.made.as_ref().map(|entry| moment(entry.in_force_ms())),
            until: found.ended.as_ref().map(|entry| moment(entry.in_force_ms())),
            weights: found.weights.clone().map(Weights),
            rules: crate::views::as_of::rules(lang, found),
            objects: objects.collect(),
            made_by: found.made.as_ref().map(|entry| Entry::of(lang, entry)),
            ended_by: found.ended.as_ref().map(|entry| Entry::of(lang, entry)),
        }
    }
}

/// What was in force at a moment: split, rules, mirror and routing objects, from the audit history. Works for services
/// that do not exist any more.
#[utoipa::path(
    get,
    path = "/api/v1/services/{namespace}/{name}/as-of",
    operation_id = "getServiceAsOf",
    tag = "history",
    params(
        ("namespace" = inline(Name), Path, description = "The service's namespace."),
        ("name" = inline(Name), Path, description = "The service's name."),
        ("at" = inline(Option<Instant>), Query, description = "RFC 3339 time in the past; now when left out.", example = "2026-11-20T14:05:00Z"),
    ),
    responses((status = 200, description = "The split, rules and mirror that were in effect.", body = AsOf))
)]
pub async fn show(
    State(app): State<App>,
    who: Who,
    caller: Caller,
    At(service): At,
    mut query: Query,
) -> Result<Response, Failure> {
    let now_ms = app.clock.now_ms();
    let at_ms = match query.take("at") {
        None => now_ms,
        Some(text) => {
            let at = text.parse::<Timestamp>().map(Timestamp::as_millisecond);
            let at = at.map_err(|_| bad_query("at", "a moment (2026-11-20T14:00:00Z) is expected"))?;
            if at > now_ms {
                return Err(Refusal::new(Code::NotYet).field("at").into());
            }
            at
        }
    };
    query.finish()?;
    let found = app.services.as_of(&who.actor, &service, at_ms).await?;
    Ok(respond::json(&AsOf::of(caller.lang(), &found)))
}
