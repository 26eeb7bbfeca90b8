//! The program: reads the command line, starts logging, hands over to [`sluice::app`].

use std::io::Write;
use std::process::ExitCode;

use clap::Parser;
use sluice::config::Cli;

fn main() -> ExitCode {
    let cli = Cli::parse();
    match start(cli) {
        Ok(code) => code,
        Err(error) => {
            // `eprintln!` panics when standard error is closed.
            let _ = writeln!(std::io::stderr(), "sluice: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn start(cli: Cli) -> anyhow::Result<ExitCode> {
    sluice::telemetry::init(&cli.log)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(sluice::app::run(cli.command))
}
