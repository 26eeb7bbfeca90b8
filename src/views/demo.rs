//! The pages of the demo's applications: Bookinfo's product page and the weather. Each refresh is a real
//! request through the embedded mesh, so they show what the routing objects do.

use askama::Template;

use super::bars::{Bar, Slots};
use super::chrome::Chrome;
use super::lang::Lang;

use crate::domain::ids::VersionName;

/// `/demo/bookinfo/productpage`.
#[derive(Debug, Template)]
#[template(path = "demo/productpage.html")]
pub struct ProductPage {
    pub chrome: Chrome,
    /// The header `end-user` of the request; empty = a guest.
    pub user: String,
    /// Whether `details` answered.
    pub details: bool,
    /// What `reviews` answered; `None` = an error.
    pub reviews: Option<Reviews>,
    /// Which version of which service answered, in the order of the calls.
    pub hops: Vec<Hop>,
    /// The answers of several requests at once, when asked for.
    pub tally: Option<Tally>,
}

/// The answer of one version of `reviews`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reviews {
    pub version: String,
    pub stars: Stars,
}

/// What each version of `reviews` is known for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stars {
    /// v1 does not call `ratings`.
    None,
    Black,
    Red,
    /// `ratings` did not answer.
    Missing,
}

/// One service that took part in a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hop {
    pub namespace: String,
    pub service: String,
    /// `None` = no version answered.
    pub version: Option<String>,
    pub slot: u8,
}

/// How several requests were spread.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tally {
    pub requests: u32,
    pub failed: u32,
    pub bar: Bar,
    pub words: String,
}

/// `/demo/weather`.
#[derive(Debug, Template)]
#[template(path = "demo/weather.html")]
pub struct WeatherPage {
    pub chrome: Chrome,
    pub user: String,
    /// What `forecast` answered; `None` = an error.
    pub forecast: Option<Forecast>,
    /// Whether `advertisement` answered.
    pub advertisement: bool,
    pub hops: Vec<Hop>,
    pub tally: Option<Tally>,
    pub next: Next,
}

/// The next version of `forecast`, which a visitor may deploy and take away again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    Absent,
    /// Its pods run; a route decides whether requests reach it.
    Deployed,
}

/// The answer of one version of `forecast`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Forecast {
    pub version: String,
    /// v2 also asks `recommendation` what to wear.
    pub recommendation: bool,
}

impl Tally {
    /// Counts of answers by version; versions in the order of their slots.
    pub fn of(lang: Lang, counts: &[(VersionName, u32)], failed: u32, slots: &Slots) -> Self {
        let answered: u32 = counts.iter().map(|(_, n)| n).sum();
        let share = |n: u32| if answered == 0 { 0.0 } else { f64::from(n) * 100.0 / f64::from(answered) };
        let shares: Vec<(VersionName, f64)> =
            counts.iter().map(|(name, n)| (name.clone(), share(*n))).collect();
        let words: Vec<String> = counts.iter().map(|(name, n)| format!("{name} {n}")).collect();
        Self {
            requests: answered + failed,
            failed,
            bar: Bar::observed(&lang.t("demo.tally").to_string(), &shares, slots),
            words: words.join(" · "),
        }
    }
}

/// The names that a visitor can be: guests, the user of Bookinfo's classic rule, and a mail address.
pub const USERS: [&str; 3] = ["", "jason", "lin@gmail.com"];
