//! `/services/{namespace}/{name}`: the page, and what *Check change* answers.

use axum::extract::{RawQuery, State};
use axum::response::Response;
use url::form_urlencoded;

use super::draft::Draft;
use super::services::window;
use crate::domain::audit::{Ending, Entry, Filter};
use crate::domain::ids::{Revision, ServiceRef, VersionName};
use crate::domain::overview::{Detail, Preview, Refused, Stale};
use crate::domain::refusal::{Code, Refusal};
use crate::domain::routing::Weights;
use crate::services::ask::Wish;
use crate::views::audit::effect;
use crate::views::bars::Slots;
use crate::views::chrome::{Chrome, Nav, Toast};
use crate::views::pending::{Case, Pending, Place};
use crate::views::query::service_path;
use crate::views::review_link;
use crate::views::service::{Outcome, ServicePage, Typed, back_href};
use crate::views::service_release::{back_label, result};
use crate::web::api::changes::permit_preview;
use crate::web::api::extract::At;
use crate::web::auth::Who;
use crate::web::auth::form::Form;
use crate::web::caller::{Caller, Door};
use crate::web::chrome::chrome;
use crate::web::error::Failure;
use crate::web::events::topic::Topic;
use crate::web::live;
use crate::web::respond;
use crate::web::site::App;

/// One request about one service's page.
pub struct Visit {
    pub app: App,
    pub who: Who,
    pub caller: Caller,
    pub at: ServiceRef,
}

/// What came of a press on a button, as the page shows it.
pub enum Came {
    Untouched,
    Checked { preview: Box<Preview>, ack: Vec<String> },
    Refused { refusal: Refusal, yours: Option<Weights> },
    Broke { refusal: Refusal, yours: Option<Weights>, ending: Ending, request: String },
    Stale { refusal: Refusal, stale: Stale },
}

/// `GET /services/{namespace}/{name}?route=&win=&restore=&applied=`, and a pending change ([`review_link`]).
pub async fn show(
    State(app): State<App>,
    who: Who,
    caller: Caller,
    At(at): At,
    RawQuery(query): RawQuery,
) -> Result<Response, Failure> {
    let query = query.unwrap_or_default();
    let of = |name: &str| {
        let found = form_urlencoded::parse(query.as_bytes()).find(|(key, _)| key == name);
        found.map(|(_, value)| value.into_owned()).unwrap_or_default()
    };
    let (applied, window_s) = (of("applied").parse().ok(), window(&of("win")));
    let visit = Visit { app, who, caller, at };
    let mut typed = Typed { route: of("route"), ..Typed::default() };
    let mut came = Came::Untouched;
    if let Ok(revision) = of("restore").parse::<Revision>() {
        // Today's checks run on yesterday's split; nothing is written before Apply.
        match visit.restore(revision).await? {
            Ok((wished, preview)) => {
                typed = wished;
                came = Came::Checked { preview: Box::new(preview), ack: Vec::new() };
            }
            Err(refusal) => came = Came::Refused { refusal, yours: None },
        }
    }
    let fields = review_link::fields(form_urlencoded::parse(query.as_bytes()).into_owned());
    if !fields.is_empty() {
        // A prepared change: checked against what is there now, and not written.
        let item = visit.app.services.overview(&visit.who.actor, &visit.at, 60).await?;
        let draft = Draft::read(&Form(fields), &item);
        came = visit.check(&draft).await?;
        let nothing = match &came {
            Came::Refused { refusal, .. } => Some(refusal),
            Came::Checked { preview, .. } => preview.refusal.as_ref(),
            _ => None,
        };
        if nothing.is_some_and(|refusal| refusal.code == Code::NothingAsked) {
            // It was applied since the address was made: nothing is pending, and nothing went wrong.
            came = Came::Untouched;
            typed.already = true;
        } else {
            typed = draft.typed;
        }
    }
    let detail = visit.detail(window_s).await?;
    let mut chrome = visit.chrome(&detail, window_s, applied);
    if let Some(entry) = visit.made(applied).await {
        chrome.toast = Some(visit.toast(&detail, &entry));
    }
    if let Some(version) = VersionName::parse(&of("retired")).ok().filter(|name| gone(&detail, name)) {
        chrome.toast = Some(Toast::retired(visit.caller.lang(), version.as_str()));
    }
    let progress = live::progress(&chrome, &detail.overview, applied);
    let outcome = Outcome { case: came.case(), refusal: came.refusal(), request_id: key(), progress };
    Ok(respond::html(&ServicePage::of(chrome, &detail, typed, outcome)))
}

/// True when nothing runs of a version any more: the address alone does not say it.
fn gone(detail: &Detail, version: &VersionName) -> bool {
    let mut known = detail.overview.snapshot.versions.iter();
    known.all(|known| known.name != *version || known.workloads.is_empty())
}

