//! A real mosquitto on a free loopback port, a subscriber, a wire that can be cut, and certificates.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::sync::{Arc, Mutex};

use peregrine::runtime::Worker;

use crate::support::{PATIENCE, comes};

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").expect("a free port").local_addr().expect("bound").port()
}

/// Runs a command that must succeed.
pub(super) fn run(dir: &Path, program: &str, args: &[&str]) {
    let out = Command::new(program).args(args).current_dir(dir).output().unwrap_or_else(|e| panic!("{program}: {e}"));
    assert!(out.status.success(), "{program} {args:?}: {}", String::from_utf8_lossy(&out.stderr));
}

pub(super) struct Broker {
    pub(super) port: u16,
    pub(super) dir: tempfile::TempDir,
    child: Option<Child>,
}

impl Broker {
    /// Starts mosquitto with these lines after its `listener`; `prepare` puts files into its folder first.
    pub(super) fn start(lines: &str, prepare: impl FnOnce(&Path)) -> Self {
        let dir = tempfile::tempdir().expect("a temporary folder");
        prepare(dir.path());
        let port = free_port();
        let here = dir.path().display().to_string();
        // Started by root, mosquitto would become a user who cannot read the folder.
        let text =
            format!("listener {port} 127.0.0.1\nuser root\npersistence false\n{}\n", lines.replace("{dir}", &here));
        std::fs::write(dir.path().join("mosquitto.conf"), text).expect("written");
        let mut broker = Self { port, dir, child: None };
        broker.restart();
        broker
    }

    /// For everybody; a subscriber that the machine starves loses nothing either.
    pub(super) fn open() -> Self {
        Self::start("allow_anonymous true\nmax_queued_messages 0", |_| {})
    }

    pub(super) fn restart(&mut self) {
        let program = ["/usr/sbin/mosquitto", "/usr/local/sbin/mosquitto"]
            .into_iter()
            .find(|p| Path::new(p).exists())
            .unwrap_or("mosquitto");
        let child = Command::new(program)
            .arg("-c")
            .arg(self.dir.path().join("mosquitto.conf"))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("mosquitto is installed (apt install mosquitto mosquitto-clients)");
        self.child = Some(child);
        comes("mosquitto listens", || TcpStream::connect(("127.0.0.1", self.port)).is_ok());
    }

    /// SIGSTOP: the socket stays open, nobody answers.
    pub(super) fn freeze(&self) {
        let id = self.child.as_ref().expect("running").id().to_string();
        run(self.dir.path(), "kill", &["-STOP", &id]);
    }

    /// SIGKILL: without persistence, nothing survives.
    pub(super) fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().expect("killed");
            child.wait().expect("reaped");
        }
    }

    /// Publishes once, as somebody else.
    pub(super) fn publish(&self, topic: &str, body: &str, retain: bool) {
        let port = self.port.to_string();
        let mut args = vec!["-h", "127.0.0.1", "-p", &port, "-q", "1", "-t", topic, "-m", body];
        if retain {
            args.push("-r");
        }
        run(self.dir.path(), "mosquitto_pub", &args);
    }

    /// Retains so many bytes, as somebody else.
    pub(super) fn retain_bytes(&self, topic: &str, count: usize) {
        std::fs::write(self.dir.path().join("body"), vec![b'x'; count]).expect("written");
        let port = self.port.to_string();
        let args = ["-h", "127.0.0.1", "-p", &port, "-q", "1", "-t", topic, "-f", "body", "-r"];
        run(self.dir.path(), "mosquitto_pub", &args);
    }

    pub(super) fn subscribe(&self, extra: &[&str]) -> Subscriber {
        Subscriber::start(self.port, extra)
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        self.kill();
    }
}

/// One message as mosquitto_sub saw it.
#[derive(Debug, Clone)]
pub(super) struct Seen {
    pub(super) topic: String,
    pub(super) retained: bool,
    pub(super) content_type: String,
    pub(super) user_properties: String,
    pub(super) body: serde_json::Value,
}

pub(super) struct Subscriber {
    child: Child,
    lines: Receiver<String>,
}

impl Subscriber {
    /// Subscribes to everything; returns once the broker has confirmed it.
    pub(super) fn start(port: u16, extra: &[&str]) -> Self {
        let mut child = Command::new("stdbuf")
            .args(["-oL", "mosquitto_sub", "-d", "-h", "127.0.0.1", "-V", "5", "-q", "1", "-t", "#"])
            .args(["-F", "message\t%t\t%r\t%C\t%P\t%p", "-p", &port.to_string()])
            .args(extra)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("mosquitto_sub is installed (apt install mosquitto-clients)");
        let output = BufReader::new(child.stdout.take().expect("piped"));
        let (tell, lines) = mpsc::channel();
        Worker::spawn("subscriber", move || {
            for line in output.lines().map_while(Result::ok) {
                if tell.send(line).is_err() {
                    return;
                }
            }
        })
        .expect("a thread");
        let subscriber = Self { child, lines };
        while !subscriber.line().contains("Subscribed") {}
        subscriber
    }

