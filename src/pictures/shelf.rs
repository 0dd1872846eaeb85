//! What lies on disk, and what of it has to go: by size, by number, by age. Pure; files are touched in `disk.rs`.

use std::collections::VecDeque;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use uuid::Uuid;

/// A file that is older than this (2025-01-01) was written while the clock had not been set; nobody knows its age.
const PLAUSIBLE: Duration = Duration::from_secs(1_735_689_600);

/// What a picture shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// One object.
    Crop,
    /// The whole frame, the object's box drawn in.
    Full,
}

impl Kind {
    const fn word(self) -> &'static str {
        match self {
            Self::Crop => "crop",
            Self::Full => "full",
        }
    }
}

/// A picture's name below the folder of snapshots: "CAMERA/NUMBER-ID-KIND.jpg". The number puts files in the order in which they were made,
/// whatever the wall clock did; the id keeps a name from ever being given twice, should the folder be emptied.
pub(super) fn name(camera: &str, number: u64, id: Uuid, kind: Kind) -> String {
    // A camera of the configuration has such a name already.
    let fits = |c: char| if c.is_ascii_alphanumeric() || c == '-' || c == '_' { c } else { '_' };
    let camera: String = camera.chars().take(64).map(fits).collect();
    format!("{camera}/{number:012}-{}-{}.jpg", id.simple(), kind.word())
}

/// The number in a name; None for a file that is not one of ours.
pub(super) fn number(name: &str) -> Option<u64> {
    let file = name.rsplit('/').next()?.strip_suffix(".jpg")?;
    let mut parts = file.splitn(3, '-');
    let number = parts.next().filter(|n| n.len() == 12)?.parse().ok()?;
    let is_id = parts.next().is_some_and(|id| Uuid::try_parse(id).is_ok());
    let is_kind = parts.next().is_some_and(|k| [Kind::Crop, Kind::Full].iter().any(|kind| kind.word() == k));
    (is_id && is_kind).then_some(number)
}

/// A file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Item {
    /// Its name.
    pub(super) name: String,
    /// Its size.
    pub(super) bytes: u64,
    /// When it was written, by the wall clock of then.
    pub(super) written: SystemTime,
}

/// How much may lie there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Limits {
    /// All files together.
    pub(super) bytes: u64,
    /// Their number.
    pub(super) files: usize,
    /// Their age.
    pub(super) age: Duration,
}

/// All files, the oldest first.
#[derive(Debug)]
pub(super) struct Shelf {
    limits: Limits,
    items: VecDeque<Item>,
    bytes: u64,
}

impl Shelf {
    /// With what was found on disk.
    pub(super) fn new(limits: Limits, mut found: Vec<Item>) -> Self {
        found.sort_by_cached_key(|item| (number(&item.name), item.name.clone()));
        let bytes = found.iter().map(|item| item.bytes).sum();
        Self { limits, items: found.into(), bytes }
    }

    /// The number after all that were given.
    pub(super) fn next_number(&self) -> u64 {
        self.items.back().and_then(|item| number(&item.name)).map_or(1, |n| n + 1)
    }

    /// One more.
    pub(super) fn add(&mut self, item: Item) {
        self.bytes += item.bytes;
        self.items.push_back(item);
    }

    /// What has to go: it is counted as gone from now on. `now` is None while the wall clock cannot be trusted; then nothing goes for its age.
    pub(super) fn surplus(&mut self, now: Option<SystemTime>) -> Vec<Item> {
        let mut gone = Vec::new();
        while let Some(oldest) = self.items.front() {
            let too_much = self.bytes > self.limits.bytes || self.items.len() > self.limits.files;
            if !too_much && !now.is_some_and(|now| self.is_too_old(oldest, now)) {
                break;
            }
            gone.extend(self.pop());
        }
        gone
    }

    /// The oldest of every ten, at least one: there is no space on the disk for more.
    pub(super) fn tenth(&mut self) -> Vec<Item> {
        let count = self.items.len().div_ceil(10);
        (0..count).filter_map(|_| self.pop()).collect()
    }

