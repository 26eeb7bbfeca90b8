//! `/releases/new`, `/releases/drafts…` and the start of a release: the wizard's form, kept with every change.

use axum::extract::{RawQuery, State};
use axum::response::{IntoResponse, Redirect, Response};
use url::form_urlencoded;

use super::releases::once;
use super::service::key;
use crate::domain::ids::ServiceRef;
use crate::domain::overview::Overview;
use crate::domain::refusal::{Code, Refusal};
use crate::domain::release::{Draft, OwnTemplate, Spec, Strategy, Template, validate};
use crate::views::chrome::{Chrome, Nav};
use crate::views::service::now;
use crate::views::wizard::{
    self, Fields, Fit, Given, Known, Planned, Wish, WizardFragment, WizardPage, press,
};
use crate::web::api::changes::{permit_draft, permit_plan, permit_word};
use crate::web::api::extract::DraftId;
use crate::web::auth::Who;
use crate::web::auth::form::Form;
use crate::web::caller::{Caller, Door};
use crate::web::chrome::chrome;
use crate::web::error::Failure;
use crate::web::events::topic::Topic;
use crate::web::respond;
use crate::web::site::App;

/// Services in the menu.
const MENU: usize = 500;

/// `GET /releases/new?service=ns/name&version=v2&strategy=…`: a form without a draft; its choices are the address.
pub async fn new(
    State(app): State<App>,
    who: Who,
    caller: Caller,
    RawQuery(query): RawQuery,
) -> Result<Response, Failure> {
    let query = query.unwrap_or_default();
    let of = |name: &str| {
        let found = form_urlencoded::parse(query.as_bytes()).find(|(key, _)| key == name);
        found.map(|(_, value)| value.chars().take(130).collect::<String>()).unwrap_or_default()
    };
    let desk = Desk { app, who, caller };
    let word = |name: &str, known: &[&str]| Some(of(name)).filter(|word| known.contains(&word.as_str()));
    let strategies = Strategy::ALL.map(Strategy::as_str);
    let mut chosen = Fields {
        strategy: word("strategy", &strategies).unwrap_or_else(|| Strategy::Canary.as_str().to_owned()),
        service: of("service"),
        stable: of("stable"),
        from: if word("from", &["adopt"]).is_some() { "adopt" } else { "image" }.to_owned(),
        template: word("template", &Template::ALL.map(Template::as_str)).unwrap_or_default(),
        ..Fields::default()
    };
    if !of("version").is_empty() {
        (chosen.from, chosen.adopt) = ("adopt".to_owned(), of("version"));
    }
    let item = desk.service(&chosen.service).await;
    settle(&mut chosen, item.as_ref());
    let fit = fit(&chosen, item.as_ref());
    let mut fields = Fields::begun(&chosen, fit);
    // The template that these choices had before this one: what changed is shown.
    if let Some(was) = Template::parse(&of("was")).filter(|_| !chosen.template.is_empty()) {
        was.as_str().clone_into(&mut chosen.template);
        fields.remember(&Fields::begun(&chosen, fit), fit);
    }
    desk.page(fields, item, None, Mood::quiet(), 200).await
}

/// `GET /releases/drafts/{id}`.
pub async fn draft(
    State(app): State<App>,
    who: Who,
    caller: Caller,
    DraftId(id): DraftId,
) -> Result<Response, Failure> {
    let draft = app.services.draft(&who.actor, &id).await?;
    let desk = Desk { app, who, caller };
    let mut fields = Fields::of_draft(&draft.fields).unwrap_or_else(|| Fields::new("", ""));
    let item = desk.service(&fields.service).await;
    settle(&mut fields, item.as_ref());
    if fields.laid.is_empty() && fields.rows.is_empty() {
        fields.follow(fit(&fields, item.as_ref()));
    }
    desk.page(fields, item, Some(draft), Mood::quiet(), 200).await
}

