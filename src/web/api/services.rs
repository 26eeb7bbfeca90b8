//! `GET /api/v1/services` and `GET /api/v1/services/{namespace}/{name}`, and who is asking.

use axum::extract::State;
use axum::response::Response;
use http::{HeaderValue, header};
use serde::Serialize;
use utoipa::ToSchema;

use super::extract::{At, Query, bad_query};
use super::shape::{Service, Services};
use super::words::{Name, Show as ShowWord, Sort as SortWord, Window};
use crate::domain::ids::{Namespace, Revision};
use crate::domain::overview::{ListAsk, Show, Sort};
use crate::web::answers::{Answer, Form, Key};
use crate::web::auth::Who;
use crate::web::caller::Caller;
use crate::web::error::Failure;
use crate::web::respond;
use crate::web::site::App;

/// The services that you may see, a page at a time.
#[utoipa::path(
    get,
    path = "/api/v1/services",
    operation_id = "listServices",
    tag = "services",
    params(
        ("namespace" = inline(Option<Name>), Query, description = "Only this namespace."),
        ("q" = Option<String>, Query, description = "A part of a name, namespace, image or version."),
        ("show" = inline(Option<ShowWord>), Query, description = "`all` (default), `releasing`, `attention`, `not_routable`."),
        ("sort" = inline(Option<SortWord>), Query, description = "`worst` first (default), or by `name`."),
        ("window" = inline(Option<Window>), Query, description = "Seconds that the figures are about: 60, 300 or 3600."),
        ("limit" = Option<i32>, Query, description = "Services on a page.", minimum = 1, maximum = 500),
        ("cursor" = Option<String>, Query, description = "`next` of the page before."),
    ),
    responses((status = 200, description = "A page of services.", body = Services))
)]
pub async fn list(
    State(app): State<App>,
    who: Who,
    caller: Caller,
    mut query: Query,
) -> Result<Response, Failure> {
    let ask = ListAsk {
        namespace: query.take("namespace").map(|name| Namespace::parse(&name)).transpose()?,
        text: query.take("q").unwrap_or_default(),
        show: match query.take("show").as_deref() {
            None | Some("all") => Show::All,
            Some("releasing") => Show::Releasing,
            Some("attention") => Show::Attention,
            Some("not_routable") => Show::NotRoutable,
            Some(_) => {
                return Err(bad_query("show", "all, releasing, attention or not_routable is expected").into());
            }
        },
        sort: match query.take("sort").as_deref() {
            None | Some("worst") => Sort::Worst,
            Some("name") => Sort::Name,
            Some(_) => return Err(bad_query("sort", "worst or name is expected").into()),
        },
        window_s: window(&mut query)?,
        limit: query.limit()?,
        cursor: query.take("cursor"),
    };
    query.finish()?;
    let page = app.services.list(&who.actor, &ask).await?;
    let key = Key { list: page.number, form: Form::Json, lang: caller.lang(), offset_min: 0 };
    let make = || Ok(Answer::new(respond::json_text(&Services::of(caller.lang(), &page))?, 0));
    let answer = app.answers.of(key, make).await?;
    Ok(respond::answer(&caller, "application/json", [], &answer, []))
}

/// One service as it stands now.
#[utoipa::path(
    get,
    path = "/api/v1/services/{namespace}/{name}",
    operation_id = "getService",
    tag = "services",
    params(
        ("namespace" = inline(Name), Path, description = "The service's namespace.", example = "bookinfo"),
        ("name" = inline(Name), Path, description = "The service's name.", example = "reviews"),
        ("window" = inline(Option<Window>), Query, description = "Seconds that the figures are about: 60, 300 or 3600."),
    ),
    responses((
        status = 200,
        description = "The service.",
        body = Service,
        headers(("ETag" = String, description = "The revision in quotes; changes whenever anything relevant changes, edits from outside included."))
    ))
)]
pub async fn one(
    State(app): State<App>,
    who: Who,
    caller: Caller,
    At(at): At,
    mut query: Query,
) -> Result<Response, Failure> {
    let window_s = window(&mut query)?;
    query.finish()?;
    // The detail, not the overview: it notices edits from outside first, so the revision is that of what is shown.
    let detail = app.services.detail(&who.actor, &at, window_s).await?;
    let mut response = respond::json(&Service::of(caller.lang(), &detail.overview));
    tag(&mut response, detail.overview.revision);
    Ok(response)
}

/// Who you are, as the cluster sees it.
#[derive(Debug, Serialize, ToSchema)]
pub struct Me {
    pub user: String,
    pub groups: Vec<String>,
}

/// Who you are, as the cluster sees it.
#[utoipa::path(
    get,
    path = "/api/v1/me",
    operation_id = "getMe",
    tag = "access",
    responses((status = 200, description = "The bearer of the token or session.", body = Me))
)]
pub async fn me(who: Who, query: Query) -> Result<Response, Failure> {
    query.finish()?;
    let identity = &who.actor.identity;
    Ok(respond::json(&Me { user: identity.user.clone(), groups: identity.groups.clone() }))
}

fn window(query: &mut Query) -> Result<u32, Failure> {
    match query.take("window").as_deref() {
        None | Some("60") => Ok(60),
        Some("300") => Ok(300),
        Some("3600") => Ok(3600),
        Some(_) => Err(bad_query("window", "60, 300 or 3600 is expected").into()),
    }
}

/// Puts the revision on an answer.
pub fn tag(response: &mut Response, revision: Revision) {
    if let Ok(value) = HeaderValue::from_str(&format!("\"{revision}\"")) {
        response.headers_mut().insert(header::ETAG, value);
    }
}
