//! The state that every handler gets: the use cases, the settings, the clock, and the counted capacity.

use std::ops::Deref;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use super::answers::Answers;
use super::demo_pages::DemoVisits;
use super::events::Hub;
use super::gate::Gate;
use super::guesses::Guesses;
use super::listen::Limits;
use super::routes::routes;
use super::rows::Rows;
use super::throttle::Throttle;
use crate::clock::Clock;
use crate::config::{Auth, Web};
use crate::services::Services;

/// Exports that may run at the same time: each holds a reading connection of the database.
const EXPORTS_AT_ONCE: usize = 4;

/// Drafts that one person may save in a minute: a form is kept with every change.
const DRAFTS: u32 = 120;

/// The state of the router. Cheap to clone.
#[derive(Clone)]
pub struct App(Arc<Site>);

/// What [`App`] leads to.
pub struct Site {
    pub services: Services,
    pub settings: Web,
    pub clock: Clock,
    /// Ends live streams when the server stops.
    pub stop: CancellationToken,
    /// The sample applications of the demo.
    pub visits: Option<Arc<dyn DemoVisits>>,
    pub hub: Hub,
    pub rows: Rows,
    pub answers: Answers,
    pub(super) gate: Gate,
    pub(super) exports: Arc<Semaphore>,
    /// Changes by person.
    pub(super) changes: Option<Throttle>,
    /// Previews, dry runs and plans by person; those of ways back apart.
    pub(super) previews: Option<Throttle>,
    pub(super) back_previews: Option<Throttle>,
    /// Saved drafts by person.
    pub(super) drafts: Throttle,
    /// Tokens that were refused.
    pub(super) guesses: Guesses,
    /// The OpenAPI document.
    pub(super) document: serde_json::Value,
    /// The token against forged requests where there are no sessions that could have one.
    pub(super) csrf: String,
}

impl App {
    /// Joins the use cases with the settings. `visits` is there in the demo only.
    pub fn new(
        services: Services,
        settings: Web,
        clock: Clock,
        visits: Option<Arc<dyn DemoVisits>>,
        stop: CancellationToken,
    ) -> Self {
        let minute = Duration::from_mins(1);
        let changes = settings.max_changes_per_minute.map(|most| Throttle::new(most.get(), minute));
        let previews = settings.max_previews_per_minute;
        Self(Arc::new(Site {
            rows: Rows::default(),
            answers: Answers::default(),
            hub: Hub::new(&settings),
            gate: Gate::new(routes(), settings.auth == Auth::None),
            services,
            settings,
            clock,
            stop,
            visits,
            exports: Arc::new(Semaphore::new(EXPORTS_AT_ONCE)),
            changes,
            previews: previews.map(|most| Throttle::new(most.get(), minute)),
            back_previews: previews.map(|most| Throttle::new(most.get(), minute)),
            drafts: Throttle::new(DRAFTS, minute),
            guesses: Guesses::default(),
            document: serde_json::to_value(super::api::document::build().1).unwrap_or_default(),
            csrf: random_token(),
        }))
    }

    /// What the listener should allow.
    pub fn limits(&self) -> Limits {
        Limits {
            connections: self.settings.max_connections,
            per_address: self.settings.max_connections_per_address,
            trusted: self.settings.trusted_proxies.clone(),
            ..Limits::default()
        }
    }

    /// True without sign-in.
    pub fn is_open(&self) -> bool {
        self.settings.auth == Auth::None
    }
}

impl Deref for App {
    type Target = Site;

    fn deref(&self) -> &Site {
        &self.0
    }
}

/// 256 random bits, in hex.
fn random_token() -> String {
    let mut bytes = [0; 32];
    // Without randomness nothing here can be protected; it fails at the start, where it is seen.
    getrandom::fill(&mut bytes).expect("the system gives random bytes");
    hex::encode(bytes)
}
