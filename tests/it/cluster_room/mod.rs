//! The cluster module against the API server in memory, through its real client: what it watches, joins, reads
//! uncached and writes, and what it says when the API server misbehaves.

mod scene;

mod access;
mod credentials;
mod fresh;
mod joins;
mod over_tcp;
mod real;
mod real_access;
mod siblings;
mod troubles;
mod versions;
mod watches;
mod writes;
