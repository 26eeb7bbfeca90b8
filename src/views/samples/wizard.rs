//! Samples of the wizard of releases: each strategy, a draft that is refused, one that another tab saved.

use super::super::chrome::{Nav, Theme};
use super::super::lang::Lang;
use super::super::wizard::{self, Fields, Known, Planned, Wish, WizardFragment, WizardPage};
use super::world::reviews;
use super::{HOSTILE, NOW, Page, chrome, push};
use crate::domain::refusal::{Check, Code, Refusal, Severity};
use crate::domain::release::{
    Objects, OwnTemplate, Policies, StepObjects, Strategy, Template, TemplateRights,
};

/// What a wizard's page is made of, on its third save.
fn given_of<'a>(
    fields: &Fields,
    known: Known<'a>,
    wish: &'a Wish,
    refusals: &'a [Refusal],
    planned: &'a Planned,
) -> wizard::Given<'a> {
    wizard::Given {
        fields: fields.clone(),
        known,
        wish,
        refusals,
        planned,
        draft: Some(("d-17", 3, NOW - 9_000)),
        stale: false,
        loud: true,
        request_id: "k6".to_owned(),
    }
}

/// The wizard in every strategy, with and without something wrong.
pub fn add(pages: &mut Vec<Page>, lang: Lang, theme: Theme) {
    let frame = |here: &str| chrome(lang, theme, Nav::Releases, here);
    let item = reviews().done();
    let services = ["bookinfo/details".to_owned(), "bookinfo/reviews".to_owned()];
    let own = [OwnTemplate {
        name: "Weekend".to_owned(),
        by: "demo".to_owned(),
        at_ms: NOW,
        strategy: Strategy::Canary,
        steps: Template::Quick.steps(Strategy::Canary, 3),
        analysis: None,
        policies: Policies::default(),
    }];
    let rights = TemplateRights::default();
    let known = Known {
        services: &services,
        service: Some(&item),
        own: &own,
        rights: Some(&rights),
        user: "demo",
        figures: true,
        mismatch: false,
    };
    let planned = Planned {
        known: true,
        checks: vec![Check::new(Severity::Info, Code::ImageTag)],
        accepts: vec![
            Check::new(Severity::Acknowledge, Code::GitOps)
                .arg("tool", "Argo CD")
                .arg("name", "bookinfo")
                .arg("object", "VirtualService bookinfo/reviews"),
        ],
        shares: vec![(0, 1), (600, 5), (1_200, 10), (1_800, 25), (2_400, 50), (3_000, 100)],
        objects: Objects {
            steps: vec![
                StepObjects {
                    creates: vec!["Deployment bookinfo/reviews-v4".to_owned()],
                    ..StepObjects::default()
                },
                StepObjects {
                    step: Some(0),
                    changes: vec![
                        "DestinationRule bookinfo/reviews".to_owned(),
                        "VirtualService bookinfo/reviews".to_owned(),
                    ],
                    ..StepObjects::default()
                },
            ],
            after_abort: vec!["Deployment bookinfo/reviews-v4".to_owned()],
            ..Objects::default()
        },
        spec: None,
    };
    let clock = frame("/").clock;
    let mut fields = Fields::new("bookinfo/reviews", "v1");
    "v4".clone_into(&mut fields.version);
    "registry.example/bookinfo/reviews:1.19.0".clone_into(&mut fields.image);
    "REV-231 star ratings".clone_into(&mut fields.reason);
    let wish = Wish::of(&fields, clock);
    let page = |page: WizardPage, pages: &mut Vec<Page>, name: &str| push(pages, name, &page);
    let here = || frame("/releases/drafts/d-17");
    page(WizardPage::of(here(), given_of(&fields, known, &wish, &[], &planned)), pages, "wizard");
    push(pages, "fragment-plan", &WizardFragment::of(lang, &given_of(&fields, known, &wish, &[], &planned)));
    let refusals = [
        Refusal::new(Code::StepsFall).field("steps.6.percent").arg("n", 20).arg("before", 25),
        Refusal::new(Code::BadImage).field("candidate.image").arg("image", HOSTILE),
        Refusal::new(Code::VersionTaken).field("candidate.version").arg("v", "v2"),
        Refusal::new(Code::LimitMissing).field("analysis.metrics.1.limit"),
        Refusal::new(Code::ReasonRequired).field("reason"),
        Refusal::new(Code::ReleaseOwnsService).arg("id", "R-1039"),
    ];
    HOSTILE.clone_into(&mut fields.image);
    let wish = Wish::of(&fields, clock);
    let refused = wizard::Given { stale: true, ..given_of(&fields, known, &wish, &refusals, &planned) };
    page(WizardPage::of(here(), refused), pages, "wizard-refused-hostile");
    let stale = wizard::Given { stale: true, ..given_of(&fields, known, &wish, &refusals, &planned) };
    push(pages, "fragment-plan-refused", &WizardFragment::of(lang, &stale));
    let nothing = Planned::default();
    for (name, strategy, adopt) in [
        ("wizard-mirror", Strategy::Mirror, true),
        ("wizard-ab", Strategy::AbTest, false),
        ("wizard-pods", Strategy::Replicas, false),
        ("wizard-blue-green", Strategy::BlueGreen, true),
    ] {
        let mut fields = Fields::new("bookinfo/reviews", "v1");
        strategy.as_str().clone_into(&mut fields.strategy);
        fields.follow(wizard::Fit { pods: 5, rate: None });
        (fields.from, fields.adopt) =
            if adopt { ("adopt".to_owned(), "v2".to_owned()) } else { ("image".to_owned(), String::new()) };
        fields.analyse = strategy != Strategy::BlueGreen;
        for metric in &mut fields.metrics {
            metric.on |= metric.kind == "custom";
        }
        let wish = Wish::of(&fields, clock);
        page(WizardPage::of(here(), given_of(&fields, known, &wish, &[], &planned)), pages, name);
    }
    let empty = Fields::new("", "");
    let wish = Wish::of(&empty, clock);
    let first = wizard::Given {
        known: Known { services: &services, figures: false, ..Known::default() },
        draft: None,
        loud: false,
        ..given_of(&empty, known, &wish, &[], &nothing)
    };
    page(WizardPage::of(frame("/releases/new"), first), pages, "wizard-first");
}
