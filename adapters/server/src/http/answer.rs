//! Answers of the HTTP interface, and what goes wrong with a request.

use bytes::Bytes;
use doubletick_core::reject::Reject;
use doubletick_core::time::Millis;
use http_body_util::Full;
use hyper::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, HeaderValue, RETRY_AFTER};
use hyper::{Method, Response, StatusCode};
use serde::Serialize;

/// When to come back if the server cannot say better.
const RETRY_UNAVAILABLE: Millis = Millis::seconds(5);

/// What goes back.
pub(super) type Answer = Response<Full<Bytes>>;

/// A request that was not carried out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Error {
    status: StatusCode,
    reject: Reject,
    sentence: &'static str,
    allow: Option<Method>,
}

/// How an error looks in JSON.
#[derive(Serialize)]
struct Body {
    code: u32,
    error: &'static str,
    /// Milliseconds to wait.
    #[serde(skip_serializing_if = "Option::is_none")]
    retry_after: Option<u64>,
}

impl Error {
    pub(super) const NOT_FOUND: Self = Self::new(StatusCode::NOT_FOUND, Reject::Nonsense, "There is nothing at this path.");
    pub(super) const STOPPING: Self = Self::new(StatusCode::SERVICE_UNAVAILABLE, Reject::Unavailable, "The server is stopping.");
    pub(super) const BODY_TOO_LARGE: Self = Self::new(StatusCode::PAYLOAD_TOO_LARGE, Reject::BadContent, "The body is larger than 4 KiB.");

    const fn new(status: StatusCode, reject: Reject, sentence: &'static str) -> Self {
        Self { status, reject, sentence, allow: None }
    }

    /// The request itself makes no sense, and this is why.
    pub(super) const fn bad_request(sentence: &'static str) -> Self {
        Self::new(StatusCode::BAD_REQUEST, Reject::Nonsense, sentence)
    }

    pub(super) fn wrong_method(allowed: &Method) -> Self {
        let error = Self::new(StatusCode::METHOD_NOT_ALLOWED, Reject::Nonsense, "This path takes another method.");
        Self { allow: Some(allowed.clone()), ..error }
    }

    pub(super) fn answer(&self) -> Answer {
        let retry_after = if let Reject::TooMany { retry_after } = self.reject {
            Some(retry_after.0)
        } else {
            (self.status == StatusCode::SERVICE_UNAVAILABLE).then_some(RETRY_UNAVAILABLE.0)
        };
        let mut answer = json(self.status, &Body { code: self.reject.code(), error: self.sentence, retry_after });
        if let Some(retry_after) = retry_after {
            answer.headers_mut().insert(RETRY_AFTER, HeaderValue::from(retry_after.div_ceil(1000)));
        }
        if let Some(method) = self.allow.as_ref().and_then(|method| HeaderValue::from_str(method.as_str()).ok()) {
            answer.headers_mut().insert(ALLOW, method);
        }
        answer
    }
}

impl From<Reject> for Error {
    fn from(reject: Reject) -> Self {
        let (status, sentence) = match reject {
            Reject::TooMany { .. } => (StatusCode::TOO_MANY_REQUESTS, "Too many requests: wait."),
            Reject::TooManyDevices => (StatusCode::CONFLICT, "The account has its full number of devices: remove one."),
            Reject::WrongCode => (StatusCode::FORBIDDEN, "The verification code is wrong."),
            Reject::CodeVoid => {
                (StatusCode::FORBIDDEN, "The verification code has run out, was used, or was guessed at too often: ask for another.")
            }
            Reject::Unavailable => (StatusCode::SERVICE_UNAVAILABLE, "The server cannot store anything for the moment: try again."),
            Reject::Damaged => (StatusCode::INTERNAL_SERVER_ERROR, "Something stored that this needs cannot be read; it was reported."),
            Reject::OutOfTurn
            | Reject::BadToken
            | Reject::TokenExpired
            | Reject::DeviceRemoved
            | Reject::UnknownUser
            | Reject::NotMember
            | Reject::UnknownHandle
            | Reject::MessageIdReused
            | Reject::BadContent
            | Reject::BeyondHead { .. }
            | Reject::ListFull
            | Reject::Superseded
            | Reject::Nonsense
            | Reject::NotAllowed
            | Reject::NotAdmin
            | Reject::GroupFull { .. }
            | Reject::AlreadyMember
            | Reject::NoSuchMember
            | Reject::LastAdmin
            | Reject::GroupExists
            | Reject::StaleRoster { .. }
            | Reject::TooManyGroups => (StatusCode::BAD_REQUEST, "The request makes no sense."),
        };
        Self::new(status, reject, sentence)
    }
}

/// A page for people.
pub(super) fn text(text: &'static str) -> Answer {
    with_type(StatusCode::OK, Bytes::from_static(text.as_bytes()), "text/plain; charset=utf-8")
}

/// Counters and gauges, in the text format of Prometheus, version 0.0.4.
pub(super) fn metrics(text: String) -> Answer {
    with_type(StatusCode::OK, text.into(), "text/plain; version=0.0.4; charset=utf-8")
}

/// An answer for programs.
pub(super) fn json(status: StatusCode, body: &impl Serialize) -> Answer {
    let body = serde_json::to_vec(body).expect("these bodies are maps of strings and numbers");
    with_type(status, body.into(), "application/json")
}

fn with_type(status: StatusCode, body: Bytes, content_type: &'static str) -> Answer {
    let mut answer = Response::new(Full::new(body));
    *answer.status_mut() = status;
    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    // Answers hold tokens, or tell what is so at this moment.
    answer.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    answer
}
