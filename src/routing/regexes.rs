//! Is a regular expression one that RE2 (Envoy) and Go (Istio's webhook) accept, with the same meaning?
//!
//! Rust's syntax is a close relative, so it is parsed by `regex-syntax` and everything in which the
//! relatives differ is refused. Strict on purpose: a refusal here is a sentence, a surprise in the proxy
//! is an outage. Source: <https://github.com/google/re2/wiki/Syntax>.

use std::ops::Range;

use regex_syntax::ast::{
    self, AssertionKind, Ast, ClassSetItem, FlagsItemKind, RepetitionKind, RepetitionRange,
};
use regex_syntax::hir::{Class, Hir, HirKind};

/// RE2's limit for one counted repetition, and for repetitions of repetitions together.
const MAX_REPEAT: u64 = 1000;
const DEPTH: u32 = 50;

/// `Err` says what is wrong.
pub fn re2(text: &str) -> Result<(), String> {
    let parsed = ast::parse::ParserBuilder::new().nest_limit(DEPTH).build().parse(text);
    let parsed = parsed.map_err(|error| error.kind().to_string())?;
    ast::visit(&parsed, Judge { text, repeats: Vec::new() })?;
    // Compiling finds what parsing does not: a range that is backwards, a class that does not exist.
    regex::Regex::new(text).map(|_| ()).map_err(|error| match error {
        regex::Error::CompiledTooBig(_) => "too big".to_owned(),
        _ => "not a regular expression".to_owned(),
    })
}

/// The expression in a form that cannot match the character `end`: `.` and negated classes leave it out.
/// `Err` when a literal, a range or a class of the expression asks for the character itself.
pub fn without(text: &str, end: char) -> Result<String, String> {
    let parsed = ast::parse::ParserBuilder::new().nest_limit(DEPTH).build().parse(text);
    let parsed = parsed.map_err(|error| error.kind().to_string())?;
    let edits = ast::visit(&parsed, Narrow { text, end, edits: Vec::new() })?;
    let mut out = String::with_capacity(text.len() + edits.len() * 2);
    let mut done = 0;
    for (span, with) in edits {
        out.push_str(&text[done..span.start]);
        out.push_str(&with);
        done = span.end;
    }
    out.push_str(&text[done..]);
    let hir = regex_syntax::Parser::new().parse(&out).map_err(|_| "not a regular expression".to_owned())?;
    if can_match(&hir, end) { Err(format!("matches {end}")) } else { Ok(out) }
}

/// True when some match of the expression contains the character.
fn can_match(hir: &Hir, c: char) -> bool {
    match hir.kind() {
        HirKind::Empty | HirKind::Look(_) => false,
        HirKind::Literal(literal) => std::str::from_utf8(&literal.0).map_or(true, |text| text.contains(c)),
        HirKind::Class(Class::Unicode(class)) => {
            class.ranges().iter().any(|range| (range.start()..=range.end()).contains(&c))
        }
        HirKind::Class(Class::Bytes(class)) => {
            class.ranges().iter().any(|range| (range.start()..=range.end()).contains(&(c as u8)))
        }
        HirKind::Repetition(repetition) => can_match(&repetition.sub, c),
        HirKind::Capture(capture) => can_match(&capture.sub, c),
        HirKind::Concat(parts) | HirKind::Alternation(parts) => parts.iter().any(|part| can_match(part, c)),
    }
}

/// Collects the replacements that leave one character out, in the order of the text.
struct Narrow<'t> {
    text: &'t str,
    end: char,
    edits: Vec<(Range<usize>, String)>,
}

impl Narrow<'_> {
    fn replace(&mut self, span: &ast::Span, with: String) {
        self.edits.push((span.start.offset..span.end.offset, with));
    }

    fn source(&self, span: &ast::Span) -> &str {
        self.text.get(span.start.offset..span.end.offset).unwrap_or_default()
    }
}

impl ast::Visitor for Narrow<'_> {
    type Output = Vec<(Range<usize>, String)>;
    type Err = String;

    fn finish(self) -> Result<Self::Output, String> {
        Ok(self.edits)
    }

    fn visit_pre(&mut self, ast: &Ast) -> Result<(), String> {
        let end = self.end;
        match ast {
            Ast::Dot(span) => self.replace(span, format!("[^{end}]")),
            Ast::ClassPerl(class) if class.negated => {
                let positive = self.source(&class.span).to_lowercase();
                self.replace(&class.span, format!("[^{end}{positive}]"));
            }
            Ast::ClassUnicode(class) if class.negated => {
                let positive = self.source(&class.span).replacen('P', "p", 1);
                self.replace(&class.span, format!("[^{end}{positive}]"));
            }
            Ast::ClassBracketed(class) if class.negated => {
                let source = self.source(&class.span);
                let inner = source.strip_prefix("[^").and_then(|rest| rest.strip_suffix(']'));
                // Never beside a `-` or before a leading `]`: that would be another class.
                let with = match inner {
                    Some(inner) if !inner.starts_with(['-', ']']) => Some(format!("[^{end}{inner}]")),
                    Some(inner) if !inner.ends_with('-') => Some(format!("[^{inner}{end}]")),
                    _ => None,
                };
                if let Some(with) = with.filter(|_| inner.is_some_and(|inner| !inner.contains(end))) {
                    self.replace(&class.span, with);
                }
            }
            _ => {}
        }
        Ok(())
    }
}

