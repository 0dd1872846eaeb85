//! What the daemon says about itself: numbers and log lines. Where they are served belongs to `api`.

pub mod fold;
pub mod histogram;
pub mod logging;
pub mod metrics;

pub use histogram::{Histogram, HistogramMark, quantile_ms_since_all};
pub use metrics::{
    BatchMetrics, BudgetMetrics, CameraMetrics, Counter, EngineMetrics, EngineOf, Gauge, Metrics, MqttMetrics,
    PictureMetrics, StageMetrics, StoreMetrics,
};
