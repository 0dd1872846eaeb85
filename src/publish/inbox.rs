//! What others have to say to the device over the broker: which topics are listened to, and who hears what comes. What a message means, and
//! whether it is obeyed, belongs to whoever hears it.

use std::fmt;
use std::sync::Arc;

/// A message from the broker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Incoming {
    /// Where it was published.
    pub topic: String,
    /// Its bytes, at most 1 MiB.
    pub body: Vec<u8>,
    /// Whether the broker had kept it from before we subscribed.
    pub retained: bool,
}

/// Topics that are subscribed to with every connection, and their hearer.
#[derive(Clone)]
pub struct Inbox {
    /// Filters, QoS 1.
    pub filters: Vec<String>,
    /// Called on the publish thread: it must not wait.
    pub hear: Arc<dyn Fn(Incoming) + Send + Sync>,
}

impl fmt::Debug for Inbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Inbox").field("filters", &self.filters).finish_non_exhaustive()
    }
}
