//! Hands libFuzzer's inputs to the target `from_prior`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let _verdict = comity_fuzz::targets::run("from_prior", data);
});
