//! Samples of the dialogs' pages, the rule page, the answer to a preview, and the demo's applications.

use crate::domain::ids::{Kind, ObjectRef, VersionName};
use crate::domain::live_object::{ByUs, LiveObject};
use crate::domain::refusal::{Check, Code, Refusal, Severity};

use super::super::acts::{Act, ActPage, Asked, Target};
use super::super::bars::Slots;
use super::super::chrome::{Chrome, Nav, Theme};
use super::super::demo::{Forecast, Hop, Next, ProductPage, Reviews, Stars, Tally, WeatherPage};
use super::super::lang::Lang;
use super::super::live_object::{ObjectCard, ObjectPage};
use super::super::pending::{Case, Pending, Place};
use super::super::rule_form::Draft;
use super::super::rules::{RuleEditor, RulePage};
use super::service::{checks, detail, preview};
use super::world::{reviews, weights};
use super::{HOSTILE, Page, chrome, push};

pub fn add(pages: &mut Vec<Page>, lang: Lang, theme: Theme) {
    let frame = |here: &str| chrome(lang, theme, Nav::Services, here);
    let one = detail(reviews().done());
    let path = "/services/bookinfo/reviews";
    let here = format!("{path}/traffic/takeover?version=v2");
    let take = preview(weights(&[("v1", 100), ("v2", 0)]), weights(&[("v1", 0), ("v2", 100)]), checks());
    let asked = || Asked { preview: Some(&take), request_id: "r1".to_owned(), ..Asked::default() };
    push(pages, "take-over", &ActPage::of(frame(&here), &one, &Target::Version("v2"), &asked()));
    push(pages, "fragment-take-over", &Act::of(&frame(&here), &one, &Target::Version("v2"), &asked()));
    let reason = Refusal::new(Code::ReasonRequired).field("reason");
    let refused = Asked { refusal: Some(&reason), ..asked() };
    push(pages, "take-over-no-reason", &ActPage::of(frame(&here), &one, &Target::Version("v2"), &refused));
    let blocks = vec![Check::new(Severity::Block, Code::NoReadyPods).arg("v", "v3").arg("n", 1)];
    let no = Refusal { checks: blocks, ..Refusal::new(Code::NoReadyPods).arg("v", "v3").arg("n", 1) };
    let blocked = Asked { refusal: Some(&no), request_id: "r2".to_owned(), ..Asked::default() };
    push(pages, "take-over-blocked", &ActPage::of(frame(&here), &one, &Target::Version("v3"), &blocked));
    let unknown = Refusal::new(Code::UnknownVersion).arg("v", HOSTILE);
    let hostile = Asked { refusal: Some(&unknown), reason: HOSTILE.to_owned(), ..Asked::default() };
    push(pages, "take-over-hostile", &ActPage::of(frame(&here), &one, &Target::Version(HOSTILE), &hostile));
    let mut gone =
        preview(weights(&[("v1", 0), ("v2", 100)]), weights(&[("v2", 100)]), checks()[2..].to_vec());
    gone.checks.insert(0, Check::new(Severity::Acknowledge, Code::StillAnswers).arg("v", "v1").arg("n", 3));
    let v1 = VersionName::from("v1");
    let here = format!("{path}/traffic/retire?version=v1");
    let asked = || Asked { preview: Some(&gone), request_id: "r4".to_owned(), ..Asked::default() };
    push(pages, "retire", &ActPage::of(frame(&here), &one, &Target::Retired(&v1), &asked()));
    push(pages, "fragment-retire", &Act::of(&frame(&here), &one, &Target::Retired(&v1), &asked()));
    let mismatch = Refusal::new(Code::ConfirmMismatch).field("confirm").arg("expected", "reviews v1");
    let typed = Asked { refusal: Some(&mismatch), confirm: HOSTILE.to_owned(), ..asked() };
    push(pages, "retire-mismatch", &ActPage::of(frame(&here), &one, &Target::Retired(&v1), &typed));
    let back = preview(
        weights(&[("v1", 30), ("v2", 70)]),
        weights(&[("v1", 90), ("v2", 10)]),
        checks()[2..].to_vec(),
    );
    let back = Asked { preview: Some(&back), request_id: "r3".to_owned(), ..Asked::default() };
    push(
        pages,
        "switch-back",
        &ActPage::of(
            frame(&format!("{path}/traffic/switch-back?revision=40")),
            &one,
            &Target::Revision(40),
            &back,
        ),
    );

    let object = ObjectRef::new(Kind::VirtualService, "bookinfo", "reviews");
    for (name, created, changed, yaml) in [
        ("object", ByUs::At(1), ByUs::At(41), "kind: VirtualService\nspec:\n  hosts:\n  - reviews\n"),
        ("object-foreign", ByUs::No, ByUs::No, "kind: VirtualService\n"),
        ("object-hostile", ByUs::Yes, ByUs::Yes, HOSTILE),
    ] {
        let live = LiveObject {
            object: object.clone(),
            json: serde_json::Value::Null,
            yaml: yaml.to_owned(),
            created,
            changed,
        };
        let card = ObjectCard::of(lang, &live, path.to_owned());
        push(pages, &format!("fragment-{name}"), &card);
        let (namespace, service) = ("bookinfo".to_owned(), "reviews".to_owned());
        push(pages, name, &ObjectPage { chrome: frame(path), namespace, service, card });
    }

    let slots = Slots::of(&one.overview);
    let editor =
        RuleEditor::of(lang, path, &Draft::empty(), &[("v1".to_owned(), 3), ("v2".to_owned(), 3)], &slots);
    let rule = RulePage {
        chrome: frame(&format!("{path}/rules/new")),
        path: path.to_owned(),
        service: "reviews".to_owned(),
        namespace: "bookinfo".to_owned(),
        editor,
        carry: vec![("w.v1".to_owned(), "30".to_owned()), ("reason".to_owned(), HOSTILE.to_owned())],
    };
    push(pages, "rule", &rule);

    let place = Place {
        clock: frame("/").clock,
        path,
        service: "reviews",
        slots: &slots,
        base_revision: 41,
        request_id: "r4".to_owned(),
        link: Some("/services/bookinfo/reviews?w.v1=30&w.v2=70".to_owned()),
    };
    let change = preview(
        weights(&[("v1", 100), ("v2", 0), ("v3", 0)]),
        weights(&[("v1", 30), ("v2", 60), ("v3", 10)]),
        checks(),
    );
    push(
        pages,
        "fragment-pending",
        &Pending::of(&place, Case::Checked { preview: &change, acknowledged: &[] }).into_fragment(),
    );
    let same = preview(weights(&[("v1", 100)]), weights(&[("v1", 100)]), Vec::new());
    push(
        pages,
        "fragment-nothing",
        &Pending::of(&place, Case::Checked { preview: &same, acknowledged: &[] }).into_fragment(),
    );
    demo(pages, lang, theme);
}

