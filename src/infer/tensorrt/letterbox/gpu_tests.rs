//! The same on a real GPU, where PEREGRINE_TEST_GPU is set (scripts/test-gpu.sh); elsewhere each test says that it was skipped.

use std::sync::Arc;
use std::time::Duration;

use super::tests::{PLAIN, Picture, bits, on_cpu};
use super::{Device, Drawing, Painter, PixelFormat, Stream};
use crate::infer::tensorrt::cuda::{DeviceBuffer, Driver, PinnedBuffer};
use crate::pixels::{Letterbox, Place, Placement};
use crate::runtime::{Clock, environment};
use crate::types::Rect;

const WH: (usize, usize) = (640, 640);
const BYTES: usize = WH.0 * WH.1 * 3 * size_of::<f32>();
const LONG: Duration = Duration::from_secs(60);

fn gpu() -> Option<Arc<Device>> {
    if environment::var("PEREGRINE_TEST_GPU").is_none() {
        eprintln!("skipped: PEREGRINE_TEST_GPU is not set");
        return None;
    }
    let device = Device::open(0).unwrap();
    let (version, name) = (Driver::open().unwrap().version(), device.name());
    eprintln!("{name}, compute {:?}, CUDA {version:?}, graphs: {}", device.compute(), device.has_graphs());
    Some(device)
}

/// Every format, letterbox and crop, at once and recorded; gives how many pictures were compared.
fn compare(device: &Arc<Device>) -> usize {
    let (stream, clock) = (Stream::new(device).unwrap(), Clock::start());
    let mut painter = Painter::new(device).unwrap();
    let out = DeviceBuffer::new(device, BYTES).unwrap();
    let mut back = PinnedBuffer::new(device, BYTES).unwrap();
    let mut compared = 0;
    for (seed, format) in (1..).zip([PixelFormat::Nv12, PixelFormat::I420, PixelFormat::Rgb]) {
        let picture = Picture::noise(format, (1919, 1079), 33, seed);
        let view = picture.view();
        let whole = Place::Letterbox(Letterbox::new(picture.size, WH, Placement::Centered));
        for place in [whole, Place::Crop(Rect::new(100.5, 200.25, 400.0, 1500.0), WH)] {
            let drawing = Drawing { view: &view, place, norm: &PLAIN };
            let want = bits(&on_cpu(&drawing, WH).1);
            painter.prepare(&drawing, WH).unwrap();
            let mut check = |what: &str| {
                stream.copy_to_host(&out, 0..BYTES, &mut back, 0).unwrap();
                stream.wait(LONG, &clock).unwrap();
                assert_eq!(bits(back.floats()), want, "{format:?} {place:?} {what}");
                compared += 1;
            };
            painter.enqueue(&stream, out.address()).unwrap();
            check("at once");
            if device.has_graphs() {
                let graph = stream.capture(&mut || painter.enqueue(&stream, out.address())).unwrap();
                stream.launch(&graph).unwrap();
                check("recorded");
            }
        }
    }
    compared
}

#[test]
fn a_real_gpu_draws_what_the_processor_draws_to_the_last_bit() {
    let Some(device) = gpu() else { return };
    eprintln!("{} pictures alike", compare(&device));
}

#[test]
fn nothing_is_left_on_a_real_gpu() {
    let Some(device) = gpu() else { return };
    // What the driver itself sets aside at first use.
    compare(&device);
    let before = device.free_bytes().unwrap();
    for _ in 0..20 {
        compare(&device);
    }
    let after = device.free_bytes().unwrap();
    eprintln!("free before {before}, after {after} bytes");
    // Others on the GPU may have taken some meanwhile: a leak of this test would be twenty times a picture's memory.
    assert!(before.saturating_sub(after) < 20 * BYTES as u64, "{before} bytes were free, {after} are");
}
