//! The small shapes that all answers share: percents by version, checks, moments.

use std::borrow::Cow;

use jiff::Timestamp;
use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};
use utoipa::openapi::RefOr;
use utoipa::openapi::schema::{ObjectBuilder, Schema, Type};
use utoipa::{Number, PartialSchema, ToSchema};

use crate::domain::ids::VersionName;
use crate::domain::refusal;
use crate::domain::routing as words;
use crate::domain::split::MAX_VERSIONS;
use crate::views::lang::Lang;
use crate::views::text;

/// Whole percents by version.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Weights(pub words::Weights);

/// Percents by version, with one decimal.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Shares(pub Vec<(VersionName, f64)>);

impl Serialize for Weights {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let mut map = to.serialize_map(Some(self.0.len()))?;
        for (version, weight) in &self.0 {
            map.serialize_entry(version.as_str(), weight)?;
        }
        map.end()
    }
}

impl Serialize for Shares {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let mut map = to.serialize_map(Some(self.0.len()))?;
        for (version, share) in &self.0 {
            map.serialize_entry(version.as_str(), &rounded(*share, 1))?;
        }
        map.end()
    }
}

impl PartialSchema for Weights {
    fn schema() -> RefOr<Schema> {
        let percent = ObjectBuilder::new()
            .schema_type(Type::Integer)
            .minimum(Some(Number::Int(0)))
            .maximum(Some(Number::Int(100)));
        by_version(percent, "Whole percents by version.", serde_json::json!({"v1": 30, "v2": 70}))
    }
}

impl ToSchema for Weights {
    fn name() -> Cow<'static, str> {
        "Weights".into()
    }
}

impl PartialSchema for Shares {
    fn schema() -> RefOr<Schema> {
        let percent = ObjectBuilder::new()
            .schema_type(Type::Number)
            .minimum(Some(Number::Int(0)))
            .maximum(Some(Number::Int(100)));
        by_version(percent, "Percents by version, as observed.", serde_json::json!({"v1": 29.4, "v2": 70.6}))
    }
}

impl ToSchema for Shares {
    fn name() -> Cow<'static, str> {
        "Shares".into()
    }
}

fn by_version(percent: ObjectBuilder, description: &str, example: serde_json::Value) -> RefOr<Schema> {
    ObjectBuilder::new()
        .schema_type(Type::Object)
        .description(Some(description))
        .additional_properties(Some(Schema::from(percent.build())))
        .max_properties(Some(MAX_VERSIONS))
        .examples([example])
        .into()
}

/// A number with so many decimals, as it is shown; never NaN or infinite.
pub fn rounded(value: f64, decimals: i32) -> f64 {
    let scale = 10_f64.powi(decimals);
    let value = (value * scale).round() / scale;
    if value.is_finite() { value } else { 0.0 }
}

/// A moment as the API says it: RFC 3339, UTC.
pub fn moment(at_ms: i64) -> String {
    Timestamp::from_millisecond(at_ms).map(|at| format!("{at:.3}")).unwrap_or_default()
}

/// Something that was checked or found.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Check {
    /// Stable: programs decide by this.
    #[schema(value_type = String, example = "big_jump")]
    pub code: &'static str,
    /// `block` = refused; `acknowledge` = refused until the code stands in `ack`; `info`; `ok`.
    #[schema(value_type = String, example = "acknowledge")]
    pub severity: &'static str,
    /// The sentence, in the language of `Accept-Language` (en, zh).
    pub text: String,
}

impl Check {
    pub fn of(lang: Lang, check: &refusal::Check) -> Self {
        let text = text::check(lang, check).text.to_string();
        Self { code: check.code.as_str(), severity: check.severity.as_str(), text }
    }

    pub fn all(lang: Lang, checks: &[refusal::Check]) -> Vec<Self> {
        checks.iter().map(|check| Self::of(lang, check)).collect()
    }
}
