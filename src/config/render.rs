//! From the configuration as used back to a file: what `check --print` shows, the reference `config/default.toml` and the JSON Schema.
//!
//! Pure. Belongs here: texts made from the types. Does not: where they are written.

use std::fmt::Write as _;
use std::time::Duration;

use serde::Deserialize;
use serde_json::Value as Json;

use super::address::broker_url;
use super::file::{
    ApiFile, CameraFile, ClassifyFile, ConfigFile, DetectFile, DeviceFile, IngestFile, LogFile, LogLevel, MqttFile,
    PathsFile, PublishFile, TensorrtFile, TrackFile,
};
use super::resolve::{Surroundings, resolve};
use super::{Camera, Classify, Config, Ingest, Login, Mqtt, Secret, Source, Tensorrt, profile, redact, schema};

/// How what may be secret is written.
#[derive(Clone, Copy)]
pub(super) struct Show {
    pub(super) password: fn(&Secret) -> String,
    pub(super) url: fn(&str) -> String,
}

const HIDDEN: Show = Show { password: |_| "[hidden]".to_owned(), url: redact::address };

/// Sections that owners name, and how the reference names one.
const NAMED: [(&str, &str); 6] = [
    ("camera", "front"),
    ("classify", "vehicle"),
    ("zone", "door"),
    ("line", "gate"),
    ("mask", "window"),
    ("alert", "intruder"),
];

/// The width of comments in the reference.
const COLUMNS: usize = 100;

/// The resolved configuration as TOML, with every key that has a value; secrets are hidden.
pub fn render(config: &Config) -> String {
    toml::to_string(&typed(config, HIDDEN)).expect("a file of plain keys and tables is TOML")
}

/// `config/default.toml`: every key with its comment, its range and its default; keys without a default are commented out.
pub fn reference() -> String {
    let schema = schema::root();
    let defaults = default_table(&schema);
    let full = ConfigFile::deserialize(toml::Value::Table(profile::merged(examples(&schema), defaults.clone())));
    let full = toml::to_string(&full.expect("examples fit the types")).expect("TOML");
    let mut out = String::from("#:schema ./config.schema.json\n");
    let about = "Every key of Peregrine's configuration with its default. A key that is commented out has none; its value is an example. \
                 This file is generated from the program; an empty configuration means the same.";
    comment(&mut out, about);
    let mut section: Vec<&str> = Vec::new();
    for line in full.lines() {
        if let Some(header) = line.strip_prefix('[').and_then(|l| l.strip_suffix(']')) {
            section = header.split('.').collect();
            let live = !is_named(section[0]);
            out.push('\n');
            comment(&mut out, described(&at(&schema, &section)));
            let _ = writeln!(out, "{}{line}", if live { "" } else { "#" });
        } else if let Some((key, _)) = line.split_once(" = ") {
            let path: Vec<&str> = section.iter().copied().chain([key]).collect();
            out.push('\n');
            comment(&mut out, &key_comment(&at(&schema, &path)));
            let _ = writeln!(out, "{}{line}", if stands(&defaults, &path) { "" } else { "#" });
        }
    }
    out
}

/// `config/config.schema.json`: the JSON Schema of the file, defaults included.
pub fn json_schema() -> String {
    let mut root = schema::root();
    let defaults = default_table(&root);
    for (section, values) in &defaults {
        for (key, value) in values.as_table().into_iter().flatten() {
            if let Some(Json::Object(schema)) = root.pointer_mut(&format!("/properties/{section}/properties/{key}")) {
                schema.insert("default".to_owned(), serde_json::to_value(value).unwrap_or_default());
            }
        }
    }
    let mut text = serde_json::to_string_pretty(&root).expect("a tree of JSON");
    text.push('\n');
    text
}

/// The file that resolves to this configuration.
pub(super) fn typed(config: &Config, show: Show) -> ConfigFile {
    ConfigFile {
        profile: None,
        device: DeviceFile { name: Some(config.device.name.clone()) },
        paths: PathsFile {
            models: Some(config.paths.models.display().to_string()),
            state: Some(config.paths.state.display().to_string()),
        },
        mqtt: mqtt(&config.mqtt, show),
        publish: PublishFile {
            detections_hz: Some(config.publish.detections_hz),
            track_updates_hz: Some(config.publish.track_updates_hz),
        },
        ingest: ingest(&config.ingest),
        schedule: config.schedule.typed(),
        detect: DetectFile {
            model: Some(config.detect.model.clone()),
            engine: Some(config.detect.engine),
            threads: Some(config.detect.threads as u64),
            confidence: config.detect.confidence.map(decimal),
            nms_iou: config.detect.nms_iou.map(decimal),
            classes: Some(config.detect.classes.clone()),
        },
        attend: config.attend.typed(),
        tensorrt: tensorrt(&config.tensorrt),
        track: TrackFile {
            max_age_frames: Some(config.track.max_age_frames),
            min_hits: Some(config.track.min_hits),
            iou: Some(decimal(config.track.iou)),
        },
        classify: config.classify.iter().map(|(n, c)| (n.clone(), classify(c))).collect(),
        camera: config.cameras.iter().map(|(n, c)| (n.clone(), camera(c, show))).collect(),
        alert: config.alerts.iter().map(|(n, a)| (n.clone(), a.typed())).collect(),
        budget: config.budget.typed(),
        store: config.store.typed(),
        snapshots: config.snapshots.typed(),
        homeassistant: config.homeassistant.typed(),
        onvif: config.onvif.typed(),
        commands: config.commands.typed(),
        monitor: config.monitor.typed(),
        api: ApiFile { enabled: Some(config.api.enabled), listen: Some(config.api.listen.to_string()) },
        log: LogFile { level: Some(level(config.log.level)) },
    }
}

