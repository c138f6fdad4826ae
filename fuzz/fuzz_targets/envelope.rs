#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| (chappe_fuzz::target("envelope").expect("a target").run)(data));
