//! Every page with every sample, in both languages: it renders, nothing foreign becomes markup, nothing is
//! inline, nothing of the other language is left over. The pages are also written to cargo's folder for
//! temporary files (`tmp/samples`), where the browser checks open them.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use regex::Regex;
use sha2::{Digest, Sha256};
use sluice::views::chrome::Theme;
use sluice::views::lang::Lang;
use sluice::views::samples::{self, HOSTILE};

fn pages(lang: Lang) -> Vec<(String, String)> {
    samples::pages(lang, Theme::Auto)
        .into_iter()
        .map(|(name, page)| {
            let html = page.unwrap_or_else(|error| panic!("{name}: {error}"));
            (name, html)
        })
        .collect()
}

fn expect_none(pattern: &str, what: &str) {
    let pattern = Regex::new(pattern).unwrap();
    for lang in Lang::ALL {
        for (name, html) in pages(lang) {
            if let Some(found) = pattern.find(&html) {
                let from = html.floor_char_boundary(found.start().saturating_sub(80));
                let to = html.ceil_char_boundary(found.end() + 40);
                panic!("{name} ({}): {what}: …{}…", lang.code(), &html[from..to]);
            }
        }
    }
}

#[test]
fn every_sample_renders_and_is_written_for_the_browser() {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("samples");
    for lang in Lang::ALL {
        let folder = folder.join(lang.code());
        fs::create_dir_all(&folder).unwrap();
        let pages = pages(lang);
        let names: BTreeSet<&String> = pages.iter().map(|(name, _)| name).collect();
        assert_eq!(names.len(), pages.len(), "two samples have one name");
        for (name, html) in &pages {
            let whole = html.contains("<!doctype html>");
            assert_eq!(whole, !name.starts_with("fragment-"), "{name}");
            if whole {
                assert!(html.contains(&format!("<html lang=\"{}\"", lang.tag())), "{name}");
                assert_eq!(html.matches("<h1").count(), 1, "{name} has not one h1");
            }
            fs::write(folder.join(format!("{name}.html")), html).unwrap();
        }
    }
}

