//! Signals: TERM and INT stop the daemon, a second one ends it at once, HUP reloads the configuration.

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use super::threads::Worker;

/// What a signal asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Asked {
    /// End in order.
    Stop,
    /// Read the configuration again.
    Reload,
}

/// Exit code after a second signal: 128 + SIGTERM, what a shell would report.
const KILLED: i32 = 143;

/// Calls `tell` for each signal, on a thread of its own.
///
/// # Errors
/// When the handlers cannot be installed.
pub fn listen(tell: impl Fn(Asked) + Send + 'static) -> std::io::Result<()> {
    let mut signals = Signals::new([SIGTERM, SIGINT, SIGHUP])?;
    Worker::spawn("signals", move || {
        let mut stopping = false;
        for signal in signals.forever() {
            match signal {
                SIGHUP => tell(Asked::Reload),
                _ if stopping => end_at_once(),
                _ => {
                    stopping = true;
                    tell(Asked::Stop);
                }
            }
        }
    })
    .map(drop)
}

#[allow(clippy::exit, reason = "a second signal means that the orderly way takes too long for whoever sent it")]
fn end_at_once() {
    std::process::exit(KILLED);
}
