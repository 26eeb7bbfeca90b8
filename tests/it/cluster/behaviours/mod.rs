//! What a cluster does, as one list. It runs against the API server in memory and against a real one
//! (`every_behaviour!` names all of them), so that the one in memory cannot lie.
//!
//! A behaviour gets a [`Harness`], makes a namespace of its own and asks over the wire. It must hold on any
//! conformant API server with Istio's CRDs.

pub mod clients;
pub mod pages;
pub mod reads;
pub mod refusals;
pub mod rights;
pub mod watches;
pub mod writes;

use std::time::Duration;

use futures::{Stream, StreamExt as _};
use http_body_util::BodyExt as _;
use kube::Client;
use kube::client::Body;
use serde_json::{Value, json};

/// An API server under test.
pub trait Harness {
    /// A client with this bearer token.
    async fn client(&self, token: &str) -> Client;

    /// The token of `admin` (who may do everything), `amy` (group `release-managers`) or `vic` (who may do nothing).
    fn token(&self, person: &str) -> String;

    /// Gives a user a right in the namespace of a scene, from now on; no names means all names.
    async fn allow(
        &self,
        scene: &Scene,
        person: &str,
        verbs: &[&str],
        group: &str,
        resource: &str,
        names: &[&str],
    );

    /// Makes the server forget its history: afterwards no earlier resourceVersion and no earlier continue token
    /// can be gone on with.
    async fn compact(&self);
}

/// Calls `$with` with the names of all behaviours.
macro_rules! every_behaviour {
    ($with:ident) => {
        $with! {
            reads::a_list_tells_its_kind_and_its_version
            reads::what_does_not_exist_is_a_status_not_found
            reads::a_list_is_of_one_namespace_or_of_all
            reads::label_selectors_choose
            reads::field_selectors_choose_by_name
            reads::metadata_alone_can_be_asked_for
            reads::discovery_tells_what_is_installed
            reads::a_list_can_ask_for_a_moment
            reads::a_method_that_a_resource_does_not_know_is_told_so
            pages::pages_show_the_moment_of_the_first
            pages::a_limit_counts_what_the_selector_lets_through
            pages::an_expired_page_is_gone_and_offers_to_go_on_at_the_present
            pages::a_large_list_arrives_whole_in_one_piece_and_in_pages
            watches::a_watch_goes_on_from_the_version_of_a_list
            watches::a_watch_resumes_without_gap_and_without_repetition
            watches::a_watch_without_a_version_begins_with_what_there_is
            watches::a_version_that_is_forgotten_ends_in_an_error_event
            watches::a_deletion_is_told_with_the_last_state_at_a_version_of_its_own
            watches::an_object_that_leaves_a_selector_is_told_as_deleted
            watches::a_watch_of_a_namespace_hears_of_no_other
            watches::a_write_that_changes_nothing_is_no_event
            watches::a_watch_ends_cleanly_after_its_timeout_and_bookmarks_come_before
            watches::no_bookmark_comes_unasked
            watches::a_streaming_list_closes_its_first_objects_with_a_bookmark
            watches::a_watch_that_contradicts_itself_is_refused
            clients::the_watcher_of_kube_follows_a_list
            clients::the_watcher_of_kube_follows_a_streaming_list
            clients::a_typed_client_reads_what_it_wrote
            writes::what_is_created_gets_its_identity
            writes::the_same_name_twice_is_refused
            writes::a_stale_put_is_a_conflict
            writes::a_put_without_a_version_is_refused_for_custom_resources_only
            writes::a_put_to_nothing_creates_some_kinds_only
            writes::a_dry_run_answers_and_leaves_nothing
            writes::the_generation_follows_the_spec
            writes::the_status_has_a_path_of_its_own
            writes::patches_change_what_they_name
            writes::a_deletion_keeps_its_preconditions
            writes::a_deletion_with_a_body_is_a_dry_run_only_by_its_body
            writes::finalizers_hold_an_object_back
            writes::managed_fields_tell_who_wrote_last
            writes::many_are_deleted_by_selector
            refusals::unknown_fields_are_dropped_with_a_warning
            refusals::strict_validation_refuses_unknown_fields
            refusals::wrong_types_are_refused
            refusals::rules_about_several_fields_are_kept
            refusals::a_null_is_a_field_left_out
            refusals::the_body_must_be_what_the_address_says
            refusals::names_have_rules
            refusals::a_namespace_must_exist_before_its_objects
            refusals::built_in_kinds_are_checked
            refusals::labels_and_annotations_have_rules
            writes::of_many_writes_of_one_version_one_wins
            watches::a_burst_of_writes_arrives_whole_and_in_order
            rights::without_a_valid_token_nothing_is_answered
            rights::what_nobody_allowed_is_forbidden_in_words
            rights::a_right_opens_what_it_names_and_no_more
            rights::a_token_review_tells_who_holds_a_token
            rights::an_access_review_answers_for_somebody_else
        }
    };
}
pub(crate) use every_behaviour;

