//! `/releases/R-…/change-steps`: the steps that have not begun, in the wizard's table.

use askama::Template;

use super::{Given, said};
use crate::domain::refusal::Refusal;
use crate::domain::release::Word;
use crate::views::chrome::{Chrome, Notice};
use crate::views::release::stages::stages;
use crate::views::text;
use crate::views::wizard::{Choices, Errors, Fields, Known, Row, Wish};

/// The page.
#[derive(Debug, Template)]
#[template(path = "release/change_steps.html")]
pub struct ChangeStepsPage {
    pub chrome: Chrome,
    pub id: String,
    pub path: String,
    pub action: String,
    pub seq: u64,
    pub request_id: String,
    pub fields: Fields,
    pub choices: Choices,
    pub errors: Errors,
    pub problem: Option<Notice>,
    /// Steps that have begun or are done, in words.
    pub kept: Vec<String>,
    pub impossible: Option<String>,
}

/// The rows of the steps that can still be changed: those after the stage that is under way.
pub fn open_rows(given: Given<'_>) -> (usize, Vec<Row>) {
    let (spec, state) = (&given.release.spec, &given.release.state);
    let from = if state.phase.is_before() {
        0
    } else {
        let current = stages(&spec.steps).into_iter().find(|stage| stage.steps.contains(&state.step));
        current.map_or(spec.steps.len(), |stage| stage.steps.end)
    };
    (from, Row::of_steps(&spec.steps[from..]))
}

impl ChangeStepsPage {
    /// The page with rows as they stand or were typed.
    pub fn of(
        chrome: Chrome,
        given: Given<'_>,
        fields: Fields,
        wish: &Wish,
        refusals: &[Refusal],
        request_id: String,
    ) -> Self {
        let (lang, release) = (chrome.lang(), given.release);
        let (from, _) = open_rows(given);
        let known = Known { service: given.overview, figures: true, ..Known::default() };
        let general = refusals.iter().find(|no| wish.slot(no) == "start");
        Self {
            id: release.id.to_string(),
            path: said::path(release),
            action: said::word_path(release, Word::ChangeSteps),
            seq: release.seq,
            request_id,
            choices: Choices::of(lang, &fields, &known),
            errors: Errors::of(lang, &fields, wish, refusals),
            problem: general.map(|no| text::refused(lang, no)),
            kept: release.spec.steps[..from]
                .iter()
                .map(|step| said::step(lang, &release.spec, step).into())
                .collect(),
            impossible: super::buttons::why_not(lang, given, Word::ChangeSteps),
            fields,
            chrome,
        }
    }

    /// As in the wizard: rows are counted from 1.
    pub fn row_number(&self, at: &usize) -> usize {
        at + 1
    }
}
