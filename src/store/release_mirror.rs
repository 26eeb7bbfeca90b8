//! What a release's own writes did to the mirror of its service.

use crate::domain::ids::ServiceRef;
use crate::domain::release::ReleaseId;
use crate::domain::rule_changes::MirrorChange;

use super::{Store, StoreError};

impl Store {
    /// The changes of the mirror by this release's own writes, in order. One that cannot be read is left out.
    pub async fn mirrors_of(&self, id: ReleaseId, at: &ServiceRef) -> Result<Vec<MirrorChange>, StoreError> {
        let sql = "SELECT json_extract(i.body, '$.intent.details.mirror') FROM audit o
                     JOIN audit i ON i.seq = o.intent
             WHERE o.service = ?2 AND o.revision IS NOT NULL
               AND +o.seq > (SELECT coalesce(min(entry), 0) FROM release_event
                             WHERE release = ?1 AND instr(body, '\"what\":\"began\"') > 0)
               AND json_extract(i.body, '$.intent.details.release.id') = ?1
               AND json_extract(i.body, '$.intent.details.mirror') IS NOT NULL
             ORDER BY o.revision";
        let rows: Vec<String> =
            sqlx::query_scalar(sql).bind(id.0).bind(at.to_string()).fetch_all(&self.inner.readers).await?;
        Ok(rows.iter().filter_map(|body| serde_json::from_str(body).ok()).collect())
    }
}
