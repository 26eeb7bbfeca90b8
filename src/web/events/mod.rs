//! Live pages: `GET /events?topic=…`, server-sent events. An element that changed comes whole (`frag`), a new
//! revision is announced (`revision`), `ping` every 5 s shows that the line is alive, and `resync` asks the
//! page to fetch itself again. There are no event ids: after a break a page fetches itself, so whatever a
//! client sends as `Last-Event-ID` means nothing here.

pub mod room;
pub mod topic;

use std::collections::{HashMap, HashSet};
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures::{Stream, StreamExt, stream};
use http::{HeaderMap, HeaderName, HeaderValue, header};
use serde_json::json;
use tokio::sync::broadcast;
use tokio::sync::broadcast::error::RecvError;
use tokio::time::{Instant, Interval, MissedTickBehavior, interval_at};

use self::room::{Key, Rooms, Seat, Update, Updates, event, frag};
use self::topic::Topic;
use super::api::extract::{Query, bad_query};
use super::auth::Who;
use super::caller::Caller;
use super::chrome::chrome;
use super::error::Failure;
use super::live;
use super::pages::releases;
use super::pages::services::ask_of;
use super::shares::{Full, Share, Shares};
use super::site::App;
use crate::config::{Auth, Web};
use crate::domain::actor::Channel;
use crate::domain::ids::ServiceRef;
use crate::domain::overview::ListAsk;
use crate::domain::refusal::Code;
use crate::domain::release::ReleaseId;
use crate::views::chrome::Nav;

/// How often the line shows that it is alive.
const PING: Duration = Duration::from_secs(5);
/// Pings between two looks whether the session still holds.
const LOOK_AGAIN: u32 = 6;
/// A stream without a session (a bearer, or without sign-in) ends after so many pings and is opened
/// again by its page, which shows its token again.
const LONGEST: u32 = 120;

/// Counts open streams and keeps the topics.
pub struct Hub {
    /// By person, who has a share of all.
    people: Shares,
    sessions: Shares,
    rooms: Rooms,
}

/// One open stream; gives its places back when dropped.
struct Place {
    _session: Share,
    _person: Share,
}

impl Hub {
    pub fn new(settings: &Web) -> Self {
        // Without sign-in people cannot be distinguished, so there is no share per person.
        let each =
            if settings.auth == Auth::None { settings.max_streams } else { settings.max_streams_per_person };
        Self {
            people: Shares::new(settings.max_streams, each),
            sessions: Shares::new(settings.max_streams, settings.max_streams_per_session),
            rooms: Rooms::default(),
        }
    }

    fn take(&self, who: &Who) -> Result<Place, Full> {
        let session = self.sessions.take(who.name())?;
        Ok(Place { _session: session, _person: self.people.take(&who.actor.identity.user)? })
    }
}

/// `GET /events?topic=…`.
pub async fn open(
    State(app): State<App>,
    who: Who,
    caller: Caller,
    headers: HeaderMap,
    mut query: Query,
) -> Result<Response, Failure> {
    // Another site cannot read the events, but it could use up the places.
    if headers.get("sec-fetch-site").is_some_and(|site| site != "same-origin" && site != "none") {
        return Err(Code::Csrf.into());
    }
    let topic = query.take("topic").as_deref().and_then(Topic::parse_stamped);
    let (topic, stamp) = topic.ok_or_else(|| bad_query("topic", "the topic of a page is expected"))?;
    query.finish()?;
    let place = app.hub.take(&who).map_err(|_| Failure::from(Code::TooManyStreams))?;
    let (shows, lists) = match &topic {
        // The same answer for what is hidden and what is not there.
        Topic::Service { at, window_s, .. } => {
            app.services.overview(&who.actor, at, *window_s).await?;
            (HashSet::from([at.clone()]), false)
        }
        Topic::Services { query, .. } => {
            let page = app.services.list(&who.actor, &ask_of(query)?).await?;
            (page.items.iter().map(|item| item.at().clone()).collect(), true)
        }
        Topic::Release { id } => {
            let detail = app.services.release(&who.actor, *id).await?;
            (HashSet::from([detail.release.at().clone()]), false)
        }
        Topic::Releases { query } => {
            let page = app.services.releases(&who.actor, &releases::ask_of(query)?.1).await?;
            (page.items.iter().map(|item| item.at().clone()).collect(), false)
        }
        Topic::Notices => (HashSet::new(), false),
    };
    // Subscribed before reading: what happens from here on comes through the topic.
    let seat = app.hub.rooms.enter(&app, Key::of(&topic, caller.clock), shows);
    let missed = missed(&app, &who, &caller, &topic, stamp).await?;
    let mut line = Line::new(app.clone(), who, seat, place, caller, lists);
    line.pass_on(&missed).await;
    let stop = app.stop.clone().cancelled_owned();
    let events = line.stream().take_until(stop).boxed();
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static("text/event-stream")),
        (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
        (HeaderName::from_static("x-accel-buffering"), HeaderValue::from_static("no")),
    ];
    Ok((headers, Body::from_stream(events)).into_response())
}

