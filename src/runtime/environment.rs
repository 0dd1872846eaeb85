//! The process's environment: the only home of environment variables and of what the process is.

use std::path::PathBuf;

/// An environment variable, if it is set to something readable.
#[allow(clippy::disallowed_methods, reason = "the one home of the environment")]
pub fn var(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|v| !v.is_empty())
}

/// Where systemd put this service's credentials (`LoadCredential=`).
pub fn credentials_dir() -> Option<PathBuf> {
    var("CREDENTIALS_DIRECTORY").map(PathBuf::from)
}

/// Whether stderr goes to the journal.
pub fn stderr_is_journal() -> bool {
    var("JOURNAL_STREAM").is_some()
}

/// The machine's host name, as the kernel has it.
pub fn hostname() -> Option<String> {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").ok()?;
    Some(name.trim().to_owned()).filter(|n| !n.is_empty())
}

/// Resident memory of this process in bytes.
pub fn resident_bytes() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|l| l.strip_prefix("VmRSS:"))?;
    line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok().map(|kib| kib * 1024)
}

/// Processor time that this process has used, all threads together.
pub fn processor_time() -> std::time::Duration {
    let spent = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    std::time::Duration::try_from(spent).unwrap_or_default()
}

/// Processor time that this thread has used.
pub fn thread_time() -> std::time::Duration {
    let spent = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    std::time::Duration::try_from(spent).unwrap_or_default()
}

/// How many processors this process may use.
pub fn processors() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// The processor's name, for reports that say where something was measured.
pub fn processor_name() -> String {
    let info = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let field = |key: &str| {
        info.lines().find_map(|l| l.split_once(':').filter(|(k, _)| k.trim() == key).map(|(_, v)| v.trim().to_owned()))
    };
    field("model name")
        .or_else(|| field("Model"))
        .or_else(|| {
            std::fs::read_to_string("/proc/device-tree/model").ok().map(|m| m.trim_end_matches('\0').to_owned())
        })
        .unwrap_or_else(|| std::env::consts::ARCH.to_owned())
}
