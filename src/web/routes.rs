//! Every address of the house, and who may knock there. The list that [`routes`] returns is the one that the
//! router is built from: the tests walk it with everybody.

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
use super::error::Failure;
use super::pages::{acts, apply, audit, docs, login, releases, rules, service, services, wizard};
use super::site::App;
use super::{assets, auth, demo_pages, events, frame, guard, health};
use crate::domain::refusal::Code;

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
}

/// Routes behind one kind of door, and the list of them.
struct Doors {
    access: Access,
    router: Router<App>,
    list: Vec<RouteInfo>,
}

impl Doors {
    fn of(access: Access) -> Self {
        Self { access, router: Router::new(), list: Vec::new() }
    }

    fn get<H: Handler<T, App>, T: 'static>(self, path: &str, handler: H) -> Self {
        self.on(Method::GET, path, get(handler))
    }

    fn post<H: Handler<T, App>, T: 'static>(self, path: &str, handler: H) -> Self {
        self.on(Method::POST, path, post(handler))
    }

    fn on(mut self, method: Method, path: &str, handler: MethodRouter<App>) -> Self {
        self.list.push(RouteInfo { method, path: path.to_owned(), access: self.access });
        self.router = self.router.route(path, handler);
        self
    }
}

fn open() -> Doors {
    Doors::of(Access::Open)
        .get("/healthz", health::alive)
        .get("/readyz", health::ready)
        .get("/static/{name}", assets::serve)
        .get("/login", login::show)
        .post("/login", login::enter)
        .get("/api/openapi.json", docs::document)
}

fn pages() -> Doors {
    Doors::of(Access::Page)
        .get("/", services::home)
        .get("/services", services::list)
        .get("/services/{namespace}/{name}", service::show)
        .post("/services/{namespace}/{name}/traffic/preview", service::preview)
        .post("/services/{namespace}/{name}/traffic/apply", apply::apply)
        .get("/services/{namespace}/{name}/traffic/takeover", acts::ask_take_over)
        .post("/services/{namespace}/{name}/traffic/takeover", acts::take_over)
        .get("/services/{namespace}/{name}/traffic/switch-back", acts::ask_switch_back)
        .post("/services/{namespace}/{name}/traffic/switch-back", acts::switch_back)
        .post("/services/{namespace}/{name}/rules/edit", rules::edit)
        .get("/releases", releases::list)
        .post("/releases", wizard::start)
        .get("/releases/new", wizard::new)
        .post("/releases/drafts", wizard::keep)
        .get("/releases/drafts/{draft}", wizard::draft)
        .get("/releases/{id}", releases::show)
        .get("/releases/{id}/{word}", releases::ask)
        .post("/releases/{id}/{word}", releases::tell)
        .get("/audit", audit::list)
        .get("/audit/{id}", audit::one)
        .post("/audit/{id}/reason", audit::add_reason)
        .get("/audit.csv", audit::csv)
        .get("/audit.json", audit::json)
        .get("/api/docs", docs::page)
        .post("/logout", login::leave)
        .get("/demo/bookinfo/productpage", demo_pages::bookinfo)
        .get("/demo/weather", demo_pages::weather)
        .post("/demo/weather", demo_pages::set_weather)
}

fn streams() -> Doors {
    Doors::of(Access::Api).get("/events", events::open)
}

/// Every route with its door.
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
            if operation.is_some() {
                list.push(RouteInfo { method, path: path.clone(), access: Access::Api });
            }
        }
    }
    list
}

/// The whole house.
pub fn router(app: App) -> Router {
    let (api, _) = document::build();
    let behind_api = api.merge(streams().router).route_layer(from_fn_with_state(app.clone(), auth::api));
    let behind_page = pages().router.route_layer(from_fn_with_state(app.clone(), auth::page));
    let layers = ServiceBuilder::new()
        .layer(from_fn_with_state(app.clone(), frame::frame))
        .layer(CompressionLayer::new().quality(CompressionLevel::Fastest))
        .layer(from_fn_with_state(app.clone(), guard::guard))
        .layer(CatchPanicLayer::custom(|panic: Box<dyn std::any::Any + Send>| {
            let said = panic.downcast_ref::<&str>().map(|said| (*said).to_owned());
            let said = said.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_default();
            tracing::error!(said, "a handler panicked");
            axum::response::IntoResponse::into_response(Failure::from(Code::Internal))
        }));
    open()
        .router
        .merge(behind_api)
        .merge(behind_page)
        .fallback(async || Failure::from(Code::NotFound))
        .method_not_allowed_fallback(async || Failure::from(Code::MethodNotAllowed))
        .layer(layers)
        .with_state(app)
}
