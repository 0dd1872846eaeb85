//! Who is told how far a start has come: building an engine on a small board takes minutes.

use std::sync::Arc;

/// Takes one line at a time; says nothing by default. Clones tell the same listener.
#[derive(Clone)]
pub struct Progress {
    doing: Arc<dyn Fn(&str) + Send + Sync>,
    remarks: Option<fn(&str)>,
}

impl Progress {
    /// Tells this listener, from whichever thread; it must not wait.
    pub fn new(listener: impl Fn(&str) + Send + Sync + 'static) -> Self {
        Self { doing: Arc::new(listener), remarks: None }
    }

    /// Remarks go here as well as to the log: for commands, whose log nobody reads.
    #[must_use]
    pub fn with_remarks(self, listener: fn(&str)) -> Self {
        Self { remarks: Some(listener), ..self }
    }

    /// This is being done now, e.g. "yolov8n: building, step 3 of 12". To be called as often as there is news: listeners keep their
    /// own pace.
    pub fn tell(&self, doing: &str) {
        (self.doing)(doing);
    }

    /// Something was not as it should be, and what is done about it. Each is told.
    pub fn remark(&self, what: &str) {
        match self.remarks {
            Some(listener) => listener(what),
            None => log::warn!(stage = "engine"; "{what}"),
        }
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
