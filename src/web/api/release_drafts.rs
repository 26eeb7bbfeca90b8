//! Drafts of releases and templates of one's own, through the API.

use axum::extract::State;
use axum::response::Response;
use serde_json::{Value, json};

use super::changes::{Call, permit_draft};
use super::extract::{DraftId, JsonBody, Query, TemplateName, if_match};
use super::release_body::{DraftBody, TemplateBody};
use super::release_shape::{Draft, Drafts, Template, Templates};
use super::releases::{Fields, readable, wrong};
use super::services::tag;
use super::words::{DraftName, Tag};
use crate::domain::refusal::Refusal;
use crate::domain::release::{OwnTemplate, Spec};
use crate::web::auth::Who;
use crate::web::error::Failure;
use crate::web::respond;
use crate::web::site::App;

/// Your drafts, newest first.
#[utoipa::path(
    get,
    path = "/api/v1/releases/drafts",
    operation_id = "listDrafts",
    tag = "releases",
    responses((status = 200, description = "Drafts.", body = Drafts))
)]
pub async fn list(State(app): State<App>, who: Who, query: Query) -> Result<Response, Failure> {
    query.finish()?;
    let items = app.services.drafts(&who.actor).await?.into_iter().map(Draft::of).collect();
    Ok(respond::json(&Drafts { items }))
}

/// Keeps a new draft. Its page is `/releases/drafts/{id}`.
#[utoipa::path(
    post,
    path = "/api/v1/releases/drafts",
    operation_id = "createDraft",
    tag = "releases",
    request_body(content = DraftBody, example = json!({"fields": {"service": "bookinfo/reviews", "version": "v4"}})),
    responses((
        status = 200,
        description = "The draft.",
        body = Draft,
        headers(("ETag" = String, description = "The `seq`, in quotes."))
    ))
)]
pub async fn create(
    State(app): State<App>,
    who: Who,
    query: Query,
    body: JsonBody,
) -> Result<Response, Failure> {
    query.finish()?;
    permit_draft(&app, &who)?;
    let fields = fields(body)?;
    let draft = app.services.new_draft(&who.actor, fields).await?;
    Ok(shown(Draft::of(draft)))
}

/// One draft.
#[utoipa::path(
    get,
    path = "/api/v1/releases/drafts/{draft}",
    operation_id = "getDraft",
    tag = "releases",
    params(("draft" = inline(DraftName), Path, description = "The draft's id.")),
    responses((
        status = 200,
        description = "The draft.",
        body = Draft,
        headers(("ETag" = String, description = "The `seq`, in quotes."))
    ))
)]
pub async fn one(
    State(app): State<App>,
    who: Who,
    DraftId(id): DraftId,
    query: Query,
) -> Result<Response, Failure> {
    query.finish()?;
    Ok(shown(Draft::of(app.services.draft(&who.actor, &id).await?)))
}

/// Saves a draft. With `If-Match`, only over the save that you saw. Idempotent: the same fields sent again leave
/// the draft as it is, whatever `If-Match` says, so that a call without an answer can be repeated.
#[utoipa::path(
    put,
    path = "/api/v1/releases/drafts/{draft}",
    operation_id = "saveDraft",
    tag = "releases",
    params(
        ("draft" = inline(DraftName), Path, description = "The draft's id."),
        ("If-Match" = inline(Option<Tag>), Header, description = "The `seq` that you saw, in quotes."),
    ),
    request_body(content = DraftBody, example = json!({"fields": {"service": "bookinfo/reviews", "version": "v4"}})),
    responses((
        status = 200,
        description = "The draft.",
        body = Draft,
        headers(("ETag" = String, description = "The `seq`, in quotes."))
    ))
)]
pub async fn save(
    State(app): State<App>,
    who: Who,
    DraftId(id): DraftId,
    query: Query,
    call: Call,
    body: JsonBody,
) -> Result<Response, Failure> {
    query.finish()?;
    let expected = if_match(&call.headers)?;
    permit_draft(&app, &who)?;
    let fields = fields(body)?;
    Ok(shown(Draft::of(app.services.save_draft(&who.actor, &id, expected, fields).await?)))
}

