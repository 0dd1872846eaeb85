//! Privacy masks of a camera, `[camera.NAME.mask.NAME]`, and pictures of events, `[snapshots]`, as typed and as used.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::resolve::Resolver;

/// A part of a camera's picture that nobody is to see: it is black in every picture that leaves the device.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MaskFile {
    /// Its corners, at least 3, each as [x, y] in fractions of the picture: [0, 0] is the top left corner, [1, 1] the bottom right one.
    /// Must be set.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(inner(inner(range(min = 0.0, max = 1.0))), extend("examples" = [[[0.6, 0.1], [0.9, 0.1], [0.9, 0.4]]]))]
    pub points: Option<Vec<Vec<f64>>>,
    /// True hides it from the detector and the classifiers too: nothing is found there. It costs a copy of each frame.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("examples" = [false]))]
    pub hide_from_detector: Option<bool>,
}

/// A part of a camera's picture that nobody is to see.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Mask {
    /// Its corners, as fractions of the picture.
    pub points: Vec<(f32, f32)>,
    /// Whether the detector and the classifiers do not see it either.
    pub hide_from_detector: bool,
}

impl Mask {
    pub(super) fn resolve(section: &str, typed: &MaskFile, r: &mut Resolver<'_>) -> Self {
        let points: Vec<_> = typed.points.iter().flatten().filter_map(|p| corner(p)).collect();
        let key = format!("{section}.points");
        match &typed.points {
            None => r.error(&key, "missing; write its corners, e.g. [[0.6, 0.1], [0.9, 0.1], [0.9, 0.4]]"),
            Some(typed) if typed.iter().any(|p| p.len() != 2) => {
                r.error(&key, "a corner has two numbers, [x, y], each a fraction of the picture from 0 to 1");
            }
            Some(typed) if typed.len() < 3 => {
                r.error(&key, format!("{} corners enclose nothing; write at least 3", typed.len()));
            }
            // A mask that is a line by mistake would hide nothing of what its owner wants hidden.
            Some(_) if is_flat(&points) => r.error(&key, "all corners lie on one line; a mask needs an area"),
            Some(_) => {}
        }
        Self { points, hide_from_detector: typed.hide_from_detector.unwrap_or(false) }
    }

    pub(super) fn typed(&self) -> MaskFile {
        MaskFile {
            points: Some(self.points.iter().map(|(x, y)| vec![decimal(*x), decimal(*y)]).collect()),
            hide_from_detector: Some(self.hide_from_detector),
        }
    }
}

fn corner(typed: &[f64]) -> Option<(f32, f32)> {
    let [x, y] = *typed else { return None };
    Some((x as f32, y as f32))
}

/// Whether no three corners make a triangle that is worth the name: a millionth of the picture is less than a pixel.
fn is_flat(points: &[(f32, f32)]) -> bool {
    const LEAST: f32 = 1e-6;
    let Some((first, rest)) = points.split_first() else { return true };
    let away = |p: &(f32, f32)| (p.0 - first.0).abs() + (p.1 - first.1).abs();
    let Some(far) = rest.iter().max_by(|a, b| away(a).total_cmp(&away(b))) else { return true };
    let twice_area = |p: &(f32, f32)| (far.0 - first.0) * (p.1 - first.1) - (far.1 - first.1) * (p.0 - first.0);
    rest.iter().all(|p| twice_area(p).abs() <= LEAST)
}

/// The number that a person would have typed.
fn decimal(v: f32) -> f64 {
    v.to_string().parse().unwrap_or_else(|_| f64::from(v))
}

/// Which pictures of events also go to the broker.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum SnapshotsMqtt {
    /// None: they stay on the device.
    #[default]
    Off,
    /// Each, to those who listen now.
    Live,
    /// Each, and the broker keeps the newest of each camera.
    Retained,
}

/// Pictures of events: JPEG files below "snapshots" in the folder of the state, made where a zone, a line or an alert asks for them.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SnapshotsFile {
    /// False makes none, whoever asks.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub enabled: Option<bool>,
    /// JPEG's quality.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 100))]
    pub quality: Option<u8>,
    /// The width in pixels of pictures of the whole frame; smaller frames keep theirs.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 64, max = 8192))]
    pub max_width: Option<u32>,
    /// Pictures older than this many days go.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 3650))]
    pub keep_days: Option<u64>,
    /// The space that they may take on disk, in MiB; the oldest go first.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1_048_576))]
    pub max_mb: Option<u64>,
    /// The number of files that they may be.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 2, max = 1_000_000))]
    pub max_files: Option<u64>,
    /// The memory for the best view of each object that is being followed, in MiB.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 4096))]
    pub memory_mb: Option<u64>,
    /// Whether pictures of the whole frame also go to the broker: "live" for those who listen, "retained" for those who come later too.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mqtt: Option<SnapshotsMqtt>,
}

/// Pictures of events.
#[derive(Debug, Clone, PartialEq)]
pub struct Snapshots {
    /// Whether there are any.
    pub enabled: bool,
    /// JPEG's quality, 1..100.
    pub quality: u8,
    /// The width of pictures of the whole frame, at most.
    pub max_width_px: u32,
    /// The age at which they go.
    pub keep: Duration,
    /// Their size on disk, at most.
    pub max_bytes: u64,
    /// Their number, at most.
    pub max_files: usize,
    /// What may be held in memory.
    pub memory_bytes: usize,
    /// Whether they go to the broker.
    pub mqtt: SnapshotsMqtt,
}

impl Default for Snapshots {
    fn default() -> Self {
        Self {
            enabled: true,
            quality: 80,
            max_width_px: 1280,
            keep: days(7),
            max_bytes: 512 << 20,
            max_files: 20_000,
            memory_bytes: 64 << 20,
            mqtt: SnapshotsMqtt::Off,
        }
    }
}

