#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| (chappe_fuzz::target("requests").expect("a target").run)(data));
