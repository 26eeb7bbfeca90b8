//! Releases through the API: list, plan, create and start, command, wait. Each decision is made by
//! `services::releases`.

use std::time::Duration;

use axum::extract::State;
use axum::response::Response;
use serde_json::{Value, json};

use super::changes::{Call, Done, once, permit_plan, permit_word};
use super::effect::OutsideEdit;
use super::extract::{JsonBody, Query, ReleaseAt, bad_query, idempotency_key, if_match, request_hash};
use super::json::Node;
use super::release_body::{CommandBody, PlanBody, ReleaseBody};
use super::release_shape::{Event, Judgement, Judgements, Plan, Release, Releases, Timeline};
use super::services::tag;
use super::waiting::WaitingPod;
use super::words::{Key, ReleaseName, ReleaseShow as ShowWord, ServicePath, Tag, Words};
use crate::domain::ids::ServiceRef;
use crate::domain::refusal::{Code, Refusal};
use crate::domain::release::exact::exactly;
use crate::domain::release::{self as words, Command, ReleaseId, Spec, Word, validate};
use crate::services::releases::{CommandAsk, ReleaseAsk, ReleaseShow, Until};
use crate::web::auth::Who;
use crate::web::caller::Caller;
use crate::web::error::Failure;
use crate::web::gate::Place;
use crate::web::respond;
use crate::web::site::App;

/// The releases that you may see: those that wait for a person first, then those in progress, then those that were not
/// started, then those that ended; the newest of each first. One whose state changes while you page may be listed
/// twice or left out: begin again, or follow the events.
#[utoipa::path(
    get,
    path = "/api/v1/releases",
    operation_id = "listReleases",
    tag = "releases",
    params(
        ("show" = inline(Option<ShowWord>), Query, description = "`all` (default), `active`, `attention`, `done`."),
        ("service" = inline(Option<ServicePath>), Query, description = "`namespace/name`."),
        ("q" = inline(Option<Words>), Query, description = "A part of service, version, image or number."),
        ("limit" = Option<i32>, Query, description = "Releases on a page.", minimum = 1, maximum = 500),
        ("cursor" = Option<String>, Query, description = "`next` of the page before."),
    ),
    responses((status = 200, description = "A page of releases.", body = Releases))
)]
pub async fn list(
    State(app): State<App>,
    who: Who,
    caller: Caller,
    mut query: Query,
) -> Result<Response, Failure> {
    let text = query.take("q").unwrap_or_default();
    if text.chars().count() > 200 {
        return Err(bad_query("q", "at most 200 characters are expected").into());
    }
    let service = query.take("service").map(|path| {
        ServiceRef::parse_path(&path).map_err(|_| bad_query("service", "namespace/name is expected"))
    });
    let ask = ReleaseAsk {
        show: match query.take("show").as_deref() {
            None | Some("all") => ReleaseShow::All,
            Some("active") => ReleaseShow::Active,
            Some("attention") => ReleaseShow::Attention,
            Some("done") => ReleaseShow::Done,
            Some(_) => return Err(bad_query("show", "all, active, attention or done is expected").into()),
        },
        text,
        service: service.transpose()?,
        limit: query.limit()?,
        cursor: query.take("cursor"),
    };
    query.finish()?;
    let page = app.services.releases(&who.actor, &ask).await?;
    let (lang, trouble) = (caller.lang(), app.services.history_trouble());
    let shape = |release| Release::of(lang, release).waiting_for(lang, trouble.as_ref());
    Ok(respond::json(&Releases {
        items: page.items.iter().map(shape).collect(),
        next: page.next,
        active: page.active,
    }))
}

