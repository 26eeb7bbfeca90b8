//! A whole Sluice without interfaces: the sample cluster in memory behind the real client, a history in a
//! temporary folder, the use cases over both. No listener, no browser.

use std::sync::Arc;

use serde_json::Value;
use sluice::clock::Clock;
use sluice::cluster::{Cache, Cluster, Options, Target, client};
use sluice::demo::Demo;
use sluice::demo::api::ApiServer;
use sluice::domain::actor::{Actor, Channel, Identity};
use sluice::domain::audit::{Entry, Filter};
use sluice::domain::command::TrafficChange;
use sluice::domain::ids::{ServiceRef, VersionName};
use sluice::domain::overview::{Applied, Refused};
use sluice::domain::split::Split;
use sluice::metrics::{Metrics, Source};
use sluice::services::ask::{ChangeAsk, Wish};
use sluice::services::{Services, Settings};
use sluice::store::Store;
use tokio_util::sync::CancellationToken;

/// Where the history is: a temporary folder, or one that the test keeps.
type Folder = dyn AsRef<std::path::Path> + Send + Sync;

fn file_in(folder: &Folder) -> std::path::PathBuf {
    folder.as_ref().join("sluice.db")
}

pub struct House {
    pub api: ApiServer,
    pub cache: Cache,
    pub store: Store,
    pub services: Services,
    pub clock: Clock,
    folder: Arc<Folder>,
    stop: CancellationToken,
    settings: Settings,
    source: Option<Arc<dyn Source>>,
    /// Keeps the cluster's own loops going.
    pods: Option<Arc<tokio_util::sync::DropGuard>>,
}

impl Drop for House {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

impl House {
    /// The sample applications, everything ready.
    pub async fn new() -> Self {
        let clock = Clock::System;
        let (demo, _) = Demo::still(clock.clone(), 1);
        let folder: Arc<Folder> = Arc::new(tempfile::tempdir().unwrap());
        Self::on(demo.api, clock, folder, Settings::default(), None, None).await
    }

    /// The same with its history in a folder of the test's.
    pub async fn in_folder(folder: std::path::PathBuf) -> Self {
        let clock = Clock::System;
        let (demo, _) = Demo::still(clock.clone(), 1);
        Self::on(demo.api, clock, Arc::new(folder), Settings::default(), None, None).await
    }

    /// The same with pods that come and go, and figures from a source.
    pub async fn alive(source: Option<Arc<dyn Source>>, settings: Settings) -> Self {
        let clock = Clock::System;
        let (demo, controller) = Demo::still(clock.clone(), 1);
        let stop = CancellationToken::new();
        tokio::spawn(controller.run(stop.clone()));
        let folder: Arc<Folder> = Arc::new(tempfile::tempdir().unwrap());
        Self::on(demo.api, clock, folder, settings, source, Some(Arc::new(stop.drop_guard()))).await
    }

    /// The same by a clock that the test turns; pods are there already, and stay.
    pub async fn by_clock(clock: Clock, source: Option<Arc<dyn Source>>) -> Self {
        let (demo, _) = Demo::still(clock.clone(), 1);
        let folder: Arc<Folder> = Arc::new(tempfile::tempdir().unwrap());
        Self::on(demo.api, clock, folder, Settings::default(), source, None).await
    }

    /// The same on a demo that the test drives second by second.
    pub async fn of_demo(demo: &Demo, clock: Clock, source: Arc<dyn Source>) -> Self {
        let folder: Arc<Folder> = Arc::new(tempfile::tempdir().unwrap());
        Self::on(demo.api.clone(), clock, folder, Settings::default(), Some(source), None).await
    }

    async fn on(
        api: ApiServer,
        clock: Clock,
        folder: Arc<Folder>,
        settings: Settings,
        source: Option<Arc<dyn Source>>,
        pods: Option<Arc<tokio_util::sync::DropGuard>>,
    ) -> Self {
        let target = Target::InProcess(client::in_process(api.service()));
        let cluster =
            Cluster::connect(target, Options { clock: clock.clone(), ..Options::default() }).await.unwrap();
        let stop = CancellationToken::new();
        let cache = cluster.watch(stop.clone());
        // The tasks of one that has just ended hold the history's lock until they have ended, too.
        let file = file_in(&*folder);
        let open = async || Store::open(&file, clock.clone()).await.ok();
        let store = super::wait_for("the history is free", open).await;
        let metrics = Metrics::new(source.clone(), clock.clone());
        let services = Services::new(
            cluster.clone(),
            cache.clone(),
            store.clone(),
            metrics,
            clock.clone(),
            settings.clone(),
        );
        services.spawn(stop.clone());
        let house = Self { api, cache, store, services, clock, folder, stop, settings, source, pods };
        house.until("it is ready", async |house| house.services.ready().ok()).await;
        house
    }

