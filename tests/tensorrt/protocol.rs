//! The bytes between the stand-in library and the server: a frame is a length, one byte of kind, and a payload of numbers and texts. The
//! other end is nvinfer/wire.cpp.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;

/// A question, or what is left of it.
pub(super) struct Reader<'a>(pub(super) &'a [u8]);

impl<'a> Reader<'a> {
    pub(super) fn number(&mut self) -> Option<u32> {
        let (head, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(u32::from_le_bytes(*head))
    }

    pub(super) fn bytes(&mut self) -> Option<&'a [u8]> {
        let size = self.number()? as usize;
        let (head, rest) = self.0.split_at_checked(size)?;
        self.0 = rest;
        Some(head)
    }

    pub(super) fn text(&mut self) -> Option<String> {
        Some(String::from_utf8_lossy(self.bytes()?).into_owned())
    }
}

/// An answer's payload, as it grows.
#[derive(Default)]
pub(super) struct Writer(Vec<u8>);

impl Writer {
    pub(super) fn number(mut self, value: usize) -> Self {
        self.0.extend(u32::try_from(value).expect("counts are small").to_le_bytes());
        self
    }

    pub(super) fn bytes(self, bytes: &[u8]) -> Self {
        let mut written = self.number(bytes.len());
        written.0.extend(bytes);
        written
    }
}

/// The next question's kind and payload; None when the other end is gone.
pub(super) fn receive(stream: &mut UnixStream) -> Option<(u8, Vec<u8>)> {
    let mut length = [0; 4];
    stream.read_exact(&mut length).ok()?;
    let mut frame = vec![0; u32::from_le_bytes(length) as usize];
    stream.read_exact(&mut frame).ok()?;
    let kind = *frame.first()?;
    Some((kind, frame.split_off(1)))
}

/// Sends what was found out, or one line that says why not.
pub(super) fn answer(stream: &mut UnixStream, answer: Result<Writer, String>) -> std::io::Result<()> {
    let (refused, payload) = match answer {
        Ok(payload) => (0, payload),
        Err(why) => (1, Writer::default().bytes(why.as_bytes())),
    };
    let frame = Writer::default().number(payload.0.len() + 1);
    stream.write_all(&[&frame.0[..], &[refused], &payload.0[..]].concat())
}
