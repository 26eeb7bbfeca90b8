//! The sample applications of the demo, `/demo/…`: each view of a page is a request that the demo's mesh
//! routes by the actual objects. `app` joins [`DemoVisits`] with the demo; this module only shows the answer.

use axum::extract::State;
use axum::response::{IntoResponse, Redirect, Response};

use super::api::extract::Query;
use super::auth::Who;
use super::auth::form::Form;
use super::caller::Caller;
use super::chrome::chrome;
use super::error::Failure;
use super::respond;
use super::site::App;
use crate::domain::ids::{ServiceRef, VersionName};
use crate::domain::refusal::Code;
use crate::views::bars::Slots;
use crate::views::chrome::Nav;
use crate::views::demo::{Forecast, Hop, Next, ProductPage, Reviews, Tally, WeatherPage};

/// Views at a time.
const MANY: u32 = 1_000;

/// What the demo can be asked.
pub trait DemoVisits: Send + Sync {
    /// One view of Bookinfo's product page by `user` (empty = a guest).
    fn bookinfo(&self, user: &str) -> BookinfoVisit;
    /// One view of the weather.
    fn weather(&self, user: &str) -> WeatherVisit;
    /// Which versions of `reviews` that many views reach, and how many fail.
    fn bookinfo_tally(&self, user: &str, times: u32) -> Spread;
    /// Which versions of `forecast` that many views reach, and how many fail.
    fn weather_tally(&self, user: &str, times: u32) -> Spread;
    /// Whether the next version of `forecast` is deployed.
    fn next_forecast(&self) -> Next;
    /// Deploys it, or takes it away, as with kubectl. Asking for what is so already changes
    /// nothing.
    fn set_next_forecast(&self, next: Next);
}

/// One view of the product page.
#[derive(Clone, Debug, PartialEq)]
pub struct BookinfoVisit {
    pub details: bool,
    /// `None` = an error.
    pub reviews: Option<Reviews>,
    pub hops: Vec<Hop>,
}

/// One view of the weather.
#[derive(Clone, Debug, PartialEq)]
pub struct WeatherVisit {
    pub advertisement: bool,
    /// `None` = an error.
    pub forecast: Option<Forecast>,
    pub hops: Vec<Hop>,
}

/// How several views were spread over versions.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Spread {
    pub answered: Vec<(VersionName, u32)>,
    pub failed: u32,
}

/// `GET /demo/bookinfo/productpage?user=&n=`.
pub async fn bookinfo(
    State(app): State<App>,
    who: Who,
    caller: Caller,
    mut query: Query,
) -> Result<Response, Failure> {
    let visits = app.visits.as_ref().ok_or(Code::NotFound)?;
    let (user, times) = visitor(&mut query);
    let BookinfoVisit { details, reviews, mut hops } = visits.bookinfo(&user);
    let spread = times.map(|times| visits.bookinfo_tally(&user, times));
    colour(&app, &who, &mut hops).await;
    let tally = match spread {
        Some(spread) => Some(tally(&app, &who, &caller, ("bookinfo", "reviews"), &spread).await),
        None => None,
    };
    let chrome = chrome(&app, &caller, Some(&who), Nav::Nowhere, "");
    Ok(respond::html(&ProductPage { chrome, user, details, reviews, hops, tally }))
}

/// `GET /demo/weather?user=&n=`.
pub async fn weather(
    State(app): State<App>,
    who: Who,
    caller: Caller,
    mut query: Query,
) -> Result<Response, Failure> {
    let visits = app.visits.as_ref().ok_or(Code::NotFound)?;
    let (user, times) = visitor(&mut query);
    let WeatherVisit { advertisement, forecast, mut hops } = visits.weather(&user);
    let spread = times.map(|times| visits.weather_tally(&user, times));
    colour(&app, &who, &mut hops).await;
    let tally = match spread {
        Some(spread) => Some(tally(&app, &who, &caller, ("weather", "forecast"), &spread).await),
        None => None,
    };
    let chrome = chrome(&app, &caller, Some(&who), Nav::Nowhere, "");
    Ok(respond::html(&WeatherPage {
        chrome,
        user,
        forecast,
        advertisement,
        hops,
        tally,
        next: visits.next_forecast(),
    }))
}

/// `POST /demo/weather`: `next` is `deploy` or `remove`.
pub async fn set_weather(State(app): State<App>, form: Form) -> Result<Response, Failure> {
    let visits = app.visits.as_ref().ok_or(Code::NotFound)?;
    visits.set_next_forecast(match form.text("next") {
        "deploy" => Next::Deployed,
        "remove" => Next::Absent,
        _ => return Err(Code::NothingAsked.into()),
    });
    Ok(Redirect::to("/demo/weather").into_response())
}

fn visitor(query: &mut Query) -> (String, Option<u32>) {
    let user: String = query.take("user").unwrap_or_default().chars().take(100).collect();
    let times = query.take("n").and_then(|n| n.parse::<u32>().ok()).filter(|n| (1..=MANY).contains(n));
    (user, times)
}

/// The colours that versions have on the page of their service.
async fn slots(app: &App, who: &Who, at: &ServiceRef) -> Option<Slots> {
    let item = app.services.overview(&who.actor, at, 60).await.ok()?;
    Some(Slots::of(&item))
}

async fn colour(app: &App, who: &Who, hops: &mut [Hop]) {
    for hop in hops {
        let slots = slots(app, who, &ServiceRef::new(&hop.namespace, &hop.service)).await;
        if let (Some(slots), Some(version)) = (slots, &hop.version) {
            hop.slot = slots.slot(version);
        }
    }
}

async fn tally(app: &App, who: &Who, caller: &Caller, of: (&str, &str), spread: &Spread) -> Tally {
    let slots = slots(app, who, &ServiceRef::new(of.0, of.1)).await;
    let by_name = || Slots::by_name(spread.answered.iter().map(|(version, _)| version));
    Tally::of(caller.lang(), &spread.answered, spread.failed, &slots.unwrap_or_else(by_name))
}
