//! Open connections: counted in all and by address. Who asks nothing gives way: when there are too many, the one
//! that has been idle longest is closed for the new one, so that idle connections cannot use all of them.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Body, HttpBody};
use bytes::Bytes;
use hyper::body::{Frame, SizeHint};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::forwarded::is_trusted;
use crate::config::Network;

/// Counts open connections.
pub struct Lines {
    all: usize,
    each: usize,
    /// Addresses behind which everybody is: only the count of all holds for them.
    trusted: Vec<Network>,
    open: Arc<Mutex<Open>>,
}

#[derive(Default)]
struct Open {
    all: usize,
    by: HashMap<IpAddr, Vec<Arc<Line>>>,
}

/// What one connection is doing.
pub struct Line {
    doing: Mutex<Doing>,
    /// Cancelled when it is to give way.
    pub give_way: CancellationToken,
}

struct Doing {
    requests: usize,
    since: Instant,
}

/// One open connection; taken off the count when dropped.
pub struct Slot {
    address: IpAddr,
    pub line: Arc<Line>,
    open: Arc<Mutex<Open>>,
}

impl Line {
    fn new() -> Arc<Self> {
        let doing = Mutex::new(Doing { requests: 0, since: Instant::now() });
        Arc::new(Self { doing, give_way: CancellationToken::new() })
    }

    /// Since when nothing has been asked; `None` while a request is under way.
    pub fn idle_since(&self) -> Option<Instant> {
        let doing = self.doing.lock().unwrap_or_else(PoisonError::into_inner);
        (doing.requests == 0).then_some(doing.since)
    }

    /// A request, until its answer is sent or given up.
    pub fn request(self: &Arc<Self>) -> Busy {
        self.doing.lock().unwrap_or_else(PoisonError::into_inner).requests += 1;
        Busy(self.clone())
    }

    /// How long until this has been idle for `longest`; `None` = it has.
    pub fn patience(&self, longest: Duration) -> Option<Duration> {
        let Some(since) = self.idle_since() else { return Some(longest) };
        longest.checked_sub(since.elapsed()).filter(|left| !left.is_zero())
    }
}

/// A request under way on a connection.
pub struct Busy(Arc<Line>);

impl Drop for Busy {
    fn drop(&mut self) {
        let mut doing = self.0.doing.lock().unwrap_or_else(PoisonError::into_inner);
        doing.requests -= 1;
        doing.since = Instant::now();
    }
}

/// The body of an answer, and the request that it ends.
pub struct Answering {
    body: Body,
    _busy: Busy,
}

impl Answering {
    pub fn new(body: Body, busy: Busy) -> Self {
        Self { body, _busy: busy }
    }
}

impl HttpBody for Answering {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl Lines {
    pub fn new(all: usize, each: usize, trusted: Vec<Network>) -> Self {
        Self { all, each, trusted, open: Arc::default() }
    }

    /// Takes a connection in; `None` when there is no place and no idle connection to close.
    pub fn take(&self, address: IpAddr) -> Option<Slot> {
        let own = network(address);
        let each = if is_trusted(address, &self.trusted) { usize::MAX } else { self.each };
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if open.by.get(&own).map_or(0, Vec::len) >= each {
            open.idlest(&own)?;
        }
        if open.all >= self.all {
            let most = open.by.iter().max_by_key(|(_, lines)| lines.len()).map(|(address, _)| *address)?;
            open.idlest(&most).or_else(|| open.idlest(&own))?;
        }
        let line = Line::new();
        open.all += 1;
        open.by.entry(own).or_default().push(line.clone());
        Some(Slot { address: own, line, open: self.open.clone() })
    }
}

impl Open {
    /// Makes the connection of an address give way that has been idle longest.
    fn idlest(&mut self, address: &IpAddr) -> Option<()> {
        let lines = self.by.get(address)?;
        let idle = lines.iter().enumerate().filter_map(|(at, line)| Some((line.idle_since()?, at)));
        let (_, at) = idle.min()?;
        let line = lines[at].clone();
        self.remove(address, &line);
        line.give_way.cancel();
        Some(())
    }

    fn remove(&mut self, address: &IpAddr, line: &Arc<Line>) {
        let Some(lines) = self.by.get_mut(address) else { return };
        let before = lines.len();
        lines.retain(|other| !Arc::ptr_eq(other, line));
        self.all -= before - lines.len();
        if lines.is_empty() {
            self.by.remove(address);
        }
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        open.remove(&self.address, &self.line);
    }
}

/// Whom an address stands for: an IPv6 client owns its whole /64.
pub fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(v4) => IpAddr::V4(v4),
        IpAddr::V6(v6) => {
            let [a, b, c, d, ..] = v6.segments();
            IpAddr::V6(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0))
        }
    }
}
