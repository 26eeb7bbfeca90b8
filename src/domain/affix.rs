//! Conditions that ask how a value ends or what it contains. Routing objects know no such operator: they are written
//! as RE2 expressions of one form and read back from exactly that form, so that another expression never changes
//! because a page showed it. Used by the rule form and by the words of rules.

use super::routing::{Condition, Op, Subject};

/// What is asked of the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Affix {
    /// The value ends with it.
    Suffix,
    /// The value contains it.
    Contains,
}

impl Affix {
    pub const ALL: [Self; 2] = [Self::Suffix, Self::Contains];

    /// The word of the form and of the catalogues.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Suffix => "suffix",
            Self::Contains => "contains",
        }
    }

    /// Reads the word of the form.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|affix| affix.as_str() == word)
    }

    /// The condition that asks it of a text, which is taken literally.
    pub fn condition(self, on: Subject, text: &str) -> Condition {
        let any = any(&on);
        let literal = escape(text);
        let value = match self {
            Self::Suffix => format!("{any}{literal}"),
            Self::Contains => format!("{any}{literal}{any}"),
        };
        Condition { on, op: Op::Regex, value }
    }

    /// What a condition asks, and of which text; `None` for all that [`Affix::condition`] does not write.
    pub fn of(condition: &Condition) -> Option<(Self, String)> {
        if condition.op != Op::Regex {
            return None;
        }
        let any = any(&condition.on);
        let inner = condition.value.strip_prefix(any)?;
        let (affix, literal) = match inner.strip_suffix(any) {
            Some(literal) => (Self::Contains, literal),
            None => (Self::Suffix, inner),
        };
        let text = unescape(literal).filter(|text| !text.is_empty())?;
        // One form only: `.*a\-b` stays the expression that it is.
        let same = affix.condition(condition.on.clone(), &text) == *condition;
        same.then_some((affix, text))
    }
}

/// Whatever stands beside the text. A cookie's value ends at `;`.
fn any(on: &Subject) -> &'static str {
    if matches!(on, Subject::Cookie(_)) { "[^;]*" } else { ".*" }
}

/// Characters that mean something in an expression of RE2.
const META: &str = r"\.+*?()|[]{}^$";

fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if META.contains(c) {
            out.push('\\');
        }
        out.push(c);
    }
    out
}

fn unescape(literal: &str) -> Option<String> {
    let mut out = String::with_capacity(literal.len());
    let mut chars = literal.chars();
    while let Some(c) = chars.next() {
        match c {
            '\\' => out.push(chars.next().filter(|next| META.contains(*next))?),
            c if META.contains(c) => return None,
            c => out.push(c),
        }
    }
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_text_is_matched_literally_and_read_back() {
        let texts = ["@gmail.com", "a", r"\", ".*", "[x]{2}", "a|b", "(?i)^$", "+1", "*", "名", "a-b&c~d#e"];
        for on in [Subject::Header("end-user".into()), Subject::Path, Subject::Cookie("tier".into())] {
            for text in texts {
                for affix in Affix::ALL {
                    let made = affix.condition(on.clone(), text);
                    assert_eq!(Affix::of(&made), Some((affix, text.to_owned())), "{made:?}");
                    let whole = regex::Regex::new(&format!("^(?:{})$", made.value)).unwrap();
                    assert!(whole.is_match(text) && whole.is_match(&format!("x{text}")), "{made:?}");
                    assert_eq!(whole.is_match(&format!("{text}~x")), affix == Affix::Contains, "{made:?}");
                    assert!(!whole.is_match("zzz"), "{made:?}");
                }
            }
        }
    }

    #[test]
    fn other_expressions_stay_expressions() {
        let on = || Subject::Header("end-user".into());
        for value in ["", ".*", ".*.*", "a.*", ".+a", ".*a|b", r".*a\-b", r".*a\d", ".*(a)", r".*a\", "^.*a$"]
        {
            assert_eq!(
                Affix::of(&Condition { on: on(), op: Op::Regex, value: value.into() }),
                None,
                "{value}"
            );
        }
        let exact = Condition { on: on(), op: Op::Exact, value: ".*a".into() };
        assert_eq!(Affix::of(&exact), None);
        let cookie = Condition { on: Subject::Cookie("t".into()), op: Op::Regex, value: ".*a".into() };
        assert_eq!(Affix::of(&cookie), None, "it could take the value of another cookie");
    }
}
