//! The rules of the code, checked: which module may use which, how long a file may be, what every file opens
//! with, and what must never stand in one.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use sluice::domain::class::Class;
use sluice::domain::refusal::Code;

/// Module → the modules of this crate that it may use. `app`, `main` and `lib` may use everything.
const MAY_USE: &[(&str, &[&str])] = &[
    ("domain", &[]),
    ("clock", &[]),
    ("config", &["domain"]),
    ("telemetry", &["config"]),
    ("routing", &["domain"]),
    ("release", &["domain"]),
    ("views", &["domain", "release"]),
    ("cluster", &["domain", "clock"]),
    ("metrics", &["domain", "clock"]),
    ("store", &["domain", "clock"]),
    ("services", &["domain", "routing", "release", "cluster", "metrics", "store", "clock"]),
    ("web", &["domain", "services", "views", "config", "clock"]),
    ("demo", &["domain", "clock"]),
];

/// Crate → the modules that may name it.
const OUTSIDE: &[(&str, &[&str])] = &[
    ("kube", &["cluster"]),
    ("k8s_openapi", &["cluster", "demo"]),
    ("sqlx", &["store"]),
    ("axum", &["web", "demo"]),
    ("askama", &["views"]),
    ("reqwest", &["metrics"]),
    ("rust_embed", &["views", "web"]),
];

const LONGEST: usize = 500;

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn files_below(folder: &str, ending: &str) -> Vec<PathBuf> {
    let mut out = Vec::new();
    let mut todo = vec![root().join(folder)];
    while let Some(folder) = todo.pop() {
        let Ok(entries) = fs::read_dir(&folder) else { continue };
        for entry in entries.flatten() {
            let path = entry.path();
            let name = entry.file_name();
            if path.is_dir() {
                if name != "node_modules" && name != "target" {
                    todo.push(path);
                }
            } else if path.extension().is_some_and(|found| found == ending) {
                out.push(path);
            }
        }
    }
    out.sort();
    out
}

fn shown(path: &Path) -> String {
    path.strip_prefix(root()).unwrap_or(path).display().to_string()
}

/// The module of a file below `src`: its folder, or its own name.
fn room(path: &Path) -> String {
    let inside = path.strip_prefix(root().join("src")).expect("below src");
    let first = inside.components().next().expect("a name").as_os_str().to_string_lossy();
    first.trim_end_matches(".rs").to_owned()
}

/// Code without comments and without what stands in string literals on one line.
fn code_of(text: &str) -> String {
    text.lines().map(|line| line.split("//").next().unwrap_or("")).collect::<Vec<_>>().join("\n")
}

fn words_after<'a>(code: &'a str, before: &str) -> BTreeSet<&'a str> {
    code.match_indices(before)
        .map(|(at, _)| {
            let rest = &code[at + before.len()..];
            let end = rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len());
            &rest[..end]
        })
        .filter(|word| !word.is_empty())
        .collect()
}

#[test]
fn rooms_use_only_what_they_may() {
    let mut wrong = Vec::new();
    for path in files_below("src", "rs") {
        let room = room(&path);
        let Some((_, may)) = MAY_USE.iter().find(|(name, _)| *name == room) else { continue };
        let text = fs::read_to_string(&path).expect("readable");
        for used in words_after(&code_of(&text), "crate::") {
            let is_room = MAY_USE.iter().any(|(name, _)| *name == used) || used == "app";
            if is_room && used != room && !may.contains(&used) {
                wrong.push(format!("{} uses crate::{used}", shown(&path)));
            }
        }
    }
    assert!(wrong.is_empty(), "the dependency rule is broken:\n{}", wrong.join("\n"));
}

