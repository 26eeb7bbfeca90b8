//! The pure heart: reading routing objects, planning edits. Tables and properties.

mod support;

mod hosts;
mod lookup;
mod reaching;
mod reading;
mod shares;

mod findings;
mod fingerprint;
mod outcomes;
mod owners;
mod weird;

mod creating;
mod ports;
mod subsets;
mod weights;

mod conditions;
mod cookies;
mod lanes;
mod mirror;
mod regexes;
mod rules;

mod switch_back;
mod take_over;
mod taking;

mod checks;
mod diff;

mod properties;
mod worlds;
