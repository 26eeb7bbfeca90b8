//! Which regular expressions RE2 accepts with the meaning that we show.

use sluice::routing::rule_input;

fn good(text: &str) {
    assert_eq!(rule_input::regex(text), Ok(()), "{text}");
}

fn bad(text: &str) {
    assert!(rule_input::regex(text).is_err(), "{text}");
}

#[test]
fn plain_expressions_pass() {
    for text in [
        ".*@gmail\\.com",
        "^v[0-9]+$",
        "(a|b)?c*",
        "(?i)abc",
        "(?i:abc)",
        "(?s-m:a.b)",
        "(?P<name>a+)",
        "[a-zA-Z_-]+",
        "[^/]+",
        "[[:alpha:]]x",
        "\\d{3}-\\w+\\s\\b",
        "\\pL\\p{Lu}\\p{Greek}",
        "a{1000}",
        "a{2,}?",
        "\\x41\\x{10FFFF}",
        "\\A\\z",
        "\\%\\_\\-",
        "日本",
        "a&&b",
        "x--y",
    ] {
        good(text);
    }
}

#[test]
fn what_re2_refuses_or_reads_otherwise_is_refused() {
    for text in [
        "",
        "(",
        "[",
        "a)",
        "*a",
        "(?=a)",
        "(?!a)",
        "(?<=a)b",
        "(?<!a)b",
        "(a)\\1",
        "\\k<a>",
        "(?x)a b",
        "(?u)a",
        "(?R)a",
        "(?<name>a)",
        "[a&&b]",
        "[a--b]",
        "[a~~b]",
        "[a[bc]]",
        "\\b{start}",
        "\\<a\\>",
        "\\u0041",
        "\\u{41}",
        "\\U00000041",
        "\\p{Letter}",
        "\\p{scx=Greek}",
        "\\p{Nonsense}",
        "a{1001}",
        "(a{100}){100}",
        "a**",
        "a{2}{3}",
        "a{,5}",
        "a{1, 2}",
        "[z-a]",
        "a\nb",
        "a\u{7f}",
        "\\Z",
        "\\C",
    ] {
        bad(text);
    }
    bad(&"a".repeat(257));
    good(&"a".repeat(256));
    bad(&"(".repeat(200));
}
