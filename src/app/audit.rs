//! `sluice audit verify`: a history file against itself, and against anchors that were kept elsewhere.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, bail};

use super::say::say;
use crate::store::verify::verify_against;
use crate::store::{Head, anchors_in};

/// Prints what was found. The code is 0 when all is as it was written and every anchor fits, 2 when not; what
/// cannot be read at all is an error (1).
pub(super) async fn verify(file: &Path, anchors: &[String], logs: &[PathBuf]) -> anyhow::Result<ExitCode> {
    let mut all = Vec::new();
    for anchor in anchors {
        all.push(anchor.parse::<Head>().map_err(anyhow::Error::msg)?);
    }
    for log in logs {
        let found = anchors_in(&read(log)?).map_err(anyhow::Error::msg);
        let found = found.with_context(|| format!("cannot read the anchors of {}", log.display()))?;
        if found.is_empty() {
            bail!("there is no anchor in {}: nothing would be compared with it", log.display());
        }
        all.extend(found);
    }
    let report = verify_against(file, &all).await;
    let report = report.with_context(|| format!("`{}` cannot be verified", file.display()))?;
    say(&report)?;
    Ok(if report.is_good() { ExitCode::SUCCESS } else { ExitCode::from(2) })
}

/// A log file; `-` is standard input.
fn read(log: &Path) -> anyhow::Result<String> {
    let mut bytes = Vec::new();
    if log.as_os_str() == "-" {
        std::io::stdin().lock().read_to_end(&mut bytes).context("cannot read standard input")?;
    } else {
        bytes = std::fs::read(log).with_context(|| format!("cannot read {}", log.display()))?;
    }
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}
