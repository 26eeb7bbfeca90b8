//! Stored JSON of another version: fields that this one does not know are not read, but kept when the row is
//! written again. A step back of the version, or an older replica beside a newer one, loses nothing that way.

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::StoreError;

/// Writes a value over what was stored before, with the unknown fields of that.
pub(super) fn over<T: Serialize + DeserializeOwned>(stored: &str, value: &T) -> Result<String, StoreError> {
    let mut new = serde_json::to_value(value)?;
    let (Ok(old), Ok(read)) = (serde_json::from_str::<Value>(stored), serde_json::from_str::<T>(stored))
    else {
        return Ok(new.to_string());
    };
    carry(&old, &serde_json::to_value(&read)?, &mut new);
    Ok(new.to_string())
}

/// Copies what is in `old` and was not read (is not in `read`) into `new`. Below the top only where nothing else
/// has changed: an unknown field of one step says nothing about another one in its place.
fn carry(old: &Value, read: &Value, new: &mut Value) {
    match (old, read, new) {
        (Value::Object(old), Value::Object(read), Value::Object(new)) => {
            for (name, value) in old {
                match (read.get(name), new.get_mut(name)) {
                    (None, None) => {
                        new.insert(name.clone(), value.clone());
                    }
                    (Some(read), Some(new)) if read == new => carry(value, read, new),
                    _ => {}
                }
            }
        }
        (Value::Array(old), Value::Array(read), Value::Array(new)) if old.len() == read.len() => {
            for ((old, read), new) in old.iter().zip(read).zip(new) {
                if read == new {
                    carry(old, read, new);
                }
            }
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;
    use serde_json::json;

    use super::*;

    #[derive(Serialize, Deserialize)]
    struct Wish {
        percent: u8,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        note: Option<String>,
        #[serde(default)]
        steps: Vec<Step>,
    }

    #[derive(Serialize, Deserialize)]
    struct Step {
        n: u8,
    }

    #[test]
    fn unknown_fields_survive_where_nothing_else_changed() {
        let stored = json!({"percent": 10, "note": "x", "later": {"a": 1}, "steps": [{"n": 1, "pace": "slow"}, {"n": 2, "pace": "quick"}]});
        let new = Wish { percent: 20, note: None, steps: vec![Step { n: 1 }, Step { n: 3 }] };
        let written: Value = serde_json::from_str(&over(&stored.to_string(), &new).unwrap()).unwrap();
        // The list of steps is another one now; a note that was taken away does not come back.
        let expected = json!({"percent": 20, "later": {"a": 1}, "steps": [{"n": 1}, {"n": 3}]});
        assert_eq!(written, expected);
        let same = Wish { percent: 20, note: None, steps: vec![Step { n: 1 }, Step { n: 2 }] };
        let written: Value = serde_json::from_str(&over(&stored.to_string(), &same).unwrap()).unwrap();
        assert_eq!(written["steps"], stored["steps"]);
        assert_eq!(over("not json", &same).unwrap(), serde_json::to_string(&json!(same)).unwrap());
    }
}
