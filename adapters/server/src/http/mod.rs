//! The HTTP interface: registration, health, and a page for people. One request a connection.

mod answer;
mod registration;

use std::convert::Infallible;
use std::net::IpAddr;
use std::sync::Arc;

use doubletick_core::command::{Command, Reply};
use doubletick_core::id::UserId;
use doubletick_core::reject::Reject;
use doubletick_core::store::Failure;
use doubletick_core::time::Millis;
use doubletick_core::transact::Batch;
use doubletick_store::Store;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};

use crate::costs;
use crate::seam;
use crate::server::Shared;
use crate::shard::report_damaged;
use answer::{Answer, Error};

/// How often a transaction is run again before the client is told to come back later.
const TRIES: u32 = 6;

/// How long the store may take to show that it answers.
const PROBE: Millis = Millis::seconds(2);

/// Answers one request.
pub(crate) async fn serve<S: Store, IO: AsyncRead + AsyncWrite + Unpin + Send + 'static>(shared: Arc<Shared<S>>, stream: IO, peer: IpAddr) {
    let service = service_fn(move |request| {
        let shared = shared.clone();
        async move { Ok::<_, Infallible>(route(&shared, peer, request).await.unwrap_or_else(|error| error.answer())) }
    });
    let served = http1::Builder::new().keep_alive(false).serve_connection(TokioIo::new(stream), service).await;
    if let Err(error) = served {
        tracing::debug!(%peer, %error, "an HTTP request came to nothing");
    }
}

/// Answers one request of an operator's.
pub(crate) async fn serve_operator<S: Store, IO: AsyncRead + AsyncWrite + Unpin + Send + 'static>(
    shared: Arc<Shared<S>>,
    stream: IO,
    peer: IpAddr,
) {
    let service = service_fn(move |request: Request<Incoming>| {
        let shared = shared.clone();
        async move {
            let get = request.method() == Method::GET || request.method() == Method::HEAD;
            let answered = match request.uri().path() {
                "/metrics" | "/live" | "/ready" if !get => Err(Error::wrong_method(&Method::GET)),
                "/metrics" => Ok(answer::metrics(shared.metrics.text(shared.phase.is_ready(), shared.config.connections))),
                "/live" => Ok(answer::text("live\n")),
                "/ready" => ready(&shared).await,
                _ => Err(Error::NOT_FOUND),
            };
            Ok::<_, Infallible>(answered.unwrap_or_else(|error| error.answer()))
        }
    });
    let served = http1::Builder::new().keep_alive(false).serve_connection(TokioIo::new(stream), service).await;
    if let Err(error) = served {
        tracing::debug!(%peer, %error, "an operator's request came to nothing");
    }
}

async fn route<S: Store>(shared: &Shared<S>, peer: IpAddr, request: Request<Incoming>) -> Result<Answer, Error> {
    let path = request.uri().path();
    let allowed = match path {
        "/" | "/live" | "/ready" => Method::GET,
        "/v1/register" | "/v1/verify" => Method::POST,
        _ => return Err(Error::NOT_FOUND),
    };
    // HEAD is GET without the body, which hyper leaves out.
    if *request.method() != allowed && !(allowed == Method::GET && request.method() == Method::HEAD) {
        return Err(Error::wrong_method(&allowed));
    }
    match path {
        "/" => Ok(answer::text(INDEX)),
        "/live" => Ok(answer::text("live\n")),
        "/ready" => ready(shared).await,
        "/v1/register" => registration::register(shared, peer, request).await,
        _ => registration::verify(shared, peer, request).await,
    }
}

const INDEX: &str = "\
This is a Doubletick server, a messenger's server side.

  /v1/ws        devices connect here, by WebSocket with the sub-protocol doubletick.v1
  /v1/register  POST {\"phone\"}: sends a verification code
  /v1/verify    POST {\"phone\", \"code\", \"secret\", \"name\"}: links a device
  /live         whether the process runs
  /ready        whether it takes connections and its store answers
";

async fn ready<S: Store>(shared: &Shared<S>) -> Result<Answer, Error> {
    if !shared.phase.is_ready() {
        return Err(Error::STOPPING);
    }
    // A user that there never is: the store must look, and finds nothing.
    let probe = execute(shared, Command::AskUser { user: UserId(0) });
    match seam::within(PROBE, probe).await {
        Some(Ok(Reply::Users(_))) => Ok(answer::text("ready\n")),
        Some(_) | None => Err(Reject::Unavailable.into()),
    }
}

/// Runs one command in a transaction of its own, again where it must be.
async fn execute<S: Store>(shared: &Shared<S>, command: Command) -> Result<Reply, Reject> {
    let batch = Arc::new(Batch { now: shared.now(), commands: vec![command] });
    for attempt in 0..TRIES {
        match costs::execute(shared.metrics.costs.clone(), shared.store.clone(), batch.clone()).await {
            Ok(outcome) => {
                report_damaged(&outcome.damaged);
                return outcome.replies.into_iter().next().expect("every command has a reply");
            }
            Err(Failure::Retry | Failure::Unknown) => seam::sleep(Millis(10 << attempt)).await,
            Err(Failure::Unavailable) => break,
        }
    }
    Err(Reject::Unavailable)
}
