//! What the supervisor is asked for: by signals, and by orders over MQTT that were found good. Belongs here: how it gets there. Does not:
//! which order is good (see `orders.rs`), what is done about it (see `app`).

use std::sync::mpsc::Sender;

use super::AppError;
use crate::publish::commands::Accepted;
use crate::runtime::Stop;
use crate::runtime::signals::{self, Asked as Signal};

/// What is asked for.
#[derive(Debug)]
pub(super) enum Asked {
    /// By a signal.
    Signal(Signal),
    /// By an order.
    Order(Accepted),
    /// Signals are not heard any more: their thread has ended.
    Deaf,
}

/// Says when it is gone that nobody listens to signals.
struct Ear(Sender<Asked>);

impl Drop for Ear {
    fn drop(&mut self) {
        // The receiver lives as long as the daemon; after it, nobody cares.
        let _ = self.0.send(Asked::Deaf);
    }
}

/// Passes signals on in their order. Whoever waits for something else is told of the end by `leave`.
pub(super) fn listen(tell: Sender<Asked>, leave: Stop) -> Result<(), AppError> {
    let ear = Ear(tell);
    signals::listen(move |what| {
        let _ = ear.0.send(Asked::Signal(what));
        if what == Signal::Stop {
            leave.set();
        }
    })
    .map_err(|e| AppError::Start(e.into()))
}
