//! Runs a program of the system that may hang: it has so much time, and is ended then.

use std::io::Read;
use std::os::fd::AsFd;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use crate::runtime::{Clock, threads};

/// How often it is looked at.
const TICK: Duration = Duration::from_millis(20);
/// What has been killed is gone within this time, unless it hangs in the kernel: then nobody waits for it.
const DIES_WITHIN: Duration = Duration::from_secs(1);
/// More of what it says is not kept.
const MOST_BYTES: usize = 16 * 1024;
/// As much is read at a look, so that one that writes without end is ended, too.
const READS_A_LOOK: usize = 16;

/// What it ended with: its exit status, and the last line that it wrote, of its errors rather than of its output.
pub(super) fn run(program: &Path, args: &[&str], at_most: Duration) -> Result<(ExitStatus, String), String> {
    let (clock, mut said) = (Clock::start(), [Vec::new(), Vec::new()]);
    let mut command = Command::new(program);
    // Nobody is there to be asked anything.
    command.args(args).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().map_err(|e| e.to_string())?;
    let mut pipes = (child.stderr.take(), child.stdout.take());
    // A program's own children may hold its pipes for longer than it lives.
    let unblocked = |pipe: &dyn AsFd| rustix::fs::fcntl_setfl(pipe.as_fd(), rustix::fs::OFlags::NONBLOCK);
    let set = pipes.0.as_ref().map(|p| unblocked(p)).into_iter().chain(pipes.1.as_ref().map(|p| unblocked(p)));
    if let Some(e) = set.filter_map(Result::err).next() {
        kill(&mut child, &clock);
        return Err(e.to_string());
    }
    loop {
        let ended = child.try_wait().map_err(|e| e.to_string())?;
        if let Some(pipe) = &mut pipes.0 {
            drain(pipe, &mut said[0]);
        }
        if let Some(pipe) = &mut pipes.1 {
            drain(pipe, &mut said[1]);
        }
        if let Some(status) = ended {
            let last_line = |bytes: &Vec<u8>| {
                let text = String::from_utf8_lossy(bytes).into_owned();
                text.lines().map(str::trim).rfind(|line| !line.is_empty()).map(str::to_owned)
            };
            return Ok((status, said.iter().find_map(last_line).unwrap_or_default()));
        }
        if clock.mono() >= at_most {
            kill(&mut child, &clock);
            return Err(format!("it did not end within {} s, and was killed", at_most.as_secs_f64()));
        }
        threads::pause(TICK);
    }
}

fn drain(pipe: &mut impl Read, into: &mut Vec<u8>) {
    let mut part = [0; 1024];
    for _ in 0..READS_A_LOOK {
        let Ok(n @ 1..) = pipe.read(&mut part) else { return };
        into.extend_from_slice(&part[..n]);
        // The last words count.
        into.drain(..into.len().saturating_sub(MOST_BYTES));
    }
}

fn kill(child: &mut Child, clock: &Clock) {
    // It may have ended just now.
    let _ = child.kill();
    let until = clock.mono() + DIES_WITHIN;
    while matches!(child.try_wait(), Ok(None)) && clock.mono() < until {
        threads::pause(TICK);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sh(script: &str, at_most: Duration) -> Result<(bool, String), String> {
        run(Path::new("/bin/sh"), &["-c", script], at_most).map(|(status, said)| (status.success(), said))
    }

    #[test]
    fn a_program_that_hangs_is_ended_and_one_that_ends_is_heard() {
        let long = Duration::from_secs(60);
        assert_eq!(sh("echo one; echo two; echo", long), Ok((true, "two".to_owned())));
        assert_eq!(sh("echo out; echo no rights >&2; exit 3", long), Ok((false, "no rights".to_owned())));
        let hangs = sh("exec sleep 600", Duration::from_millis(50)).expect_err("it hangs");
        assert!(hangs.contains("did not end within 0.05 s"), "{hangs}");
        assert!(sh("exec yes", Duration::from_millis(50)).is_err());
        let (child_holds, _) = sh("sleep 5 & exit 0", long).expect("it ended itself");
        assert!(child_holds);
    }
}
