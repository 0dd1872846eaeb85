//! Orders over MQTT: heard and judged on the publish thread, which waits for nothing, and carried out by the supervisor. Refusals are
//! answered at once. Which order is good, and what an answer looks like, belongs to `publish::commands`.

use std::sync::mpsc::Sender;
use std::sync::{Arc, Mutex, PoisonError};

use super::App;
use super::asked::Asked;
use super::neighbours::Neighbours;
use crate::config::{Config, ConfigErrors, Loaded};
use crate::publish::commands::{Accepted, Inbound, Judge, Order, Verdict};
use crate::publish::{Inbox, Incoming};
use crate::runtime::Clock;
use crate::types::{CameraId, CameraState, CameraStatus, Report};

/// What is listened to at the broker: orders where they are enabled, and what Home Assistant says. None where there is nothing.
pub(super) fn inbox(config: &Config, clock: Clock, neighbours: &Neighbours, tell: Sender<Asked>) -> Option<Inbox> {
    let judge = Judge::new(config.commands.clone(), &config.mqtt.prefix, &config.device.name, clock.now());
    let filters: Vec<String> = neighbours.subscriptions().into_iter().chain(judge.subscription()).collect();
    if filters.is_empty() {
        return None;
    }
    // Outlives connections: an order is obeyed once, whichever of them brings it again.
    let judge = Mutex::new(judge);
    let neighbours = neighbours.clone();
    let hear = move |message: Incoming| {
        if neighbours.hear(&message) {
            return;
        }
        let inbound = Inbound { topic: &message.topic, body: &message.body, retained: message.retained };
        let mut judge = judge.lock().unwrap_or_else(PoisonError::into_inner);
        match judge.judge(inbound, &neighbours.cameras(), clock.now()) {
            Verdict::PassOver => {}
            Verdict::Refuse(answer) => neighbours.answer(&answer),
            // The receiver is gone when the daemon has ended.
            Verdict::Obey(accepted) => drop(tell.send(Asked::Order(accepted))),
        }
    };
    Some(Inbox { filters, hear: Arc::new(hear) })
}

impl App {
    /// Carries an order out, and says how it went.
    pub(super) fn obey(&mut self, accepted: &Accepted, read_again: &dyn Fn() -> Result<Loaded, ConfigErrors>) {
        log::info!(stage = "orders"; "order {}: {}", accepted.id, words(&accepted.order));
        let outcome = match &accepted.order {
            Order::Detection { camera, on } => {
                self.lanes.switch(camera, *on);
                self.neighbours.detection(camera, *on);
                if !on {
                    self.expect_nothing_of(camera);
                }
                Ok(())
            }
            Order::Snapshot { camera } => self.take_picture(camera),
            Order::Reload => self.reload(read_again()),
        };
        self.neighbours.answer(&accepted.done(outcome));
    }

    /// Its next frame is shown to whoever asked; a file, and a message where `snapshots.mqtt` says so.
    fn take_picture(&self, camera: &CameraId) -> Result<(), String> {
        let Some(studio) = self.pictures.studio() else {
            return Err("pictures are switched off on this device (snapshots.enabled)".to_owned());
        };
        if self.lanes.is_off(camera) {
            return Err(format!("the detection of {camera} is off, so that none of its frames is looked at"));
        }
        let name = studio.now(camera, self.clock.now());
        name.map(drop).ok_or_else(|| format!("the masks of {camera} are not known yet"))
    }

    /// Alerts about a camera's frames are over with its detection: nobody expects any to be analysed.
    fn expect_nothing_of(&self, camera: &CameraId) {
        let status = CameraStatus {
            camera: CameraId::clone(camera),
            state: CameraState::Stopped,
            since: self.clock.now(),
            reason: "its detection is switched off".to_owned(),
            size_px: None,
        };
        // For alerts only: to everybody else the camera goes on.
        self.events.way().report(&Report::Camera(status));
    }
}

fn words(order: &Order) -> String {
    match order {
        Order::Detection { camera, on } => format!("detection of {camera} {}", if *on { "on" } else { "off" }),
        Order::Snapshot { camera } => format!("a picture of {camera}"),
        Order::Reload => "reload".to_owned(),
    }
}
