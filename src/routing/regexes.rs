//! Is a regular expression one that RE2 (Envoy) and Go (Istio's webhook) accept, with the same meaning?
//!
//! Rust's syntax is a close relative, so it is parsed by `regex-syntax` and everything in which the
//! relatives differ is refused. Strict on purpose: a refusal here is a sentence, a surprise in the proxy
//! is an outage. Source: <https://github.com/google/re2/wiki/Syntax>.

use regex_syntax::ast::{
    self, AssertionKind, Ast, ClassSetItem, FlagsItemKind, RepetitionKind, RepetitionRange,
};

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
