//! Reading the body of a request before anything is done for it. `gate` calls it; no place is held meanwhile.
//!
//! No request is refused for the bodies of others: when too many are being read, the oldest one is given up. A body that
//! comes at all comes within moments, so what is old is slow.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::body::Body;
use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt;
use hyper::body::Body as _;
use tokio::time::{Instant, timeout_at};
use tokio_util::sync::CancellationToken;

use super::guard::BODY;
use crate::domain::refusal::Code;

/// How long a body may take besides what its length takes.
const GRACE: Duration = Duration::from_secs(3);
/// Bytes that must come in a second on average.
const RATE: u32 = 16 * 1024;

/// The bodies that are being read.
#[derive(Debug)]
pub struct Incoming {
    all: usize,
    each: usize,
    reading: Arc<Mutex<VecDeque<Reading>>>,
}

#[derive(Debug)]
struct Reading {
    name: Arc<str>,
    given_up: CancellationToken,
}

/// Takes a body off the list when it is read or its request goes away.
struct Listed {
    given_up: CancellationToken,
    reading: Arc<Mutex<VecDeque<Reading>>>,
}

impl Incoming {
    /// At most `all` at a time, `each` of one name.
    pub fn new(all: usize, each: usize) -> Self {
        Self { all, each, reading: Arc::default() }
    }

    /// The whole body. Refuses one that is too long, too slow or ends early.
    pub async fn read(&self, name: &str, mut body: Body) -> Result<Bytes, Code> {
        if body.is_end_stream() {
            return Ok(Bytes::new());
        }
        let listed = self.list(name);
        let began = Instant::now();
        let mut whole = BytesMut::new();
        loop {
            let length = u32::try_from(whole.len()).unwrap_or(u32::MAX);
            let until = began + GRACE + Duration::from_secs(1) * length / RATE;
            let frame = tokio::select! {
                biased;
                () = listed.given_up.cancelled() => return Err(Code::Overloaded),
                frame = timeout_at(until, body.frame()) => frame,
            };
            match frame {
                Err(_) | Ok(Some(Err(_))) => return Err(Code::BodyIncomplete),
                Ok(None) => return Ok(whole.freeze()),
                Ok(Some(Ok(frame))) => {
                    let Some(data) = frame.data_ref() else { continue };
                    if whole.len() + data.len() > BODY {
                        return Err(Code::BodyTooLarge);
                    }
                    whole.extend_from_slice(data);
                }
            }
        }
    }

    fn list(&self, name: &str) -> Listed {
        let given_up = CancellationToken::new();
        let mut reading = self.reading.lock().unwrap_or_else(PoisonError::into_inner);
        let own = reading.iter().filter(|one| &*one.name == name).count();
        let oldest = if own >= self.each {
            reading.iter().position(|one| &*one.name == name)
        } else {
            (reading.len() >= self.all).then_some(0)
        };
        if let Some(oldest) = oldest.and_then(|at| reading.remove(at)) {
            oldest.given_up.cancel();
        }
        reading.push_back(Reading { name: name.into(), given_up: given_up.clone() });
        Listed { given_up, reading: self.reading.clone() }
    }
}

impl Drop for Listed {
    fn drop(&mut self) {
        // A token that is cancelled when its request is over: that is how the entry is found.
        self.given_up.cancel();
        let mut reading = self.reading.lock().unwrap_or_else(PoisonError::into_inner);
        reading.retain(|one| !one.given_up.is_cancelled());
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use futures::stream::{self, StreamExt};
    use tokio::sync::mpsc;
    use tokio_stream::wrappers::UnboundedReceiverStream;

    use super::*;

    fn endless() -> (mpsc::UnboundedSender<Bytes>, Body) {
        let (send, receive) = mpsc::unbounded_channel();
        (send, Body::from_stream(UnboundedReceiverStream::new(receive).map(Ok::<_, Infallible>)))
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_that_stops_or_trickles_is_given_up_within_seconds() {
        let incoming = Incoming::new(4, 4);
        let (_open, body) = endless();
        let began = Instant::now();
        assert_eq!(incoming.read("a", body).await, Err(Code::BodyIncomplete));
        assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
        let trickle = stream::repeat(()).then(async |()| {
            tokio::time::sleep(Duration::from_secs(1)).await;
            Ok::<_, Infallible>(Bytes::from_static(b"x"))
        });
        let began = Instant::now();
        let read = incoming.read("a", Body::from_stream(trickle.boxed())).await;
        assert_eq!(read, Err(Code::BodyIncomplete));
        assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
        assert!(incoming.reading.lock().unwrap().is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn a_long_body_at_a_fair_rate_is_read() {
        let chunks = stream::iter(0..16).then(async |_| {
            tokio::time::sleep(Duration::from_millis(900)).await;
            Ok::<_, Infallible>(Bytes::from(vec![b'x'; 16 * 1024]))
        });
        let read = Incoming::new(4, 4).read("a", Body::from_stream(chunks.boxed())).await;
        assert_eq!(read.unwrap().len(), BODY);
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_that_is_there_is_read_however_many_others_are_not() {
        let incoming = Arc::new(Incoming::new(6, 4));
        let mut open = Vec::new();
        for name in ["a", "a", "a", "a", "a", "b", "b"] {
            let (send, body) = endless();
            let incoming = incoming.clone();
            open.push((send, tokio::spawn(async move { incoming.read(name, body).await })));
            tokio::task::yield_now().await;
        }
        // The fifth of `a` took the place of its first.
        assert_eq!((&mut open[0].1).await.unwrap(), Err(Code::Overloaded));
        assert_eq!(incoming.read("a", Body::from("whole")).await.unwrap(), "whole");
        assert_eq!(incoming.read("c", Body::from("whole")).await.unwrap(), "whole");
        assert!(incoming.reading.lock().unwrap().len() <= 6);
        drop(open.pop().unwrap().0);
    }
}
