//! `/releases`, `/releases/{id}` and the commands to a release: each question is a dialog and a page at
//! the same address; pause and resume act at once.

use axum::extract::{RawQuery, State};
use axum::response::{IntoResponse, Redirect, Response};
use serde_json::Value;
use url::form_urlencoded;

use super::apply::begin;
use super::service::key;
use crate::domain::audit::{Entry, Filter as AuditFilter};
use crate::domain::ids::{Revision, ServiceRef};
use crate::domain::refusal::{Code, Refusal};
use crate::domain::release::{Command, Release, ReleaseId, Word};
use crate::services::once::Once;
use crate::services::releases::{CommandAsk, REVISIONS, ReleaseAsk, ReleaseDetail, ReleaseShow};
use crate::views::audit::{mark, weights};
use crate::views::bars::in_words;
use crate::views::chrome::{Chrome, Nav};
use crate::views::release::acts::{Ask, AskPage, Back, Typed};
use crate::views::release::change_steps::{ChangeStepsPage, open_rows};
use crate::views::release::{Given, ReleasePage};
use crate::views::releases::{Filter, ReleasesPage, Which};
use crate::views::wizard::{Fields, Wish};
use crate::web::api::changes::permit_word;
use crate::web::api::extract::{ReleaseAt, Said, bad_query, request_hash};
use crate::web::auth::Who;
use crate::web::auth::form::Form;
use crate::web::caller::{Caller, Door};
use crate::web::chrome::chrome;
use crate::web::error::Failure;
use crate::web::events::topic::Topic;
use crate::web::live;
use crate::web::respond;
use crate::web::site::App;

/// Releases on a page.
const ROWS: usize = 50;

/// `GET /releases?show=&service=&q=&cursor=`.
pub async fn list(
    State(app): State<App>,
    who: Who,
    caller: Caller,
    RawQuery(query): RawQuery,
) -> Result<Response, Failure> {
    let query = query.unwrap_or_default();
    let (filter, ask) = ask_of(&query)?;
    let page = app.services.releases(&who.actor, &ask).await?;
    let drafts: Vec<(String, i64, String)> = app
        .services
        .drafts(&who.actor)
        .await?
        .into_iter()
        .map(|draft| (about(&draft.fields), draft.changed_ms, draft.id))
        .collect();
    let topic = Topic::Releases { query: filter_query(&query) }.stamped(live::releases_stamp(&page.items));
    let chrome = chrome(&app, &caller, Some(&who), Nav::Releases, &topic);
    let view = ReleasesPage::of(chrome, filter, &page.items, page.next.as_deref(), page.active, &drafts);
    Ok(if caller.door == Door::Fragment { respond::html(&view.as_results()) } else { respond::html(&view) })
}

/// What a draft is about, as far as that is known.
fn about(fields: &Value) -> String {
    let known = Fields::of_draft(fields).unwrap_or_default();
    let version = if known.from == "adopt" { &known.adopt } else { &known.version };
    let words = [known.service.as_str(), version.as_str()];
    let words: Vec<&str> = words.into_iter().filter(|word| !word.is_empty()).collect();
    if words.is_empty() { "–".to_owned() } else { words.join(" → ") }
}

fn filter_query(query: &str) -> String {
    if query.len() <= 1_000 { query.to_owned() } else { String::new() }
}

