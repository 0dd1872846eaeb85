//! What an owner relies on: still pictures are left alone, nobody who moves is overlooked, and the same frame is looked at once.

use std::time::Duration;

use super::motion::{Changed, Gate};
use super::patch::Patch;
use super::*;
use crate::config::{Anchor, Attend, Camera, Line, Source};
use crate::types::{ColorMatrix, ColorRange, PixelFormat, Plane};

const SIZE_PX: (u32, u32) = (320, 180);

/// A grey picture whose texture tells every place from every other, with a square thing in it.
struct Picture {
    data: Vec<u8>,
}

impl Picture {
    fn with(thing: Option<(usize, usize)>, noise: u8, seed: usize) -> Self {
        let (w, h) = (SIZE_PX.0 as usize, SIZE_PX.1 as usize);
        let mut luma = vec![0; w * h];
        for (n, value) in luma.iter_mut().enumerate() {
            let (x, y) = (n % w, n / w);
            let is_thing =
                thing.is_some_and(|(left, top)| (left..left + 30).contains(&x) && (top..top + 60).contains(&y));
            let (left, top) = thing.unwrap_or_default();
            let texture = if is_thing {
                150 + hash((x - left) / 3 + 1000 * ((y - top) / 3)) % 90
            } else {
                60 + hash(x / 4 + 977 * (y / 4)) % 40
            };
            let grain = if noise == 0 { 0 } else { hash(n + 7919 * seed) % usize::from(noise) };
            *value = (texture + grain) as u8;
        }
        luma.resize(w * h * 3 / 2, 128);
        Self { data: luma }
    }

    fn view(&self) -> ImageView<'_> {
        let (w, h) = (SIZE_PX.0 as usize, SIZE_PX.1 as usize);
        let (y, u) = (w * h, w * h / 4);
        let plane = |from, to, stride| Plane { data: &self.data[from..to], stride };
        ImageView {
            format: PixelFormat::I420,
            width_px: SIZE_PX.0,
            height_px: SIZE_PX.1,
            planes: [plane(0, y, w), plane(y, y + u, w / 2), plane(y + u, y + 2 * u, w / 2)],
            matrix: ColorMatrix::Bt601,
            range: ColorRange::Limited,
        }
    }
}