    /// Ends this Sluice as a crash would (no task says goodbye) and starts another on the same cluster
    /// and history.
    pub async fn crash_and_restart(self) -> Self {
        let (api, clock, folder) = (self.api.clone(), self.clock.clone(), self.folder.clone());
        let (settings, source, pods) = (self.settings.clone(), self.source.clone(), self.pods.clone());
        self.stop.cancel();
        self.store.close().await;
        drop(self);
        Self::on(api, clock, folder, settings, source, pods).await
    }

    /// Another Sluice on the same cluster, with a history of its own.
    pub async fn beside(&self, settings: Settings) -> Self {
        let folder = Arc::new(tempfile::tempdir().unwrap());
        let (source, pods) = (self.source.clone(), self.pods.clone());
        Self::on(self.api.clone(), self.clock.clone(), folder, settings, source, pods).await
    }

    /// The Lease by which this Sluice tells others of itself.
    pub fn lease(&self) -> Option<Value> {
        self.api.get("Lease", "sluice", &format!("sluice-{}", self.store.id()))
    }

    /// The file of the history.
    pub fn history_file(&self) -> std::path::PathBuf {
        file_in(&*self.folder)
    }

    /// Asks until there is an answer, at most 60 s.
    pub async fn until<T>(&self, what: &str, ask: impl AsyncFn(&Self) -> Option<T>) -> T {
        super::wait_for(what, async || ask(self).await).await
    }

    /// Asks for a change on the newest revision.
    pub async fn change(&self, wish: Wish, at: &ServiceRef, ack: &[&str]) -> Result<Applied, Refused> {
        self.change_on(wish, at, ack, None).await
    }

    pub async fn change_on(
        &self,
        wish: Wish,
        at: &ServiceRef,
        ack: &[&str],
        expected: Option<u64>,
    ) -> Result<Applied, Refused> {
        let ask = ChangeAsk {
            service: at.clone(),
            wish,
            expected,
            reason: "REV-231".into(),
            ack: ack.iter().map(|code| (*code).to_owned()).collect(),
            request_id: "req-1".into(),
            preview_id: None,
        };
        self.services.apply(&anna(), ask).await
    }

    /// The history of a service, newest first.
    pub async fn history(&self, at: &ServiceRef) -> Vec<Entry> {
        let filter = Filter { service: Some(at.clone()), ..Filter::default() };
        self.services.entries(&anna(), &filter, None, 100).await.unwrap().items
    }

    /// The weights in the http route at `index` of an object, by subset.
    pub fn written(&self, namespace: &str, name: &str, index: usize) -> Vec<(String, i64)> {
        let object = self.api.get("VirtualService", namespace, name).unwrap();
        let route = object.pointer(&format!("/spec/http/{index}/route")).unwrap().as_array().unwrap();
        let weight = |to: &Value| to["weight"].as_i64().unwrap_or(-1);
        let subset = |to: &Value| to["destination"]["subset"].as_str().unwrap_or("").to_owned();
        route.iter().map(|to| (subset(to), weight(to))).collect()
    }

    /// Changes an object as somebody with kubectl would.
    pub fn edit_outside(&self, kind: &str, namespace: &str, name: &str, edit: impl FnOnce(&mut Value)) {
        let mut object = self.api.get(kind, namespace, name).unwrap();
        edit(&mut object);
        self.api.put_as(object, "kubectl-edit").unwrap();
    }
}

/// Somebody who may do everything.
pub fn anna() -> Actor {
    Actor { identity: Arc::new(Identity::local("anna")), channel: Channel::Api, address: None }
}

pub fn at(namespace: &str, name: &str) -> ServiceRef {
    ServiceRef::new(namespace, name)
}

/// "Set these weights on the default route."
pub fn weights(of: &[(&str, u8)]) -> Wish {
    let split = Split::new(of.iter().map(|(v, w)| (VersionName::from(*v), *w)).collect()).unwrap();
    Wish::Set(TrafficChange { weights: Some(split), ..TrafficChange::default() })
}
