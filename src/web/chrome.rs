//! The frame of a page, filled from the request: language, theme, person, what is wrong with our sources.

use super::assets;
use super::auth::Who;
use super::caller::Caller;
use super::site::App;
use crate::config::Auth;
use crate::views::chrome::{Chrome, Nav, Person};

/// The frame for a page at `nav`; `topic` is what the page listens to (empty = nothing).
pub fn chrome(app: &App, caller: &Caller, who: Option<&Who>, nav: Nav, topic: &str) -> Chrome {
    Chrome {
        clock: caller.clock,
        now_ms: app.clock.now_ms(),
        theme: caller.theme,
        assets: assets::version().to_owned(),
        nav,
        here: caller.here.to_string(),
        env: app.settings.environment.clone(),
        cluster: app.settings.cluster_name.clone(),
        person: who.map(|who| Person {
            name: who.actor.identity.user.clone(),
            can_sign_out: app.settings.auth == Auth::Token,
        }),
        csrf: who.map(|who| who.csrf.to_string()).unwrap_or_default(),
        topic: topic.to_owned(),
        demo: app.settings.demo,
        guide: app.settings.demo
            && nav == Nav::Services
            && !caller.guide_closed
            && caller.here.split('?').next() == Some("/services"),
        // What is wrong with the cluster is not for strangers.
        notices: if who.is_some() { app.services.notices() } else { Vec::new() },
        active: who.map_or(0, |who| app.services.under_way(&who.actor.identity)),
        toast: None,
        slots: app.services.slots(),
    }
}