struct Judge<'t> {
    text: &'t str,
    repeats: Vec<u64>,
}

impl Judge<'_> {
    fn source(&self, span: &ast::Span) -> &str {
        self.text.get(span.start.offset..span.end.offset).unwrap_or_default()
    }

    fn literal(literal: &ast::Literal) -> Result<(), String> {
        use ast::{HexLiteralKind, LiteralKind};
        match literal.kind {
            LiteralKind::HexFixed(HexLiteralKind::UnicodeShort | HexLiteralKind::UnicodeLong)
            | LiteralKind::HexBrace(HexLiteralKind::UnicodeShort | HexLiteralKind::UnicodeLong) => {
                Err("\\u is not known to RE2; write \\x{…}".to_owned())
            }
            _ => Ok(()),
        }
    }

    fn unicode(&self, class: &ast::ClassUnicode) -> Result<(), String> {
        use ast::ClassUnicodeKind;
        const SCRIPTS: [&str; 12] = [
            "Latin",
            "Greek",
            "Cyrillic",
            "Han",
            "Hiragana",
            "Katakana",
            "Hangul",
            "Arabic",
            "Hebrew",
            "Thai",
            "Devanagari",
            "Common",
        ];
        match &class.kind {
            ClassUnicodeKind::OneLetter(letter) if "LMNPSZC".contains(*letter) => Ok(()),
            ClassUnicodeKind::Named(name)
                if SCRIPTS.contains(&name.as_str())
                    || (name.len() <= 2
                        && name.starts_with(['L', 'M', 'N', 'P', 'S', 'Z', 'C'])
                        && name.chars().skip(1).all(|c| c.is_ascii_lowercase())) =>
            {
                Ok(())
            }
            _ => Err(format!("class {} that RE2 may not know", self.source(&class.span))),
        }
    }
}

impl ast::Visitor for Judge<'_> {
    type Output = ();
    type Err = String;

    fn finish(self) -> Result<(), String> {
        Ok(())
    }

    fn visit_pre(&mut self, ast: &Ast) -> Result<(), String> {
        match ast {
            Ast::Flags(set) => flags(&set.flags),
            Ast::Group(group) => match &group.kind {
                ast::GroupKind::NonCapturing(said) => flags(said),
                ast::GroupKind::CaptureName { starts_with_p: false, .. } => {
                    Err("name a group with (?P<name>…)".to_owned())
                }
                _ => Ok(()),
            },
            Ast::Literal(literal) => Self::literal(literal),
            Ast::Assertion(assertion) => match assertion.kind {
                AssertionKind::StartLine
                | AssertionKind::EndLine
                | AssertionKind::StartText
                | AssertionKind::EndText
                | AssertionKind::WordBoundary
                | AssertionKind::NotWordBoundary => Ok(()),
                _ => Err(format!("{} is not known to RE2", self.source(&assertion.span))),
            },
            Ast::ClassUnicode(class) => self.unicode(class),
            Ast::Repetition(repetition) => {
                if matches!(
                    *repetition.ast,
                    Ast::Repetition(_) | Ast::Assertion(_) | Ast::Flags(_) | Ast::Empty(_)
                ) {
                    return Err("repetition of nothing or of a repetition".to_owned());
                }
                let most = match &repetition.op.kind {
                    RepetitionKind::Range(range) => {
                        let said = self.source(&repetition.op.span);
                        if said.contains(' ') || said.starts_with("{,") {
                            return Err(format!("{said} means something else to RE2"));
                        }
                        let (RepetitionRange::Exactly(most)
                        | RepetitionRange::AtLeast(most)
                        | RepetitionRange::Bounded(_, most)) = *range;
                        u64::from(most)
                    }
                    _ => 1,
                };
                let all = self.repeats.last().copied().unwrap_or(1).saturating_mul(most.max(1));
                if all > MAX_REPEAT {
                    return Err(format!("repeats more than {MAX_REPEAT} times"));
                }
                self.repeats.push(all);
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn visit_post(&mut self, ast: &Ast) -> Result<(), String> {
        if matches!(ast, Ast::Repetition(_)) {
            self.repeats.pop();
        }
        Ok(())
    }

    fn visit_class_set_item_pre(&mut self, item: &ClassSetItem) -> Result<(), String> {
        match item {
            ClassSetItem::Literal(literal) => Self::literal(literal),
            ClassSetItem::Range(range) => Self::literal(&range.start).and(Self::literal(&range.end)),
            ClassSetItem::Unicode(class) => self.unicode(class),
            ClassSetItem::Bracketed(_) => Err("[ inside a class; write \\[".to_owned()),
            _ => Ok(()),
        }
    }

    fn visit_class_set_binary_op_pre(&mut self, _: &ast::ClassSetBinaryOp) -> Result<(), String> {
        Err("&&, -- or ~~ inside a class".to_owned())
    }
}

fn flags(flags: &ast::Flags) -> Result<(), String> {
    for item in &flags.items {
        match item.kind {
            FlagsItemKind::Negation
            | FlagsItemKind::Flag(
                ast::Flag::CaseInsensitive
                | ast::Flag::MultiLine
                | ast::Flag::DotMatchesNewLine
                | ast::Flag::SwapGreed,
            ) => {}
            FlagsItemKind::Flag(_) => return Err("flag that RE2 does not know".to_owned()),
        }
    }
    Ok(())
}