/// The filters of a query; an empty one counts as left out. One that cannot be read is refused: what it would have
/// left out must not be shown.
pub fn ask_of(query: &str) -> Result<(Filter, ReleaseAsk), Refusal> {
    let mut filter = Filter::default();
    let mut ask = ReleaseAsk { limit: ROWS, ..ReleaseAsk::default() };
    let filters = form_urlencoded::parse(query.as_bytes()).filter(|(_, value)| !value.is_empty());
    for (name, value) in filters {
        let bad = |why: &str| Err(bad_query(&name, why));
        match &*name {
            "show" => match Which::parse(&value) {
                Some(which) => filter.show = which,
                None => return bad("all, active, attention or done is expected"),
            },
            "q" if value.chars().count() > 200 => return bad("at most 200 characters are expected"),
            "q" => value.trim().clone_into(&mut filter.text),
            "service" => match ServiceRef::parse_path(&value) {
                Ok(at) => {
                    filter.service = at.to_string();
                    ask.service = Some(at);
                }
                Err(_) => return bad("namespace/name is expected"),
            },
            "cursor" => ask.cursor = Some(value.into_owned()),
            _ => {}
        }
    }
    ask.text.clone_from(&filter.text);
    ask.show = match filter.show {
        Which::All => ReleaseShow::All,
        Which::Active => ReleaseShow::Active,
        Which::Attention => ReleaseShow::Attention,
        Which::Done => ReleaseShow::Done,
    };
    Ok((filter, ask))
}

/// What the view takes of an answer.
pub fn given(detail: &ReleaseDetail) -> Given<'_> {
    Given {
        release: &detail.release,
        timeline: &detail.timeline,
        judgements: &detail.judgements,
        overview: detail.overview.as_ref(),
        rights: &detail.rights,
        denied: &detail.denied,
        reached: &detail.reached,
        outside: detail.outside.as_ref(),
    }
}

/// `GET /releases/{id}`.
pub async fn show(
    State(app): State<App>,
    who: Who,
    caller: Caller,
    ReleaseAt(id): ReleaseAt,
) -> Result<Response, Failure> {
    Visit { app, who, caller, id }.page(None).await
}

/// `GET /releases/{id}/{word}`: the question.
pub async fn ask(
    State(app): State<App>,
    who: Who,
    caller: Caller,
    ReleaseAt(id): ReleaseAt,
    Said(word): Said,
) -> Result<Response, Failure> {
    let visit = Visit { app, who, caller, id };
    // For whoever may not see it there is nothing to ask: the page that it leads to says so.
    if word == Word::Pause || (word == Word::Resume && !visit.asks(word).await.unwrap_or_default()) {
        return Ok(Redirect::to(&format!("/releases/{id}")).into_response());
    }
    if word == Word::ChangeSteps {
        let detail = visit.detail().await?;
        let fields = steps_form(&detail);
        return Ok(visit.steps_page(&detail, fields, &[], 200));
    }
    visit.question(word, &Form::default(), None, 200).await
}

/// `POST /releases/{id}/{word}`.
pub async fn tell(
    State(app): State<App>,
    who: Who,
    caller: Caller,
    ReleaseAt(id): ReleaseAt,
    Said(word): Said,
    form: Form,
) -> Result<Response, Failure> {
    let visit = Visit { app, who, caller, id };
    if word == Word::ChangeSteps {
        return visit.change_steps(&form).await;
    }
    let about = match word {
        Word::Rollback => visit.detail().await?.release.at().to_string(),
        _ => String::new(),
    };
    let command = match command_of(word, &form, &about) {
        Ok(command) => command,
        Err(refusal) => {
            let status = refusal.code.status();
            return visit.question(word, &form, Some(refusal), status).await;
        }
    };
    match visit.tell(command, &form).await {
        Ok(to) => Ok(Redirect::to(&to).into_response()),
        Err(refusal) if refusal.code == Code::ReleaseNotFound => Err(refusal.into()),
        // Nothing was asked: the page says why, on top.
        Err(refusal) if word == Word::Pause || (word == Word::Resume && !visit.asks(word).await?) => {
            visit.page(Some(&refusal)).await
        }
        Err(refusal) => {
            let status = refusal.code.status();
            visit.question(word, &form, Some(refusal), status).await
        }
    }
}

