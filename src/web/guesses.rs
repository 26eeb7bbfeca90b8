//! Failed credentials. A failure counts against that credential from that address, never against others'
//! valid ones: behind an ingress one address is everybody. From an address with many failures credentials are checked
//! one after the other, so that guessing costs the cluster little, and a failure is answered with a waiting time.
//!
//! Used for bearers by `auth` and for the sign-in by `pages::login`. In memory: a guess that is forgotten by a
//! restart is one more TokenReview.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use sha2::{Digest, Sha256};
use tokio::sync::{Mutex as Turn, OwnedMutexGuard};
use tokio::time::timeout;

use super::caller::Caller;
use super::throttle::Throttle;
use crate::domain::refusal::{Code, Refusal};

/// How often in a minute one credential may fail from one address.
const OF_ONE: u32 = 5;
/// Failures of one address in a minute after which its credentials take turns.
const OF_ADDRESS: u32 = 30;
/// The longest wait for a turn.
const PATIENCE: Duration = Duration::from_secs(10);
/// Addresses whose turns are remembered before idle ones are forgotten.
const LANES: usize = 1_000;
/// Credentials that are remembered as good; they take no turns.
const GOOD: usize = 10_000;
/// For how long.
const GOOD_MS: i64 = 600_000;

/// Who failed lately.
#[derive(Debug)]
pub struct Guesses {
    credentials: Throttle,
    addresses: Throttle,
    lanes: Mutex<HashMap<String, Arc<Turn<()>>>>,
    /// When a credential was last good.
    good: Mutex<HashMap<String, i64>>,
}

impl Default for Guesses {
    fn default() -> Self {
        let minute = Duration::from_mins(1);
        Self {
            credentials: Throttle::new(OF_ONE, minute),
            addresses: Throttle::new(OF_ADDRESS, minute),
            lanes: Mutex::default(),
            good: Mutex::default(),
        }
    }
}

impl Guesses {
    /// Judges a credential by `look`; refuses without looking when it has failed from there too often.
    pub async fn judge<T>(
        &self,
        caller: &Caller,
        credential: &str,
        now_ms: i64,
        look: impl Future<Output = Result<T, Refusal>>,
    ) -> Result<T, Refusal> {
        let address = caller.network();
        let name = format!("{} {address}", hex::encode(&Sha256::digest(credential)[..16]));
        let wait = |s: u64| Refusal::new(Code::RateLimited).arg("s", s);
        if let Some(s) = self.credentials.wait(&name, now_ms) {
            return Err(wait(s));
        }
        let slow = self.addresses.wait(&address, now_ms).filter(|_| !self.is_good(&name, now_ms));
        let turn = match slow {
            Some(s) => Some(self.turn(&address).await.ok_or_else(|| wait(s))?),
            None => None,
        };
        let found = look.await;
        drop(turn);
        match found {
            Err(refusal) if refusal.code == Code::BadToken => {
                // The counts only matter to the next one.
                let _ = self.credentials.take(&name, now_ms);
                let _ = self.addresses.take(&address, now_ms);
                Err(slow.map_or(refusal, wait))
            }
            Ok(found) => {
                self.remember(name, now_ms);
                Ok(found)
            }
            Err(refusal) => Err(refusal),
        }
    }

    fn is_good(&self, name: &str, now_ms: i64) -> bool {
        let good = self.good.lock().unwrap_or_else(PoisonError::into_inner);
        good.get(name).is_some_and(|at_ms| (0..GOOD_MS).contains(&(now_ms - at_ms)))
    }

    fn remember(&self, name: String, now_ms: i64) {
        let mut good = self.good.lock().unwrap_or_else(PoisonError::into_inner);
        if good.len() >= GOOD {
            good.retain(|_, at_ms| (0..GOOD_MS).contains(&(now_ms - *at_ms)));
        }
        if good.len() < GOOD || good.contains_key(&name) {
            good.insert(name, now_ms);
        }
    }

    async fn turn(&self, address: &str) -> Option<OwnedMutexGuard<()>> {
        let lane = {
            let mut lanes = self.lanes.lock().unwrap_or_else(PoisonError::into_inner);
            if lanes.len() >= LANES {
                lanes.retain(|_, lane| Arc::strong_count(lane) > 1);
            }
            lanes.entry(address.to_owned()).or_default().clone()
        };
        timeout(PATIENCE, lane.lock_owned()).await.ok()
    }
}
