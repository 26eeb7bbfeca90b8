//! The pages: each handler reads a request, asks a use case, and shows the answer with a view. A refusal
//! brings the form back with everything that was typed.

pub mod services;

pub mod draft;
pub mod service;

pub mod acts;
pub mod apply;
pub mod live_object;
pub mod rules;

pub mod releases;
pub mod wizard;

pub mod as_of;
pub mod audit;
pub mod docs;
pub mod login;
pub mod sessions;
