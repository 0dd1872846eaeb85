//! From the file as typed to the configuration as used: defaults, cross checks, secrets. All errors at once.
//!
//! Pure: the host and the reading of secret files are arguments. Absent on purpose: logging, the environment, the file itself.

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::address::{self, Broker};
use super::alert_checks::check_names;
use super::error::ConfigError;
use super::file::{ClassifyFile, ConfigFile, IngestFile, LogLevel, MqttFile, TensorrtFile};
use super::login::LoginKeys;
use super::walk::{did_you_mean, is_name};
use super::{
    Alert, Api, Attend, Budget, Classify, ClientCert, Commands, Config, Detect, Device, EngineChoice, HomeAssistant,
    Ingest, Log, Monitor, Mqtt, MqttVersion, Nvmm, Onvif, Paths, Publish, Schedule, Snapshots, Store, Tensorrt, Tls,
    Track,
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
    /// Which passwords and user names must be there.
    pub secrets: Secrets,
}

/// Which secrets must be there: not every command is run by who may read them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Secrets {
    /// All: the daemon's own case.
    #[default]
    All,
    /// Those in files; those that the service manager gives only where it does, and a warning elsewhere.
    InFiles,
    /// None is read: the command uses none.
    None,
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
        paths: Paths {
            models: file.paths.models.as_deref().unwrap_or("/usr/share/peregrine/models").into(),
            state: file.paths.state.as_deref().unwrap_or("/var/lib/peregrine").into(),
        },
        mqtt: r.mqtt(&file.mqtt, &device.name),
        device,
        publish: Publish {
            detections_hz: file.publish.detections_hz.unwrap_or(5.0),
            track_updates_hz: file.publish.track_updates_hz.unwrap_or(1.0),
        },
        ingest: r.ingest(&file.ingest),
        schedule: Schedule::resolve("schedule", &file.schedule, &mut r),
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
        attend: Attend::resolve("attend", &file.attend, &mut r),
        tensorrt: r.tensorrt(&file.tensorrt),
        track: Track {
            max_age_frames: file.track.max_age_frames.unwrap_or(10),
            min_hits: file.track.min_hits.unwrap_or(3),
            iou: file.track.iou.unwrap_or(0.3) as f32,
        },
        classify: file.classify.iter().map(|(name, c)| (name.clone(), r.classify(name, c))).collect(),
        cameras: r.cameras(&file.camera),
        alerts: r.named("alert", &file.alert, Alert::resolve),
        budget: Budget::resolve("budget", &file.budget, &mut r),
        store: Store::resolve("store", &file.store, &mut r),
        snapshots: Snapshots::resolve("snapshots", &file.snapshots, &mut r),
        homeassistant: HomeAssistant::resolve("homeassistant", &file.homeassistant, &mut r),
        onvif: Onvif::resolve("onvif", &file.onvif, &mut r),
        commands: Commands::resolve("commands", &file.commands, &mut r),
        monitor: Monitor::resolve("monitor", &file.monitor, &mut r),
        api: Api { enabled: file.api.enabled.unwrap_or(true), listen: r.listen(file.api.listen.as_deref()) },
        log: Log { level: level(file.log.level.unwrap_or(LogLevel::Info)) },
    };
    check_names(&config.alerts, &config.cameras, &config.classify, &mut r);
    (config, r.findings)
}

/// Goes through the sections; its larger parts stand in `login.rs` and `cameras.rs`.
pub(super) struct Resolver<'a> {
    pub(super) around: &'a Surroundings,
    pub(super) read: ReadSecret<'a>,
    findings: Findings,
}

impl Resolver<'_> {
    pub(super) fn error(&mut self, key: &str, problem: impl Into<String>) {
        self.findings.errors.push(ConfigError { key: key.to_owned(), line: None, problem: problem.into() });
    }

    pub(super) fn warn(&mut self, key: &str, what: &str) {
        self.findings.warnings.push(format!("{key}: {what}"));
    }

    /// Resolves sections that the owner names; each is told its own.
    pub(super) fn named<F, T>(
        &mut self,
        section: &str,
        typed: &BTreeMap<String, F>,
        resolve: impl Fn(&str, &F, &mut Self) -> T,
    ) -> BTreeMap<String, T> {
        typed.iter().map(|(name, file)| (name.clone(), resolve(&format!("{section}.{name}"), file, self))).collect()
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

    fn tensorrt(&mut self, t: &TensorrtFile) -> Tensorrt {
        let by_default = Tensorrt::default();
        let devices = t.devices.clone().unwrap_or(by_default.devices);
        let mut seen = devices.clone();
        seen.sort_unstable();
        seen.dedup();
        if devices.is_empty() || seen.len() != devices.len() {
            self.error("tensorrt.devices", "write each GPU's number once, the first is 0");
        }
        Tensorrt {
            devices,
            workers_per_device: t.workers_per_device.map_or(by_default.workers_per_device, count),
            precision: t.precision.unwrap_or(by_default.precision),
            dla_core: t.dla_core,
            workspace_bytes: t.workspace_mb.map_or(by_default.workspace_bytes, |mb| mb << 20),
            retry_after: t.retry_secs.map_or(by_default.retry_after, Duration::from_secs),
        }
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

    fn ingest(&mut self, i: &IngestFile) -> Ingest {
        let ms = |typed: Option<u64>, default| Duration::from_millis(typed.unwrap_or(default));
        let ingest = Ingest {
            stall_after: ms(i.stall_ms, 3_000),
            first_frame_within: ms(i.first_frame_ms, 10_000),
            backoff_min: ms(i.backoff_min_ms, 500),
            backoff_max: ms(i.backoff_max_ms, 10_000),
            auth_backoff_max: ms(i.auth_backoff_max_ms, 60_000),
            ring_capacity: count(i.ring_capacity.unwrap_or(1)),
            connects_at_once: count(i.connects_at_once.unwrap_or(8)),
            nvmm: i.nvmm.unwrap_or(Nvmm::Auto),
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
