//! The use cases. Each one: authorise → decide (pure) → record → act → announce.
//!
//! HTML and JSON call the same functions, so neither can hold a rule that the other lacks.

pub mod ask;
