//! What may be handed in as a token or a secret: no text makes the reader panic, and no two texts are the same token.

#![no_main]

use doubletick_wire::{Token, parse_secret, secret_text};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    if let Ok(token) = Token::parse(text) {
        assert_eq!(token.to_text(), text);
    }
    if let Ok(secret) = parse_secret(text) {
        assert_eq!(secret_text(&secret), text);
    }
});
