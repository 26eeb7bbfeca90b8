//! The two languages of the pages, and sentences from the catalogues in `templates/locales`.
//!
//! Every view says its words through [`Lang::t`]; `web` reads the language from cookie and header.
//! Foreign text only ever enters a sentence through [`Text::with`], which is escaped wherever it is shown.

use std::borrow::Cow;
use std::fmt::{self, Display, Write as _};

use askama::filters::HtmlSafe;

/// A language that Sluice speaks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Lang {
    #[default]
    En,
    Zh,
}

impl Lang {
    pub const ALL: [Self; 2] = [Self::En, Self::Zh];

    /// The catalogue's name and the value of the `lang` cookie.
    pub fn code(self) -> &'static str {
        match self {
            Self::En => "en",
            Self::Zh => "zh",
        }
    }

    /// The value of the `lang` attribute.
    pub fn tag(self) -> &'static str {
        match self {
            Self::En => "en",
            Self::Zh => "zh-CN",
        }
    }

    /// The language that the header offers to switch to.
    #[must_use]
    pub fn other(self) -> Self {
        match self {
            Self::En => Self::Zh,
            Self::Zh => Self::En,
        }
    }

    /// Reads a cookie, a query parameter or one entry of `Accept-Language`.
    pub fn parse(tag: &str) -> Option<Self> {
        let tag = tag.trim().to_ascii_lowercase();
        match tag.split(['-', '_', ';']).next() {
            Some("en") => Some(Self::En),
            Some("zh") => Some(Self::Zh),
            _ => None,
        }
    }

    /// The first language of `Accept-Language` that is spoken here (browsers send them best first), else English.
    pub fn of_header(accept: &str) -> Self {
        accept.split(',').find_map(Self::parse).unwrap_or_default()
    }

    /// A sentence of the catalogue. A key that the catalogue lacks shows itself, and a test fails.
    pub fn t(self, key: &str) -> Text {
        Text { pattern: rust_i18n::t!(key, locale = self.code()).into_owned(), args: Vec::new() }
    }

    /// A sentence that depends on a count: `key.one` for 1, else `key.many`, filled with `n`.
    pub fn count(self, key: &str, n: impl Display) -> Text {
        let n = n.to_string();
        let form = if n == "1" { "one" } else { "many" };
        self.t(&format!("{key}.{form}")).with("n", n)
    }

    /// Whether the catalogue has this key.
    pub fn knows(self, key: &str) -> bool {
        let text = rust_i18n::t!(key, locale = self.code());
        text != key && text.strip_prefix(self.code()).and_then(|rest| rest.strip_prefix('.')) != Some(key)
    }
}

/// A sentence with its values. Shown as plain text: the catalogue's marks (`**bold**`, `` `code` ``) are
/// left out, and askama escapes the result like any other text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Text {
    pattern: String,
    args: Vec<(Cow<'static, str>, String)>,
}

/// A sentence whose marks became `<b>` and `<code>`. Its values are escaped here, so it is safe HTML.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rich(Text);

