//! The list of behaviours against `demo::api`, through the real kube client.

use kube::Client;
use sluice::clock::Clock;
use sluice::demo::api::{ApiServer, Person, Right};
use tower::ServiceExt as _;

use super::behaviours::{self, Harness, Scene, every_behaviour};

/// A server of its own for each behaviour.
struct InMemory(ApiServer);

impl InMemory {
    fn new() -> Self {
        let server = ApiServer::new(Clock::System);
        for (name, group) in
            [("admin", Some("system:masters")), ("amy", Some("release-managers")), ("vic", None)]
        {
            server.add_person(Person {
                token: format!("token-of-{name}"),
                name: name.to_owned(),
                groups: group.into_iter().map(str::to_owned).collect(),
                ..Person::default()
            });
        }
        Self(server)
    }
}

impl Harness for InMemory {
    async fn client(&self, token: &str) -> Client {
        let bearer = format!("Bearer {token}");
        let service = self.0.service().map_request(move |mut request: http::Request<kube::client::Body>| {
            request.headers_mut().insert("authorization", bearer.parse().unwrap());
            request
        });
        Client::new(service, "default")
    }

    fn token(&self, person: &str) -> String {
        format!("token-of-{person}")
    }

    async fn allow(
        &self,
        scene: &Scene,
        person: &str,
        verbs: &[&str],
        group: &str,
        resource: &str,
        names: &[&str],
    ) {
        let owned = |words: &[&str]| words.iter().map(|w| (*w).to_owned()).collect();
        self.0.grant(Right {
            subject: person.to_owned(),
            namespace: Some(scene.namespace.clone()),
            verbs: owned(verbs),
            groups: owned(&[group]),
            resources: owned(&[resource]),
            names: owned(names),
        });
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
