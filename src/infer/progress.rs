//! Who is told how far a start has come: building an engine on a small board takes minutes.

use std::sync::Arc;

/// Takes one line at a time; says nothing by default. Clones tell the same listener.
#[derive(Clone)]
pub struct Progress(Arc<dyn Fn(&str) + Send + Sync>);

impl Progress {
    /// Tells this listener, from whichever thread; it must not wait.
    pub fn new(listener: impl Fn(&str) + Send + Sync + 'static) -> Self {
        Self(Arc::new(listener))
    }

    /// This is being done now, e.g. "yolov8n: building, step 3 of 12". To be called as often as there is news: listeners keep their
    /// own pace.
    pub fn tell(&self, doing: &str) {
        (self.0)(doing);
    }
}

impl Default for Progress {
    fn default() -> Self {
        Self::new(|_| {})
    }
}

impl std::fmt::Debug for Progress {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Progress")
    }
}