/// `POST /releases/drafts`: keeps the form (a new draft when it names none) and plans; `do` names the button.
pub async fn keep(State(app): State<App>, who: Who, caller: Caller, form: Form) -> Result<Response, Failure> {
    let desk = Desk { app, who, caller };
    let id = form.text("draft");
    if form.text("do") == "delete" {
        if !id.is_empty() {
            desk.app.services.delete_draft(&desk.who.actor, id).await?;
        }
        return Ok(Redirect::to("/releases").into_response());
    }
    let mut fields = Fields::of_pairs(&form.0);
    let before = match id {
        "" => None,
        id => desk.app.services.draft(&desk.who.actor, id).await.ok(),
    };
    let item = desk.service(&fields.service).await;
    settle(&mut fields, item.as_ref());
    let fit = fit(&fields, item.as_ref());
    let (press_, about) = form.text("do").split_once(':').unwrap_or((form.text("do"), ""));
    if matches!(press_, "keep" | "forget") {
        permit_draft(&desk.app, &desk.who)?;
    }
    let mut said = Vec::new();
    match press_ {
        "template" => desk.template(&mut fields, form.text("pick"), fit).await?,
        "undo" => fields.take_back(),
        "steps" => fields.take_steps(Template::parse(&fields.template).unwrap_or(Template::Careful), fit),
        "keep" => said.extend(desk.keep_template(&mut fields).await),
        "forget" => said.extend(desk.app.services.delete_template(&desk.who.actor, about).await.err()),
        _ => press(&mut fields, form.text("do")),
    }
    // The answer to a field is no form: what it says is about the fields as they were sent.
    if desk.caller.door == Door::Page {
        fields.follow(fit);
        if !fields.stands() {
            fields.undo.clear();
        }
    }
    let untyped = id.is_empty() && fields.is_begun() && said.is_empty() && press_ != "save";
    let (draft, stale) = if untyped {
        (None, false)
    } else {
        let (draft, stale) = desk.save(id, form.text("seq"), &fields, before).await?;
        (Some(draft), stale)
    };
    let mood = Mood { stale, said, loud: false };
    if desk.caller.door == Door::Fragment {
        return desk.fragment(fields, item, draft.as_ref(), mood).await;
    }
    let Some(draft) = draft else { return Ok(Redirect::to(&wizard::address(&fields)).into_response()) };
    if stale || !mood.said.is_empty() {
        let status = if stale { 412 } else { mood.said.first().map_or(422, |no| no.code.status()) };
        return desk.page(fields, item, Some(draft), mood, status).await;
    }
    Ok(Redirect::to(&wizard::path(&draft.id)).into_response())
}

/// `POST /releases`: makes and starts the release of the form; its draft goes.
pub async fn start(
    State(app): State<App>,
    who: Who,
    caller: Caller,
    form: Form,
) -> Result<Response, Failure> {
    permit_word(&app, &who, crate::domain::release::Word::Start)?;
    let desk = Desk { app, who, caller };
    let fields = Fields::of_pairs(&form.0);
    let wish = Wish::of(&fields, desk.caller.clock);
    let mut refusals = wish.refusals.clone();
    let read = validate::read(&wish.value);
    let spec = match read {
        Ok(spec) => Some(spec),
        Err(more) => {
            refusals.extend(more);
            None
        }
    };
    if let Some(spec) = spec.filter(|_| refusals.is_empty()) {
        match desk.begin(spec, &fields, &form).await {
            Ok(to) => {
                if !form.text("draft").is_empty() {
                    // The release is there; a draft that stays is no harm.
                    drop(desk.app.services.delete_draft(&desk.who.actor, form.text("draft")).await);
                }
                return Ok(Redirect::to(&to).into_response());
            }
            Err(more) => refusals.extend(more),
        }
    }
    let item = desk.service(&fields.service).await;
    // What was typed is kept; choices alone are no draft.
    let id = form.text("draft");
    let (draft, stale) = if id.is_empty() && fields.is_begun() {
        (None, false)
    } else {
        let (draft, stale) = desk.save(id, form.text("seq"), &fields, None).await?;
        (Some(draft), stale)
    };
    let status = refusals.first().map_or(422, |no| no.code.status());
    desk.page(fields, item, draft, Mood { stale, said: refusals, loud: true }, status).await
}

/// Makes the form fit the service that is chosen.
fn settle(fields: &mut Fields, item: Option<&Overview>) {
    let Some(item) = item else { return };
    let weights = now(item, "");
    let known = |name: &str| item.snapshot.versions.iter().any(|version| version.name.as_str() == name);
    if !known(&fields.stable) {
        let largest = weights.iter().max_by_key(|(_, weight)| *weight);
        fields.stable = largest.map(|(name, _)| name.to_string()).unwrap_or_default();
    }
    if !fields.adopt.is_empty() && (!known(&fields.adopt) || fields.adopt == fields.stable) {
        fields.adopt.clear();
    }
}

/// What templates need to know of the service.
fn fit(fields: &Fields, item: Option<&Overview>) -> Fit {
    Fit { pods: pods(fields, item), rate: rate(item) }
}

/// Pods of the stable version.
fn pods(fields: &Fields, item: Option<&Overview>) -> u32 {
    let versions = item.map(|item| item.snapshot.versions.as_slice()).unwrap_or_default();
    versions.iter().find(|version| version.name.as_str() == fields.stable).map_or(3, |version| version.total)
}

