//! The list of behaviours against `demo::api`, through the real kube client.

use kube::Client;
use sluice::clock::Clock;
use sluice::demo::api::ApiServer;

use super::behaviours::{self, Harness, every_behaviour};

/// A server of its own for each behaviour.
struct InMemory(ApiServer);

impl InMemory {
    fn new() -> Self {
        Self(ApiServer::new(Clock::System))
    }
}

impl Harness for InMemory {
    async fn admin(&self) -> Client {
        Client::new(self.0.service(), "default")
    }

    async fn compact(&self) {
        self.0.compact();
    }
}

macro_rules! run_in_memory {
    ($($room:ident :: $name:ident)*) => {
        $(
            #[tokio::test]
            async fn $name() {
                behaviours::$room::$name(&InMemory::new()).await;
            }
        )*
    };
}

every_behaviour!(run_in_memory);
