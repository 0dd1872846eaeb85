//! The only loop that opens a source again. A session runs once and says why it ended; here is decided what that means, what is told and how long to wait. What a session
//! does belongs to whoever implements [`Source`].

use std::time::Duration;

use super::backoff::{Backoff, Kind};
use super::teller::Teller;
use crate::telemetry::CameraMetrics;
use crate::types::CameraState;

/// Something that can be opened again and again.
pub(super) trait Source {
    /// Opens, delivers frames and returns why that ended. `streaming` is called with the frame size at the first frame, and again when the size changes.
    fn run_once(&mut self, streaming: &mut dyn FnMut((u32, u32))) -> End;
}

/// Why a session ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum End {
    /// It was asked to.
    Stopped,
    /// A file came to its end and is not to be repeated.
    Ended,
    /// Nothing is wrong, but a new pipeline is needed at once: the picture's size changed, a file begins again, another decoder is tried.
    Again,
    /// Silence.
    Stalled(String),
    /// The credentials were refused.
    AuthFailed(String),
    /// The codec is none that this device decodes.
    UnsupportedCodec(String),
    /// Anything else.
    Failed(String),
}

/// Time and chance.
pub(super) struct Surroundings<'a> {
    /// The monotonic time.
    pub(super) now: &'a dyn Fn() -> Duration,
    /// A random number in 0..1.
    pub(super) random: &'a mut dyn FnMut() -> f64,
    /// Waits; true when the end was asked for.
    pub(super) wait: &'a mut dyn FnMut(Duration) -> bool,
}

/// Sessions and pauses, until a stop or the end of a file.
pub(super) fn supervise(
    source: &mut dyn Source,
    backoff: &mut Backoff,
    mut teller: Teller,
    counted: &CameraMetrics,
    around: Surroundings<'_>,
) {
    teller.tell(CameraState::Connecting, "", None, (around.now)());
    loop {
        let mut first_frame = None;
        let end = source.run_once(&mut |size_px| {
            first_frame.get_or_insert_with(around.now);
            teller.tell(CameraState::Streaming, "", Some(size_px), (around.now)());
        });
        if let Some(first_frame) = first_frame {
            backoff.streamed((around.now)().saturating_sub(first_frame));
        }
        let (state, reason, kind) = match end {
            End::Stopped => return teller.tell(CameraState::Stopped, "", None, (around.now)()),
            End::Ended => return teller.tell(CameraState::Ended, "", None, (around.now)()),
            End::Again => {
                // Even a source that always wants a new pipeline must let itself be stopped.
                if (around.wait)(Duration::ZERO) {
                    return teller.tell(CameraState::Stopped, "", None, (around.now)());
                }
                continue;
            }
            End::Stalled(reason) => {
                counted.stalls_total.inc();
                (CameraState::Stalled, reason, Kind::Fault)
            }
            End::AuthFailed(reason) => (CameraState::AuthFailed, reason, Kind::Auth),
            End::UnsupportedCodec(reason) => (CameraState::UnsupportedCodec, reason, Kind::Fault),
            End::Failed(reason) => (CameraState::Failed, reason, Kind::Fault),
        };
        teller.tell(state, &reason, None, (around.now)());
        if (around.wait)(backoff.next(kind, (around.random)())) {
            return teller.tell(CameraState::Stopped, "", None, (around.now)());
        }
        counted.reconnects_total.inc();
    }
}

#[cfg(test)]
mod tests {
    use std::cell::{Cell, RefCell};
    use std::collections::VecDeque;
    use std::sync::{Arc, Mutex};

    use super::*;
    use crate::config;
    use crate::runtime::Clock;
    use crate::types::CameraStatus;

    /// A session that never streamed, or streamed for so long.
    type Scripted = (Option<u64>, End);

