//! The parts of Kubernetes objects that are parsed, as JSON has them: every field may be absent or null, texts are
//! borrowed. `parse` makes rows of them.

use std::borrow::Cow;
use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};

use super::words::{LabelSet, Words};

/// A text that is borrowed where the JSON has no escapes in it; anything but a text is empty.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Text<'a>(pub Cow<'a, str>);

impl<'de: 'a, 'a> Deserialize<'de> for Text<'a> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Reader;
        impl<'de> Visitor<'de> for Reader {
            type Value = Text<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a text")
            }
            fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Text<'de>, E> {
                Ok(Text(Cow::Borrowed(text)))
            }
            fn visit_str<E>(self, text: &str) -> Result<Text<'de>, E> {
                Ok(Text(Cow::Owned(text.to_owned())))
            }
            fn visit_unit<E>(self) -> Result<Text<'de>, E> {
                Ok(Text::default())
            }
        }
        from.deserialize_any(Reader)
    }
}

impl Text<'_> {
    /// The text, unless it is empty.
    pub fn some(&self) -> Option<&str> {
        (!self.0.is_empty()).then_some(&*self.0)
    }
}

/// A JSON object of texts, in the order in which they stand.
#[derive(Default)]
pub(super) struct Texts<'a>(Vec<(Text<'a>, Text<'a>)>);

impl<'de: 'a, 'a> Deserialize<'de> for Texts<'a> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Reader;
        impl<'de> Visitor<'de> for Reader {
            type Value = Texts<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object of texts")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Texts<'de>, A::Error> {
                let mut out = Vec::with_capacity(map.size_hint().unwrap_or(8));
                while let Some(entry) = map.next_entry()? {
                    out.push(entry);
                }
                Ok(Texts(out))
            }
            fn visit_unit<E>(self) -> Result<Texts<'de>, E> {
                Ok(Texts::default())
            }
        }
        from.deserialize_any(Reader)
    }
}

impl Texts<'_> {
    pub fn get(&self, key: &str) -> Option<&str> {
        self.0.iter().find(|(k, _)| k.0 == key).map(|(_, value)| &*value.0)
    }

    /// As the cache keeps them.
    pub fn kept(&self, words: &Words) -> LabelSet {
        words.labels(self.0.iter().map(|(key, value)| (words.get(&key.0), words.get(&value.0))).collect())
    }
}

fn null_as_default<'de, D: Deserializer<'de>, T: Default + Deserialize<'de>>(from: D) -> Result<T, D::Error> {
    Ok(Option::<T>::deserialize(from)?.unwrap_or_default())
}

/// Structs whose every field may be absent or null.
macro_rules! partial {
    ($($name:ident { $($field:ident: $ty:ty,)* })*) => {$(
        #[derive(Default, serde::Deserialize)]
        #[serde(default, rename_all = "camelCase", bound(deserialize = "'de: 'a"))]
        pub(super) struct $name<'a> {
            $(#[serde(borrow, deserialize_with = "null_as_default")] pub $field: $ty,)*
            #[serde(skip)] lifetime: std::marker::PhantomData<&'a ()>,
        }
    )*};
}

#[derive(Default, serde::Deserialize)]
pub(super) struct Nothing {}

#[derive(serde::Deserialize)]
#[serde(
    default,
    bound(deserialize = "'de: 'a, S: Default + Deserialize<'de>, T: Default + Deserialize<'de>")
)]
pub(super) struct Thing<'a, S, T> {
    #[serde(borrow)]
    pub metadata: Meta<'a>,
    #[serde(deserialize_with = "null_as_default")]
    pub spec: S,
    #[serde(deserialize_with = "null_as_default")]
    pub status: T,
}

impl<S: Default, T: Default> Default for Thing<'_, S, T> {
    fn default() -> Self {
        Self { metadata: Meta::default(), spec: S::default(), status: T::default() }
    }
}