#[test]
fn nothing_is_inline() {
    expect_none(r"<[^>]*\sstyle\s*=", "an inline style");
    expect_none(r"<style", "a style element");
    expect_none(r"<script(?:\s[^>]*)?>[^<]", "an inline script");
    expect_none(r#"<[a-z][^>"]*(?:"[^"]*"[^>"]*)*\son[a-z]+\s*="#, "an inline handler");
    expect_none(r#"(?:href|src|action)\s*=\s*"?(?:javascript|data):"#, "a script or data address");
    expect_none(r#"(?:src|href)="https?://"#, "an address outside");
}

#[test]
fn hostile_names_stay_text() {
    expect_none("<script>", "a name became an element");
    expect_none(r#"="[^"]*"><script"#, "a name left its attribute");
    let seen = |lang| {
        pages(lang)
            .iter()
            .filter(|(_, html)| html.contains("&lt;script") || html.contains("&#60;script"))
            .count()
    };
    let hosts = pages(Lang::En).iter().filter(|(name, _)| name.contains("hostile")).count();
    assert!(seen(Lang::En) >= hosts && hosts >= 4, "the samples lost {HOSTILE}");
}

#[test]
fn every_sentence_is_in_the_catalogue() {
    expect_none(r#"[>"\s](?:en|zh)\.[a-z_]+\.[a-z_.]+"#, "a key without a text");
    expect_none(r"%\{", "a placeholder");
}

#[test]
fn attributes_are_quoted_and_ids_are_used_once() {
    let quoted = r#"(?:\s+[a-z-]+(?:="[^"]*"|='[^']*')?)*"#;
    expect_none(&format!(r#"<[a-z]+{quoted}\s+[a-z-]+=[^"'\s>]"#), "an attribute without quotes");
    let id = Regex::new(r#"\sid="([^"]*)""#).unwrap();
    let used = Regex::new(r#"(?:aria-describedby|aria-labelledby|\sfor|\sform)="([^"]*)""#).unwrap();
    for (name, html) in pages(Lang::En) {
        let mut seen = BTreeSet::new();
        for found in id.captures_iter(&html) {
            assert!(seen.insert(found[1].to_owned()), "{name}: the id {} stands twice", &found[1]);
        }
        if html.contains("<!doctype") {
            for found in used.captures_iter(&html) {
                for id in found[1].split(' ') {
                    assert!(seen.contains(id), "{name}: nothing has the id {id}");
                }
            }
        }
    }
}

#[test]
fn live_regions_have_an_id_and_hold_no_field() {
    let live = Regex::new(r"<[a-z]+[^>]*\sdata-live[^>]*>").unwrap();
    for (name, html) in pages(Lang::En) {
        for found in live.find_iter(&html) {
            assert!(found.as_str().contains(" id=\""), "{name}: {}", found.as_str());
        }
    }
}

/// What a Chinese page shows in Latin letters although it is no name: product names, units, abbreviations.
const LATIN: &[&str] = &[
    "Sluice",
    "Kubernetes",
    "Istio",
    "Prometheus",
    "PromQL",
    "VirtualService",
    "ServiceEntry",
    "Sidecar",
    "egress",
    "serviceentries",
    "sidecars",
    "DestinationRule",
    "Service",
    "Deployment",
    "StatefulSet",
    "GitOps",
    "Argo",
    "CD",
    "Git",
    "Helm",
    "API",
    "REST",
    "YAML",
    "CSV",
    "JSON",
    "OpenAPI",
    "HTTP",
    "TCP",
    "UDP",
    "TLS",
    "IP",
    "Webhook",
    "Cookie",
    "sidecar",
    "Ctrl",
    "Enter",
    "UTC",
    "UUID",
    "RE",
    "ETag",
    "If",
    "Match",
    "kubeconfig",
    "English",
    "BookInfo",
    "DELETE",
    "GET",
    "POST",
    "PUT",
    "hosts",
    "gateways",
    "get",
    "list",
    "watch",
    "p95",
];

#[test]
fn chinese_pages_have_no_english_left() {
    let names = Regex::new(
        r#"(?s)<(?:code|pre|kbd|style|title)\b.*?</(?:code|pre|kbd|style|title)>|<div class="diff".*?</div>|<(?:p|td|span|h2)[^>]*lang="en">.*?</(?:p|td|span|h2)>|<template.*?</template>|<a[^>]*lang="en"[^>]*>.*?</a>"#,
    )
    .unwrap();
    let said = Regex::new(r#"(?:aria-label|title|placeholder|data-[a-z-]+)="([^"]*)"|>([^<]+)<"#).unwrap();
    let word = Regex::new("[A-Za-z]{2,}").unwrap();
    let code = Regex::new(r"<code>([^<]*)</code>").unwrap();
    let filled = Regex::new(r"\{[a-z]+\}|\S+…\S+|&#?[a-z0-9]+;").unwrap();
    // Everything that the samples call by a name.
    let mut allowed: BTreeSet<String> = LATIN.iter().map(|word| (*word).to_owned()).collect();
    for (_, html) in pages(Lang::En) {
        for found in code.captures_iter(&html) {
            allowed.extend(word.find_iter(&found[1]).map(|one| one.as_str().to_owned()));
        }
    }
    let sample = include_str!("../../../src/views/samples/world.rs").to_owned()
        + include_str!("../../../src/views/samples/mod.rs")
        + include_str!("../../../src/views/samples/service.rs")
        + include_str!("../../../src/views/samples/services.rs")
        + include_str!("../../../src/views/samples/parts.rs")
        + include_str!("../../../src/views/samples/audit.rs")
        + include_str!("../../../src/views/samples/releases.rs")
        + include_str!("../../../src/views/samples/wizard.rs")
        + include_str!("../../../src/views/samples/sessions.rs")
        + include_str!("../../../src/views/demo.rs");
    for text in Regex::new(r#""((?:[^"\\]|\\.)*)""#).unwrap().captures_iter(&sample) {
        allowed.extend(word.find_iter(&text[1]).map(|one| one.as_str().to_owned()));
    }
    let mut left = BTreeSet::new();
    for (name, html) in pages(Lang::Zh) {
        if name.contains("hostile") {
            continue;
        }
        let html = names.replace_all(&html, "");
        for found in said.captures_iter(&html) {
            if found
                .get(0)
                .is_some_and(|all| all.as_str().starts_with("data-") && !all.as_str().contains(' '))
            {
                continue;
            }
            let text = found.get(1).or(found.get(2)).map_or("", |text| text.as_str());
            // `{age}` is filled by the browser; a name cut short ends in `…`.
            let text = filled.replace_all(text, " ");
            for one in word.find_iter(&text) {
                if !allowed.contains(one.as_str()) {
                    left.insert(format!("{name}: {} in {:?}", one.as_str(), text.trim()));
                }
            }
        }
    }
    assert!(left.is_empty(), "{left:#?}");
}

#[test]
fn the_front_is_small_and_htmx_is_the_one_that_was_recorded() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("static");
    let read = |name: &str| fs::read(folder.join(name)).unwrap();
    let size: usize = ["app.css", "newer.js", "app.js", "weights.js", "live.js", "release.js", "htmx.min.js"]
        .map(|name| read(name).len())
        .iter()
        .sum();
    assert!(size < 150 * 1024, "{size} bytes of style and script");
    let hash = hex::encode(Sha256::digest(read("htmx.min.js")));
    let noted = fs::read_to_string(folder.join("VENDORED.md")).unwrap();
    assert!(noted.contains(&hash), "htmx.min.js is not the file that VENDORED.md names: {hash}");
    for name in ["newer.js", "app.js", "weights.js", "live.js", "release.js"] {
        let text = String::from_utf8(read(name)).unwrap();
        for banned in ["eval(", "new Function", "innerHTML +", "http://", "https://"] {
            assert!(!text.contains(banned), "{name} has {banned}");
        }
    }
}

#[test]
fn what_is_retired_is_nowhere_to_switch_back_to() {
    let pages = pages(Lang::En);
    let shows = |name: &str| {
        let (_, html) = pages.iter().find(|(page, _)| page == name).unwrap();
        html.contains("Switch back to v1")
    };
    assert!(shows("release-done") && !shows("release-retired"));
}
