//! Resolving the sections `[camera.NAME]`. Pure.

use std::collections::BTreeMap;
use std::time::Duration;

use super::address::{self, Place};
use super::file::CameraFile;
use super::login::LoginKeys;
use super::resolve::Resolver;
use super::{Camera, Codec, Line, Mask, Source, Transport, Zone};

impl Resolver<'_> {
    pub(super) fn cameras(&mut self, typed: &BTreeMap<String, CameraFile>) -> BTreeMap<String, Camera> {
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
        Some(Camera {
            source,
            codec: c.codec,
            size_px,
            fps: c.fps,
            detect_fps: c.detect_fps,
            priority: c.priority.unwrap_or_default(),
            max_age: c.max_age_ms.map(Duration::from_millis),
            enabled: c.enabled.unwrap_or(true),
            appearances: c.appearances.unwrap_or(false),
            stopped: c.stopped_secs.and_then(super::zones::seconds),
            zones: self.named(&key("zone"), &c.zone, Zone::resolve),
            lines: self.named(&key("line"), &c.line, Line::resolve),
            masks: self.named(&key("mask"), &c.mask, Mask::resolve),
        })
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
        if let (true, Some(wanted), Some(sent)) = (asked, c.detect_fps, c.fps)
            && wanted > f64::from(sent)
        {
            let why = format!("has no effect: the camera is asked for {sent} frames a second only");
            self.warn(&format!("{section}.detect_fps"), &why);
        }
    }
}
