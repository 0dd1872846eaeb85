//! The service manager's protocol (sd_notify). Without a manager every call does nothing.

use std::time::Duration;

use sd_notify::NotifyState;

/// Start-up is complete: `systemctl start` returns.
pub fn ready(status: &str) {
    send(&[NotifyState::Ready, NotifyState::Status(status)]);
}

/// Start-up takes longer than the manager was told: it is not to lose patience within this time from now on.
pub fn starting(status: &str, within: Duration) {
    let usec = u32::try_from(within.as_micros()).unwrap_or(u32::MAX);
    send(&[NotifyState::ExtendTimeoutUsec(usec), NotifyState::Status(status)]);
}

/// One line for `systemctl status`.
pub fn status(status: &str) {
    send(&[NotifyState::Status(status)]);
}

/// The end has begun.
pub fn stopping() {
    send(&[NotifyState::Stopping]);
}

/// All stages are alive.
pub fn alive() {
    send(&[NotifyState::Watchdog]);
}

/// A stage hangs: the manager is to do at once what it does when it hears nothing. Only where it watches; else nobody asked for that.
pub fn hung() {
    if sd_notify::watchdog_enabled().is_some() {
        send(&[NotifyState::WatchdogTrigger]);
    }
}

/// How often the manager wants to hear that we are alive; half of its limit, as it recommends. None when it does not watch.
pub fn watchdog_interval() -> Option<Duration> {
    sd_notify::watchdog_enabled().map(|limit| limit / 2)
}

// A lost notification is no reason to stop analysing video: the manager's own timeout is the remedy.
fn send(states: &[NotifyState<'_>]) {
    if let Err(e) = sd_notify::notify(states) {
        log::debug!("the service manager could not be told: {e}");
    }
}