/// Deletes a draft. Idempotent: sent again it is `draft_not_found`, and nothing else has happened.
#[utoipa::path(
    delete,
    path = "/api/v1/releases/drafts/{draft}",
    operation_id = "deleteDraft",
    tag = "releases",
    params(("draft" = inline(DraftName), Path, description = "The draft's id.")),
    responses((status = 200, description = "The drafts that are left.", body = Drafts))
)]
pub async fn delete(
    State(app): State<App>,
    who: Who,
    DraftId(id): DraftId,
    query: Query,
) -> Result<Response, Failure> {
    query.finish()?;
    app.services.delete_draft(&who.actor, &id).await?;
    let items = app.services.drafts(&who.actor).await?.into_iter().map(Draft::of).collect();
    Ok(respond::json(&Drafts { items }))
}

/// Templates that people here made. Careful, Quick and By night stand in the wizard.
#[utoipa::path(
    get,
    path = "/api/v1/releases/templates",
    operation_id = "listTemplates",
    tag = "releases",
    responses((status = 200, description = "Templates.", body = Templates))
)]
pub async fn templates(State(app): State<App>, _who: Who, query: Query) -> Result<Response, Failure> {
    query.finish()?;
    let items = app.services.own_templates().await?.into_iter().map(Template::of).collect();
    Ok(respond::json(&Templates { items }))
}

/// Keeps a template. Adding one needs the right to `create` `releasetemplates.sluice.io`; who made one may replace it,
/// others need `update`. Everything that is wrong is listed with its field. Idempotent: sent again it is kept again.
#[utoipa::path(
    put,
    path = "/api/v1/releases/templates/{template}",
    operation_id = "saveTemplate",
    tag = "releases",
    params(("template" = String, Path, description = "The template's name.", example = "Weekend")),
    request_body(content = TemplateBody, example = json!({"strategy": "canary", "steps": [{"kind": "weight", "percent": 10}, {"kind": "hold", "seconds": 600}, {"kind": "weight", "percent": 100}], "analysis": null})),
    responses((status = 200, description = "The template.", body = Template))
)]
pub async fn save_template(
    State(app): State<App>,
    who: Who,
    TemplateName(name): TemplateName,
    query: Query,
    body: JsonBody,
) -> Result<Response, Failure> {
    query.finish()?;
    let mut fields = Fields::of(body.node)?;
    // A template is a wish without service and versions; names that are always right stand in for them.
    let mut whole = json!({
        "service": {"namespace": "a", "name": "a"}, "stable": "a", "candidate": {"from": "adopt", "version": "b"}
    });
    for part in ["strategy", "steps", "analysis", "policies"] {
        if let Some(value) = fields.take(part) {
            whole[part] = value;
        }
    }
    fields.finish()?;
    permit_draft(&app, &who)?;
    let spec: Spec = readable(&whole)?;
    let template = OwnTemplate {
        name,
        by: String::new(),
        at_ms: 0,
        strategy: spec.strategy,
        steps: spec.steps,
        analysis: spec.analysis,
        policies: spec.policies,
    };
    let kept = app.services.save_template(&who.actor, template).await.map_err(Failure::all)?;
    Ok(respond::json(&Template::of(kept)))
}

/// Deletes a template: its maker, or who may `delete` `releasetemplates.sluice.io`. Idempotent: sent again it is `template_not_found`, and nothing else has happened.
#[utoipa::path(
    delete,
    path = "/api/v1/releases/templates/{template}",
    operation_id = "deleteTemplate",
    tag = "releases",
    params(("template" = String, Path, description = "The template's name.", example = "Weekend")),
    responses((status = 200, description = "The templates that are left.", body = Templates))
)]
pub async fn delete_template(
    State(app): State<App>,
    who: Who,
    TemplateName(name): TemplateName,
    query: Query,
) -> Result<Response, Failure> {
    query.finish()?;
    permit_draft(&app, &who)?;
    app.services.delete_template(&who.actor, &name).await?;
    let items = app.services.own_templates().await?.into_iter().map(Template::of).collect();
    Ok(respond::json(&Templates { items }))
}

fn fields(body: JsonBody) -> Result<Value, Refusal> {
    let mut whole = Fields::of(body.node)?;
    let fields = whole.take("fields").filter(Value::is_object);
    whole.finish()?;
    fields.ok_or_else(|| wrong("fields", "an object is expected"))
}

fn shown(draft: Draft) -> Response {
    let mut response = respond::json(&draft);
    tag(&mut response, draft.seq);
    response
}
