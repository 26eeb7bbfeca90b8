//! The hash chain: what one row's hash covers, and the head that stands for all rows.

use std::fmt;
use std::str::FromStr;

use sha2::{Digest, Sha256};

/// A SHA-256.
pub(super) type Hash = [u8; 32];

/// What stands before the first row.
pub(super) const GENESIS: Hash = [0; 32];

/// The hash of a row: SHA-256 over the hash of the row before and the bytes of the body.
pub(super) fn link(prev: &Hash, body: &str) -> Hash {
    Sha256::new().chain_update(prev).chain_update(body.as_bytes()).finalize().into()
}

/// SHA-256 in hexadecimal.
pub(super) fn digest(text: &str) -> String {
    hex::encode(Sha256::digest(text.as_bytes()))
}

/// The last row of the history and its hash: a copy of it proves later that no row up to it was
/// changed or cut off. Written as `seq:hash`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Head {
    pub seq: i64,
    /// 64 hexadecimal digits.
    pub hash: String,
}

impl fmt::Display for Head {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.seq, self.hash)
    }
}

impl FromStr for Head {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong = || format!("`{text}` is not an anchor; it is written as NUMBER:64-HEX-DIGITS");
        let (seq, hash) = text.trim().split_once(':').ok_or_else(wrong)?;
        let seq = seq.parse().map_err(|_| wrong())?;
        let good = hash.len() == 64 && hash.bytes().all(|b| b.is_ascii_hexdigit());
        if good { Ok(Self { seq, hash: hash.to_ascii_lowercase() }) } else { Err(wrong()) }
    }
}
