//! The page that asks who is there: a Kubernetes bearer token.

use askama::Template;

use crate::domain::refusal::Refusal;

use super::chrome::{Chrome, Notice};
use super::text;

/// `/login`.
#[derive(Debug, Template)]
#[template(path = "login.html")]
pub struct LoginPage {
    pub chrome: Chrome,
    /// Where the person goes afterwards: a path on this server, checked by `web`.
    pub next: String,
    pub problem: Option<Notice>,
}

impl LoginPage {
    /// The page, after a refused attempt with its reason. One sentence for every wrong token.
    pub fn of(chrome: Chrome, next: &str, refusal: Option<&Refusal>) -> Self {
        let problem = refusal.map(|no| text::refused(chrome.lang(), no));
        Self { chrome, next: next.to_owned(), problem }
    }
}
