//! Samples of the page of services.

use crate::domain::ids::{Namespace, ServiceRef};
use crate::domain::overview::{Counts, ListAsk, ListPage, Overview, Show, State};
use crate::domain::refusal::{Check, Code, Severity};

use super::super::chrome::{Chrome, Nav, Theme};
use super::super::lang::Lang;
use super::super::services::{Row, ServiceRow, ServicesPage};
use super::world::{Service, five, longest, reviews, seen, version};
use super::{HOSTILE, Page, all_notices, chrome, push};

/// The page with its rows, as `web` puts it together.
fn listed(chrome: Chrome, ask: &ListAsk, page: &ListPage) -> ServicesPage {
    let row = |item| Row::from(&ServiceRow::of(chrome.clock, chrome.now_ms, item));
    ServicesPage::of(ask, page, page.items.iter().map(row).collect(), chrome)
}

fn some() -> Vec<Overview> {
    let two = |a: &str, b: &str| vec![version(a, "x", 6, 6, None), version(b, "x", 2, 2, None)];
    let without_pods = Check::new(Severity::Acknowledge, Code::WeightWithoutPods).arg("v", "v8").arg("n", 25);
    let drift = Check::new(Severity::Acknowledge, Code::Drift)
        .arg("v", "v2")
        .arg("declared", 10)
        .arg("observed", "3.1");
    vec![
        Service::new("payments", "checkout", two("v7", "v8"))
            .declared(&[("v7", 75), ("v8", 25)])
            .observed(seen(&[("v7", 5_328.0, 90.0, 180.0), ("v8", 1_776.0, 45.0, 212.0)]))
            .state(State::Broken, vec![without_pods])
            .last(4, "lin.wei", 12)
            .done(),
        Service::new("bookinfo", "ratings", two("v1", "v2"))
            .declared(&[("v1", 90), ("v2", 10)])
            .observed(seen(&[("v1", 1_833.0, 1.0, 18.0), ("v2", 57.0, 0.0, 17.0)]))
            .state(State::Drift, vec![drift])
            .last(22, "zhao.min", 3)
            .done(),
        Service::new("payments", "wallet", two("blue", "green"))
            .declared(&[("blue", 0), ("green", 100)])
            .observed(seen(&[("green", 4_674.0, 0.0, 31.0)]))
            .state(
                State::ChangedOutside,
                vec![Check::new(Severity::Info, Code::ChangedOutside).arg("who", "kubectl-edit")],
            )
            .last(180, "kubectl-edit", 9)
            .done(),
        five().done(),
        reviews().done(),
        Service::new("bookinfo", "details", vec![version("v1", "x", 2, 2, None)])
            .observed(seen(&[("v1", 2_520.0, 0.0, 9.0)]))
            .state(State::SpreadByPods, vec![Check::new(Severity::Info, Code::OneVersion).arg("v", "v1")])
            .done(),
        Service::new("bookinfo", "legacy-ftp", vec![version("ftp", "x", 1, 1, None)])
            .state(State::NotRoutable, vec![Check::new(Severity::Block, Code::Headless)])
            .done(),
        Service::new("bookinfo", "idle", two("v1", "v2"))
            .declared(&[("v1", 50), ("v2", 50)])
            .last(60 * 24 * 3, "portal-ci", 1)
            .done(),
        longest().done(),
    ]
}

fn page(items: Vec<Overview>) -> ListPage {
    ListPage {
        number: 0,
        total: 38,
        counts: Counts { all: 38, releasing: 2, attention: 3, not_routable: 5 },
        next: Some("c2".to_owned()),
        namespaces: ["bookinfo", "payments", "shop"].map(Namespace::from).into(),
        populated: 3,
        attention: items.iter().filter(|item| item.state.needs_attention()).cloned().collect(),
        waiting: super::releases::waiting(),
        nearest: None,
        notices: Vec::new(),
        items,
    }
}

pub fn add(pages: &mut Vec<Page>, lang: Lang, theme: Theme) {
    let frame = |here: &str| chrome(lang, theme, Nav::Services, here);
    let all = ListAsk::default();
    push(pages, "services", &listed(frame("/services"), &all, &page(some())));

    let down =
        Chrome { notices: all_notices(), demo: true, env: Some("DEMO".to_owned()), ..frame("/services") };
    let mut blind = page(some());
    for item in &mut blind.items {
        item.observed = None;
    }
    push(pages, "services-down", &listed(down, &all, &blind));

    push(pages, "services-no-namespace", &listed(frame("/services"), &all, &ListPage::default()));
    let nothing = ListPage { namespaces: vec!["bookinfo".into()], ..ListPage::default() };
    push(pages, "services-none", &listed(frame("/services"), &all, &nothing));

    let typo = ListAsk { text: "reveiws".to_owned(), ..ListAsk::default() };
    let found = ListPage {
        nearest: Some(ServiceRef::new("bookinfo", "reviews")),
        items: Vec::new(),
        ..page(Vec::new())
    };
    push(pages, "services-filter-empty", &listed(frame("/services?q=reveiws"), &typo, &found));
    let calm = ListAsk { show: Show::Attention, ..ListAsk::default() };
    push(pages, "services-calm", &listed(frame("/services?show=attention"), &calm, &page(Vec::new())));

    let evil = Service::new(HOSTILE, HOSTILE, vec![version(HOSTILE, HOSTILE, 1, 1, Some(HOSTILE))])
        .declared(&[(HOSTILE, 100)])
        .observed(seen(&[(HOSTILE, 500.0, 0.0, 1.0)]))
        .state(
            State::ChangedOutside,
            vec![Check::new(Severity::Info, Code::ChangedOutside).arg("who", HOSTILE)],
        )
        .last(1, HOSTILE, 2)
        .done();
    let asked = ListAsk { text: HOSTILE.to_owned(), ..ListAsk::default() };
    push(
        pages,
        "services-hostile",
        &listed(frame(&format!("/services?q={HOSTILE}")), &asked, &page(vec![evil])),
    );
}
