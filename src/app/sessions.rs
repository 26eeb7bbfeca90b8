//! `sluice sessions list|revoke`: the browser sessions of a database file, also while a server has it.

use std::path::Path;
use std::process::ExitCode;

use anyhow::bail;
use jiff::Timestamp;

use crate::clock::Clock;
use crate::config::{Sessions as Command, Which};
use crate::domain::session::Session;
use crate::services::check_reason;
use crate::store::{self, Sessions};

use super::say::say;

pub(super) async fn run(command: Command) -> anyhow::Result<ExitCode> {
    match command {
        Command::List { file, user } => {
            let which = user.map_or(Sessions::All, Sessions::Of);
            let found = store::list_sessions(&file, &which, Clock::System.now_ms()).await?;
            print(&found)?;
            Ok(ExitCode::SUCCESS)
        }
        Command::Revoke { file, which, reason } => revoke(&file, which, &reason).await,
    }
}

async fn revoke(file: &Path, which: Which, reason: &str) -> anyhow::Result<ExitCode> {
    let which = match which {
        Which { id: Some(id), .. } => Sessions::One { id, user: None },
        Which { user: Some(user), .. } => Sessions::Of(user),
        Which { all: true, .. } => Sessions::All,
        _ => bail!("--id, --user or --all is needed"),
    };
    let Ok(reason) = check_reason(reason, false) else { bail!("--reason is longer than 2000 characters") };
    let by = operator();
    let ended = store::revoke_sessions(file, &which, &by, &reason, Clock::System.now_ms()).await?;
    if ended.is_empty() {
        say("No such session.")?;
        return Ok(ExitCode::FAILURE);
    }
    for session in &ended {
        say(format_args!("Ended {} of {}.", session.id, printable(&session.identity.user)))?;
    }
    Ok(ExitCode::SUCCESS)
}

fn print(sessions: &[Session]) -> std::io::Result<()> {
    say(row(["ID", "SIGNED IN", "LAST USED", "ADDRESS", "BROWSER", "PERSON"]))?;
    for session in sessions {
        let (began, used) = (moment(session.created_ms), moment(session.seen_ms));
        let address = session.address.as_deref().unwrap_or("-");
        let agent = if session.agent.is_empty() { "-" } else { &session.agent };
        say(row([&session.id, &began, &used, address, agent, &printable(&session.identity.user)]))?;
    }
    Ok(())
}

fn row([id, began, used, address, agent, person]: [&str; 6]) -> String {
    format!("{id:<16}  {began:<20}  {used:<20}  {address:<15}  {agent:<17}  {person}")
}

/// A name without what could move the cursor of a terminal.
fn printable(text: &str) -> String {
    text.chars().map(|letter| if letter.is_control() { '?' } else { letter }).collect()
}

fn moment(at_ms: i64) -> String {
    Timestamp::from_millisecond(at_ms).map(|at| format!("{at:.0}")).unwrap_or_default()
}

/// The operating system's user, by number: what the history says who did it.
fn operator() -> String {
    #[cfg(target_os = "linux")]
    if let Ok(own) = std::fs::metadata("/proc/self") {
        return format!("os-user:{}", std::os::unix::fs::MetadataExt::uid(&own));
    }
    "os-user".to_owned()
}
