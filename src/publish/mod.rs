//! Reports become MQTT messages. [`Publisher::offer`] takes them without ever waiting; a thread of its own holds the connection.
//!
//! ```text
//! offer ─► pace ─► desk (outbox, states, detections) ─┬─► session ─► flight ─► broker
//! store ─► events (what is durable) ──────────────────┘      │
//!            ▲ acknowledged, or offered again                │
//!            └───────────────────────────────────────────────┘
//! ```
//!
//! Belongs here: topics, payloads, rates, delivery. Does not: what is worth a report (see `track`, `rules`), what people configure (`config`).

mod alerts;
pub mod asyncapi;
mod blame;
pub mod commands;
mod companions;
mod desk;
mod driver;
mod events;
mod flight;
pub mod homeassistant;
mod inbox;
mod mqtt;
pub mod onvif;
mod outbox;
pub mod pace;
pub mod payload;
mod retry;
#[cfg(test)]
mod samples;
mod session;
pub mod states;
mod tls;
mod topics;
mod watch;
mod window;

use std::sync::Arc;
use std::time::Duration;

pub use inbox::{Inbox, Incoming};
pub use payload::{Kind, Message, Presence, Qos, render};
pub use tls::TlsError;

use crate::config;
use crate::runtime::{Clock, Heart, Worker};
use crate::telemetry::Metrics;
use crate::types::{Backlog, Report, Stored};
use alerts::OpenAlerts;
use desk::{Desk, StopBy};
use driver::Shared;
use events::Events;

/// All that publishing needs.
#[derive(Debug, Clone)]
pub struct Context {
    /// `[device]`
    pub device: config::Device,
    /// `[mqtt]`
    pub mqtt: config::Mqtt,
    /// `[publish]`
    pub settings: config::Publish,
    /// Where to count.
    pub metrics: Arc<Metrics>,
    /// The clock of the frames' capture times.
    pub clock: Clock,
    /// Beaten several times a second.
    pub heart: Heart,
    /// Events that wait on disk; None where none are kept.
    pub outgoing: Option<Outgoing>,
    /// What is listened to; None for nothing.
    pub inbox: Option<Inbox>,
    /// Whether events go out a second time in the form of ONVIF.
    pub onvif: bool,
}

/// Events on their way from the store.
#[derive(Debug, Clone)]
pub struct Outgoing {
    /// The store.
    pub backlog: Arc<dyn Backlog>,
    /// Alerts that were open when this life of the daemon began, as the events that raised them.
    pub open_alerts: Vec<Stored>,
    /// The names of all alerts that there are. Of those that are not open the broker may still retain that they are: from a life whose disk is
    /// gone, say.
    pub alerts: Vec<String>,
    /// The `boot` of what is stored from now on.
    pub boot: uuid::Uuid,
}

/// Why publishing cannot start. A broker that is away is no reason.
#[derive(Debug, thiserror::Error)]
pub enum PublishError {
    /// TLS is asked for and cannot be set up.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The system gives no thread or no event queue.
    #[error("the publish thread cannot start: {0}")]
    Thread(#[from] std::io::Error),
}

/// Takes reports; clones share the connection.
#[derive(Debug, Clone)]
pub struct Publisher {
    desk: Arc<Desk>,
    clock: Clock,
}

impl Publisher {
    /// Takes a report. Never waits; what cannot be kept or sent is counted.
    pub fn offer(&self, report: Report) {
        self.desk.offer(report, self.clock.mono());
    }

    /// Takes a message that is written already. A retained one is said again with every connection, in its topic's newest version, until one
    /// with an empty body takes it back; another one of QoS 1 is kept in memory until acknowledged; of QoS 0, it goes now or never.
    pub fn send(&self, message: Message) {
        self.desk.send(message, self.clock.mono());
    }

    /// Why the broker is not reached, in words without credentials; None while it is.
    pub fn trouble(&self) -> Option<String> {
        self.desk.trouble()
    }
}

/// The running publish thread. Dropped, it goes on without being stopped.
#[derive(Debug)]
pub struct Driver {
    desk: Arc<Desk>,
    clock: Clock,
    worker: Worker,
}

impl Driver {
    /// Sends what is left, says `offline`, disconnects and ends the thread, within this time. True when nothing was left behind that the
    /// process takes with it: events that did not get through are on disk.
    pub fn stop(self, at_most: Duration) -> bool {
        self.desk.ask_to_stop(StopBy { asked: self.clock.mono(), at_most });
        let ended = self.worker.join_within(&self.clock, at_most);
        ended && self.desk.records_left() == 0
    }

    /// Whether the thread has ended, which it does not do by itself.
    pub fn is_finished(&self) -> bool {
        self.worker.is_finished()
    }
}

/// Checks the TLS files and starts the thread "publish", which connects for as long as it takes.
///
/// # Errors
/// When a file that TLS needs is missing or wrong, or the system gives no thread.
pub fn start(context: Context) -> Result<(Publisher, Driver), PublishError> {
    let tls = match &context.mqtt.tls {
        Some(tls) => Some(tls::client_config(mqtt::bare_host(&context.mqtt.host), tls)?),
        None => None,
    };
    let clock = context.clock;
    let desk = Arc::new(Desk::new(
        &context.settings,
        context.mqtt.outbox_capacity,
        Presence::Online(clock.now()),
        Arc::clone(&context.metrics),
    ));
    let events = context.outgoing.clone().map(|outgoing| {
        let open = OpenAlerts::new(outgoing.open_alerts, outgoing.boot);
        outgoing.alerts.iter().for_each(|name| desk.say_alert(name, open.of(name)));
        open.all().into_iter().for_each(|(name, retain)| desk.say_alert(&name, retain));
        let bell = Arc::clone(&desk);
        Events::new(outgoing.backlog, open, move || bell.ring())
    });
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let shared = Shared::new(context, Arc::clone(&desk), tls);
    let worker = Worker::spawn("publish", move || driver::run(runtime, &shared, events))?;
    Ok((Publisher { desk: Arc::clone(&desk), clock }, Driver { desk, clock, worker }))
}
