//! The demo: a Kubernetes API in memory, the sample applications in it, and traffic that obeys its objects.
//!
//! Started by `app` for `sluice demo`; the API server is also the cluster of the tests. Uses `domain` and `clock`
//! only: whatever Sluice does to this cluster, it does over the wire, as to any other.

pub mod api;
