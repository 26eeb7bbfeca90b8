//! JSON with exactly the fields that a type has. What comes from outside is read by this; what the store holds is
//! not: there a field that this version does not know is left out, and kept (see `store::kept`).

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

/// Reads a value, and refuses a field that its type does not have. Fields of conditions (`when`) are not looked at.
pub fn exactly<T: DeserializeOwned + Serialize>(value: &Value) -> Result<T, String> {
    let read: T = serde_json::from_value(value.clone()).map_err(|error| error.to_string())?;
    let again = serde_json::to_value(&read).map_err(|error| error.to_string())?;
    match unknown(value, &again, "") {
        Some(path) => Err(format!("unknown field `{path}`")),
        None => Ok(read),
    }
}

/// The path of the first field that was not read. One without a value may be a field that is left out when it is
/// written.
fn unknown(given: &Value, read: &Value, path: &str) -> Option<String> {
    let below = |name: &str| if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") };
    match (given, read) {
        (Value::Object(given), Value::Object(read)) => {
            given.iter().find_map(|(name, value)| match read.get(name) {
                Some(_) if name == "when" => None,
                Some(read) => unknown(value, read, &below(name)),
                None => (!is_empty(value)).then(|| below(name)),
            })
        }
        (Value::Array(given), Value::Array(read)) => given
            .iter()
            .zip(read)
            .enumerate()
            .find_map(|(at, (given, read))| unknown(given, read, &below(&at.to_string()))),
        _ => None,
    }
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Array(list) => list.is_empty(),
        _ => false,
    }
}
