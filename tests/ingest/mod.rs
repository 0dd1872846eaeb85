//! Ingest against real files and real RTSP servers, which are killed, frozen, silent, locked and changed in mid-stream.
//! States are awaited, never slept for.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use peregrine::config::{self, Login, Secret, Source, Transport};
use peregrine::ingest::{self, Context, Pace};
use peregrine::runtime::{Clock, Hearts, Stop, Worker};
use peregrine::telemetry::Metrics;
use peregrine::types::{CameraState, CameraStatus, Frame, SurfaceGate};

use crate::support::RtspServer;

/// Nothing that is awaited here may take this long, even on a loaded machine.
const FAR: Duration = Duration::from_secs(60);
const PASSWORD: &str = "correct-horse-7";

/// A clip from outside of the repository, or a clear word that it is not there.
#[allow(clippy::print_stderr, reason = "a skipped test says so")]
fn clip(name: &str) -> Option<PathBuf> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data/video").join(name);
    if path.exists() {
        return Some(path);
    }
    eprintln!("skipped: {} is not here", path.display());
    None
}

/// A server's stream as a camera's source.
fn source(server: &RtspServer, transport: Transport, password: Option<&str>) -> Source {
    Source::Rtsp {
        url: server.url(),
        transport,
        login: password.map(|p| Login { username: "admin".into(), password: Secret::new(p) }),
        latency: Duration::from_millis(100),
    }
}

enum Seen {
    Frame { seq: u64, size: (u32, u32) },
    State(CameraStatus),
}

/// A camera's thread and all that came out of it.
struct Camera {
    worker: Option<Worker>,
    stop: Stop,
    clock: Clock,
    seen: Receiver<Seen>,
    metrics: Arc<Metrics>,
    states: Vec<CameraStatus>,
}

impl Camera {
    fn open(source: Source, pace: Pace) -> Self {
        let (clock, stop, metrics) = (Clock::start(), Stop::new(), Arc::new(Metrics::default()));
        let (tell, seen) = channel();
        let tell_state = tell.clone();
        let context = Context {
            camera: "gate".into(),
            settings: config::Camera { size_px: Some((320, 240)), fps: Some(15), ..config::Camera::of(source) },
            ingest: config::Ingest {
                stall_after: Duration::from_millis(1500),
                first_frame_within: Duration::from_secs(8),
                backoff_min: Duration::from_millis(100),
                backoff_max: Duration::from_millis(500),
                auth_backoff_max: Duration::from_secs(60),
                ring_capacity: 1,
                connects_at_once: 8,
                nvmm: config::Nvmm::Auto,
            },
            pace,
            clock,
            metrics: Arc::clone(&metrics),
            heart: Hearts::new(clock).add("ingest-gate", FAR),
            surfaces: SurfaceGate::closed("a test looks at pixels itself"),
            places: ingest::Places::new(8),
            sink: Arc::new(move |frame: Frame| {
                let _ = tell.send(checked(&frame));
            }),
            status: Arc::new(move |status| {
                let _ = tell_state.send(Seen::State(status));
            }),
        };
        let stopped = stop.clone();
        let worker = Worker::spawn("ingest-gate", move || ingest::run(context, stopped)).expect("a thread");
        Self { worker: Some(worker), stop, clock, seen, metrics, states: Vec::new() }
    }

    fn next(&mut self) -> Option<Seen> {
        match self.seen.recv_timeout(FAR) {
            Ok(Seen::State(status)) => {
                self.states.push(status.clone());
                Some(Seen::State(status))
            }
            Ok(frame) => Some(frame),
            Err(RecvTimeoutError::Disconnected) => None,
            Err(RecvTimeoutError::Timeout) => panic!("nothing for {FAR:?} after {:?}", self.states),
        }
    }

    fn state(&mut self, wanted: &[CameraState]) -> CameraStatus {
        loop {
            match self.next() {
                Some(Seen::State(s)) if wanted.contains(&s.state) => return s,
                Some(_) => {}
                None => panic!("ended before {wanted:?}: {:?}", self.states),
            }
        }
    }

    fn frame_of(&mut self, wanted: (u32, u32)) -> u64 {
        loop {
            match self.next() {
                Some(Seen::Frame { seq, size }) if size == wanted => return seq,
                Some(_) => {}
                None => panic!("ended before a frame of {wanted:?}: {:?}", self.states),
            }
        }
    }

