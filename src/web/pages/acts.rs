//! Take over, switch back and retire: a dialog on the service's page, and a page of its own at the same address.

use axum::extract::{RawQuery, State};
use axum::response::Response;
use url::form_urlencoded;

use super::apply::{done, make, retired};
use super::service::{Visit, key};
use crate::domain::ids::{Revision, ServiceRef, VersionName};
use crate::domain::overview::{Detail, Preview, Refused, Stale};
use crate::domain::refusal::{Code, Refusal};
use crate::domain::removal;
use crate::services::ask::{ChangeAsk, Wish};
use crate::views::acts::{Act, ActPage, Asked, Target};
use crate::web::api::changes::permit_preview;
use crate::web::api::extract::At;
use crate::web::auth::Who;
use crate::web::auth::form::Form;
use crate::web::caller::{Caller, Door};
use crate::web::error::Failure;
use crate::web::respond;
use crate::web::site::App;

/// `GET …/traffic/takeover?version=`.
pub async fn ask_take_over(
    State(app): State<App>,
    who: Who,
    caller: Caller,
    At(at): At,
    RawQuery(query): RawQuery,
) -> Result<Response, Failure> {
    let wish = take_over_of(&parameter(query.as_deref(), "version"))?;
    Visit { app, who, caller, at }.question(wish).await
}

/// `GET …/traffic/switch-back?revision=`.
pub async fn ask_switch_back(
    State(app): State<App>,
    who: Who,
    caller: Caller,
    At(at): At,
    RawQuery(query): RawQuery,
) -> Result<Response, Failure> {
    let wish = switch_back_of(&parameter(query.as_deref(), "revision"), &at)?;
    Visit { app, who, caller, at }.question(wish).await
}

/// `POST …/traffic/takeover`.
pub async fn take_over(
    State(app): State<App>,
    who: Who,
    caller: Caller,
    At(at): At,
    form: Form,
) -> Result<Response, Failure> {
    let wish = take_over_of(form.text("version"))?;
    Visit { app, who, caller, at }.act(wish, &form).await
}

/// `POST …/traffic/switch-back`.
pub async fn switch_back(
    State(app): State<App>,
    who: Who,
    caller: Caller,
    At(at): At,
    form: Form,
) -> Result<Response, Failure> {
    let wish = switch_back_of(form.text("revision"), &at)?;
    Visit { app, who, caller, at }.act(wish, &form).await
}

/// `GET …/traffic/retire?version=`.
pub async fn ask_retire(
    State(app): State<App>,
    who: Who,
    caller: Caller,
    At(at): At,
    RawQuery(query): RawQuery,
) -> Result<Response, Failure> {
    let wish = Wish::Retire(version_of(&parameter(query.as_deref(), "version"))?);
    Visit { app, who, caller, at }.question(wish).await
}

/// `POST …/traffic/retire`: nothing is done before the service and the version were typed.
pub async fn retire(
    State(app): State<App>,
    who: Who,
    caller: Caller,
    At(at): At,
    form: Form,
) -> Result<Response, Failure> {
    let version = version_of(form.text("version"))?;
    let confirmed = removal::confirmed(&at.name, &version, form.text("confirm"));
    let visit = Visit { app, who, caller, at };
    match confirmed {
        Ok(()) => visit.act(Wish::Retire(version), &form).await,
        Err(refusal) => {
            let status = refusal.code.status();
            let ack = form.acknowledged();
            visit.asked_again(&Wish::Retire(version), &form, &ack, refusal.into(), status).await
        }
    }
}

fn parameter(query: Option<&str>, name: &str) -> String {
    let found = form_urlencoded::parse(query.unwrap_or_default().as_bytes()).find(|(key, _)| key == name);
    found.map(|(_, value)| value.into_owned()).unwrap_or_default()
}

fn take_over_of(version: &str) -> Result<Wish, Refusal> {
    version_of(version).map(Wish::TakeOver)
}

fn version_of(version: &str) -> Result<VersionName, Refusal> {
    let unknown = |_| {
        let shown: String = version.chars().take(80).collect();
        Refusal::new(Code::UnknownVersion).field("version").arg("v", shown)
    };
    VersionName::parse(version).map_err(unknown)
}