fn mqtt(m: &Mqtt, show: Show) -> MqttFile {
    let (username, password) = login(m.login.as_ref(), show);
    let path = |p: &std::path::PathBuf| p.display().to_string();
    let client = m.tls.as_ref().and_then(|t| t.client.as_ref());
    MqttFile {
        broker: Some(broker_url(&m.host, m.port, m.tls.is_some())),
        version: Some(m.version),
        prefix: Some(m.prefix.clone()),
        client_id: Some(m.client_id.clone()),
        username,
        password,
        password_file: None,
        ca_file: m.tls.as_ref().and_then(|t| t.ca_file.as_ref()).map(path),
        cert_file: client.map(|c| path(&c.cert_file)),
        key_file: client.map(|c| path(&c.key_file)),
        keep_alive_secs: Some(m.keep_alive.as_secs()),
        outbox_capacity: Some(m.outbox_capacity as u64),
    }
}

fn ingest(i: &Ingest) -> IngestFile {
    IngestFile {
        stall_ms: Some(ms(i.stall_after)),
        first_frame_ms: Some(ms(i.first_frame_within)),
        backoff_min_ms: Some(ms(i.backoff_min)),
        backoff_max_ms: Some(ms(i.backoff_max)),
        auth_backoff_max_ms: Some(ms(i.auth_backoff_max)),
        ring_capacity: Some(i.ring_capacity as u64),
        connects_at_once: Some(i.connects_at_once as u64),
        nvmm: Some(i.nvmm),
    }
}

fn tensorrt(t: &Tensorrt) -> TensorrtFile {
    TensorrtFile {
        devices: Some(t.devices.clone()),
        workers_per_device: Some(t.workers_per_device as u64),
        precision: Some(t.precision),
        dla_core: t.dla_core,
        workspace_mb: Some(t.workspace_bytes >> 20),
        retry_secs: Some(t.retry_after.as_secs()),
    }
}

fn classify(c: &Classify) -> ClassifyFile {
    ClassifyFile {
        model: Some(c.model.clone()),
        engine: Some(c.engine),
        classes: Some(c.classes.clone()),
        interval_ms: Some(ms(c.interval)),
        max_looks: Some(c.max_looks),
        min_size_px: Some(c.min_size_px),
        margin: Some(decimal(c.margin)),
        min_confidence: Some(decimal(c.min_confidence)),
    }
}

fn camera(c: &Camera, show: Show) -> CameraFile {
    let mut file = CameraFile {
        codec: c.codec,
        width: c.size_px.map(|(w, _)| w),
        height: c.size_px.map(|(_, h)| h),
        fps: c.fps,
        detect_fps: c.detect_fps,
        priority: Some(c.priority),
        max_age_ms: c.max_age.map(ms),
        enabled: Some(c.enabled),
        appearances: Some(c.appearances),
        stopped_secs: c.stopped.map(|d| d.as_secs_f64()),
        zone: c.zones.iter().map(|(n, z)| (n.clone(), z.typed())).collect(),
        line: c.lines.iter().map(|(n, l)| (n.clone(), l.typed())).collect(),
        mask: c.masks.iter().map(|(n, m)| (n.clone(), m.typed())).collect(),
        ..CameraFile::default()
    };
    match &c.source {
        Source::Rtsp { url, transport, login: known, latency } => {
            (file.username, file.password) = login(known.as_ref(), show);
            file.source = Some((show.url)(url));
            file.transport = Some(*transport);
            file.latency_ms = Some(ms(*latency));
        }
        Source::File { path, repeat } => {
            file.source = Some(path.display().to_string());
            file.repeat = Some(*repeat);
        }
        Source::V4l2 { device } => file.source = Some(format!("v4l2:{}", device.display())),
        Source::Csi { sensor } => file.source = Some(format!("csi:{sensor}")),
        Source::Test { pattern } => file.source = Some(format!("test:{pattern}")),
    }
    file
}

