//! Drafts of the wizard and templates of one's own. A draft belongs to who made it.

use serde_json::Value;

use crate::domain::actor::Actor;
use crate::domain::ids::ServiceRef;
use crate::domain::refusal::{Code, Refusal};
use crate::domain::release::{Draft, OwnTemplate, validate};
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

    /// Templates that people of this installation made.
    pub async fn own_templates(&self) -> Result<Vec<OwnTemplate>, Refusal> {
        self.inner.store.templates().await.map_err(unavailable)
    }

    /// Keeps a template; only who made one may replace it.
    pub async fn save_template(&self, who: &Actor, template: OwnTemplate) -> Result<OwnTemplate, Refusal> {
        let name = template.name.trim().to_owned();
        if name.is_empty() || name.chars().count() > 64 || name.chars().any(char::is_control) {
            return Err(Refusal::new(Code::BadName).field("name").arg("name", name));
        }
        let mut wrong = validate::template(&template);
        // One is answered: a list that is too long before what else is wrong.
        wrong.sort_by_key(|refusal| {
            let long = [Code::TooManyItems, Code::TooManySteps, Code::AnalysisRange, Code::FreezeRange];
            !long.contains(&refusal.code)
        });
        if let Some(refusal) = wrong.into_iter().next() {
            return Err(refusal);
        }
        self.own_or_free(who, &name).await?;
        let template =
            OwnTemplate { name, by: who.identity.user.clone(), at_ms: self.inner.clock.now_ms(), ..template };
        self.inner.store.save_template(template.clone()).await.map_err(unavailable)?;
        Ok(template)
    }

    pub async fn delete_template(&self, who: &Actor, name: &str) -> Result<(), Refusal> {
        self.own_or_free(who, name).await?;
        if self.inner.store.delete_template(name).await.map_err(unavailable)? {
            return Ok(());
        }
        Err(Refusal::new(Code::TemplateNotFound).arg("name", name))
    }

    async fn own_or_free(&self, who: &Actor, name: &str) -> Result<(), Refusal> {
        let all = self.own_templates().await?;
        let theirs = all.iter().any(|known| known.name == name && known.by != who.identity.user);
        if theirs && !who.identity.unrestricted {
            return Err(Refusal::new(Code::Forbidden)
                .arg("svc", name)
                .arg("ns", "")
                .arg("verb", "update")
                .arg("resource", "template")
                .arg("who", &who.identity.user));
        }
        Ok(())
    }
}
