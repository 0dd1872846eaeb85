//! From the file as typed to the configuration as used: defaults, cross checks, secrets. All errors at once.
//!
//! Pure: the host and the reading of secret files are arguments. Absent on purpose: logging, the environment, the file itself.

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::address::{self, Broker, Place};
use super::error::ConfigError;
use super::file::{CameraFile, ClassifyFile, ConfigFile, IngestFile, LogLevel, MqttFile};
use super::walk::{did_you_mean, is_name};
use super::{
    Api, Camera, Classify, ClientCert, Codec, Config, Detect, Device, EngineChoice, Ingest, Log, Login, Mqtt,
    MqttVersion, Paths, Publish, Secret, Source, Tls, Track, Transport,
};

/// What the file does not say about the device that it is read on.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Surroundings {
    /// The host's name.
    pub hostname: Option<String>,
    /// Where `${credential:NAME}` is looked up (systemd's `$CREDENTIALS_DIRECTORY`).
    pub credentials_dir: Option<PathBuf>,
    /// How many processors there are.
    pub processors: usize,
}

/// What resolving gives beside the configuration.
#[derive(Debug, Default)]
pub(super) struct Findings {
    pub(super) errors: Vec<ConfigError>,
    pub(super) warnings: Vec<String>,
}

/// How a secret's file is read.
pub(super) type ReadSecret<'a> = &'a dyn Fn(&Path) -> io::Result<String>;

/// Resolves a file. The configuration that comes with errors is not to be used.
pub(super) fn resolve(file: &ConfigFile, around: &Surroundings, read: ReadSecret<'_>) -> (Config, Findings) {
    let mut r = Resolver { around, read, findings: Findings::default() };
    let device = Device { name: r.device_name(file.device.name.as_deref()) };
    let config = Config {
        paths: Paths { models: file.paths.models.as_deref().unwrap_or("/usr/share/peregrine/models").into() },
        mqtt: r.mqtt(&file.mqtt, &device.name),
        device,
        publish: Publish {
            detections_hz: file.publish.detections_hz.unwrap_or(5.0),
            track_updates_hz: file.publish.track_updates_hz.unwrap_or(1.0),
        },
        ingest: r.ingest(&file.ingest),
        detect: Detect {
            model: r.model(file.detect.model.as_deref().unwrap_or("yolov8n_640"), "detect.model"),
            engine: file.detect.engine.unwrap_or(EngineChoice::Auto),
            threads: match file.detect.threads.unwrap_or(0) {
                0 => around.processors.max(1),
                n => count(n),
            },
            confidence: file.detect.confidence.map(|v| v as f32),
            nms_iou: file.detect.nms_iou.map(|v| v as f32),
            classes: file.detect.classes.clone().unwrap_or_default(),
        },
        track: Track {
            max_age_frames: file.track.max_age_frames.unwrap_or(10),
            min_hits: file.track.min_hits.unwrap_or(3),
            iou: file.track.iou.unwrap_or(0.3) as f32,
        },
        classify: file.classify.iter().map(|(name, c)| (name.clone(), r.classify(name, c))).collect(),
        cameras: r.cameras(&file.camera),
        api: Api { enabled: file.api.enabled.unwrap_or(true), listen: r.listen(file.api.listen.as_deref()) },
        log: Log { level: level(file.log.level.unwrap_or(LogLevel::Info)) },
    };
    (config, r.findings)
}

struct Resolver<'a> {
    around: &'a Surroundings,
    read: ReadSecret<'a>,
    findings: Findings,
}

/// The three keys that make a login, and the section in which they stand.
struct LoginKeys<'a> {
    section: &'a str,
    username: Option<&'a str>,
    password: Option<&'a str>,
    password_file: Option<&'a str>,
    in_url: Option<(String, String)>,
}