fn hash(n: usize) -> usize {
    let n = (n as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    ((n ^ (n >> 29)).wrapping_mul(0xBF58_476D_1CE4_E5B9) >> 40) as usize
}

fn settings(motion_gate: bool) -> Attend {
    Attend { enabled: true, interval: 3, max_interval: 6, motion_gate, recheck: Duration::from_secs(5) }
}

fn camera() -> Camera {
    Camera::of(Source::Test { pattern: String::new() })
}

fn known(x: f32) -> TrackView {
    TrackView {
        id: 1,
        bbox: Rect::from_xywh(x, 60.0, 30.0, 60.0),
        class: 0,
        score: 0.9,
        speed_px: (2.0, 0.0),
        fit: 0.9,
        hits: 9,
        is_told: true,
        lost_frames: 0,
    }
}

/// Plays frames, ten a second: what becomes of each. Tracks stay as they are.
fn played(
    mut attention: Attention,
    frames: usize,
    picture: impl Fn(usize) -> Picture,
    tracks: &[TrackView],
) -> Vec<Look> {
    (0..frames)
        .map(|n| {
            let picture = picture(n);
            let view = picture.view();
            let glance = Glance { pixels: Some(&view), size_px: SIZE_PX, at: Duration::from_millis(n as u64 * 100) };
            let look = attention.judge(&glance, tracks);
            if look != Look::Coast {
                attention.saw(&glance, tracks.iter().copied());
            }
            look
        })
        .collect()
}

fn looks(all: &[Look]) -> usize {
    all.iter().filter(|look| matches!(look, Look::Detect(_))).count()
}

fn noisy(n: usize) -> Picture {
    Picture::with(None, 12, n)
}

#[test]
fn a_still_scene_with_a_gate_is_looked_at_every_recheck_only_and_without_one_at_the_longest_interval() {
    let gated = played(Attention::new(&settings(true), &camera()), 500, noisy, &[]);
    assert_eq!(looks(&gated), 10, "50 s at one look in 5 s");
    let open = played(Attention::new(&settings(false), &camera()), 500, noisy, &[]);
    assert_eq!(looks(&open), 84, "one in six");
}

#[test]
fn somebody_who_comes_into_a_still_scene_is_looked_at_with_the_frame_that_shows_him() {
    let comes = |n: usize| Picture::with((n >= 17).then(|| (n * 2, 60)), 12, n);
    let all = played(Attention::new(&settings(true), &camera()), 30, comes, &[]);
    let found: Vec<_> = (0..30).filter(|&n| all[n] != Look::Coast).collect();
    assert_eq!(found, [0, 17, 20, 23, 26, 29]);
    assert_eq!(all[17], Look::Detect(Reason::Motion));
}

#[test]
fn light_that_changes_over_the_whole_picture_moves_nobody() {
    let mut gate = Gate::default();
    let thumb = |picture: &Picture| Thumb::of(&picture.view()).expect("whole planes");
    let before = noisy(1);
    let mut brighter = noisy(2);
    brighter.data.iter_mut().for_each(|value| *value += 25);
    gate.learn(&thumb(&before), &thumb(&noisy(3)));
    let none = Changed { blocks: 0, unexplained: 0 };
    assert_eq!(gate.compare(&thumb(&before), &thumb(&brighter), &[]), none);
    let comes = Picture::with(Some((100, 60)), 12, 4);
    let at = Rect::from_xywh(100.0, 60.0, 30.0, 60.0);
    assert!(gate.compare(&thumb(&before), &thumb(&comes), &[]).unexplained > 50);
    let explained = gate.compare(&thumb(&before), &thumb(&comes), &[at]);
    assert_eq!((explained.blocks > 50, explained.unexplained), (true, 0), "it is known to be there");
}

#[test]
fn the_very_same_frame_is_looked_at_until_it_is_known_to_repeat_and_then_not_again() {
    let all = played(Attention::new(&settings(false), &camera()), 40, |_| Picture::with(None, 0, 0), &[known(100.0)]);
    assert_eq!(looks(&all), 2, "the first, and the one that is read as a whole");
    assert!(all[10..].iter().all(|look| *look == Look::Same));
    // One pixel in the last row of colour is another picture.
    let blinks = |n: usize| {
        let mut picture = Picture::with(None, 0, 0);
        *picture.data.last_mut().expect("pixels") = (n % 2) as u8;
        picture
    };
    let all = played(Attention::new(&settings(false), &camera()), 40, blinks, &[]);
    assert!(!all.windows(2).any(|two| two == [Look::Same, Look::Same]), "{all:?}");
    assert!(all.contains(&Look::Same), "every other frame is");
}

#[test]
fn who_is_new_lost_fast_or_beside_another_is_looked_at_sooner() {
    let until = |tracks: &[TrackView]| interval::until_look(&settings(false), tracks, false);
    let fine = known(100.0);
    assert_eq!(until(&[]), (6, Reason::Interval));
    assert_eq!(until(&[fine]), (6, Reason::Interval));
    assert_eq!(until(&[fine, TrackView { is_told: false, ..fine }]).0, 3);
    assert_eq!(until(&[TrackView { is_told: false, ..fine }]), (3, Reason::New));
    assert_eq!(until(&[TrackView { lost_frames: 2, is_told: false, ..fine }]), (3, Reason::Lost));
    assert_eq!(until(&[TrackView { lost_frames: 8, is_told: false, ..fine }]), (6, Reason::Interval), "given up");
    assert_eq!(until(&[TrackView { speed_px: (40.0, 0.0), ..fine }]), (1, Reason::Fast));
    assert_eq!(until(&[fine, known(120.0)]), (3, Reason::Beside));
    assert_eq!(until(&[fine, TrackView { class: 2, ..known(120.0) }]), (6, Reason::Interval));
    assert_eq!(interval::until_look(&settings(false), &[fine], true).0, 2, "only the filter knows");
    for speed in [f32::NAN, f32::INFINITY, -f32::MAX] {
        assert!(until(&[TrackView { speed_px: (speed, speed), ..fine }]).0 >= 1, "{speed}");
    }
}

#[test]
fn who_should_have_crossed_a_line_is_looked_at_at_once() {
    let line = Line {
        points: vec![(0.5, 0.0), (0.5, 1.0)],
        classes: Vec::new(),
        anchor: Anchor::BottomCenter,
        directions: ["in".to_owned(), "out".to_owned()],
        count_every: None,
        snapshot: false,
    };
    let camera = Camera { lines: [("gate".to_owned(), line)].into(), ..camera() };
    let mut attention = Attention::new(&settings(false), &camera);
    let picture = noisy(0);
    let view = picture.view();
    let glance = |ms| Glance { pixels: Some(&view), size_px: SIZE_PX, at: Duration::from_millis(ms) };
    assert_eq!(attention.judge(&glance(0), &[]), Look::Detect(Reason::First));
    attention.saw(&glance(0), [known(142.0)].into_iter());
    let other = noisy(1);
    let view = other.view();
    let glance = |ms| Glance { pixels: Some(&view), size_px: SIZE_PX, at: Duration::from_millis(ms) };
    assert_eq!(attention.judge(&glance(100), &[known(144.0)]), Look::Coast);
    assert_eq!(attention.judge(&glance(200), &[known(146.0)]), Look::Detect(Reason::Border));
}

#[test]
fn a_frame_of_another_size_and_one_after_forgetting_are_looked_at() {
    let picture = noisy(0);
    let view = picture.view();
    let glance = Glance { pixels: Some(&view), size_px: SIZE_PX, at: Duration::ZERO };
    let mut attention = Attention::new(&settings(false), &camera());
    attention.judge(&glance, &[]);
    attention.saw(&glance, std::iter::empty());
    let larger = Glance { pixels: None, size_px: (640, 360), ..glance };
    assert_eq!(attention.judge(&larger, &[]), Look::Detect(Reason::First));
    attention.forget();
    assert_eq!(attention.judge(&glance, &[]), Look::Detect(Reason::First));
}

#[test]
fn a_patch_is_found_where_it_went_and_a_covered_one_is_not() {
    let (before, after) = (Picture::with(Some((100, 60)), 6, 1), Picture::with(Some((107, 63)), 6, 2));
    let at = |x, y| Rect::from_xywh(x, y, 30.0, 60.0);
    let patch = Patch::take(&before.view(), at(100.0, 60.0)).expect("large enough");
    let found = patch.find(&after.view(), at(102.0, 60.0));
    assert_eq!(found.center_px, (122.0, 93.0));
    assert!(found.misfit < 6.0, "{found:?}");
    assert!(patch.find(&noisy(3).view(), at(102.0, 60.0)).misfit > MISFIT);
    assert!(Patch::take(&before.view(), at(500.0, 60.0)).is_none(), "not in the picture");
    assert!(Patch::take(&before.view(), Rect::new(f32::NAN, 0.0, 1.0, 1.0)).is_none());
    let odd = patch.find(&after.view(), Rect::new(-1e30, -1e30, 1e30, f32::INFINITY));
    assert!(odd.misfit.is_finite());
}

#[test]
fn a_stretch_is_for_quiet_scenes_and_who_is_new_or_lost_or_fast_or_beside_another_is_looked_at_as_before() {
    let off = Attend { enabled: false, ..settings(false) };
    let fine = known(100.0);
    let in_a_row = |configured: &Attend, times: u32, tracks: &[TrackView]| {
        let mut attention = Attention::new(configured, &camera());
        attention.stretch(times);
        let all = played(attention, 49, noisy, tracks);
        (1..49).find(|&n| all[n] != Look::Coast).expect("it is looked at again")
    };
    for (configured, close, far) in [(settings(false), 3, 6), (off, 1, 1)] {
        for times in [2, 4] {
            assert_eq!(in_a_row(&configured, times, &[]), far * times as usize, "nobody is there");
            assert_eq!(in_a_row(&configured, times, &[fine]), far * times as usize, "well known");
            let new = TrackView { is_told: false, ..fine };
            let lost = TrackView { lost_frames: 1, ..fine };
            for tracks in [&[new][..], &[lost], &[fine, known(120.0)]] {
                assert_eq!(in_a_row(&configured, times, tracks), close, "{tracks:?}");
            }
            assert_eq!(in_a_row(&configured, times, &[TrackView { speed_px: (40.0, 0.0), ..fine }]), 1);
        }
    }
}

#[test]
fn frames_are_no_longer_read_as_a_whole_once_none_has_come_again_for_long() {
    let still = || Picture::with(None, 0, 0);
    let mut attention = Attention::new(&Attend { interval: 1, max_interval: 1, ..settings(false) }, &camera());
    let mut see = |picture: Picture, n: u64| {
        let view = picture.view();
        let glance = Glance { pixels: Some(&view), size_px: SIZE_PX, at: Duration::from_millis(n * 100) };
        let look = attention.judge(&glance, &[]);
        attention.saw(&glance, std::iter::empty());
        (look, attention.may_repeat)
    };
    (0..4).for_each(|n| _ = see(still(), n));
    assert_eq!(see(still(), 4), (Look::Same, true));
    let reads: Vec<_> = (5..200).map(|n| see(noisy(n as usize), n).1).collect();
    assert!(reads[0] && !reads[IN_VAIN as usize], "in vain");
    assert!((200..204).any(|n| see(still(), n).0 == Look::Same), "until two look alike again");
    attention.forget();
    assert!(!attention.may_repeat);
}