/// What changed since the page was rendered.
async fn missed(
    app: &App,
    who: &Who,
    caller: &Caller,
    topic: &Topic,
    stamp: Option<u64>,
) -> Result<Vec<Update>, Failure> {
    let chrome = chrome(app, caller, Some(who), Nav::Nowhere, "");
    Ok(match topic {
        Topic::Notices => Vec::new(),
        Topic::Release { id } => {
            let detail = app.services.release(&who.actor, *id).await?;
            if stamp == Some(live::release_stamp(&detail)) {
                return Ok(Vec::new());
            }
            let parts =
                live::release_shared(&chrome, &detail).into_iter().chain(live::release_own(&chrome, &detail));
            parts.map(|part| frag(Some(detail.release.at()), part)).collect()
        }
        Topic::Releases { query } => {
            let page = app.services.releases(&who.actor, &releases::ask_of(query)?.1).await?;
            if stamp == Some(live::releases_stamp(&page.items)) {
                return Ok(Vec::new());
            }
            page.items.iter().map(|item| frag(Some(item.at()), live::release_row(&chrome, item))).collect()
        }
        Topic::Service { at, window_s, applied } => {
            let item = app.services.overview(&who.actor, at, *window_s).await?;
            if stamp == Some(live::stamp(std::slice::from_ref(&item))) {
                return Ok(Vec::new());
            }
            let parts = live::service(app, &chrome, &item, *applied);
            parts.into_iter().map(|part| frag(Some(at), part)).collect()
        }
        Topic::Services { query, .. } => {
            let page = app.services.list(&who.actor, &ask_of(query)?).await?;
            if stamp == Some(live::stamp(&page.items)) {
                return Ok(Vec::new());
            }
            page.items.iter().map(|item| frag(Some(item.at()), live::row(&chrome, item))).collect()
        }
    })
}

/// The server's end of one stream.
struct Line {
    app: App,
    who: Who,
    caller: Caller,
    seat: Seat,
    _place: Place,
    /// The page is the list: it also shows what needs attention, which differs from person to person.
    lists: bool,
    /// What the page has already, by id.
    has: HashMap<Arc<str>, u64>,
    stirred: bool,
    /// Releases under way, as last sent to the page.
    active: Option<usize>,
    /// Sessions that end, to leave with one's own.
    ends: broadcast::Receiver<Arc<str>>,
    ping: Interval,
    pings: u32,
    queue: Vec<Bytes>,
}

impl Line {
    fn new(app: App, who: Who, seat: Seat, place: Place, caller: Caller, lists: bool) -> Self {
        let mut ping = interval_at(Instant::now() + PING, PING);
        ping.set_missed_tick_behavior(MissedTickBehavior::Delay);
        // The first event goes at once: the page learns that it is live.
        let queue = vec![alive(&app)];
        let has = HashMap::new();
        let ends = app.services.session_ends();
        Self {
            app,
            who,
            caller,
            seat,
            _place: place,
            lists,
            has,
            stirred: false,
            active: None,
            ends,
            ping,
            pings: 0,
            queue,
        }
    }

    fn stream(self) -> impl Stream<Item = Result<Bytes, Infallible>> {
        stream::unfold(self, |mut line| async move {
            loop {
                if let Some(said) = line.said() {
                    return Some((Ok(said), line));
                }
                if !line.wait().await {
                    return None;
                }
            }
        })
    }

    /// Everything there is to say, in one piece: what belongs together arrives together, and costs one frame.
    fn said(&mut self) -> Option<Bytes> {
        // What the first look needed is not held for as long as the page is open.
        let queue = std::mem::take(&mut self.queue);
        if queue.len() > 1 { Some(queue.concat().into()) } else { queue.into_iter().next() }
    }

    /// Waits for something to say; false when the stream is over.
    async fn wait(&mut self) -> bool {
        let heard = tokio::select! {
            _ = self.ping.tick() => None,
            updates = self.seat.updates.recv() => Some(updates),
            ended = self.ends.recv() => return Box::pin(self.outlives(ended)).await,
        };
        // On the heap and only while it runs: there are many streams, and they mostly wait.
        Box::pin(self.hear(heard)).await
    }

