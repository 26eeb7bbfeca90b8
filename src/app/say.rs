//! What commands print. A reader that has gone away (`… | head`) is no error: what is left is not wanted.

use std::fmt::Display;
use std::io::{self, ErrorKind, Write};

/// One line on standard output.
pub(super) fn say(line: impl Display) -> io::Result<()> {
    let mut out = io::stdout().lock();
    match writeln!(out, "{line}").and_then(|()| out.flush()) {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        other => other,
    }
}
