//! An engine on a GPU that stands in, given frames that lie where only that GPU reads them: the same numbers come out, runs are recorded all
//! the same, each buffer is registered once, and one that cannot be read goes by way of the processor.

#![allow(unsafe_code, reason = "the stand-in's own functions, by which pictures are made, are found by name")]

use std::path::Path;
use std::sync::{Arc, Mutex};

use peregrine::config::EngineChoice;
use peregrine::infer::{self, Engine, Options};
use peregrine::pixels::{ChannelOrder, Drawing, Letterbox, Normalise, Place, Placement};
use peregrine::runtime::environment;
use peregrine::types::{ColorMatrix, ColorRange, EglImage, ImageView, Kept, PixelFormat, Pixels, Plane, Surface};

use super::support::Stage;
use crate::support::data;

const CHILD: &str = "PEREGRINE_TEST_SURFACES";
const SIZE: (u32, u32) = (90, 62);
const PITCH: usize = 256;
/// CU_EGL_COLOR_FORMAT_YUV420_SEMIPLANAR and _PLANAR.
const NV12: u32 = 1;
const I420: u32 = 0;
const NORM: Normalise = Normalise { scale: [1.0 / 255.0; 3], offset: [0.0; 3], order: ChannelOrder::Rgb, pad: 114 };

/// The stand-in driver, which the engine has loaded too.
fn driver() -> libloading::Library {
    // SAFETY: it is loaded already, or its initialisers fill tables of its own.
    unsafe { libloading::Library::new("libcuda.so.1") }.expect("the stage has one")
}

fn count(name: &str) -> i64 {
    let name = std::ffi::CString::new(name).expect("no zeros");
    type Get = unsafe extern "C" fn(*const std::ffi::c_char) -> i64;
    // SAFETY: the function has this signature.
    unsafe { driver().get::<Get>(b"standin_get").expect("found")(name.as_ptr()) }
}

/// A decoder's buffer, and what lies in it.
struct Buffer {
    image: EglImage,
    planes: [Vec<u8>; 2],
    kept: Kept,
    refused: Mutex<Vec<String>>,
}

impl Buffer {
    fn new(is_rows: bool, color: u32, seed: usize) -> Arc<Self> {
        type Make = unsafe extern "C" fn(u32, u32, u32, u32, u32) -> usize;
        type At = unsafe extern "C" fn(usize, i32) -> *mut u8;
        let (library, rows) = (driver(), SIZE.1 as usize);
        let plane = |rows: usize| (0..PITCH * rows).map(|i| (i * (seed + 3) / 7) as u8).collect::<Vec<u8>>();
        let planes = [plane(rows), plane(rows.div_ceil(2))];
        // SAFETY: both functions have these signatures, and the planes are as large as the driver makes them.
        let image = unsafe {
            let image = library.get::<Make>(b"standin_image").expect("found")(
                is_rows.into(),
                SIZE.0,
                SIZE.1,
                PITCH as u32,
                color,
            );
            for (number, plane) in (0..).zip(&planes) {
                let at = library.get::<At>(b"standin_plane").expect("found")(image, number);
                at.copy_from_nonoverlapping(plane.as_ptr(), plane.len());
            }
            EglImage(image)
        };
        Arc::new(Self { image, planes, kept: Kept::default(), refused: Mutex::default() })
    }

    fn view(&self) -> ImageView<'_> {
        let [luma, chroma] = self.planes.each_ref().map(|data| Plane { data, stride: PITCH });
        ImageView { planes: [luma, chroma, Plane::NONE], ..self.outline() }
    }
}

impl Surface for Buffer {
    fn outline(&self) -> ImageView<'static> {
        ImageView {
            format: PixelFormat::Nv12,
            width_px: SIZE.0,
            height_px: SIZE.1,
            planes: [Plane::NONE; 3],
            matrix: ColorMatrix::Bt709,
            range: ColorRange::Limited,
        }
    }

    fn image(&self) -> Result<EglImage, String> {
        Ok(self.image)
    }

    fn kept(&self) -> &Kept {
        &self.kept
    }

    fn refuse(&self, why: &str) {
        self.refused.lock().expect("whole").push(why.to_owned());
    }
}

