//! Samples of the history.

use serde_json::json;

use crate::domain::actor::Channel;
use crate::domain::as_of::AsOf;
use crate::domain::audit::{Action, Details, EditRecord, Ending, Entry, Intent, Outcome, Written};
use crate::domain::ids::{Kind, ObjectRef, ServiceRef};
use crate::domain::refusal::{Code, Refusal};
use crate::domain::routing::Op;

use super::super::as_of::{AsOfFields, AsOfPage};
use super::super::audit::{Answer, AuditPage, Fields};
use super::super::audit_detail::AuditDetail;
use super::super::chrome::{Nav, Theme};
use super::super::lang::Lang;
use super::service::checks;
use super::world::{rule, weights};
use super::{HOSTILE, NOW, Page, chrome, push};

fn entry(
    id: i64,
    minutes: i64,
    actor: &str,
    channel: Channel,
    action: Action,
    reason: &str,
    details: Details,
) -> Entry {
    let intent = Intent {
        change: format!("019d-{id}"),
        at_ms: NOW - minutes * 60_000,
        service: Some(ServiceRef::new("bookinfo", "reviews")),
        actor: actor.to_owned(),
        groups: vec!["release-managers".to_owned()],
        channel,
        address: (channel != Channel::Outside).then(|| "10.2.8.41".to_owned()),
        action,
        reason: reason.to_owned(),
        request_id: "01JD3S9V0Q8M".to_owned(),
        details,
    };
    Entry { id, intent, outcome: None }
}

fn ended(mut entry: Entry, ending: Ending, revision: Option<u64>) -> Entry {
    let details = entry.intent.details.clone();
    entry.outcome = Some(Outcome { at_ms: entry.intent.at_ms + 1_640, ending, revision, details });
    entry
}

fn moved(before: &[(&str, u8)], after: &[(&str, u8)]) -> Details {
    let spec = |list: &[(&str, u8)]| {
        let route: Vec<_> = list
            .iter()
            .map(|(v, n)| json!({"destination": {"host": "reviews", "subset": v}, "weight": n}))
            .collect();
        json!({"hosts": ["reviews"], "http": [{"route": route, "timeout": "3s"}]})
    };
    Details {
        before: Some(weights(before)),
        after: Some(weights(after)),
        edits: vec![EditRecord {
            object: ObjectRef::new(Kind::VirtualService, "bookinfo", "reviews"),
            before: Some(spec(before)),
            after: Some(spec(after)),
            resource_version_before: Some("88213406".to_owned()),
            resource_version_after: Some("88213407".to_owned()),
            written: Written::Yes,
        }],
        checks: checks(),
        acknowledged: vec!["big_jump".to_owned()],
        ..Details::default()
    }
}

/// One entry of every ending.
pub fn entries() -> Vec<Entry> {
    use Channel::{Api, Browser, Outside};
    let no_pods = Refusal::new(Code::NoReadyPods).arg("v", "v3").arg("n", 1);
    let refused = Details {
        refusal: Some(no_pods),
        after: Some(weights(&[("v1", 0), ("v3", 100)])),
        before: Some(weights(&[("v1", 100), ("v3", 0)])),
        ..Details::default()
    };
    let said = Details {
        error: Some("admission webhook \"validation.istio.io\" denied the request".to_owned()),
        ..moved(&[("v1", 90), ("v2", 10)], &[("v1", 80), ("v2", 20)])
    };
    let outside = Details {
        managers: vec!["kubectl-edit".to_owned()],
        ..moved(&[("v1", 100), ("v2", 0)], &[("v1", 95), ("v2", 5)])
    };
    vec![
        entry(
            1894,
            0,
            "lin.wei",
            Browser,
            Action::SetTraffic,
            "REV-231",
            moved(&[("v1", 100), ("v2", 0)], &[("v1", 30), ("v2", 70)]),
        ),
        ended(
            entry(
                1893,
                9,
                "lin.wei",
                Browser,
                Action::SwitchBack,
                "",
                moved(&[("v1", 0), ("v2", 100)], &[("v1", 90), ("v2", 10)]),
            ),
            Ending::Applied,
            Some(42),
        ),
        ended(
            entry(
                1892,
                121,
                "chen.yu",
                Browser,
                Action::SetTraffic,
                "REV-229: stars missing for guests",
                moved(&[("v1", 90), ("v2", 10)], &[("v1", 100), ("v2", 0)]),
            ),
            Ending::Applied,
            Some(41),
        ),
        ended(
            entry(1891, 150, "portal-ci", Api, Action::TakeOver, "nightly", refused),
            Ending::Refused,
            None,
        ),
        ended(
            entry(1890, 164, "chen.yu", Browser, Action::SetTraffic, "REV-229", said.clone()),
            Ending::Failed,
            None,
        ),
        ended(
            entry(1889, 170, "chen.yu", Browser, Action::SetTraffic, "REV-229", said),
            Ending::Partial,
            None,
        ),
        ended(
            entry(
                1888,
                190,
                "chen.yu",
                Browser,
                Action::TakeOver,
                "",
                moved(&[("v1", 95), ("v2", 5)], &[("v1", 0), ("v2", 100)]),
            ),
            Ending::Unknown,
            None,
        ),
        ended(
            entry(1887, 200, "kubectl-edit", Outside, Action::OutsideEdit, "", outside),
            Ending::Outside,
            Some(39),
        ),
    ]
}

