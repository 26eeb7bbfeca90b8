//! Time as a parameter. Every module that needs `now` takes a [`Clock`]; tests use a manual one.

use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Instant;

use jiff::Timestamp;

/// Where the present comes from.
#[derive(Clone, Debug)]
pub enum Clock {
    /// The machine's clock, UTC.
    System,
    /// A clock that stands still until a test moves it.
    Manual(Arc<Hands>),
}

/// What a manual clock shows, milliseconds.
#[derive(Debug)]
pub struct Hands {
    /// Since 1970.
    wall: AtomicI64,
    /// Monotonic time, which cannot be set.
    steady: AtomicI64,
}

impl Clock {
    /// A manual clock that shows `at_ms` milliseconds since 1970.
    pub fn manual(at_ms: i64) -> Self {
        Self::Manual(Arc::new(Hands { wall: AtomicI64::new(at_ms), steady: AtomicI64::new(0) }))
    }

    /// The present, UTC.
    pub fn now(&self) -> Timestamp {
        match self {
            #[expect(clippy::disallowed_methods, reason = "this is the one place that asks the machine")]
            Self::System => Timestamp::now(),
            Self::Manual(hands) => {
                let ms = hands.wall.load(Ordering::SeqCst);
                Timestamp::from_millisecond(ms).unwrap_or(Timestamp::UNIX_EPOCH)
            }
        }
    }

    /// The present in whole milliseconds since 1970, as the history stores it.
    pub fn now_ms(&self) -> i64 {
        self.now().as_millisecond()
    }

    /// By how much the clock on the wall is ahead of the time that went by since the process began. It changes
    /// only when the clock is set (or while the machine sleeps).
    pub fn ahead_ms(&self) -> i64 {
        static BEGAN: OnceLock<Instant> = OnceLock::new();
        let steady_ms = match self {
            Self::System => {
                i64::try_from(BEGAN.get_or_init(Instant::now).elapsed().as_millis()).unwrap_or(i64::MAX)
            }
            Self::Manual(hands) => hands.steady.load(Ordering::SeqCst),
        };
        self.now_ms().saturating_sub(steady_ms)
    }

    /// Lets time go by on a manual clock; a system clock ignores it.
    pub fn advance_ms(&self, by: i64) {
        if let Self::Manual(hands) = self {
            hands.wall.fetch_add(by, Ordering::SeqCst);
            hands.steady.fetch_add(by, Ordering::SeqCst);
        }
    }

    /// Sets a manual clock forward (or back) though no time went by; a system clock ignores it.
    pub fn set_ahead_ms(&self, by: i64) {
        if let Self::Manual(hands) = self {
            hands.wall.fetch_add(by, Ordering::SeqCst);
        }
    }
}
