//! The history as a file: JSON or CSV, read in portions while it is sent. Used by pages and API alike.

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures::{StreamExt, stream};
use http::{HeaderValue, header};
use serde_json::Value;

use super::api::entry::{Damaged, ExportedEntry, FullEntry};
use super::api::values::Weights;
use super::auth::Who;
use super::caller::Caller;
use super::error::Failure;
use super::site::App;
use crate::domain::audit::{Entry, Filter};
use crate::domain::refusal::Code;
use crate::views::lang::Lang;

/// Entries that are written to the client at a time.
const PORTION: usize = 64;

/// The shape of the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    Json,
    Csv,
}

const COLUMNS: [&str; 21] = [
    "id",
    "at",
    "service",
    "actor",
    "channel",
    "address",
    "action",
    "result",
    "revision",
    "route",
    "before",
    "after",
    "reason",
    "refusal",
    "error",
    "request_id",
    "change",
    "objects",
    "release",
    "said",
    "rules",
];

/// Answers with all entries that match, newest first.
pub async fn answer(
    app: &App,
    who: &Who,
    caller: &Caller,
    filter: &Filter,
    format: Format,
) -> Result<Response, Failure> {
    let place = app.exports.clone().try_acquire_owned().map_err(|_| Failure::from(Code::Overloaded))?;
    let entries = app.services.export(&who.actor, filter).await?;
    let lang = caller.lang();
    let (head, tail) = match format {
        Format::Json => ("[".to_owned(), "\n]\n"),
        // The mark tells spreadsheets that this is UTF-8.
        Format::Csv => (format!("\u{feff}{}\r\n", COLUMNS.join(",")), ""),
    };
    let mut first = true;
    let rows = entries.ready_chunks(PORTION).map(move |portion| {
        let _held_until_the_end = &place;
        let mut out = String::new();
        for entry in portion {
            // An error ends the answer without its end: half a history must not look like a whole one.
            let entry = entry.map_err(|refusal| std::io::Error::other(refusal.to_string()))?;
            let entry = entry.map_err(Damaged::of);
            match format {
                Format::Json => {
                    out.push_str(if first { "\n" } else { ",\n" });
                    let exported = match &entry {
                        Ok(entry) => ExportedEntry::Entry(Box::new(FullEntry::of(lang, entry))),
                        Err(damaged) => ExportedEntry::Damaged(damaged.clone()),
                    };
                    out.push_str(&serde_json::to_string(&exported)?);
                }
                Format::Csv => match &entry {
                    Ok(entry) => row(&mut out, lang, entry),
                    Err(damaged) => damaged_row(&mut out, damaged),
                },
            }
            first = false;
        }
        Ok::<_, std::io::Error>(Bytes::from(out))
    });
    let end = stream::once(async move { Ok(Bytes::from_static(tail.as_bytes())) });
    let body = stream::once(async move { Ok(Bytes::from(head)) }).chain(rows).chain(end);
    let day = app.clock.now().strftime("%Y-%m-%d");
    let (kind, ending) = match format {
        Format::Json => ("application/json", "json"),
        Format::Csv => ("text/csv; charset=utf-8", "csv"),
    };
    let name = format!("attachment; filename=\"sluice-history-{day}.{ending}\"");
    let name = HeaderValue::from_str(&name).map_err(|_| Failure::from(Code::Internal))?;
    let kind = (header::CONTENT_TYPE, HeaderValue::from_static(kind));
    Ok(([kind, (header::CONTENT_DISPOSITION, name)], Body::from_stream(body)).into_response())
}

fn row(out: &mut String, lang: Lang, entry: &Entry) {
    let full = FullEntry::of(lang, entry);
    let edits = full.edits.iter().filter_map(|edit| serde_json::to_value(edit).ok());
    let workloads = full.workloads.iter().filter_map(|record| serde_json::to_value(record).ok());
    let objects: Vec<Value> = edits.chain(workloads).collect();
    let objects = if objects.is_empty() { String::new() } else { Value::from(objects).to_string() };
    let one = full.entry;
    let text = |value: Option<String>| value.unwrap_or_default();
    let fields: [String; COLUMNS.len()] = [
        one.id.to_string(),
        one.at,
        text(one.service),
        one.actor,
        one.channel.to_owned(),
        text(one.address),
        one.action.to_owned(),
        one.result.unwrap_or_default().to_owned(),
        one.revision.map(|revision| revision.to_string()).unwrap_or_default(),
        text(one.route),
        split(one.before.as_ref()),
        split(one.after.as_ref()),
        one.reason,
        one.refusal.map(|refusal| refusal.code.to_owned()).unwrap_or_default(),
        text(one.error),
        one.request_id,
        one.change,
        objects,
        one.release.as_ref().map(|release| release.id.clone()).unwrap_or_default(),
        one.release.map(|release| release.said.join("; ")).unwrap_or_default(),
        one.rules.join("; "),
    ];
    line(out, &fields);
}

