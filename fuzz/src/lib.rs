//! The fuzz targets as plain functions; the binaries in `fuzz_targets` hand them libFuzzer's inputs.
//!
//! The same functions are compiled into a test of `comity-didcomm`, which replays the corpus.

pub mod targets;
