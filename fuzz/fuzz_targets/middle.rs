#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| (chappe_fuzz::target("middle").expect("a target").run)(data));
