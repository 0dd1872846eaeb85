//! The daemon as a user has it: the real binary, a real broker, real signals.

mod budget;
mod end_to_end;
mod events;
mod isolation;
mod orders;
mod pictures;
mod reload;
mod rungs;
mod shutdown;
mod telemetry;

use crate::support::{Broker, data};

/// A configuration with one test camera and the tiny detector, to which a test adds its own.
fn config(broker: &Broker, more: &str) -> String {
    format!(
        r#"
[device]
name = "box"
[mqtt]
broker = "{}"
[detect]
model = "{}"
engine = "tract"
threads = 1
{more}
"#,
        broker.url(),
        data("tiny_detector.onnx").display()
    )
}

/// A camera of moving test pictures.
fn test_camera(name: &str) -> String {
    format!("[camera.{name}]\nsource = \"test:ball\"\nwidth = 320\nheight = 240\nfps = 10\n")
}