/// Reads the command of a form; `about` is the service, for the check of a revision.
fn command_of(word: Word, form: &Form, about: &str) -> Result<Command, Refusal> {
    let confirm = || form.text("confirm").trim().to_owned();
    Ok(match word {
        Word::Start => Command::Start,
        Word::Pause => Command::Pause,
        Word::Resume => Command::Resume,
        Word::Promote => Command::Promote,
        Word::PromoteAll => Command::PromoteAll,
        Word::Abort => Command::Abort,
        Word::SwitchBack => Command::SwitchBack,
        Word::Retry => Command::Retry,
        Word::Rollback => {
            let typed = form.text("revision").trim();
            let shown: String = typed.chars().take(40).collect();
            let known = typed.parse::<Revision>().ok().filter(|revision| i64::try_from(*revision).is_ok());
            let none =
                || Refusal::new(Code::UnknownRevision).field("revision").arg("r", shown).arg("svc", about);
            Command::Rollback { revision: known.ok_or_else(none)? }
        }
        Word::Retire => Command::Retire { confirm: confirm() },
        Word::DeleteVersion => Command::DeleteVersion { confirm: confirm() },
        Word::ChangeSteps => Command::ChangeSteps { steps: Vec::new() },
    })
}

/// One request about one release.
struct Visit {
    app: App,
    who: Who,
    caller: Caller,
    id: ReleaseId,
}

impl Visit {
    async fn detail(&self) -> Result<ReleaseDetail, Failure> {
        Ok(self.app.services.release(&self.who.actor, self.id).await?)
    }

    /// True when something has to be accepted before a command is taken.
    async fn asks(&self, word: Word) -> Result<bool, Failure> {
        Ok(!self.detail().await?.release.state.asked(word).is_empty())
    }

    /// The release as it stands, and why a command was not taken.
    async fn page(&self, refused: Option<&Refusal>) -> Result<Response, Failure> {
        let detail = self.detail().await?;
        let mut chrome = self.chrome(&detail);
        let mut status = 200;
        if let Some(refusal) = refused {
            status = refusal.code.status();
            // Where a form was sent to is no address to come back to.
            chrome.here = format!("/releases/{}", self.id);
        }
        Ok(respond::html_with(status, &ReleasePage::of(chrome, given(&detail), refused, key())))
    }

    fn chrome(&self, detail: &ReleaseDetail) -> Chrome {
        let topic = Topic::Release { id: self.id }.stamped(live::release_stamp(detail));
        let chrome = chrome(&self.app, &self.caller, Some(&self.who), Nav::Releases, &topic);
        Chrome { here: chrome.here.split("/change-steps").next().unwrap_or_default().to_owned(), ..chrome }
    }

    async fn question(
        &self,
        word: Word,
        form: &Form,
        refusal: Option<Refusal>,
        status: u16,
    ) -> Result<Response, Failure> {
        let detail = self.detail().await?;
        let (revisions, gone) = match word {
            Word::Rollback => self.revisions(&detail.release).await,
            _ => (Vec::new(), Vec::new()),
        };
        let chrome = Chrome { topic: String::new(), ..self.chrome(&detail) };
        let fresh = key();
        let mut refusal = refusal;
        let back = self.way_back(word, &detail, &mut refusal).await;
        let mirror_back = match word {
            // The question is asked, whatever is known of the service.
            Word::Abort => self.app.services.mirror_back(&self.who.actor, self.id).await.unwrap_or_default(),
            _ => None,
        };
        let checks = self.app.services.checks_ahead(&self.who.actor, self.id, word).await.unwrap_or_default();
        let chosen = match form.text("revision") {
            "" => self.app.services.revision_before(&detail.release).await?,
            typed => typed.parse().ok(),
        };
        // What cannot be restored is not proposed.
        let chosen = match chosen.filter(|revision| !gone.contains(revision)) {
            None => revisions.iter().map(|(revision, _)| *revision).find(|revision| !gone.contains(revision)),
            some => some,
        };
        let typed = Typed {
            gone: &gone,
            reason: form.text("reason"),
            confirm: form.text("confirm"),
            revision: &chosen.map(|revision: Revision| revision.to_string()).unwrap_or_default(),
            refusal: refusal.as_ref(),
            request_id: &fresh,
            revisions: &revisions,
            back: back.as_ref(),
            mirror_back: mirror_back.as_ref(),
            checks: &checks,
            ack: &form.acknowledged(),
        };
        if self.caller.door == Door::Fragment {
            return Ok(respond::html_with(status, &Ask::of(&chrome, given(&detail), word, typed)));
        }
        Ok(respond::html_with(status, &AskPage::of(chrome, given(&detail), word, typed)))
    }

