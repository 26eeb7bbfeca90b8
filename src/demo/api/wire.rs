//! HTTP: from a request to an answer, with the troubles that were ordered on the way.
//!
//! Called by the tower service, the router and the listener of `mod`. Decides nothing about objects; it finds out
//! what is asked and by whom, and gives the question to `list`, `watch`, `write` or `discovery`.

use std::time::Duration;

use axum::body::Body;
use http::{HeaderMap, Method, Request, Response, header};
use serde_json::{Value, json};

use super::change::{Part, Stamp};
use super::failure::Failure;
use super::faults::{Call, Logged, Trouble, Verb};
use super::fields::Strictness;
use super::kinds::Kind;
use super::object::{Form, meta_text};
use super::people::{Asker, Wish};
use super::request::{ListOptions, Path, Query, Target, WatchOptions, parse_path};
use super::storage::From;
use super::write::{Change, DeleteOptions, Deleted, WriteOptions};
use super::{ApiServer, Dropped, discovery, list, responses, watch};

/// What a real server takes in one body.
pub(super) const BODY_LIMIT: usize = 3 * 1024 * 1024;

const JSON_PATCH: &str = "application/json-patch+json";
const MERGE_PATCH: &str = "application/merge-patch+json";
const STRATEGIC_PATCH: &str = "application/strategic-merge-patch+json";
const APPLY_PATCH: &str = "application/apply-patch+yaml";

/// A request whose resource is known to exist.
struct Asked<'a> {
    target: Target<'a>,
    table: usize,
    kind: &'static Kind,
    query: Query,
    headers: &'a HeaderMap,
    verb: Verb,
    form: Form,
}

impl ApiServer {
    /// Answers one request; `Err` cuts the connection.
    pub(super) async fn answer(&self, request: Request<Vec<u8>>) -> Result<Response<Body>, Dropped> {
        self.thawed().await;
        let (parts, body) = request.into_parts();
        let path = parts.uri.path().to_owned();
        let query = parts.uri.query().unwrap_or_default();
        let known = {
            let header = parts.headers.get(header::AUTHORIZATION).and_then(|h| h.to_str().ok());
            self.people().identify(header)
        };
        let user = known.as_ref().map_or("", |who| who.name.as_str()).to_owned();
        self.note(&parts.method, &path, query, &parts.headers, &body, &user);
        let who = match known {
            Ok(who) => who,
            Err(failure) => return Ok(responses::respond(Err(failure))),
        };
        let parsed = Query::parse(query);
        let target = match parse_path(&path) {
            Path::Resource(target) => target,
            other => return Ok(self.answer_other(&other, &parts.method)),
        };
        // Asked last: it counts down, and a trouble of another kind is not meant.
        if target.group.ends_with(".k8s.io")
            && parts.method == Method::POST
            && let Some(code) = self.faults().meet_review(target.plural)
        {
            return Ok(responses::respond(Err(Failure::trouble(code))));
        }
        if let Some(answer) = self.answer_review(&target, &parts.method, &body, &who) {
            return Ok(responses::respond(answer));
        }
        let Some((table, kind)) = self.kind_of(&target) else { return Ok(responses::page_not_found()) };
        let Some(verb) = verb_of(&parts.method, &target, &parsed) else {
            if kind.custom && parts.method == Method::PUT {
                return Ok(responses::respond(Err(Failure::bad_request("name must be provided"))));
            }
            return Ok(responses::respond(Err(Failure::method_not_allowed(kind))));
        };
        let form = form_of(&parts.headers);
        let asked = Asked { target, table, kind, query: parsed, headers: &parts.headers, verb, form };
        if let Err(failure) = self.people().check(&who, kind, &asked.wish()) {
            return Ok(responses::respond(Err(failure)));
        }
        self.answer_with_trouble(&asked, body, &who).await
    }