/// `POST …/traffic/preview`: the pending panel, or without JavaScript the whole page.
pub async fn preview(
    State(app): State<App>,
    who: Who,
    caller: Caller,
    At(at): At,
    form: Form,
) -> Result<Response, Failure> {
    let visit = Visit { app, who, caller, at };
    let item = visit.app.services.overview(&visit.who.actor, &visit.at, 60).await?;
    let draft = Draft::read(&form, &item);
    let came = visit.check(&draft).await?;
    if visit.caller.door != Door::Fragment {
        return visit.page(draft, came, 200).await;
    }
    let path = service_path(visit.at.namespace.as_str(), &visit.at.name);
    let slots = Slots::of(&item);
    let place = Place {
        clock: visit.caller.clock,
        path: &path,
        service: &visit.at.name,
        slots: &slots,
        base_revision: draft.base.unwrap_or(item.revision),
        request_id: key(),
        link: review_link::link(&item, &draft.typed),
    };
    Ok(respond::html(&Pending::of(&place, came.case()).into_fragment()))
}

impl Visit {
    /// The service with what its page needs; only the release moves its traffic while one runs.
    pub async fn detail(&self, window_s: u32) -> Result<Detail, Failure> {
        let mut detail = self.app.services.detail(&self.who.actor, &self.at, window_s).await?;
        if let Some(id) = self.app.services.release_of(&self.at).map(|moving| moving.id) {
            detail.rights.change = Some(Refusal::new(Code::ReleaseOwnsService).arg("id", id));
        }
        Ok(detail)
    }

    /// What the draft would do now.
    pub async fn check(&self, draft: &Draft) -> Result<Came, Failure> {
        let refused = |refusal: Refusal| Came::Refused { refusal, yours: draft.yours.clone() };
        let wish = match &draft.wish {
            Ok(wish) => wish,
            Err(refusal) => return Ok(refused(refusal.clone())),
        };
        permit_preview(&self.app, &self.who, wish)?;
        let preview = match self.app.services.preview(&self.who.actor, &self.at, wish, &draft.ack).await {
            Ok(preview) => preview,
            Err(no) if no.refusal.code == Code::ServiceNotFound => return Err(no.into()),
            Err(no) => return Ok(refused(no.refusal)),
        };
        // A change that is in effect already overwrites nothing.
        let nothing = preview.refusal.as_ref().is_some_and(|refusal| refusal.code == Code::NothingAsked);
        match draft.base.filter(|base| *base != preview.base && !nothing) {
            None => Ok(Came::Checked { preview: Box::new(preview), ack: draft.ack.clone() }),
            Some(base) => {
                let stale = self.stale(base, &preview, draft.yours.clone()).await?;
                let by = stale.by.as_ref().map_or("", |last| &last.by);
                let refusal = Refusal::new(Code::StaleRevision)
                    .arg("svc", &self.at)
                    .arg("who", by)
                    .arg("r", preview.base);
                Ok(Came::Stale { refusal, stale })
            }
        }
    }

    /// You saw, now, yours.
    async fn stale(
        &self,
        base: Revision,
        preview: &Preview,
        yours: Option<Weights>,
    ) -> Result<Stale, Refusal> {
        let now = Some(preview.planned.effect.before.clone()).filter(|weights| !weights.is_empty());
        self.app.services.overtaken(&self.who.actor, &self.at, base, (preview.base, now), yours).await
    }

    /// The whole page with a draft and what came of it.
    pub async fn page(&self, draft: Draft, came: Came, status: u16) -> Result<Response, Failure> {
        let detail = self.detail(60).await?;
        let chrome = self.chrome(&detail, 60, None);
        let outcome =
            Outcome { case: came.case(), refusal: came.refusal(), request_id: key(), progress: None };
        Ok(respond::html_with(status, &ServicePage::of(chrome, &detail, draft.typed, outcome)))
    }

    /// The page after Apply was refused: at the field, among the checks, or as a panel of its own.
    pub async fn refused(&self, draft: Draft, refused: Refused) -> Result<Response, Failure> {
        let status = refused.refusal.code.status();
        if let Some(stale) = refused.stale {
            return self.page(draft, Came::Stale { refusal: refused.refusal, stale }, status).await;
        }
        let (refusal, ending) = (refused.refusal, refused.ending);
        if ending != Ending::Refused {
            let request = self.caller.request_id.to_string();
            let yours = draft.yours.clone();
            return self.page(draft, Came::Broke { refusal, yours, ending, request }, status).await;
        }
        let shows = refusal.field.is_some() || !refusal.checks.is_empty();
        let came = match self.check(&draft).await {
            Ok(Came::Checked { preview, ack }) if shows => {
                return self.page_with(draft, Came::Checked { preview, ack }, refusal).await;
            }
            _ => Came::Refused { refusal, yours: draft.yours.clone() },
        };
        self.page(draft, came, status).await
    }

