//! One topic in one language, and its subscribers: every update is rendered once, however many pages
//! show it. A topic lives as long as it has a subscriber.
//!
//! Topics render for everybody, so they read services as Sluice itself; each stream then asks whether its
//! own person may see a service before anything about it leaves (`events::stream`).

use std::collections::{HashMap, HashSet};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use bytes::Bytes;
use tokio::sync::broadcast;
use tokio::sync::broadcast::error::{RecvError, TryRecvError};

use super::topic::Topic;
use crate::domain::actor::{Actor, Channel, Identity};
use crate::domain::ids::{Revision, ServiceRef};
use crate::domain::overview::Happening;
use crate::domain::release::ReleaseId;
use crate::views::chrome::Chrome;
use crate::views::lang::Lang;
use crate::views::time::Clockface;
use crate::web::live;
use crate::web::site::App;

/// More rows than this at once are not rendered: the page fetches itself again.
const MANY: usize = 200;

/// So many batches may wait for a page that is slow to take them; then it fetches itself again.
const KEPT: usize = 256;

/// What was rendered at one time.
pub type Updates = Arc<[Update]>;

/// An update for the pages of a topic.
#[derive(Clone, Debug)]
pub enum Update {
    /// An element of the page, whole. `service` is whom it is about; `None` = about no service in particular.
    /// `hash` tells whether a page has it already.
    Frag {
        service: Option<ServiceRef>,
        id: Arc<str>,
        /// The bytes to send, shared by all streams.
        event: Bytes,
        hash: u64,
    },
    Revision {
        service: ServiceRef,
        revision: Revision,
        by: Arc<str>,
    },
    /// A release made a transition: each page shows the buttons that its own person may press.
    Release {
        service: ServiceRef,
        id: ReleaseId,
    },
    /// Too much changed, or was missed: fetch the page again.
    Resync,
}

/// The key of a topic: everything that the rendered elements depend on.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Key {
    what: What,
    lang: Lang,
    offset_min: i16,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum What {
    Rows { window_s: u32 },
    Service { at: ServiceRef, window_s: u32, applied: Option<Revision> },
    Releases,
    Release { id: ReleaseId },
    Notices,
}

impl Key {
    pub fn of(topic: &Topic, clock: Clockface) -> Self {
        let what = match topic.clone() {
            Topic::Services { window_s, .. } => What::Rows { window_s },
            Topic::Service { at, window_s, applied } => What::Service { at, window_s, applied },
            Topic::Releases { .. } => What::Releases,
            Topic::Release { id } => What::Release { id },
            Topic::Notices => What::Notices,
        };
        Self { what, lang: clock.lang, offset_min: clock.offset_min }
    }
}

/// The open topics.
#[derive(Default)]
pub struct Rooms(Arc<Mutex<HashMap<Key, Weak<Room>>>>);

/// One topic.
pub struct Room {
    updates: broadcast::Sender<Updates>,
    /// Rows that are on a screen, and on how many.
    on_screen: Mutex<HashMap<ServiceRef, usize>>,
    key: Key,
    rooms: Arc<Mutex<HashMap<Key, Weak<Room>>>>,
}

/// A page's subscription to a topic; what it shows is forgotten when it ends.
pub struct Seat {
    pub room: Arc<Room>,
    pub updates: broadcast::Receiver<Updates>,
    shows: HashSet<ServiceRef>,
}

impl Rooms {
    /// Subscribes to a topic; opens it for the first subscriber. `shows` are the rows on the page.
    pub fn enter(&self, app: &App, key: Key, shows: HashSet<ServiceRef>) -> Seat {
        let mut rooms = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let room = rooms.get(&key).and_then(Weak::upgrade).unwrap_or_else(|| {
            let (updates, _) = broadcast::channel(KEPT);
            let on_screen = Mutex::default();
            let room = Arc::new(Room { updates, on_screen, key: key.clone(), rooms: self.0.clone() });
            rooms.insert(key, Arc::downgrade(&room));
            // Subscribed before the page is marked as live: nothing in between is lost.
            let happenings = app.services.happenings();
            tokio::spawn(follow(app.clone(), Arc::downgrade(&room), happenings));
            room
        });
        drop(rooms);
        let mut on_screen = room.on_screen.lock().unwrap_or_else(PoisonError::into_inner);
        for at in &shows {
            *on_screen.entry(at.clone()).or_default() += 1;
        }
        drop(on_screen);
        Seat { updates: room.updates.subscribe(), room, shows }
    }
}

impl Seat {
    /// True when this page has the service's row.
    pub fn shows(&self, at: &ServiceRef) -> bool {
        self.shows.contains(at)
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut on_screen = self.room.on_screen.lock().unwrap_or_else(PoisonError::into_inner);
        for at in &self.shows {
            match on_screen.get_mut(at) {
                Some(pages) if *pages > 1 => *pages -= 1,
                _ => drop(on_screen.remove(at)),
            }
        }
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        let mut rooms = self.rooms.lock().unwrap_or_else(PoisonError::into_inner);
        if rooms.get(&self.key).is_some_and(|room| room.strong_count() == 0) {
            rooms.remove(&self.key);
        }
    }
}

/// Renders what happens until the topic has no subscriber or the server stops.
async fn follow(app: App, room: Weak<Room>, mut happenings: broadcast::Receiver<Happening>) {
    loop {
        let first = tokio::select! {
            () = app.stop.cancelled() => return,
            () = tokio::time::sleep(std::time::Duration::from_secs(30)) => {
                if room.strong_count() == 0 {
                    return;
                }
                continue;
            }
            first = happenings.recv() => first,
        };
        let Some(room) = room.upgrade() else { return };
        let news = match gather(first, &mut happenings) {
            Ok(news) => news,
            Err(RecvError::Lagged(_)) => News { resync: true, ..News::default() },
            Err(RecvError::Closed) => return,
        };
        let updates = render(&app, &room, news).await;
        if !updates.is_empty() {
            // No subscriber is no error.
            let _ = room.updates.send(updates.into());
        }
    }
}