    async fn answer_with_trouble(
        &self,
        asked: &Asked<'_>,
        body: Vec<u8>,
        who: &Asker,
    ) -> Result<Response<Body>, Dropped> {
        let call = Call {
            verb: asked.verb,
            plural: asked.kind.plural,
            name: asked.target.name.unwrap_or_default(),
            dry_run: !asked.query.text("dryRun").is_empty(),
        };
        let (mut after, mut body) = (None, body);
        let mut late = Duration::ZERO;
        for trouble in self.faults().meet(&call) {
            match trouble {
                Trouble::Delay(wait) => tokio::time::sleep(wait).await,
                Trouble::DelayAnswer(wait) => late = wait,
                Trouble::Rewrite(patch) => {
                    if let Ok(mut object) = serde_json::from_slice(&body) {
                        json_patch::merge(&mut object, &patch);
                        body = object.to_string().into_bytes();
                    }
                }
                Trouble::Answer(code) => return Ok(responses::respond(Err(Failure::trouble(code)))),
                Trouble::Page(code) => return Ok(responses::page(code)),
                Trouble::Drop => return Err(Dropped),
                Trouble::Forbid => {
                    let why = super::people::refusal(who, &asked.wish());
                    return Ok(responses::respond(Err(Failure::forbidden(asked.kind, call.name, &why))));
                }
                Trouble::Gone => {
                    return Ok(responses::respond(Err(Failure::expired("too old resource version"))));
                }
                applying @ (Trouble::AnswerAfterApplying(_) | Trouble::DropAfterApplying) => {
                    after = Some(applying);
                }
            }
        }
        let answer = responses::respond(self.carry_out(asked, body));
        tokio::time::sleep(late).await;
        match after {
            Some(Trouble::AnswerAfterApplying(code)) => Ok(responses::respond(Err(Failure::trouble(code)))),
            Some(_) => Err(Dropped),
            None => Ok(answer),
        }
    }

    fn carry_out(&self, asked: &Asked<'_>, body: Vec<u8>) -> Result<Response<Body>, Failure> {
        let (table, namespace) = (asked.table, asked.target.namespace.unwrap_or_default());
        let name = asked.target.name.unwrap_or_default();
        match asked.verb {
            Verb::Get => {
                let key = asked.kind.key(namespace, name);
                let found = self.state().tables[table].objects.get(&key).cloned();
                let object = found.ok_or_else(|| Failure::not_found(asked.kind, name))?;
                Ok(responses::object(200, &object, asked.form, &[]))
            }
            Verb::List => {
                let options = ListOptions::parse(asked.kind, &asked.target, &asked.query)?;
                let page = list::page(&self.state(), table, &options)?;
                Ok(responses::json(200, page.body(asked.form)))
            }
            Verb::Watch => self.begin_watch(asked),
            Verb::Create => {
                let options = self.write_options(asked)?;
                let written = self.create(table, namespace, parse_body(&body)?, &options)?;
                Ok(responses::written(&written, asked.form))
            }
            Verb::Update => {
                let options = self.write_options(asked)?;
                let written = self.update(table, namespace, name, parse_body(&body)?, &options)?;
                Ok(responses::written(&written, asked.form))
            }
            Verb::Patch => {
                let options = self.write_options(asked)?;
                let change = parse_patch(asked, &body)?;
                let written = self.patch(table, namespace, name, &change, &options)?;
                Ok(responses::written(&written, asked.form))
            }
            Verb::Delete => {
                let options = delete_options(asked, &body)?;
                Ok(match self.remove(table, namespace, name, &options)? {
                    Deleted::Object(object) => responses::object(200, &object, asked.form, &[]),
                    Deleted::Status(status) => responses::json(200, Body::from(status.to_string())),
                })
            }
            Verb::DeleteCollection => {
                let options = ListOptions::parse(asked.kind, &asked.target, &asked.query)?;
                let deleting = delete_options(asked, &body)?;
                let page = list::page(&self.state(), table, &options)?;
                for (namespace, name) in page.names() {
                    match self.remove(table, &namespace, &name, &deleting) {
                        // Another client deleted it first, which is the wanted state.
                        Err(failure) if failure.code != 404 => return Err(failure),
                        _ => {}
                    }
                }
                Ok(responses::json(200, page.body(asked.form)))
            }
        }
    }

    fn begin_watch(&self, asked: &Asked<'_>) -> Result<Response<Body>, Failure> {
        let options = WatchOptions::parse(asked.kind, &asked.target, &asked.query)?;
        let begun = self.state().watch(asked.table, options.scope.clone(), options.from);
        let body = match (begun, options.from) {
            (Ok(begun), _) => watch::body(self, asked.kind, asked.form, options, begun),
            (Err(oldest), From::After(after)) => watch::expired_body(after, oldest),
            (Err(oldest), _) => watch::expired_body(options.version, oldest),
        };
        Ok(responses::json(200, body))
    }

