//! The log stream: one line an event, for people or for machines. Called once, by `main`.

use std::io::{IsTerminal, Stderr, stderr};

use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::{self, format};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

use crate::config::{Log, LogFormat};

/// Starts logging to standard error, so that what a command prints stays alone on standard output.
/// Refuses a filter that does not parse.
pub fn init(log: &Log) -> anyhow::Result<()> {
    let filter = EnvFilter::try_new(&log.filter)?;
    let lines = tracing_subscriber::registry().with(filter);
    match log.format {
        LogFormat::Text => {
            // Colours are for terminals: in a file they disturb searches.
            let ansi = stderr().is_terminal();
            lines.with(layer().with_ansi(ansi)).try_init()?;
        }
        LogFormat::Json => {
            lines.with(layer().json()).try_init()?;
        }
    }
    Ok(())
}

/// Lines on standard error. That it is closed is not logged: that line would be written there, and panic.
fn layer<S>() -> fmt::Layer<S, format::DefaultFields, format::Format, fn() -> Stderr> {
    fmt::layer().log_internal_errors(false).with_writer(stderr as fn() -> Stderr)
}
