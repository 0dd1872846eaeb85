//! What TensorRT says: it has one logger for the whole process, which never goes. Errors become part of the failure that they explain;
//! everything goes to the log.
//!
//! Belongs here: whom a line is for. Does not: how the program's log looks (see `telemetry`).

#![allow(unsafe_code, reason = "TensorRT hands over a C string")]

use std::cell::RefCell;
use std::ffi::{CStr, c_char};
use std::sync::{Mutex, PoisonError};

use super::failure::Failure;

/// Errors that are kept for one call; the first ones tell the cause.
const KEPT: usize = 8;

thread_local! {
    /// The errors of the call that this thread is in; None between calls.
    static HEARD: RefCell<Option<Vec<String>>> = const { RefCell::new(None) };
}

/// Errors from threads of TensorRT's own, which belong to no call: the next that fails without an error of its own takes them.
static STRAY: Mutex<Vec<String>> = Mutex::new(Vec::new());

/// The function that TensorRT's logger calls, from any thread.
pub(super) extern "C" fn listen(severity: i32, text: *const c_char) {
    if text.is_null() {
        return;
    }
    // SAFETY: the shim passes what TensorRT gave to its logger, a string that ends with a zero and lives until this returns.
    let text = unsafe { CStr::from_ptr(text) }.to_string_lossy();
    let text = text.trim_end();
    match severity {
        0 | 1 => hear(text),
        2 => log::warn!(stage = "engine"; "TensorRT: {text}"),
        3 => log::debug!(stage = "engine"; "TensorRT: {text}"),
        _ => log::trace!(stage = "engine"; "TensorRT: {text}"),
    }
}

fn hear(text: &str) {
    // At the debug level, since the failure that it is kept for is reported by whoever gets it.
    log::debug!(stage = "engine"; "TensorRT: error: {text}");
    // A library may log while the process ends, when this thread's own memory is gone already.
    let is_kept = HEARD.try_with(|heard| heard.borrow_mut().as_mut().map(|lines| keep(lines, text)).is_some());
    if !is_kept.unwrap_or(false) {
        keep(&mut STRAY.lock().unwrap_or_else(PoisonError::into_inner), text);
    }
}

fn keep(lines: &mut Vec<String>, text: &str) {
    if lines.len() < KEPT && lines.last().is_none_or(|last| last != text) {
        lines.push(text.to_owned());
    }
}

/// Does one call of TensorRT, and returns what it gave with the errors that it logged meanwhile.
pub(super) fn during<T>(call: impl FnOnce() -> T) -> (T, Vec<String>) {
    STRAY.lock().unwrap_or_else(PoisonError::into_inner).clear();
    HEARD.set(Some(Vec::new()));
    let result = call();
    let mut heard = HEARD.take().unwrap_or_default();
    if heard.is_empty() {
        heard.append(&mut STRAY.lock().unwrap_or_else(PoisonError::into_inner));
    }
    (result, heard)
}

/// A call's errors as the failure that they explain.
pub(super) fn failure(doing: &'static str, heard: &[String]) -> Failure {
    let said = if heard.is_empty() { "it gave no reason".to_owned() } else { heard.join("; ") };
    let lower = said.to_lowercase();
    let is_out_of_memory =
        ["out of memory", "outofmemory", "out_of_memory", "insufficient memory", "cudaerrormemoryallocation"]
            .iter()
            .any(|words| lower.contains(words));
    if is_out_of_memory { Failure::NoMemory { doing, said } } else { Failure::Tensorrt { doing, said } }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn say(severity: i32, text: &CStr) {
        listen(severity, text.as_ptr());
    }

    #[test]
    fn errors_explain_the_call_in_which_they_were_logged() {
        let ((), heard) = during(|| {
            say(1, c"magicTag mismatch");
            say(2, c"a warning is no reason");
            say(0, c"internal");
        });
        assert_eq!(heard, ["magicTag mismatch", "internal"]);
        assert_eq!(failure("loading", &heard).to_string(), "TensorRT: loading: magicTag mismatch; internal");
        let ((), heard) = during(|| ());
        assert_eq!(failure("loading", &heard).to_string(), "TensorRT: loading: it gave no reason");
    }

    #[test]
    fn want_of_memory_is_told_apart() {
        let heard = ["[virtualMemoryBuffer.cpp] Error Code 2: OutOfMemory (no further information)".to_owned()];
        assert!(matches!(failure("building", &heard), Failure::NoMemory { .. }));
    }
}
