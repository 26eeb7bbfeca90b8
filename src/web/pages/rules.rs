//! `POST …/rules/edit`: a press on a button of the rules. The list travels in the form; nothing is written.

use axum::extract::State;
use axum::response::Response;

use super::draft::Draft;
use super::service::{Came, Visit};
use crate::domain::overview::Overview;
use crate::domain::refusal::{Code, Refusal};
use crate::views::bars::Slots;
use crate::views::query::service_path;
use crate::views::rule_form::{Press, Pressed, press};
use crate::views::rules::{CardOf, RuleEditor, RulePage, RulesCard};
use crate::views::text;
use crate::web::api::extract::At;
use crate::web::auth::Who;
use crate::web::auth::form::Form;
use crate::web::caller::{Caller, Door};
use crate::web::error::Failure;
use crate::web::respond;
use crate::web::site::App;

/// The handler.
pub async fn edit(
    State(app): State<App>,
    who: Who,
    caller: Caller,
    At(at): At,
    form: Form,
) -> Result<Response, Failure> {
    let visit = Visit { app, who, caller, at };
    let detail = visit.app.services.detail(&visit.who.actor, &visit.at, 60).await?;
    let item = &detail.overview;
    let mut draft = Draft::read(&form, item);
    let before = draft.typed.rules.clone();
    let rules = before.clone().unwrap_or_else(|| item.routing.rules.clone());
    let pressed = match Press::parse(form.text("do")) {
        Some(button) => press(rules.clone(), &button, &form.0),
        None => Err(Refusal::new(Code::BadRule).field("do")),
    };
    let (pressed, refusal) = match pressed {
        Ok(pressed) => (pressed, None),
        Err(refusal) => (Pressed { rules, edited: false, draft: None }, Some(refusal)),
    };
    let edited = (pressed.edited || before.is_some()).then_some(pressed.rules);
    let editor = pressed.draft.map(|draft| editor(&visit, item, &draft));
    if visit.caller.door == Door::Fragment {
        let path = service_path(visit.at.namespace.as_str(), &visit.at.name);
        let slots = Slots::of(item);
        let barrier =
            item.barrier().map(|finding| text::check(visit.caller.lang(), finding).text.to_string());
        let denied = detail.rights.change.as_ref();
        let why_not = denied.map(|why| text::refusal(visit.caller.lang(), why).text.to_string()).or(barrier);
        let why_not = why_not.unwrap_or_default();
        let card = CardOf {
            path: &path,
            slots: &slots,
            declared: &item.routing.rules,
            edited: edited.as_deref(),
            by_pods: item.is_by_pods(),
            can_change: why_not.is_empty(),
            why_not: &why_not,
            hits: detail.hits.as_ref(),
            editor,
            refusal: refusal.as_ref(),
        };
        return Ok(respond::html(&RulesCard::of(visit.caller.lang(), card)));
    }
    if let Some(editor) = editor {
        return Ok(respond::html(&alone(&visit, &detail, editor, &form)));
    }
    draft.typed.rules = edited;
    draft.typed.rule_refusal = refusal;
    let draft = Draft { wish: draft.again(item), ..draft };
    let came = visit.check(&draft).await.unwrap_or(Came::Untouched);
    visit.page(draft, came, 200).await
}

fn editor(visit: &Visit, item: &Overview, draft: &crate::views::rule_form::Draft) -> RuleEditor {
    let path = service_path(visit.at.namespace.as_str(), &visit.at.name);
    let versions = &item.snapshot.versions;
    let ready: Vec<(String, u32)> =
        versions.iter().map(|version| (version.name.to_string(), version.ready)).collect();
    RuleEditor::of(visit.caller.lang(), &path, draft, &ready, &Slots::of(item))
}

/// The editor as a page of its own, which carries the rest of the form.
fn alone(
    visit: &Visit,
    detail: &crate::domain::overview::Detail,
    editor: RuleEditor,
    form: &Form,
) -> RulePage {
    let own =
        |name: &str| name == "csrf" || name == "do" || name.starts_with("rule.") || name.starts_with("when.");
    RulePage {
        chrome: visit.chrome(detail, 60, None),
        path: service_path(visit.at.namespace.as_str(), &visit.at.name),
        service: visit.at.name.to_string(),
        namespace: visit.at.namespace.to_string(),
        editor,
        carry: form.0.iter().filter(|(name, _)| !own(name)).cloned().collect(),
    }
}
