//! The same list against a real API server: where the two differ, the one in memory lies.

use kube::Client;
use tokio::sync::Mutex;

use super::behaviours::{self, Harness, every_behaviour};
use crate::support::cluster::{Options, RealCluster};

/// One cluster for the whole list; one behaviour at a time, because some restart it.
static ONE_AT_A_TIME: Mutex<()> = Mutex::const_new(());

fn cluster() -> Option<&'static RealCluster> {
    static CLUSTER: std::sync::OnceLock<Option<RealCluster>> = std::sync::OnceLock::new();
    CLUSTER.get_or_init(|| RealCluster::start(Options::default())).as_ref()
}

struct Real(&'static RealCluster);

impl Harness for Real {
    async fn admin(&self) -> Client {
        self.0.client("admin").await
    }

    async fn compact(&self) {
        // The API server remembers recent events itself, so it forgets only when it starts anew.
        self.0.expire().await;
    }
}

macro_rules! run_on_the_real_one {
    ($($room:ident :: $name:ident)*) => {
        $(
            #[tokio::test]
            async fn $name() {
                let _alone = ONE_AT_A_TIME.lock().await;
                let Some(cluster) = cluster() else { return };
                behaviours::$room::$name(&Real(cluster)).await;
            }
        )*
    };
}

every_behaviour!(run_on_the_real_one);
