//! `/services`: the list, worst first.

use std::sync::Arc;

use axum::extract::{RawQuery, State};
use axum::response::{Redirect, Response};
use url::form_urlencoded;

use crate::domain::ids::Namespace;
use crate::domain::overview::{ListAsk, ListPage, Show, Sort};
use crate::domain::refusal::Refusal;
use crate::views::chrome::{Chrome, Nav};
use crate::views::services::{Bottom, ServicesPage, Top};
use crate::web::answers::{Answer, Form, Key};
use crate::web::api::extract::bad_query;
use crate::web::auth::Who;
use crate::web::caller::{Caller, Door};
use crate::web::chrome::chrome;
use crate::web::error::Failure;
use crate::web::events::topic::Topic;
use crate::web::live;
use crate::web::respond;
use crate::web::site::App;

/// `GET /`.
pub async fn home() -> Redirect {
    Redirect::to("/services")
}

/// `GET /services?ns=&q=&show=&sort=&win=&cursor=`.
pub async fn list(
    State(app): State<App>,
    who: Who,
    caller: Caller,
    RawQuery(query): RawQuery,
) -> Result<Response, Failure> {
    let query = query.unwrap_or_default();
    let ask = ask_of(&query)?;
    let page = app.services.list(&who.actor, &ask).await?;
    let window_s = if ask.window_s == 0 { 60 } else { ask.window_s };
    let form = if caller.door == Door::Fragment { Form::Results } else { Form::Main };
    let answer = answer(&app, &caller, &ask, &page, form).await?;
    if form == Form::Results {
        return Ok(respond::answer(&caller, "text/html; charset=utf-8", [], &answer, []));
    }
    let topic = Topic::Services { query, window_s }.stamped(answer.stamp);
    let chrome = chrome(&app, &caller, Some(&who), Nav::Services, &topic);
    let (top, bottom) =
        (respond::text(&Top { chrome: &chrome })?, respond::text(&Bottom { chrome: &chrome })?);
    Ok(respond::answer(&caller, "text/html; charset=utf-8", [top], &answer, [bottom]))
}

/// The part of the page that everybody sees alike who asks for the same and may see the same.
async fn answer(
    app: &App,
    caller: &Caller,
    ask: &ListAsk,
    page: &ListPage,
    form: Form,
) -> Result<Arc<Answer>, Failure> {
    let key = Key { list: page.number, form, lang: caller.lang(), offset_min: caller.clock.offset_min };
    let make = || {
        let chrome = Chrome { clock: caller.clock, now_ms: app.clock.now_ms(), ..Chrome::default() };
        let rows = app.rows.of(&chrome, &page.items);
        let view = ServicesPage::of(ask, page, rows, chrome);
        let body = if form == Form::Results {
            respond::text(&view.as_results())?
        } else {
            respond::text(&view.as_main())?
        };
        Ok(Answer::new(body, live::stamp(&page.items)))
    };
    app.answers.of(key, make).await
}

/// The filters of a query; an empty one counts as left out. One that cannot be read is refused: what it would have
/// left out must not be shown.
pub fn ask_of(query: &str) -> Result<ListAsk, Refusal> {
    let mut ask = ListAsk::default();
    let filters = form_urlencoded::parse(query.as_bytes()).filter(|(_, value)| !value.is_empty());
    for (name, value) in filters {
        let bad = |why: &str| Err(bad_query(&name, why));
        match &*name {
            "ns" => match Namespace::parse(&value) {
                Ok(namespace) => ask.namespace = Some(namespace),
                Err(_) => return bad("the name of a namespace is expected"),
            },
            "q" if value.chars().count() > 200 => return bad("at most 200 characters are expected"),
            "q" => ask.text = value.into_owned(),
            "show" => {
                ask.show = match &*value {
                    "all" => Show::All,
                    "releasing" => Show::Releasing,
                    "attention" => Show::Attention,
                    "not_routable" => Show::NotRoutable,
                    _ => return bad("all, releasing, attention or not_routable is expected"),
                }
            }
            "sort" => {
                ask.sort = match &*value {
                    "worst" => Sort::Worst,
                    "name" => Sort::Name,
                    _ => return bad("worst or name is expected"),
                }
            }
            "win" if matches!(&*value, "60" | "300" | "3600") => ask.window_s = window(&value),
            "win" => return bad("60, 300 or 3600 is expected"),
            "limit" => match value.parse() {
                Ok(limit) => ask.limit = limit,
                Err(_) => return bad("a number is expected"),
            },
            "cursor" => ask.cursor = Some(value.into_owned()),
            _ => {}
        }
    }
    Ok(ask)
}

/// A window of the metrics in seconds; anything unknown means the shortest.
pub fn window(text: &str) -> u32 {
    match text {
        "300" => 300,
        "3600" => 3600,
        _ => 60,
    }
}
