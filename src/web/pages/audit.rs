//! `/audit`: the history with its filters, one entry in place, and the whole of it as a file.

use axum::extract::{RawQuery, State};
use axum::response::{IntoResponse, Redirect, Response};
use jiff::civil::Date;
use jiff::tz::{Offset, TimeZone};
use url::form_urlencoded;

use crate::domain::audit::{Action, Ending, Entry, Filter};
use crate::domain::ids::ServiceRef;
use crate::domain::refusal::Refusal;
use crate::services::history::Count;
use crate::views::audit::{ALL_EVENTS, Answer, AuditDetail, AuditPage, CHANGES, Fields};
use crate::views::chrome::Nav;
use crate::views::time::Clockface;
use crate::web::api::extract::{EntryId, bad_query};
use crate::web::auth::Who;
use crate::web::auth::form::Form;
use crate::web::caller::{Caller, Door};
use crate::web::chrome::chrome;
use crate::web::error::Failure;
use crate::web::events::topic::Topic;
use crate::web::export::{self, Format};
use crate::web::respond;
use crate::web::site::App;

/// Entries on a page.
const ROWS: usize = 50;
/// Services in the filter's menu.
const MENU: usize = 200;

/// `GET /audit?service=&actor=&action=&result=&from=&to=&q=&cursor=`.
pub async fn list(
    State(app): State<App>,
    who: Who,
    caller: Caller,
    RawQuery(query): RawQuery,
) -> Result<Response, Failure> {
    let asked = Asked::of(&query.unwrap_or_default(), caller.clock, true)?;
    page(&app, &who, &caller, asked, None).await
}

/// `GET /audit/{id}`: the detail alone for a row that is opened, else the page with that row open.
pub async fn one(
    State(app): State<App>,
    who: Who,
    caller: Caller,
    EntryId(id): EntryId,
    RawQuery(query): RawQuery,
) -> Result<Response, Failure> {
    let entry = app.services.entry(&who.actor, id).await?;
    if caller.door == Door::Fragment {
        let chrome = chrome(&app, &caller, Some(&who), Nav::Audit, "");
        return Ok(respond::html(&AuditDetail::of(&chrome, &entry)));
    }
    let asked = Asked::of(&query.unwrap_or_default(), caller.clock, true)?;
    page(&app, &who, &caller, asked, Some(entry)).await
}

/// `POST /audit/{id}/reason`: a reason for an entry of one's own that has none; becomes an entry itself.
pub async fn add_reason(
    State(app): State<App>,
    who: Who,
    caller: Caller,
    EntryId(id): EntryId,
    form: Form,
) -> Result<Response, Failure> {
    let typed = form.text("reason");
    let refusal = match app.services.add_reason(&who.actor, id, typed, &caller.request_id).await {
        Ok(_) => return Ok(Redirect::to(&format!("/audit/{id}")).into_response()),
        Err(refusal) if refusal.field.as_deref() == Some("reason") => refusal,
        Err(refusal) => return Err(refusal.into()),
    };
    let entry = app.services.entry(&who.actor, id).await?;
    let mut view = view(&app, &who, &caller, Asked::of("", caller.clock, true)?, Some(entry)).await?;
    if let Some(open) = &mut view.open {
        open.reason_refused(typed, &refusal);
    }
    Ok(respond::html_with(refusal.code.status(), &view))
}

/// `GET /audit.csv`.
pub async fn csv(
    State(app): State<App>,
    who: Who,
    caller: Caller,
    RawQuery(query): RawQuery,
) -> Result<Response, Failure> {
    let asked = Asked::of(&query.unwrap_or_default(), caller.clock, false)?;
    export::answer(&app, &who, &caller, &asked.filter, Format::Csv).await
}

/// `GET /audit.json`.
pub async fn json(
    State(app): State<App>,
    who: Who,
    caller: Caller,
    RawQuery(query): RawQuery,
) -> Result<Response, Failure> {
    let asked = Asked::of(&query.unwrap_or_default(), caller.clock, false)?;
    export::answer(&app, &who, &caller, &asked.filter, Format::Json).await
}

