//! Every route and every command to a release, with every person: the service's VirtualService lives in a namespace
//! where only some may write. A route or a command that is not in the tables here fails the test.
//!
//! Whoever may not see the service gets what is not there, whoever may not write is refused, and for neither is
//! anything written. No answer to a reader holds what the reader may not get.

use http::Method;
use serde_json::{Value, json};
use sluice::domain::release::Word;
use sluice::web::routes;

use super::{
    ELSEWHERE, EVERYBODY, FAR, LOOKS, NOBODY, OWNER, PORTAL, RELEASES, ROUTES_ONLY, SECOND, SECRET, command,
    town, until, waiting, wish, written,
};
use crate::support::app::{Answer, TestApp};

/// What a route or a command needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Needs {
    /// Nothing: it answers everybody.
    Nothing,
    /// Somebody.
    SignedIn,
    /// To see the service.
    See,
    /// To change something of the service.
    Brake,
    /// To write the VirtualService where it lives.
    Far,
    /// To write workloads.
    Workloads,
    /// To have made the thing: others do not know of it.
    Own,
    /// To have made the template, or the right to change all of them: others are refused.
    Made,
    /// To have made it, among those who see the service.
    Acted,
    /// The demo: it is not there.
    DemoOnly,
    /// A right of its own, which other tests walk with everybody (`web::sessions`, `web::session_list`).
    Elsewhere,
}

/// What somebody gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Want {
    Pass,
    Forbidden,
    Hidden,
}

fn want(needs: Needs, token: &str) -> Want {
    let sees = matches!(token, OWNER | SECOND | ROUTES_ONLY | LOOKS);
    let all = matches!(token, OWNER | SECOND);
    let of = |may: bool| match (may, sees) {
        (true, _) => Want::Pass,
        (false, true) => Want::Forbidden,
        (false, false) => Want::Hidden,
    };
    match needs {
        Needs::Nothing | Needs::SignedIn | Needs::Elsewhere => Want::Pass,
        Needs::See => of(sees),
        Needs::Brake => of(all || token == ROUTES_ONLY),
        Needs::Far | Needs::Workloads => of(all),
        Needs::Acted => of(token == OWNER),
        // Templates are everybody's: who made one, or may change all of them.
        Needs::Made => {
            if all {
                Want::Pass
            } else {
                Want::Forbidden
            }
        }
        Needs::Own if token == OWNER => Want::Pass,
        Needs::Own | Needs::DemoOnly => Want::Hidden,
    }
}

