//! Tests of the whole crate that need its inside. Only compiled for tests.

mod wycheproof;