async fn page(
    app: &App,
    who: &Who,
    caller: &Caller,
    asked: Asked,
    open: Option<Entry>,
) -> Result<Response, Failure> {
    let view = view(app, who, caller, asked, open).await?;
    Ok(if caller.door == Door::Fragment { respond::html(&view.as_results()) } else { respond::html(&view) })
}

async fn view(
    app: &App,
    who: &Who,
    caller: &Caller,
    asked: Asked,
    open: Option<Entry>,
) -> Result<AuditPage, Failure> {
    let services = &app.services;
    let found = services.entries(&who.actor, &asked.filter, asked.cursor.as_deref(), ROWS).await?;
    let count = services.count(&who.actor, &asked.filter).await?;
    let menu = services.names(&who.actor, MENU).await?;
    let mut names: Vec<String> = menu.iter().map(ToString::to_string).collect();
    if !asked.fields.service.is_empty() && !names.contains(&asked.fields.service) {
        names.insert(0, asked.fields.service.clone());
    }
    let answer = Answer {
        entries: &found.items,
        next: found.next.as_deref(),
        total: match count {
            Count::Exactly(n) => Some(n),
            Count::MoreThan(_) => None,
        },
        services: names,
        actors: services.people(&who.actor).await?,
    };
    let chrome = chrome(app, caller, Some(who), Nav::Audit, &Topic::Notices.to_string());
    Ok(AuditPage::of(chrome, asked.fields, answer, open.as_ref()))
}

/// The filters of a query. What cannot be read is refused: without it, more would be shown than was asked for.
struct Asked {
    filter: Filter,
    fields: Fields,
    cursor: Option<String>,
}

impl Asked {
    /// A page leaves routine events out unless it is asked for all; a file holds all events unless it is asked
    /// for changes.
    fn of(query: &str, clock: Clockface, leave_out: bool) -> Result<Self, Refusal> {
        let of = |name: &str| {
            let found = form_urlencoded::parse(query.as_bytes()).find(|(key, _)| key == name);
            found
                .map(|(_, value)| value.trim().chars().take(200).collect::<String>())
                .filter(|v| !v.is_empty())
        };
        let day =
            |name: &str, days| read(name, of(name), "a date is expected", |text| start_of(text, days, clock));
        let service = |path: &str| ServiceRef::parse_path(path).ok();
        let filter = Filter {
            service: read("service", of("service"), "namespace/name is expected", service)?,
            actor: of("actor"),
            action: read("action", of("action"), "an action of the list is expected", Action::parse)?,
            ending: read("result", of("result"), "a result of the list is expected", Ending::parse)?,
            from_ms: day("from", 0)?,
            to_ms: day("to", 1)?,
            text: of("q"),
            changes_only: read("show", of("show"), "changes or all is expected", shown)?.unwrap_or(leave_out),
            ..Filter::default()
        };
        let (from, to) = (of("from").unwrap_or_default(), of("to").unwrap_or_default());
        let fields = Fields::of(&filter, &from, &to);
        Ok(Self { filter, fields, cursor: of("cursor") })
    }
}

/// Whether `show` leaves routine events out.
pub fn shown(word: &str) -> Option<bool> {
    match word {
        CHANGES => Some(true),
        ALL_EVENTS => Some(false),
        _ => None,
    }
}

/// A field that is there and can be read; `None` = it is not there.
fn read<T>(
    name: &str,
    text: Option<String>,
    why: &str,
    as_what: impl Fn(&str) -> Option<T>,
) -> Result<Option<T>, Refusal> {
    text.map(|text| as_what(&text).ok_or_else(|| bad_query(name, why))).transpose()
}

/// The first moment of a day, so many days later, where the person is.
fn start_of(text: &str, days: i64, clock: Clockface) -> Option<i64> {
    let date = text.parse::<Date>().ok()?.checked_add(jiff::Span::new().days(days)).ok()?;
    let offset = Offset::from_seconds(i32::from(clock.offset_min) * 60).ok()?;
    Some(date.to_zoned(TimeZone::fixed(offset)).ok()?.timestamp().as_millisecond())
}
