//! Joins rows into a snapshot of one service. Called under the cache's read lock, once a service until something of
//! it changes; and by the fresh reading.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use crate::domain::ids::{Namespace, ServiceRef};
use crate::domain::service::ServiceFacts;
use crate::domain::snapshot::{Held, Mesh, OtherService, Snapshot};
use crate::domain::versions::{PodFacts, Pools, WorkloadFacts, group};

use super::routes::Ctx;
use super::rows::{PodMesh, PodRow, ServiceRow, WorkloadRow};
use super::state::{Entry, Shard, State};
use super::words::Word;

impl State {
    /// The snapshot of a service, joined again only when one of its objects changed.
    pub fn snapshot(&self, at: &ServiceRef) -> Option<Arc<Snapshot>> {
        let shard = self.namespaces.get(at.namespace.as_str())?;
        let entry = shard.services.get(&at.name)?;
        Some(Arc::clone(entry.joined.get_or_init(|| Arc::new(self.join(shard, entry)))))
    }

    fn join(&self, shard: &Shard, entry: &Entry) -> Snapshot {
        let row = &entry.row;
        let mut ready: HashSet<&Word> = HashSet::new();
        let mut lacking: HashMap<&Word, &Word> = HashMap::new();
        for slice in shard.slices_of.get(&row.name).into_iter().flatten() {
            match row.lacks(slice) {
                None => ready.extend(&slice.ready),
                Some(port) => lacking.extend(slice.ready.iter().map(|pod| (pod, port))),
            }
        }
        let mut pods: Vec<&Arc<PodRow>> = Vec::new();
        let mut workloads: Vec<&Arc<WorkloadRow>> = Vec::new();
        if let (Some(anchor), Some(selector)) = (&entry.anchor, row.chooses()) {
            pods.extend(shard.finder.pods(anchor, selector).filter(|pod| !pod.ended));
            workloads.extend(shard.finder.workloads(anchor, selector));
        }
        // The order in which events came must not show.
        pods.sort_by(|a, b| a.name.cmp(&b.name));
        workloads.sort_by(|a, b| (a.created_ms, &a.name, a.kind).cmp(&(b.created_ms, &b.name, b.kind)));

        let ambient = shard.row.as_ref().is_some_and(|namespace| namespace.ambient);
        let meshed = |pod: &&&Arc<PodRow>| match pod.mesh {
            PodMesh::In => true,
            PodMesh::Out => false,
            PodMesh::Unsaid => ambient,
        };
        let mesh = Mesh {
            installed: self.installed,
            cluster_domain: Arc::clone(&self.facts.domain),
            root_namespace: Arc::clone(&self.facts.root_namespace),
            meshed_pods: count(pods.iter().filter(meshed).count()),
            pods: count(pods.len()),
        };
        let workloads: Vec<WorkloadFacts> = workloads.into_iter().map(workload_facts).collect();
        let pods: Vec<PodFacts> = pods
            .into_iter()
            .map(|pod| pod_facts(pod, ready.contains(&pod.name), lacking.get(&pod.name)))
            .collect();
        let others = self.others(&row.namespace, &row.name);
        let virtual_services = self.routes.virtual_services_for(&row.namespace, &row.name, &self.facts.words);
        let destination_rules = self.routes.destination_rules_for(&row.namespace, &row.name);
        let service = service_facts(row);
        let (routes, rules) = (virtual_services.iter(), destination_rules.iter());
        let pools = Pools::of(&service.at, routes.map(AsRef::as_ref), rules.map(AsRef::as_ref));
        Snapshot {
            service,
            versions: group(&workloads, &pods, &self.facts.keys, &pools),
            virtual_services: virtual_services
                .into_iter()
                .map(|object| Held { object, json: None })
                .collect(),
            destination_rules: destination_rules
                .into_iter()
                .map(|object| Held { object, json: None })
                .collect(),
            others,
            mesh,
            taken: Vec::new(),
        }
    }
}

impl State {
    /// What is known of the Services that a service's routes name besides it.
    fn others(&self, namespace: &Word, name: &Word) -> Vec<OtherService> {
        let ctx = Ctx { domain: &self.facts.domain, words: &self.facts.words };
        let known = |(namespace, name): (Word, Word)| {
            let row = self.namespaces.get(&namespace).and_then(|shard| shard.services.get(&name));
            let facts = row.map(|entry| service_facts(&entry.row));
            let sure = facts.is_some() || self.known.has(&namespace, &name);
            let at = ServiceRef { namespace: Namespace::trusted(namespace), name };
            sure.then_some(OtherService { at, facts })
        };
        self.routes.others_of(namespace, name, &ctx).into_iter().filter_map(known).collect()
    }
}

/// Where a service is.
pub(super) fn service_ref(row: &ServiceRow) -> ServiceRef {
    ServiceRef { namespace: Namespace::trusted(row.namespace.clone()), name: row.name.clone() }
}

pub(super) fn service_facts(row: &ServiceRow) -> ServiceFacts {
    ServiceFacts {
        at: service_ref(row),
        uid: Arc::clone(&row.uid),
        shape: row.shape,
        ports: row.ports.to_vec(),
        selector: row.selector.to_labels(),
        deleting: row.deleting,
        export_to: row.export_to.clone(),
    }
}

fn workload_facts(row: &Arc<WorkloadRow>) -> WorkloadFacts {
    WorkloadFacts {
        kind: row.kind,
        name: row.name.clone(),
        created_ms: row.created_ms,
        image: row.image.clone(),
        wanted: row.wanted,
        selector: row.selector.clone(),
        pod_labels: row.pod_labels.clone(),
        going: row.going.clone(),
        template: row.template.clone(),
    }
}

fn pod_facts(row: &Arc<PodRow>, ready: bool, lacks: Option<&&Word>) -> PodFacts {
    PodFacts {
        name: row.name.clone(),
        labels: row.labels.clone(),
        ready,
        lacks: lacks.filter(|_| !ready).map(|port| Word::clone(port)),
        terminating: row.terminating,
        cause: row.cause.clone(),
        image: row.image.clone(),
        owner: row.owner.clone(),
    }
}

fn count(n: usize) -> u32 {
    u32::try_from(n).unwrap_or(u32::MAX)
}
