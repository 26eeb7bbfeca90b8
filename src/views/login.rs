//! The page that asks who is there: a Kubernetes bearer token.

use askama::Template;

use crate::domain::refusal::Refusal;

use super::chrome::{Chrome, Notice, Tone};
use super::text;

/// `/login`.
#[derive(Debug, Template)]
#[template(path = "login.html")]
pub struct LoginPage {
    pub chrome: Chrome,
    /// Where the person goes afterwards: a path on this server, checked by `web`.
    pub next: String,
    pub problem: Option<Notice>,
    /// True for a person who was signed in a moment ago.
    pub ended: bool,
}

impl LoginPage {
    /// The page, after a refused attempt with its reason. One sentence for every wrong token.
    pub fn of(chrome: Chrome, next: &str, refusal: Option<&Refusal>) -> Self {
        let problem = refusal.map(|no| text::refused(chrome.lang(), no));
        Self { chrome, next: next.to_owned(), problem, ended: false }
    }

    /// Whose session ended while they were at work.
    #[must_use]
    pub fn ended(self, ended: bool) -> Self {
        Self { ended, ..self }
    }

    fn notice(&self) -> Notice {
        let lang = self.chrome.lang();
        let more = Some(lang.t("login.ended_more").rich());
        Notice { more, alert: true, ..Notice::new(Tone::Info, lang.t("login.ended").rich()) }
    }
}
