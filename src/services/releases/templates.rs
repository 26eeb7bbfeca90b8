//! Templates that people of this installation made. Everybody sees them, so adding one needs a right of its own
//! (`create` on `releasetemplates.sluice.io`); who made one, or may `update` and `delete` them, replaces and deletes it.

use crate::cluster::Ask;
use crate::domain::actor::Actor;
use crate::domain::refusal::{Code, Refusal};
use crate::domain::release::{OwnTemplate, TemplateRights, validate};
use crate::services::Services;
use crate::services::once::unavailable;

/// Templates that one person may have.
pub const TEMPLATES: usize = 20;
/// Templates that there may be; the list is never cut.
pub const ALL_TEMPLATES: usize = 200;

impl Services {
    /// Templates that people of this installation made.
    pub async fn own_templates(&self) -> Result<Vec<OwnTemplate>, Refusal> {
        self.inner.store.templates().await.map_err(unavailable)
    }

    /// What this person may do with templates.
    pub async fn template_rights(&self, who: &Actor) -> Result<TemplateRights, Refusal> {
        Ok(TemplateRights {
            add: self.template_right(who, "create").await.err(),
            delete_all: self.template_right(who, "delete").await.is_ok(),
        })
    }

    /// Keeps a template. Everything that is wrong with it is answered, each with its field.
    pub async fn save_template(
        &self,
        who: &Actor,
        template: OwnTemplate,
    ) -> Result<OwnTemplate, Vec<Refusal>> {
        let one = |refusal: Refusal| vec![refusal];
        let name = template.name.trim().to_owned();
        let mut wrong = Vec::new();
        if name.is_empty() || name.chars().count() > 64 || name.chars().any(char::is_control) {
            let shown: String = name.chars().take(80).collect();
            wrong.push(Refusal::new(Code::BadName).field("name").arg("name", shown));
        }
        wrong.extend(validate::template(&template));
        if !wrong.is_empty() {
            return Err(wrong);
        }
        let all = self.own_templates().await.map_err(one)?;
        let user = &who.identity.user;
        let known = all.iter().find(|known| known.name == name);
        match known {
            Some(known) if known.by == *user => {}
            Some(_) => self.template_right(who, "update").await.map_err(one)?,
            None => self.template_right(who, "create").await.map_err(one)?,
        }
        let mine = all.iter().filter(|known| known.by == *user).count();
        if known.is_none() && (mine >= TEMPLATES || all.len() >= ALL_TEMPLATES) {
            return Err(one(Refusal::new(Code::TooManyTemplates).field("name").arg("max", TEMPLATES)));
        }
        // Who replaces another's template does not become its maker.
        let by = known.map_or_else(|| user.clone(), |known| known.by.clone());
        let template = OwnTemplate { name, by, at_ms: self.inner.clock.now_ms(), ..template };
        self.inner.store.save_template(template.clone()).await.map_err(unavailable).map_err(one)?;
        Ok(template)
    }

    /// Deletes a template: its maker, or who may delete all.
    pub async fn delete_template(&self, who: &Actor, name: &str) -> Result<(), Refusal> {
        let all = self.own_templates().await?;
        let mine = all.iter().any(|known| known.name == name && known.by == who.identity.user);
        let known = all.iter().any(|known| known.name == name);
        if known && !mine {
            self.template_right(who, "delete").await?;
        }
        if self.inner.store.delete_template(name).await.map_err(unavailable)? {
            return Ok(());
        }
        let shown: String = name.chars().take(80).collect();
        Err(Refusal::new(Code::TemplateNotFound).arg("name", shown))
    }

    async fn template_right(&self, who: &Actor, verb: &'static str) -> Result<(), Refusal> {
        if who.identity.unrestricted {
            return Ok(());
        }
        let ask = Ask { verb, group: "sluice.io", resource: "releasetemplates", namespace: None, name: None };
        let allowed = self.inner.cluster.allowed(&who.identity, ask).await;
        if allowed.map_err(|error| error.refusal())? {
            return Ok(());
        }
        Err(Refusal::new(Code::TemplateForbidden).arg("who", &who.identity.user).arg("verb", verb))
    }
}
