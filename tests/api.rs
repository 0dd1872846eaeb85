//! The HTTP server over a real socket.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use peregrine::api::{self, ApiError, Context, Readiness, Server};
use peregrine::runtime::{Clock, Hearts, Stop};
use peregrine::telemetry::Metrics;

const LONG: Duration = Duration::from_secs(3600);

struct Running {
    server: Server,
    stop: Stop,
    clock: Clock,
    hearts: Hearts,
    metrics: Arc<Metrics>,
    ready: Arc<AtomicBool>,
}

fn context(
    listen: SocketAddr,
    hearts: &Hearts,
    clock: Clock,
    metrics: &Arc<Metrics>,
    ready: &Arc<AtomicBool>,
) -> Context {
    let ready = Arc::clone(ready);
    Context {
        listen,
        metrics: Arc::clone(metrics),
        clock,
        hearts: hearts.clone(),
        heart: hearts.add("api", LONG),
        history: None,
        readiness: Arc::new(move || {
            if ready.load(Ordering::Relaxed) { Readiness::Ready } else { Readiness::Waiting("camera front".to_owned()) }
        }),
    }
}

fn running() -> Running {
    let (clock, metrics, ready, stop) = (Clock::start(), Arc::<Metrics>::default(), Arc::default(), Stop::new());
    let hearts = Hearts::new(clock);
    let listen = SocketAddr::from(([127, 0, 0, 1], 0));
    let server = api::start(context(listen, &hearts, clock, &metrics, &ready), stop.clone()).expect("started");
    Running { server, stop, clock, hearts, metrics, ready }
}

impl Running {
    fn get(&self, path: &str) -> (u16, String) {
        self.send(format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").as_bytes())
    }

    /// The answer's status and body; status 0 when there is none.
    fn send(&self, request: &[u8]) -> (u16, String) {
        let mut stream = TcpStream::connect(self.server.local_addr()).expect("connected");
        stream.set_read_timeout(Some(Duration::from_secs(30))).expect("set");
        // The server may hang up while we still talk; what it answered counts.
        let _ = stream.write_all(request);
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
        let answer = String::from_utf8_lossy(&answer).into_owned();
        let status = answer.split(' ').nth(1).and_then(|s| s.parse().ok()).unwrap_or(0);
        (status, answer.split_once("\r\n\r\n").map(|(_, body)| body.to_owned()).unwrap_or_default())
    }

    fn end(self) {
        self.stop.set();
        assert!(self.server.join(&self.clock, Duration::from_secs(10)), "the server ends when it is told to");
    }
}

#[test]
fn health_names_the_stage_that_is_silent() {
    let running = running();
    assert_eq!(running.get("/healthz").0, 200);
    let _silent = running.hearts.add("engine-0", Duration::ZERO);
    peregrine::runtime::threads::pause(Duration::from_millis(5));
    let (status, body) = running.get("/healthz");
    assert_eq!(status, 503);
    assert!(body.contains("\"stage\":\"engine-0\""), "{body}");
    running.end();
}

#[test]
fn readiness_tells_what_is_awaited_until_all_is_there() {
    let running = running();
    let (status, body) = running.get("/readyz");
    assert_eq!(status, 503);
    assert!(body.contains("\"waiting_for\":\"camera front\""), "{body}");
    running.ready.store(true, Ordering::Relaxed);
    assert_eq!(running.get("/readyz").0, 200);
    running.end();
}

#[test]
fn an_engine_that_stands_in_is_told_of_and_keeps_the_daemon_ready_and_healthy() {
    let (clock, metrics, stop) = (Clock::start(), Arc::<Metrics>::default(), Stop::new());
    let hearts = Hearts::new(clock);
    let listen = SocketAddr::from(([127, 0, 0, 1], 0));
    let ready = Arc::new(AtomicBool::new(true));
    let mut context = context(listen, &hearts, clock, &metrics, &ready);
    context.readiness = Arc::new(|| Readiness::Degraded(vec!["detect is degraded, it runs on int8: gone".to_owned()]));
    let engine = metrics.engine("detect", "yolov8n");
    engine.workers.set(2);
    engine.fallback.set(1);
    engine.failures_total.inc();
    let server = api::start(context, stop.clone()).expect("started");
    let running = Running { server, stop, clock, hearts, metrics, ready };
    let (status, body) = running.get("/readyz");
    assert_eq!(status, 200);
    assert!(body.contains("runs on int8") && body.contains("degraded is not unhealthy"), "{body}");
    assert_eq!(running.get("/healthz").0, 200);
    let (_, text) = running.get("/metrics");
    let line = "peregrine_engine_fallback{stage=\"detect\",model=\"yolov8n\"} 1\n";
    assert!(text.contains(line), "{text}");
    let (_, body) = running.get("/stats");
    let stats: serde_json::Value = serde_json::from_str(&body).expect("JSON");
    assert_eq!(
        (&stats["engines"]["detect"]["on_fallback"], &stats["engines"]["detect"]["failures"]),
        (&1.into(), &1.into())
    );
    running.end();
}

#[test]
fn promtool_accepts_the_metrics_without_a_word() {
    let running = running();
    for camera in ["front", "odd \"name\"\\"] {
        let m = running.metrics.camera(camera);
        m.frames_total.add(7);
        m.capture_to_publish.record(Duration::from_millis(30));
    }
    running.metrics.engine("detect", "yolov8n").workers.set(1);
    running.metrics.stages.inference.record(Duration::from_millis(12));
    let (status, text) = running.get("/metrics");
    assert_eq!(status, 200);
    assert!(text.contains("peregrine_camera_frames_total{camera=\"front\"} 7\n"), "{text}");
    running.end();
    let Ok(mut promtool) = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
    else {
        eprintln!("skipped: promtool is not installed (Debian package prometheus)");
        return;
    };
    promtool.stdin.take().expect("piped").write_all(text.as_bytes()).expect("written");
    let output = promtool.wait_with_output().expect("ended");
    let said = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.is_empty(), "{said}");
}

