//! The frame of a page, filled from the request: language, theme, person, what is wrong with our sources.

use super::assets;
use super::auth::Who;
use super::caller::Caller;
use super::site::App;
use crate::config::Auth;
use crate::domain::refusal::{Check, Code};
use crate::views::chrome::{Chrome, Nav, Person, Trouble};

/// The frame for a page at `nav`; `topic` is what the page listens to (empty = nothing).
pub fn chrome(app: &App, caller: &Caller, who: Option<&Who>, nav: Nav, topic: &str) -> Chrome {
    let troubles = if who.is_some() { troubles(app) } else { Vec::new() };
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
        troubles,
        toast: None,
    }
}

/// What every page says first: that this is the demo, and what is missing or down.
pub fn troubles(app: &App) -> Vec<Trouble> {
    let demo = app.settings.demo.then_some(Trouble::Demo);
    demo.into_iter().chain(app.services.notices().iter().filter_map(trouble)).collect()
}

fn trouble(check: &Check) -> Option<Trouble> {
    let arg = |name: &str| check.args.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str());
    let since_ms = arg("since").and_then(|since| since.parse().ok()).unwrap_or_default();
    Some(match check.code {
        Code::NoPrometheus => Trouble::NoMetrics,
        Code::MetricsDown => Trouble::MetricsDown { since_ms },
        Code::NoIstio => Trouble::NoMesh,
        Code::KindForbidden => Trouble::MissingRight {
            verb: arg("verb").unwrap_or("list").to_owned(),
            resource: arg("resource").or_else(|| arg("kind")).unwrap_or_default().to_owned(),
            namespace: arg("ns").map(str::to_owned),
        },
        Code::ClusterDown => Trouble::ApiDown { since_ms },
        Code::HistoryUnavailable => Trouble::HistoryDown,
        _ => return None,
    })
}
