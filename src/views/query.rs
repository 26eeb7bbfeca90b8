//! Addresses with their parameters, for links that keep the filters of the page they stand on.

use std::fmt;

use url::form_urlencoded;

/// A path and its parameters. Empty values are left out, so links stay short.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Address {
    path: String,
    params: Vec<(String, String)>,
}

impl Address {
    /// An address on this server. The path's segments must have been encoded ([`segment`]).
    pub fn new(path: impl Into<String>) -> Self {
        Self { path: path.into(), params: Vec::new() }
    }

    /// Splits `path?query` (as a request carries it).
    pub fn parse(address: &str) -> Self {
        let (path, query) = address.split_once('?').unwrap_or((address, ""));
        let params = form_urlencoded::parse(query.as_bytes()).into_owned().collect();
        Self { path: path.to_owned(), params }
    }

    /// Sets a parameter; an empty value removes it.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl fmt::Display) -> Self {
        let value = value.to_string();
        self.params.retain(|(other, _)| other != name);
        if !value.is_empty() {
            self.params.push((name.to_owned(), value));
        }
        self
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.path)?;
        let query = form_urlencoded::Serializer::new(String::new()).extend_pairs(&self.params).finish();
        if query.is_empty() { Ok(()) } else { write!(f, "?{query}") }
    }
}

/// One segment of a path, percent-encoded.
pub fn segment(text: &str) -> String {
    form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>().replace('+', "%20")
}

/// The page of a service: `/services/{namespace}/{name}`.
pub fn service_path(namespace: &str, name: &str) -> String {
    format!("/services/{}/{}", segment(namespace), segment(name))
}
