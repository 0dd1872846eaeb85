//! The publish thread: makes connections, one after the other, for as long as the daemon runs. The one place where the broker is retried.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rustls::ClientConfig;
use tokio::runtime::Runtime;

use super::Context;
use super::blame::Blame;
use super::companions::Companions;
use super::desk::Desk;
use super::events::Events;
use super::mqtt::Lost;
use super::retry::Retry;
use super::session::{Ended, Session};
use crate::runtime::random;

/// Turns of the loop between two connections: the heart must beat then, too.
const TURN: Duration = Duration::from_millis(250);

/// What sessions share.
pub(super) struct Shared {
    pub(super) context: Context,
    pub(super) desk: Arc<Desk>,
    pub(super) tls: Option<Arc<ClientConfig>>,
    told: Mutex<Told>,
}

/// What was logged already: a state is logged when it changes, not with every attempt.
#[derive(Debug, Default)]
struct Told {
    trouble: Option<String>,
    refusals: HashSet<String>,
}

impl Shared {
    pub(super) fn new(context: Context, desk: Arc<Desk>, tls: Option<Arc<ClientConfig>>) -> Self {
        Self { context, desk, tls, told: Mutex::default() }
    }

    /// A connection is up.
    pub(super) fn connected(&self) {
        let mqtt = &self.context.mqtt;
        self.context.metrics.mqtt.connected.set(1);
        self.context.metrics.mqtt.connects_total.inc();
        self.desk.connected();
        self.told().trouble = None;
        log::info!("mqtt: connected to {}:{} as {}", mqtt.host, mqtt.port, mqtt.client_id);
    }

    /// The broker does not take a message: said once for each reason.
    pub(super) fn refused(&self, why: &str) {
        if self.told().refusals.insert(why.to_owned()) {
            log::warn!("mqtt: the broker refuses messages for good: {why}; they are given up and counted");
        }
    }

    fn disconnected(&self, lost: &Lost) {
        let mqtt = &self.context.mqtt;
        self.context.metrics.mqtt.connected.set(0);
        self.desk.disconnected(&lost.why);
        let mut told = self.told();
        if told.trouble.as_deref() != Some(&lost.why) {
            log::warn!("mqtt: no connection to {}:{}: {}; trying again", mqtt.host, mqtt.port, lost.why);
            told.trouble = Some(lost.why.clone());
        }
    }

    fn told(&self) -> std::sync::MutexGuard<'_, Told> {
        self.told.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The body of the thread.
pub(super) fn run(runtime: Runtime, shared: &Shared, events: Option<Events>) {
    let companions = shared.context.onvif.then(Companions::default);
    runtime.block_on(drive(shared, Carried { events, companions, blame: Blame::default(), deaf: false }));
    shared.context.metrics.mqtt.connected.set(0);
    shared.desk.close();
    let left = shared.desk.records_left();
    if left > 0 {
        log::warn!("mqtt: stopped with {left} messages that the broker does not have; they are lost");
    }
    // A name that is still being resolved must not hold up the end.
    runtime.shutdown_background();
}

/// What outlives a session, known to this thread alone.
pub(super) struct Carried {
    pub(super) events: Option<Events>,
    pub(super) companions: Option<Companions>,
    pub(super) blame: Blame,
    /// The next connection subscribes to nothing: what was brought to this one is more than can be read.
    pub(super) deaf: bool,
}

async fn drive(shared: &Shared, mut carried: Carried) {
    let mut retry = Retry::default();
    loop {
        let ended = Session::begin(shared, &mut carried).run().await;
        if let Some(events) = &mut carried.events {
            events.connection_lost();
        }
        if let Some(companions) = &mut carried.companions {
            companions.connection_lost();
        }
        match ended {
            Ended::Stopped => {
                shared.desk.disconnected("stopped");
                return;
            }
            Ended::Lost(lost, lasted) => {
                shared.disconnected(&lost);
                if rest(shared, retry.pause(lasted, lost.unwelcome, random::share())).await {
                    return;
                }
            }
        }
    }
}

/// Waits before the next attempt; true when the thread is to end instead.
async fn rest(shared: &Shared, pause: Duration) -> bool {
    let clock = shared.context.clock;
    let until = clock.mono() + pause;
    loop {
        shared.context.heart.beat();
        let now = clock.mono();
        if let Some(stop) = shared.desk.stop() {
            // Without a connection there is nothing to say; with records left, the next attempt may still bring them over.
            let over = now >= stop.asked + stop.at_most * 7 / 10;
            if over || shared.desk.records_left() == 0 {
                return true;
            }
        }
        if now >= until {
            return false;
        }
        tokio::time::sleep((until - now).min(TURN)).await;
    }
}
