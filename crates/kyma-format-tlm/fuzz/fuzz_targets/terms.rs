#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| kyma_format_tlm::fuzz::terms(input));
