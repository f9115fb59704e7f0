//! Registration: a phone number, a code that is sent to it, a token.

use std::net::IpAddr;

use doubletick_core::command::{Command, Reply, code_digest};
use doubletick_core::id::{Phone, Secret, UserId};
use doubletick_core::limits;
use doubletick_core::reject::Reject;
use doubletick_store::Store;
use doubletick_wire::{Token, parse_secret};
use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming;
use hyper::{Request, StatusCode};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::answer::{self, Answer, Error};
use super::execute;
use crate::seam;
use crate::server::Shared;

/// Bytes of a body.
const BODY_BYTES: usize = 4096;

/// Digits of a verification code.
const DIGITS: usize = 6;

#[derive(Deserialize)]
struct Registering {
    phone: String,
}

#[derive(Serialize)]
struct CodeSent {
    digits: usize,
    expires: u64,
}

#[derive(Deserialize)]
struct Verifying {
    phone: String,
    code: String,
    secret: Option<String>,
    #[serde(default)]
    name: String,
}

#[derive(Serialize)]
struct Verified {
    // As text: not every reader of JSON has numbers of 64 bits.
    user: String,
    device: u16,
    token: String,
    expires: u64,
}

/// Makes a code and sends it.
pub(super) async fn register<S: Store>(shared: &Shared<S>, peer: IpAddr, request: Request<Incoming>) -> Result<Answer, Error> {
    admit(shared, peer)?;
    let Registering { phone } = read(request).await?;
    let phone = parse_phone(&phone)?;
    let code = shared.config.registration.insecure_fixed_code.clone().unwrap_or_else(random_code);
    let expires = shared.now() + limits::CODE_LIFE;
    execute(shared, Command::RequestCode { phone: phone.clone(), code: code_digest(&phone, &code) }).await?;
    if let Err(error) = shared.sms.send(&phone, &format!("your code is {code}")).await {
        tracing::error!(%error, "a verification code could not be sent");
        return Err(Reject::Unavailable.into());
    }
    Ok(answer::json(StatusCode::ACCEPTED, &CodeSent { digits: code.len(), expires: expires.millis() }))
}

/// Links a device to the account of a number whose code came back.
pub(super) async fn verify<S: Store>(shared: &Shared<S>, peer: IpAddr, request: Request<Incoming>) -> Result<Answer, Error> {
    admit(shared, peer)?;
    let Verifying { phone, code, secret, name } = read(request).await?;
    let phone = parse_phone(&phone)?;
    let secret = match secret {
        Some(text) => parse_secret(&text).map_err(|_| Error::bad_request("secret is not 43 characters of base64url."))?,
        None => Secret(seam::random()),
    };
    if name.len() > limits::NAME_BYTES {
        return Err(Error::bad_request("name is longer than 64 bytes."));
    }
    let code = code_digest(&phone, &code);
    let command = Command::Register { phone, code, secret: secret.digest(), new_user: random_user(), name };
    let Reply::Registered { device, expires } = execute(shared, command).await? else {
        unreachable!("a registration that was not refused says which device it is");
    };
    let token = Token { device, secret }.to_text();
    let verified = Verified { user: device.user.0.to_string(), device: device.serial, token, expires: expires.millis() };
    Ok(answer::json(StatusCode::OK, &verified))
}

fn admit<S: Store>(shared: &Shared<S>, peer: IpAddr) -> Result<(), Error> {
    if !shared.phase.is_serving() {
        return Err(Error::STOPPING);
    }
    shared.admit_registration(peer).map_err(|retry_after| Reject::TooMany { retry_after }.into())
}

/// The body, as far as it is no longer than it may be.
async fn read<T: DeserializeOwned>(request: Request<Incoming>) -> Result<T, Error> {
    let body = Limited::new(request.into_body(), BODY_BYTES).collect().await.map_err(|error| {
        if error.is::<http_body_util::LengthLimitError>() {
            return Error::BODY_TOO_LARGE;
        }
        Error::bad_request("The body broke off.")
    })?;
    serde_json::from_slice(&body.to_bytes())
        .map_err(|_| Error::bad_request("The body is not the JSON that this path takes; see docs/protocol.md, Registration."))
}

fn parse_phone(text: &str) -> Result<Phone, Error> {
    Phone::parse(text).ok_or(Error::bad_request("phone is not a number in international form, such as +4915100000001."))
}

/// Evenly spread over all codes.
fn random_code() -> String {
    let codes = 10_u32.pow(DIGITS as u32);
    loop {
        let number = u32::from_le_bytes(seam::random());
        // The last, incomplete run of codes would make the low ones likelier.
        if number < u32::MAX - u32::MAX % codes {
            return format!("{:0width$}", number % codes, width = DIGITS);
        }
    }
}

/// Below 2^63, so that it fits whatever integers a client has; never 0, which stands for nobody.
fn random_user() -> UserId {
    UserId((u64::from_le_bytes(seam::random()) >> 1).max(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_have_six_digits_and_differ() {
        let codes: std::collections::BTreeSet<String> = (0..1000).map(|_| random_code()).collect();
        assert!(codes.iter().all(|code| code.len() == DIGITS && code.bytes().all(|byte| byte.is_ascii_digit())));
        assert!(codes.len() > 950, "a thousand draws out of a million hardly ever meet");
    }
}