/// A row that cannot be read, in its place: `damaged` under `result`, why under `error`.
fn damaged_row(out: &mut String, damaged: &Damaged) {
    let fields = COLUMNS.map(|column| match column {
        "id" => damaged.id.map(|id| id.to_string()).unwrap_or_default(),
        "result" => "damaged".to_owned(),
        "error" => damaged.damaged.clone(),
        _ => String::new(),
    });
    line(out, &fields);
}

fn line(out: &mut String, fields: &[String]) {
    for (at, value) in fields.iter().enumerate() {
        if at > 0 {
            out.push(',');
        }
        field(out, value);
    }
    out.push_str("\r\n");
}

fn split(weights: Option<&Weights>) -> String {
    let words =
        weights.map(|weights| weights.0.iter().map(|(version, weight)| format!("{version} {weight}%")));
    words.map(|words| words.collect::<Vec<_>>().join(" · ")).unwrap_or_default()
}

/// True for what a spreadsheet may take for a formula, also in the full-width forms that some of them accept, and
/// behind invisible characters. <https://owasp.org/www-community/attacks/CSV_Injection>
fn is_formula(value: &str) -> bool {
    let unseen = |c: &char| {
        c.is_whitespace()
            || c.is_control()
            || matches!(c, '\u{ad}' | '\u{200b}'..='\u{200f}' | '\u{2060}'..='\u{2064}' | '\u{feff}')
    };
    let first = value.chars().find(|c| !unseen(c));
    let begins = |c: char| {
        "=+-@|%\u{ff1d}\u{ff0b}\u{ff0d}\u{ff20}\u{ff5c}\u{ff05}\u{fe66}\u{fe62}\u{fe63}\u{fe6b}\u{2212}"
            .contains(c)
    };
    first.is_some_and(begins) || value.starts_with(char::is_control)
}

/// One field by RFC 4180. What a spreadsheet would take for a formula is made a text by an apostrophe.
fn field(out: &mut String, value: &str) {
    let formula = is_formula(value);
    if !formula && !value.contains([',', '"', '\r', '\n', ';', '\t', '\0']) {
        out.push_str(value);
        return;
    }
    out.push('"');
    if formula {
        out.push('\'');
    }
    for c in value.chars() {
        match c {
            '"' => out.push_str("\"\""),
            '\0' => {}
            other => out.push(other),
        }
    }
    out.push('"');
}

#[cfg(test)]
mod tests {
    use super::field;

    #[test]
    fn no_field_is_a_formula_and_every_field_can_be_read_back() {
        for (value, written) in [
            ("plain", "plain"),
            ("", ""),
            ("金丝雀", "金丝雀"),
            ("a,b", "\"a,b\""),
            ("say \"no\"", "\"say \"\"no\"\"\""),
            ("two\nlines", "\"two\nlines\""),
            ("=1+1", "\"'=1+1\""),
            ("  =cmd|'/C calc'!A0", "\"'  =cmd|'/C calc'!A0\""),
            ("+1", "\"'+1\""),
            ("-1", "\"'-1\""),
            ("@SUM(A1)", "\"'@SUM(A1)\""),
            ("\t=1", "\"'\t=1\""),
            ("\rcmd", "\"'\rcmd\""),
            ("＝1+1", "\"'＝1+1\""),
            ("＋1", "\"'＋1\""),
            ("－1", "\"'－1\""),
            ("＠SUM(A1)", "\"'＠SUM(A1)\""),
            ("\u{3000}＝1", "\"'\u{3000}＝1\""),
            ("\u{feff}=1", "\"'\u{feff}=1\""),
            ("\u{200b}\u{a0}@x", "\"'\u{200b}\u{a0}@x\""),
            ("\0=1,2", "\"'=1,2\""),
        ] {
            let mut out = String::new();
            field(&mut out, value);
            assert_eq!(out, written, "{value:?}");
        }
    }
}
