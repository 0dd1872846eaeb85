//! Protobuf's wire format: fields one after the other, borrowed from the file's bytes.
//!
//! Belongs here: tags, numbers, lengths. Does not: what a field means. Total: an odd byte ends in an error.

use super::OnnxError;

/// The value of one protobuf field.
pub(super) enum Value<'a> {
    Number(u64),
    Bytes(&'a [u8]),
    Fixed32([u8; 4]),
    Fixed64,
}

/// The fields of one protobuf message, in the file's order. After an error it ends.
pub(super) struct Fields<'a>(pub(super) &'a [u8]);

impl<'a> Iterator for Fields<'a> {
    type Item = Result<(u64, Value<'a>), OnnxError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.0.is_empty() {
            return None;
        }
        let field = self.field();
        if field.is_err() {
            self.0 = &[];
        }
        Some(field)
    }
}

impl<'a> Fields<'a> {
    fn field(&mut self) -> Result<(u64, Value<'a>), OnnxError> {
        let tag = self.varint()?;
        let value = match tag & 7 {
            0 => Value::Number(self.varint()?),
            1 => self.take(8).map(|_| Value::Fixed64)?,
            2 => {
                let len = self.varint()?;
                Value::Bytes(self.take(usize::try_from(len).unwrap_or(usize::MAX))?)
            }
            5 => {
                let four = self.take(4)?;
                Value::Fixed32([four[0], four[1], four[2], four[3]])
            }
            _ => return Err(OnnxError::Damaged("a field has a type that protobuf does not know")),
        };
        Ok((tag >> 3, value))
    }

    pub(super) fn varint(&mut self) -> Result<u64, OnnxError> {
        let mut n = 0u64;
        for shift in (0..64).step_by(7) {
            let byte = self.take(1)?[0];
            n |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Ok(n);
            }
        }
        Err(OnnxError::Damaged("a number is longer than protobuf allows"))
    }

    fn take(&mut self, len: usize) -> Result<&'a [u8], OnnxError> {
        let (head, rest) =
            self.0.split_at_checked(len).ok_or(OnnxError::Damaged("it ends in the middle of a field"))?;
        self.0 = rest;
        Ok(head)
    }
}

/// Numbers of a repeated field, which stand one by one or packed.
pub(super) fn numbers(value: &Value<'_>, out: &mut Vec<i64>) -> Result<(), OnnxError> {
    match value {
        Value::Number(n) => out.push(n.cast_signed()),
        Value::Bytes(packed) => {
            let mut rest = Fields(packed);
            while !rest.0.is_empty() {
                out.push(rest.varint()?.cast_signed());
            }
        }
        _ => {}
    }
    Ok(())
}

/// Floats of a repeated field, which stand one by one or packed.
pub(super) fn floats(value: &Value<'_>, out: &mut Vec<f32>) {
    match value {
        Value::Fixed32(four) => out.push(f32::from_le_bytes(*four)),
        Value::Bytes(packed) => {
            out.extend(packed.chunks_exact(4).map(|c| f32::from_le_bytes([c[0], c[1], c[2], c[3]])));
        }
        _ => {}
    }
}

pub(super) fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