fn switch_back_of(revision: &str, at: &ServiceRef) -> Result<Wish, Refusal> {
    let known = revision.parse::<Revision>().ok().filter(|revision| i64::try_from(*revision).is_ok());
    let shown: String = revision.chars().take(80).collect();
    let unknown = || Refusal::new(Code::UnknownRevision).field("revision").arg("r", shown).arg("svc", at);
    known.map(Wish::SwitchBack).ok_or_else(unknown)
}

impl Visit {
    /// The question with its effect.
    async fn question(&self, wish: Wish) -> Result<Response, Failure> {
        let detail = self.app.services.detail(&self.who.actor, &self.at, 60).await?;
        let (preview, refusal) = self.effect_of(&wish, &[]).await;
        let asked = Asked {
            preview: preview.as_ref(),
            refusal: refusal.as_ref(),
            request_id: key(),
            ..Asked::default()
        };
        Ok(self.shown(&detail, &wish, &asked, 200))
    }

    async fn effect_of(&self, wish: &Wish, ack: &[String]) -> (Option<Preview>, Option<Refusal>) {
        if let Err(refusal) = permit_preview(&self.app, &self.who, wish) {
            // The way back stays open without its effect being shown.
            return (None, Some(refusal).filter(|_| !matches!(wish, Wish::SwitchBack(_))));
        }
        match self.app.services.preview(&self.who.actor, &self.at, wish, ack).await {
            Ok(preview) => (Some(preview), None),
            Err(refused) => (None, Some(refused.refusal)),
        }
    }

    /// Does it, or asks again with what was typed.
    async fn act(&self, wish: Wish, form: &Form) -> Result<Response, Failure> {
        let text = |name: &str| Some(form.text(name).to_owned()).filter(|text| !text.is_empty());
        let ack = form.acknowledged();
        let ask = ChangeAsk {
            service: self.at.clone(),
            wish: wish.clone(),
            expected: text("base_revision").and_then(|revision| revision.parse().ok()),
            reason: form.text("reason").to_owned(),
            ack: ack.clone(),
            request_id: self.caller.request_id.to_string(),
            preview_id: text("preview_id"),
        };
        let refused = match make(self, form, ask).await {
            Ok(revision) => {
                return Ok(match &wish {
                    Wish::Retire(version) => retired(&self.at, version),
                    _ => done(&self.at, revision),
                });
            }
            Err(refused) => *refused,
        };
        if refused.refusal.code == Code::ServiceNotFound {
            return Err(refused.into());
        }
        let status = refused.refusal.code.status();
        self.asked_again(&wish, form, &ack, refused, status).await
    }

    async fn asked_again(
        &self,
        wish: &Wish,
        form: &Form,
        ack: &[String],
        refused: Refused,
        status: u16,
    ) -> Result<Response, Failure> {
        let detail = self.app.services.detail(&self.who.actor, &self.at, 60).await?;
        let stale: Option<Stale> = refused.stale;
        let (preview, _) = self.effect_of(wish, ack).await;
        let asked = Asked {
            preview: preview.as_ref(),
            refusal: Some(&refused.refusal),
            stale: stale.as_ref(),
            tried: Some((refused.ending, &*self.caller.request_id)),
            reason: form.text("reason").to_owned(),
            confirm: form.text("confirm").to_owned(),
            acknowledged: ack,
            request_id: key(),
        };
        Ok(self.shown(&detail, wish, &asked, status))
    }

    fn shown(&self, detail: &Detail, wish: &Wish, asked: &Asked<'_>, status: u16) -> Response {
        let target = match wish {
            Wish::TakeOver(version) => Target::Version(version.as_str()),
            Wish::SwitchBack(revision) => Target::Revision(*revision),
            Wish::Retire(version) => Target::Retired(version),
            // Never asked for here; a page without a target would be a lie.
            Wish::Set(_) => {
                return axum::response::IntoResponse::into_response(Failure::from(Code::NotFound));
            }
        };
        let chrome = self.chrome(detail, 60, None);
        if self.caller.door == Door::Fragment {
            return respond::html_with(status, &Act::of(&chrome, detail, &target, asked));
        }
        respond::html_with(status, &ActPage::of(chrome, detail, &target, asked))
    }
}
