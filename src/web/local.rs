//! Return addresses: a path on this server, or nothing. Any other address is not followed.

/// The path and query that `asked` names here; `None` for everything that a browser could read as another
/// server, a script or a second header.
pub fn local(asked: &str) -> Option<&str> {
    let good = asked.len() <= 2000
        && asked.starts_with('/')
        && !asked.starts_with("//")
        && asked.bytes().all(|b| b.is_ascii_graphic() && b != b'\\');
    good.then_some(asked)
}

#[cfg(test)]
mod tests {
    use super::local;

    #[test]
    fn only_paths_of_this_server_are_followed() {
        for good in ["/", "/services?ns=shop&q=%2F%2Fx", "/services/shop/reviews?restore=40#history"] {
            assert_eq!(local(good), Some(good));
        }
        let long = format!("/{}", "a".repeat(3000));
        for bad in [
            "",
            "services",
            "//evil.example",
            "///evil.example",
            "/\\evil.example",
            "https://evil.example",
            "javascript:alert(1)",
            "/a\r\nSet-Cookie: x=y",
            "/a b",
            "/\u{202e}",
            &long,
            "\t/services",
        ] {
            assert_eq!(local(bad), None, "{bad}");
        }
    }
}
