//! Rate limits: a bounded count per name and window. In memory: a restart forgets.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// More names than this are not remembered; the oldest windows are forgotten first.
const NAMES: usize = 10_000;

/// At most `most` in each window of time, for every name by itself.
#[derive(Debug)]
pub struct Throttle {
    most: u32,
    window_ms: i64,
    seen: Mutex<HashMap<String, Seen>>,
}

#[derive(Clone, Copy, Debug)]
struct Seen {
    since_ms: i64,
    count: u32,
}

impl Throttle {
    pub fn new(most: u32, window: Duration) -> Self {
        let window_ms = i64::try_from(window.as_millis()).unwrap_or(i64::MAX);
        Self { most, window_ms, seen: Mutex::default() }
    }

    /// Counts one; an error says after how many seconds it would be allowed.
    pub fn take(&self, name: &str, now_ms: i64) -> Result<(), u64> {
        self.wait(name, now_ms).map_or(Ok(()), Err)?;
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        if seen.len() >= NAMES && !seen.contains_key(name) {
            seen.retain(|_, entry| self.counts(entry.since_ms, now_ms));
            let oldest = seen.iter().min_by_key(|(_, entry)| entry.since_ms).map(|(name, _)| name.clone());
            if let Some(oldest) = oldest.filter(|_| seen.len() >= NAMES) {
                seen.remove(&oldest);
            }
        }
        let entry = seen.entry(name.to_owned()).or_insert(Seen { since_ms: now_ms, count: 0 });
        if !self.counts(entry.since_ms, now_ms) {
            *entry = Seen { since_ms: now_ms, count: 0 };
        }
        entry.count += 1;
        Ok(())
    }

    /// A clock that was set back refuses no request.
    fn counts(&self, since_ms: i64, now_ms: i64) -> bool {
        (0..self.window_ms).contains(&(now_ms - since_ms))
    }

    /// The seconds that this name has to wait; `None` when it need not. Counts nothing.
    pub fn wait(&self, name: &str, now_ms: i64) -> Option<u64> {
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let entry = seen.get(name)?;
        let left = entry.since_ms + self.window_ms - now_ms;
        (self.counts(entry.since_ms, now_ms) && entry.count >= self.most)
            .then(|| u64::try_from(left).unwrap_or(0).div_ceil(1000))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_each_name_by_itself_and_forgets_after_the_window() {
        let throttle = Throttle::new(2, Duration::from_mins(1));
        assert_eq!(throttle.take("a", 0), Ok(()));
        assert_eq!(throttle.take("a", 10_000), Ok(()));
        assert_eq!(throttle.take("a", 20_000), Err(40));
        assert_eq!(throttle.take("b", 20_000), Ok(()));
        assert_eq!(throttle.wait("a", 59_999), Some(1));
        assert_eq!(throttle.take("a", 60_000), Ok(()));
        assert_eq!(throttle.wait("a", 60_000), None);
        assert_eq!(throttle.take("a", 61_000), Ok(()));
        assert_eq!(throttle.wait("a", 62_000), Some(58));
        assert_eq!(throttle.wait("a", -3_600_000), None);
        assert_eq!(throttle.take("a", -3_600_000), Ok(()));
    }

    #[test]
    fn does_not_grow_without_bound() {
        let throttle = Throttle::new(1, Duration::from_mins(1));
        for n in 0..NAMES + 50 {
            throttle.take(&n.to_string(), 0).unwrap();
        }
        assert_eq!(throttle.seen.lock().unwrap().len(), NAMES);
    }
}