/// Requests a second that the service gets now, where that is known.
fn rate(item: Option<&Overview>) -> Option<f64> {
    item?.observed.as_ref().map(crate::domain::observed::Observed::rate)
}

fn is_of_template(field: &str) -> bool {
    ["steps", "analysis", "policies"].iter().any(|part| field.split('.').next() == Some(*part))
}

/// How the page speaks.
struct Mood {
    stale: bool,
    said: Vec<Refusal>,
    /// Start was pressed: fields that are still empty are named too.
    loud: bool,
}

impl Mood {
    fn quiet() -> Self {
        Self { stale: false, said: Vec::new(), loud: false }
    }
}

/// What a wish comes to.
struct Thought {
    wish: Wish,
    refusals: Vec<Refusal>,
    planned: Planned,
}

/// One request about a form.
struct Desk {
    app: App,
    who: Who,
    caller: Caller,
}

impl Desk {
    async fn service(&self, path: &str) -> Option<Overview> {
        let at = ServiceRef::parse_path(path).ok()?;
        self.app.services.overview(&self.who.actor, &at, 60).await.ok()
    }

    /// Uses the template that is picked in the list. To pick one changes nothing else.
    async fn template(&self, fields: &mut Fields, pick: &str, fit: Fit) -> Result<(), Failure> {
        let before = fields.clone();
        if let Some(template) = Template::parse(pick) {
            fields.take_template(template, fit);
            fields.remember(&before, fit);
        } else if pick.is_empty() {
            fields.template.clear();
        } else if let Some(name) = pick.strip_prefix("own:") {
            let own = self.app.services.own_templates().await?;
            if let Some(own) = own.into_iter().find(|own| own.name == name) {
                fields.take_own(&own);
                fields.remember(&before, fit);
            }
        }
        Ok(())
    }

    /// Keeps the steps under a name; every fault of that is shown at its field.
    async fn keep_template(&self, fields: &mut Fields) -> Vec<Refusal> {
        let wish = Wish::of(fields, self.caller.clock);
        let mut refusals = wish.refusals.clone();
        // A template has neither service nor versions: they are not asked for.
        refusals.retain(|no| no.field.as_deref().is_some_and(is_of_template));
        if !refusals.is_empty() {
            return refusals;
        }
        let mut value = wish.value;
        value["service"] = serde_json::json!({"namespace": "a", "name": "a"});
        value["stable"] = "a".into();
        value["candidate"] = serde_json::json!({"from": "adopt", "version": "b"});
        let Ok(spec) = serde_json::from_value::<Spec>(value.clone()) else {
            return validate::read(&value).err().unwrap_or_default();
        };
        let template = OwnTemplate {
            name: fields.template_name.clone(),
            by: String::new(),
            at_ms: 0,
            strategy: spec.strategy,
            steps: spec.steps,
            analysis: spec.analysis,
            policies: spec.policies,
        };
        match self.app.services.save_template(&self.who.actor, template).await {
            Ok(own) => {
                fields.template = format!("own:{}", own.name);
                fields.template_name.clear();
                Vec::new()
            }
            Err(refusals) => {
                let at_name = |no: Refusal| match no.field.as_deref() {
                    Some("name") | None => no.field("template_name"),
                    Some(_) => no,
                };
                refusals.into_iter().map(at_name).collect()
            }
        }
    }

    /// Keeps the form; true = it was kept elsewhere since, and is left as it is there.
    async fn save(
        &self,
        id: &str,
        seq: &str,
        fields: &Fields,
        before: Option<Draft>,
    ) -> Result<(Draft, bool), Failure> {
        permit_draft(&self.app, &self.who)?;
        let services = &self.app.services;
        if id.is_empty() {
            return Ok((services.new_draft(&self.who.actor, fields.to_draft()).await?, false));
        }
        match services.save_draft(&self.who.actor, id, seq.parse().ok(), fields.to_draft()).await {
            Ok(draft) => Ok((draft, false)),
            Err(refusal) if refusal.code == Code::DraftStale => match before {
                Some(before) => Ok((Draft { seq: seq.parse().unwrap_or_default(), ..before }, true)),
                None => Ok((services.draft(&self.who.actor, id).await?, true)),
            },
            // Deleted in another tab: what is typed becomes a draft of its own.
            Err(refusal) if refusal.code == Code::DraftNotFound => {
                Ok((services.new_draft(&self.who.actor, fields.to_draft()).await?, false))
            }
            Err(refusal) => Err(refusal.into()),
        }
    }

