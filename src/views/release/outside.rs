//! Edits from outside while the release moves the service: why it waits, line by line.

use askama::Template;
use askama::filters::HtmlSafe;

use super::Given;
use crate::domain::ids::ObjectRef;
use crate::domain::overview::DiffLine;
use crate::views::lang::{Lang, Rich};
use crate::views::text;
use crate::views::time::Clockface;

/// The difference. Always on the page, hidden while there is none, so that it can come by itself.
#[derive(Clone, Debug, PartialEq, Eq, Template)]
#[template(path = "release/outside.html")]
pub struct Outside {
    pub lang: Lang,
    /// Who and when; `None` = nothing was changed outside.
    pub said: Option<Rich>,
    /// Where the history tells it.
    pub entry: String,
    pub edits: Vec<Edited>,
}

impl HtmlSafe for Outside {}

/// One object, as it was written from here against what it is now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Edited {
    pub object: String,
    pub lines: Vec<DiffLine>,
}

impl Outside {
    pub fn of(clock: Clockface, given: Given<'_>) -> Self {
        let lang = clock.lang;
        let Some(found) = given.outside else {
            return Self { lang, said: None, entry: String::new(), edits: Vec::new() };
        };
        let key = if found.diffs.is_empty() { "release.outside.undone" } else { "release.outside.by" };
        let who = if found.by.is_empty() {
            lang.t("release.outside.somebody").into()
        } else {
            found.by.join(&lang.t("sum.list").to_string())
        };
        let edit = |(object, lines): &(ObjectRef, Vec<DiffLine>)| Edited {
            object: text::named(lang, &object.to_string()).into_owned(),
            lines: lines.clone(),
        };
        Self {
            lang,
            said: Some(lang.t(key).with("who", who).with("time", clock.hour(found.at_ms)).rich()),
            entry: format!("/audit/{}", found.entry),
            edits: found.diffs.iter().map(edit).collect(),
        }
    }
}