fn login(login: Option<&Login>, show: Show) -> (Option<String>, Option<String>) {
    (login.map(|l| l.username.clone()), login.map(|l| (show.password)(&l.password)))
}

fn level(level: log::LevelFilter) -> LogLevel {
    match level {
        log::LevelFilter::Off => LogLevel::Off,
        log::LevelFilter::Error => LogLevel::Error,
        log::LevelFilter::Warn => LogLevel::Warn,
        log::LevelFilter::Info => LogLevel::Info,
        log::LevelFilter::Debug => LogLevel::Debug,
        log::LevelFilter::Trace => LogLevel::Trace,
    }
}

fn ms(d: Duration) -> u64 {
    u64::try_from(d.as_millis()).unwrap_or(u64::MAX)
}

/// The number that a person would have typed: 0.3, not 0.30000001192092896.
fn decimal(v: f32) -> f64 {
    v.to_string().parse().unwrap_or_else(|_| f64::from(v))
}

/// What an empty file means, as far as it does not depend on the device.
fn default_table(schema: &Json) -> toml::Table {
    let around = Surroundings::default();
    let unreadable = |_: &std::path::Path| Err(std::io::Error::other("no secret has a default"));
    let mut sample = ConfigFile::default();
    sample.camera.insert(
        "front".to_owned(),
        CameraFile { source: example(schema, "camera", "source"), ..CameraFile::default() },
    );
    sample.classify.insert(
        "vehicle".to_owned(),
        ClassifyFile { model: example(schema, "classify", "model"), ..ClassifyFile::default() },
    );
    let (config, _) = resolve(&sample, &around, &unreadable);
    let mut file = typed(&config, HIDDEN);
    file.device.name = None;
    file.mqtt.client_id = None;
    file.detect.threads = Some(0);
    toml::Table::try_from(file).expect("a file of plain keys and tables is TOML")
}

fn example(schema: &Json, section: &str, key: &str) -> Option<String> {
    at(schema, &[section, "any", key])["examples"][0].as_str().map(str::to_owned)
}

/// Every key that has an example in the schema, with it.
fn examples(schema: &Json) -> toml::Table {
    let mut table = toml::Table::new();
    for (key, schema) in schema["properties"].as_object().into_iter().flatten() {
        let value = if let Some(example) = schema["examples"].get(0) {
            toml::Value::try_from(example).expect("examples are plain values")
        } else if let Some(entry) = schema.get("additionalProperties").filter(|s| s.is_object()) {
            let name = NAMED.iter().find(|(section, _)| section == key).map_or("example", |(_, name)| name);
            toml::Value::Table(toml::Table::from_iter([(name.to_owned(), toml::Value::Table(examples(entry)))]))
        } else if schema["type"] == "object" {
            toml::Value::Table(examples(schema))
        } else {
            continue;
        };
        table.insert(key.clone(), value);
    }
    table
}

/// Whether the sections of this kind have names of the owner's: no such section stands in the file by default.
fn is_named(section: &str) -> bool {
    NAMED.iter().any(|(named, _)| *named == section)
}

/// The schema at a path of keys; the name of a camera or classifier is any name.
fn at(schema: &Json, path: &[&str]) -> Json {
    path.iter().fold(schema.clone(), |s, key| {
        s["properties"].get(*key).or_else(|| s.get("additionalProperties")).cloned().unwrap_or_default()
    })
}

fn stands(defaults: &toml::Table, path: &[&str]) -> bool {
    if is_named(path[0]) {
        return false;
    }
    match path {
        [section, key] => defaults.get(*section).and_then(|s| s.get(key)).is_some(),
        _ => false,
    }
}

fn described(schema: &Json) -> &str {
    schema["description"].as_str().unwrap_or_default()
}

fn key_comment(schema: &Json) -> String {
    let mut text = described(schema).to_owned();
    let choices = schema::choices(schema);
    if !choices.is_empty() {
        let quoted: Vec<_> = choices.iter().map(|c| format!("{c:?}")).collect();
        let _ = write!(text, " One of {}.", quoted.join(", "));
    } else if let Some((low, high)) = schema::range(schema) {
        let _ = write!(text, " From {low} to {high}.");
    }
    text
}

fn comment(out: &mut String, text: &str) {
    if text.is_empty() {
        return;
    }
    let mut line = String::from("#");
    for word in text.split_whitespace() {
        if line.chars().count() + 1 + word.chars().count() > COLUMNS {
            let _ = writeln!(out, "{line}");
            line = String::from("#");
        }
        line.push(' ');
        line.push_str(word);
    }
    let _ = writeln!(out, "{line}");
}