/// One release as it stands.
#[utoipa::path(
    get,
    path = "/api/v1/releases/{id}",
    operation_id = "getRelease",
    tag = "releases",
    params(
        ("id" = inline(ReleaseName), Path, description = "`R-1042` or `1042`."),
        ("wait" = Option<i32>, Query, description = "Waits at most so many seconds until it is paused or at its end.", minimum = 0, maximum = 60),
    ),
    responses((
        status = 200,
        description = "The release.",
        body = Release,
        headers(("ETag" = String, description = "The `seq`, in quotes."))
    ))
)]
pub async fn one(
    State(app): State<App>,
    who: Who,
    caller: Caller,
    ReleaseAt(id): ReleaseAt,
    place: Place,
    mut query: Query,
) -> Result<Response, Failure> {
    let wait = wait(&mut query)?;
    query.finish()?;
    let release = settled(&app, &who, &place, id, wait).await?;
    let outside = app.services.difference(&who.actor, &release).await?;
    let outside = outside.as_ref().map(OutsideEdit::of);
    let versions = app.services.lacking_pods(&release);
    let waiting_pods = versions.iter().flat_map(WaitingPod::all).collect();
    let (lang, trouble) = (caller.lang(), app.services.history_trouble());
    let shape = Release::of(lang, &release).waiting_for(lang, trouble.as_ref());
    let mut response = respond::json(&Release { outside, waiting_pods, ..shape });
    tag(&mut response, release.seq);
    Ok(response)
}

/// A wish as the document shows it.
fn example() -> Value {
    json!({
        "service": {"namespace": "bookinfo", "name": "reviews"}, "strategy": "canary", "stable": "v1",
        "candidate": {"from": "image", "version": "v4", "image": "registry.example/bookinfo/reviews:1.19.0"},
        "steps": [{"kind": "weight", "percent": 5}, {"kind": "hold", "seconds": 300}, {"kind": "weight", "percent": 50},
            {"kind": "approval"}, {"kind": "weight", "percent": 100}],
        "analysis": {"interval_s": 30, "window_s": 60, "min_requests": 100, "failures": 3,
            "metrics": [{"metric": "success_rate", "limit": {"absolute": 99.0}}]}
    })
}

/// What a release would do, and everything that stands in its way. Writes nothing.
#[utoipa::path(
    post,
    path = "/api/v1/releases/plan",
    operation_id = "planRelease",
    tag = "releases",
    request_body(content = PlanBody, example = json!({"spec": example()})),
    responses((status = 200, description = "The plan; what would refuse it stands in `errors`.", body = Plan))
)]
pub async fn plan(
    State(app): State<App>,
    who: Who,
    caller: Caller,
    query: Query,
    body: JsonBody,
) -> Result<Response, Failure> {
    query.finish()?;
    let mut fields = Fields::of(body.node)?;
    let spec = fields.spec()?;
    fields.finish()?;
    let spec = readable(&spec)?;
    permit_plan(&app, &who)?;
    let plan = app.services.plan_release(&who.actor, &spec).await?;
    Ok(respond::json(&Plan::of(caller.lang(), plan)))
}

/// Makes a release and (unless `start` is false) starts it. With `wait` it answers when it is paused or at its end.
#[utoipa::path(
    post,
    path = "/api/v1/releases",
    operation_id = "createRelease",
    tag = "releases",
    params(
        ("wait" = Option<i32>, Query, description = "Waits at most so many seconds until it is paused or at its end.", minimum = 0, maximum = 60),
        ("Idempotency-Key" = inline(Option<Key>), Header, description = "Sent again with the same request, the first answer is given again (24 hours)."),
    ),
    request_body(content = ReleaseBody, example = json!({"spec": example(), "reason": "REV-231 star ratings"})),
    responses((
        status = 200,
        description = "The release.",
        body = Release,
        headers(("ETag" = String, description = "The `seq`, in quotes."))
    ))
)]
pub async fn create(
    State(app): State<App>,
    who: Who,
    caller: Caller,
    mut query: Query,
    call: Call,
    body: JsonBody,
) -> Result<Response, Failure> {
    let wait = wait(&mut query)?;
    query.finish()?;
    let mut fields = Fields::of(body.node)?;
    let (value, reason) = (fields.spec()?, fields.text("reason")?.unwrap_or_default());
    let start = fields.flag("start")?.unwrap_or(true);
    fields.finish()?;
    permit_word(&app, &who, Word::Start)?;
    let key = idempotency_key(&call.headers)?;
    let hash = request_hash(call.method.as_str(), call.uri.path(), None, &body.bytes);
    let (request, lang) = (caller.request_id.to_string(), caller.lang());
    once(app.clone(), who.clone(), caller, key, hash, async move {
        let spec = validate::read(&value).map_err(Failure::all)?;
        let services = &app.services;
        let made = if start {
            Box::pin(services.start_release(&who.actor, spec, &reason, &request)).await
        } else {
            Box::pin(services.create_release(&who.actor, spec, &reason, &request)).await
        };
        let mut release = made.map_err(Failure::all)?;
        if start && !wait.is_zero() {
            release = settled(&app, &who, &call.place, release.id, wait).await?;
        }
        Ok(done(lang, &release))
    })
    .await
}

