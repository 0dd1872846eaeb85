//! What tests need of the outside world: a real broker, a real subscriber, the real daemon. Every wait is for an event and has a limit that
//! only a fault reaches.

#![allow(
    clippy::disallowed_methods,
    reason = "a test stands outside the daemon: it has a clock, threads and pauses of its own"
)]

mod rtsp;

use std::io::{BufRead, BufReader};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

pub(crate) use rtsp::RtspServer;

/// How long a test waits for what should come at once. Generous, since machines are shared; only a failure takes so long.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// What stands beside the checkout in development: models, data, clips. None where it is absent; the test then says so and passes.
pub(crate) fn shared(path: &str) -> Option<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared");
    if !root.is_dir() {
        eprintln!("skipped: ../shared is not there, {path} is needed");
        return None;
    }
    let path = root.join(path);
    assert!(path.exists(), "{} is missing though ../shared is there", path.display());
    Some(path)
}

/// A file of tests/data.
pub(crate) fn data(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data").join(name)
}

/// A port on which nobody listens now.
pub(crate) fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("loopback has free ports");
    listener.local_addr().expect("bound").port()
}

/// A child process that dies with its owner.
pub(crate) struct Process {
    child: Child,
    lines: Receiver<String>,
    seen: Vec<String>,
}

