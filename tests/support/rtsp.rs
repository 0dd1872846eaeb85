//! An RTSP camera for tests: a process that can be frozen, killed and told another picture's size.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, Command, Stdio};

use super::data;

/// A server process; killed with its test.
pub(crate) struct RtspServer {
    child: Child,
    stdin: ChildStdin,
    pub(crate) port: u16,
}

impl RtspServer {
    /// Starts a script. None, with a clear word, where gst-rtsp-server's Python binding is not installed.
    pub(crate) fn start(script: &str, args: &[&str]) -> Option<Self> {
        let mut child = Command::new("/usr/bin/python3")
            .arg(data(script))
            .args(args)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("python3 starts");
        let mut line = String::new();
        BufReader::new(child.stdout.take().expect("piped")).read_line(&mut line).expect("readable");
        let Ok(port) = line.trim().parse() else {
            let _ = child.wait();
            eprintln!("skipped: {script} did not start (packages python3-gi, gir1.2-gst-rtsp-server-1.0)");
            return None;
        };
        let stdin = child.stdin.take().expect("piped");
        Some(Self { child, stdin, port })
    }

    /// Sends a signal by name, e.g. `STOP`.
    pub(crate) fn signal(&self, name: &str) {
        let done = Command::new("kill").args(["-s", name, &self.child.id().to_string()]).status().expect("kill starts");
        assert!(done.success());
    }

    /// The picture's size from now on.
    pub(crate) fn resize(&mut self, size: &str) {
        writeln!(self.stdin, "{size}").expect("the server listens");
    }

    /// The stream's address.
    pub(crate) fn url(&self) -> String {
        format!("rtsp://127.0.0.1:{}/cam", self.port)
    }
}

impl Drop for RtspServer {
    fn drop(&mut self) {
        // A frozen process dies of SIGKILL too.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
