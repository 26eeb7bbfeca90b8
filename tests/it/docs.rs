//! The documents are true where a machine can tell: links and paths exist, options and wire words are the program's.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use clap::CommandFactory;
use sluice::config::Cli;
use sluice::domain::audit::{Action, Ending};
use sluice::domain::overview::State;
use sluice::domain::refusal::Code;
use sluice::domain::release::{PauseReason, Phase, Strategy, Word};

/// Folders in which documents are.
const FOLDERS: [&str; 8] =
    ["", "docs", "examples", "benches", "migrations", "static", "tests/cluster", "tests/it/shapes"];

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// Every document with its text, by its path from the root.
fn documents() -> BTreeMap<PathBuf, String> {
    let mut out = BTreeMap::new();
    for folder in FOLDERS {
        for entry in fs::read_dir(root().join(folder)).expect("a folder").flatten() {
            if entry.path().extension().is_some_and(|ending| ending == "md") {
                let text = fs::read_to_string(entry.path()).expect("readable");
                out.insert(Path::new(folder).join(entry.file_name()), text);
            }
        }
    }
    out
}

/// What stands between `open` and `close`, each time.
fn between<'a>(text: &'a str, open: &str, close: char) -> Vec<&'a str> {
    text.match_indices(open).filter_map(|(at, _)| text[at + open.len()..].split(close).next()).collect()
}

#[test]
fn links_of_the_documents_lead_somewhere() {
    let mut broken = Vec::new();
    for (path, text) in documents() {
        let folder = root().join(path.parent().expect("a folder"));
        for link in between(&text, "](", ')') {
            let elsewhere = link.starts_with("https://") || link.starts_with('#');
            let file = link.split('#').next().unwrap_or(link);
            if !elsewhere && !folder.join(file).exists() {
                broken.push(format!("{}: {link}", path.display()));
            }
        }
    }
    assert!(broken.is_empty(), "links that lead nowhere:\n{}", broken.join("\n"));
}

#[test]
fn paths_that_the_documents_name_exist() {
    let starts = ["src/", "tests/", "docs/", "deploy/", "benches/", "migrations/", "examples/", "templates/"];
    let mut missing = Vec::new();
    for (path, text) in documents() {
        let words = text.split(|c: char| !c.is_alphanumeric() && !"_./-".contains(c));
        for word in words.map(|word| word.trim_end_matches(['.', '/'])) {
            if starts.iter().any(|start| word.starts_with(start)) && !root().join(word).exists() {
                missing.push(format!("{}: {word}", path.display()));
            }
        }
    }
    assert!(missing.is_empty(), "paths that do not exist:\n{}", missing.join("\n"));
}

#[test]
fn the_readme_links_every_document() {
    let readme = read("README.md");
    for path in documents().keys().filter(|path| path.starts_with("docs")) {
        let link = format!("]({})", path.display());
        assert!(readme.contains(&link), "README.md does not link {}", path.display());
    }
}

#[test]
fn the_options_of_the_operations_guide_are_those_of_serve() {
    let mut cli = Cli::command();
    cli.build();
    let serve = cli.find_subcommand("serve").expect("serve");
    let options: BTreeSet<(String, String)> = serve
        .get_arguments()
        .filter(|option| !option.is_hide_set())
        .filter_map(|option| {
            let variable = option.get_env()?.to_string_lossy().into_owned();
            Some((format!("--{}", option.get_long()?), variable))
        })
        .collect();
    let guide = read("docs/operations.md");
    let rows = guide.lines().filter(|line| line.starts_with("| `--"));
    let documented: BTreeSet<(String, String)> = rows
        .map(|row| {
            let cells: Vec<&str> = row.split('`').collect();
            (cells[1].to_owned(), cells[3].to_owned())
        })
        .collect();
    assert_eq!(documented, options);
}

#[test]
fn the_glossary_has_the_wire_words_and_the_guide_has_codes_that_exist() {
    let glossary = read("docs/glossary.md");
    let words = State::ALL.iter().map(|one| one.as_str());
    let words = words.chain(Phase::ALL.iter().map(|one| one.as_str()));
    let words = words.chain(Word::ALL.iter().map(|one| one.as_str()));
    let words = words.chain(Strategy::ALL.iter().map(|one| one.as_str()));
    let words = words.chain(PauseReason::ALL.iter().map(|one| one.as_str()));
    let words = words.chain(Action::ALL.iter().map(|one| one.as_str()));
    let words = words.chain(Ending::ALL.iter().map(|one| one.as_str()));
    let missing: Vec<&str> = words.filter(|word| !glossary.contains(&format!("`{word}`"))).collect();
    assert!(missing.is_empty(), "docs/glossary.md lacks {missing:?}");

    let guide = read("docs/operations.md");
    let (_, notices) = guide.split_once("| code | meaning | do |").expect("the table of notices");
    let rows = notices.lines().skip(2).take_while(|line| line.starts_with('|'));
    let cells = rows.filter_map(|row| row.split('|').nth(1));
    let codes: Vec<&str> = cells.flat_map(|cell| cell.split('`').skip(1).step_by(2)).collect();
    assert!(codes.len() > 10, "{codes:?}");
    for code in codes {
        assert!(Code::by_key(code).is_some(), "docs/operations.md names a code that does not exist: {code}");
    }
}
