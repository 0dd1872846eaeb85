//! When a connection counts as dead although nobody says so: a half-open line, a frozen broker, a client library that hangs. Pure.
//! It depends on nothing that the client reports about itself, only on what arrived from the broker.

use std::time::Duration;

/// The client gives up connecting after 10 s by itself, name and TLS included; beyond this it hangs.
const CONNECT_WITHIN: Duration = Duration::from_secs(20);
/// After a ping, which goes out every keep-alive: with the default of 10 s, an idle line that is half-open is noticed within 18 s.
const PING_ANSWERED_WITHIN: Duration = Duration::from_secs(8);
/// With messages on their way, whatever the keep-alive: someone who pings once in ten minutes also wants to know.
const SILENT_WITH_MESSAGES: Duration = Duration::from_secs(15);
/// The broker lives, answers pings, and acknowledges nothing: either it or the client has lost a message's identifier.
const STUCK: Duration = Duration::from_secs(60);

/// See the head of the file. Times are of the monotonic clock.
#[derive(Debug)]
pub(super) struct Watch {
    keep_alive: Duration,
    begun: Duration,
    up: bool,
    heard: Duration,
    /// When messages began to be on their way, or the last one was acknowledged since.
    awaited: Option<Duration>,
}

impl Watch {
    /// Begins with the attempt to connect.
    pub(super) fn new(keep_alive: Duration, now: Duration) -> Self {
        Self { keep_alive, begun: now, up: false, heard: now, awaited: None }
    }

    /// The broker welcomed us.
    pub(super) fn connected(&mut self, now: Duration) {
        self.up = true;
        self.heard = now;
    }

    /// Anything came from the broker.
    pub(super) fn heard(&mut self, now: Duration) {
        self.heard = now;
    }

    /// A message that must be acknowledged is on its way.
    pub(super) fn handed(&mut self, now: Duration) {
        self.awaited.get_or_insert(now);
    }

    /// A message was acknowledged; `over`: it was the last one.
    pub(super) fn acknowledged(&mut self, over: bool, now: Duration) {
        self.heard = now;
        self.awaited = (!over).then_some(now);
    }

    /// Why the connection must be given up, if it must.
    pub(super) fn verdict(&self, now: Duration) -> Option<&'static str> {
        let since = |then: Duration| now.saturating_sub(then);
        if !self.up {
            return (since(self.begun) > CONNECT_WITHIN).then_some("connecting does not come to an end");
        }
        let idle = since(self.heard) > self.keep_alive + PING_ANSWERED_WITHIN;
        let silent = self.awaited.is_some_and(|from| since(from.max(self.heard)) > SILENT_WITH_MESSAGES);
        if idle || silent {
            return Some("the broker does not answer");
        }
        self.awaited.is_some_and(|from| since(from) > STUCK).then_some("the broker acknowledges nothing any more")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn s(secs: u64) -> Duration {
        Duration::from_secs(secs)
    }

    fn up(keep_alive: u64) -> Watch {
        let mut watch = Watch::new(s(keep_alive), s(0));
        watch.connected(s(1));
        watch
    }

    #[test]
    fn a_line_that_went_half_open_while_idle_is_noticed_within_20_seconds() {
        let watch = up(10);
        assert_eq!(watch.verdict(s(12)), None, "the ping may still be answered");
        assert_eq!(watch.verdict(s(1 + 20)), Some("the broker does not answer"));
    }

    #[test]
    fn a_message_on_its_way_finds_a_dead_broker_within_20_seconds_whatever_the_keep_alive() {
        let mut watch = up(3600);
        watch.handed(s(100));
        assert_eq!(watch.verdict(s(110)), None);
        assert_eq!(watch.verdict(s(120)), Some("the broker does not answer"));
        watch.acknowledged(true, s(121));
        assert_eq!(watch.verdict(s(3000)), None, "nothing is awaited");
    }

    #[test]
    fn a_broker_that_answers_pings_and_acknowledges_nothing_is_left() {
        let mut watch = up(10);
        watch.handed(s(5));
        watch.handed(s(50));
        for now in 6..=65 {
            watch.heard(s(now));
            assert_eq!(watch.verdict(s(now)), None, "after {now} s");
        }
        watch.heard(s(66));
        assert_eq!(watch.verdict(s(66)), Some("the broker acknowledges nothing any more"));
    }

    #[test]
    fn a_slow_broker_that_goes_on_acknowledging_is_kept() {
        let mut watch = up(10);
        watch.handed(s(1));
        for now in (10..600).step_by(10) {
            watch.acknowledged(false, s(now));
            assert_eq!(watch.verdict(s(now + 9)), None);
        }
    }

    #[test]
    fn connecting_that_hangs_comes_to_an_end() {
        let watch = Watch::new(s(10), s(0));
        assert_eq!(watch.verdict(s(19)), None);
        assert!(watch.verdict(s(21)).is_some());
    }
}
