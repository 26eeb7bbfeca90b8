//! The demo: a Kubernetes API in memory, the sample applications in it, and traffic that obeys its objects.
//!
//! Started by `app` for `sluice demo`; the API server is also the cluster of the tests. Uses `domain` and `clock`
//! only: whatever Sluice does to this cluster, it does over the wire, as to any other.

pub mod api;

pub mod seed;

pub mod controller;
pub mod pods;
mod slices;

pub mod random;
pub mod router;
pub mod world;

use tokio_util::sync::CancellationToken;

use self::api::{ApiServer, Failure};
use self::controller::{Controller, Start};
use crate::clock::Clock;

/// The running demo.
#[derive(Clone)]
pub struct Demo {
    /// The cluster.
    pub api: ApiServer,
}

impl Demo {
    /// Fills a cluster with the sample applications, every pod that can be ready is, and keeps it going until
    /// `stop`. Must be called inside a tokio runtime.
    pub fn start(clock: Clock, stop: CancellationToken) -> Result<Self, Failure> {
        let api = ApiServer::new(clock.clone());
        let controller = populate(&api, clock)?;
        tokio::spawn(controller.run(stop));
        Ok(Self { api })
    }
}

/// Stores the sample applications with all their pods; the controller that is returned keeps them going.
pub fn populate(api: &ApiServer, clock: Clock) -> Result<Controller, Failure> {
    for seeded in seed::objects() {
        api.put_as(seeded.object, seeded.manager)?;
    }
    let mut controller = Controller::new(api.clone(), clock);
    controller.reconcile(Start::AlreadyUp);
    Ok(controller)
}
