//! Text search: how a row's text is cut into grams for the index, and how a question becomes an FTS5 expression.
//!
//! SQLite's own trigrams find neither two Chinese characters nor `v2`, and they make the digits of every
//! UUID match every number. So: three letters in a row for alphabets, one and two for wide characters
//! (Chinese, emoji), whole pieces of one or two letters, and ids only as a whole.

use std::collections::BTreeSet;

use crate::domain::audit::{Entry, Filter};

use super::keys;

/// Words of one question that are looked at; what comes after is ignored.
const MOST_WORDS: usize = 32;

/// What a row is compared with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Searchable {
    /// Service, actor and reason in lower case, one a line, blanks only between words.
    pub search: String,
    /// Request id, change id, revision and release in lower case, each between tabs.
    pub ids: String,
}

/// Takes from an entry what can be searched for.
pub(super) fn searchable(entry: &Entry) -> Searchable {
    let service = entry.intent.service.as_ref().map(ToString::to_string).unwrap_or_default();
    let lines = [service.as_str(), &entry.intent.actor, &entry.intent.reason];
    let search = lines.map(|line| words_of(line).join(" ")).join("\n");
    let revision = entry.outcome.as_ref().and_then(|outcome| outcome.revision);
    let mut ids = String::from("\t");
    let own = [words_of(&entry.intent.request_id).concat(), words_of(&entry.intent.change).concat()];
    let numbers = revision.map(|revision| [revision.to_string(), format!("r{revision}")]);
    let release = entry.intent.details.release.as_ref().map(|mark| mark.id.to_string().to_lowercase());
    let all = own.into_iter().chain(numbers.into_iter().flatten()).chain(release);
    for id in all.filter(|id| !id.is_empty()) {
        ids.push_str(&id);
        ids.push('\t');
    }
    Searchable { search, ids }
}

/// Everything under which an entry stands in the text index, as the document that FTS5 splits again.
pub(super) fn document(entry: &Entry, text: &Searchable) -> String {
    let mut all = BTreeSet::new();
    for word in text.search.split([' ', '\n']) {
        grams(word, &mut all);
        pieces(word, &mut all);
    }
    all.extend(text.ids.split('\t').filter(|id| !id.is_empty()).map(|id| keys::tag("i", id)));
    all.extend(keys::tags_of_entry(entry));
    let mut out = String::with_capacity(all.len() * 5);
    for gram in all {
        out.push_str(&gram);
        out.push(' ');
    }
    out
}

/// A question to the text index.
#[derive(Clone, Debug)]
pub(super) struct Question {
    /// FTS5 expression; holds for every row that matches, and for few others.
    pub expression: String,
    /// JSON list of the words that a row's text must hold, to tell the others apart.
    pub words: String,
    words_list: Vec<String>,
}

impl Question {
    /// Reads the text of a filter; `None` when it has none.
    pub fn of(filter: &Filter) -> Option<Self> {
        let mut words_list = words_of(filter.text.as_deref()?);
        words_list.dedup();
        words_list.truncate(MOST_WORDS);
        if words_list.is_empty() {
            return None;
        }
        let mut parts = keys::tags_of_filter(filter);
        parts.extend(words_list.iter().map(|word| expression(word)));
        // Quoted by JSON, compared by SQLite as they are.
        let long: Vec<&String> = words_list.iter().filter(|word| is_long(word)).collect();
        let words = serde_json::to_string(&long).unwrap_or_default();
        Some(Self { expression: parts.join(" AND "), words, words_list })
    }

    /// The same question to one entry, without the index.
    pub fn matches(&self, text: &Searchable) -> bool {
        self.words_list.iter().all(|word| {
            if text.ids.contains(&format!("\t{word}\t")) {
                return true;
            }
            if is_long(word) {
                return text.search.contains(word.as_str());
            }
            let mut all = BTreeSet::new();
            text.search.split([' ', '\n']).for_each(|other| pieces(other, &mut all));
            all.contains(&encode(word.chars()))
        })
    }
}

/// A word's part of the expression: an id as a whole, or all its grams.
fn expression(word: &str) -> String {
    let id = keys::tag("i", word);
    let mut found = BTreeSet::new();
    if is_long(word) {
        // Every third gram and the last cover the word; the comparison afterwards does the rest.
        let letters: Vec<char> = word.chars().collect();
        if letters.iter().copied().any(is_wide) {
            grams(word, &mut found);
        } else {
            let last = letters.len() - 3;
            let starts = (0..=last).step_by(3).chain([last]);
            found.extend(starts.map(|at| encode(letters[at..at + 3].iter().copied())));
        }
    } else if word.chars().all(char::is_alphanumeric) {
        found.insert(encode(word.chars()));
    }
    if found.is_empty() {
        return format!("\"{id}\"");
    }
    let grams: Vec<String> = found.into_iter().map(|gram| format!("\"{gram}\"")).collect();
    format!("(\"{id}\" OR ({}))", grams.join(" AND "))
}

/// Lower-case words without blanks or control characters. Letter by letter, so that a part of a word
/// becomes the same part of the lower-case word.
fn words_of(text: &str) -> Vec<String> {
    let clean: String = text
        .chars()
        .flat_map(char::to_lowercase)
        .map(|c| if c.is_whitespace() || c.is_control() { ' ' } else { c })
        .collect();
    clean.split(' ').filter(|word| !word.is_empty()).map(str::to_owned).collect()
}

/// Chinese, Japanese, Korean, and all symbols and emoji: where one or two characters say something.
fn is_wide(c: char) -> bool {
    c >= '\u{2e80}' || ('\u{2190}'..='\u{2bff}').contains(&c)
}

/// Found as a part of a word; anything shorter only as a whole piece.
fn is_long(word: &str) -> bool {
    word.chars().nth(2).is_some() || word.chars().any(is_wide)
}

fn grams(word: &str, into: &mut BTreeSet<String>) {
    let letters: Vec<char> = word.chars().collect();
    for window in letters.windows(3).filter(|window| !window.iter().copied().any(is_wide)) {
        into.insert(encode(window.iter().copied()));
    }
    for window in letters.windows(2).filter(|window| window.iter().copied().any(is_wide)) {
        into.insert(encode(window.iter().copied()));
    }
    for letter in letters.into_iter().filter(|letter| is_wide(*letter)) {
        into.insert(encode([letter].into_iter()));
    }
}

/// One or two letters or digits with something else (or nothing) around them: `v2`, `42`.
fn pieces(word: &str, into: &mut BTreeSet<String>) {
    for run in word.split(|c: char| !c.is_alphanumeric() || is_wide(c)) {
        if !run.is_empty() && run.chars().nth(2).is_none() {
            into.insert(encode(run.chars()));
        }
    }
}

/// FTS5's `ascii` tokenizer cuts at ASCII punctuation, so that is moved to private characters.
fn encode(letters: impl Iterator<Item = char>) -> String {
    letters
        .map(|c| {
            if c.is_ascii() && !c.is_ascii_alphanumeric() {
                char::from_u32(0xe000 + u32::from(c)).unwrap_or(c)
            } else {
                c
            }
        })
        .collect()
}