/// The row of a route: what it needs, and what is sent. `None` = nobody has thought of it.
fn row(method: &Method, path: &str) -> Option<(Needs, Value)> {
    let weights =
        || json!({"weights": {"v1": 90, "v2": 10}, "reason": "r", "ack": ["big_jump", "no_metrics"]});
    let fields = json!({"w.v1": "90", "w.v2": "10", "w.v3": "0", "base_revision": "1", "reason": "r"});
    let spec = wish("reviews");
    let template = json!({"strategy": "canary", "steps": spec["steps"]});
    let get = *method == Method::GET;
    let nothing = Value::Null;
    let api = path.strip_prefix("/api/v1");
    // The pages have an address for each command.
    let said = path.strip_prefix("/releases/{id}/").filter(|said| *said != "{word}");
    if let Some(said) = said {
        let word = Word::ALL.into_iter().find(|word| word.as_str().replace('_', "-") == said)?;
        return Some(if !get {
            (needs_of(word, "far"), form_of(word))
        } else if matches!(word, Word::Pause | Word::Resume) {
            // They ask nothing: it leads to the release.
            (Needs::SignedIn, nothing)
        } else {
            (Needs::See, nothing)
        });
    }
    Some(match (method.as_str(), api.unwrap_or(path)) {
        ("GET", "/healthz" | "/readyz" | "/static/{name}" | "/login" | "/api/openapi.json") => {
            (Needs::Nothing, nothing)
        }
        // What sign-in does is another test's.
        ("POST", "/login") => (Needs::Nothing, json!({"token": OWNER})),
        (
            "GET",
            "/"
            | "/services"
            | "/releases"
            | "/releases/new"
            | "/audit"
            | "/audit/as-of"
            | "/audit.csv"
            | "/audit.json"
            | "/api/docs"
            | "/me"
            | "/audit/export"
            | "/releases/drafts"
            | "/releases/templates"
            | "/sessions",
        ) => (Needs::SignedIn, nothing),
        ("POST", "/sessions/revoke" | "/sessions/{session}/revoke")
        | ("DELETE", "/sessions" | "/sessions/{session}") => (Needs::Elsewhere, nothing),
        ("POST", "/logout") => (Needs::SignedIn, json!({})),
        (
            "GET",
            "/events"
            | "/services/{namespace}/{name}"
            | "/services/{namespace}/{name}/as-of"
            | "/services/{namespace}/{name}/traffic/takeover"
            | "/services/{namespace}/{name}/traffic/switch-back"
            | "/services/{namespace}/{name}/traffic/retire"
            | "/services/{namespace}/{name}/objects/{kind}/{object_namespace}/{object}"
            | "/releases/{id}"
            | "/releases/{id}/timeline"
            | "/releases/{id}/judgements"
            | "/audit/{id}",
        ) => (Needs::See, nothing),
        // The page shows why it cannot be: it is no refusal of the page.
        ("POST", "/services/{namespace}/{name}/traffic/preview") if api.is_none() => (Needs::See, fields),
        ("POST", "/services/{namespace}/{name}/rules/edit") => (Needs::See, json!({"do": "add"})),
        // Other weights than those that the next route leaves: where nothing changes, nothing needs a right.
        ("POST", "/services/{namespace}/{name}/traffic/preview") => {
            (Needs::Far, json!({"weights": {"v1": 80, "v2": 20, "v3": 0}, "reason": "r"}))
        }
        ("PUT", "/services/{namespace}/{name}/traffic") => (Needs::Far, weights()),
        ("POST", "/services/{namespace}/{name}/traffic/apply") => (Needs::Far, fields),
        ("POST", "/services/{namespace}/{name}/traffic/takeover") => {
            (Needs::Far, json!({"version": "v2", "reason": "r"}))
        }
        // It has traffic: whoever may delete it gets that answer, and the next one finds it.
        ("POST", "/services/{namespace}/{name}/traffic/retire") => {
            (Needs::Workloads, json!({"version": "v1", "confirm": "reviews v1", "reason": "r"}))
        }
        ("POST", "/services/{namespace}/{name}/traffic/switch-back") if api.is_none() => {
            (Needs::Far, json!({"revision": "1"}))
        }
        ("POST", "/services/{namespace}/{name}/traffic/switch-back") => (Needs::Far, json!({"revision": 1})),
        ("POST", "/releases/plan") => (Needs::See, json!({"spec": spec})),
        ("POST", "/releases") if api.is_some() => (Needs::Far, json!({"spec": spec, "reason": "r"})),
        ("POST", "/releases/{id}/commands") => (Needs::Far, json!({"command": "promote"})),
        ("POST", "/audit/{id}/reasons" | "/audit/{id}/reason") => (Needs::Acted, json!({"reason": "later"})),
        ("POST", "/releases") => (
            Needs::Far,
            json!({"strategy": "canary", "service": "bookinfo/reviews", "stable": "v1", "from": "adopt",
                "adopt": "v2", "s.0.kind": "weight", "s.0.percent": "100", "deadline": "10", "reason": "r"}),
        ),
        ("POST", "/releases/drafts") if api.is_some() => {
            (Needs::SignedIn, json!({"fields": {"version": "v9"}}))
        }
        ("POST", "/releases/drafts") => (Needs::SignedIn, json!({"strategy": "canary", "version": "v9"})),
        ("GET" | "DELETE", "/releases/drafts/{draft}") => (Needs::Own, nothing),
        ("PUT", "/releases/drafts/{draft}") => (Needs::Own, json!({"fields": {"version": "v9"}})),
        ("PUT", "/releases/templates/{template}") => (Needs::Made, template),
        ("DELETE", "/releases/templates/{template}") => (Needs::Made, nothing),
        ("GET", "/demo/bookinfo/productpage" | "/demo/weather") | ("POST", "/demo/weather") => {
            (Needs::DemoOnly, if get { nothing } else { json!({}) })
        }
        _ => return None,
    })
}