/// Says something to a release. Which commands are legal now stands in its `commands`.
#[utoipa::path(
    post,
    path = "/api/v1/releases/{id}/commands",
    operation_id = "commandRelease",
    tag = "releases",
    params(
        ("id" = inline(ReleaseName), Path, description = "`R-1042` or `1042`."),
        ("wait" = Option<i32>, Query, description = "Waits at most so many seconds until it is paused or at its end.", minimum = 0, maximum = 60),
        ("If-Match" = inline(Option<Tag>), Header, description = "The `seq` that you saw, in quotes. Going back is never too late; an approval by a second person must name it."),
        ("Idempotency-Key" = inline(Option<Key>), Header, description = "Sent again with the same request, the first answer is given again (24 hours)."),
    ),
    request_body(content = CommandBody, example = json!({"command": "promote", "reason": "looks fine"})),
    responses((
        status = 200,
        description = "The release after it.",
        body = Release,
        headers(("ETag" = String, description = "The `seq`, in quotes."))
    ))
)]
pub async fn command(
    State(app): State<App>,
    who: Who,
    caller: Caller,
    ReleaseAt(id): ReleaseAt,
    mut query: Query,
    call: Call,
    body: JsonBody,
) -> Result<Response, Failure> {
    let wait = wait(&mut query)?;
    query.finish()?;
    let expected = if_match(&call.headers)?;
    let mut fields = Fields::of(body.node)?;
    let reason = fields.text("reason")?.unwrap_or_default();
    let ack = fields.words("ack")?;
    let command = fields.command()?;
    let word = command.word();
    permit_word(&app, &who, word)?;
    let key = idempotency_key(&call.headers)?;
    let hash = request_hash(call.method.as_str(), call.uri.path(), expected, &body.bytes);
    let (request, lang) = (caller.request_id.to_string(), caller.lang());
    once(app.clone(), who.clone(), caller, key, hash, async move {
        let services = &app.services;
        let ask = CommandAsk { command, ack, expected, reason: &reason, request_id: &request };
        let mut release = services.give_command(&who.actor, id, ask).await?;
        if !wait.is_zero() {
            release = settled(&app, &who, &call.place, id, wait).await?;
        }
        Ok(done(lang, &release))
    })
    .await
}

/// What happened to a release, newest first.
#[utoipa::path(
    get,
    path = "/api/v1/releases/{id}/timeline",
    operation_id = "releaseTimeline",
    tag = "releases",
    params(
        ("id" = inline(ReleaseName), Path, description = "`R-1042` or `1042`."),
        ("after" = Option<i64>, Query, description = "Only what came after this `seq`.", minimum = 0),
        ("limit" = Option<i32>, Query, description = "Events on a page.", minimum = 1, maximum = 500),
    ),
    responses((status = 200, description = "Transitions.", body = Timeline))
)]
pub async fn timeline(
    State(app): State<App>,
    who: Who,
    caller: Caller,
    ReleaseAt(id): ReleaseAt,
    mut query: Query,
) -> Result<Response, Failure> {
    let after = query.take("after").map(|text| {
        let known = text.parse::<u64>().ok().filter(|n| i64::try_from(*n).is_ok());
        known.ok_or_else(|| bad_query("after", "a whole number is expected"))
    });
    let (after, limit) = (after.transpose()?, query.limit()?);
    query.finish()?;
    let spec = spec_of(&app, &who, id).await?;
    let entries = app.services.timeline(&who.actor, id, after, limit).await?;
    let items = entries.iter().map(|entry| Event::of(caller.lang(), &spec, entry)).collect();
    Ok(respond::json(&Timeline { items }))
}

