//! What the operating system gives: clocks, threads, signals, the service manager. The only home of `Instant::now`, `SystemTime::now`
//! and `thread::spawn`, so that everything else takes time as an argument and every thread has a name and a heartbeat.

pub mod clock;
pub mod disk;
pub mod environment;
pub mod notify;
pub mod random;
pub mod signals;
pub mod silence;
pub mod stop;
pub mod threads;

pub use clock::Clock;
pub use silence::Silences;
pub use stop::Stop;
pub use threads::{Heart, Hearts, Worker};
