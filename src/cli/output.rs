//! A command's answer on standard output. A reader that has seen enough (`| head`) is no failure; a full disk is.

use std::io::{self, BufWriter, ErrorKind, Write};

use super::Failure;

/// Writes the text.
///
/// # Errors
/// When the text cannot be written.
pub(super) fn say(text: &str) -> Result<(), Failure> {
    let mut out = stream();
    out.write_all(text.as_bytes())
        .and_then(|()| out.flush())
        .map_err(|e| Failure::Work(anyhow::Error::new(e).context("the answer cannot be written")))
}

/// Standard output for an answer that comes bit by bit. Once nobody reads, what is written is thrown away. Flush it at the end.
pub(super) fn stream() -> impl Write {
    BufWriter::new(Quiet { to: io::stdout(), closed: false })
}

/// A writer to which a closed pipe is the end of interest, not an error.
struct Quiet<W> {
    to: W,
    closed: bool,
}

impl<W: Write> Quiet<W> {
    fn unless_closed<T>(&mut self, nothing: T, act: impl FnOnce(&mut W) -> io::Result<T>) -> io::Result<T> {
        if self.closed {
            return Ok(nothing);
        }
        match act(&mut self.to) {
            Err(e) if e.kind() == ErrorKind::BrokenPipe => {
                self.closed = true;
                Ok(nothing)
            }
            done => done,
        }
    }
}

impl<W: Write> Write for Quiet<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.unless_closed(bytes.len(), |to| to.write(bytes))
    }

    fn flush(&mut self) -> io::Result<()> {
        self.unless_closed((), W::flush)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Failing(ErrorKind);

    impl Write for Failing {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(self.0.into())
        }

        fn flush(&mut self) -> io::Result<()> {
            Err(self.0.into())
        }
    }

    #[test]
    fn a_closed_pipe_is_no_failure_and_a_full_disk_is() {
        let mut closed = Quiet { to: Failing(ErrorKind::BrokenPipe), closed: false };
        assert!(closed.write_all(b"x").and_then(|()| closed.flush()).is_ok());
        let mut full = Quiet { to: Failing(ErrorKind::StorageFull), closed: false };
        assert!(full.write_all(b"x").is_err() && full.flush().is_err());
    }
}
