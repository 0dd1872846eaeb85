//! The int8 engine as a program for a processor that is at hand or emulated: what it computes, to compare, and what that costs.
//!
//! Belongs here: arguments, and the engine built apart from the daemon. Does not: what is done with them (see `model` and the library).
#![allow(dead_code, reason = "the daemon asks more of the engine than this program")]

use std::process::ExitCode;

const USAGE: &str = "\
usage: peregrine-arm kernels
           prints the kernels that this processor runs, the best first
       peregrine-arm conv KERNEL HEIGHT WIDTH IN OUT SIZE STRIDE TIMES [add]
           computes one convolution so many times, height and width those of the output, and adds another tensor to it;
           prints its products and nanoseconds
       peregrine-arm letterbox f32|u8 TIMES
           draws a frame of 1280x720 so many times into a model's input of 320x320; prints a hash of it
       peregrine-arm model FILE.onnx PICTURE.rgb... [--threads N] [--times N]
           prints a hash of the head's whole output and the kernel's name for each picture of the model's height * width * 3 bytes;
           with --times, the median milliseconds of a frame instead. PEREGRINE_KERNEL takes a kernel instead of the best";

/// Of the daemon's threads the engine needs no more than this.
mod runtime {
    use std::thread::{JoinHandle, Thread};

    pub(crate) struct Worker(JoinHandle<()>);

    impl Worker {
        #[allow(clippy::disallowed_methods, reason = "the home of threads in this program")]
        pub(crate) fn spawn(name: &str, body: impl FnOnce() + Send + 'static) -> std::io::Result<Self> {
            std::thread::Builder::new().name(name.to_owned()).spawn(body).map(Self)
        }

        pub(crate) fn thread(&self) -> &Thread {
            self.0.thread()
        }

        pub(crate) fn join(self) -> bool {
            self.0.join().is_ok()
        }
    }
}

#[path = "letterbox.rs"]
mod drawn;

#[allow(unused_imports, reason = "crops and covers are not counted")]
#[path = "../../../src/pixels/mod.rs"]
mod pixels;

/// Of the daemon's types those that a picture is made of.
#[allow(unused_imports, reason = "the letterbox needs less than the daemon")]
#[path = "../../../src/types"]
mod types {
    mod frame;
    mod geometry;
    mod surface;

    pub(crate) use frame::{CameraId, Captured, ColorMatrix, ColorRange, Frame, ImageView, PixelFormat, Pixels, Plane, RgbImage};
    pub(crate) use geometry::Rect;
    pub(crate) use surface::{EglImage, Kept, Surface, SurfaceGate};
}

#[path = "../../../src/infer"]
mod infer {
    pub(crate) mod int8;
    #[path = "../../tests/arm/src/model.rs"]
    pub(crate) mod model;
    pub(crate) mod onnx;
}

#[allow(clippy::print_stdout, clippy::print_stderr, reason = "a program's output")]
fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let done = match args.split_first() {
        Some((what, [])) if what == "kernels" => {
            println!("{}", peregrine_arm::kernels().join(" "));
            Ok(())
        }
        Some((what, rest)) if what == "conv" => convolution(rest),
        Some((what, [kind, times])) if what == "letterbox" => drawn::run(kind, times),
        Some((what, rest)) if what == "model" => request(rest).and_then(|request| infer::model::run(&request)),
        _ => Err(USAGE.to_owned()),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("{why}");
            ExitCode::from(64)
        }
    }
}

#[allow(clippy::print_stdout, reason = "a program's output")]
fn convolution(args: &[String]) -> Result<(), String> {
    let numbers: Vec<usize> = args.iter().skip(1).filter_map(|a| a.parse().ok()).collect();
    let &[height, width, channels_in, channels_out, size, stride, times] = numbers.as_slice() else {
        return Err(USAGE.to_owned());
    };
    let adds = args.last().is_some_and(|a| a == "add");
    let shape = peregrine_arm::Shape { height, width, channels_in, channels_out, size, stride, adds };
    let (products, ns) = peregrine_arm::measure(&args[0], shape, times)?;
    println!("products {products} ns {ns}");
    Ok(())
}

#[allow(clippy::disallowed_methods, reason = "the home of the environment in this program")]
fn request(args: &[String]) -> Result<infer::model::Request, String> {
    let kernel = std::env::var("PEREGRINE_KERNEL").ok();
    let mut request = infer::model::Request { threads: 1, kernel, ..Default::default() };
    let mut args = args.iter();
    while let Some(arg) = args.next() {
        let mut number = || args.next().and_then(|n| n.parse().ok()).ok_or(USAGE);
        match arg.as_str() {
            "--threads" => request.threads = number()?,
            "--times" => request.times = number()?,
            file if request.model.is_empty() => request.model = file.to_owned(),
            file => request.pictures.push(file.to_owned()),
        }
    }
    if request.pictures.is_empty() { Err(USAGE.to_owned()) } else { Ok(request) }
}
