//! A workload's pod template, as far as it is compared: its images, a fingerprint of its `spec`, and who wrote it last.

use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;
use sha2::{Digest, Sha256};

use crate::domain::istio::Anything;
use crate::domain::service::PodTemplate;

use super::json::PodSpec;
use super::meta::millis;
use super::words::Words;

/// Reads the template of a workload. What is strange about it leaves a part empty, and hides nothing else.
pub(super) fn read(json: &str, spec: &PodSpec<'_>, words: &Words) -> PodTemplate {
    let images: Vec<&str> =
        spec.init_containers.iter().chain(&spec.containers).map(|one| &*one.image.0).collect();
    let raw: Raw<'_> = serde_json::from_str(json).unwrap_or_default();
    let fingerprint = raw.spec.template.spec.map(|spec| fingerprint(spec.get())).unwrap_or_default();
    let writers: Writers = serde_json::from_str(json).unwrap_or_default();
    PodTemplate {
        images: words.get(&images.join(", ")),
        fingerprint: fingerprint.into(),
        manager: words.get(writers.latest()),
    }
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Raw<'a> {
    #[serde(borrow)]
    spec: RawSpec<'a>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct RawSpec<'a> {
    #[serde(borrow)]
    template: RawTemplate<'a>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct RawTemplate<'a> {
    #[serde(borrow)]
    spec: Option<&'a RawValue>,
}

/// The same for the same values, in whatever order the fields came.
fn fingerprint(spec: &str) -> String {
    let mut text = String::new();
    match serde_json::from_str::<Value>(spec) {
        Ok(value) => write(&value, &mut text),
        Err(_) => text.push_str(spec),
    }
    hex::encode(&Sha256::digest(&text)[..8])
}

fn write(value: &Value, out: &mut String) {
    match value {
        Value::Object(map) => {
            let mut fields: Vec<(&String, &Value)> = map.iter().collect();
            fields.sort_by_key(|(name, _)| *name);
            out.push('{');
            for (name, value) in fields {
                out.push_str(&Value::from(name.as_str()).to_string());
                out.push(':');
                write(value, out);
                out.push(',');
            }
            out.push('}');
        }
        Value::Array(all) => {
            out.push('[');
            for value in all {
                write(value, out);
                out.push(',');
            }
            out.push(']');
        }
        plain => out.push_str(&plain.to_string()),
    }
}

/// `metadata.managedFields`: of the fields only whether the template is among them.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Writers {
    metadata: Metadata,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Metadata {
    managed_fields: Vec<Writer>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Writer {
    manager: String,
    time: Option<String>,
    #[serde(rename = "fieldsV1")]
    fields: Fields,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Fields {
    #[serde(rename = "f:spec")]
    spec: SpecFields,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct SpecFields {
    #[serde(rename = "f:template")]
    template: Option<Anything>,
}

impl Writers {
    /// Who wrote the template last. Times are whole seconds: of two in the same second it is not this program, because
    /// it is asked only of changes that were not made here.
    fn latest(&self) -> &str {
        let all = self.metadata.managed_fields.iter().filter(|one| one.fields.spec.template.is_some());
        let last = all.max_by_key(|one| {
            (one.time.as_deref().map_or(i64::MIN, millis), one.manager != super::FIELD_MANAGER)
        });
        last.map_or("", |one| one.manager.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(json: &Value) -> PodTemplate {
        let text = json.to_string();
        let spec = json["spec"]["template"]["spec"].to_string();
        read(&text, &serde_json::from_str(&spec).unwrap(), &Words::default())
    }

    #[test]
    fn a_template_is_the_same_until_its_spec_is_another() {
        let workload = |image: &str, replicas: u32, stamp: &str| {
            serde_json::json!({
                "metadata": {"name": "a", "managedFields": [
                    {"manager": "sluice", "time": "2026-01-02T03:04:05Z", "fieldsV1": {"f:spec": {"f:template": {}}}},
                    {"manager": "kubectl-set", "time": "2026-01-02T03:04:05Z", "fieldsV1": {"f:spec": {"f:template": {}}}},
                    {"manager": "scaler", "time": "2026-01-03T03:04:05Z", "fieldsV1": {"f:spec": {"f:replicas": {}}}},
                ]},
                "spec": {"replicas": replicas, "template": {
                    "metadata": {"annotations": {"kubectl.kubernetes.io/restartedAt": stamp}},
                    "spec": {"initContainers": [{"name": "i", "image": "init:1"}], "containers": [{"name": "m", "image": image}]},
                }},
            })
        };
        let first = of(&workload("img:2", 1, "a"));
        assert_eq!((&*first.images, &*first.manager), ("init:1, img:2", "kubectl-set"));
        assert_eq!(first.fingerprint.len(), 16);
        assert_eq!(of(&workload("img:2", 3, "b")), first, "neither replicas nor a restart");
        assert_ne!(of(&workload("evil:666", 1, "a")).fingerprint, first.fingerprint);
    }

    #[test]
    fn the_order_of_fields_makes_no_difference_and_that_of_a_list_does() {
        assert_eq!(fingerprint(r#"{"a": {"b": 1, "c": [1, 2]}}"#), fingerprint(r#"{"a":{"c":[1,2],"b":1}}"#));
        assert_ne!(fingerprint(r#"{"c": [1, 2]}"#), fingerprint(r#"{"c": [2, 1]}"#));
    }
}
