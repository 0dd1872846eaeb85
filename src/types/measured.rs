//! What the device measures of itself, as plain numbers: what alerts about the device are judged by.
//! How it is measured belongs to `monitor`.

use super::frame::CameraId;

/// One look at the device. What could not be measured is None, and changes nothing.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Measured {
    /// Every camera that is switched on.
    pub cameras: Vec<CameraMeasured>,
    /// The hottest sensor.
    pub hottest: Option<Hottest>,
    /// Room for what the daemon keeps, in bytes.
    pub disk_free_bytes: Option<u64>,
    /// Why events cannot be written; None while they can.
    pub store_trouble: Option<String>,
}

/// One look at a camera.
#[derive(Debug, Clone, PartialEq)]
pub struct CameraMeasured {
    /// Which.
    pub camera: CameraId,
    /// Frames a second that the source delivered since the last look.
    pub delivered_fps: Option<f64>,
    /// Frames analysed a second since the last look.
    pub analysed_fps: Option<f64>,
    /// What 99 of 100 of its messages since the last look stayed below, from capture to the broker's connection.
    pub p99_ms: Option<f64>,
}

/// The hottest sensor.
#[derive(Debug, Clone, PartialEq)]
pub struct Hottest {
    /// As the driver names it.
    pub sensor: String,
    /// Its temperature.
    pub celsius: f64,
}
