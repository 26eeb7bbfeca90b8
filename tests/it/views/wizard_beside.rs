//! Warnings beside the fields of the wizard: too few requests, and an image of another repository.

use askama::Template as _;

use sluice::domain::refusal::{Check, Code, Severity};
use sluice::views::lang::Lang;
use sluice::views::wizard::{Beside, Planned, other_repository};

#[test]
fn the_numbers_of_requests_that_come_too_late_or_never_stand_at_the_field() {
    for (severity, code, words) in [
        (Severity::Acknowledge, Code::NeverEnough, ["200", "165", "132"]),
        (Severity::Info, Code::LowRate, ["200", "7", "33"]),
    ] {
        let args = [
            ("v", "v2"),
            ("n", "33"),
            ("percent", "100"),
            ("least", "200"),
            ("most", "165"),
            ("fits", "132"),
            ("window", "5"),
            ("better", "7"),
        ];
        let check =
            args.into_iter().fold(Check::new(severity, code), |check, (key, value)| check.arg(key, value));
        let planned = Planned { checks: vec![check], ..Planned::default() };
        for lang in [Lang::En, Lang::Zh] {
            let shown = Beside::requests(lang, &planned, true);
            assert_eq!(shown.warns, severity != Severity::Info);
            let html = shown.render().unwrap();
            assert!(words.iter().all(|word| html.contains(word)) && !html.contains(" hidden>"), "{html}");
        }
    }
    let html = Beside::requests(Lang::En, &Planned::default(), false).render().unwrap();
    assert!(html.contains(r#"id="said-min_requests" hidden>"#), "{html}");
}

#[test]
fn an_image_of_another_repository_is_found_whatever_its_tag_and_registry() {
    for (typed, now, differs) in [
        ("weather/forecast:v2", "istioweather/forecast:v1", true),
        ("istioweather/forecast:v2", "istioweather/forecast:v1", false),
        ("docker.io/istioweather/forecast@sha256:00", "istioweather/forecast:v1", false),
        ("docker.io/library/nginx", "nginx:1.27", false),
        ("registry.example:5000/a/b:2", "registry.example:5000/a/b:1", false),
        ("registry.example:5000/a/b", "registry.example/a/b:1", true),
        ("registry.example/a/c:1", "registry.example/a/b:1", true),
        ("", "nginx:1.27", false),
        ("nginx", "", false),
    ] {
        assert_eq!(other_repository(typed, now).is_some(), differs, "{typed} {now}");
    }
}
