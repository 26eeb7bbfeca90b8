//! The history through the API: list, one entry, export, a later reason. Nothing changes or removes entries.

use axum::extract::State;
use axum::response::Response;
use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;

use super::body;
use super::changes::{Call, Done, once};
use super::document::ReasonBody;
use super::entry::{Entries, ExportedEntry, FullEntry};
use super::extract::{EntryId, JsonBody, Query, bad_query, idempotency_key, request_hash};
use super::words::{
    ActionWord, AuditShow, Format as FormatWord, Key, Moment, ResultWord, ServicePath, Words,
};
use crate::domain::audit::{Action, Ending, Filter};
use crate::domain::ids::ServiceRef;
use crate::domain::refusal::Refusal;
use crate::views::audit::{ALL_EVENTS, CHANGES};
use crate::web::auth::Who;
use crate::web::caller::Caller;
use crate::web::error::Failure;
use crate::web::export::{self, Format};
use crate::web::respond;
use crate::web::site::App;

/// The longest text to search for, in characters.
const TEXT: usize = 200;

/// The history, newest first: every change, refusal, failure and edit from outside that you may read.
#[utoipa::path(
    get,
    path = "/api/v1/audit",
    operation_id = "listAudit",
    tag = "history",
    params(
        ("service" = inline(Option<ServicePath>), Query, description = "`namespace/name`.", example = "bookinfo/reviews"),
        ("actor" = Option<String>, Query, description = "The person or program that acted."),
        ("action" = inline(Option<ActionWord>), Query, description = "`set_traffic`, `take_over`, `switch_back`, `outside_edit`, `add_reason`, `release`, `workload`, `sign_in`, `sign_out`, `revoke_session`, `authenticate`."),
        ("result" = inline(Option<ResultWord>), Query, description = "`applied`, `refused`, `failed`, `partial`, `unknown`, `outside`."),
        ("from" = inline(Option<Moment>), Query, description = "RFC 3339 moment or date (UTC), inclusive."),
        ("to" = inline(Option<Moment>), Query, description = "RFC 3339 moment, exclusive, or date (UTC), inclusive."),
        ("q" = inline(Option<Words>), Query, description = "Words in service, actor, reason, request id, change id or revision."),
        ("show" = inline(Option<AuditShow>), Query, description = "`changes` leaves out what releases record by themselves while they run as planned; `all` (default)."),
        ("limit" = Option<i32>, Query, description = "Entries on a page.", minimum = 1, maximum = 500),
        ("cursor" = Option<String>, Query, description = "`next` of the page before."),
    ),
    responses((status = 200, description = "Entries, newest first.", body = Entries))
)]
pub async fn list(
    State(app): State<App>,
    who: Who,
    caller: Caller,
    mut query: Query,
) -> Result<Response, Failure> {
    let (limit, cursor) = (query.limit()?, query.take("cursor"));
    let filter = filter(&mut query)?;
    query.finish()?;
    let page = app.services.entries(&who.actor, &filter, cursor.as_deref(), limit).await?;
    Ok(respond::json(&Entries::of(caller.lang(), page)))
}

/// One entry with its checks and the objects before and after.
#[utoipa::path(
    get,
    path = "/api/v1/audit/{id}",
    operation_id = "getAuditEntry",
    tag = "history",
    params(("id" = i64, Path, description = "The entry's number.", minimum = 1)),
    responses((status = 200, description = "The entry.", body = FullEntry))
)]
pub async fn one(
    State(app): State<App>,
    who: Who,
    caller: Caller,
    EntryId(id): EntryId,
    query: Query,
) -> Result<Response, Failure> {
    query.finish()?;
    let entry = app.services.entry(&who.actor, id).await?;
    Ok(respond::json(&FullEntry::of(caller.lang(), &entry)))
}