    async fn begin(&self, spec: Spec, fields: &Fields, form: &Form) -> Result<String, Vec<Refusal>> {
        let (app, who) = (self.app.clone(), self.who.clone());
        let (reason, request) = (fields.reason.clone(), self.caller.request_id.to_string());
        let started = Box::pin(async move {
            let release =
                app.services.start_release(&who.actor, spec, &reason, &request).await.map_err(Refusals)?;
            Ok(format!("/releases/{}", release.id))
        });
        once(&self.app, &self.who, &self.caller, form, started).await.map_err(|Refusals(all)| all)
    }

    /// What stands in the way, and the plan.
    async fn think(&self, fields: &Fields, said: Vec<Refusal>) -> Result<Thought, Failure> {
        let wish = Wish::of(fields, self.caller.clock);
        let mut refusals = wish.refusals.clone();
        let mut planned = Planned::default();
        match serde_json::from_value::<Spec>(wish.value.clone()) {
            Ok(spec) if ServiceRef::parse_path(&fields.service).is_ok() => {
                let plan = match permit_plan(&self.app, &self.who) {
                    Ok(()) => self.app.services.plan_release(&self.who.actor, &spec).await,
                    Err(refusal) => Err(refusal),
                };
                match plan {
                    Ok(plan) => {
                        refusals.extend(plan.refusals);
                        planned = Planned {
                            known: true,
                            spec: Some(spec.clone()),
                            checks: plan.checks,
                            accepts: plan.accepts,
                            shares: plan.shares,
                            objects: plan.objects,
                        };
                    }
                    Err(refusal) => refusals.push(refusal),
                }
            }
            _ => refusals.extend(validate::read(&wish.value).err().unwrap_or_default()),
        }
        if fields.reason.is_empty() {
            refusals.push(Refusal::new(Code::ReasonRequired).field("reason"));
        }
        for refusal in said {
            if !refusals.iter().any(|known| known.code == refusal.code && known.field == refusal.field) {
                refusals.push(refusal);
            }
        }
        Ok(Thought { wish, refusals, planned })
    }

    async fn fragment(
        &self,
        fields: Fields,
        item: Option<Overview>,
        draft: Option<&Draft>,
        mood: Mood,
    ) -> Result<Response, Failure> {
        let thought = self.think(&fields, mood.said).await?;
        let known = Known { service: item.as_ref(), figures: true, ..Known::default() };
        let given = Given {
            fields,
            known,
            wish: &thought.wish,
            refusals: &thought.refusals,
            planned: &thought.planned,
            draft: draft.map(|draft| (draft.id.as_str(), draft.seq, draft.changed_ms)),
            stale: mood.stale,
            loud: mood.loud,
            request_id: String::new(),
        };
        Ok(respond::html(&WizardFragment::of(self.caller.lang(), &given)))
    }

    async fn page(
        &self,
        fields: Fields,
        item: Option<Overview>,
        draft: Option<Draft>,
        mood: Mood,
        status: u16,
    ) -> Result<Response, Failure> {
        let thought = self.think(&fields, mood.said).await?;
        let services: Vec<String> =
            self.app.services.names(&self.who.actor, MENU).await?.iter().map(ToString::to_string).collect();
        let own = self.app.services.own_templates().await?;
        let rights = self.app.services.template_rights(&self.who.actor).await?;
        let figures = !thought.refusals.iter().any(|no| no.code == Code::AnalysisWithoutMetrics);
        let known = Known {
            services: &services,
            service: item.as_ref(),
            own: &own,
            rights: Some(&rights),
            user: &self.who.actor.identity.user,
            figures,
            mismatch: thought.refusals.iter().any(validate::is_mismatch),
        };
        let here = draft.as_ref().map_or_else(|| "/releases/new".to_owned(), |draft| wizard::path(&draft.id));
        let chrome =
            chrome(&self.app, &self.caller, Some(&self.who), Nav::Releases, &Topic::Notices.to_string());
        // A form's own address is no page: its links go to the page that holds the form.
        let chrome =
            if self.caller.here.starts_with("/releases/new") { chrome } else { Chrome { here, ..chrome } };
        let given = Given {
            fields,
            known,
            wish: &thought.wish,
            refusals: &thought.refusals,
            planned: &thought.planned,
            draft: draft.as_ref().map(|draft| (draft.id.as_str(), draft.seq, draft.changed_ms)),
            stale: mood.stale,
            loud: mood.loud,
            request_id: key(),
        };
        Ok(respond::html_with(status, &WizardPage::of(chrome, given)))
    }
}

/// Several refusals, each at its field.
struct Refusals(Vec<Refusal>);

impl From<Refusal> for Refusals {
    fn from(refusal: Refusal) -> Self {
        Self(vec![refusal])
    }
}
