//! WATCH: a stream of JSON lines that begins without gap and ends when it should.
//!
//! Called by `wire`. The stream is polled by the connection; nothing is spawned. Timing is tokio's, so tests with
//! paused time can turn it.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use bytes::{BufMut, Bytes, BytesMut};
use serde_json::{Value, json};
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::time::Instant;

use super::ApiServer;
use super::failure::Failure;
use super::kinds::Kind;
use super::object::{Form, Object};
use super::request::WatchOptions;
use super::selector::Filter;
use super::storage::{Beginning, Change, Event, From};

/// The annotation on the bookmark that closes the first objects of a streaming list.
const INITIAL_END: &str = "k8s.io/initial-events-end";

/// A real server ends a watch that names no time-out after 30 to 60 minutes.
const DEFAULT_TIMEOUT: Duration = Duration::from_mins(40);

struct Watching {
    server: ApiServer,
    kind: &'static Kind,
    form: Form,
    filter: Filter,
    events: UnboundedReceiver<Arc<Event>>,
    /// Events at or below this revision are not sent: the client has seen them, or says so.
    after: u64,
    /// Lines that wait to be sent.
    ready: VecDeque<Bytes>,
    bookmarks: bool,
    next_bookmark: Instant,
    deadline: Instant,
    cut: tokio::sync::watch::Receiver<(u64, super::Cut)>,
    over: bool,
}

/// The body of a watch that has begun.
pub(super) fn body(
    server: &ApiServer,
    kind: &'static Kind,
    form: Form,
    options: WatchOptions,
    begun: Beginning,
) -> Body {
    let now = Instant::now();
    let deadline = now + options.timeout.unwrap_or(DEFAULT_TIMEOUT);
    let mut watching = Watching {
        server: server.clone(),
        kind,
        form,
        filter: options.filter,
        events: begun.events,
        after: match options.from {
            From::After(after) => after,
            From::Now | From::NowWithoutObjects => 0,
        },
        ready: VecDeque::new(),
        bookmarks: options.bookmarks,
        next_bookmark: now,
        deadline,
        cut: server.cut(),
        over: false,
    };
    watching.schedule_bookmark(now);
    let mut lines = BytesMut::new();
    for object in begun.objects.iter().filter(|o| watching.filter.lets(o)) {
        write_event("ADDED", object, form, &mut lines);
    }
    for event in &begun.missed {
        watching.write(event, &mut lines);
    }
    if options.announce_end {
        write_bookmark(kind, form, begun.revision, true, &mut lines);
    }
    if !lines.is_empty() {
        watching.ready.push_back(lines.freeze());
    }
    Body::from_stream(futures::stream::unfold(watching, Watching::next))
}

/// The body of a watch that asked for forgotten history: HTTP 200 and one ERROR event, as a real server answers.
pub(super) fn expired_body(asked: u64, oldest: u64) -> Body {
    let failure = Failure::expired(format!("too old resource version: {asked} ({oldest})"));
    Body::from(format!("{}\n", json!({"type": "ERROR", "object": failure.body()})))
}

impl Watching {
    async fn next(mut self) -> Option<(Result<Bytes, std::io::Error>, Self)> {
        loop {
            if self.over {
                return None;
            }
            if let Some(lines) = self.ready.pop_front() {
                self.server.thawed().await;
                return Some((Ok(lines), self));
            }
            tokio::select! {
                biased;
                Ok(()) = self.cut.changed() => {
                    self.over = true;
                    match self.cut.borrow_and_update().1 {
                        super::Cut::Cleanly => return None,
                        super::Cut::Broken => {}
                    }
                    let error = std::io::Error::new(std::io::ErrorKind::ConnectionReset, "the watch was broken");
                    return Some((Err(error), self));
                }
                event = self.events.recv() => {
                    let event = event?;
                    let mut lines = BytesMut::new();
                    self.write(&event, &mut lines);
                    while lines.len() < 64 * 1024 {
                        let Ok(event) = self.events.try_recv() else { break };
                        self.write(&event, &mut lines);
                    }
                    if !lines.is_empty() {
                        self.ready.push_back(lines.freeze());
                    }
                }
                () = tokio::time::sleep_until(self.next_bookmark), if self.bookmarks => {
                    self.bookmark();
                    self.schedule_bookmark(Instant::now());
                }
                () = tokio::time::sleep_until(self.deadline) => return None,
            }
        }
    }

    /// A bookmark names a revision of which nothing is still on its way, so both are taken under the lock.
    fn bookmark(&mut self) {
        let server = self.server.clone();
        let mut lines = BytesMut::new();
        let revision = {
            let state = server.state();
            while let Ok(event) = self.events.try_recv() {
                self.write(&event, &mut lines);
            }
            state.revision
        };
        write_bookmark(self.kind, self.form, revision, false, &mut lines);
        self.ready.push_back(lines.freeze());
    }

    /// About every minute, and two seconds before the end.
    fn schedule_bookmark(&mut self, now: Instant) {
        let heartbeat = now + self.server.bookmark_every();
        let before_end = self.deadline.checked_sub(Duration::from_secs(2)).unwrap_or(now);
        if before_end > now {
            self.next_bookmark = heartbeat.min(before_end);
        } else {
            self.bookmarks = false;
        }
    }

    /// An object that moves in or out of the selector is sent as added or deleted.
    fn write(&self, event: &Event, out: &mut BytesMut) {
        if event.object.revision <= self.after {
            return;
        }
        let was = event.before.as_ref().is_some_and(|o| self.filter.lets(o));
        let is = event.change != Change::Deleted && self.filter.lets(&event.object);
        match (was, is) {
            (false, false) => {}
            (false, true) => write_event("ADDED", &event.object, self.form, out),
            (true, true) => write_event("MODIFIED", &event.object, self.form, out),
            (true, false) if event.change == Change::Deleted => {
                write_event("DELETED", &event.object, self.form, out);
            }
            // It left the selector: its last state that was inside, at the revision of the change.
            (true, false) => {
                if let Some(before) = &event.before {
                    let left = Object::new(event.kind, before.value(), event.object.revision);
                    write_event("DELETED", &left, self.form, out);
                }
            }
        }
    }
}

fn write_event(word: &str, object: &Object, form: Form, out: &mut BytesMut) {
    out.put_slice(b"{\"type\":\"");
    out.put_slice(word.as_bytes());
    out.put_slice(b"\",\"object\":");
    object.write(form, out);
    out.put_slice(b"}\n");
}

fn write_bookmark(kind: &Kind, form: Form, revision: u64, initial_end: bool, out: &mut BytesMut) {
    let mut metadata = json!({"resourceVersion": revision.to_string()});
    if initial_end {
        metadata["annotations"] = json!({ INITIAL_END: "true" });
    }
    let (word, version): (&str, Value) = match form {
        Form::Full => (kind.kind, kind.api_version().into()),
        Form::Metadata => ("PartialObjectMetadata", "meta.k8s.io/v1".into()),
    };
    let object = json!({"kind": word, "apiVersion": version, "metadata": metadata});
    out.put_slice(json!({"type": "BOOKMARK", "object": object}).to_string().as_bytes());
    out.put_u8(b'\n');
}
