//! All routes, with the access level and the demand (capacity, time limit) of each. The list that [`routes`] returns is
//! the one that the router is built from: the tests call each route as everybody.

use axum::Router;
use axum::handler::Handler;
use axum::middleware::from_fn_with_state;
use axum::routing::{MethodRouter, get, post};
use http::Method;
use tower::ServiceBuilder;
use tower_http::CompressionLevel;
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::compression::CompressionLayer;

use super::api::document;
use super::api::extract::Said;
use super::auth::form::Form;
use super::demand::{BACK, BACK_PAGE, COMMAND, Demand, LIGHT, READ, SIGN_IN, WRITE};
use super::error::Failure;
use super::pages::{
    acts, apply, as_of, audit, docs, live_object, login, releases, rules, service, services, sessions, wizard,
};
use super::site::App;
use super::squeeze::LEVEL;
use super::{assets, auth, demo_pages, events, frame, gate, guard, health};
use crate::domain::refusal::Code;
use crate::domain::release::Word;

/// Who is let in to a route.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Everybody: probes, style sheets, sign-in, the API's description.
    Open,
    /// People with a session; others are led to the sign-in page.
    Page,
    /// Programs with a token, pages with a session; others get a problem.
    Api,
}

/// One method of one address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RouteInfo {
    pub method: Method,
    pub path: String,
    pub access: Access,
    pub demand: Demand,
}

/// Routes of one access level, and the list of them.
struct Doors {
    access: Access,
    router: Router<App>,
    list: Vec<RouteInfo>,
}

impl Doors {
    fn of(access: Access) -> Self {
        Self { access, router: Router::new(), list: Vec::new() }
    }

    fn get<H: Handler<T, App>, T: 'static>(self, path: &str, demand: Demand, handler: H) -> Self {
        self.on(Method::GET, path, demand, get(handler))
    }

    fn post<H: Handler<T, App>, T: 'static>(self, path: &str, demand: Demand, handler: H) -> Self {
        self.on(Method::POST, path, demand, post(handler))
    }

    fn on(mut self, method: Method, path: &str, demand: Demand, handler: MethodRouter<App>) -> Self {
        self.list.push(RouteInfo { method, path: path.to_owned(), access: self.access, demand });
        self.router = self.router.route(path, handler);
        self
    }
}

fn open() -> Doors {
    Doors::of(Access::Open)
        .get("/healthz", LIGHT, health::alive)
        .get("/readyz", LIGHT, health::ready)
        .get("/static/{name}", LIGHT, assets::serve)
        .get("/login", SIGN_IN, login::show)
        .post("/login", SIGN_IN, login::enter)
        .get("/api/openapi.json", LIGHT, docs::document)
}

fn pages() -> Doors {
    let doors = Doors::of(Access::Page)
        .get("/", READ, services::home)
        .get("/services", READ, services::list)
        .get("/services/{namespace}/{name}", BACK_PAGE, service::show)
        .post("/services/{namespace}/{name}/traffic/preview", READ, service::preview)
        .post("/services/{namespace}/{name}/traffic/apply", WRITE, apply::apply)
        .get("/services/{namespace}/{name}/traffic/takeover", READ, acts::ask_take_over)
        .post("/services/{namespace}/{name}/traffic/takeover", WRITE, acts::take_over)
        .get("/services/{namespace}/{name}/traffic/switch-back", BACK_PAGE, acts::ask_switch_back)
        .post("/services/{namespace}/{name}/traffic/switch-back", BACK, acts::switch_back)
        .get("/services/{namespace}/{name}/traffic/retire", READ, acts::ask_retire)
        .post("/services/{namespace}/{name}/traffic/retire", WRITE, acts::retire)
        .get(
            "/services/{namespace}/{name}/objects/{kind}/{object_namespace}/{object}",
            READ,
            live_object::show,
        )
        .post("/services/{namespace}/{name}/rules/edit", READ, rules::edit)
        .get("/releases", READ, releases::list)
        .post("/releases", WRITE, wizard::start)
        .get("/releases/new", READ, wizard::new)
        .post("/releases/drafts", WRITE, wizard::keep)
        .get("/releases/drafts/{draft}", READ, wizard::draft)
        .get("/releases/{id}", BACK_PAGE, releases::show)
        .get("/audit", READ, audit::list)
        .get("/audit/as-of", READ, as_of::show)
        .get("/audit/{id}", READ, audit::one)
        .post("/audit/{id}/reason", WRITE, audit::add_reason)
        .get("/audit.csv", READ, audit::csv)
        .get("/audit.json", READ, audit::json)
        .get("/api/docs", READ, docs::page)
        .post("/logout", SIGN_IN, login::leave)
        .get("/sessions", READ, sessions::list)
        .post("/sessions/revoke", WRITE, sessions::revoke_all)
        .post("/sessions/{session}/revoke", WRITE, sessions::revoke)
        .get("/demo/bookinfo/productpage", READ, demo_pages::bookinfo)
        .get("/demo/weather", READ, demo_pages::weather)
        .post("/demo/weather", WRITE, demo_pages::set_weather);
    Word::ALL.into_iter().fold(doors, word)
}

