//! The plain rule of before: the camera that was served longest ago. No weights, no rates, no batches.

/// A camera that has a frame for the engine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Waiting {
    /// The caller's index of the camera.
    pub index: usize,
    /// The engine's turn in which it was last served; 0 for never.
    pub served_turn: u64,
}

/// The camera that was served longest ago; the first of those that tie. So no camera waits for longer than all others take once.
pub fn next(waiting: impl IntoIterator<Item = Waiting>) -> Option<usize> {
    waiting.into_iter().min_by_key(|w| w.served_turn).map(|w| w.index)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cameras_take_turns_however_many_frames_one_of_them_has() {
        let mut served = [0u64; 3];
        let mut counts = [0u32; 3];
        for turn in 1..=300 {
            let waiting = served.iter().enumerate().map(|(index, &served_turn)| Waiting { index, served_turn });
            let i = next(waiting).expect("all wait");
            served[i] = turn;
            counts[i] += 1;
        }
        assert_eq!(counts, [100, 100, 100]);
    }

    #[test]
    fn nobody_is_next_when_nobody_waits() {
        assert_eq!(next([]), None);
    }
}
