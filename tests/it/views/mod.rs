//! The pages as pure functions: every sample in both languages, the catalogues, the small parsers.

mod pages;
mod placeholders;
mod release_numbers;
mod release_words;
mod rule_form;
mod wizard_beside;
mod words;