#[test]
fn statistics_are_one_json_object_with_quantiles() {
    let running = running();
    running.metrics.camera("front").frames_total.add(3);
    running.metrics.stages.track.record(Duration::from_millis(1));
    let (status, body) = running.get("/stats");
    assert_eq!(status, 200);
    let stats: serde_json::Value = serde_json::from_str(&body).expect("JSON");
    assert_eq!(stats["cameras"]["front"]["frames"], 3);
    assert!(stats["stages"]["track"]["p99_ms"].as_f64().is_some_and(|ms| (0.9..1.1).contains(&ms)), "{body}");
    assert!(stats["stages"]["publish"]["p50_ms"].is_null(), "nothing was published yet");
    running.end();
}

#[test]
fn nonsense_and_crowds_harm_nobody() {
    let running = running();
    assert_eq!(running.get("/nothing").0, 404);
    assert_eq!(
        running.send(b"POST /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 0\r\n\r\n").0,
        405
    );
    running.send(b"\x00\xff\x16\x03\x01 nonsense\r\n\r\n");
    let long = [b"GET / HTTP/1.1\r\nX: ".as_slice(), &vec![b'a'; 100_000]].concat();
    assert!(matches!(running.send(&long).0, 0 | 431));
    // A crowd that says nothing takes every place; once it has gone, or its time is up, others are served again.
    let crowd: Vec<_> = (0..64).map(|_| TcpStream::connect(running.server.local_addr()).expect("connected")).collect();
    assert_eq!(running.get("/healthz").0, 0, "every place is taken");
    drop(crowd);
    let served = (0..200).any(|_| running.get("/healthz").0 == 200);
    assert!(served, "the server recovers from a crowd");
    running.end();
}

#[test]
fn an_address_that_is_taken_is_told_with_what_to_do() {
    let running = running();
    let taken = running.server.local_addr();
    let context = context(taken, &running.hearts, running.clock, &running.metrics, &running.ready);
    let e = api::start(context, Stop::new()).expect_err("taken");
    assert!(matches!(e, ApiError::Bind { .. }));
    let told = e.to_string();
    assert!(told.contains(&taken.to_string()) && told.contains("[api] listen"), "{told}");
    running.end();
}

#[test]
fn events_that_are_kept_are_answered_as_asked_for_and_a_mistake_is_named() {
    let (clock, metrics, stop) = (Clock::start(), Arc::<Metrics>::default(), Stop::new());
    let hearts = Hearts::new(clock);
    let listen = SocketAddr::from(([127, 0, 0, 1], 0));
    let mut context = context(listen, &hearts, clock, &metrics, &Arc::default());
    context.history = Some(Arc::new(|query| {
        assert_eq!((query.camera.as_deref(), query.limit), (Some("yard"), 2));
        Ok(vec![b"{\"seq\":1}".to_vec(), b"{\"seq\":2}".to_vec()])
    }));
    let server = api::start(context, stop.clone()).expect("started");
    let running = Running { server, stop, clock, hearts, metrics, ready: Arc::default() };
    let (status, body) = running.get("/events?camera=yard&limit=2");
    assert_eq!((status, body.as_str()), (200, "{\"events\":[{\"seq\":1},{\"seq\":2}]}\n"));
    let (status, body) = running.get("/events?type=cros");
    assert_eq!(status, 400);
    assert!(body.contains("crossed"), "{body}");
    running.end();
}

#[test]
fn where_no_events_are_kept_the_answer_says_so() {
    let running = running();
    assert_eq!(running.get("/events"), (404, "no events are kept\n".to_owned()));
    running.end();
}
