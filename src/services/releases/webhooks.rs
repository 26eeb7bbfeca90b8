//! Webhook delivery: every transition, signed, in order, sent again until the receiver accepts it or a day has
//! passed. Messages and their receivers were stored with the transition; a restart loses nothing.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;
use sha2::{Digest, Sha256};
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;
use url::Url;

use crate::metrics::post;
use crate::services::Services;
use crate::store::Message;

/// A receiver.
#[derive(Clone)]
pub struct Webhook {
    pub url: Url,
    /// With what the messages are signed; at least 16 bytes.
    pub secret: Arc<[u8]>,
}

impl Webhook {
    /// What its messages are stored under: 16 hexadecimal digits of a digest of its address.
    fn name(&self) -> String {
        hex::encode(&Sha256::digest(self.url.as_str())[..8])
    }
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
    if let Err(error) = services.inner.store.address_messages(services.receivers()).await {
        tracing::warn!(%error, "messages of an earlier version wait");
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
    /// Whom the messages of a transition are for.
    pub(super) fn receivers(&self) -> Arc<[String]> {
        self.inner.settings.webhooks.iter().map(Webhook::name).collect()
    }

    /// Sends what is due: to one receiver one after the other, to several at once, so that one that does not
    /// answer does not delay the others.
    async fn deliver_due(&self) {
        let now_ms = self.inner.clock.now_ms();
        let messages = match self.inner.store.messages_due(now_ms, 50).await {
            Ok(messages) => messages,
            Err(error) => {
                tracing::warn!(%error, "messages to the outside cannot be read");
                return;
            }
        };
        let webhooks = &self.inner.settings.webhooks;
        join_all(webhooks.iter().map(|webhook| self.deliver_to(webhook, &messages, now_ms))).await;
        let names = self.receivers();
        let gone = |message: &&Message| !message.receiver.is_empty() && !names.contains(&message.receiver);
        for gone in messages.iter().filter(gone) {
            tracing::warn!(message = gone.id, "a message is for a receiver that is not configured any more");
            self.ended(gone.id, None).await;
        }
    }

    /// Sends one receiver its own messages.
    async fn deliver_to(&self, webhook: &Webhook, messages: &[Message], now_ms: i64) {
        let name = webhook.name();
        let timestamp = now_ms.div_euclid(1000);
        let mut behind = HashSet::new();
        for message in messages.iter().filter(|message| message.receiver == name) {
            if behind.contains(&message.release) {
                continue;
            }
            let signed = signature(&webhook.secret, timestamp, &message.body);
            let headers = [
                ("x-sluice-timestamp", timestamp.to_string()),
                ("x-sluice-signature", format!("sha256={signed}")),
                ("x-sluice-delivery", message.id.to_string()),
            ];
            let sent = post::json(&webhook.url, &headers, &message.body, LIMIT).await;
            let again = if let Err(error) = sent {
                let why = error.of_receiver();
                tracing::warn!(message = message.id, receiver = ?webhook, %why, "a message was not taken");
                behind.insert(message.release);
                let wait = 2_000_i64 << message.tries.min(11);
                (message.tries < TRIES).then_some(now_ms.saturating_add(wait))
            } else {
                None
            };
            self.ended(message.id, again).await;
        }
    }

    async fn ended(&self, id: i64, again_ms: Option<i64>) {
        if let Err(error) = self.inner.store.message_done(id, again_ms).await {
            tracing::warn!(%error, "a message could not be ended");
        }
    }
}