    /// Stops the camera; that takes about a second at most, whatever state it is in.
    fn stop(mut self) -> Vec<CameraStatus> {
        self.stop.set();
        let worker = self.worker.take().expect("not stopped before");
        assert!(worker.join_within(&self.clock, Duration::from_secs(5)), "the thread ends when it is asked to");
        while self.next().is_some() {}
        assert_eq!(self.states.last().map(|s| s.state), Some(CameraState::Stopped));
        assert_eq!(self.metrics.pipelines_abandoned_total.get(), 0);
        std::mem::take(&mut self.states)
    }
}

impl Drop for Camera {
    fn drop(&mut self) {
        self.stop.set();
    }
}

/// A frame as it is seen, its planes as long as its size needs.
fn checked(frame: &Frame) -> Seen {
    let view = frame.pixels.view();
    let (width, height) = (view.width_px as usize, view.height_px as usize);
    let luma = view.planes[0];
    assert!(luma.stride >= width && luma.data.len() >= luma.stride * (height - 1) + width);
    let chroma = view.planes[1];
    assert!(chroma.data.len() >= chroma.stride * (height.div_ceil(2) - 1) + width.div_ceil(2));
    Seen::Frame { seq: frame.seq, size: (view.width_px, view.height_px) }
}

const FAULTS: [CameraState; 2] = [CameraState::Failed, CameraState::Stalled];

#[test]
fn a_camera_streams_over_tcp_and_over_udp() {
    for transport in [Transport::Tcp, Transport::Udp] {
        let Some(server) = RtspServer::start("rtsp_server.py", &[]) else { return };
        let mut camera = Camera::open(source(&server, transport, None), Pace::Live);
        assert_eq!(camera.state(&[CameraState::Streaming]).size_px, Some((320, 240)));
        while camera.frame_of((320, 240)) < 10 {}
        camera.stop();
    }
}

#[test]
fn every_codec_that_cameras_speak_is_decoded_and_another_one_is_named() {
    for codec in ["h264", "h265", "mjpeg"] {
        let Some(server) = RtspServer::start("rtsp_server.py", &["--codec", codec]) else { return };
        let mut camera = Camera::open(source(&server, Transport::Tcp, None), Pace::Live);
        camera.frame_of((320, 240));
        camera.stop();
    }
    let Some(server) = RtspServer::start("rtsp_server.py", &["--codec", "vp8"]) else { return };
    let mut camera = Camera::open(source(&server, Transport::Tcp, None), Pace::Live);
    let status = camera.state(&[CameraState::UnsupportedCodec]);
    assert!(status.reason.contains("VP8"), "{}", status.reason);
    camera.stop();
}

#[test]
fn a_killed_server_is_a_fault_and_its_return_brings_the_stream_back() {
    let Some(server) = RtspServer::start("rtsp_server.py", &[]) else { return };
    let port = server.port.to_string();
    let mut camera = Camera::open(source(&server, Transport::Tcp, None), Pace::Live);
    camera.frame_of((320, 240));
    drop(server);
    camera.state(&FAULTS);
    let server = RtspServer::start("rtsp_server.py", &["--port", &port]).expect("it started before");
    camera.state(&[CameraState::Streaming]);
    drop(server);
    assert!(camera.metrics.camera("gate").reconnects_total.get() > 0);
    camera.stop();
}

#[test]
fn a_frozen_server_is_a_stall_and_its_thaw_brings_the_stream_back() {
    let Some(server) = RtspServer::start("rtsp_server.py", &[]) else { return };
    let mut camera = Camera::open(source(&server, Transport::Tcp, None), Pace::Live);
    camera.frame_of((320, 240));
    server.signal("STOP");
    camera.state(&[CameraState::Stalled]);
    assert!(camera.metrics.camera("gate").stalls_total.get() > 0);
    server.signal("CONT");
    camera.state(&[CameraState::Streaming]);
    camera.stop();
}

#[test]
fn a_camera_that_answers_play_and_stays_silent_is_stalled() {
    let Some(server) = RtspServer::start("silent_rtsp_server.py", &[]) else { return };
    let mut camera = Camera::open(source(&server, Transport::Tcp, None), Pace::Live);
    camera.state(&[CameraState::Stalled]);
    let states = camera.stop();
    assert!(states.iter().all(|s| s.state != CameraState::Streaming));
}