#[test]
fn foreign_crates_stay_in_their_rooms() {
    let mut wrong = Vec::new();
    for path in files_below("src", "rs") {
        let room = room(&path);
        if ["app", "main", "lib"].contains(&room.as_str()) {
            continue;
        }
        let code = code_of(&fs::read_to_string(&path).expect("readable"));
        for (name, rooms) in OUTSIDE {
            let named = code
                .match_indices(&format!("{name}::"))
                .any(|(at, _)| !code[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_' || c == ':'));
            if named && !rooms.contains(&room.as_str()) {
                wrong.push(format!("{} names {name}", shown(&path)));
            }
        }
    }
    assert!(wrong.is_empty(), "a crate is named outside its room:\n{}", wrong.join("\n"));
}

#[test]
fn files_are_short_and_say_what_they_are() {
    let mut wrong = Vec::new();
    for path in ["src", "tests", "benches"].iter().flat_map(|folder| files_below(folder, "rs")) {
        let text = fs::read_to_string(&path).expect("readable");
        let lines = text.lines().count();
        if lines > LONGEST {
            wrong.push(format!("{} has {lines} lines", shown(&path)));
        }
        if !text.starts_with("//!") {
            wrong.push(format!("{} does not open with //!", shown(&path)));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_test_file_is_declared() {
    let files = files_below("tests/it", "rs");
    let all: String = files.iter().map(|path| fs::read_to_string(path).expect("readable")).collect();
    let declared = words_after(&all, "mod ");
    let lost: Vec<String> = files
        .iter()
        .filter(|path| {
            let stem = path.file_stem().expect("a name").to_string_lossy().into_owned();
            let name = if stem == "mod" {
                path.parent().and_then(Path::file_name).expect("a folder").to_string_lossy().into_owned()
            } else {
                stem
            };
            name != "main" && !declared.contains(name.as_str())
        })
        .map(|path| shown(path))
        .collect();
    assert!(lost.is_empty(), "not part of the test binary: {lost:?}");
}

#[test]
fn nothing_unfinished_or_skipped() {
    let marks = [
        concat!("to", "do!("),
        concat!("un", "implemented!("),
        concat!("#[ig", "nore"),
        concat!("FIX", "ME"),
    ];
    let mut wrong = Vec::new();
    for path in ["src", "tests", "benches"].iter().flat_map(|folder| files_below(folder, "rs")) {
        let text = fs::read_to_string(&path).expect("readable");
        for mark in marks {
            if text.contains(mark) {
                wrong.push(format!("{}: {mark}", shown(&path)));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Comments name a thing by its technical term: module, interface, request, command. What stands in backticks is code.
#[test]
fn comments_use_technical_terms() {
    let metaphors = ["room", "rooms", "house", "houses", "door", "doors", "anew"];
    let mut wrong = Vec::new();
    for path in ["src", "tests", "benches"].iter().flat_map(|folder| files_below(folder, "rs")) {
        let text = fs::read_to_string(&path).expect("readable");
        for (at, line) in text.lines().enumerate() {
            let Some(comment) = line.trim_start().strip_prefix("//") else { continue };
            let prose = comment.split('`').step_by(2).collect::<Vec<_>>().join(" ").to_lowercase();
            let mut words = prose.split(|c: char| !c.is_alphanumeric() && c != '_');
            if let Some(word) = words.find(|word| metaphors.contains(word)) {
                wrong.push(format!("{}:{} says `{word}`", shown(&path), at + 1));
            }
        }
    }
    assert!(wrong.is_empty(), "comments in metaphors:\n{}", wrong.join("\n"));
}

#[test]
fn templates_carry_no_script_style_or_unescaped_text() {
    let mut wrong = Vec::new();
    for path in files_below("templates", "html") {
        let text = fs::read_to_string(&path).expect("readable");
        for (at, line) in text.lines().enumerate() {
            let low = line.to_lowercase();
            let inline = low.contains(" style=")
                || low.contains("<style")
                || low.contains("javascript:")
                || low.contains(" onclick=")
                || low.contains(" hx-on")
                || (low.contains("<script") && !low.contains(" src="));
            if inline {
                wrong.push(format!("{}:{} inline script or style", shown(&path), at + 1));
            }
            if low.contains("http://") || low.contains("https://") {
                wrong.push(format!("{}:{} names another host", shown(&path), at + 1));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Whether something is tried again is decided by the class of a refusal; a new code that is a fault of the server must
/// say what it is.
#[test]
fn every_code_that_answers_as_a_fault_of_the_server_has_a_class_of_its_own() {
    for code in Code::ALL {
        let passes =
            matches!(code.class(), Class::Unavailable | Class::Unknown) || *code == Code::ClusterForbids;
        assert_eq!(passes, code.status() >= 500, "{code}: say in Code::class whether it may be tried again");
    }
}

/// Invariants 3 and 4 of `lib.rs`: the cluster is written in one place, and whoever asks that place has stored a row
/// of the history before.
#[test]
fn the_cluster_is_written_in_one_place_after_a_row_of_the_history() {
    let mut senders = Vec::new();
    let mut callers = Vec::new();
    for path in files_below("src", "rs") {
        let code = code_of(&fs::read_to_string(&path).expect("readable"));
        if code.contains("clients.write") {
            senders.push(shown(&path));
        }
        for call in ["cluster.apply(", "cluster.apply_object("] {
            for (at, _) in code.match_indices(call) {
                callers.push(shown(&path));
                let before = &code[..at];
                let recorded = before.contains("store.intent(");
                assert!(recorded, "{}: {call} before any row of the history", shown(&path));
            }
        }
    }
    callers.dedup();
    // A Lease of Sluice's own is nobody's object, and no entry of the history.
    senders.retain(|path| path != "src/cluster/leases.rs");
    assert_eq!(senders, ["src/cluster/workloads.rs", "src/cluster/write.rs"], "what writes to the cluster");
    assert_eq!(callers, ["src/services/objects.rs", "src/services/traffic.rs"], "who asks `apply`");
    for path in senders {
        let code = code_of(&fs::read_to_string(root().join(&path)).expect("readable"));
        for word in words_after(&code, "    pub async fn ") {
            let reads = ["workload", "pods", "dry_run", "may_delete", "try_deletion"].contains(&word);
            assert!(reads, "{path}: `{word}` can be called past `apply`");
        }
    }
}
