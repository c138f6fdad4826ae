#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| (chappe_fuzz::target("tl_decode").expect("a target").run)(data));
