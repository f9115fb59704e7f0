//! What the server's commands have cost its store, as its metrics tell.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::{Map, Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// How long the metrics may take to come.
const PATIENCE: Duration = Duration::from_secs(5);
/// The metrics that have a value for each command, and what they are called here.
const COLUMNS: [(&str, &str); 8] = [
    ("reads_total", "reads"),
    ("rows_read_total", "rows_read"),
    ("bytes_read_total", "bytes_read"),
    ("rows_written_total", "rows_written"),
    ("bytes_written_total", "bytes_written"),
    ("rounds_total", "rounds"),
    ("commits_total", "commits"),
    ("commands_refused_total", "refused"),
];

/// Counters at one moment, by name and command.
#[derive(Debug, Default)]
pub(crate) struct Costs(BTreeMap<(String, String), f64>);

impl Costs {
    /// Asks a server.
    pub(crate) async fn of(metrics: SocketAddr) -> Result<Self> {
        let text = tokio::time::timeout(PATIENCE, fetch(metrics)).await.context("in time")?;
        Ok(Self::parse(&text?))
    }

    fn parse(text: &str) -> Self {
        let counters = text.lines().filter_map(|line| {
            let (name, value) = line.strip_prefix("doubletick_")?.split_once("{command=\"")?;
            let (command, value) = value.split_once("\"} ")?;
            Some(((name.to_owned(), command.to_owned()), value.parse().ok()?))
        });
        Self(counters.collect())
    }

    /// What was added since an earlier moment: for each command how many of them there were, and what one of them has cost on average.
    pub(crate) fn since(&self, earlier: &Self) -> Map<String, Value> {
        let added = |name: &str, command: &str| {
            let key = (name.to_owned(), command.to_owned());
            self.0.get(&key).unwrap_or(&0.0) - earlier.0.get(&key).unwrap_or(&0.0)
        };
        let commands = self.0.keys().filter(|(name, _)| name == "commands_total").map(|(_, command)| command);
        let each = commands.filter_map(|command| {
            let count = added("commands_total", command);
            if count == 0.0 {
                return None;
            }
            let mut costs = Map::from_iter([("count".to_owned(), json!(count))]);
            for (name, column) in COLUMNS {
                costs.insert(column.to_owned(), json!((added(name, command) / count * 1000.0).round() / 1000.0));
            }
            Some((command.clone(), Value::Object(costs)))
        });
        each.collect()
    }
}

async fn fetch(metrics: SocketAddr) -> Result<String> {
    let mut stream = TcpStream::connect(metrics).await?;
    stream.write_all(format!("GET /metrics HTTP/1.1\r\nHost: {metrics}\r\nConnection: close\r\n\r\n").as_bytes()).await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    ensure!(answer.starts_with("HTTP/1.1 200"), "{metrics} answers {:?}", answer.lines().next().unwrap_or_default());
    Ok(answer)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_added_is_told_for_one_command() {
        let text = |commands, reads| {
            format!(
                "# HELP x\ndoubletick_commands_total{{command=\"Send\"}} {commands}\ndoubletick_reads_total{{command=\"Send\"}} {reads}\n"
            )
        };
        let added = Costs::parse(&text(30, 190)).since(&Costs::parse(&text(10, 10)));
        assert_eq!((&added["Send"]["count"], &added["Send"]["reads"]), (&json!(20.0), &json!(9.0)));
        assert!(Costs::parse(&text(30, 190)).since(&Costs::parse(&text(30, 190))).is_empty());
    }
}
