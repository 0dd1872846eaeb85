//! How records lie one behind the other in a segment, and how they are found again whatever stands between them. Pure.
//!
//! ```text
//! mark 4 │ kind 1, zero 3 │ length of the body 4 │ number 8 │ CRC-32C of all but mark and sum 4 │ body
//! ```
//! Numbers are little-endian. A segment is zeros until it is written, so zeros up to the end mean: nothing more was written.

use std::ops::Range;

use super::crc::crc32c;

const MARK: [u8; 4] = *b"PgR\x01";
const HEAD: usize = 24;

/// The longest body. An event has well under 2 KiB; a checkpoint grows with cameras and open alerts.
pub(super) const MAX_BODY: usize = 160 << 10;

/// What a record holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// What must outlive the segments before this one; not a record of the backlog.
    Checkpoint,
    /// An event.
    Event,
}

impl Kind {
    const fn code(self) -> u8 {
        match self {
            Self::Checkpoint => 1,
            Self::Event => 2,
        }
    }

    const fn of(code: u8) -> Option<Self> {
        match code {
            1 => Some(Self::Checkpoint),
            2 => Some(Self::Event),
            _ => None,
        }
    }
}

/// A whole record, and where its body lies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Found {
    pub(super) kind: Kind,
    pub(super) number: u64,
    pub(super) body: Range<usize>,
}

/// What a stretch of bytes holds.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Scan {
    /// Whole records, in order.
    pub(super) records: Vec<Found>,
    /// What is neither a record nor unwritten.
    pub(super) garbage: Vec<Range<usize>>,
    /// Behind the last record and the last garbage.
    pub(super) end: usize,
}

/// A record's bytes; None where the body is too long.
pub(super) fn encode(kind: Kind, number: u64, body: &[u8]) -> Option<Vec<u8>> {
    let length = u32::try_from(body.len()).ok().filter(|_| body.len() <= MAX_BODY)?;
    let mut bytes = Vec::with_capacity(HEAD + body.len());
    bytes.extend_from_slice(&MARK);
    bytes.extend_from_slice(&[kind.code(), 0, 0, 0]);
    bytes.extend_from_slice(&length.to_le_bytes());
    bytes.extend_from_slice(&number.to_le_bytes());
    let sum = crc32c(&[&bytes[4..], body]);
    bytes.extend_from_slice(&sum.to_le_bytes());
    bytes.extend_from_slice(body);
    Some(bytes)
}

/// Finds every whole record from `from` on.
pub(super) fn scan(bytes: &[u8], from: usize) -> Scan {
    let mut scan = Scan { end: from.min(bytes.len()), ..Scan::default() };
    loop {
        if let Some(found) = at(bytes, scan.end) {
            scan.end = found.body.end;
            scan.records.push(found);
            continue;
        }
        let rest = &bytes[scan.end..];
        let Some(last) = rest.iter().rposition(|b| *b != 0) else { return scan };
        let begin = scan.end;
        let next = (begin + 1..bytes.len()).find(|i| bytes[*i] == MARK[0] && at(bytes, *i).is_some());
        scan.end = next.unwrap_or(begin + last + 1);
        scan.garbage.push(begin..scan.end);
    }
}

fn at(bytes: &[u8], begin: usize) -> Option<Found> {
    let head: &[u8; HEAD] = bytes.get(begin..)?.first_chunk()?;
    let word = |i: usize| u32::from_le_bytes([head[i], head[i + 1], head[i + 2], head[i + 3]]);
    if head[..4] != MARK || head[5..8] != [0; 3] {
        return None;
    }
    let kind = Kind::of(head[4])?;
    let length = usize::try_from(word(8)).ok().filter(|l| *l <= MAX_BODY)?;
    let body = begin + HEAD..begin + HEAD + length;
    let sum = crc32c(&[&head[4..20], bytes.get(body.clone())?]);
    let number = u64::from(word(12)) | u64::from(word(16)) << 32;
    (sum == word(20)).then_some(Found { kind, number, body })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn segment(bodies: &[Vec<u8>]) -> (Vec<u8>, Vec<Range<usize>>) {
        let mut bytes = Vec::new();
        let places = bodies.iter().zip(1..).map(|(body, number)| {
            let begin = bytes.len();
            bytes.extend(encode(Kind::Event, number, body).expect("short"));
            begin..bytes.len()
        });
        let places = places.collect();
        (bytes, places)
    }

    fn bodies() -> impl Strategy<Value = Vec<Vec<u8>>> {
        // Marks in bodies, cut and whole, are what could lead a search astray.
        let piece =
            prop_oneof![Just(b"PgR\x01".to_vec()), Just(b"P".to_vec()), prop::collection::vec(any::<u8>(), 0..40)];
        let body = prop::collection::vec(piece, 0..4).prop_map(|pieces| pieces.concat());
        prop::collection::vec(body, 1..20)
    }

    proptest! {
        #[test]
        fn what_was_written_is_found_again(bodies in bodies(), zeros in 0_usize..200) {
            let (mut bytes, _) = segment(&bodies);
            let end = bytes.len();
            bytes.resize(end + zeros, 0);
            let scan = scan(&bytes, 0);
            prop_assert_eq!(scan.end, end);
            prop_assert!(scan.garbage.is_empty());
            let found: Vec<_> = scan.records.iter().map(|r| bytes[r.body.clone()].to_vec()).collect();
            prop_assert_eq!(found, bodies);
        }

        #[test]
        fn a_flipped_bit_costs_its_own_record_alone(bodies in bodies(), at in any::<prop::sample::Index>(), bit in 0_u8..8) {
            let (mut bytes, places) = segment(&bodies);
            let at = at.index(bytes.len());
            bytes[at] ^= 1 << bit;
            let scan = scan(&bytes, 0);
            let hit = places.iter().position(|p| p.contains(&at)).expect("every byte is of a record") as u64 + 1;
            let whole: Vec<u64> = scan.records.iter().map(|r| r.number).collect();
            let left: Vec<u64> = (1..=bodies.len() as u64).filter(|n| *n != hit).collect();
            prop_assert_eq!(whole, left);
            prop_assert_eq!(scan.garbage.len(), 1);
        }

        #[test]
        fn a_crash_at_any_byte_keeps_all_that_was_written_before(bodies in bodies(), cut in any::<prop::sample::Index>(), zeros in 0_usize..200) {
            let (mut bytes, places) = segment(&bodies);
            let cut = cut.index(bytes.len() + 1);
            bytes.truncate(cut);
            bytes.resize(cut + zeros, 0);
            let scan = scan(&bytes, 0);
            // What ends in zeros may have lost nothing but zeros.
            let least = places.iter().filter(|p| p.end <= cut).count();
            let numbers: Vec<u64> = scan.records.iter().map(|r| r.number).collect();
            prop_assert!(numbers.len() == least || numbers.len() == least + 1);
            prop_assert!(numbers.iter().zip(1..).all(|(n, i)| *n == i));
        }

        #[test]
        fn any_bytes_at_all_are_taken_apart_without_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..400), from in 0_usize..500) {
            let scan = scan(&bytes, from);
            prop_assert!(scan.end <= bytes.len());
        }
    }

    #[test]
    fn a_body_that_no_segment_can_hold_is_refused() {
        assert!(encode(Kind::Event, 1, &vec![b'x'; MAX_BODY + 1]).is_none());
        assert!(encode(Kind::Event, 1, &vec![b'x'; MAX_BODY]).is_some());
    }
}