impl Resolver<'_> {
    fn error(&mut self, key: &str, problem: impl Into<String>) {
        self.findings.errors.push(ConfigError { key: key.to_owned(), line: None, problem: problem.into() });
    }

    fn warn(&mut self, key: &str, what: &str) {
        self.findings.warnings.push(format!("{key}: {what}"));
    }

    fn device_name(&mut self, typed: Option<&str>) -> String {
        if let Some(name) = typed {
            return name.to_owned();
        }
        // A host name may have a domain, and in containers anything; a name for topics is made of what fits.
        let host = self.around.hostname.as_deref().unwrap_or_default();
        let fits = |c: char| if c.is_ascii_alphanumeric() || c == '-' || c == '_' { c } else { '-' };
        let name: String = host.split('.').next().unwrap_or_default().chars().take(64).map(fits).collect();
        if is_name(&name) { name } else { "peregrine".to_owned() }
    }

    fn model(&mut self, model: &str, key: &str) -> String {
        if model.trim().is_empty() {
            self.error(key, "empty; write a model's name or the path of an ONNX file");
        }
        model.to_owned()
    }

    fn mqtt(&mut self, m: &MqttFile, device: &str) -> Mqtt {
        let broker = address::broker(m.broker.as_deref().unwrap_or("mqtt://127.0.0.1:1883")).unwrap_or_else(|why| {
            self.error("mqtt.broker", why);
            Broker { host: String::new(), port: 1883, tls: false, login: None }
        });
        let prefix = m.prefix.as_deref().unwrap_or("peregrine");
        if !prefix.split('/').all(is_name) {
            self.error(
                "mqtt.prefix",
                format!("{prefix:?} is no topic; write words of letters, digits, '-' and '_', with '/' between"),
            );
        }
        let client_id = m.client_id.clone().unwrap_or_else(|| format!("peregrine-{device}"));
        if client_id.is_empty() || client_id.len() > 256 || client_id.chars().any(char::is_control) {
            self.error("mqtt.client_id", "write 1 to 256 characters, none of them a control character");
        }
        Mqtt {
            login: self.login(LoginKeys {
                section: "mqtt",
                username: m.username.as_deref(),
                password: m.password.as_deref(),
                password_file: m.password_file.as_deref(),
                in_url: broker.login,
            }),
            tls: self.tls(m, broker.tls),
            host: broker.host,
            port: broker.port,
            version: m.version.unwrap_or(MqttVersion::V5),
            client_id,
            prefix: prefix.to_owned(),
            keep_alive: Duration::from_secs(m.keep_alive_secs.unwrap_or(10)),
            outbox_capacity: count(m.outbox_capacity.unwrap_or(10_000)),
        }
    }

    fn tls(&mut self, m: &MqttFile, wanted: bool) -> Option<Tls> {
        let keys = [("mqtt.ca_file", &m.ca_file), ("mqtt.cert_file", &m.cert_file), ("mqtt.key_file", &m.key_file)];
        if !wanted {
            for (key, _) in keys.iter().filter(|(_, v)| v.is_some()) {
                self.error(key, "set, yet the broker is spoken to without TLS; write broker = \"mqtts://…\"");
            }
            return None;
        }
        let client = match (&m.cert_file, &m.key_file) {
            (Some(cert), Some(key)) => Some(ClientCert { cert_file: cert.into(), key_file: key.into() }),
            (None, None) => None,
            (Some(_), None) => {
                self.error("mqtt.key_file", "missing; a certificate (cert_file) needs its private key");
                None
            }
            (None, Some(_)) => {
                self.error("mqtt.cert_file", "missing; a private key (key_file) needs its certificate");
                None
            }
        };
        Some(Tls { ca_file: m.ca_file.as_ref().map(PathBuf::from), client })
    }

    fn login(&mut self, keys: LoginKeys<'_>) -> Option<Login> {
        let key = |name: &str| format!("{}.{name}", keys.section);
        if let Some((username, password)) = keys.in_url {
            for (name, set) in
                [("username", keys.username), ("password", keys.password), ("password_file", keys.password_file)]
            {
                if set.is_some() {
                    self.error(&key(name), "set, and the address has a login as well; keep one of them");
                }
            }
            let password = self.expanded(&key("password"), &password);
            return Some(Login { username, password: Secret::new(password) });
        }
        let password = match (keys.password, keys.password_file) {
            (Some(_), Some(_)) => {
                self.error(&key("password_file"), "set beside `password`; keep one of them");
                None
            }
            (Some(password), None) => Some(self.expanded(&key("password"), password)),
            (None, Some(file)) => Some(self.secret(&key("password_file"), Path::new(file))),
            (None, None) => None,
        };
        let Some(username) = keys.username else {
            if password.is_some() {
                self.error(&key("username"), "missing; a password needs a user name");
            }
            return None;
        };
        let username = self.expanded(&key("username"), username);
        Some(Login { username, password: Secret::new(password.unwrap_or_default()) })
    }

    /// `${credential:NAME}` → what the file NAME holds; anything else stays.
    fn expanded(&mut self, key: &str, typed: &str) -> String {
        let Some(name) = typed.strip_prefix("${credential:").and_then(|t| t.strip_suffix('}')) else {
            return typed.to_owned();
        };
        if name.is_empty() || name.len() > 255 || name.starts_with('.') || name.contains(['/', '\0']) {
            self.error(key, "no such credential can be: write ${credential:NAME} with the name of a file");
            return String::new();
        }
        let Some(dir) = self.around.credentials_dir.clone() else {
            let problem = format!(
                "the credential {name:?} is asked for, but the service has none (CREDENTIALS_DIRECTORY is not set); add LoadCredential={name}:FILE to the unit"
            );
            self.error(key, problem);
            return String::new();
        };
        self.secret(key, &dir.join(name))
    }

    fn secret(&mut self, key: &str, path: &Path) -> String {
        match (self.read)(path) {
            Ok(text) => text.trim_end_matches(['\r', '\n']).to_owned(),
            Err(e) => {
                let problem = format!(
                    "{} cannot be read: {e}; write the secret into it, readable by the service",
                    path.display()
                );
                self.error(key, problem);
                String::new()
            }
        }
    }

    fn ingest(&mut self, i: &IngestFile) -> Ingest {
        let ms = |typed: Option<u64>, default| Duration::from_millis(typed.unwrap_or(default));
        let ingest = Ingest {
            stall_after: ms(i.stall_ms, 3_000),
            first_frame_within: ms(i.first_frame_ms, 10_000),
            backoff_min: ms(i.backoff_min_ms, 500),
            backoff_max: ms(i.backoff_max_ms, 10_000),
            auth_backoff_max: ms(i.auth_backoff_max_ms, 60_000),
            ring_capacity: count(i.ring_capacity.unwrap_or(1)),
        };
        let least = ingest.backoff_min.as_millis();
        for (key, longest) in
            [("ingest.backoff_max_ms", ingest.backoff_max), ("ingest.auth_backoff_max_ms", ingest.auth_backoff_max)]
        {
            if longest < ingest.backoff_min {
                let problem = format!("{} is shorter than backoff_min_ms; write at least {least}", longest.as_millis());
                self.error(key, problem);
            }
        }
        ingest
    }

    fn classify(&mut self, name: &str, c: &ClassifyFile) -> Classify {
        let key = format!("classify.{name}.model");
        if c.model.is_none() {
            self.error(&key, "missing; write a model's name or the path of an ONNX file");
        }
        Classify {
            model: c.model.as_deref().map(|m| self.model(m, &key)).unwrap_or_default(),
            engine: c.engine.unwrap_or(EngineChoice::Auto),
            classes: c.classes.clone().unwrap_or_default(),
            interval: Duration::from_millis(c.interval_ms.unwrap_or(500)),
            max_looks: c.max_looks.unwrap_or(10),
            min_size_px: c.min_size_px.unwrap_or(32),
            margin: c.margin.unwrap_or(0.1) as f32,
            min_confidence: c.min_confidence.unwrap_or(0.3) as f32,
        }
    }

    fn cameras(&mut self, typed: &BTreeMap<String, CameraFile>) -> BTreeMap<String, Camera> {
        let mut cameras = BTreeMap::new();
        let mut devices: BTreeMap<String, &str> = BTreeMap::new();
        for (name, file) in typed {
            let Some(camera) = self.camera(name, file) else { continue };
            let device = match &camera.source {
                Source::V4l2 { device } => Some(device.display().to_string()),
                Source::Csi { sensor } => Some(format!("csi:{sensor}")),
                _ => None,
            };
            if let Some(device) = device.filter(|_| camera.enabled) {
                if let Some(other) = devices.get(&device) {
                    let problem = format!("{device} is camera {other:?}'s already; a device serves one camera");
                    self.error(&format!("camera.{name}.source"), problem);
                }
                devices.insert(device, name);
            }
            cameras.insert(name.clone(), camera);
        }
        if cameras.values().all(|c| !c.enabled) {
            self.warn("camera", "there is no camera to watch; add a section [camera.NAME] with a source");
        }
        cameras
    }

    fn camera(&mut self, name: &str, c: &CameraFile) -> Option<Camera> {
        let section = format!("camera.{name}");
        let key = |k: &str| format!("{section}.{k}");
        let size_px = match (c.width, c.height) {
            (Some(w), Some(h)) => Some((w, h)),
            (None, None) => None,
            (w, _) => {
                let (missing, set) = if w.is_some() { ("height", "width") } else { ("width", "height") };
                self.error(&key(missing), format!("missing; {set} is set, and a size needs both"));
                None
            }
        };
        let Some(source) = c.source.as_deref() else {
            self.error(
                &key("source"),
                "missing; write where the pictures come from, e.g. \"rtsp://192.0.2.10/stream1\"",
            );
            return None;
        };
        let place = address::camera(source).map_err(|why| self.error(&key("source"), why)).ok()?;
        self.warn_of_idle_keys(&section, c, &place);
        let source = match place {
            Place::Rtsp { url, login } => Source::Rtsp {
                url,
                transport: c.transport.unwrap_or(Transport::Tcp),
                login: self.login(LoginKeys {
                    section: &section,
                    username: c.username.as_deref(),
                    password: c.password.as_deref(),
                    password_file: c.password_file.as_deref(),
                    in_url: login,
                }),
                latency: Duration::from_millis(c.latency_ms.unwrap_or(200)),
            },
            Place::File(path) => Source::File { path, repeat: c.repeat.unwrap_or(false) },
            Place::V4l2(device) => {
                if matches!(c.codec, Some(Codec::H265)) {
                    self.warn(&key("codec"), "few V4L2 cameras send H.265");
                }
                Source::V4l2 { device }
            }
            Place::Csi(sensor) => Source::Csi { sensor },
            Place::Test(pattern) => Source::Test { pattern },
        };
        Some(Camera { source, codec: c.codec, size_px, fps: c.fps, enabled: c.enabled.unwrap_or(true) })
    }

    /// A key that does nothing for this kind of source is a misunderstanding, not a fault.
    fn warn_of_idle_keys(&mut self, section: &str, c: &CameraFile, place: &Place) {
        let (rtsp, file) = (matches!(place, Place::Rtsp { .. }), matches!(place, Place::File(_)));
        let asked = !(rtsp || file);
        let keys = [
            ("transport", c.transport.is_some(), rtsp, "an RTSP camera"),
            ("latency_ms", c.latency_ms.is_some(), rtsp, "an RTSP camera"),
            ("username", c.username.is_some(), rtsp, "an RTSP camera"),
            ("password", c.password.is_some(), rtsp, "an RTSP camera"),
            ("password_file", c.password_file.is_some(), rtsp, "an RTSP camera"),
            ("repeat", c.repeat.is_some(), file, "a video file"),
            ("width", c.width.is_some(), asked, "a V4L2, CSI or test source"),
            ("height", c.height.is_some(), asked, "a V4L2, CSI or test source"),
            ("fps", c.fps.is_some(), asked, "a V4L2, CSI or test source"),
        ];
        for (name, _, _, owner) in keys.iter().filter(|(_, set, used, _)| *set && !used) {
            self.warn(&format!("{section}.{name}"), &format!("has no effect: it is for {owner}"));
        }
    }

    fn listen(&mut self, typed: Option<&str>) -> SocketAddr {
        const DEFAULT: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 8420);
        let Some(typed) = typed else { return DEFAULT };
        let Ok(listen) = typed.replace("localhost:", "127.0.0.1:").parse::<SocketAddr>() else {
            self.error(
                "api.listen",
                format!("{typed:?} is no address with a port; write e.g. \"127.0.0.1:8420\" or \"[::1]:8420\""),
            );
            return DEFAULT;
        };
        if !listen.ip().is_loopback() {
            self.warn("api.listen", "is open to the network, and the server asks for no password");
        }
        listen
    }
}

/// Finds the profile's name or says what there is.
pub(super) fn unknown_profile(name: &str, known: &[&str]) -> ConfigError {
    let guess = did_you_mean(name, known.iter().copied());
    let problem = format!("{name:?} is not known; write one of {}{guess}", known.join(", "));
    ConfigError { key: "profile".to_owned(), line: None, problem }
}

fn level(level: LogLevel) -> log::LevelFilter {
    match level {
        LogLevel::Off => log::LevelFilter::Off,
        LogLevel::Error => log::LevelFilter::Error,
        LogLevel::Warn => log::LevelFilter::Warn,
        LogLevel::Info => log::LevelFilter::Info,
        LogLevel::Debug => log::LevelFilter::Debug,
        LogLevel::Trace => log::LevelFilter::Trace,
    }
}

/// The schema bounds every count far below what fits; a 32-bit machine saturates.
fn count(n: u64) -> usize {
    usize::try_from(n).unwrap_or(usize::MAX)
}
