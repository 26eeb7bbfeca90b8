//! Answers of the list in their final bytes: written once for all who are shown the same list in the same
//! language, and found by the list's number afterwards. Called by the page and by the API.
//!
//! A list with another content has another number, so nothing here is ever old; and nothing that differs from
//! person to person (name, token against forged requests) may stand in what is kept.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bytes::Bytes;
use moka::future::Cache;

use super::error::Failure;
use super::squeeze::Squeezed;
use crate::views::lang::Lang;

/// How many bytes are kept.
const MOST: u64 = 16 * 1024 * 1024;

/// The kept answers.
pub struct Answers(Cache<Key, Arc<Answer>>);

/// What an answer shows, and how.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Key {
    /// `ListPage::number`.
    pub list: u64,
    pub form: Form,
    pub lang: Lang,
    /// The zone of the times on a page; 0 where times are in UTC.
    pub offset_min: i16,
}

/// As what the list is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Form {
    /// The block `main` of the page.
    Main,
    /// Its block `results`.
    Results,
    Json,
}

/// An answer, or the greater part of one.
pub struct Answer {
    pub body: Bytes,
    /// What its live parts show (`live::stamp`); 0 for JSON.
    pub stamp: u64,
    squeezed: OnceLock<Option<Squeezed>>,
}

impl Answer {
    pub fn new(body: Bytes, stamp: u64) -> Self {
        Self { body, stamp, squeezed: OnceLock::new() }
    }

    /// The body for those who take gzip, squeezed when the first of them asks.
    pub fn squeezed(&self) -> Option<&Squeezed> {
        self.squeezed.get_or_init(|| Squeezed::of(&self.body)).as_ref()
    }
}

impl Default for Answers {
    fn default() -> Self {
        let weight = |_: &Key, answer: &Arc<Answer>| {
            // Squeezed it is a good deal smaller.
            u32::try_from(answer.body.len() + answer.body.len() / 4).unwrap_or(u32::MAX)
        };
        let kept = Cache::builder().max_capacity(MOST).weigher(weight);
        // Lists are built again every second.
        Self(kept.time_to_live(Duration::from_secs(5)).build())
    }
}

impl Answers {
    /// The answer of that key; made when it is not there.
    pub async fn of(
        &self,
        key: Key,
        make: impl FnOnce() -> Result<Answer, Failure>,
    ) -> Result<Arc<Answer>, Failure> {
        if let Some(answer) = self.0.get(&key).await {
            return Ok(answer);
        }
        let answer = Arc::new(make()?);
        if key.list != 0 {
            self.0.insert(key, answer.clone()).await;
        }
        Ok(answer)
    }
}
