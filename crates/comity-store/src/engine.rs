//! The engines: what keeps the rows.
//!
//! What they are: one file each, judged by `tests/conformance.rs`. What they are not: the place
//! where a batch gets its meaning; that is `evaluate.rs`.

pub(crate) mod faulty;
pub(crate) mod fjall;
pub(crate) mod memory;