struct Frame(Arc<Buffer>);

impl Pixels for Frame {
    fn view(&self) -> ImageView<'_> {
        self.0.view()
    }

    fn surface(&self) -> Option<Arc<dyn Surface>> {
        Some(Arc::clone(&self.0) as Arc<dyn Surface>)
    }
}

fn bits(engine: &dyn Engine) -> Vec<u32> {
    engine.output(0, 0).iter().map(|v| v.to_bits()).collect()
}

#[test]
fn an_engine_computes_the_same_from_frames_where_they_lie() {
    for (major, gpu) in
        [(10, "compute=87\nintegrated=1"), (10, "compute=72\nintegrated=1\nversion=10020"), (11, "compute=90")]
    {
        let Some(stage) = Stage::with_images(major) else { continue };
        stage.gpu(gpu);
        let child = stage
            .command_of(&std::env::current_exe().expect("this program"))
            .args(["--exact", "tensorrt::surface::in_a_process_that_finds_the_stage", "--nocapture"])
            .env(CHILD, stage.dir())
            .output()
            .expect("it starts");
        let said = format!("{}{}", String::from_utf8_lossy(&child.stdout), String::from_utf8_lossy(&child.stderr));
        assert!(child.status.success() && said.contains("1 passed"), "{gpu}: {said}");
        assert_eq!(stage.complaints(), [""; 0]);
    }
}

/// The body of the test above, in a process of its own: libraries are found by the path that it was started with.
#[test]
fn in_a_process_that_finds_the_stage() {
    let Some(state) = environment::var(CHILD) else { return };
    assert_eq!(infer::takes_surfaces(), Ok(()));
    let mut options = Options::default();
    options.gpu.engines_dir = Some(Path::new(&state).join("engines"));
    let mut engine = infer::open(EngineChoice::Tensorrt, &data("tiny_detector.onnx"), &options).expect("opened");
    let [_, h, w] = engine.shape().input_chw;
    let place = Place::Letterbox(Letterbox::new(SIZE, (w, h), Placement::Centered));
    let buffers = [(true, 1), (false, 2), (true, 3)].map(|(is_rows, seed)| Buffer::new(is_rows, NV12, seed));
    let wanted = buffers.each_ref().map(|buffer| {
        engine.draw(0, &Drawing { view: &buffer.view(), place, norm: &NORM }).expect("drawn");
        engine.run(1).expect("run");
        bits(engine.as_ref())
    });
    assert_ne!(wanted[0], wanted[1]);
    // As many runs as it takes until they are recorded, and more.
    let launched = count("graph_launches");
    for turn in 0..30 {
        let buffer = &buffers[turn % 3];
        engine.draw_frame(0, &Frame(Arc::clone(buffer)), place, &NORM).expect("drawn");
        assert!(Arc::strong_count(buffer) > 1, "held until it was read");
        engine.run(1).expect("run");
        assert_eq!(Arc::strong_count(buffer), 1, "let go of");
        assert!(bits(engine.as_ref()) == wanted[turn % 3], "turn {turn}");
    }
    let has_graphs = count("version") >= 11_040;
    assert_eq!(count("graph_launches") > launched, has_graphs);
    assert_eq!(count("registered"), 3);

    let odd = Buffer::new(true, I420, 1);
    engine.draw_frame(0, &Frame(Arc::clone(&odd)), place, &NORM).expect("drawn by way of the processor");
    engine.run(1).expect("run");
    assert!(bits(engine.as_ref()) == wanted[0]);
    let refused = odd.refused.lock().expect("whole");
    assert!(matches!(&refused[..], [why] if why.contains("colour format 0x0")), "{refused:?}");

    // Buffers that go before the engine give their registrations back; the driver counts what is left at the end.
    buffers.iter().for_each(|buffer| buffer.kept.clear());
    drop(engine);
    assert_eq!((count("violations"), count("calls_after_fault")), (0, 0));
}
