//! Drafts of the wizard. A draft belongs to who made it.

use serde_json::Value;

use crate::domain::actor::Actor;
use crate::domain::ids::ServiceRef;
use crate::domain::refusal::{Code, Refusal};
use crate::domain::release::Draft;
use crate::services::Services;
use crate::services::once::unavailable;
use crate::store::Saved;

/// The largest draft, in bytes of JSON.
const DRAFT_MAX: usize = 128 * 1024;

fn no_draft() -> Refusal {
    Refusal::new(Code::DraftNotFound)
}

fn fits(fields: &Value) -> Result<(), Refusal> {
    if fields.to_string().len() > DRAFT_MAX { Err(Refusal::new(Code::BodyTooLarge)) } else { Ok(()) }
}

impl Services {
    /// A new draft.
    pub async fn new_draft(&self, who: &Actor, fields: Value) -> Result<Draft, Refusal> {
        fits(&fields)?;
        let draft = Draft {
            id: uuid::Uuid::now_v7().simple().to_string(),
            by: who.identity.user.clone(),
            created_ms: 0,
            changed_ms: 0,
            seq: 0,
            fields,
        };
        self.may_draft(who, &draft.fields).await?;
        match self.inner.store.save_draft(draft, None).await.map_err(unavailable)? {
            Saved::As(draft) => Ok(draft),
            Saved::Stale => Err(no_draft()),
            Saved::Full => Err(Refusal::new(Code::TooManyDrafts)),
        }
    }

    /// Saves a draft; `expected` = the `seq` that was seen (two tabs on one draft notice each other).
    pub async fn save_draft(
        &self,
        who: &Actor,
        id: &str,
        expected: Option<u64>,
        fields: Value,
    ) -> Result<Draft, Refusal> {
        fits(&fields)?;
        let known = self.draft(who, id).await?;
        if known.fields == fields {
            // Sent again because the answer was lost: it is as it shall be.
            return Ok(known);
        }
        self.may_draft(who, &fields).await?;
        match self.inner.store.save_draft(Draft { fields, ..known }, expected).await.map_err(unavailable)? {
            Saved::As(draft) => Ok(draft),
            Saved::Stale => Err(Refusal::new(Code::DraftStale)),
            Saved::Full => Err(Refusal::new(Code::TooManyDrafts)),
        }
    }

    /// A draft is for who could start its release: it needs the right to change the service that it names. While it
    /// names none, only the quota bounds it.
    async fn may_draft(&self, who: &Actor, fields: &Value) -> Result<(), Refusal> {
        let named = fields.get("service").and_then(Value::as_str).or_else(|| {
            // A whole wish names namespace and name.
            fields.pointer("/spec/service/name").and_then(Value::as_str)
        });
        let at = match (fields.pointer("/spec/service/namespace").and_then(Value::as_str), named) {
            (Some(namespace), Some(name)) => ServiceRef::parse(namespace, name).ok(),
            (None, Some(path)) => ServiceRef::parse_path(path).ok(),
            (_, None) => None,
        };
        if let Some(at) = at {
            self.must_see(who, &at).await?;
            return match self.change_right(&who.identity, &at).await? {
                Some(refusal) => Err(refusal),
                None => Ok(()),
            };
        }
        Ok(())
    }

    pub async fn draft(&self, who: &Actor, id: &str) -> Result<Draft, Refusal> {
        self.inner.store.draft(&who.identity.user, id).await.map_err(unavailable)?.ok_or_else(no_draft)
    }

    /// The person's drafts, newest first.
    pub async fn drafts(&self, who: &Actor) -> Result<Vec<Draft>, Refusal> {
        self.inner.store.drafts(&who.identity.user).await.map_err(unavailable)
    }

    pub async fn delete_draft(&self, who: &Actor, id: &str) -> Result<(), Refusal> {
        let gone = self.inner.store.delete_draft(&who.identity.user, id).await.map_err(unavailable)?;
        if gone { Ok(()) } else { Err(no_draft()) }
    }
}
