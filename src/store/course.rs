//! The revisions of a service one after the other, newest first: who made each, and which weights it had. Read by
//! `services::way_back`; nothing is written here.

use crate::domain::{
    audit::Entry,
    ids::{Revision, ServiceRef, VersionName},
    release::ReleaseId,
    routing::Weights,
};

use super::read::{With, sound};
use super::{Store, StoreError, state};

/// A revision and the release that wrote it; `None` = no release did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RevisionOf {
    pub revision: Revision,
    pub release: Option<ReleaseId>,
    /// It was made by switching back.
    pub is_back: bool,
}

/// The declared weights at a revision, and what its entry says of the version that had the traffic before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WeightsAt {
    pub revision: Revision,
    pub weights: Weights,
    /// The earlier revision that it restored.
    pub restores: Option<Revision>,
    /// The old version of the release that wrote it.
    pub stable: Option<VersionName>,
}

impl Store {
    /// The revisions of a service from one down, newest first, each with the release that wrote it; at most `limit`.
    pub async fn revisions_to(
        &self,
        service: &ServiceRef,
        newest: Revision,
        limit: usize,
    ) -> Result<Vec<RevisionOf>, StoreError> {
        let sql = "SELECT o.revision, CASE WHEN json_valid(coalesce(i.body, o.body))
                    THEN json_extract(coalesce(i.body, o.body), '$.intent.details.release.id') END,
                CASE WHEN json_valid(coalesce(i.body, o.body))
                    THEN coalesce(json_extract(coalesce(i.body, o.body), '$.intent.action') = 'switch_back', 0) ELSE 0 END
             FROM audit o LEFT JOIN audit i ON i.seq = o.intent
             WHERE o.service = ?1 AND o.revision IS NOT NULL AND o.revision <= ?2
             ORDER BY o.revision DESC LIMIT ?3";
        let rows: Vec<(i64, Option<i64>, bool)> = sqlx::query_as(sql)
            .bind(service.to_string())
            .bind(i64::try_from(newest).unwrap_or(i64::MAX))
            .bind(i64::try_from(limit).unwrap_or(i64::MAX))
            .fetch_all(&self.inner.readers)
            .await?;
        let read = |(revision, release, is_back): (i64, Option<i64>, bool)| RevisionOf {
            revision: revision.cast_unsigned(),
            release: release.map(ReleaseId),
            is_back,
        };
        Ok(rows.into_iter().map(read).collect())
    }

    /// What [`Self::weights_at`] says of the newest `limit` revisions up to one, newest first; a revision of which the
    /// history says nothing is left out.
    pub async fn weights_to(
        &self,
        service: &ServiceRef,
        newest: Revision,
        limit: u32,
    ) -> Result<Vec<WeightsAt>, StoreError> {
        let mut db = self.inner.readers.acquire().await?;
        // The one above says what the newest found, where that one itself does not say it.
        let rows = sqlx::query_scalar(
            "SELECT seq FROM audit WHERE service = ?1 AND revision <= ?2 ORDER BY revision DESC LIMIT ?3",
        );
        let above = newest.saturating_add(1).cast_signed();
        let rows = rows.bind(service.to_string()).bind(above).bind(limit.saturating_add(1));
        let rows: Vec<i64> = rows.fetch_all(&mut *db).await?;
        let entries = sound(self.load(&mut db, &rows, With::Columns).await?);
        let of = |revision: Revision| {
            let is = |entry: &&Entry| {
                entry.outcome.as_ref().and_then(|outcome| outcome.revision) == Some(revision)
            };
            entries.iter().find(is)
        };
        let after = |entry: &Entry| state::weights_after(&entry.intent, entry.outcome.as_ref()?);
        let at = |revision: Revision| {
            let found = || of(revision.saturating_add(1))?.intent.details.before.clone();
            let entry = of(revision);
            let weights = entry.and_then(after).or_else(found)?;
            let mark = entry.and_then(|entry| entry.intent.details.release.as_deref());
            let restores = entry.and_then(|entry| entry.intent.details.to_revision);
            Some(WeightsAt { revision, weights, restores, stable: mark.map(|mark| mark.stable.clone()) })
        };
        let most = usize::try_from(limit).unwrap_or(usize::MAX);
        Ok((0..=newest).rev().take(most).filter_map(at).collect())
    }
}
