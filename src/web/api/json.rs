//! JSON as it was sent: with keys that stand twice, and not nested without bound. `serde_json::Value` would
//! silently keep the last of two keys; a client that sends `{"v1": 30, "v1": 70}` gets an error.

use std::fmt;

use serde::de::{Deserialize, DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};

/// How deep a body may nest.
const DEPTH: u8 = 32;
/// Entries of one list or object. Known lists have lower limits with a code of their own.
const ENTRIES: usize = 4_096;

/// One value.
#[derive(Clone, Debug, PartialEq)]
pub enum Node {
    Null,
    Bool(bool),
    /// A whole number as it stands, as far as 64 bits reach.
    Whole(i128),
    Number(f64),
    Text(String),
    List(Vec<Node>),
    /// In the order of the text; keys may repeat.
    Object(Vec<(String, Node)>),
}

/// Reads a body; the error says what is wrong and where.
pub fn parse(body: &[u8]) -> Result<Node, String> {
    let mut reader = serde_json::Deserializer::from_slice(body);
    let node = Level(DEPTH).deserialize(&mut reader).map_err(|error| error.to_string())?;
    reader.end().map_err(|error| error.to_string())?;
    Ok(node)
}

/// A value at most this deep.
struct Level(u8);

impl<'de> DeserializeSeed<'de> for Level {
    type Value = Node;

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<Node, D::Error> {
        from.deserialize_any(self)
    }
}

impl Level {
    fn deeper<E: Error>(&self) -> Result<u8, E> {
        self.0.checked_sub(1).ok_or_else(|| E::custom(format!("nested deeper than {DEPTH}")))
    }
}

impl<'de> Visitor<'de> for Level {
    type Value = Node;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Node, E> {
        Ok(Node::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Node, E> {
        Ok(Node::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Node, E> {
        Ok(Node::Whole(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Node, E> {
        Ok(Node::Whole(value.into()))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Node, E> {
        Ok(Node::Number(value))
    }

    fn visit_str<E>(self, value: &str) -> Result<Node, E> {
        Ok(Node::Text(value.to_owned()))
    }

    fn visit_string<E>(self, value: String) -> Result<Node, E> {
        Ok(Node::Text(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Node, A::Error> {
        let depth = self.deeper()?;
        let mut list = Vec::new();
        while let Some(item) = items.next_element_seed(Level(depth))? {
            fits(list.len())?;
            list.push(item);
        }
        Ok(Node::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Node, A::Error> {
        let depth = self.deeper()?;
        let mut object = Vec::new();
        while let Some(Key(key)) = entries.next_key()? {
            fits(object.len())?;
            object.push((key, entries.next_value_seed(Level(depth))?));
        }
        Ok(Node::Object(object))
    }
}

fn fits<E: Error>(entries: usize) -> Result<(), E> {
    if entries < ENTRIES {
        Ok(())
    } else {
        Err(E::custom(format!("more than {ENTRIES} entries in one place")))
    }
}

struct Key(String);

impl<'de> Deserialize<'de> for Key {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        String::deserialize(from).map(Key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_keys_that_stand_twice_in_their_order() {
        let node = parse(br#"{"v1": 30, "v1": 70, "a": null}"#).unwrap();
        let key = |name: &str, value| (name.to_owned(), value);
        let expected = vec![key("v1", Node::Whole(30)), key("v1", Node::Whole(70)), key("a", Node::Null)];
        assert_eq!(node, Node::Object(expected));
    }

    #[test]
    fn refuses_what_is_no_json_or_too_deep() {
        let nested = |n: usize| format!("{}{}", "[".repeat(n), "]".repeat(n));
        assert!(parse(nested(32).as_bytes()).is_ok());
        for bad in ["", "{", "NaN", r#"{"a": NaN}"#, "{} {}", "\u{feff}{}", &nested(33), &nested(10_000)] {
            assert!(parse(bad.as_bytes()).is_err(), "{bad}");
        }
        assert!(parse(b"\"\xff\"").is_err(), "no UTF-8");
        for n in [ENTRIES, ENTRIES + 1] {
            let (list, object) = (vec!["1"; n].join(","), vec!["\"a\": 1"; n].join(","));
            assert_eq!(parse(format!("[{list}]").as_bytes()).is_ok(), n == ENTRIES);
            assert_eq!(parse(format!("{{{object}}}").as_bytes()).is_ok(), n == ENTRIES);
        }
    }

    #[test]
    fn tells_whole_numbers_from_others() {
        for (text, node) in [
            ("-1", Node::Whole(-1)),
            ("18446744073709551615", Node::Whole(u64::MAX.into())),
            ("1e9", Node::Number(1e9)),
            ("12.5", Node::Number(12.5)),
            ("\"50\"", Node::Text("50".into())),
        ] {
            assert_eq!(parse(text.as_bytes()), Ok(node), "{text}");
        }
    }
}
