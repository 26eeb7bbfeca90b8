//! The REST API, `/api/v1`: the same use cases as the pages, for programs. Routes and the OpenAPI document
//! come from the same declarations, so they cannot disagree.

pub mod body;
pub mod extract;
pub mod json;

pub mod effect;
pub mod entry;
pub mod progress;
pub mod shape;
pub mod split_shape;
pub mod values;
mod waiting;

pub mod release_body;
pub mod release_drafts;
pub mod release_shape;
pub mod releases;

pub mod as_of;
pub mod audit;
pub mod changes;
pub mod document;
pub mod live_object;
pub mod services;
pub mod sessions;
pub mod words;