enum Piece<'a> {
    Plain(&'a str),
    Value(&'a str),
    Bold,
    Code,
}

impl Text {
    /// Fills the placeholder `%{name}`.
    #[must_use]
    pub fn with(mut self, name: impl Into<Cow<'static, str>>, value: impl Display) -> Self {
        self.args.push((name.into(), value.to_string()));
        self
    }

    /// The same for a value that is made of names between backticks (*`a`, `b` → `c`*): these mark code, as in the
    /// catalogue. What is between them is shown as it is.
    #[must_use]
    pub fn with_marks(mut self, name: &str, value: &str) -> Self {
        let pieces: Vec<&str> = value.split('`').collect();
        // An odd mark is no mark.
        if pieces.len().is_multiple_of(2) {
            return self.with(name.to_owned(), value);
        }
        let names: Vec<String> = (0..pieces.len()).map(|at| format!("{name}.{at}")).collect();
        let places: Vec<String> = names.iter().map(|name| format!("%{{{name}}}")).collect();
        self.pattern = self.pattern.replace(&format!("%{{{name}}}"), &places.join("`"));
        let pieces = pieces.into_iter().map(str::to_owned);
        self.args.extend(names.into_iter().map(Cow::Owned).zip(pieces));
        self
    }

    /// True when every placeholder has its value.
    pub fn is_complete(&self) -> bool {
        let names = self.pattern.split("%{").skip(1).filter_map(|rest| rest.split('}').next());
        names.into_iter().all(|name| self.args.iter().any(|(arg, _)| arg == name))
    }

    /// The sentence by itself: `…` stands wherever a value belongs.
    #[must_use]
    pub fn outlined(mut self) -> Self {
        let names = self.pattern.split("%{").skip(1).filter_map(|rest| rest.split('}').next());
        let filled = names.map(|name| (Cow::Owned(name.to_owned()), "…".to_owned())).collect::<Vec<_>>();
        self.args.extend(filled);
        self
    }

    /// This sentence, a blank, and another one.
    #[must_use]
    pub fn and(mut self, other: Self) -> Self {
        // Each keeps its own values: `%{2.v}` is the other's `%{v}`.
        self.pattern = format!("{} {}", self.pattern, other.pattern.replace("%{", "%{2."));
        self.args.extend(other.args.into_iter().map(|(name, value)| (format!("2.{name}").into(), value)));
        self
    }

    /// The same with its marks shown.
    pub fn rich(self) -> Rich {
        Rich(self)
    }

    /// Words of our own that stand in no catalogue (the API's description), with their marks.
    pub fn verbatim(words: &str) -> Self {
        Self { pattern: words.to_owned(), args: Vec::new() }
    }

    /// Text from elsewhere, in which no mark means anything.
    pub fn quoted(words: String) -> Self {
        Self { pattern: "%{words}".to_owned(), args: vec![("words".into(), words)] }
    }

    fn pieces(&self) -> impl Iterator<Item = Piece<'_>> {
        let mut rest = self.pattern.as_str();
        std::iter::from_fn(move || {
            if rest.is_empty() {
                return None;
            }
            if let Some(after) = rest.strip_prefix("**") {
                rest = after;
                return Some(Piece::Bold);
            }
            if let Some(after) = rest.strip_prefix('`') {
                rest = after;
                return Some(Piece::Code);
            }
            if let Some((name, after)) = rest.strip_prefix("%{").and_then(|inner| inner.split_once('}')) {
                rest = after;
                let found = self.args.iter().find(|(arg, _)| arg == name);
                return Some(Piece::Value(found.map_or("–", |(_, value)| value)));
            }
            let first = rest.chars().next().map_or(1, char::len_utf8);
            let next = rest[first..].find(['*', '`', '%']).map_or(rest.len(), |at| first + at);
            let (plain, after) = rest.split_at(next);
            rest = after;
            Some(Piece::Plain(plain))
        })
    }
}

impl Display for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for piece in self.pieces() {
            if let Piece::Plain(text) | Piece::Value(text) = piece {
                f.write_str(text)?;
            }
        }
        Ok(())
    }
}

impl From<Text> for String {
    fn from(text: Text) -> Self {
        text.to_string()
    }
}

impl Display for Rich {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (mut bold, mut code) = (false, false);
        for piece in self.0.pieces() {
            match piece {
                Piece::Plain(text) | Piece::Value(text) => escape(f, text)?,
                Piece::Bold => {
                    f.write_str(if bold { "</b>" } else { "<b>" })?;
                    bold = !bold;
                }
                Piece::Code => {
                    f.write_str(if code { "</code>" } else { "<code>" })?;
                    code = !code;
                }
            }
        }
        f.write_str(if code { "</code>" } else { "" })?;
        f.write_str(if bold { "</b>" } else { "" })
    }
}

impl HtmlSafe for Rich {}

fn escape(f: &mut fmt::Formatter<'_>, text: &str) -> fmt::Result {
    for c in text.chars() {
        match c {
            '&' => f.write_str("&amp;")?,
            '<' => f.write_str("&lt;")?,
            '>' => f.write_str("&gt;")?,
            '"' => f.write_str("&#34;")?,
            '\'' => f.write_str("&#39;")?,
            other => f.write_char(other)?,
        }
    }
    Ok(())
}