/// What was measured and how it was judged, newest first.
#[utoipa::path(
    get,
    path = "/api/v1/releases/{id}/judgements",
    operation_id = "releaseJudgements",
    tag = "releases",
    params(
        ("id" = inline(ReleaseName), Path, description = "`R-1042` or `1042`."),
        ("limit" = Option<i32>, Query, description = "Looks on a page.", minimum = 1, maximum = 500),
    ),
    responses((status = 200, description = "Looks.", body = Judgements))
)]
pub async fn judgements(
    State(app): State<App>,
    who: Who,
    caller: Caller,
    ReleaseAt(id): ReleaseAt,
    mut query: Query,
) -> Result<Response, Failure> {
    let limit = query.limit()?;
    query.finish()?;
    let spec = spec_of(&app, &who, id).await?;
    let looks = app.services.judgements(&who.actor, id, limit).await?;
    let items = looks.iter().map(|look| Judgement::of(caller.lang(), &spec, look)).collect();
    Ok(respond::json(&Judgements { items }))
}

async fn spec_of(app: &App, who: &Who, id: ReleaseId) -> Result<Spec, Failure> {
    let release = app.services.await_release(&who.actor, id, Duration::ZERO, Until::Settled).await?;
    Ok(release.spec)
}

/// The release when it is paused or at its end, or after `wait`. Who waits holds no place among those who work;
/// when too many wait already, the release is answered as it stands.
async fn settled(
    app: &App,
    who: &Who,
    place: &Place,
    id: ReleaseId,
    wait: Duration,
) -> Result<words::Release, Refusal> {
    let waiting = if wait.is_zero() { None } else { app.gate.wait(who) };
    let wait = if waiting.is_some() { wait } else { Duration::ZERO };
    if !wait.is_zero() {
        place.give_back();
    }
    app.services.await_release(&who.actor, id, wait, Until::Settled).await
}

fn done(lang: crate::views::lang::Lang, release: &words::Release) -> Done {
    let body = serde_json::to_string(&Release::of(lang, release)).unwrap_or_default();
    Done { body, revision: Some(release.seq) }
}

fn wait(query: &mut Query) -> Result<Duration, Refusal> {
    let Some(text) = query.take("wait") else { return Ok(Duration::ZERO) };
    let seconds = text.parse::<u64>().ok().filter(|n| *n <= 60 && text.bytes().all(|b| b.is_ascii_digit()));
    seconds.map(Duration::from_secs).ok_or_else(|| bad_query("wait", "a number from 0 to 60 is expected"))
}

/// A specification of the right shape; its values are checked by the plan.
pub fn readable(value: &Value) -> Result<Spec, Failure> {
    let spec: Spec = exactly(value).map_err(|_| match validate::read(value) {
        Err(refusals) => Failure::all(refusals),
        Ok(_) => Failure::from(Code::BadSpec),
    })?;
    // No service has such a name: there is nothing to plan for.
    ServiceRef::parse(spec.service.namespace.as_str(), &spec.service.name)?;
    Ok(spec)
}

/// The fields of a body; every one must be known.
pub struct Fields(serde_json::Map<String, Value>);

impl Fields {
    pub fn of(node: Node) -> Result<Self, Refusal> {
        match value(node)? {
            Value::Object(map) => Ok(Self(map)),
            _ => Err(wrong("", "an object is expected")),
        }
    }

