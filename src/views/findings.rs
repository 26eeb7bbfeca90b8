//! What was found about a service, worst first, above its page. A live region of its own, but one that waits
//! while a person edits below it: a sentence that comes or goes must not move a slider under a thumb.

use askama::Template;
use askama::filters::HtmlSafe;

use crate::domain::overview::Overview;

use super::chrome::{Notice, Tone};
use super::text;
use super::time::Clockface;

/// The notices, and whether one of them takes the levers away.
#[derive(Clone, Debug, PartialEq, Eq, Template)]
#[template(path = "parts/findings.html")]
pub struct Findings {
    pub notices: Vec<Notice>,
    pub barred: bool,
}

impl HtmlSafe for Findings {}

impl Findings {
    /// Everything found, what bars a change first and with a lock.
    pub fn of(clock: Clockface, item: &Overview) -> Self {
        let barrier = item.barrier();
        let lock = barrier.map(|finding| Notice { icon: "lock", ..text::notice(clock, finding) });
        let said = barrier.map(|finding| finding.code);
        let rest = item.findings.iter().filter(|finding| Some(finding.code) != said);
        let rest = rest.map(|finding| text::notice(clock, finding)).filter(|notice| notice.tone != Tone::Ok);
        Self { barred: lock.is_some(), notices: lock.into_iter().chain(rest).collect() }
    }
}