fn demo(pages: &mut Vec<Page>, lang: Lang, theme: Theme) {
    let frame =
        |here: &str| Chrome { topic: String::new(), demo: true, ..chrome(lang, theme, Nav::Nowhere, here) };
    let hop = |service: &str, version: Option<&str>, slot| Hop {
        namespace: "bookinfo".to_owned(),
        service: service.to_owned(),
        version: version.map(ToOwned::to_owned),
        slot,
    };
    let names = ["v1", "v2", "v3"].map(VersionName::from);
    let slots = Slots::by_name(names.iter());
    let counts: Vec<_> = names.iter().cloned().zip([30, 68, 2]).collect();
    let product = |stars| ProductPage {
        chrome: frame("/demo/bookinfo/productpage"),
        user: "jason".to_owned(),
        details: true,
        reviews: Some(Reviews { version: "v2".to_owned(), stars }),
        hops: vec![hop("productpage", Some("v1"), 1), hop("reviews", Some("v2"), 2), hop("ratings", None, 1)],
        tally: Some(Tally::of(lang, &counts, 1, &slots)),
    };
    push(pages, "demo-black", &product(Stars::Black));
    push(pages, "demo-red", &product(Stars::Red));
    push(pages, "demo-missing", &product(Stars::Missing));
    push(
        pages,
        "demo-broken",
        &ProductPage { details: false, reviews: None, tally: None, ..product(Stars::None) },
    );
    let weather = |forecast, next| WeatherPage {
        chrome: frame("/demo/weather"),
        user: String::new(),
        forecast,
        advertisement: true,
        hops: vec![
            hop("frontend", Some("v1"), 1),
            hop("forecast", Some("v2"), 2),
            hop("recommendation", Some("v1"), 1),
        ],
        tally: None,
        next,
    };
    let v2 = Forecast { version: "v2".to_owned(), recommendation: true };
    push(pages, "demo-weather", &weather(Some(v2), Next::Deployed));
    push(pages, "demo-weather-broken", &weather(None, Next::Absent));
}