/// Pages that show every service by name: the examples of the API's description.
const EXAMPLES: [&str; 3] = ["/api/docs", "/api/openapi.json", "/static/app.css"];

struct Visitor {
    token: &'static str,
    cookie: String,
    csrf: String,
}

/// Whose turn it is: those who may do nothing first, the owner last.
async fn visitors(app: &TestApp) -> Vec<Visitor> {
    let mut out = Vec::new();
    for token in [NOBODY, ELSEWHERE, PORTAL, LOOKS, ROUTES_ONLY, SECOND, OWNER] {
        let cookie = app.sign_in(token).await;
        let csrf = app.csrf(&cookie).await;
        out.push(Visitor { token, cookie, csrf });
    }
    assert_eq!(out.len(), EVERYBODY.len());
    out
}

/// Sends it as a program or as a page, whichever the route is for.
async fn send(app: &TestApp, who: &Visitor, method: &str, path: &str, api: bool, body: &Value) -> Answer {
    let ask = app.ask(method, path);
    if api {
        let ask = ask.token(who.token);
        // What would be too late is refused before anybody's right is asked for.
        let ask = if method == "PUT" && path.ends_with("/traffic") {
            let seen = app.ask("GET", path.trim_end_matches("/traffic")).token(OWNER).send().await;
            ask.header("if-match", seen.header("etag"))
        } else {
            ask
        };
        return if body.is_null() { ask.send().await } else { ask.json(body).send().await };
    }
    let ask = ask.header("cookie", &who.cookie).header("sec-fetch-site", "same-origin");
    let Some(fields) = body.as_object() else { return ask.send().await };
    let mut pairs = vec![("csrf", who.csrf.as_str())];
    pairs.extend(fields.iter().map(|(name, value)| (name.as_str(), value.as_str().unwrap_or_default())));
    ask.form(&pairs).send().await
}

#[track_caller]
fn check(answer: &Answer, want: Want, what: &str) {
    assert!(answer.status < 500, "{what}: {} {}", answer.status, answer.body);
    let got = match answer.status {
        401 => panic!("{what}: nobody is somebody here"),
        403 => Want::Forbidden,
        404 => Want::Hidden,
        _ => Want::Pass,
    };
    assert_eq!(got, want, "{what}: {} {}", answer.status, answer.body);
}

#[track_caller]
fn check_silence(answer: &Answer, token: &str, path: &str, what: &str) {
    if !matches!(token, OWNER | SECOND) {
        assert!(
            !answer.body.contains(SECRET),
            "{what}: shows what only `platform` may read: {}",
            answer.body
        );
    }
    // A draft holds what its owner typed.
    let own = path.contains("/drafts");
    if !own
        && !EXAMPLES.contains(&path)
        && matches!(token, ELSEWHERE | NOBODY | PORTAL)
        && answer.status < 400
    {
        assert!(!answer.body.contains("bookinfo/reviews"), "{what}: names what is hidden: {}", answer.body);
    }
}

/// Nothing moves any more.
async fn end_all(app: &TestApp) {
    let active = app.ask("GET", &format!("{RELEASES}?show=active")).token(OWNER).send().await.json();
    for release in active["items"].as_array().unwrap() {
        let id = release["id"].as_str().unwrap();
        command(app, OWNER, id, &json!({"command": "abort"})).await;
        until(app, id, "its end", |release| release["ended"] == true).await;
    }
}

