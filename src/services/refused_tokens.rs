//! Tokens that were not accepted, at sign-in and in API calls: each is a log line, and a row of the history for
//! each address and minute. The first of a minute is written at once; the others are counted and become one row
//! when the minute is over, so that guessing cannot fill the history.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use crate::domain::actor::Channel;
use crate::domain::audit::{Action, Details, Ending, Intent, Outcome};
use crate::domain::refusal::{Code, Refusal};
use crate::store::Revise;

use super::Services;

/// One row stands for so long.
const MINUTE_MS: i64 = 60 * 1000;
/// Addresses counted apart in one minute; the others share a count.
const MOST: usize = 64;
/// Kubernetes' name for an unknown user.
const UNKNOWN: &str = "system:anonymous";

/// How a token was shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Attempt {
    /// On the sign-in page.
    SignIn,
    /// With a call of the API.
    Bearer,
}

/// Counts since the first attempt of a minute; an empty address stands for all that had no place of their own.
#[derive(Default)]
pub(super) struct RefusedTokens(Mutex<HashMap<(Attempt, String), Count>>);

struct Count {
    since_ms: i64,
    /// After the first, which has its row.
    more: u64,
}

impl RefusedTokens {
    /// Counts an attempt; true when it is the first of its minute.
    fn note(&self, attempt: Attempt, address: &str, now_ms: i64) -> bool {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let own = (attempt, address.to_owned());
        let full = counts.len() >= MOST && !counts.contains_key(&own);
        let key = if full { (attempt, String::new()) } else { own };
        if let Some(count) = counts.get_mut(&key) {
            count.more += 1;
            return false;
        }
        counts.insert(key, Count { since_ms: now_ms, more: 0 });
        true
    }

    /// Takes the counts whose minute is over; with `all` the others, too.
    fn take(&self, now_ms: i64, all: bool) -> Vec<(Attempt, String, Count)> {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // A clock that went back ends every minute.
        let over = |count: &Count| all || !(0..MINUTE_MS).contains(&(now_ms - count.since_ms));
        let done: Vec<_> = counts.extract_if(|_, count| over(count)).collect();
        done.into_iter().map(|((attempt, address), count)| (attempt, address, count)).collect()
    }
}

impl Services {
    /// Notes a token that was not accepted.
    pub(super) async fn token_refused(&self, attempt: Attempt, address: &str) {
        match attempt {
            Attempt::SignIn => tracing::info!(address, "a sign-in was refused: the token is not accepted"),
            Attempt::Bearer => tracing::info!(address, "a call was refused: its token is not accepted"),
        }
        let now_ms = self.inner.clock.now_ms();
        if self.inner.refused_tokens.note(attempt, address, now_ms) {
            self.record_refused(attempt, address, now_ms, None).await;
        }
    }

    /// Writes the counts of minutes that are over; with `all` those of minutes that are not, too.
    pub(super) async fn flush_refused_tokens(&self, all: bool) {
        for (attempt, address, count) in self.inner.refused_tokens.take(self.inner.clock.now_ms(), all) {
            if count.more > 0 {
                self.record_refused(attempt, &address, count.since_ms, Some(count.more)).await;
            }
        }
    }

    async fn record_refused(&self, attempt: Attempt, address: &str, at_ms: i64, times: Option<u64>) {
        let (action, channel) = match attempt {
            Attempt::SignIn => (Action::SignIn, Channel::Browser),
            Attempt::Bearer => (Action::Authenticate, Channel::Api),
        };
        let intent = Intent {
            change: uuid::Uuid::now_v7().to_string(),
            at_ms,
            service: None,
            actor: UNKNOWN.to_owned(),
            groups: Vec::new(),
            channel,
            address: Some(address.to_owned()).filter(|address| !address.is_empty()),
            action,
            reason: String::new(),
            request_id: String::new(),
            details: Details::default(),
        };
        let details = Details { refusal: Some(Refusal::new(Code::BadToken)), times, ..Details::default() };
        let at_ms = self.inner.clock.now_ms();
        let outcome = Outcome { at_ms, ending: Ending::Refused, revision: None, details };
        if let Err(error) = self.inner.store.single(&intent, &outcome, Revise::Keep).await {
            tracing::warn!(%error, "a refused token is in the log only");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_of_a_minute_is_told_and_the_others_are_counted() {
        let refused = RefusedTokens::default();
        assert!(refused.note(Attempt::Bearer, "192.0.2.1", 0));
        assert!(refused.note(Attempt::SignIn, "192.0.2.1", 0));
        for _ in 0..36 {
            assert!(!refused.note(Attempt::Bearer, "192.0.2.1", 59_999));
        }
        assert_eq!(refused.take(59_999, false).len(), 0);
        let mut over = refused.take(60_000, false);
        over.sort_by_key(|(_, _, count)| count.more);
        assert_eq!(over.iter().map(|(_, _, count)| count.more).collect::<Vec<_>>(), [0, 36]);
        assert!(refused.note(Attempt::Bearer, "192.0.2.1", 60_000));
        assert_eq!(refused.take(60_001, true).len(), 1);
    }

    #[test]
    fn many_addresses_share_a_count() {
        let refused = RefusedTokens::default();
        let told =
            (0..1000).filter(|n| refused.note(Attempt::Bearer, &format!("10.0.{}.{}", n / 250, n % 250), 0));
        assert_eq!(told.count(), MOST + 1);
        let all = refused.take(60_000, false);
        let more: u64 = all.iter().map(|(_, _, count)| count.more).sum();
        assert_eq!((all.len(), more), (MOST + 1, 1000 - 1 - u64::try_from(MOST).unwrap()));
    }
}