/// An answer, taken whole.
#[derive(Debug)]
pub struct Answer {
    pub code: u16,
    pub warnings: Vec<String>,
    pub retry_after: Option<String>,
    pub text: String,
    pub body: Value,
}

/// A scene: a namespace of its own on a server, and raw requests.
pub struct Scene {
    pub client: Client,
    pub namespace: String,
}

pub const SERVICES: &str = "api/v1";
pub const ISTIO: &str = "apis/networking.istio.io/v1";

impl Scene {
    /// A fresh namespace.
    pub async fn new(harness: &impl Harness) -> Self {
        let client = harness.client(&harness.token("admin")).await;
        let body =
            json!({"kind": "Namespace", "apiVersion": "v1", "metadata": {"generateName": "behaviour-"}});
        let made = send(&client, "POST", "/api/v1/namespaces", Some(body)).await;
        assert_eq!(made.code, 201, "{made:?}");
        let namespace = made.body["metadata"]["name"].as_str().unwrap().to_owned();
        Self { client, namespace }
    }

    /// `/api/v1/namespaces/<own>/<rest>`, or below any other `root`.
    pub fn path(&self, root: &str, rest: &str) -> String {
        format!("/{root}/namespaces/{}/{rest}", self.namespace)
    }

    pub async fn get(&self, path: &str) -> Answer {
        send(&self.client, "GET", path, None).await
    }

    /// A GET with an `Accept` header of its own.
    pub async fn get_as(&self, path: &str, accept: &str) -> Answer {
        let mut asked = request("GET", path, "application/json", None);
        asked.headers_mut().insert("accept", accept.parse().unwrap());
        answer(self.client.send(asked).await.unwrap()).await.unwrap()
    }

    pub async fn post(&self, path: &str, body: Value) -> Answer {
        send(&self.client, "POST", path, Some(body)).await
    }

    pub async fn put(&self, path: &str, body: Value) -> Answer {
        send(&self.client, "PUT", path, Some(body)).await
    }

    pub async fn delete(&self, path: &str, body: Option<Value>) -> Answer {
        send(&self.client, "DELETE", path, body).await
    }

    /// A PATCH of the given media type.
    pub async fn patch(&self, path: &str, kind: &str, body: Value) -> Answer {
        send_as(&self.client, "PATCH", path, kind, Some(body)).await
    }

    /// Creates a VirtualService and returns it as stored.
    pub async fn virtual_service(&self, name: &str, weights: &[i64]) -> Value {
        let made = self.post(&self.path(ISTIO, "virtualservices"), virtual_service(name, weights)).await;
        assert_eq!(made.code, 201, "{made:?}");
        made.body
    }

    /// Creates a Service with labels and returns it as stored.
    pub async fn service(&self, name: &str, labels: Value) -> Value {
        let made = self.post(&self.path(SERVICES, "services"), service(name, labels)).await;
        assert_eq!(made.code, 201, "{made:?}");
        made.body
    }

    /// Opens a watch and fails the behaviour when the server refuses it.
    pub async fn watch(&self, path: &str) -> Watch {
        Watch::open(&self.client, path).await
    }
}

/// One request, its answer taken whole.
pub async fn send(client: &Client, method: &str, path: &str, body: Option<Value>) -> Answer {
    send_as(client, method, path, "application/json", body).await
}

/// [`send`], for when there may be no answer.
pub async fn try_send(
    client: &Client,
    method: &str,
    path: &str,
    body: Option<Value>,
) -> Result<Answer, kube::Error> {
    answer(client.send(request(method, path, "application/json", body)).await?).await
}

async fn send_as(client: &Client, method: &str, path: &str, kind: &str, body: Option<Value>) -> Answer {
    answer(client.send(request(method, path, kind, body)).await.unwrap()).await.unwrap()
}

