//! Registration over HTTP: a phone number, a code that comes to it, a token.
//!
//! hyper's bare connection, because the server brings it into the build anyway and it reads answers that are chunked, broken off or
//! hostile; a client with a pool would be more than two requests need.

use bytes::Bytes;
use doubletick_core::id::{Phone, Secret};
use doubletick_core::reject::Reject;
use doubletick_wire::{Token, secret_text};
use http_body_util::{BodyExt, Full, Limited};
use hyper::header::{CONTENT_TYPE, HOST};
use hyper::{Method, Request, StatusCode};
use hyper_util::rt::TokioIo;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::fmt;

use crate::seam;
use crate::server::{PATIENCE, Server};
use crate::storage::StorageError;

/// Bytes of an answer at the most.
const ANSWER_BYTES: usize = 16 * 1024;

/// Why a device was not registered.
#[derive(Debug)]
pub enum RegisterError {
    /// The server cannot be reached: a sentence without its full stop.
    Unreachable(String),
    /// The server has said no.
    Refused {
        /// Why; `None` for a number that this version does not know.
        reject: Option<Reject>,
        /// The server's words.
        sentence: String,
    },
    /// What came back is no answer: is it another kind of server?
    NoAnswer(String),
    /// The profile cannot be written.
    Storage(StorageError),
    /// No registration of this profile waits for a code.
    NotAsked,
}

#[derive(Serialize)]
struct Registering<'a> {
    phone: &'a str,
}

#[derive(Serialize)]
struct Verifying<'a> {
    phone: &'a str,
    code: &'a str,
    secret: &'a str,
    name: &'a str,
}

#[derive(Deserialize)]
struct Verified {
    token: String,
}

#[derive(Deserialize)]
struct Refused {
    code: u32,
    error: String,
    #[serde(default)]
    retry_after: u64,
}

/// Asks for a code.
pub(crate) async fn register(server: &Server, phone: &Phone) -> Result<(), RegisterError> {
    let _accepted: serde_json::Value = post(server, "/v1/register", &Registering { phone: phone.as_str() }).await?;
    Ok(())
}

/// Shows the code. With the same secret this may be done again.
pub(crate) async fn verify(server: &Server, phone: &Phone, code: &str, secret: Secret, name: &str) -> Result<Token, RegisterError> {
    let secret_text = secret_text(&secret);
    let body = Verifying { phone: phone.as_str(), code, secret: &secret_text, name };
    let Verified { token } = post(server, "/v1/verify", &body).await?;
    let token = Token::parse(&token).map_err(|_| RegisterError::NoAnswer("the server's token is none".into()))?;
    if token.secret != secret {
        return Err(RegisterError::NoAnswer("the server's token has another secret".into()));
    }
    Ok(token)
}

async fn post<T: DeserializeOwned>(server: &Server, path: &str, body: &impl Serialize) -> Result<T, RegisterError> {
    let body = serde_json::to_vec(body).expect("these bodies are maps of strings");
    let stream = server.connect().await.map_err(RegisterError::Unreachable)?;
    let request = Request::builder()
        .method(Method::POST)
        .uri(path)
        .header(HOST, server.authority())
        .header(CONTENT_TYPE, "application/json")
        .body(Full::new(Bytes::from(body)))
        .expect("the parts of the request are well formed");
    let broken = |error: &dyn fmt::Display| RegisterError::Unreachable(format!("the connection to {} broke: {error}", server.authority()));
    let exchange = async {
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(|error| broken(&error))?;
        // What goes wrong with the connection shows in the request.
        let connection = seam::spawn(async move { drop(connection.await) });
        // hyper says no more of a connection that has ended than that it is of no use.
        let answer = sender.send_request(request).await.map_err(|_| broken(&"there was no answer"))?;
        let status = answer.status();
        let body = Limited::new(answer.into_body(), ANSWER_BYTES).collect().await;
        connection.abort();
        let body = body.map_err(|error| broken(&error))?.to_bytes();
        Ok((status, body))
    };
    let late = || Err(RegisterError::Unreachable(format!("the server at {} does not answer", server.authority())));
    let (status, body) = seam::within(PATIENCE, exchange).await.unwrap_or_else(late)?;
    understand(status, &body)
}

fn understand<T: DeserializeOwned>(status: StatusCode, body: &[u8]) -> Result<T, RegisterError> {
    if status.is_success() {
        return serde_json::from_slice(body)
            .map_err(|_| RegisterError::NoAnswer(format!("an answer {status} that is not of this protocol")));
    }
    let Ok(Refused { code, error, retry_after }) = serde_json::from_slice(body) else {
        return Err(RegisterError::NoAnswer(format!("an answer {status} that is not of this protocol")));
    };
    Err(RegisterError::Refused { reject: Reject::from_code(code, retry_after), sentence: error })
}

impl fmt::Display for RegisterError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreachable(why) => f.write_str(why),
            Self::Refused { reject: Some(Reject::TooMany { retry_after }), .. } => {
                write!(f, "too many tries: wait {} seconds", retry_after.0.div_ceil(1000))
            }
            Self::Refused { sentence, .. } => f.write_str(sentence.trim_end_matches('.')),
            Self::NoAnswer(what) => write!(f, "this is no Doubletick server: {what}"),
            Self::Storage(error) => error.fmt(f),
            Self::NotAsked => f.write_str("no verification code was asked for"),
        }
    }
}

impl std::error::Error for RegisterError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Storage(error) => Some(error),
            Self::Unreachable(_) | Self::Refused { .. } | Self::NoAnswer(_) | Self::NotAsked => None,
        }
    }
}

impl From<StorageError> for RegisterError {
    fn from(error: StorageError) -> Self {
        Self::Storage(error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_says_what_the_server_said() {
        let refused = |body: &str| understand::<Verified>(StatusCode::FORBIDDEN, body.as_bytes()).err().unwrap().to_string();
        assert_eq!(refused(r#"{"code":14,"error":"The verification code is wrong."}"#), "The verification code is wrong");
        assert_eq!(refused(r#"{"code":11,"error":"Wait.","retry_after":1500}"#), "too many tries: wait 2 seconds");
        assert_eq!(refused(r#"{"code":999,"error":"From the future.","more":1}"#), "From the future");
        assert_eq!(refused("<html>"), "this is no Doubletick server: an answer 403 Forbidden that is not of this protocol");
    }
}
