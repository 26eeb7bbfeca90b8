//! Where the demo's proxies send a request: Istio's rules, one table an area.

mod delegates;
mod gateways;
mod layer4;
mod matching;
mod selection;
mod subsets;
pub mod support;
mod weights;
