//! Attempts that were refused, folded: the first of a minute is written at once, the same again (person, service,
//! action, reason) is counted and becomes one row when the minute is over. A client that is refused 120 times in ten
//! seconds is a broken program: it is asked to wait a few seconds, for switching back, too. A restart forgets the
//! waiting; `finish` writes the counts.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use crate::domain::actor::{Actor, Channel};
use crate::domain::audit::{Action, Details, Ending, Intent, Outcome};
use crate::domain::ids::ServiceRef;
use crate::domain::refusal::{Code, Refusal};
use crate::store::Revise;

use super::Services;

/// One row stands for so long.
const MINUTE_MS: i64 = 60_000;
/// Kinds of refusals that are counted apart; more are counted for all services of their person together.
const MOST: usize = 1_024;
/// So many refusals of one person about one service in so long, and the next attempt waits.
const OFTEN: u32 = 120;
const OFTEN_MS: i64 = 10_000;

type Key = (String, Option<ServiceRef>, Action, Code);

#[derive(Default)]
pub(super) struct RefusedAttempts(Mutex<Counts>);

#[derive(Default)]
struct Counts {
    kinds: HashMap<Key, Count>,
    recent: HashMap<(String, ServiceRef), Recent>,
}

struct Count {
    since_ms: i64,
    /// The row of the first.
    entry: Option<i64>,
    more: u64,
    /// The last of them, for the row that stands for all.
    last: Option<(Intent, Ending)>,
}

#[derive(Clone, Copy)]
struct Recent {
    since_ms: i64,
    count: u32,
}

/// What is to be done with a refusal.
pub(super) enum Noted {
    /// Write it, and tell which row it became.
    First(Key),
    /// It is counted with this row.
    Again(Option<i64>),
}

impl RefusedAttempts {
    /// Counts a refusal.
    pub fn note(&self, intent: &Intent, code: Code, ending: Ending, now_ms: i64) -> Noted {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        counts.recently(intent, now_ms);
        let own: Key = (intent.actor.clone(), intent.service.clone(), intent.action, code);
        let full = counts.kinds.len() >= MOST && !counts.kinds.contains_key(&own);
        let key = if full { (own.0, None, own.2, own.3) } else { own };
        if let Some(count) = counts.kinds.get_mut(&key) {
            count.more += 1;
            // Without the objects and checks that each would carry: those of the first stand for all.
            let details = Details {
                release: intent.details.release.clone(),
                refusal: intent
                    .details
                    .refusal
                    .clone()
                    .map(|refusal| Refusal { checks: Vec::new(), ..refusal }),
                ..Details::default()
            };
            count.last = Some((Intent { details, ..intent.clone() }, ending));
            return Noted::Again(count.entry);
        }
        counts.kinds.insert(key.clone(), Count { since_ms: now_ms, entry: None, more: 0, last: None });
        Noted::First(key)
    }

    /// Keeps the row of the first.
    pub fn written(&self, key: &Key, entry: Option<i64>) {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = counts.kinds.get_mut(key) {
            count.entry = entry;
        }
    }

    /// The seconds that a client has to wait after being refused too often.
    fn wait(&self, user: &str, at: &ServiceRef, now_ms: i64) -> Option<u64> {
        let counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let recent = counts.recent.get(&(user.to_owned(), at.clone()))?;
        let left = recent.since_ms + OFTEN_MS - now_ms;
        let waits = recent.count >= OFTEN && (1..=OFTEN_MS).contains(&left);
        waits.then(|| u64::try_from(left).unwrap_or(0).div_ceil(1_000))
    }

    /// Takes the counts whose minute is over; with `all` the others, too.
    fn take(&self, now_ms: i64, all: bool) -> Vec<Count> {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        counts.recent.retain(|_, recent| (0..OFTEN_MS).contains(&(now_ms - recent.since_ms)));
        // A clock that went back ends every minute.
        let over = |count: &Count| all || !(0..MINUTE_MS).contains(&(now_ms - count.since_ms));
        counts.kinds.extract_if(|_, count| over(count)).map(|(_, count)| count).collect()
    }
}

impl Counts {
    fn recently(&mut self, intent: &Intent, now_ms: i64) {
        let Some(service) = &intent.service else { return };
        if self.recent.len() >= MOST {
            self.recent.retain(|_, recent| (0..OFTEN_MS).contains(&(now_ms - recent.since_ms)));
        }
        let key = (intent.actor.clone(), service.clone());
        if self.recent.len() >= MOST && !self.recent.contains_key(&key) {
            return;
        }
        let recent = self.recent.entry(key).or_insert(Recent { since_ms: now_ms, count: 0 });
        if !(0..OFTEN_MS).contains(&(now_ms - recent.since_ms)) {
            *recent = Recent { since_ms: now_ms, count: 0 };
        }
        recent.count += 1;
    }
}

impl Services {
    /// Refuses who was refused too often just now, before anything is read or written for them.
    pub(super) fn not_too_often(&self, who: &Actor, at: &ServiceRef) -> Result<(), Refusal> {
        if who.channel == Channel::Automatic {
            return Ok(());
        }
        let wait = self.inner.refused_attempts.wait(&who.identity.user, at, self.inner.clock.now_ms());
        wait.map_or(Ok(()), |s| Err(Refusal::new(Code::RateLimited).arg("s", s)))
    }

    /// Writes the counts of minutes that are over; with `all` those of minutes that are not, too.
    pub(super) async fn flush_refused_attempts(&self, all: bool) {
        for count in self.inner.refused_attempts.take(self.inner.clock.now_ms(), all) {
            let Some((mut intent, ending)) = count.last else { continue };
            intent.change = uuid::Uuid::now_v7().to_string();
            let details = Details { times: Some(count.more), ..Details::default() };
            let outcome = Outcome { at_ms: self.inner.clock.now_ms(), ending, revision: None, details };
            if let Err(error) = self.inner.store.single(&intent, &outcome, Revise::Keep).await {
                tracing::warn!(%error, times = count.more, "refused attempts are counted in the log only");
            }
        }
    }
}
