//! Encryption of a session's Kubernetes token with a key that only the session's cookie gives. A copy of the
//! database holds neither the cookie nor the key. `sessions` calls it; nothing else does.

use ring::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, Nonce, UnboundKey};
use sha2::{Digest, Sha256};

use crate::domain::actor::BearerToken;

/// The token as it is stored; `None` when the cipher refuses it (it is longer than the cipher allows).
pub(super) fn seal(secret: &[u8; 32], token: &BearerToken) -> Option<Vec<u8>> {
    let mut text = token.reveal().as_bytes().to_vec();
    key(secret)?.seal_in_place_append_tag(nonce(), Aad::empty(), &mut text).ok()?;
    Some(text)
}

/// The token; `None` when it was not sealed with this secret, or was altered.
pub(super) fn open(secret: &[u8; 32], sealed: &[u8]) -> Option<BearerToken> {
    let mut text = sealed.to_vec();
    let text = key(secret)?.open_in_place(nonce(), Aad::empty(), &mut text).ok()?;
    std::str::from_utf8(text).ok().map(BearerToken::new)
}

fn key(secret: &[u8; 32]) -> Option<LessSafeKey> {
    let key: [u8; 32] = Sha256::new().chain_update(b"token").chain_update(secret).finalize().into();
    UnboundKey::new(&CHACHA20_POLY1305, &key).ok().map(LessSafeKey::new)
}

/// Each key seals exactly one token, so a nonce cannot come twice for a key.
fn nonce() -> Nonce {
    Nonce::assume_unique_for_key([0; 12])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_secret_that_sealed_a_token_opens_it() {
        let token = BearerToken::new("header.payload.signature");
        let sealed = seal(&[7; 32], &token).unwrap();
        assert!(!sealed.windows(7).any(|part| part == b"payload"));
        assert_eq!(open(&[7; 32], &sealed).unwrap().reveal(), token.reveal());
        assert!(open(&[8; 32], &sealed).is_none());
        let mut altered = sealed.clone();
        altered[3] ^= 1;
        assert!(open(&[7; 32], &altered).is_none());
        assert!(open(&[7; 32], b"").is_none());
    }
}
