//! The same list against a real API server: where the two differ, the one in memory lies.

use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};
use serde_json::json;
use tokio::sync::Mutex;

use super::behaviours::{self, Harness, Scene, every_behaviour};
use crate::support::cluster::{Options, RealCluster};
use crate::support::wait_for;

const RBAC: &str = "apis/rbac.authorization.k8s.io/v1";

/// One cluster for the whole list; one behaviour at a time, because some restart it.
static ONE_AT_A_TIME: Mutex<()> = Mutex::const_new(());

fn cluster() -> Option<&'static RealCluster> {
    static CLUSTER: std::sync::OnceLock<Option<RealCluster>> = std::sync::OnceLock::new();
    CLUSTER.get_or_init(|| RealCluster::start(Options::default())).as_ref()
}

struct Real(&'static RealCluster);

impl Harness for Real {
    async fn client(&self, token: &str) -> Client {
        let file = Kubeconfig::read_from(self.0.kubeconfig("admin")).unwrap();
        let mut config = Config::from_custom_kubeconfig(file, &KubeConfigOptions::default()).await.unwrap();
        config.auth_info.token = Some(token.to_owned().into());
        Client::try_from(config).unwrap()
    }

    fn token(&self, person: &str) -> String {
        self.0.token(person).to_owned()
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
        let allowed =
            json!({"verbs": verbs, "apiGroups": [group], "resources": [resource], "resourceNames": names});
        let role = json!({
            "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role",
            "metadata": {"generateName": "behaviour-"}, "rules": [allowed],
        });
        let made = scene.post(&scene.path(RBAC, "roles"), role).await;
        assert_eq!(made.code, 201, "{made:?}");
        let binding = json!({
            "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding",
            "metadata": {"generateName": "behaviour-"},
            "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": person}],
            "roleRef": {
                "apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": made.body["metadata"]["name"],
            },
        });
        let made = scene.post(&scene.path(RBAC, "rolebindings"), binding).await;
        assert_eq!(made.code, 201, "{made:?}");
        // The authoriser reads its own cache: wait until it knows.
        let verb = verbs[0];
        let review = json!({
            "kind": "SubjectAccessReview", "apiVersion": "authorization.k8s.io/v1",
            "spec": {"user": person, "resourceAttributes": {
                "verb": verb, "group": group, "resource": resource, "namespace": scene.namespace,
                "name": names.first().unwrap_or(&""),
            }},
        });
        wait_for("the right is known", async || {
            let asked =
                scene.post("/apis/authorization.k8s.io/v1/subjectaccessreviews", review.clone()).await;
            (asked.body["status"]["allowed"] == true).then_some(())
        })
        .await;
    }

    async fn compact(&self) {
        // The API server remembers recent events itself, so it forgets only when it restarts.
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
