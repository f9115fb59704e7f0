//! What a client may send: no bytes make the reader panic, and what it reads can be written and read again.

#![no_main]

use doubletick_wire::{decode_client, encode_client};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(frame) = decode_client(bytes) {
        let mut again = Vec::new();
        encode_client(&frame, &mut again);
        assert_eq!(decode_client(&again), Ok(frame));
    }
});
