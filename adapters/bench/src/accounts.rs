//! Accounts for a run: registered as people's devices are, over HTTP.

use std::net::SocketAddr;

use anyhow::{Context, Result, bail};
use doubletick_wire::Token;
use serde::Deserialize;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::line::connect_from;

/// Registrations under way at a time.
const AT_ONCE: usize = 32;
/// The most that an answer of the server may have.
const ANSWER: u64 = 64 * 1024;

#[derive(Deserialize)]
struct Verified {
    token: String,
}

/// Registers so many accounts, each with a phone number of its own.
pub(crate) async fn register(server: SocketAddr, code: &str, count: u32) -> Result<Vec<Token>> {
    // Numbers that no earlier run on this server has used: its log would be in the way of the books.
    let mut random = [0; 4];
    random.copy_from_slice(&std::process::id().to_le_bytes());
    let series = u64::from(u32::from_le_bytes(random)) % 90_000 + 10_000;
    let mut tokens = vec![None; count as usize];
    let mut next = 0;
    let mut under_way = tokio::task::JoinSet::new();
    while next < count || !under_way.is_empty() {
        while next < count && under_way.len() < AT_ONCE {
            let (phone, code, index) = (format!("+{series}{next:08}"), code.to_owned(), next);
            under_way.spawn(async move { (index, one(server, index, &phone, &code).await) });
            next += 1;
        }
        if let Some(done) = under_way.join_next().await {
            let (index, token) = done.context("a registration panicked")?;
            tokens[index as usize] = Some(token.with_context(|| format!("registering account {index}"))?);
        }
    }
    Ok(tokens.into_iter().flatten().collect())
}

async fn one(server: SocketAddr, index: u32, phone: &str, code: &str) -> Result<Token> {
    post(server, index, "/v1/register", &serde_json::json!({ "phone": phone })).await?;
    let body = post(server, index, "/v1/verify", &serde_json::json!({ "phone": phone, "code": code, "name": "bench" })).await?;
    let verified: Verified = serde_json::from_slice(&body).context("the server's answer to a verification")?;
    Token::parse(&verified.token).map_err(|error| anyhow::anyhow!("the server's token: {error}"))
}

async fn post(server: SocketAddr, index: u32, path: &str, body: &serde_json::Value) -> Result<Vec<u8>> {
    let mut stream = connect_from(server, index).await?;
    let body = body.to_string();
    let head = format!(
        "POST {path} HTTP/1.1\r\nHost: {server}\r\nContent-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
        body.len()
    );
    stream.write_all(format!("{head}{body}").as_bytes()).await?;
    let mut answer = Vec::new();
    stream.take(ANSWER).read_to_end(&mut answer).await?;
    let text = String::from_utf8_lossy(&answer);
    let (head, body) = text.split_once("\r\n\r\n").context("the server's answer is no HTTP")?;
    let status = head.split(' ').nth(1).unwrap_or_default();
    if !status.starts_with('2') {
        bail!("{path} answered {status}: {}", body.trim());
    }
    Ok(body.as_bytes().to_vec())
}
