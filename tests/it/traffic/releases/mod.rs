//! Releases with real requests: the known answers of the product, versions that are bad, and releases of every
//! strategy under load. Everything is asked of the running program by its REST API.

mod answers;
mod bad;
mod strategies;

use crate::support::manager::Manager;
use crate::support::mesh::Town;
use crate::support::served::Served;

fn manager<'a>(town: &'a Town<'_>, sluice: &'a Served) -> Manager<'a> {
    Manager { sluice, token: town.cluster.token("admin") }
}
