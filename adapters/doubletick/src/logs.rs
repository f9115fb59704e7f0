//! Logs on standard error.

use std::io::IsTerminal;

use tracing_subscriber::Layer;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::fmt;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::registry::Registry;

/// How log lines look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Format {
    /// A line for people.
    Compact,
    /// A JSON object a line, for machines.
    Json,
}

/// Sends all logs to standard error from here on.
pub(crate) fn start(format: Format, level: Targets) {
    let lines = fmt::layer().with_writer(std::io::stderr).with_ansi(std::io::stderr().is_terminal());
    let layer: Box<dyn Layer<Registry> + Send + Sync> = match format {
        Format::Compact => lines.compact().with_target(false).with_filter(level).boxed(),
        Format::Json => lines.json().with_filter(level).boxed(),
    };
    tracing::subscriber::set_global_default(Registry::default().with(layer)).expect("logs are started once");
}