    /// All files together.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Their number.
    pub(super) fn len(&self) -> usize {
        self.items.len()
    }

    fn pop(&mut self) -> Option<Item> {
        let item = self.items.pop_front()?;
        self.bytes -= item.bytes;
        Some(item)
    }

    fn is_too_old(&self, item: &Item, now: SystemTime) -> bool {
        let was_set = item.written.duration_since(UNIX_EPOCH).is_ok_and(|since| since >= PLAUSIBLE);
        was_set && now.duration_since(item.written).is_ok_and(|age| age > self.limits.age)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const DAY: Duration = Duration::from_secs(86_400);

    fn item(number: u64, bytes: u64, written: SystemTime) -> Item {
        Item { name: name("front", number, Uuid::from_u128(7), Kind::Full), bytes, written }
    }

    fn today() -> SystemTime {
        UNIX_EPOCH + PLAUSIBLE + 400 * DAY
    }

    #[test]
    fn a_name_gives_its_number_back_and_no_other_file_has_one() {
        let name = name("front/../x", 42, Uuid::from_u128(1), Kind::Crop);
        assert_eq!(name, "front____x/000000000042-00000000000000000000000000000001-crop.jpg");
        assert_eq!(number(&name), Some(42));
        for other in ["front/notes.jpg", "front/000000000042-crop.jpg", "front/000000000042-x-crop.jpg", ""] {
            assert_eq!(number(other), None, "{other}");
        }
    }

    #[test]
    fn the_oldest_go_by_number_whatever_their_clock_said() {
        let limits = Limits { bytes: 100, files: 10, age: 7 * DAY };
        let mut shelf =
            Shelf::new(limits, vec![item(3, 40, UNIX_EPOCH), item(1, 40, today()), item(2, 40, UNIX_EPOCH)]);
        assert_eq!(shelf.next_number(), 4);
        assert_eq!(shelf.surplus(Some(today())), [item(1, 40, today())]);
        assert_eq!((shelf.bytes(), shelf.len()), (80, 2));
    }

    #[test]
    fn age_counts_only_where_both_clocks_were_set() {
        let limits = Limits { bytes: 1000, files: 10, age: 7 * DAY };
        let old = today() - 8 * DAY;
        let mut shelf = Shelf::new(limits, vec![item(1, 1, old), item(2, 1, UNIX_EPOCH + DAY), item(3, 1, old)]);
        assert_eq!(shelf.surplus(None), [], "the clock is not set now");
        assert_eq!(shelf.surplus(Some(today())), [item(1, 1, old)], "the second one's age is not known");
        assert_eq!(shelf.surplus(Some(UNIX_EPOCH)), []);
    }

    #[test]
    fn a_full_disk_takes_the_oldest_tenth() {
        let limits = Limits { bytes: 1000, files: 100, age: DAY };
        let mut shelf = Shelf::new(limits, (1..=11).map(|n| item(n, 1, today())).collect());
        assert_eq!(shelf.tenth(), [item(1, 1, today()), item(2, 1, today())]);
        let mut empty = Shelf::new(limits, Vec::new());
        assert!(empty.tenth().is_empty() && empty.len() == 0 && empty.next_number() == 1);
    }

    proptest! {
        #[test]
        fn the_bounds_hold_and_nothing_is_lost_from_the_account(
            sizes in proptest::collection::vec(1_u64..500, 0..100), bytes in 0_u64..5000, files in 0_usize..40,
        ) {
            let mut shelf = Shelf::new(Limits { bytes, files, age: DAY }, Vec::new());
            let (mut added, mut removed) = (0, 0);
            for (n, size) in sizes.into_iter().enumerate() {
                shelf.add(item(n as u64, size, today()));
                added += size;
                removed += shelf.surplus(Some(today())).iter().map(|item| item.bytes).sum::<u64>();
                prop_assert!(shelf.bytes() <= bytes && shelf.len() <= files);
                prop_assert_eq!(shelf.bytes() + removed, added);
            }
        }
    }
}
