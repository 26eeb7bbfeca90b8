//! The log stream: one line an event, for people or for machines. Called once, by `main`.

use tracing_subscriber::EnvFilter;
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
            lines.with(tracing_subscriber::fmt::layer().with_writer(std::io::stderr)).try_init()?;
        }
        LogFormat::Json => {
            lines.with(tracing_subscriber::fmt::layer().json().with_writer(std::io::stderr)).try_init()?;
        }
    }
    Ok(())
}