    struct Script<'a> {
        sessions: VecDeque<Scripted>,
        now: &'a Cell<Duration>,
    }

    impl Source for Script<'_> {
        fn run_once(&mut self, streaming: &mut dyn FnMut((u32, u32))) -> End {
            let (streamed_secs, end) = self.sessions.pop_front().unwrap_or((None, End::Stopped));
            if let Some(secs) = streamed_secs {
                streaming((64, 48));
                self.now.set(self.now.get() + Duration::from_secs(secs));
            }
            end
        }
    }

    struct Seen {
        states: Vec<(CameraState, String)>,
        pauses_ms: Vec<u128>,
        metrics: Arc<CameraMetrics>,
    }

    fn play(sessions: impl IntoIterator<Item = Scripted>, stop_at_pause: usize) -> Seen {
        let settings = config::Ingest {
            stall_after: Duration::from_secs(3),
            first_frame_within: Duration::from_secs(10),
            backoff_min: Duration::from_millis(500),
            backoff_max: Duration::from_secs(10),
            auth_backoff_max: Duration::from_secs(60),
            ring_capacity: 1,
            connects_at_once: 8,
            nvmm: config::Nvmm::Auto,
        };
        let (now, pauses) = (Cell::new(Duration::ZERO), RefCell::new(Vec::new()));
        let told: Arc<Mutex<Vec<CameraStatus>>> = Arc::default();
        let metrics = Arc::new(CameraMetrics::default());
        let hears = Arc::clone(&told);
        let status = Arc::new(move |s| hears.lock().expect("sound").push(s));
        let teller = Teller::new("gate".into(), Clock::start(), Arc::clone(&metrics), status);
        let mut script = Script { sessions: sessions.into_iter().collect(), now: &now };
        let surroundings = Surroundings {
            now: &|| now.get(),
            random: &mut || 1.0,
            wait: &mut |pause| {
                now.set(now.get() + pause);
                pauses.borrow_mut().push(pause.as_millis());
                pauses.borrow().len() > stop_at_pause
            },
        };
        supervise(&mut script, &mut Backoff::new(&settings), teller, &metrics, surroundings);
        let states = told.lock().expect("sound").iter().map(|s| (s.state, s.reason.clone())).collect();
        Seen { states, pauses_ms: pauses.into_inner(), metrics }
    }

    fn failed() -> End {
        End::Failed("refused".into())
    }

    fn states(seen: &Seen) -> Vec<CameraState> {
        seen.states.iter().map(|(s, _)| *s).collect()
    }

    #[test]
    fn a_fault_is_told_once_until_frames_come_again() {
        use CameraState::{Connecting, Failed, Stopped, Streaming};
        let seen = play([(Some(60), failed()), (None, failed()), (None, failed()), (Some(60), End::Stopped)], 99);
        assert_eq!(states(&seen), [Connecting, Streaming, Failed, Streaming, Stopped]);
        assert_eq!(seen.states[2].1, "refused");
        assert_eq!(seen.pauses_ms, [500, 1000, 2000]);
        assert_eq!(seen.metrics.reconnects_total.get(), 3);
    }

    #[test]
    fn a_changed_reason_is_told_but_not_at_every_attempt() {
        let because = |reason: &str| (None, End::Failed(reason.into()));
        // Pauses of 0.5, 1, 2, 4 and 8 s: the third session fails 1.5 s after the first, the sixth 15.5 s after it.
        let ends = ["refused", "refused", "404", "404", "404", "404", "404"];
        let seen = play(ends.map(because), 99);
        let reasons: Vec<_> = seen.states.iter().map(|(_, reason)| reason.as_str()).collect();
        assert_eq!(reasons, ["", "refused", "404", ""]);
    }

    #[test]
    fn each_kind_of_end_has_its_state() {
        for (end, state) in [
            (End::Stalled("silent".into()), CameraState::Stalled),
            (End::AuthFailed("401".into()), CameraState::AuthFailed),
            (End::UnsupportedCodec("VP9".into()), CameraState::UnsupportedCodec),
            (failed(), CameraState::Failed),
        ] {
            let seen = play([(None, end)], 99);
            assert_eq!(states(&seen), [CameraState::Connecting, state, CameraState::Stopped]);
            assert_eq!(seen.metrics.stalls_total.get(), u64::from(state == CameraState::Stalled));
        }
    }

    #[test]
    fn wrong_credentials_wait_up_to_a_minute() {
        let refused = || (None, End::AuthFailed("401".into()));
        let seen = play([refused(), refused(), refused(), refused(), refused()], 99);
        assert_eq!(seen.pauses_ms, [10_000, 20_000, 40_000, 60_000, 60_000]);
    }

    #[test]
    fn a_new_pipeline_without_a_fault_comes_at_once_and_tells_nothing() {
        let seen = play([(Some(5), End::Again), (Some(5), End::Again), (Some(1), End::Ended)], 99);
        assert_eq!(states(&seen), [CameraState::Connecting, CameraState::Streaming, CameraState::Ended]);
        assert_eq!(seen.pauses_ms, [0, 0]);
        assert_eq!(seen.metrics.reconnects_total.get(), 0);
    }

    #[test]
    fn a_stop_during_a_pause_ends_the_loop() {
        let seen = play([(None, failed()), (Some(60), failed())], 0);
        assert_eq!(states(&seen), [CameraState::Connecting, CameraState::Failed, CameraState::Stopped]);
        assert_eq!(seen.metrics.reconnects_total.get(), 0);
    }

    #[test]
    fn the_gauge_shows_the_last_state() {
        let seen = play([(Some(1), End::Ended)], 99);
        assert_eq!(CameraState::ALL[seen.metrics.state.get() as usize], CameraState::Ended);
        assert_eq!((seen.metrics.width_px.get(), seen.metrics.height_px.get()), (64, 48));
    }
}
