//! `/audit/as-of`: what was in force at a moment that a person names in their own zone.

use axum::extract::{RawQuery, State};
use axum::response::Response;
use url::form_urlencoded;

use crate::domain::ids::ServiceRef;
use crate::domain::refusal::{Code, Refusal};
use crate::views::as_of::{AsOfFields, AsOfPage};
use crate::views::chrome::Nav;
use crate::web::api::extract::bad_query;
use crate::web::auth::Who;
use crate::web::caller::Caller;
use crate::web::chrome::chrome;
use crate::web::error::Failure;
use crate::web::events::topic::Topic;
use crate::web::respond;
use crate::web::site::App;

/// Services that are offered while the name is typed; any other one may be typed too.
const MENU: usize = 200;
/// The last millisecond of a second: what began within the second that was typed is in force.
const WITHIN: i64 = 999;

/// `GET /audit/as-of?service=&date=&time=`.
pub async fn show(
    State(app): State<App>,
    who: Who,
    caller: Caller,
    RawQuery(query): RawQuery,
) -> Result<Response, Failure> {
    let query = query.unwrap_or_default();
    let of = |name: &str| {
        let found = form_urlencoded::parse(query.as_bytes()).find(|(key, _)| key == name);
        found.map(|(_, value)| value.trim().chars().take(200).collect::<String>()).unwrap_or_default()
    };
    let chrome = chrome(&app, &caller, Some(&who), Nav::Audit, &Topic::Notices.to_string());
    let now = AsOfFields::of(&chrome, "", chrome.now_ms);
    let mut fields = AsOfFields { service: of("service"), date: of("date"), time: of("time") };
    let asked = !fields.service.is_empty();
    if fields.date.is_empty() && fields.time.is_empty() {
        (fields.date, fields.time) = (now.date, now.time);
    }
    let names = app.services.names(&who.actor, MENU).await?.iter().map(ToString::to_string).collect();
    let now_ms = chrome.now_ms;
    let page = AsOfPage::new(chrome, fields.clone(), names);
    if !asked {
        return Ok(respond::html(&page));
    }
    let found = async {
        let (service, at_ms) = read(&fields, &caller, now_ms)?;
        app.services.as_of(&who.actor, &service, at_ms).await
    };
    match found.await {
        Ok(found) => Ok(respond::html(&page.answered(&found))),
        Err(refusal) => Ok(respond::html_with(refusal.code.status(), &page.refused(&refusal))),
    }
}

fn read(fields: &AsOfFields, caller: &Caller, now_ms: i64) -> Result<(ServiceRef, i64), Refusal> {
    let service = ServiceRef::parse_path(&fields.service)
        .map_err(|_| bad_query("service", "namespace/name is expected"))?;
    let at_ms = caller.clock.read_local(&format!("{}T{}", fields.date, fields.time));
    let at_ms = at_ms.ok_or_else(|| bad_query("time", "a date and a time are expected"))?;
    if at_ms > now_ms {
        return Err(Refusal::new(Code::NotYet).field("time"));
    }
    Ok((service, at_ms.saturating_add(WITHIN)))
}