    fn write_options(&self, asked: &Asked<'_>) -> Result<WriteOptions, Failure> {
        let agent = asked.headers.get(header::USER_AGENT).and_then(|h| h.to_str().ok()).unwrap_or_default();
        let manager = match asked.query.text("fieldManager") {
            "" => agent.split('/').next().filter(|a| !a.is_empty()).unwrap_or("unknown"),
            named => named,
        };
        let strictness = match asked.query.text("fieldValidation") {
            "Strict" => Strictness::Strict,
            "Ignore" => Strictness::Ignore,
            "" | "Warn" => Strictness::Warn,
            other => {
                return Err(Failure::bad_request(format!(
                    "fieldValidation: Unsupported value: \"{other}\": supported values: \"Ignore\", \"Strict\", \"Warn\""
                )));
            }
        };
        Ok(WriteOptions {
            dry_run: asked.query.dry_run(asked.kind)?,
            strictness,
            part: if asked.target.subresource == Some("status") { Part::Status } else { Part::Main },
            stamp: Stamp { now: self.now(), manager: manager.to_owned() },
        })
    }

    fn answer_other(&self, path: &Path<'_>, method: &Method) -> Response<Body> {
        if *method != Method::GET {
            return responses::page_not_found();
        }
        let kinds = self.kinds();
        let document = match path {
            Path::Health => return responses::text(200, "text/plain; charset=utf-8", "ok"),
            Path::Version => Some(discovery::version()),
            Path::CoreVersions => Some(discovery::core_versions()),
            Path::Groups => Some(discovery::groups(&kinds)),
            Path::Group(name) => discovery::group(&kinds, name),
            Path::Resources { group, version } => discovery::resources(&kinds, group, version),
            Path::Resource(_) | Path::Unknown => None,
        };
        document.map_or_else(responses::page_not_found, |d| responses::json(200, Body::from(d.to_string())))
    }

    /// `TokenReview` and `SubjectAccessReview` are answered, not stored.
    fn answer_review(
        &self,
        target: &Target<'_>,
        method: &Method,
        body: &[u8],
        who: &Asker,
    ) -> Option<Result<Response<Body>, Failure>> {
        if *method != Method::POST || target.version != "v1" || target.name.is_some() {
            return None;
        }
        let people = self.people();
        let wish = Wish {
            verb: "create",
            group: target.group,
            resource: target.plural,
            subresource: "",
            namespace: "",
            name: "",
        };
        let review = match parse_body(body) {
            Ok(review) => review,
            Err(failure) => return Some(Err(failure)),
        };
        let answer = match (target.group, target.plural) {
            ("authentication.k8s.io", "tokenreviews") => people.token_review(review),
            ("authorization.k8s.io", "subjectaccessreviews") => people.access_review(review, None),
            // Everybody may ask about themselves.
            ("authorization.k8s.io", "selfsubjectaccessreviews") => {
                let answer = people.access_review(review, Some(who));
                return Some(Ok(responses::json(201, Body::from(answer.to_string()))));
            }
            _ => return None,
        };
        if !people.may(who, &wish) {
            let why = super::people::refusal(who, &wish);
            let mut failure = Failure::forbidden(&super::kinds::KINDS[0], "", &why);
            failure.message = format!("{}.{} is forbidden: {why}", target.plural, target.group);
            failure.details.insert("group".into(), target.group.into());
            failure.details.insert("kind".into(), target.plural.into());
            return Some(Err(failure));
        }
        Some(Ok(responses::json(201, Body::from(answer.to_string()))))
    }

    fn note(&self, method: &Method, path: &str, query: &str, headers: &HeaderMap, body: &[u8], user: &str) {
        let resource_version = if body.is_empty() {
            Some(Query::parse(query).text("resourceVersion").to_owned())
        } else {
            serde_json::from_slice::<Value>(body).ok().map(|v| meta_text(&v, "resourceVersion").to_owned())
        };
        let agent = headers.get(header::USER_AGENT).and_then(|h| h.to_str().ok()).unwrap_or_default();
        self.faults().note(Logged {
            method: method.to_string(),
            path: path.to_owned(),
            query: query.to_owned(),
            resource_version: resource_version.filter(|v| !v.is_empty()),
            user: user.to_owned(),
            agent: agent.to_owned(),
        });
    }

