//! `/audit`: the history with its filters, one entry in place, and the whole of it as a file.

use axum::extract::{RawQuery, State};
use axum::response::{IntoResponse, Redirect, Response};
use jiff::civil::Date;
use jiff::tz::{Offset, TimeZone};
use url::form_urlencoded;

use crate::domain::audit::{Action, Ending, Entry, Filter};
use crate::domain::ids::ServiceRef;
use crate::services::history::Count;
use crate::views::audit::{Answer, AuditDetail, AuditPage, Fields};
use crate::views::chrome::Nav;
use crate::views::time::Clockface;
use crate::web::api::extract::EntryId;
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
    let asked = Asked::of(&query.unwrap_or_default(), caller.clock);
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
    let asked = Asked::of(&query.unwrap_or_default(), caller.clock);
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
    let mut view = view(&app, &who, &caller, Asked::of("", caller.clock), Some(entry)).await?;
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
    let asked = Asked::of(&query.unwrap_or_default(), caller.clock);
    export::answer(&app, &who, &caller, &asked.filter, Format::Csv).await
}

/// `GET /audit.json`.
pub async fn json(
    State(app): State<App>,
    who: Who,
    caller: Caller,
    RawQuery(query): RawQuery,
) -> Result<Response, Failure> {
    let asked = Asked::of(&query.unwrap_or_default(), caller.clock);
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

/// The filters of a query. What cannot be read is left out.
struct Asked {
    filter: Filter,
    fields: Fields,
    cursor: Option<String>,
}

impl Asked {
    fn of(query: &str, clock: Clockface) -> Self {
        let of = |name: &str| {
            let found = form_urlencoded::parse(query.as_bytes()).find(|(key, _)| key == name);
            found
                .map(|(_, value)| value.trim().chars().take(200).collect::<String>())
                .filter(|v| !v.is_empty())
        };
        let day = |text: &Option<String>, days| text.as_ref().and_then(|text| start_of(text, days, clock));
        let (from, to) = (of("from"), of("to"));
        let filter = Filter {
            service: of("service").and_then(|path| ServiceRef::parse_path(&path).ok()),
            actor: of("actor"),
            action: of("action").and_then(|word| Action::parse(&word)),
            ending: of("result").and_then(|word| Ending::parse(&word)),
            from_ms: day(&from, 0),
            to_ms: day(&to, 1),
            text: of("q"),
            ..Filter::default()
        };
        let shown = |text: Option<String>, ms: Option<i64>| text.filter(|_| ms.is_some()).unwrap_or_default();
        let fields = Fields::of(&filter, &shown(from, filter.from_ms), &shown(to, filter.to_ms));
        Self { filter, fields, cursor: of("cursor") }
    }
}

/// The first moment of a day, so many days later, where the person is.
fn start_of(text: &str, days: i64, clock: Clockface) -> Option<i64> {
    let date = text.parse::<Date>().ok()?.checked_add(jiff::Span::new().days(days)).ok()?;
    let offset = Offset::from_seconds(i32::from(clock.offset_min) * 60).ok()?;
    Some(date.to_zoned(TimeZone::fixed(offset)).ok()?.timestamp().as_millisecond())
}
