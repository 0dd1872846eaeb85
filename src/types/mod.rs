//! What flows through the stages: plain data, no I/O, no clocks, nothing of ours imported.
//!
//! Belongs here: a value that two stages exchange. Does not: how it is made, drawn, sent or configured.

pub mod detection;
pub mod event;
pub mod frame;
pub mod geometry;
pub mod measured;
pub mod names;
pub mod readings;
pub mod report;
pub mod stored;
pub mod surface;
pub mod track;

pub use detection::{ClassId, ClassNames, Detection};
pub use event::{BudgetMove, Event, Severity, Subject, What};
pub use frame::{CameraId, Captured, ColorMatrix, ColorRange, Frame, ImageView, PixelFormat, Pixels, Plane, RgbImage};
pub use geometry::Rect;
pub use measured::{CameraMeasured, Hottest, Measured};
pub use readings::{
    CoreUse, CpuUse, DiskUse, EventCount, Fan, GpuUse, MemoryUse, Power, PowerMode, Rail, Readings, Temperature,
    Throttle, TotalOf,
};
pub use report::{
    CameraState, CameraStatus, EngineState, EngineStatus, Finding, Label, Report, Sighting, TrackEvent, TrackPhase,
};
pub use stored::{Backlog, Lane, Stored};
pub use surface::{EglImage, Kept, Surface, SurfaceGate};
pub use track::{Track, TrackId, TrackUpdate, TrackView};