    /// Follows updates, or (`None`) the ping; false when the stream is over.
    async fn hear(&mut self, heard: Option<Result<Updates, RecvError>>) -> bool {
        match heard {
            None => {
                self.pings += 1;
                if self.pings.is_multiple_of(LOOK_AGAIN) && !self.still_in().await {
                    return false;
                }
                self.look_at_releases();
                if self.lists && std::mem::take(&mut self.stirred) {
                    self.look_at_attention().await;
                }
                self.queue.push(alive(&self.app));
                true
            }
            Some(Ok(updates)) => {
                self.stirred = true;
                self.pass_on(&updates).await;
                true
            }
            Some(Err(RecvError::Lagged(_))) => {
                self.queue.push(event("resync", &json!({})));
                true
            }
            Some(Err(RecvError::Closed)) => false,
        }
    }

    /// False when it is this stream's own session that ended.
    async fn outlives(&mut self, ended: Result<Arc<str>, RecvError>) -> bool {
        match ended {
            Ok(id) => self.who.session.as_ref() != Some(&id),
            // Which ones ended was missed.
            Err(RecvError::Lagged(_)) => self.still_in().await,
            Err(RecvError::Closed) => false,
        }
    }

    async fn pass_on(&mut self, updates: &[Update]) {
        // Asked once for all updates of a service in one batch.
        let mut asked: Option<(&ServiceRef, bool)> = None;
        for update in updates {
            let about = match update {
                Update::Resync => None,
                Update::Frag { service, .. } => service.as_ref(),
                Update::Release { service, .. } | Update::Revision { service, .. } => Some(service),
            };
            if let Some(at) = about {
                let may = match asked {
                    Some((other, may)) if other == at => may,
                    _ => self.may_show(at).await,
                };
                asked = Some((at, may));
                if !may {
                    continue;
                }
            }
            match update {
                Update::Resync => self.queue.push(event("resync", &json!({}))),
                Update::Frag { id, event, hash, .. } => {
                    if self.has.insert(id.clone(), *hash) != Some(*hash) {
                        self.queue.push(event.clone());
                    }
                }
                // The list only stirs: what needs attention is looked at with the next ping.
                Update::Release { id, .. } => {
                    if !self.lists {
                        self.show_own(*id).await;
                    }
                }
                Update::Revision { service, revision, by } => {
                    let said = json!({"service": service.to_string(), "revision": revision, "by": by});
                    self.queue.push(event("revision", &said));
                }
            }
        }
    }

    /// The parts of a release's page that differ from person to person.
    async fn show_own(&mut self, id: ReleaseId) {
        let Ok(detail) = self.app.services.release(&self.who.actor, id).await else { return };
        let chrome = chrome(&self.app, &self.caller, Some(&self.who), Nav::Nowhere, "");
        for part in live::release_own(&chrome, &detail) {
            let Update::Frag { id, event, hash, .. } = frag(None, part) else { continue };
            if self.has.insert(id, hash) != Some(hash) {
                self.queue.push(event);
            }
        }
    }

    async fn may_show(&self, at: &ServiceRef) -> bool {
        self.seat.shows(at) && self.app.services.may_see(&self.who.actor, at).await
    }

    /// True while the person may still be here.
    async fn still_in(&self) -> bool {
        let identity = &self.who.actor.identity;
        match (&self.who.cookie, &self.who.bearer) {
            (Some(cookie), _) => {
                let session = self.app.services.session(cookie, Channel::Browser).await;
                session.is_ok_and(|session| session.is_some_and(|s| s.identity == *identity))
            }
            (None, Some(token)) => {
                let found = self.app.services.identify(token.reveal()).await;
                self.pings < LONGEST && found.is_ok_and(|found| found == *identity)
            }
            (None, None) => self.pings < LONGEST || self.app.is_open(),
        }
    }

    /// How many releases the person would find under way.
    fn look_at_releases(&mut self) {
        let now = self.app.services.under_way(&self.who.actor.identity);
        if self.active.replace(now) != Some(now) {
            let (id, html) = live::under_way(self.caller.lang(), now);
            self.queue.push(event("frag", &json!({"id": id, "html": html})));
        }
    }

    async fn look_at_attention(&mut self) {
        let ask = ListAsk { limit: 1, ..ListAsk::default() };
        let Ok(page) = self.app.services.list(&self.who.actor, &ask).await else { return };
        let update = frag(None, live::attention(self.caller.clock, &page));
        self.pass_on(&[update]).await;
    }
}

fn alive(app: &App) -> Bytes {
    event("ping", &json!({"at": app.clock.now_ms()}))
}
