//! Anchors in log files: the lines by which a running Sluice keeps the head of its history out of reach of the
//! owner of the file. `sluice audit verify --anchors-from` reads them.

use serde_json::Value;

use super::Head;

/// What these lines are logged under.
pub const TARGET: &str = "sluice::audit::anchor";
/// Their message.
pub const MESSAGE: &str = "head of the history";

/// The anchors in a log of either format, in order, each once. Other lines, and whatever a collector put before
/// the line, are passed over. `Err` when a line that is one cannot be read: the log is not what was written.
pub fn anchors_in(log: &str) -> Result<Vec<Head>, String> {
    let mut found: Vec<Head> = Vec::new();
    for (at, line) in log.lines().enumerate() {
        let anchor = match read(&plain(line)) {
            Line::Other => continue,
            Line::Anchor(anchor) => anchor,
            Line::Broken => return Err(format!("line {} holds an anchor that cannot be read", at + 1)),
        };
        if !found.contains(&anchor) {
            found.push(anchor);
        }
    }
    Ok(found)
}

enum Line {
    Other,
    Anchor(Head),
    Broken,
}

fn read(line: &str) -> Line {
    if !line.contains(TARGET) || !line.contains(MESSAGE) {
        return Line::Other;
    }
    if let Some(value) =
        line.find('{').and_then(|at| serde_json::from_str::<Value>(line[at..].trim_end()).ok())
    {
        return json(&value);
    }
    // `2026-11-29T14:00:00.000000Z  INFO sluice::audit::anchor: head of the history seq=42 hash="…"`
    let Some((before, fields)) = line.split_once(&format!("{TARGET}: {MESSAGE} ")) else {
        return Line::Other;
    };
    if !before.trim_end().ends_with("INFO") {
        return Line::Other;
    }
    let field = |name: &str| {
        let mut words = fields.split_whitespace().filter_map(|word| word.split_once('='));
        words.find(|(found, _)| *found == name).map(|(_, value)| value.trim_matches('"'))
    };
    of(field("seq"), field("hash"))
}

fn json(value: &Value) -> Line {
    // A container runtime wraps the line once more.
    if let Some(wrapped) = value["log"].as_str() {
        return read(&plain(wrapped));
    }
    let fields = &value["fields"];
    if value["target"] != TARGET || fields["message"] != MESSAGE {
        return Line::Other;
    }
    of(fields["seq"].as_i64().map(|seq| seq.to_string()).as_deref(), fields["hash"].as_str())
}

fn of(seq: Option<&str>, hash: Option<&str>) -> Line {
    match (seq, hash) {
        (Some(seq), Some(hash)) => format!("{seq}:{hash}").parse().map_or(Line::Broken, Line::Anchor),
        _ => Line::Broken,
    }
}

/// A line without the escape sequences that colour it.
fn plain(line: &str) -> String {
    let mut out = String::with_capacity(line.len());
    let mut rest = line;
    while let Some((before, after)) = rest.split_once("\u{1b}[") {
        out.push_str(before);
        rest = after.trim_start_matches(|c: char| c.is_ascii_digit() || c == ';');
        rest = rest.get(1..).unwrap_or_default();
    }
    out.push_str(rest);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    const HASH: &str = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff";

    fn check(line: &str, expected: Result<Option<i64>, ()>) {
        let found = anchors_in(line).map(|found| found.first().map(|head| head.seq)).map_err(drop);
        assert_eq!(found, expected, "{line}");
    }

    #[test]
    fn lines_of_both_formats_are_read_whatever_stands_before_them() {
        let text = format!("INFO sluice::audit::anchor: head of the history seq=42 hash=\"{HASH}\"");
        check(&format!("2026-11-29T14:00:00.000000Z  {text}"), Ok(Some(42)));
        check(&format!("2026-11-29T14:00:00Z stderr F 2026-11-29T14:00:00.000000Z  {text}"), Ok(Some(42)));
        check(&format!("[pod/sluice-0] 2026-11-29T14:00:00Z  {text}"), Ok(Some(42)));
        let coloured = format!(
            "\u{1b}[2m2026-11-29T14:00:00Z\u{1b}[0m \u{1b}[32m INFO\u{1b}[0m \u{1b}[2msluice::audit::anchor\u{1b}[0m\
             \u{1b}[2m:\u{1b}[0m head of the history \u{1b}[3mseq\u{1b}[0m\u{1b}[2m=\u{1b}[0m42 \
             \u{1b}[3mhash\u{1b}[0m\u{1b}[2m=\u{1b}[0m\"{HASH}\""
        );
        check(&coloured, Ok(Some(42)));
        let json = format!(
            "{{\"timestamp\":\"2026-11-29T14:00:00Z\",\"level\":\"INFO\",\"fields\":{{\"message\":\
             \"head of the history\",\"seq\":42,\"hash\":\"{HASH}\"}},\"target\":\"sluice::audit::anchor\"}}"
        );
        check(&json, Ok(Some(42)));
        check(&format!("2026-11-29T14:00:00Z stderr F {json}"), Ok(Some(42)));
        check(&serde_json::json!({"log": format!("{json}\n"), "stream": "stderr"}).to_string(), Ok(Some(42)));
        check(
            &serde_json::json!({"log": format!("x  {text}\n"), "stream": "stderr"}).to_string(),
            Ok(Some(42)),
        );
        check("2026-11-29T14:00:00Z  INFO sluice::app: something else seq=42", Ok(None));
        check("", Ok(None));
    }

    #[test]
    fn a_line_that_was_cut_or_changed_is_an_error_and_not_passed_over() {
        for fields in ["seq=42", "seq=42 hash=\"00\"", "hash=\"\"", "seq=x hash=\"\""] {
            check(&format!("x  INFO sluice::audit::anchor: head of the history {fields}"), Err(()));
        }
        let cut = r#"{"fields":{"message":"head of the history","seq":42},"target":"sluice::audit::anchor"}"#;
        check(cut, Err(()));
    }

    #[test]
    fn the_same_anchor_counts_once_and_two_of_one_row_are_both_kept() {
        let line = |seq: i64, hash: &str| {
            format!("x  INFO sluice::audit::anchor: head of the history seq={seq} hash=\"{hash}\"\n")
        };
        let other = HASH.replace("00", "0f");
        let found =
            anchors_in(&(line(1, HASH) + &line(1, HASH) + &line(1, &other) + &line(2, HASH))).unwrap();
        assert_eq!(found.len(), 3);
    }
}