/// Every matching entry as one file. A row that cannot be read is named in its place (`damaged`). An answer that
/// ends early was cut off: JSON does not close, CSV ends in an error.
#[utoipa::path(
    get,
    path = "/api/v1/audit/export",
    operation_id = "exportAudit",
    tag = "history",
    params(
        ("format" = inline(Option<FormatWord>), Query, description = "`json` (default) or `csv`."),
        ("service" = inline(Option<ServicePath>), Query, description = "As in the list."),
        ("actor" = Option<String>, Query, description = "As in the list."),
        ("action" = inline(Option<ActionWord>), Query, description = "As in the list."),
        ("result" = inline(Option<ResultWord>), Query, description = "As in the list."),
        ("from" = inline(Option<Moment>), Query, description = "As in the list."),
        ("to" = inline(Option<Moment>), Query, description = "As in the list."),
        ("q" = inline(Option<Words>), Query, description = "As in the list."),
        ("show" = inline(Option<AuditShow>), Query, description = "As in the list."),
    ),
    responses((
        status = 200,
        description = "All matching entries, newest first.",
        content((Vec<ExportedEntry> = "application/json"), (String = "text/csv"))
    ))
)]
pub async fn export(
    State(app): State<App>,
    who: Who,
    caller: Caller,
    mut query: Query,
) -> Result<Response, Failure> {
    let format = match query.take("format").as_deref() {
        None | Some("json") => Format::Json,
        Some("csv") => Format::Csv,
        Some(_) => return Err(bad_query("format", "json or csv is expected").into()),
    };
    let filter = filter(&mut query)?;
    query.finish()?;
    export::answer(&app, &who, &caller, &filter, format).await
}

/// Adds a reason to an entry of your own. The entry itself stays as it is.
#[utoipa::path(
    post,
    path = "/api/v1/audit/{id}/reasons",
    operation_id = "addReason",
    tag = "history",
    params(
        ("id" = i64, Path, description = "The entry's number.", minimum = 1),
        ("Idempotency-Key" = inline(Option<Key>), Header, description = "Sent again with the same request, the first answer is given again (24 hours)."),
    ),
    request_body(content = ReasonBody, example = json!({"reason": "CHG-1042"})),
    responses((status = 200, description = "The new entry that holds the reason.", body = FullEntry))
)]
pub async fn add_reason(
    State(app): State<App>,
    who: Who,
    caller: Caller,
    EntryId(id): EntryId,
    query: Query,
    call: Call,
    body: JsonBody,
) -> Result<Response, Failure> {
    query.finish()?;
    let reason = body::reason(body.node)?;
    let key = idempotency_key(&call.headers)?;
    let hash = request_hash(call.method.as_str(), call.uri.path(), None, &body.bytes);
    let (request_id, lang) = (caller.request_id.clone(), caller.lang());
    once(app.clone(), who.clone(), caller, key, hash, async move {
        let entry = app.services.add_reason(&who.actor, id, &reason, &request_id).await?;
        let body = serde_json::to_string(&FullEntry::of(lang, &entry)).unwrap_or_default();
        Ok(Done { body, revision: None })
    })
    .await
}

fn filter(query: &mut Query) -> Result<Filter, Refusal> {
    let unknown =
        |name: &str, words: &[&str]| bad_query(name, &format!("one of {} is expected", words.join(", ")));
    let text = query.take("q");
    if text.as_ref().is_some_and(|text| text.chars().count() > TEXT) {
        return Err(bad_query("q", &format!("at most {TEXT} characters are expected")));
    }
    Ok(Filter {
        service: query
            .take("service")
            .map(|path| {
                ServiceRef::parse_path(&path).map_err(|_| bad_query("service", "namespace/name is expected"))
            })
            .transpose()?,
        actor: query.take("actor"),
        action: query
            .take("action")
            .map(|word| {
                Action::parse(&word).ok_or_else(|| unknown("action", &Action::ALL.map(Action::as_str)))
            })
            .transpose()?,
        ending: query
            .take("result")
            .map(|word| {
                Ending::parse(&word).ok_or_else(|| unknown("result", &Ending::ALL.map(Ending::as_str)))
            })
            .transpose()?,
        from_ms: query.take("from").map(|text| moment("from", &text, 0)).transpose()?,
        to_ms: query.take("to").map(|text| moment("to", &text, 1)).transpose()?,
        changes_only: match query.take("show").as_deref() {
            None | Some(ALL_EVENTS) => false,
            Some(CHANGES) => true,
            Some(_) => return Err(unknown("show", &[CHANGES, ALL_EVENTS])),
        },
        text,
        ..Filter::default()
    })
}

/// A moment, or the start of a date (UTC) so many days later.
fn moment(name: &str, text: &str, days: i64) -> Result<i64, Refusal> {
    let day = |date: Date| {
        let date = date.checked_add(jiff::Span::new().days(days)).ok()?;
        Some(date.to_zoned(TimeZone::UTC).ok()?.timestamp())
    };
    let at = text.parse::<Timestamp>().ok().or_else(|| text.parse::<Date>().ok().and_then(day));
    let at = at.ok_or_else(|| bad_query(name, "a moment (2026-11-20T14:00:00Z) or a date is expected"))?;
    Ok(at.as_millisecond())
}
