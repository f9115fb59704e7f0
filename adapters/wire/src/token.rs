//! A device's token as text: what registration hands out and a person may have to copy.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use doubletick_core::id::{DeviceId, Secret, UserId};
use std::error::Error;
use std::fmt;

const PREFIX: &str = "dt1.";
/// User id, serial, secret.
const BYTES: usize = 8 + 2 + 32;

/// Which device, and the proof: everything that it needs to open a session.
///
/// As text it is `dt1.` and 56 characters of base64url (RFC 4648 §5, no padding) of the user id (8 bytes, big-endian), the serial
/// (2 bytes, big-endian) and the secret (32 bytes). One token has one text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Token {
    /// Whose it is.
    pub device: DeviceId,
    /// The proof; it does not show in debug output.
    pub secret: Secret,
}

/// The text is no token, or no secret. It does not say where it is wrong, because the text is a secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TokenError;

impl Token {
    /// The text. It is as secret as the secret: it belongs in no log, which is why this is not `Display`.
    pub fn to_text(&self) -> String {
        let mut bytes = [0; BYTES];
        bytes[..8].copy_from_slice(&self.device.user.0.to_be_bytes());
        bytes[8..10].copy_from_slice(&self.device.serial.to_be_bytes());
        bytes[10..].copy_from_slice(&self.secret.0);
        let mut text = String::from(PREFIX);
        URL_SAFE_NO_PAD.encode_string(bytes, &mut text);
        text
    }

    /// Reads the text, and nothing that differs from it in a single character.
    ///
    /// # Errors
    /// If it is not what [`Token::to_text`] writes, or names no device.
    pub fn parse(text: &str) -> Result<Self, TokenError> {
        let bytes: [u8; BYTES] = decode(text.strip_prefix(PREFIX).ok_or(TokenError)?)?;
        let (user, rest) = bytes.split_first_chunk::<8>().ok_or(TokenError)?;
        let (serial, secret) = rest.split_first_chunk::<2>().ok_or(TokenError)?;
        let serial = u16::from_be_bytes(*serial);
        if serial == 0 {
            return Err(TokenError);
        }
        let device = DeviceId { user: UserId(u64::from_be_bytes(*user)), serial };
        Ok(Self { device, secret: Secret(secret.try_into().map_err(|_| TokenError)?) })
    }
}

/// A secret alone, as a client proposes it at registration: 43 characters of base64url without padding.
pub fn secret_text(secret: &Secret) -> String {
    URL_SAFE_NO_PAD.encode(secret.0)
}

/// Reads what [`secret_text`] writes.
///
/// # Errors
/// If it is anything else.
pub fn parse_secret(text: &str) -> Result<Secret, TokenError> {
    decode(text).map(Secret)
}

/// The length of the text is checked first, so that no text is decoded into more than it may hold.
fn decode<const N: usize>(text: &str) -> Result<[u8; N], TokenError> {
    if text.len() != (N * 8).div_ceil(6) {
        return Err(TokenError);
    }
    let bytes = URL_SAFE_NO_PAD.decode(text).map_err(|_| TokenError)?;
    bytes.try_into().map_err(|_| TokenError)
}

impl fmt::Display for TokenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not a token of this server")
    }
}

impl Error for TokenError {}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn token(user: u64, serial: u16, secret: [u8; 32]) -> Token {
        Token { device: DeviceId { user: UserId(user), serial }, secret: Secret(secret) }
    }

    #[test]
    fn a_token_has_the_text_that_was_handed_out_before() {
        let text = "dt1.ASNFZ4mrze8AAgAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
        let token = token(0x0123_4567_89ab_cdef, 2, [0; 32]);
        assert_eq!(token.to_text(), text);
        assert_eq!(Token::parse(text), Ok(token));
    }

    #[test]
    fn nothing_but_the_exact_text_is_a_token() {
        let text = token(7, 1, [0xff; 32]).to_text();
        let standard_alphabet = text.replace('_', "/");
        let no_device = token(7, 0, [0xff; 32]).to_text();
        for wrong in [
            "",
            "dt1.",
            &text[1..],
            &text[4..],
            &text[..59],
            &format!("{text}A"),
            &format!("{text}="),
            &format!(" {text}"),
            &standard_alphabet,
            &no_device,
        ] {
            assert_eq!(Token::parse(wrong), Err(TokenError), "{wrong:?}");
        }
        assert_eq!(Token::parse(&text.replace("dt1", "dt2")), Err(TokenError));
    }

    #[test]
    fn a_secret_has_one_text() {
        let text = secret_text(&Secret([0; 32]));
        assert_eq!(text, "A".repeat(43));
        assert_eq!(parse_secret(&text), Ok(Secret([0; 32])));
        // The last character carries four bits of the secret; the two beneath must be zero.
        assert_eq!(parse_secret(&format!("{}B", &text[1..])), Err(TokenError));
    }

    #[test]
    fn the_secret_of_a_token_never_shows_in_a_log() {
        assert!(format!("{:?}", token(7, 1, [9; 32])).ends_with("secret: Secret(…) }"));
    }

    proptest! {
        #[test]
        fn every_token_is_read_back(user: u64, serial in 1u16.., secret: [u8; 32]) {
            let token = token(user, serial, secret);
            prop_assert_eq!(Token::parse(&token.to_text()), Ok(token));
            prop_assert_eq!(parse_secret(&secret_text(&token.secret)), Ok(token.secret));
        }

        #[test]
        fn what_reads_as_a_token_is_its_text(text in "dt1\\.[A-Za-z0-9_-]{55,57}") {
            if let Ok(token) = Token::parse(&text) {
                prop_assert_eq!(token.to_text(), text);
            }
        }
    }
}