impl Snapshots {
    pub(super) fn resolve(_section: &str, typed: &SnapshotsFile, _r: &mut Resolver<'_>) -> Self {
        let by_default = Self::default();
        let count = |typed: Option<u64>| typed.map(|n| usize::try_from(n).unwrap_or(usize::MAX));
        Self {
            enabled: typed.enabled.unwrap_or(by_default.enabled),
            quality: typed.quality.unwrap_or(by_default.quality),
            max_width_px: typed.max_width.unwrap_or(by_default.max_width_px),
            keep: typed.keep_days.map_or(by_default.keep, days),
            max_bytes: typed.max_mb.map_or(by_default.max_bytes, |mb| mb << 20),
            max_files: count(typed.max_files).unwrap_or(by_default.max_files),
            memory_bytes: count(typed.memory_mb.map(|mb| mb << 20)).unwrap_or(by_default.memory_bytes),
            mqtt: typed.mqtt.unwrap_or(by_default.mqtt),
        }
    }

    pub(super) fn typed(&self) -> SnapshotsFile {
        SnapshotsFile {
            enabled: Some(self.enabled),
            quality: Some(self.quality),
            max_width: Some(self.max_width_px),
            keep_days: Some(self.keep.as_secs() / DAY_SECS),
            max_mb: Some(self.max_bytes >> 20),
            max_files: Some(self.max_files as u64),
            memory_mb: Some(self.memory_bytes as u64 >> 20),
            mqtt: Some(self.mqtt),
        }
    }
}

const DAY_SECS: u64 = 24 * 60 * 60;

fn days(n: u64) -> Duration {
    Duration::from_secs(n * DAY_SECS)
}

#[cfg(test)]
mod tests {
    use super::super::load::parse;
    use super::super::{Config, Surroundings, render};
    use super::{Mask, Snapshots, SnapshotsMqtt};

    fn read(text: &str) -> Result<Config, Vec<String>> {
        let no_secret = |_: &std::path::Path| Err(std::io::Error::other("no secret"));
        let read = parse(text, &Surroundings { processors: 1, ..Surroundings::default() }, &no_secret);
        read.map(|(loaded, _)| loaded.config).map_err(|e| e.iter().map(ToString::to_string).collect())
    }

    fn mask(points: &str) -> String {
        format!("[camera.front]\nsource = \"test:\"\n[camera.front.mask.window]\n{points}\n")
    }

    #[test]
    fn a_mask_is_read_and_shown_again() {
        let config = read(&mask("points = [[0, 0.25], [0.5, 0], [1, 1]]\nhide_from_detector = true")).expect("valid");
        let expected = Mask { points: vec![(0.0, 0.25), (0.5, 0.0), (1.0, 1.0)], hide_from_detector: true };
        assert_eq!(config.cameras["front"].masks["window"], expected);
        assert_eq!(read(&render(&config)).expect("valid"), config);
    }

    #[test]
    fn zones_lines_and_alerts_ask_for_pictures_and_do_not_by_themselves() {
        let text = |key: &str| {
            let zone = format!("[camera.front.zone.door]\npoints = [[0.1, 0.1], [0.9, 0.1], [0.9, 0.9]]\n{key}\n");
            let line = format!("[camera.front.line.gate]\npoints = [[0.1, 0.1], [0.9, 0.1]]\n{key}\n");
            format!("[camera.front]\nsource = \"test:\"\n{zone}{line}[alert.a]\non = \"entered\"\n{key}\n")
        };
        let asks = |config: &Config| {
            let front = &config.cameras["front"];
            [front.zones["door"].snapshot, front.lines["gate"].snapshot, config.alerts["a"].snapshot]
        };
        assert_eq!(asks(&read(&text("")).expect("valid")), [false; 3]);
        let asked = read(&text("snapshot = true")).expect("valid");
        assert_eq!(asks(&asked), [true; 3]);
        assert_eq!(read(&render(&asked)).expect("valid"), asked);
    }

    #[test]
    fn a_mask_that_hides_nothing_is_refused_with_what_would_be_right() {
        for (points, told) in [
            ("", "camera.front.mask.window.points: missing"),
            ("points = [[0.1, 0.1], [0.5, 0.5]]", "write at least 3"),
            ("points = [[0.1, 0.1], [0.5, 0.5, 0.5], [0.9, 0.1]]", "a corner has two numbers"),
            ("points = [[0.1, 0.1], [0.5, 0.5], [0.9, 0.9]]", "all corners lie on one line"),
            ("points = [[10, 0.1], [0.5, 0.5], [0.9, 0.1]]", "10 is out of range; write a value from 0 to 1"),
            ("points = [[0.1, 0.1], [0.5, 0.5], [0.9, 0.1]]\nhide = true", "unknown key"),
        ] {
            let errors = read(&mask(points)).expect_err(points);
            assert!(errors.iter().any(|e| e.contains(told)), "{points}: {errors:?}");
        }
    }

    #[test]
    fn snapshots_are_bounded_unless_somebody_says_otherwise() {
        let by_default = read("").expect("valid").snapshots;
        assert_eq!(by_default, Snapshots::default());
        let typed = read("[snapshots]\nmax_mb = 3\nkeep_days = 2\nmqtt = \"retained\"\nquality = 60\n").expect("valid");
        let expected = Snapshots {
            max_bytes: 3 << 20,
            keep: std::time::Duration::from_secs(172_800),
            mqtt: SnapshotsMqtt::Retained,
            quality: 60,
            ..by_default
        };
        assert_eq!(typed.snapshots, expected);
        assert!(read("[snapshots]\nquality = 101\n").is_err());
    }
}
