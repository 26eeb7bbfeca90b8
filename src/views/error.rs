//! The page for what cannot be shown: not allowed, not found, broken, down. Always with the cause in words,
//! the request's id, and somewhere to go.

use askama::Template;

use crate::domain::refusal::Refusal;

use super::chrome::Chrome;
use super::lang::{Rich, Text};
use super::text;

/// An error as a page.
#[derive(Debug, Template)]
#[template(path = "error.html")]
pub struct ErrorPage {
    pub chrome: Chrome,
    pub status: u16,
    pub icon: &'static str,
    pub title: String,
    pub text: Rich,
    pub next: Option<Rich>,
    pub request_id: String,
    /// The code of the API for the same refusal.
    pub code: &'static str,
}

impl ErrorPage {
    /// The page for a refusal.
    pub fn of(chrome: Chrome, refusal: &Refusal, request_id: &str) -> Self {
        let lang = chrome.lang();
        let status = refusal.code.status();
        let (key, icon) = match status {
            401 | 403 => ("denied", "lock"),
            404 | 405 => ("missing", "search"),
            429 => ("wait", "clock"),
            503 => ("down", "off"),
            400..=499 => ("refused", "warn"),
            _ => ("broken", "bad"),
        };
        let said = text::refusal(lang, refusal);
        Self {
            status,
            icon,
            title: lang.t(&format!("error.{key}")).into(),
            text: said.text.rich(),
            next: said.next.map(Text::rich),
            request_id: request_id.to_owned(),
            code: refusal.code.as_str(),
            chrome,
        }
    }
}