/// What happened since the last look, each thing once.
#[derive(Default)]
struct News {
    services: Vec<ServiceRef>,
    revisions: Vec<(ServiceRef, Revision, String)>,
    releases: Vec<(ReleaseId, ServiceRef)>,
    figures: bool,
    resync: bool,
}

fn gather(
    first: Result<Happening, RecvError>,
    happenings: &mut broadcast::Receiver<Happening>,
) -> Result<News, RecvError> {
    let mut news = News::default();
    let mut next = first?;
    loop {
        match next {
            Happening::Service(at) => {
                if !news.services.contains(&at) {
                    news.services.push(at);
                }
            }
            Happening::Revision { service, revision, by } => {
                if !news.services.contains(&service) {
                    news.services.push(service.clone());
                }
                news.revisions.retain(|(other, ..)| *other != service);
                news.revisions.push((service, revision, by));
            }
            // The service page says who controls its weights.
            Happening::Release { id, service, .. } => {
                if !news.releases.iter().any(|(known, _)| *known == id) {
                    news.releases.push((id, service.clone()));
                }
                if !news.services.contains(&service) {
                    news.services.push(service);
                }
            }
            Happening::Figures => news.figures = true,
            Happening::Resync => news.resync = true,
        }
        if news.services.len() > MANY {
            news.resync = true;
        }
        next = match happenings.try_recv() {
            Ok(happening) => happening,
            Err(TryRecvError::Empty) => return Ok(news),
            Err(TryRecvError::Lagged(n)) => return Err(RecvError::Lagged(n)),
            Err(TryRecvError::Closed) => return Err(RecvError::Closed),
        };
    }
}

/// Sluice itself: sees every service. What it sees is only shown to those who may see it too.
pub fn nobody() -> Actor {
    Actor { identity: Arc::new(Identity::local("sluice")), channel: Channel::Automatic, address: None }
}

async fn render(app: &App, room: &Room, news: News) -> Vec<Update> {
    let Key { what, lang, offset_min } = &room.key;
    let clock = Clockface { lang: *lang, offset_min: *offset_min };
    let mut out = Vec::new();
    if news.resync {
        out.push(Update::Resync);
        return out;
    }
    let chrome = Chrome { clock, now_ms: app.clock.now_ms(), demo: app.settings.demo, ..Chrome::default() };
    if news.figures {
        let notices = Chrome { notices: app.services.notices(), ..chrome.clone() };
        out.push(frag(None, live::notices(&notices)));
    }
    match what {
        What::Notices => {}
        What::Releases => {
            for (id, service) in news.releases {
                if let Ok(detail) = app.services.release(&nobody(), id).await {
                    out.push(frag(Some(&service), live::release_row(&chrome, &detail.release)));
                }
            }
        }
        What::Release { id } => release(app, &chrome, *id, &news, &mut out).await,
        What::Rows { window_s } => {
            let rows: Vec<ServiceRef> = {
                let on_screen = room.on_screen.lock().unwrap_or_else(PoisonError::into_inner);
                let all = if news.figures { on_screen.keys().cloned().collect() } else { news.services };
                all.into_iter().filter(|at| on_screen.contains_key(at)).collect()
            };
            for (id, service) in news.releases {
                out.push(Update::Release { service, id });
            }
            for at in rows {
                if let Ok(item) = app.services.overview(&nobody(), &at, *window_s).await {
                    out.push(frag(Some(&at), live::row(&chrome, &item)));
                }
            }
        }
        What::Service { at, window_s, applied } => {
            for (service, revision, by) in news.revisions.into_iter().filter(|(service, ..)| service == at) {
                out.push(Update::Revision { service, revision, by: by.into() });
            }
            if !news.figures && !news.services.contains(at) {
                return out;
            }
            if let Ok(item) = app.services.overview(&nobody(), at, *window_s).await {
                for part in live::service(app, &chrome, &item, *applied) {
                    out.push(frag(Some(at), part));
                }
            }
        }
    }
    out
}

/// The parts of a release's page that all its viewers share; those of the person are rendered by each stream.
async fn release(app: &App, chrome: &Chrome, id: ReleaseId, news: &News, out: &mut Vec<Update>) {
    let Ok(detail) = app.services.release(&nobody(), id).await else { return };
    let at = detail.release.at().clone();
    let told = news.releases.iter().any(|(known, _)| *known == id);
    if !told && !news.figures && !news.services.contains(&at) {
        return;
    }
    for part in live::release_shared(chrome, &detail) {
        out.push(frag(Some(&at), part));
    }
    // After the end the page still says whether the old version is asked.
    if told || news.figures && detail.release.state.phase.is_final() {
        out.push(Update::Release { service: at, id });
    }
}

/// An update for one element.
pub fn frag(service: Option<&ServiceRef>, (id, html): (String, String)) -> Update {
    let mut hasher = DefaultHasher::new();
    html.hash(&mut hasher);
    let hash = hasher.finish();
    let event = event("frag", &serde_json::json!({"id": id, "html": html}));
    Update::Frag { service: service.cloned(), id: id.into(), event, hash }
}

/// An event as it goes over the wire.
pub fn event(name: &str, data: &serde_json::Value) -> Bytes {
    // JSON holds no line break, so the event cannot be broken out of.
    format!("event: {name}\ndata: {data}\n\n").into()
}
