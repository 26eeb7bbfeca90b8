//! Domain → what a page shows. Pure: no I/O, no clock; `now`, language and zone come in as arguments.
//!
//! A view is a struct of plain display data with its template (askama) beside it in `templates/`. A page
//! and the live fragment that replaces a part of it render the same struct, so they cannot disagree.
//! Called by `web` (pages and fragments); sentences are also used by the API. Must never hold a rule:
//! what is allowed was decided before it got here.

pub mod lang;
pub mod query;
pub mod time;

pub mod bars;
pub mod chrome;
pub mod figures;
pub mod text;

pub mod services;

pub mod findings;
pub mod pending;
pub mod review_link;
pub mod rule_form;
pub mod rule_words;
pub mod rules;
pub mod service;
pub mod service_release;
pub mod traffic;
pub mod versions;

pub mod release;
pub mod releases;
pub mod wizard;

pub mod acts;
pub mod as_of;
pub mod audit;
pub mod audit_detail;
pub mod live_object;
pub mod removal;

pub mod api_docs;
pub mod demo;
pub mod error;
pub mod login;
pub mod sessions;

pub mod samples;