/// Walks every route for which `pick` says so.
async fn walk(app: &TestApp, release: &str, pick: impl Fn(&str) -> bool) {
    let draft = app.ask("POST", &format!("{RELEASES}/drafts")).token(OWNER);
    let draft = draft.json(&json!({"fields": {"version": "v1"}})).send().await.json();
    let template = json!({"strategy": "canary", "steps": wish("reviews")["steps"]});
    let kept =
        app.ask("PUT", &format!("{RELEASES}/templates/Weekend")).token(OWNER).json(&template).send().await;
    assert_eq!(kept.status, 200, "{}", kept.body);
    let entry = &super::history(app, "service=bookinfo/reviews&actor=olga").await[0]["id"];
    let visitors = visitors(app).await;
    let mut unknown = Vec::new();
    let mut last = Vec::new();
    for route in routes() {
        let Some((needs, body)) = row(&route.method, &route.path) else {
            unknown.push(format!("{} {}", route.method, route.path));
            continue;
        };
        if !pick(&route.path) || needs == Needs::Elsewhere {
            continue;
        }
        let id = if route.path.contains("/releases/") { release.to_owned() } else { entry.to_string() };
        let path = super::super::frame::filled(&route.path.replace("{id}", &id))
            .replace("/d1", &format!("/{}", draft["id"].as_str().unwrap()));
        let path = match (&route.method, path.starts_with("/services/"), path.rsplit('/').next()) {
            (&Method::GET, true, Some("takeover" | "retire")) => format!("{path}?version=v2"),
            (&Method::GET, true, Some("switch-back")) => format!("{path}?revision=0"),
            // The DestinationRule is where all may read it; what few may read is another test's.
            _ => path.replace("/objects/VirtualService", "/objects/DestinationRule"),
        };
        let path = if path == "/events" { "/events?topic=service:bookinfo/reviews".to_owned() } else { path };
        let api = route.path.starts_with("/api/v1") || route.path == "/events";
        if route.path == "/logout" {
            last.push((needs, path, body));
            continue;
        }
        for who in &visitors {
            let what = format!("{} {path} by {}", route.method, who.token);
            let before = written(app);
            let wanted = want(needs, who.token);
            if route.path == "/events" {
                let (status, _) = app.ask("GET", &path).token(who.token).open().await;
                assert_eq!(status, if wanted == Want::Pass { 200 } else { 404 }, "{what}");
                continue;
            }
            let answer = send(app, who, route.method.as_str(), &path, api, &body).await;
            check(&answer, wanted, &what);
            check_silence(&answer, who.token, &path, &what);
            if route.method == Method::DELETE && path.contains("/templates/") && wanted == Want::Pass {
                // The next one finds it again.
                app.ask("PUT", &path).token(OWNER).json(&template).send().await;
            }
            if wanted != Want::Pass || matches!(needs, Needs::See | Needs::SignedIn) {
                assert!(written(app) == before, "{what} wrote something");
            } else if path.contains("/releases/R-") {
                // What it led to is over before the next one asks.
                let settled = format!("{RELEASES}/{release}?wait=20");
                app.ask("GET", &settled).token(OWNER).send().await;
            } else if route.method == Method::POST && path.ends_with("/releases") {
                end_all(app).await;
            }
        }
    }
    for (needs, path, body) in last {
        for who in &visitors {
            let answer = send(app, who, "POST", &path, false, &body).await;
            check(&answer, want(needs, who.token), &path);
        }
    }
    assert!(unknown.is_empty(), "not in the table of rights: {unknown:#?}");
}

#[tokio::test]
async fn every_route_with_every_person_where_nothing_moves() {
    let app = town().await;
    let made = app.ask("PUT", FAR).token(OWNER).header("if-match", "\"0\"");
    let body = json!({"weights": {"v1": 80, "v2": 20}, "reason": "r", "ack": ["big_jump", "no_metrics"]});
    let made = made.json(&body).send().await;
    assert_eq!(made.status, 200, "{}", made.body);
    walk(&app, "R-1", |path| !path.contains("/releases/{id}")).await;
}

#[tokio::test]
async fn every_route_of_a_release_with_every_person() {
    let app = town().await;
    let id = waiting(&app, &wish("reviews")).await;
    walk(&app, &id, |path| path.contains("/releases/{id}")).await;
}

/// What a command needs, by what the release moves.
fn needs_of(word: Word, kind: &str) -> Needs {
    let needs = match word {
        // A switch back is not legal here; what it writes is judged when it is (`escalations`).
        Word::Pause | Word::Abort | Word::SwitchBack => Needs::Brake,
        Word::Start
        | Word::Resume
        | Word::Promote
        | Word::PromoteAll
        | Word::Rollback
        | Word::Retry
        | Word::ChangeSteps => Needs::Far,
        Word::Retire | Word::DeleteVersion => Needs::Workloads,
    };
    match kind {
        // Without a mesh it is pods that are moved, by every command.
        "pods" => Needs::Workloads,
        "near" if needs == Needs::Far => Needs::Brake,
        _ => needs,
    }
}