/// The page that asks for a command to a release, and the command.
fn word(doors: Doors, word: Word) -> Doors {
    let path = format!("/releases/{{id}}/{}", word.as_str().replace('_', "-"));
    let (asks, does) = if word.goes_back() { (BACK_PAGE, BACK) } else { (READ, WRITE) };
    let ask = move |state, who, caller, at| releases::ask(state, who, caller, at, Said(word));
    let tell =
        move |state, who, caller, at, form: Form| releases::tell(state, who, caller, at, Said(word), form);
    doors.get(&path, asks, ask).post(&path, does, tell)
}

fn streams() -> Doors {
    Doors::of(Access::Api).get("/events", READ, events::open)
}

/// What each operation of the API asks for, by its `operationId`. One that is not here gets what a change gets; a
/// test fails for it.
const OPERATIONS: &[(&str, Demand)] = &[
    ("listServices", READ),
    ("getService", BACK_PAGE),
    ("getServiceAsOf", READ),
    ("getRoutingObject", READ),
    ("getMe", READ),
    ("previewTraffic", READ),
    ("setTraffic", WRITE),
    ("takeOver", WRITE),
    ("switchBack", BACK),
    ("retireVersion", WRITE),
    ("listReleases", READ),
    ("createRelease", WRITE.waiting()),
    ("planRelease", READ),
    ("listDrafts", READ),
    ("createDraft", WRITE),
    ("getDraft", READ),
    ("saveDraft", WRITE),
    ("deleteDraft", WRITE),
    ("listTemplates", READ),
    ("saveTemplate", WRITE),
    ("deleteTemplate", WRITE),
    ("getRelease", BACK_PAGE.waiting()),
    ("commandRelease", COMMAND.waiting()),
    ("releaseTimeline", READ),
    ("releaseJudgements", READ),
    ("listAudit", READ),
    ("exportAudit", READ),
    ("getAuditEntry", READ),
    ("addReason", WRITE),
    ("listSessions", READ),
    ("revokeSession", WRITE),
    ("revokeSessions", WRITE),
];

/// What an operation asks for.
pub fn demand_of(operation: &str) -> Option<Demand> {
    OPERATIONS.iter().find(|(id, _)| *id == operation).map(|(_, demand)| *demand)
}

/// Every route with its access level.
pub fn routes() -> Vec<RouteInfo> {
    let (_, document) = document::build();
    let mut list: Vec<RouteInfo> =
        [open(), pages(), streams()].into_iter().flat_map(|doors| doors.list).collect();
    for (path, item) in &document.paths.paths {
        let methods = [
            (Method::GET, &item.get),
            (Method::PUT, &item.put),
            (Method::POST, &item.post),
            (Method::DELETE, &item.delete),
        ];
        for (method, operation) in methods {
            let Some(operation) = operation else { continue };
            let demand = operation.operation_id.as_deref().and_then(demand_of).unwrap_or(WRITE);
            list.push(RouteInfo { method, path: path.clone(), access: Access::Api, demand });
        }
    }
    list
}

/// The whole router.
pub fn router(app: App) -> Router {
    let (api, _) = document::build();
    let behind_api = api.merge(streams().router).route_layer(from_fn_with_state(app.clone(), auth::api));
    let behind_page = pages().router.route_layer(from_fn_with_state(app.clone(), auth::page));
    let layers = ServiceBuilder::new()
        .layer(from_fn_with_state(app.clone(), frame::frame))
        .layer(CompressionLayer::new().quality(CompressionLevel::Precise(LEVEL.cast_signed())))
        .layer(from_fn_with_state(app.clone(), guard::guard))
        .layer(CatchPanicLayer::custom(|panic: Box<dyn std::any::Any + Send>| {
            let said = panic.downcast_ref::<&str>().map(|said| (*said).to_owned());
            let said = said.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_default();
            tracing::error!(said, "a handler panicked");
            axum::response::IntoResponse::into_response(Failure::from(Code::Internal))
        }));
    let to_all = open().router.route_layer(from_fn_with_state(app.clone(), gate::open));
    to_all
        .merge(behind_api)
        .merge(behind_page)
        .fallback(async || Failure::from(Code::NotFound))
        .method_not_allowed_fallback(async || Failure::from(Code::MethodNotAllowed))
        .layer(layers)
        .with_state(app)
}
