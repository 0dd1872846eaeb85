//! Log lines: to the journal with fields under systemd, to stderr for a person else. Repeats are folded (see `fold.rs`).
//!
//! A line about a camera carries it as a key: `log::warn!(camera = name, stage = "ingest"; "no frame for 3 s")`. Under systemd these
//! become the fields `CAMERA=` and `STAGE=` (`journalctl -u peregrine CAMERA=front`). A line that was held back keeps the time of its event:
//! on stderr in front, in the journal, which stamps what it receives, as the field `EVENT_TIME=`.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::io::{IsTerminal, Write as _};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::{Duration, SystemTime};

use log::kv::{Key, Value};
use log::{Level, LevelFilter, Log, Metadata, Record};
use systemd_journal_logger::JournalLog;

use super::fold::{Alike, Fold, Folded};
use crate::runtime::{Clock, environment};

static LOGGER: OnceLock<Logger> = OnceLock::new();

/// Begins to log. A second call only changes the level.
pub fn init(level: LevelFilter, clock: Clock) {
    let logger = LOGGER.get_or_init(|| Logger { to: Destination::find(), fold: Mutex::default(), clock });
    // Only the first call can set it; that it is ours already is what a later call wants.
    let _ = log::set_logger(logger);
    log::set_max_level(level);
}

/// Writes the lines that were held back long enough. Called about once a second by whoever keeps the daemon's watch, so that a count
/// appears also when nothing else is said.
pub fn tick() {
    if let Some(logger) = LOGGER.get() {
        logger.write_due();
    }
}

struct Logger {
    to: Destination,
    fold: Mutex<Fold<Line>>,
    clock: Clock,
}

enum Destination {
    Journal(JournalLog),
    Stderr { colour: bool },
}

/// A record with a life of its own.
#[derive(Debug, Clone)]
struct Line {
    wall: SystemTime,
    level: Level,
    target: String,
    camera: Option<String>,
    stage: Option<String>,
    text: String,
}

impl Destination {
    fn find() -> Self {
        if environment::stderr_is_journal()
            && systemd_journal_logger::connected_to_journal()
            && let Ok(journal) = JournalLog::new()
        {
            return Self::Journal(journal);
        }
        Self::Stderr { colour: std::io::stderr().is_terminal() && environment::var("NO_COLOR").is_none() }
    }

    fn write(&self, line: &Line) {
        match self {
            Self::Journal(journal) => {
                let time = line.time();
                let mut keys = line.keys();
                keys.push(("event_time", Value::from(time.as_str())));
                let mut record = Record::builder();
                record.level(line.level).target(&line.target).key_values(&keys);
                journal.log(&record.args(format_args!("{}", line.text)).build());
            }
            // A closed stderr must not end the program.
            Self::Stderr { colour } => drop(std::io::stderr().lock().write_all(line.shown(*colour).as_bytes())),
        }
    }
}

impl Logger {
    fn write_due(&self) {
        let due = self.fold().due(self.clock.mono());
        self.write_folded(due);
    }

    fn write_folded(&self, folded: Vec<Folded<Line>>) {
        for Folded { mut line, times, over, alike, .. } in folded {
            let over = seconds(over);
            // Writing to a String cannot fail.
            let _ = match alike {
                // One line that came late is simply that line.
                _ if times == 1 => Ok(()),
                Alike::Words => write!(line.text, " ({times} times in {over})"),
                Alike::Place => {
                    write!(line.text, " (the last of {times} such lines in {over}, the others are left out)")
                }
            };
            self.to.write(&line);
        }
    }

    // A panic elsewhere leaves at worst a line uncounted.
    fn fold(&self) -> std::sync::MutexGuard<'_, Fold<Line>> {
        self.fold.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Log for Logger {
    /// Libraries speak up only about what needs attention, unless somebody asks for everything.
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        let ours = metadata.target().split("::").next() == Some("peregrine");
        ours || metadata.level() <= Level::Warn || log::max_level() == LevelFilter::Trace
    }

    fn log(&self, record: &Record<'_>) {
        if !self.enabled(record.metadata()) {
            return;
        }
        self.write_due();
        let line = Line::of(record, self.clock.wall());
        // Who asks for debug lines wants each of them.
        let line = if record.level() >= Level::Debug {
            Some(line)
        } else {
            // Sixty cameras that start at once are no flood.
            let camera = line.camera.as_deref().unwrap_or_default();
            let place = format!("{}:{}:{camera}", record.file().unwrap_or(&line.target), record.line().unwrap_or(0));
            let words = line.words();
            self.fold().offer(&place, &words, line, self.clock.mono())
        };
        if let Some(line) = line {
            self.to.write(&line);
        }
    }

    fn flush(&self) {
        let rest = self.fold().rest(self.clock.mono());
        self.write_folded(rest);
    }
}

