//! The pure heart: reading routing objects, planning edits. Tables and properties.

mod support;

mod weights;