    async fn page_with(&self, draft: Draft, came: Came, refusal: Refusal) -> Result<Response, Failure> {
        let detail = self.detail(60).await?;
        let chrome = self.chrome(&detail, 60, None);
        let status = refusal.code.status();
        let outcome =
            Outcome { case: came.case(), refusal: Some(&refusal), request_id: key(), progress: None };
        Ok(respond::html_with(status, &ServicePage::of(chrome, &detail, draft.typed, outcome)))
    }

    async fn restore(&self, revision: Revision) -> Result<Result<(Typed, Preview), Refusal>, Failure> {
        let wish = match self.app.services.wish_of_revision(&self.who.actor, &self.at, revision).await {
            Ok(change) => change,
            Err(refusal) if refusal.code == Code::ServiceNotFound => return Err(refusal.into()),
            Err(refusal) => return Ok(Err(refusal)),
        };
        let typed = Typed {
            route: wish.route.as_ref().map(ToString::to_string).unwrap_or_default(),
            weights: wish
                .weights
                .iter()
                .flat_map(|split| {
                    split
                        .iter()
                        .map(|(version, weight)| (version.to_string(), weight.to_string()))
                        .collect::<Vec<_>>()
                })
                .collect(),
            rules: wish.rules.clone(),
            mirror: wish
                .mirror
                .as_ref()
                .map(|mirror| mirror.as_ref().map(|mirror| mirror.version.to_string()).unwrap_or_default()),
            mirror_percent: wish.mirror.iter().flatten().map(|mirror| mirror.percent.to_string()).next(),
            ..Typed::default()
        };
        let wish = Wish::Set(wish);
        if let Err(refusal) = permit_preview(&self.app, &self.who, &wish) {
            return Ok(Err(refusal));
        }
        match self.app.services.preview(&self.who.actor, &self.at, &wish, &[]).await {
            Ok(preview) => Ok(Ok((typed, preview))),
            Err(refused) => Ok(Err(refused.refusal)),
        }
    }

    /// The entry that made a revision, among the newest ones.
    async fn made(&self, revision: Option<Revision>) -> Option<Entry> {
        let revision = revision?;
        let filter = Filter { service: Some(self.at.clone()), ..Filter::default() };
        let page = self.app.services.entries(&self.who.actor, &filter, None, 50).await.ok()?;
        page.items
            .into_iter()
            .find(|entry| entry.outcome.as_ref().is_some_and(|outcome| outcome.revision == Some(revision)))
    }

    fn toast(&self, detail: &Detail, entry: &Entry) -> Toast {
        let revision = entry.outcome.as_ref().and_then(|outcome| outcome.revision).unwrap_or_default();
        let lang = self.caller.lang();
        let split = result(lang, &effect(entry));
        let path = service_path(self.at.namespace.as_str(), &self.at.name);
        let back = detail.back.as_ref();
        let back = back.map(|back| (back_href(&path, back.revision), back_label(lang, back)));
        Toast::applied(lang, &split, revision, back)
    }

    /// The frame of this service's pages.
    pub fn chrome(&self, detail: &Detail, window_s: u32, applied: Option<Revision>) -> Chrome {
        let topic = Topic::Service { at: self.at.clone(), window_s, applied };
        let topic = topic.stamped(live::stamp(std::slice::from_ref(&detail.overview)));
        let chrome = chrome(&self.app, &self.caller, Some(&self.who), Nav::Services, &topic);
        // A form's own address is no page: its links go to the page that holds the form.
        let posted = self.caller.here.contains("/traffic/preview")
            || self.caller.here.contains("/traffic/apply")
            || self.caller.here.contains("/rules/edit");
        let here = service_path(self.at.namespace.as_str(), &self.at.name);
        if posted { Chrome { here, ..chrome } } else { chrome }
    }
}

impl Came {
    /// As the view takes it.
    pub fn case(&self) -> Case<'_> {
        match self {
            Self::Untouched => Case::Untouched,
            Self::Checked { preview, ack } => Case::Checked { preview, acknowledged: ack },
            Self::Refused { refusal, yours } => Case::Refused { refusal, yours: yours.as_ref() },
            Self::Broke { refusal, yours, ending, request } => {
                Case::Broke { refusal, yours: yours.as_ref(), ending: *ending, request }
            }
            Self::Stale { refusal, stale } => Case::Stale { refusal, stale },
        }
    }

    /// The refusal, to be shown at its field.
    pub fn refusal(&self) -> Option<&Refusal> {
        match self {
            Self::Refused { refusal, .. } | Self::Broke { refusal, .. } | Self::Stale { refusal, .. } => {
                Some(refusal)
            }
            Self::Untouched | Self::Checked { .. } => None,
        }
    }
}

/// A fresh key for the next attempt: a form that is sent twice counts once.
pub fn key() -> String {
    uuid::Uuid::now_v7().to_string()
}