impl Line {
    fn of(record: &Record<'_>, wall: SystemTime) -> Self {
        let key = |name: &str| record.key_values().get(Key::from_str(name)).map(|v| v.to_string());
        Self {
            wall,
            level: record.level(),
            target: record.target().to_owned(),
            camera: key("camera"),
            stage: key("stage"),
            text: record.args().to_string(),
        }
    }

    fn keys(&self) -> Vec<(&'static str, Value<'_>)> {
        let keys = [("camera", self.camera.as_deref()), ("stage", self.stage.as_deref())];
        keys.into_iter().filter_map(|(k, v)| v.map(|v| (k, Value::from(v)))).collect()
    }

    /// What makes two lines the same one.
    fn words(&self) -> String {
        format!("{}\0{}\0{}", self.level, self.camera.as_deref().unwrap_or_default(), self.text)
    }

    fn time(&self) -> String {
        jiff::Timestamp::try_from(self.wall).map_or_else(|_| "?".to_owned(), |t| format!("{t:.3}"))
    }

    /// Time, level, camera or stage, text.
    fn shown(&self, colour: bool) -> String {
        let time = self.time();
        let (paint, name) = match self.level {
            Level::Error => ("\x1b[31m", "ERROR"),
            Level::Warn => ("\x1b[33m", "WARN "),
            Level::Info => ("\x1b[32m", "INFO "),
            Level::Debug => ("\x1b[36m", "DEBUG"),
            Level::Trace => ("\x1b[90m", "TRACE"),
        };
        let (paint, plain) = if colour { (paint, "\x1b[0m") } else { ("", "") };
        let who = self.camera.as_deref().or(self.stage.as_deref());
        let who = who.map(|w| format!("{}: ", printable(w))).unwrap_or_default();
        format!("{time} {paint}{name}{plain} {who}{}\n", printable(&self.text))
    }
}

/// Whatever cameras and brokers say cannot move a terminal's cursor or begin a line of its own.
fn printable(text: &str) -> Cow<'_, str> {
    if !text.contains(char::is_control) {
        return text.into();
    }
    let escape = |c: char| if c.is_control() { c.escape_default().to_string() } else { c.to_string() };
    text.chars().map(escape).collect::<String>().into()
}

fn seconds(d: Duration) -> String {
    format!("{} s", d.as_secs_f64().round().max(1.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(text: &str) -> Line {
        Line {
            wall: SystemTime::UNIX_EPOCH + Duration::from_millis(1_767_225_600_250),
            level: Level::Warn,
            target: "peregrine::ingest".to_owned(),
            camera: Some("front".to_owned()),
            stage: None,
            text: text.to_owned(),
        }
    }

    #[test]
    fn lines_differ_by_level_camera_and_text() {
        let front = line("stalled");
        assert_eq!(front.words(), line("stalled").words());
        let others = [
            line("streaming"),
            Line { camera: Some("back".to_owned()), ..line("stalled") },
            Line { camera: None, ..line("stalled") },
            Line { level: Level::Info, ..line("stalled") },
        ];
        assert!(others.iter().all(|other| other.words() != front.words()));
    }

    #[test]
    fn a_line_that_was_held_back_shows_the_time_of_its_event() {
        let (mut fold, said) = (Fold::default(), line("stalled"));
        let later = Line { wall: said.wall + Duration::from_secs(7), ..said.clone() };
        assert!(fold.offer("here", &said.words(), said.clone(), Duration::ZERO).is_some());
        assert!(fold.offer("here", &later.words(), later, Duration::from_secs(7)).is_none());
        let due = fold.due(Duration::from_secs(60));
        assert_eq!(due[0].line.shown(false), "2026-01-01T00:00:07.250Z WARN  front: stalled\n");
    }

    #[test]
    fn a_line_has_its_time_its_level_its_camera_and_no_colour_unless_asked() {
        assert_eq!(line("stalled").shown(false), "2026-01-01T00:00:00.250Z WARN  front: stalled\n");
        assert!(line("stalled").shown(true).contains("\x1b[33mWARN \x1b[0m"));
    }

    #[test]
    fn a_text_from_outside_cannot_forge_a_line() {
        let shown = line("x\n2026-01-01 ERROR forged\x1b[2J").shown(false);
        assert_eq!(shown.lines().count(), 1);
        assert!(!shown.contains('\x1b'), "{shown:?}");
    }

    #[test]
    fn the_camera_of_a_record_is_kept_as_a_key() {
        let keys = vec![("camera", Value::from("front")), ("stage", Value::from("ingest"))];
        let given = Record::builder().key_values(&keys).args(format_args!("x")).build();
        let line = Line::of(&given, SystemTime::UNIX_EPOCH);
        assert_eq!((line.camera.as_deref(), line.stage.as_deref()), (Some("front"), Some("ingest")));
        assert_eq!(line.keys().len(), 2);
    }
}
