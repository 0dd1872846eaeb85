//! What a pipeline reports, sorted by what it means for the session. Texts leave here without credentials.

use gstreamer as gst;
use gstreamer::prelude::GstObjectExt;

use crate::config::{Secret, redacted};
use crate::ingest::IngestError;

/// News that ends a session.
pub(super) enum Heard {
    /// The stream that came cannot be used on this device.
    Unusable(IngestError),
    /// The source wants other credentials.
    Refused(String),
    /// An element failed.
    Error(String),
    /// No more data, and the last warning if there was one.
    EndOfStream(String),
}

/// The next news on the bus; warnings are remembered, since rtspsrc explains an end of stream in one.
pub(super) fn next(
    bus: &gst::Bus,
    secrets: &[Secret],
    warning: &mut Option<String>,
) -> Option<(Heard, Option<String>)> {
    while let Some(message) = bus.pop() {
        let src = message.src().map(|s| s.name().to_string());
        match message.view() {
            gst::MessageView::Error(e) => {
                let reason = written(&e.error(), e.debug().as_deref(), secrets);
                let refused = e.error().matches(gst::ResourceError::NotAuthorized) || says_unauthorized(&reason);
                return Some((if refused { Heard::Refused(reason) } else { Heard::Error(reason) }, src));
            }
            gst::MessageView::Warning(w) => *warning = Some(written(&w.error(), w.debug().as_deref(), secrets)),
            gst::MessageView::Eos(_) => {
                let why = warning.take().unwrap_or_else(|| "the stream ended".into());
                return Some((Heard::EndOfStream(why), src));
            }
            _ => {}
        }
    }
    None
}

/// An error's sentence, and the last line of its details, which names the cause where the sentence is general.
fn written(error: &gst::glib::Error, debug: Option<&str>, secrets: &[Secret]) -> String {
    let cause = debug.and_then(|d| d.lines().map(str::trim).rfind(|l| !l.is_empty()));
    let cause = cause.filter(|c| !c.contains(": /Gst") && *c != error.message());
    let whole = match cause {
        Some(cause) => format!("{} ({cause})", error.message().trim_end_matches('.')),
        None => error.message().to_owned(),
    };
    redacted(&whole, secrets)
}

/// rtspsrc of GStreamer before 1.18, and servers that answer 403, do not use the error code.
fn says_unauthorized(reason: &str) -> bool {
    ["Unauthorized", "(401)", "Forbidden (403)"].iter().any(|w| reason.contains(w))
}
