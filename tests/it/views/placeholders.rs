//! Every value that a sentence needs is given where its code is used: read off the sources, because a value
//! that is missing is no error anywhere, only a hole in what a person reads.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use regex::Regex;
use sluice::domain::refusal::Code;

/// Files in which refusals and checks are made.
fn sources(folder: &Path, into: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() && !path.ends_with("samples") {
            sources(&path, into);
        } else if path.extension().is_some_and(|kind| kind == "rs") {
            into.push(path);
        }
    }
}

/// Which values the sentences of each code name. A sentence with a shorter form (`bare`) needs what that one needs.
fn needs() -> BTreeMap<String, BTreeSet<String>> {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("templates/locales/codes.en.yml");
    let all: serde_json::Value = serde_saphyr::from_str(&fs::read_to_string(file).unwrap()).unwrap();
    let name = Regex::new(r"%\{(\w+)\}").unwrap();
    let of = |said: &serde_json::Value, part: &str| -> BTreeSet<String> {
        name.captures_iter(said[part].as_str().unwrap_or_default()).map(|found| found[1].to_owned()).collect()
    };
    let need = |said: &serde_json::Value| {
        let text = if said["bare"].is_string() { of(said, "bare") } else { of(said, "text") };
        text.union(&of(said, "next")).cloned().collect()
    };
    all["code"].as_object().unwrap().iter().map(|(key, said)| (key.clone(), need(said))).collect()
}

/// `Code::NoSubset` as the sources write it → its key in the catalogue.
fn keys() -> BTreeMap<String, &'static str> {
    Code::ALL.iter().map(|code| (format!("{code:?}"), code.text_key())).collect()
}

#[test]
fn every_refusal_and_check_brings_the_values_of_its_sentence() {
    let (needs, keys) = (needs(), keys());
    let made = Regex::new(
        r"(?:Refusal::new\(|Check::new\([^;()]*?,\s*|\b(?:block|acknowledge|info|found)\((?:Severity::\w+,\s*)?)\s*Code::(\w+)\)",
    )
    .unwrap();
    let value = Regex::new(r#"\.arg\(\s*"(\w+)""#).unwrap();
    let mut files = Vec::new();
    sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut files);
    let (mut seen, mut holes) = (0, Vec::new());
    for file in files {
        let text = fs::read_to_string(&file).unwrap();
        let text = text.split("#[cfg(test)]").next().unwrap();
        for found in made.captures_iter(text) {
            let rest = &text[found.get(0).unwrap().end()..];
            // What is chosen among several codes gets its values together, after the choice.
            if rest.trim_start().starts_with('}') {
                continue;
            }
            // Up to the end of the statement, or of the argument that the chain stands in; what is bound to a
            // name may get its values in the next statement.
            let line = text[..found.get(0).unwrap().start()].rsplit('\n').next().unwrap();
            let statements = if line.trim_start().starts_with("let ") { 2 } else { 1 };
            let chain: String = rest.split([';', '?']).take(statements).collect();
            let given: BTreeSet<String> = value.captures_iter(&chain).map(|one| one[1].to_owned()).collect();
            let missing: Vec<&String> = needs[keys[&found[1]]].difference(&given).collect();
            if !missing.is_empty() {
                let line = text[..found.get(0).unwrap().start()].lines().count();
                holes.push(format!("{}:{line}: {} lacks {missing:?}", file.display(), &found[1]));
            }
            seen += 1;
        }
    }
    assert!(seen > 100, "only {seen} places were found: the pattern no longer fits the sources");
    assert!(holes.is_empty(), "{holes:#?}");
}
