//! The store: what is written is durable, ordered and provable; what is read is exactly what was asked.

mod damaged;
mod door_cases;
mod old_results;
mod opening;
mod other_version;
mod pages;
mod release_order;
mod revisions;
mod search;
mod sessions;
mod slots;
mod tampering;
mod trouble;
mod writing;

use std::path::PathBuf;

use sluice::clock::Clock;
use sluice::domain::actor::Channel;
use sluice::domain::audit::{Action, Details, EditRecord, Ending, Intent, Outcome, Written};
use sluice::domain::ids::{Kind, ObjectRef, ServiceRef};
use sluice::store::{Options, Revise, Store};
use sqlx::{Connection, SqliteConnection};

/// 2026-01-01T00:00:00Z.
pub const START: i64 = 1_767_225_600_000;

/// A store in a folder of its own, with a clock that stands still.
pub struct Home {
    folder: tempfile::TempDir,
    pub clock: Clock,
    pub store: Store,
}

impl Home {
    pub async fn new() -> Self {
        Self::with(Options::default()).await
    }

    pub async fn with(options: Options) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let clock = Clock::manual(START);
        let store = Store::open_with(&folder.path().join("sluice.db"), clock.clone(), options).await.unwrap();
        Self { folder, clock, store }
    }

    pub fn path(&self) -> PathBuf {
        self.folder.path().join("sluice.db")
    }

    pub fn beside(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// A connection of another process: the owner of the file, or an attacker.
    pub async fn stranger(&self) -> SqliteConnection {
        connect(&self.path()).await
    }

    /// Every byte of the database and of the files beside it.
    pub fn bytes(&self) -> Vec<u8> {
        let files = std::fs::read_dir(self.folder.path()).unwrap();
        files.flat_map(|file| std::fs::read(file.unwrap().path()).unwrap()).collect()
    }
}

pub async fn connect(path: &std::path::Path) -> SqliteConnection {
    let options = sqlx::sqlite::SqliteConnectOptions::new().filename(path);
    SqliteConnection::connect_with(&options).await.unwrap()
}

/// Does something to a file as its owner could, with the triggers put back afterwards.
pub async fn tamper(path: &std::path::Path, sql: &str) {
    let mut db = connect(path).await;
    let triggers: Vec<String> = sqlx::query_scalar("SELECT sql FROM sqlite_schema WHERE type = 'trigger'")
        .fetch_all(&mut db)
        .await
        .unwrap();
    let all = format!("PRAGMA foreign_keys = OFF; {NO_TRIGGERS} {sql}; {};", triggers.join(";"));
    sqlx::raw_sql(sqlx::AssertSqlSafe(all)).execute(&mut db).await.unwrap();
}

pub const NO_TRIGGERS: &str =
    "DROP TRIGGER audit_no_update; DROP TRIGGER audit_no_delete; DROP TRIGGER audit_in_order;
    DROP TRIGGER listing_no_update; DROP TRIGGER listing_no_delete;";

/// A request: 30/70 on `shop/reviews`.
pub fn intent(number: u32) -> Intent {
    Intent {
        change: format!("0198c0de-0000-7000-8000-{number:012}"),
        at_ms: START + i64::from(number),
        service: Some(ServiceRef::new("shop", "reviews")),
        actor: "ann".into(),
        groups: vec!["release-managers".into()],
        channel: Channel::Browser,
        address: Some("192.0.2.7".into()),
        action: Action::SetTraffic,
        reason: "v2 looks good".into(),
        request_id: format!("req-{number}"),
        details: Details {
            before: Some(vec![("v1".into(), 100), ("v2".into(), 0)]),
            after: Some(vec![("v1".into(), 30), ("v2".into(), 70)]),
            edits: vec![EditRecord {
                object: virtual_service(),
                before: Some(spec(0)),
                after: Some(spec(70)),
                resource_version_before: Some("7".into()),
                resource_version_after: None,
                written: Written::No,
            }],
            ..Details::default()
        },
    }
}

/// It was done (or ended otherwise), and this is what stands there now.
pub fn outcome(number: u32, ending: Ending) -> Outcome {
    let specs = vec![(virtual_service(), spec(number))];
    let details = Details { specs, ..Details::default() };
    Outcome { at_ms: START + i64::from(number) + 5, ending, revision: None, details }
}

pub fn next() -> Revise {
    Revise::Next { fingerprint: "f".into() }
}

pub fn virtual_service() -> ObjectRef {
    ObjectRef::new(Kind::VirtualService, "shop", "reviews")
}

pub fn spec(weight: u32) -> serde_json::Value {
    serde_json::json!({"hosts": ["reviews"], "http": [{"weight": weight, "mirrorPercentage": {"value": 33.3}}]})
}

/// Writes a change with intent and outcome; returns the entry's number.
pub async fn change(store: &Store, number: u32) -> i64 {
    let intent = intent(number);
    let id = store.intent(&intent).await.unwrap();
    store.outcome(id, &intent, &outcome(number, Ending::Applied), next()).await.unwrap().id
}