    fn line(&self) -> String {
        self.lines.recv_timeout(PATIENCE).expect("the subscriber sees something in time")
    }

    /// The next message.
    pub(super) fn next(&self) -> Seen {
        loop {
            if let Some(seen) = seen(&self.line()) {
                return seen;
            }
        }
    }

    /// The next message that is meant; others are passed over.
    pub(super) fn find(&self, wanted: impl Fn(&Seen) -> bool) -> Seen {
        loop {
            let seen = self.next();
            if wanted(&seen) {
                return seen;
            }
        }
    }
}

fn seen(line: &str) -> Option<Seen> {
    let [topic, retained, content_type, user_properties, body] =
        line.strip_prefix("message\t")?.splitn(5, '\t').collect::<Vec<_>>().try_into().expect("five fields");
    Some(Seen {
        topic: topic.to_owned(),
        retained: retained == "1",
        content_type: content_type.to_owned(),
        user_properties: user_properties.to_owned(),
        // An empty message deletes what was retained.
        body: if body.is_empty() {
            serde_json::Value::Null
        } else {
            serde_json::from_str(body).unwrap_or_else(|e| panic!("{e}: {body}"))
        },
    })
}

impl Drop for Subscriber {
    fn drop(&mut self) {
        // It may have ended by itself with its broker.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A TCP relay that can be cut like a cable, without a word to either side's application.
pub(super) struct Wire {
    pub(super) port: u16,
    state: Arc<Mutex<WireState>>,
}

struct WireState {
    whole: bool,
    streams: Vec<TcpStream>,
}

impl Wire {
    pub(super) fn to(broker_port: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let port = listener.local_addr().expect("bound").port();
        let state = Arc::new(Mutex::new(WireState { whole: true, streams: Vec::new() }));
        let shared = Arc::clone(&state);
        Worker::spawn("wire", move || {
            for near in listener.incoming().map_while(Result::ok) {
                let mut state = shared.lock().expect("no panic");
                let Some(far) = TcpStream::connect(("127.0.0.1", broker_port)).ok().filter(|_| state.whole) else {
                    continue;
                };
                let copy = |s: &TcpStream| s.try_clone().expect("a copy");
                state.streams.extend([copy(&near), copy(&far)]);
                relay(copy(&near), copy(&far));
                relay(far, near);
            }
        })
        .expect("a thread");
        Self { port, state }
    }

    pub(super) fn cut(&self) {
        let mut state = self.state.lock().expect("no panic");
        state.whole = false;
        for stream in state.streams.drain(..) {
            // The other end may have closed it already.
            let _ = stream.shutdown(Shutdown::Both);
        }
    }

    pub(super) fn mend(&self) {
        self.state.lock().expect("no panic").whole = true;
    }
}

fn relay(mut from: TcpStream, mut to: TcpStream) {
    Worker::spawn("relay", move || {
        let mut buffer = [0; 16 * 1024];
        while let Ok(n @ 1..) = from.read(&mut buffer) {
            if to.write_all(&buffer[..n]).is_err() {
                break;
            }
        }
        let _ = to.shutdown(Shutdown::Both);
        let _ = from.shutdown(Shutdown::Both);
    })
    .expect("a thread");
}

/// An authority with a certificate for 127.0.0.1 and one for a client, made by openssl.
pub(super) fn make_certificates(dir: &Path) {
    make_authority(dir, "ca");
    make_authority(dir, "stranger");
    make_certificate(dir, "server", "subjectAltName=IP:127.0.0.1,DNS:localhost");
    make_certificate(dir, "elsewhere", "subjectAltName=DNS:elsewhere.example");
    make_certificate(dir, "client", "extendedKeyUsage=clientAuth");
}

fn make_authority(dir: &Path, name: &str) {
    let (key, cert, subject) = (format!("{name}.key"), format!("{name}.pem"), format!("/CN={name}"));
    let mut args = vec!["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2"];
    args.extend(["-keyout", &key, "-out", &cert, "-subj", &subject]);
    run(dir, "openssl", &args);
}

fn make_certificate(dir: &Path, name: &str, extension: &str) {
    let (key, request, cert) = (format!("{name}.key"), format!("{name}.csr"), format!("{name}.pem"));
    let subject = format!("/CN={name}");
    let mut args = vec!["req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"];
    args.extend(["-keyout", &key, "-out", &request, "-subj", &subject]);
    run(dir, "openssl", &args);
    std::fs::write(dir.join("ext"), extension).expect("written");
    let mut args = vec!["x509", "-req", "-in", &request, "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial"];
    args.extend(["-days", "2", "-extfile", "ext", "-out", &cert]);
    run(dir, "openssl", &args);
}

pub(super) fn file(dir: &Path, name: &str) -> PathBuf {
    dir.join(name)
}
