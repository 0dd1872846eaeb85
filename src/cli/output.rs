//! A command's answer on standard output.

use std::io::Write;

use super::Failure;

/// Writes the text. A reader that has seen enough (`| head`) is no failure; a full disk is.
///
/// # Errors
/// When the text cannot be written.
pub(super) fn say(text: &str) -> Result<(), Failure> {
    let mut out = std::io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(e) if e.kind() != std::io::ErrorKind::BrokenPipe => {
            Err(Failure::Work(anyhow::Error::new(e).context("the answer cannot be written")))
        }
        _ => Ok(()),
    }
}
