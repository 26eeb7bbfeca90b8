//! What parameters of the API look like: for the document only. They are read by `extract` and the handlers.

use std::borrow::Cow;

use serde_json::{Value, json};
use utoipa::openapi::RefOr;
use utoipa::openapi::schema::{ObjectBuilder, Schema, Type};
use utoipa::{PartialSchema, ToSchema};

use crate::domain::audit::{Action, Ending};

macro_rules! shape {
    ($(#[$doc:meta])* $name:ident, $schema:expr) => {
        $(#[$doc])*
        pub struct $name;

        impl PartialSchema for $name {
            fn schema() -> RefOr<Schema> {
                $schema.into()
            }
        }

        impl ToSchema for $name {
            fn name() -> Cow<'static, str> {
                stringify!($name).into()
            }
        }
    };
}

fn text() -> ObjectBuilder {
    ObjectBuilder::new().schema_type(Type::String)
}

/// One of these words; an empty one counts as left out.
fn one_of(words: impl IntoIterator<Item = &'static str>) -> ObjectBuilder {
    let words: Vec<Value> = words.into_iter().map(Value::from).chain([json!("")]).collect();
    text().enum_values(Some(words))
}

fn matching(pattern: &str) -> ObjectBuilder {
    text().pattern(Some(pattern))
}

shape!(
    /// An RFC 1123 label: the name of a namespace or service.
    Name,
    matching("^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$").min_length(Some(1)).max_length(Some(63))
);
shape!(ObjectKind, text().enum_values(Some(["VirtualService", "DestinationRule"])));
shape!(
    /// An RFC 1123 subdomain: the name of a routing object.
    ObjectName,
    text().min_length(Some(1)).max_length(Some(253))
);
shape!(Show, one_of(["all", "releasing", "attention", "not_routable"]));
shape!(ReleaseShow, one_of(["all", "active", "attention", "done"]));
shape!(
    /// A release's number.
    ReleaseName,
    matching("^(R-)?[0-9]{1,18}$").examples([json!("R-1042")])
);
shape!(SessionScope, one_of(["own", "all"]));
shape!(
    /// A session's id.
    SessionName,
    matching("^[0-9a-f]{16}$").examples([json!("3f2a9c0d1b7e4455")])
);
shape!(
    /// A draft's id.
    DraftName,
    matching("^[A-Za-z0-9-]{1,64}$")
);
shape!(AuditShow, one_of(["changes", "all"]));
shape!(Sort, one_of(["worst", "name"]));
shape!(Format, one_of(["json", "csv"]));
shape!(ActionWord, one_of(Action::ALL.map(Action::as_str)));
shape!(ResultWord, one_of(Ending::ALL.map(Ending::as_str)));
shape!(
    /// Seconds of the metrics.
    Window,
    ObjectBuilder::new().schema_type(Type::Integer).enum_values(Some([60, 300, 3600]))
);
shape!(
    /// `namespace/name`.
    ServicePath,
    matching("^([a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?/[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?)?$")
);
shape!(
    /// A moment (RFC 3339) or a date.
    Moment,
    matching("^([0-9]{4}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])(T([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9]Z)?)?$")
);
shape!(
    /// A moment (RFC 3339).
    Instant,
    matching("^([0-9]{4}-(0[1-9]|1[0-2])-(0[1-9]|1[0-9]|2[0-8])T([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](\\.[0-9]{1,9})?Z)?$")
);
shape!(
    /// Words to look for.
    Words,
    text().max_length(Some(200))
);
shape!(
    /// A revision in quotes, as `ETag` says it.
    Tag,
    matching("^\"[0-9]{1,18}\"$").examples([json!("\"41\"")])
);
shape!(
    /// A key of the client's own choice.
    Key,
    matching("^[!-~]{1,128}$").examples([json!("0d8f4c0e-7d1f-4a55-9d2b-3c1f2f0d9a11")])
);
