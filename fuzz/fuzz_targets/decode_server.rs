//! What a server may send: no bytes make the reader panic, and what it reads can be written and read again.

#![no_main]

use doubletick_wire::{decode_server, encode_server};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(frame) = decode_server(bytes) {
        let mut again = Vec::new();
        encode_server(&frame, &mut again);
        assert_eq!(decode_server(&again), Ok(frame));
    }
});