async fn answer(response: http::Response<Body>) -> Result<Answer, kube::Error> {
    let (parts, body) = response.into_parts();
    let bytes = body.collect().await?.to_bytes();
    let text = String::from_utf8(bytes.to_vec()).unwrap();
    let warnings = parts.headers.get_all("warning").iter();
    Ok(Answer {
        code: parts.status.as_u16(),
        warnings: warnings.map(|w| w.to_str().unwrap().to_owned()).collect(),
        retry_after: parts.headers.get("retry-after").map(|v| v.to_str().unwrap().to_owned()),
        body: serde_json::from_str(&text).unwrap_or_default(),
        text,
    })
}

fn request(method: &str, path: &str, kind: &str, body: Option<Value>) -> http::Request<Body> {
    let bytes = body.map(|b| b.to_string().into_bytes()).unwrap_or_default();
    http::Request::builder()
        .method(method)
        .uri(path)
        .header("accept", "application/json")
        .header("content-type", kind)
        .header("user-agent", "behaviours/1.0")
        .body(Body::from(bytes))
        .unwrap()
}

/// An open watch.
pub struct Watch {
    chunks: std::pin::Pin<Box<dyn Stream<Item = Result<Vec<u8>, kube::Error>> + Send>>,
    buffer: Vec<u8>,
}

/// Long enough for a busy machine; nothing waits this long unless it fails.
const PATIENCE: Duration = Duration::from_secs(20);

impl Watch {
    /// Opens a watch, which must not be refused.
    pub async fn open(client: &Client, path: &str) -> Self {
        let response = client.send(request("GET", path, "application/json", None)).await.unwrap();
        assert_eq!(response.status(), 200, "{path}");
        let chunks = response.into_body().into_data_stream().map(|chunk| chunk.map(|b| b.to_vec()));
        Self { chunks: chunks.boxed(), buffer: Vec::new() }
    }

    /// The next event; `None` when the server has ended the watch.
    pub async fn next(&mut self) -> Option<Value> {
        loop {
            if let Some(end) = self.buffer.iter().position(|b| *b == b'\n') {
                let line: Vec<u8> = self.buffer.drain(..=end).collect();
                return Some(serde_json::from_slice(&line).unwrap());
            }
            let chunk = tokio::time::timeout(PATIENCE, self.chunks.next()).await;
            let chunk = chunk.expect("no event and no end of the watch")?;
            self.buffer.extend(chunk.expect("the watch broke"));
        }
    }

    /// Whether the connection breaks instead of ending.
    pub async fn broken(&mut self) -> bool {
        matches!(tokio::time::timeout(PATIENCE, self.chunks.next()).await, Ok(Some(Err(_))))
    }

    /// The next event that is not a bookmark, as `(type, name)`.
    pub async fn change(&mut self) -> (String, String) {
        loop {
            let event = self.next().await.expect("the watch ended");
            if event["type"] != "BOOKMARK" {
                let text = |v: &Value| v.as_str().unwrap_or_default().to_owned();
                return (text(&event["type"]), text(&event["object"]["metadata"]["name"]));
            }
        }
    }
}

/// A VirtualService with one http route to subsets v1, v2, …
pub fn virtual_service(name: &str, weights: &[i64]) -> Value {
    let route: Vec<Value> = weights
        .iter()
        .zip(1..)
        .map(
            |(weight, n)| json!({"destination": {"host": name, "subset": format!("v{n}")}, "weight": weight}),
        )
        .collect();
    json!({
        "apiVersion": "networking.istio.io/v1",
        "kind": "VirtualService",
        "metadata": {"name": name},
        "spec": {"hosts": [name], "http": [{"route": route}]},
    })
}

/// A Service.
pub fn service(name: &str, labels: Value) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name, "labels": labels},
        "spec": {"selector": {"app": name}, "ports": [{"name": "http", "port": 9080}]},
    })
}

/// The resourceVersion of an object or a list.
pub fn version(object: &Value) -> String {
    object["metadata"]["resourceVersion"].as_str().unwrap_or_default().to_owned()
}

/// The names of a list's items.
pub fn names(list: &Value) -> Vec<&str> {
    list["items"].as_array().unwrap().iter().map(|i| i["metadata"]["name"].as_str().unwrap()).collect()
}