    fn kind_of(&self, target: &Target<'_>) -> Option<(usize, &'static Kind)> {
        let state = self.state();
        let table = state.table_of(target.group, target.version, target.plural)?;
        let kind = state.tables[table].kind;
        let placed = match (kind.namespaced, target.namespace, target.name) {
            (true, None, Some(_)) | (false, Some(_), _) => false,
            (true, ..) | (false, None, _) => true,
        };
        let part = match target.subresource {
            None => true,
            Some("status") => kind.status,
            Some(_) => false,
        };
        (placed && part).then_some((table, kind))
    }
}

impl Asked<'_> {
    fn wish(&self) -> Wish<'_> {
        // The permission to read or write a namespace is asked inside that namespace.
        let namespace = match (self.kind.kind, self.target.name) {
            ("Namespace", Some(name)) => name,
            _ => self.target.namespace.unwrap_or_default(),
        };
        Wish {
            verb: self.verb.word(),
            group: self.kind.group,
            resource: self.kind.plural,
            subresource: self.target.subresource.unwrap_or_default(),
            namespace,
            name: self.target.name.unwrap_or_default(),
        }
    }
}

fn verb_of(method: &Method, target: &Target<'_>, query: &Query) -> Option<Verb> {
    let watches = query.flag("watch") == Some(true);
    match (method.as_str(), target.name) {
        ("GET", None) if watches => Some(Verb::Watch),
        ("GET", None) => Some(Verb::List),
        ("GET", Some(_)) => Some(Verb::Get),
        ("POST", None) => Some(Verb::Create),
        ("PUT", Some(_)) => Some(Verb::Update),
        ("PATCH", Some(_)) => Some(Verb::Patch),
        ("DELETE", Some(_)) => Some(Verb::Delete),
        ("DELETE", None) => Some(Verb::DeleteCollection),
        _ => None,
    }
}

fn form_of(headers: &HeaderMap) -> Form {
    let accept = headers.get(header::ACCEPT).and_then(|h| h.to_str().ok()).unwrap_or_default();
    if accept.contains("as=PartialObjectMetadata") { Form::Metadata } else { Form::Full }
}

fn parse_body(body: &[u8]) -> Result<Value, Failure> {
    if body.len() > BODY_LIMIT {
        return Err(Failure::too_large(BODY_LIMIT));
    }
    serde_json::from_slice(body).map_err(|error| {
        Failure::bad_request(format!("the object provided is unrecognized (must be of type JSON): {error}"))
    })
}

fn parse_patch(asked: &Asked<'_>, body: &[u8]) -> Result<Change, Failure> {
    let sent = asked.headers.get(header::CONTENT_TYPE).and_then(|h| h.to_str().ok()).unwrap_or_default();
    let value = |body: &[u8]| {
        serde_json::from_slice::<Value>(body)
            .map_err(|error| Failure::bad_request(format!("error decoding patch: {error}")))
    };
    match sent.split(';').next().unwrap_or_default().trim() {
        JSON_PATCH => serde_json::from_slice(body)
            .map(Change::Json)
            .map_err(|error| Failure::bad_request(format!("error decoding patch: {error}"))),
        MERGE_PATCH => value(body).map(Change::Merge),
        // Lists with merge keys are replaced whole here; nothing that Sluice does depends on them.
        STRATEGIC_PATCH if !asked.kind.custom => value(body).map(Change::Merge),
        _ if asked.kind.custom => Err(Failure::unsupported_patch(&[JSON_PATCH, MERGE_PATCH, APPLY_PATCH])),
        _ => Err(Failure::unsupported_patch(&[JSON_PATCH, MERGE_PATCH, STRATEGIC_PATCH, APPLY_PATCH])),
    }
}

fn delete_options(asked: &Asked<'_>, body: &[u8]) -> Result<DeleteOptions, Failure> {
    let sent = if body.is_empty() { json!({}) } else { parse_body(body)? };
    let text = |key: &str| sent["preconditions"][key].as_str().map(str::to_owned);
    // As in Kubernetes: the address counts only where there is no body.
    let of_query = asked.query.dry_run(asked.kind)?;
    let of_body = sent["dryRun"].as_array().is_some_and(|list| list.iter().any(|v| v == "All"));
    let dry_run = if body.is_empty() { of_query } else { of_body };
    Ok(DeleteOptions { uid: text("uid"), resource_version: text("resourceVersion"), dry_run })
}