fn body_of(word: Word, service: &str) -> Value {
    match word {
        Word::Rollback => json!({"command": "rollback", "revision": 0}),
        Word::ChangeSteps => {
            json!({"command": "change_steps", "reason": "r", "steps": [{"kind": "weight", "percent": 100}]})
        }
        Word::Retire => json!({"command": "retire", "reason": "r", "confirm": format!("{service} v1")}),
        Word::DeleteVersion => {
            json!({"command": "delete_version", "reason": "r", "confirm": format!("{service} v2")})
        }
        Word::Start
        | Word::Pause
        | Word::Resume
        | Word::Promote
        | Word::PromoteAll
        | Word::Abort
        | Word::SwitchBack
        | Word::Retry => json!({"command": word.as_str(), "reason": "r"}),
    }
}

/// The same as a form of the pages.
fn form_of(word: Word) -> Value {
    match word {
        Word::Rollback => json!({"revision": "0"}),
        Word::ChangeSteps => {
            json!({"do": "change", "reason": "r", "s.0.kind": "weight", "s.0.percent": "100"})
        }
        Word::Retire => json!({"reason": "r", "confirm": "reviews v1"}),
        Word::DeleteVersion => json!({"reason": "r", "confirm": "reviews v2"}),
        _ => json!({"reason": "r"}),
    }
}

async fn walk_commands(service: &str, kind: &str, spec: Value) {
    let app = town().await;
    let id = waiting(&app, &spec).await;
    for token in [NOBODY, ELSEWHERE, PORTAL, LOOKS, ROUTES_ONLY, SECOND, OWNER] {
        // Refusals first: what passes may end the release.
        let mut words = Word::ALL.to_vec();
        words.sort_by_key(|word| want(needs_of(*word, kind), token) == Want::Pass);
        for word in words {
            let wanted = want(needs_of(word, kind), token);
            let before = written(&app);
            let answer = command(&app, token, &id, &body_of(word, service)).await;
            let what = format!("{} of {kind} by {token}", word.as_str());
            check(&answer, wanted, &what);
            check_silence(&answer, token, "", &what);
            if wanted != Want::Pass {
                assert!(written(&app) == before, "{what} wrote something");
            }
        }
    }
}

#[tokio::test]
async fn every_command_by_everybody_where_the_route_is_in_another_namespace() {
    walk_commands("reviews", "far", wish("reviews")).await;
}

#[tokio::test]
async fn every_command_by_everybody_where_the_route_is_near() {
    walk_commands("ratings", "near", wish("ratings")).await;
}

#[tokio::test]
async fn every_command_by_everybody_where_pods_are_moved() {
    let mut spec = wish("ratings");
    spec["strategy"] = json!("replicas");
    spec["steps"] = json!([{"kind": "replicas", "candidate": 1}, {"kind": "approval"},
        {"kind": "replicas", "candidate": 2}]);
    walk_commands("ratings", "pods", spec).await;
}

/// A release that makes a workload is started by whoever may make one.
#[tokio::test]
async fn a_release_that_makes_a_workload_needs_the_right_to_make_one() {
    let app = town().await;
    let mut spec = wish("ratings");
    spec["candidate"] = json!({"from": "image", "version": "v9", "image": "istio/ratings:9"});
    for (token, wanted) in [(ROUTES_ONLY, Want::Forbidden), (LOOKS, Want::Forbidden), (SECOND, Want::Pass)] {
        let before = written(&app);
        let body = json!({"spec": spec, "reason": "r"});
        let answer = app.ask("POST", RELEASES).token(token).json(&body).send().await;
        check(&answer, wanted, token);
        if wanted == Want::Forbidden {
            assert!(written(&app) == before, "{token} wrote something");
            let none = app.ask("GET", RELEASES).token(OWNER).send().await.json();
            assert_eq!(none["items"], json!([]), "{token}");
        }
    }
}