impl Process {
    /// Starts it; its output, both streams, is read line by line.
    pub(crate) fn start(command: &mut Command) -> Self {
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|e| panic!("{command:?}: {e}"));
        let (tell, lines) = channel();
        let out = child.stdout.take().expect("piped");
        let err = child.stderr.take().expect("piped");
        let to_out = tell.clone();
        std::thread::spawn(move || BufReader::new(out).lines().map_while(Result::ok).try_for_each(|l| to_out.send(l)));
        std::thread::spawn(move || BufReader::new(err).lines().map_while(Result::ok).try_for_each(|l| tell.send(l)));
        Self { child, lines, seen: Vec::new() }
    }

    /// The first line from now on of which this holds. Lines before it are kept in [`Process::output`].
    pub(crate) fn line(&mut self, what: &str, holds: impl Fn(&str) -> bool) -> String {
        let deadline = Instant::now() + PATIENCE;
        loop {
            match self.lines.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok(line) => {
                    self.seen.push(line.clone());
                    if holds(&line) {
                        return line;
                    }
                }
                Err(e) => {
                    let last = &self.seen[self.seen.len().saturating_sub(20)..];
                    panic!("no line with {what} ({e}); the last that were seen:\n{}", last.join("\n"));
                }
            }
        }
    }

    /// Everything that was printed so far.
    pub(crate) fn output(&mut self) -> String {
        self.seen.extend(self.lines.try_iter());
        self.seen.join("\n")
    }

    /// The process's number.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Sends a signal by name, e.g. `TERM`.
    pub(crate) fn signal(&self, name: &str) {
        let status = Command::new("kill").args(["-s", name, &self.pid().to_string()]).status().expect("kill runs");
        assert!(status.success(), "kill -{name}");
    }

    /// Waits for its end; fails the test when it goes on for longer than the limit.
    pub(crate) fn ends_within(&mut self, limit: Duration) -> ExitStatus {
        let deadline = Instant::now() + limit;
        loop {
            if let Some(status) = self.child.try_wait().expect("it is our child") {
                return status;
            }
            assert!(Instant::now() < deadline, "still running after {limit:?}; said:\n{}", self.output());
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A real mosquitto on a free port.
pub(crate) struct Broker {
    pub(crate) port: u16,
    pub(crate) dir: tempfile::TempDir,
    process: Option<Process>,
}

impl Broker {
    /// Anonymous, on loopback.
    pub(crate) fn start() -> Self {
        Self::with("listener {port} 127.0.0.1\nallow_anonymous true\n")
    }

    /// With this configuration, in which `{port}` and `{dir}` are filled in.
    pub(crate) fn with(config: &str) -> Self {
        let mut broker =
            Self { port: free_port(), dir: tempfile::tempdir().expect("a temporary folder"), process: None };
        let dir = broker.dir.path().display().to_string();
        let config = config.replace("{port}", &broker.port.to_string()).replace("{dir}", &dir);
        std::fs::write(broker.dir.path().join("mosquitto.conf"), config).expect("written");
        broker.up();
        broker
    }

    /// Starts it (again), and waits until it takes connections.
    pub(crate) fn up(&mut self) {
        let config = self.dir.path().join("mosquitto.conf");
        self.process = Some(Process::start(Command::new(mosquitto()).arg("-c").arg(config)));
        let deadline = Instant::now() + PATIENCE;
        while TcpStream::connect(("127.0.0.1", self.port)).is_err() {
            assert!(Instant::now() < deadline, "mosquitto does not listen");
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Kills it without a word to its clients.
    pub(crate) fn kill(&mut self) {
        self.process = None;
    }

    /// Its address for a configuration.
    pub(crate) fn url(&self) -> String {
        format!("mqtt://127.0.0.1:{}", self.port)
    }

    /// Ends it in order: what it keeps is written down.
    pub(crate) fn end(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.signal("TERM");
            process.ends_within(PATIENCE);
        }
    }

    /// A subscriber to everything below a topic; returns once the broker has confirmed it.
    pub(crate) fn subscribe(&self, topic: &str) -> Subscriber {
        self.subscribe_as(topic, &[])
    }

    /// The same with more arguments for mosquitto_sub.
    pub(crate) fn subscribe_as(&self, topic: &str, more: &[&str]) -> Subscriber {
        let mut process = Process::start(
            // Its debug lines, the subscription's confirmation among them, would stay in its buffer.
            Command::new("stdbuf")
                .args([
                    "-oL",
                    "mosquitto_sub",
                    "-h",
                    "127.0.0.1",
                    "-p",
                    &self.port.to_string(),
                    "-d",
                    "-q",
                    "1",
                    "-t",
                    topic,
                ])
                .args(["-F", "=> %t %p"])
                .args(more),
        );
        process.line("the subscription's confirmation", |l| l.contains("Subscribed"));
        Subscriber { process }
    }
}

/// Debian puts the broker where an ordinary user's PATH does not reach.
fn mosquitto() -> &'static str {
    if Path::new("/usr/sbin/mosquitto").exists() { "/usr/sbin/mosquitto" } else { "mosquitto" }
}

/// A message as a subscriber got it.
#[derive(Debug, Clone)]
pub(crate) struct Message {
    pub(crate) topic: String,
    pub(crate) body: serde_json::Value,
}

/// A real subscriber.
pub(crate) struct Subscriber {
    process: Process,
}

impl Subscriber {
    /// The next message of which this holds.
    pub(crate) fn next(&mut self, what: &str, holds: impl Fn(&Message) -> bool) -> Message {
        let line = self.process.line(what, |line| parse(line).is_some_and(|m| holds(&m)));
        parse(&line).expect("it was a message before")
    }

    /// The first message of which this holds, whether it has come already or is still to come: topics have no order among each other.
    pub(crate) fn first(&mut self, what: &str, holds: impl Fn(&Message) -> bool) -> Message {
        match self.all().into_iter().find(&holds) {
            Some(message) => message,
            None => self.next(what, holds),
        }
    }

    /// All messages so far.
    pub(crate) fn all(&mut self) -> Vec<Message> {
        self.process.output().lines().filter_map(parse).collect()
    }
}

fn parse(line: &str) -> Option<Message> {
    let mut words = line.strip_prefix("=> ")?.splitn(2, ' ');
    let (topic, body) = (words.next()?.to_owned(), words.next()?);
    // An empty message deletes what was retained.
    let body = if body.is_empty() { serde_json::Value::Null } else { serde_json::from_str(body).ok()? };
    Some(Message { topic, body })
}

/// The real daemon with a configuration of its own.
pub(crate) struct Daemon {
    pub(crate) process: Process,
    pub(crate) config: PathBuf,
    pub(crate) api_port: u16,
    dir: tempfile::TempDir,
}

impl Daemon {
    /// Starts it with this configuration, to which an address for the API and a folder for its state are added.
    pub(crate) fn start(config: &str) -> Self {
        let mut program = Command::new(env!("CARGO_BIN_EXE_peregrine"));
        program.env_remove("NOTIFY_SOCKET");
        Self::start_by(program, config)
    }

    /// The same by a command that has an environment of its own.
    pub(crate) fn start_by(program: Command, config: &str) -> Self {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let api_port = free_port();
        let file = dir.path().join("peregrine.toml");
        let daemon = Self::command(program, &file);
        let mut this = Self { process: Process::start(&mut Command::new("true")), config: file, api_port, dir };
        this.write(config);
        this.process = Process::start(&mut { daemon });
        this
    }

    /// Writes the configuration anew.
    pub(crate) fn write(&self, config: &str) {
        let mut text = format!("{config}\n[api]\nlisten = \"127.0.0.1:{}\"\n", self.api_port);
        if !config.contains("[paths]") {
            // Never the device's own: daemons run beside each other here.
            text += &format!("[paths]\nstate = \"{}\"\n", self.dir.path().join("state").display());
        }
        std::fs::write(&self.config, text).expect("written");
    }

    /// Starts it anew once it has ended, with the same configuration and the state that it left.
    pub(crate) fn again(&mut self) {
        let mut program = Command::new(env!("CARGO_BIN_EXE_peregrine"));
        program.env_remove("NOTIFY_SOCKET");
        self.process = Process::start(&mut Self::command(program, &self.config));
    }

    /// Waits until it runs.
    pub(crate) fn running(&mut self) {
        self.process.line("running", |l| l.contains("running:"));
    }

    /// GET from its API: status and body.
    pub(crate) fn get(&self, path: &str) -> (u16, String) {
        use std::io::{Read, Write};
        let mut stream = TcpStream::connect(("127.0.0.1", self.api_port)).expect("the API listens");
        write!(stream, "GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").expect("sent");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("answered");
        let status = answer.split(' ').nth(1).and_then(|s| s.parse().ok()).expect("a status line");
        let body = answer.split_once("\r\n\r\n").map(|(_, b)| b.to_owned()).unwrap_or_default();
        (status, body)
    }

    /// A metric's value by its name with labels, as /metrics writes it.
    pub(crate) fn metric(&self, name: &str) -> Option<f64> {
        let (_, text) = self.get("/metrics");
        text.lines().find_map(|l| l.strip_prefix(name)?.trim().parse().ok())
    }

    fn command(mut command: Command, config: &Path) -> Command {
        command.arg("run").arg("--config").arg(config).env_remove("JOURNAL_STREAM");
        command
    }
}

/// The command with arguments, run to its end.
pub(crate) fn peregrine(args: &[&str]) -> std::process::Output {
    Command::new(env!("CARGO_BIN_EXE_peregrine")).args(args).output().expect("the binary runs")
}

/// A state that nobody announces: it is asked for until it is there.
pub(crate) fn comes(what: &str, mut is_there: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !is_there() {
        assert!(Instant::now() < deadline, "{what} does not come");
        std::thread::sleep(Duration::from_millis(5));
    }
}