pub fn add(pages: &mut Vec<Page>, lang: Lang, theme: Theme) {
    let frame = |here: &str| chrome(lang, theme, Nav::Audit, here);
    let list = entries();
    let answer = |entries, total| Answer {
        entries,
        next: Some("1887"),
        total,
        services: vec!["bookinfo/ratings".to_owned(), "bookinfo/reviews".to_owned()],
        actors: vec!["chen.yu".to_owned(), "lin.wei".to_owned(), "portal-ci".to_owned()],
    };
    push(pages, "audit", &AuditPage::of(frame("/audit"), Fields::default(), answer(&list, Some(214)), None));
    let fields = Fields {
        service: "bookinfo/reviews".to_owned(),
        from: "2026-11-01".to_owned(),
        to: "2026-11-20".to_owned(),
        ..Fields::default()
    };
    push(
        pages,
        "audit-open",
        &AuditPage::of(frame("/audit/1892"), fields.clone(), answer(&list, None), Some(&list[2])),
    );
    push(
        pages,
        "audit-refused",
        &AuditPage::of(frame("/audit/1891"), fields.clone(), answer(&list, Some(1)), Some(&list[3])),
    );
    push(
        pages,
        "audit-failed",
        &AuditPage::of(frame("/audit/1890"), fields.clone(), answer(&list, None), Some(&list[4])),
    );
    let mut late = AuditPage::of(frame("/audit/1893"), fields.clone(), answer(&list, None), Some(&list[1]));
    if let Some(open) = &mut late.open {
        open.reason_refused(HOSTILE, &Refusal::new(Code::ReasonTooLong).arg("n", 500));
    }
    push(pages, "audit-add-reason", &late);
    push(
        pages,
        "audit-empty",
        &AuditPage::of(frame("/audit"), Fields::default(), answer(&[], Some(0)), None),
    );
    push(
        pages,
        "audit-filter-empty",
        &AuditPage::of(frame("/audit"), fields.clone(), answer(&[], Some(0)), None),
    );
    push(pages, "fragment-audit-detail", &AuditDetail::of(&frame("/audit"), &list[2]));
    // Whoever reads may not read the object.
    let mut hidden = list[2].clone();
    for edit in &mut hidden.intent.details.edits {
        (edit.before, edit.after) = (None, None);
    }
    if let Some(outcome) = &mut hidden.outcome {
        for edit in &mut outcome.details.edits {
            (edit.before, edit.after) = (None, None);
        }
    }
    push(pages, "fragment-audit-detail-hidden", &AuditDetail::of(&frame("/audit"), &hidden));
    let sign_in = ended(
        Entry {
            intent: Intent {
                service: None,
                ..entry(7, 3, "lin.wei", Channel::Browser, Action::SignIn, "", Details::default()).intent
            },
            id: 7,
            outcome: None,
        },
        Ending::Applied,
        None,
    );
    let evil = ended(
        entry(
            6,
            5,
            HOSTILE,
            Channel::Api,
            Action::SetTraffic,
            HOSTILE,
            Details {
                error: Some(HOSTILE.to_owned()),
                managers: vec![HOSTILE.to_owned()],
                ..moved(&[(HOSTILE, 10)], &[(HOSTILE, 100)])
            },
        ),
        Ending::Failed,
        None,
    );
    let bad = [sign_in, evil];
    let typed = Fields { text: HOSTILE.to_owned(), ..Fields::default() };
    push(
        pages,
        "audit-hostile",
        &AuditPage::of(frame("/audit/6"), typed, answer(&bad, Some(2)), Some(&bad[1])),
    );
    add_as_of(pages, lang, theme, &list, &bad[1]);
}

/// What was in force: nothing asked, an answer, before the first change, unknown, hostile, refused.
fn add_as_of(pages: &mut Vec<Page>, lang: Lang, theme: Theme, list: &[Entry], evil: &Entry) {
    let frame = || chrome(lang, theme, Nav::Audit, "/audit/as-of");
    let services = || vec!["bookinfo/reviews".to_owned()];
    let fields = AsOfFields {
        service: "bookinfo/reviews".to_owned(),
        date: "2026-11-20".to_owned(),
        time: "14:05:00".to_owned(),
    };
    let page = || AsOfPage::new(frame(), fields.clone(), services());
    let object = ObjectRef::new(Kind::VirtualService, "bookinfo", "reviews");
    let found = AsOf {
        service: ServiceRef::new("bookinfo", "reviews"),
        at_ms: NOW,
        revision: 41,
        weights: Some(weights(&[("v1", 30), ("v2", 70)])),
        rest: Some((vec![rule("testers", "end-user", Op::Exact, "jason", &[("v3", 100)])], None)),
        objects: vec![(object.clone(), Some(json!({"hosts": ["reviews"]}))), (object, None)],
        made: list.first().cloned(),
        ended: list.get(1).cloned(),
    };
    push(pages, "as-of", &page().answered(&found));
    push(pages, "as-of-empty", &AsOfPage::new(frame(), AsOfFields::default(), services()));
    let before = AsOf { revision: 0, made: None, rest: None, ..found.clone() };
    push(pages, "as-of-before", &page().answered(&before));
    let unknown = AsOf { weights: None, ended: None, objects: Vec::new(), ..before };
    push(pages, "as-of-unknown", &page().answered(&unknown));
    let hostile = AsOf { made: Some(evil.clone()), ..found };
    push(pages, "as-of-hostile", &page().answered(&hostile));
    push(pages, "as-of-refused", &page().refused(&Refusal::new(Code::BadQuery)));
}