partial! {
    Meta {
        namespace: Text<'a>,
        name: Text<'a>,
        uid: Text<'a>,
        creation_timestamp: Text<'a>,
        deletion_timestamp: Text<'a>,
        labels: Texts<'a>,
        annotations: Texts<'a>,
        owner_references: Vec<Owner<'a>>,
        finalizers: Vec<Text<'a>>,
    }
    Owner {
        kind: Text<'a>,
        name: Text<'a>,
        controller: Flag<'a>,
    }
    ServiceSpec {
        r#type: Text<'a>,
        cluster_i_p: Text<'a>,
        selector: Texts<'a>,
        ports: Vec<ServicePort<'a>>,
    }
    ServicePort {
        name: Text<'a>,
        protocol: Text<'a>,
        app_protocol: Text<'a>,
        port: Number<'a>,
        target_port: NameOrNumber<'a>,
    }
    SlicePort {
        name: Text<'a>,
    }
    TargetRef {
        kind: Text<'a>,
        name: Text<'a>,
    }
    Endpoint {
        conditions: Conditions<'a>,
        target_ref: TargetRef<'a>,
    }
    Conditions {
        ready: Flag<'a>,
        terminating: Flag<'a>,
    }
    Container {
        name: Text<'a>,
        image: Text<'a>,
    }
    PodSpec {
        containers: Vec<Container<'a>>,
        init_containers: Vec<Container<'a>>,
    }
    PodStatus {
        phase: Text<'a>,
        reason: Text<'a>,
        message: Text<'a>,
        conditions: Vec<PodCondition<'a>>,
        container_statuses: Vec<ContainerStatus<'a>>,
        init_container_statuses: Vec<ContainerStatus<'a>>,
    }
    PodCondition {
        r#type: Text<'a>,
        status: Text<'a>,
        reason: Text<'a>,
        message: Text<'a>,
    }
    ContainerStatus {
        state: ContainerState<'a>,
        last_state: ContainerState<'a>,
    }
    ContainerState {
        waiting: Because<'a>,
        terminated: Because<'a>,
    }
    Because {
        reason: Text<'a>,
        message: Text<'a>,
        exit_code: Signed<'a>,
    }
    WorkloadSpec {
        replicas: Number<'a>,
        selector: Selector<'a>,
        template: Template<'a>,
    }
    Selector {
        match_labels: Texts<'a>,
    }
    Template {
        metadata: Meta<'a>,
        spec: PodSpec<'a>,
    }
}

#[derive(Default)]
pub(super) struct Number<'a>(pub Option<u32>, std::marker::PhantomData<&'a ()>);

impl<'de> Deserialize<'de> for Number<'_> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        Ok(Self(Option::deserialize(from)?, std::marker::PhantomData))
    }
}

/// A target port: its name where it has one.
#[derive(Default)]
pub(super) struct NameOrNumber<'a>(pub Option<Cow<'a, str>>);

impl<'de: 'a, 'a> Deserialize<'de> for NameOrNumber<'a> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        Ok(Self(match Either::deserialize(from)? {
            Either::Name(name) => Some(name),
            Either::Other(_) => None,
        }))
    }
}

#[derive(serde::Deserialize)]
#[serde(untagged)]
enum Either<'a> {
    Name(#[serde(borrow)] Cow<'a, str>),
    Other(serde::de::IgnoredAny),
}

#[derive(Default)]
pub(super) struct Signed<'a>(pub Option<i32>, std::marker::PhantomData<&'a ()>);

impl<'de> Deserialize<'de> for Signed<'_> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        Ok(Self(Option::deserialize(from)?, std::marker::PhantomData))
    }
}

#[derive(Default)]
pub(super) struct Flag<'a>(pub Option<bool>, std::marker::PhantomData<&'a ()>);

impl<'de> Deserialize<'de> for Flag<'_> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        Ok(Self(Option::deserialize(from)?, std::marker::PhantomData))
    }
}

#[derive(Default, serde::Deserialize)]
#[serde(default)]
pub(super) struct SliceJson<'a> {
    #[serde(borrow)]
    pub metadata: Meta<'a>,
    #[serde(borrow, deserialize_with = "null_as_default")]
    pub endpoints: Vec<Endpoint<'a>>,
    #[serde(borrow, deserialize_with = "null_as_default")]
    pub ports: Vec<SlicePort<'a>>,
}