    /// What a switch back would give; where it is not possible, `refusal` says why.
    async fn way_back(
        &self,
        word: Word,
        detail: &ReleaseDetail,
        refusal: &mut Option<Refusal>,
    ) -> Option<Back> {
        if word != Word::SwitchBack || !detail.release.state.may(word) {
            return None;
        }
        match self.app.services.way_back(&self.who.actor, self.id).await {
            Ok(back) => Some(Back {
                now: back.now,
                then: back.then,
                rules: back.rules,
                mirror: back.mirror,
                pods: back.pods,
                image: back.image,
            }),
            Err(why) => {
                refusal.get_or_insert(why);
                None
            }
        }
    }

    /// The service's latest revisions with their splits, and revision 0: as it was before Sluice.
    async fn revisions(&self, release: &Release) -> (Vec<(Revision, String)>, Vec<Revision>) {
        let filter = AuditFilter { service: Some(release.at().clone()), ..AuditFilter::default() };
        let Ok(page) = self.app.services.entries(&self.who.actor, &filter, None, 200).await else {
            return (Vec::new(), Vec::new());
        };
        let revised: Vec<(Revision, &Entry)> =
            page.items.iter().filter_map(|entry| Some((entry.outcome.as_ref()?.revision?, entry))).collect();
        let label = |(revision, entry): &(Revision, &Entry)| {
            let split = weights(entry).1.map(|weights| in_words(weights)).unwrap_or_default();
            let own = mark(entry).map(|mark| format!(" · {}", mark.id)).unwrap_or_default();
            (
                *revision,
                format!("{revision} · {split} · {}{own}", self.caller.clock.exact(entry.intent.at_ms)),
            )
        };
        // The present one is no way back.
        let mut out: Vec<(Revision, String)> = revised.iter().skip(1).take(REVISIONS).map(label).collect();
        if !revised.is_empty() {
            let first = revised.last().filter(|(revision, _)| *revision == 1);
            let split = first.and_then(|(_, entry)| weights(entry).0).map(|split| in_words(split));
            let split = split.filter(|words| !words.is_empty()).map(|words| format!(" · {words}"));
            let before = self.caller.lang().t("release.ask.revision_0").to_string();
            out.push((0, format!("0{} · {before}", split.unwrap_or_default())));
        }
        let all: Vec<Revision> = out.iter().map(|(revision, _)| *revision).collect();
        // A reading that fails now is reported by the command itself.
        let gone = self.app.services.revisions_gone(release.at(), &all).await.unwrap_or_default();
        for (revision, label) in &mut out {
            if let Some((_, refusal)) = gone.iter().find(|(known, _)| known == revision) {
                let why = crate::views::text::refusal(self.caller.lang(), refusal).text.to_string();
                label.push_str(" · ");
                label.push_str(&why.replace('`', ""));
            }
        }
        (out, gone.into_iter().map(|(revision, _)| revision).collect())
    }

    /// Says it, once for every form that was rendered; answers where to go.
    async fn tell(&self, command: Command, form: &Form) -> Result<String, Refusal> {
        let word = command.word();
        permit_word(&self.app, &self.who, word)?;
        let expected = form.text("seq").parse().ok();
        let (app, who, id) = (self.app.clone(), self.who.clone(), self.id);
        let (reason, request) = (form.text("reason").to_owned(), self.caller.request_id.to_string());
        let ack = form.acknowledged();
        let told = Box::pin(async move {
            let ask = CommandAsk { command, ack, expected, reason: &reason, request_id: &request };
            let told = app.services.give_command(&who.actor, id, ask).await;
            told.map(|release| format!("/releases/{}", release.id))
        });
        once(&self.app, &self.who, &self.caller, form, told).await
    }