    /// Takes a field of any shape.
    pub fn take(&mut self, name: &str) -> Option<Value> {
        self.0.remove(name).filter(|value| !value.is_null())
    }

    fn spec(&mut self) -> Result<Value, Refusal> {
        self.take("spec").ok_or_else(|| wrong("spec", "it is missing"))
    }

    fn text(&mut self, name: &str) -> Result<Option<String>, Refusal> {
        match self.take(name) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(_) => Err(wrong(name, "a text is expected")),
        }
    }

    fn words(&mut self, name: &str) -> Result<Vec<String>, Refusal> {
        let Some(value) = self.take(name) else { return Ok(Vec::new()) };
        let words: Vec<String> =
            serde_json::from_value(value).map_err(|_| wrong(name, "a list of texts is expected"))?;
        if words.len() > validate::MAX_ACCEPTED {
            return Err(Refusal::too_many(name, words.len(), validate::MAX_ACCEPTED));
        }
        Ok(words)
    }

    fn flag(&mut self, name: &str) -> Result<Option<bool>, Refusal> {
        match self.take(name) {
            None => Ok(None),
            Some(Value::Bool(on)) => Ok(Some(on)),
            Some(_) => Err(wrong(name, "true or false is expected")),
        }
    }

    /// The command that the rest of the body is.
    fn command(mut self) -> Result<Command, Failure> {
        let word = self.text("command")?.unwrap_or_default();
        let word = Word::parse(&word).ok_or_else(|| {
            wrong("command", &format!("one of {} is expected", Word::ALL.map(Word::as_str).join(", ")))
        })?;
        if word == Word::ChangeSteps {
            // Numbers that no step can hold are refused with their field, as in a whole wish.
            let steps = serde_json::json!({"steps": self.0.get("steps")});
            let refusals = validate::read(&steps).err().unwrap_or_default();
            if refusals.iter().any(|no| no.field.as_deref().is_some_and(|field| field.starts_with("steps"))) {
                return Err(Failure::all(refusals));
            }
        }
        self.0.insert("command".to_owned(), Value::from(word.as_str()));
        exactly(&Value::Object(self.0)).map_err(|error| wrong("command", &clip(&error)).into())
    }

    /// Refuses parameters that were not read.
    pub fn finish(self) -> Result<(), Refusal> {
        match self.0.keys().next() {
            None => Ok(()),
            Some(name) => Err(wrong(&clip(name), "it is not known here")),
        }
    }
}

fn clip(text: &str) -> String {
    text.chars().take(200).collect()
}

/// The refusal of a body that is JSON, but not the JSON that is expected.
pub fn wrong(field: &str, why: &str) -> Refusal {
    let refusal = Refusal::new(Code::BadJson).arg("why", why);
    if field.is_empty() { refusal } else { refusal.field(field) }
}

/// A body as JSON without keys that stand twice.
pub fn value(node: Node) -> Result<Value, Refusal> {
    Ok(match node {
        Node::Null => Value::Null,
        Node::Bool(on) => Value::Bool(on),
        Node::Whole(n) => match (i64::try_from(n), u64::try_from(n)) {
            (Ok(n), _) => Value::from(n),
            (_, Ok(n)) => Value::from(n),
            _ => return Err(wrong("", "a number is too large")),
        },
        Node::Number(n) => serde_json::Number::from_f64(n).map_or(Value::Null, Value::Number),
        Node::Text(text) => Value::String(text),
        Node::List(items) => Value::Array(items.into_iter().map(value).collect::<Result<_, _>>()?),
        Node::Object(pairs) => {
            let mut map = serde_json::Map::new();
            for (name, node) in pairs {
                if map.insert(name.clone(), value(node)?).is_some() {
                    return Err(wrong(&clip(&name), "it stands twice"));
                }
            }
            Value::Object(map)
        }
    })
}
