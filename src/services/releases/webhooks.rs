//! Telling others: every transition, signed, in order of happening, tried again until it is taken or a day has
//! passed. What is to be told was stored with the transition; a restart loses nothing.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use sha2::{Digest, Sha256};
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;
use url::Url;

use crate::metrics::post;
use crate::services::Services;

/// A receiver.
#[derive(Clone)]
pub struct Webhook {
    pub url: Url,
    /// With what the messages are signed; at least 16 bytes.
    pub secret: Arc<[u8]>,
}

impl std::fmt::Debug for Webhook {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Webhook").field("host", &self.url.host_str()).finish_non_exhaustive()
    }
}

const EVERY: Duration = Duration::from_millis(500);
const LIMIT: Duration = Duration::from_secs(10);
/// After so many tries it is given up (about a day).
const TRIES: u32 = 24;

/// The signature of a message: HMAC-SHA-256 (RFC 2104) over `<timestamp>.<body>`, in hexadecimal.
pub fn signature(secret: &[u8], timestamp: i64, body: &str) -> String {
    let mut key = [0_u8; 64];
    if secret.len() > key.len() {
        key[..32].copy_from_slice(&Sha256::digest(secret));
    } else {
        key[..secret.len()].copy_from_slice(secret);
    }
    let pad = |byte: u8| key.map(|held| held ^ byte);
    let inner = Sha256::new()
        .chain_update(pad(0x36))
        .chain_update(timestamp.to_string())
        .chain_update(b".")
        .chain_update(body)
        .finalize();
    hex::encode(Sha256::new().chain_update(pad(0x5c)).chain_update(inner).finalize())
}

/// Runs until `stop`.
pub async fn deliver(services: Services, stop: CancellationToken) {
    if services.inner.settings.webhooks.is_empty() {
        return;
    }
    let mut tick = interval(EVERY);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _ = tick.tick() => {}
            () = stop.cancelled() => return,
        }
        services.deliver_due().await;
    }
}

impl Services {
    async fn deliver_due(&self) {
        let now_ms = self.inner.clock.now_ms();
        let messages = match self.inner.store.messages_due(now_ms, 50).await {
            Ok(messages) => messages,
            Err(error) => {
                tracing::warn!(%error, "messages to the outside cannot be read");
                return;
            }
        };
        let mut behind = HashSet::new();
        for message in messages {
            if behind.contains(&message.release) {
                continue;
            }
            let timestamp = now_ms.div_euclid(1000);
            let mut taken = true;
            for webhook in &self.inner.settings.webhooks {
                let headers = [
                    ("x-sluice-timestamp", timestamp.to_string()),
                    (
                        "x-sluice-signature",
                        format!("sha256={}", signature(&webhook.secret, timestamp, &message.body)),
                    ),
                    ("x-sluice-delivery", message.id.to_string()),
                ];
                if let Err(error) = post::json(&webhook.url, &headers, &message.body, LIMIT).await {
                    let why = error.of_receiver();
                    tracing::warn!(message = message.id, receiver = ?webhook, %why, "a message was not taken");
                    taken = false;
                }
            }
            let wait = 2_000_i64 << message.tries.min(11);
            if !taken {
                behind.insert(message.release);
            }
            let again = (!taken && message.tries < TRIES).then_some(now_ms.saturating_add(wait));
            if let Err(error) = self.inner.store.message_done(message.id, again).await {
                tracing::warn!(%error, "a message could not be ended");
            }
        }
    }
}