    async fn change_steps(&self, form: &Form) -> Result<Response, Failure> {
        let mut fields = Fields::of_pairs(&form.0);
        let detail = self.detail().await?;
        detail.release.spec.strategy.as_str().clone_into(&mut fields.strategy);
        if form.text("do") != "change" {
            crate::views::wizard::press(&mut fields, form.text("do"));
            return Ok(self.steps_page(&detail, fields, &[], 200));
        }
        let mut wish = Wish::default();
        let value = Value::Array(wish.steps(&fields.rows));
        let (from, _) = open_rows(given(&detail));
        let mut refusals = std::mem::take(&mut wish.refusals);
        match serde_json::from_value(value) {
            Ok(steps) if refusals.is_empty() => match self.tell(Command::ChangeSteps { steps }, form).await {
                Ok(to) => return Ok(Redirect::to(&to).into_response()),
                Err(refusal) if refusal.code == Code::ReleaseNotFound => return Err(refusal.into()),
                Err(refusal) => refusals.push(counted_from(refusal, from)),
            },
            Ok(_) => {}
            Err(error) => refusals.push(Refusal::new(Code::BadSpec).arg("why", error.to_string())),
        }
        let status = refusals.first().map_or(422, |no| no.code.status());
        Ok(self.steps_page(&detail, fields, &refusals, status))
    }

    fn steps_page(
        &self,
        detail: &ReleaseDetail,
        fields: Fields,
        refusals: &[Refusal],
        status: u16,
    ) -> Response {
        let mut wish = Wish::default();
        wish.steps(&fields.rows);
        let chrome = Chrome { topic: String::new(), ..self.chrome(detail) };
        let page = ChangeStepsPage::of(chrome, given(detail), fields, &wish, refusals, key());
        respond::html_with(status, &page)
    }
}

/// A refusal of one of all steps, counted among those that the form holds.
fn counted_from(mut refusal: Refusal, from: usize) -> Refusal {
    let field = refusal.field.as_deref().unwrap_or_default();
    let parts = field.strip_prefix("steps.").and_then(|rest| rest.split_once('.'));
    if let Some((at, part)) = parts.and_then(|(at, part)| Some((at.parse::<usize>().ok()?, part))) {
        refusal.field = Some(format!("steps.{}.{part}", at.saturating_sub(from)));
    }
    refusal
}

fn steps_form(detail: &ReleaseDetail) -> Fields {
    let (_, rows) = open_rows(given(detail));
    Fields { rows, strategy: detail.release.spec.strategy.as_str().to_owned(), ..Fields::default() }
}

/// Does what a form asks for once, however often the form is sent; the answer is where to go.
pub async fn once<E: From<Refusal> + Send + 'static>(
    app: &App,
    who: &Who,
    caller: &Caller,
    form: &Form,
    work: impl Future<Output = Result<String, E>> + Send + 'static,
) -> Result<String, E> {
    let asked = form.text("request_id");
    if asked.is_empty() {
        return work.await;
    }
    let fields: Vec<&(String, String)> = form.0.iter().filter(|(name, _)| name != "csrf").collect();
    let path = caller.here.split('?').next().unwrap_or_default();
    let hash = request_hash("POST", path, None, format!("{fields:?}").as_bytes());
    let ticket = match begin(app, who, asked, &hash).await.map_err(E::from)? {
        Once::Fresh(ticket) => ticket,
        Once::Replay { body, .. } => return Ok(body),
    };
    let app = app.clone();
    // Goes on when the browser does not wait, so that a second press finds the answer.
    let task = tokio::spawn(async move {
        let answer = work.await;
        // A refusal is not kept: what was refused may be asked again.
        let (status, body) = answer.as_ref().map_or((500, ""), |to| (200, to.as_str()));
        if let Err(refusal) = app.services.finish_once(ticket, status, body).await {
            tracing::warn!(%refusal, "the answer to a form was not kept");
        }
        answer
    });
    task.await.unwrap_or_else(|error| {
        tracing::error!(%error, "a form ended abnormally");
        Err(Refusal::new(Code::OutcomeUnknown).into())
    })
}
