//! Samples of every view, in every state that is hard to reach by hand: empty, longest names, refused,
//! failing, five versions, hostile names. Tests render all of them in both languages; `pages` is also what
//! the browser checks look at. Nothing at run time calls this.

mod audit;
mod parts;
mod releases;
mod service;
mod services;
mod sessions;
mod wizard;
mod world;

use askama::Template;

use super::api_docs::ApiPage;
use super::chrome::{Chrome, Nav, Person, Theme, Toast};
use super::error::ErrorPage;
use super::lang::Lang;
use super::login::LoginPage;
use super::time::Clockface;
use crate::domain::refusal::{Check, Code, Refusal, Severity};

/// 20 November 2026, 14:32:07 UTC: the *now* of all samples.
pub const NOW: i64 = 1_795_185_127_000;

/// A rendered page with its name (`service-pending`). An error stands where rendering failed.
pub type Page = (String, Result<String, String>);

/// What a person called `<script>` would be called: names that must come out as text.
pub const HOSTILE: &str = "\"><script>alert('x')</script>";

/// Every page in a language and theme.
pub fn pages(lang: Lang, theme: Theme) -> Vec<Page> {
    let mut pages = Vec::new();
    services::add(&mut pages, lang, theme);
    service::add(&mut pages, lang, theme);
    parts::add(&mut pages, lang, theme);
    audit::add(&mut pages, lang, theme);
    releases::add(&mut pages, lang, theme);
    wizard::add(&mut pages, lang, theme);
    sessions::add(&mut pages, lang, theme);
    others(&mut pages, lang, theme);
    pages
}

fn push(pages: &mut Vec<Page>, name: &str, page: &impl Template) {
    pages.push((name.to_owned(), page.render().map_err(|error| error.to_string())));
}

/// The frame of the samples.
pub fn chrome(lang: Lang, theme: Theme, nav: Nav, here: &str) -> Chrome {
    Chrome {
        clock: Clockface { lang, offset_min: 480 },
        now_ms: NOW,
        theme,
        assets: "0".to_owned(),
        nav,
        here: here.to_owned(),
        env: Some("PROD".to_owned()),
        cluster: "prod-east".to_owned(),
        person: Some(Person { name: "lin.wei".to_owned(), can_sign_out: true }),
        csrf: "token".to_owned(),
        topic: "services".to_owned(),
        demo: false,
        guide: false,
        notices: Vec::new(),
        active: 2,
        toast: None,
        slots: crate::domain::version_slots::SlotBook::default(),
    }
}

fn others(pages: &mut Vec<Page>, lang: Lang, theme: Theme) {
    let frame = |here: &str| Chrome { topic: String::new(), ..chrome(lang, theme, Nav::Nowhere, here) };
    let nobody = |here: &str| Chrome { person: None, ..frame(here) };
    push(
        pages,
        "login",
        &LoginPage::of(nobody("/login?next=%2Fservices"), "/services/bookinfo/reviews", None),
    );
    let ended = LoginPage::of(nobody("/login?ended=1"), "/services/bookinfo/reviews", None).ended(true);
    push(pages, "login-ended", &ended);
    let refused = Refusal::new(Code::BadToken);
    push(pages, "login-refused", &LoginPage::of(nobody("/login"), "/", Some(&refused)));
    let wait = Refusal::new(Code::RateLimited).arg("s", 42);
    push(pages, "login-wait", &LoginPage::of(nobody("/login"), "/", Some(&wait)));
    let errors = [
        (
            "403",
            Refusal::new(Code::Forbidden)
                .arg("svc", "payments/checkout")
                .arg("verb", "update")
                .arg("resource", "virtualservices")
                .arg("ns", "payments"),
        ),
        ("404", Refusal::new(Code::ServiceNotFound).arg("svc", format!("bookinfo/{HOSTILE}"))),
        ("500", Refusal::new(Code::Internal)),
        ("503", Refusal::new(Code::ClusterUnreachable)),
        ("429", Refusal::new(Code::Overloaded)),
    ];
    for (status, refusal) in errors {
        let name = format!("error-{status}");
        push(pages, &name, &ErrorPage::of(frame("/services/bookinfo/x"), &refusal, "01JD3S9V0Q8M"));
    }
    let document = serde_json::json!({
        "openapi": "3.1.0",
        "info": {"title": "Sluice", "version": "0.1.0", "description": "Everything a page can do.\n\nErrors are problem+json."},
        "paths": {"/api/v1/services/{namespace}/{name}/traffic": {"put": {
            "operationId": "set_traffic", "tags": ["traffic"], "summary": "Change weights, rules or mirror",
            "description": "Weights left out stay as they are.",
            "parameters": [
                {"name": "namespace", "in": "path", "required": true, "schema": {"type": "string"}, "description": "The namespace."},
                {"name": "If-Match", "in": "header", "required": true, "schema": {"type": "string"}, "description": "The revision that was seen."},
                {"name": "dry_run", "in": "query", "schema": {"type": ["boolean", "null"]}, "description": "Checks only."}],
            "requestBody": {"content": {"application/json": {"schema": {"$ref": "#/components/schemas/Change"}}}},
            "responses": {"200": {"description": "Written.", "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Change"}}}}, "412": {"description": "Somebody was faster."}}}}},
        "components": {"schemas": {"Change": {"type": "object", "required": ["reason"], "properties": {
            "weights": {"type": "object", "additionalProperties": {"type": "integer", "minimum": 0, "maximum": 100}, "description": "Percent by version."},
            "reason": {"type": "string", "description": "Kept in the history."},
            "ack": {"type": "array", "items": {"enum": ["big_jump", "few_pods"]}}}}}}
    });
    let docs = Chrome { nav: Nav::Api, ..frame("/api/docs") };
    push(pages, "api", &ApiPage::of(docs, &document));
}

/// The notices that a page can carry, for one sample that carries them all.
pub fn all_notices() -> Vec<Check> {
    let since = NOW - 11 * 60_000;
    vec![
        Check::new(Severity::Block, Code::ClusterDown).arg("since", since),
        Check::new(Severity::Block, Code::ClusterUnauthenticated).arg("since", since),
        Check::new(Severity::Block, Code::ClusterCredentials)
            .arg("message", "the credential plugin `aws` ended with exit status: 255"),
        Check::new(Severity::Block, Code::ClusterUntrusted)
            .arg("message", "invalid peer certificate: UnknownIssuer"),
        Check::new(Severity::Acknowledge, Code::MetricsDown).arg("since", since),
        Check::new(Severity::Acknowledge, Code::NoIstio),
        Check::new(Severity::Acknowledge, Code::KindForbidden)
            .arg("kind", "virtualservices.networking.istio.io"),
        Check::new(Severity::Info, Code::NoPrometheus),
        Check::new(Severity::Info, Code::StillListing),
        Check::new(Severity::Acknowledge, Code::AnotherSluice).arg("name", "sluice-6d9f7-x2x4z"),
        Check::new(Severity::Acknowledge, Code::AnotherSluiceWrote)
            .arg("object", "VirtualService bookinfo/reviews"),
    ]
}

/// A toast after an applied change.
pub fn toast(lang: Lang) -> Toast {
    Toast::applied(
        lang,
        "v1 30% · v2 70%",
        42,
        Some((
            "/services/bookinfo/reviews/traffic/switch-back?revision=41".to_owned(),
            lang.t("service.back").with("n", 41).into(),
        )),
    )
}
