//! The web module: real sockets for the listener, the whole router for everything else.

mod config;
mod listen;

mod access;
mod attacks;
mod frame;

mod api;
mod bounds;
mod changes;
mod credentials;
mod damaged;
mod document;
mod history;
mod host_config;

mod demo;
mod forms;
mod lists;
mod live;
mod pages;
mod progress;
mod quotas;
mod release_dialogs;
mod release_list;
mod release_times;
mod releases;
mod rights;
mod rule_words;
mod session_list;
mod sessions;
pub mod sessions_real;
mod templates;
mod trouble;
mod waiting_pods;
mod wizard_pick;
