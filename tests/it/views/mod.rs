//! The pages as pure functions: every sample in both languages, the catalogues, the small parsers.

use sluice::domain::overview::Rights;
use sluice::domain::release::{Judgement, Release, TimelineEntry};
use sluice::views::lang::Lang;
use sluice::views::release::{Given, ReleasePage};
use sluice::views::time::Clockface;

mod pages;
mod placeholders;
mod release_numbers;
mod release_words;
mod rule_form;
mod wizard_beside;
mod words;

/// A part of a release's page, by its id.
fn release_part(
    lang: Lang,
    release: &Release,
    timeline: &[TimelineEntry],
    judgements: &[Judgement],
    id: &str,
) -> String {
    let clock = Clockface::new(lang, None);
    let rights = Rights { change: None };
    let given = Given {
        release,
        timeline,
        judgements,
        overview: None,
        rights: &rights,
        denied: &[],
        reached: &[],
        outside: None,
    };
    let parts = ReleasePage::shared(clock, 5_000, given).into_iter().chain(ReleasePage::own(clock, given));
    let found = parts.into_iter().find(|(name, _)| name == id);
    found.unwrap_or_else(|| panic!("{id} is not there")).1
}