#[test]
fn a_wrong_password_is_said_without_showing_it_and_the_right_one_streams() {
    let Some(server) = RtspServer::start("rtsp_server.py", &["--user", "admin", "--password", PASSWORD]) else {
        return;
    };
    log_to_memory();
    let wrong = "wrong-horse-8";
    let mut camera = Camera::open(source(&server, Transport::Tcp, Some(wrong)), Pace::Live);
    let status = camera.state(&[CameraState::AuthFailed]);
    assert!(!status.reason.is_empty());
    // Stopping in the long pause after a refusal takes no longer than elsewhere.
    for status in camera.stop() {
        assert!(!format!("{status:?}").contains(wrong));
    }
    let mut camera = Camera::open(source(&server, Transport::Tcp, Some(PASSWORD)), Pace::Live);
    camera.frame_of((320, 240));
    camera.stop();
    let lines = LINES.lock().unwrap_or_else(PoisonError::into_inner);
    assert!(lines.contains("auth_failed"), "log lines are captured");
    assert!(!lines.contains(wrong) && !lines.contains(PASSWORD), "{lines}");
}

#[test]
fn a_change_of_size_gives_frames_of_the_new_size_and_is_no_fault() {
    let Some(mut server) = RtspServer::start("rtsp_server.py", &[]) else { return };
    let mut camera = Camera::open(source(&server, Transport::Tcp, None), Pace::Live);
    let before = camera.frame_of((320, 240));
    server.resize("480x360");
    assert!(camera.frame_of((480, 360)) > before);
    let states: Vec<_> = camera.stop().iter().map(|s| (s.state, s.size_px)).collect();
    let (connecting, streaming, stopped) = (CameraState::Connecting, CameraState::Streaming, CameraState::Stopped);
    let (small, large) = (Some((320, 240)), Some((480, 360)));
    assert_eq!(states, [(connecting, None), (streaming, small), (streaming, large), (stopped, large)]);
}

#[test]
fn a_replay_delivers_every_frame_of_a_clip_and_ends() {
    let Some(path) = clip("vtest.avi") else { return };
    let mut camera = Camera::open(Source::File { path, repeat: false }, Pace::AsFastAsPossible);
    let mut frames = 0;
    while let Some(seen) = camera.next() {
        if let Seen::Frame { seq, size } = seen {
            frames += 1;
            assert_eq!((seq, size), (frames, (768, 576)));
        }
    }
    assert_eq!(frames, 795);
    assert_eq!(camera.states.last().map(|s| s.state), Some(CameraState::Ended));
    assert_eq!(camera.metrics.camera("gate").frames_total.get(), 795);
}

#[test]
fn a_file_that_is_not_there_or_no_video_is_named() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("clip.mp4");
    for content in [None, Some("not a video")] {
        if let Some(content) = content {
            std::fs::write(&path, content).expect("written");
        }
        let mut camera = Camera::open(Source::File { path: path.clone(), repeat: true }, Pace::Live);
        let status = camera.state(&[CameraState::Failed]);
        assert!(status.reason.contains("clip.mp4"), "{}", status.reason);
        camera.stop();
    }
}

#[test]
fn a_fifo_is_refused_and_does_not_hold_the_camera_up() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("clip.mp4");
    assert!(Command::new("mkfifo").arg(&path).status().expect("mkfifo starts").success());
    let mut camera = Camera::open(Source::File { path, repeat: true }, Pace::Live);
    let status = camera.state(&[CameraState::Failed]);
    assert!(status.reason.contains("clip.mp4 is not a regular file"), "{}", status.reason);
    camera.stop();
}

#[test]
fn a_test_picture_streams_in_the_size_asked_for_and_an_unknown_pattern_is_named() {
    let mut camera = Camera::open(Source::Test { pattern: "ball".into() }, Pace::Live);
    camera.frame_of((320, 240));
    camera.stop();
    let mut camera = Camera::open(Source::Test { pattern: "plaid".into() }, Pace::Live);
    let status = camera.state(&[CameraState::Failed]);
    assert!(status.reason.contains("pattern=plaid"), "{}", status.reason);
    camera.stop();
}

static LINES: Mutex<String> = Mutex::new(String::new());

/// Collects every log line of this process, down to the finest, for a search for secrets.
fn log_to_memory() {
    struct Memory;
    impl log::Log for Memory {
        fn enabled(&self, _: &log::Metadata<'_>) -> bool {
            true
        }
        fn log(&self, record: &log::Record<'_>) {
            let mut lines = LINES.lock().unwrap_or_else(PoisonError::into_inner);
            lines.push_str(&format!("{}\n", record.args()));
        }
        fn flush(&self) {}
    }
    static MEMORY: Memory = Memory;
    if log::set_logger(&MEMORY).is_ok() {
        log::set_max_level(log::LevelFilter::Trace);
    }
}
