//! The layer over the driver, against a driver that stands in: what it finds, what it copies and records, how it loses a GPU.

use std::path::Path;
use std::time::Duration;

use super::standin::Standin;
use super::*;
use crate::infer::tensorrt::letterbox::PTX;
use crate::runtime::Clock;

const LONG: Duration = Duration::from_secs(60);

#[test]
fn a_driver_that_is_not_there_is_named() {
    let failure = Driver::open_at(Path::new("/nowhere/libcuda.so.1")).unwrap_err();
    assert!(matches!(&failure, Failure::NoDriver { reason } if reason.contains("/nowhere/libcuda.so.1")), "{failure}");
}

#[test]
fn a_library_that_is_no_driver_is_told_from_none() {
    let failure = Driver::open_at(Path::new("libm.so.6")).unwrap_err();
    assert!(matches!(&failure, Failure::Library { problem, .. } if problem.contains("cuInit")), "{failure}");
}

#[test]
fn a_driver_that_refuses_says_what_would_help() {
    let Some(standin) = Standin::new() else { return };
    let refusal = |code| standin.set("init", code).open().unwrap_err();
    assert!(matches!(refusal(100), Failure::NoGpu { .. }));
    for (code, words) in [(803, "restart after the update"), (34, "--runtime nvidia"), (999, "/dev/nvmap")] {
        let failure = refusal(code);
        assert!(matches!(failure, Failure::NoDriver { .. }) && failure.to_string().contains(words), "{failure}");
    }
    // A driver that works later is found later.
    assert_eq!(standin.set("init", 0).open().unwrap().version(), (12, 6));
}

#[test]
fn a_gpu_tells_what_it_is_and_is_shared_by_all_who_open_it() {
    let Some(standin) = Standin::new() else { return };
    let driver = standin.set("devices", 2).set("compute", 72).set("integrated", 1).open().unwrap();
    assert_eq!(driver.device_count().unwrap(), 2);
    let first = Device::open_with(driver, 0).unwrap();
    let second = Device::open_with(driver, 1).unwrap();
    assert!(std::sync::Arc::ptr_eq(&first, &Device::open_with(driver, 0).unwrap()));
    assert_eq!((first.name(), second.name(), second.ordinal()), ("Stand-in GPU 0", "Stand-in GPU 1", 1));
    assert_eq!((first.compute(), first.total_bytes(), first.is_integrated()), ((7, 2), 8 << 30, true));
    let failure = Device::open_with(driver, 2).unwrap_err();
    assert!(matches!(failure, Failure::NoSuchGpu { wanted: 2, have: 2 }), "{failure}");
    let memory = DeviceBuffer::new(&second, 1000).unwrap();
    assert_eq!(second.free_bytes().unwrap(), (8 << 30) - 1000);
    drop((memory, first, second));
    standin.assert_clean();
}

#[test]
fn bytes_go_to_the_gpu_and_come_back() {
    let Some(standin) = Standin::new() else { return };
    let device = standin.device();
    let stream = Stream::new(&device).unwrap();
    let (mut there, mut back) = (PinnedBuffer::new(&device, 64).unwrap(), PinnedBuffer::new(&device, 64).unwrap());
    let memory = DeviceBuffer::new(&device, 16).unwrap();
    there.floats_mut().iter_mut().zip(0_u8..).for_each(|(f, n)| *f = f32::from(n));
    stream.copy_to_device(&there, 8..24, &memory, 0).unwrap();
    stream.copy_to_host(&memory, 4..16, &mut back, 8).unwrap();
    stream.wait(LONG, &Clock::start()).unwrap();
    assert_eq!(back.floats()[..6], [0.0, 0.0, 3.0, 4.0, 5.0, 0.0]);
    drop((memory, there, back, stream, device));
    standin.assert_clean();
}

#[test]
#[should_panic(expected = "the copy ends within the buffer")]
fn a_copy_beyond_the_end_never_reaches_the_driver() {
    let Some(standin) = Standin::new() else { panic!("the copy ends within the buffer") };
    let device = standin.device();
    let stream = Stream::new(&device).unwrap();
    let (there, memory) = (PinnedBuffer::new(&device, 64).unwrap(), DeviceBuffer::new(&device, 16).unwrap());
    let _ = stream.copy_to_device(&there, 0..16, &memory, 1);
}

#[test]
fn too_much_memory_is_told_as_such_and_loses_nothing() {
    let Some(standin) = Standin::new() else { return };
    let device = standin.set("memory", 1 << 20).device();
    let failure = DeviceBuffer::new(&device, 2 << 20).unwrap_err();
    assert!(matches!(&failure, Failure::Cuda(e) if e.is_out_of_memory() && !e.is_sticky()), "{failure}");
    assert!(failure.to_string().contains("CUDA_ERROR_OUT_OF_MEMORY (2): out of memory"), "{failure}");
    assert!(DeviceBuffer::new(&device, 1 << 19).is_ok() && !device.is_lost());
}

#[test]
fn recorded_work_is_done_when_it_is_launched_and_not_before() {
    let Some(standin) = Standin::new() else { return };
    let device = standin.device();
    let stream = Stream::new(&device).unwrap();
    let mut there = Transfer::new(&device, 8, Direction::ToDevice).unwrap();
    let mut back = PinnedBuffer::new(&device, 8).unwrap();
    let memory = DeviceBuffer::new(&device, 8).unwrap();
    there.bytes_mut().fill(7);
    let graph = stream
        .capture(&mut || {
            assert!(stream.is_capturing()?);
            stream.copy_to_host(&memory, 0..8, &mut back, 0)?;
            there.enqueue(&stream)
        })
        .unwrap();
    assert_eq!((standin.get("copies"), stream.is_capturing().unwrap()), (0, false));
    stream.launch(&graph).unwrap();
    stream.launch(&graph).unwrap();
    stream.wait(LONG, &Clock::start()).unwrap();
    assert_eq!((standin.get("copies"), standin.get("graph_launches")), (4, 2));
    drop((graph, memory, back, there, stream, device));
    standin.assert_clean();
}

#[test]
fn a_recording_that_fails_leaves_the_stream_as_it_was() {
    let Some(standin) = Standin::new() else { return };
    let device = standin.device();
    let stream = Stream::new(&device).unwrap();
    let failure = stream.capture(&mut || Err(Failure::NoBuilder { reason: "a test's".to_owned() })).unwrap_err();
    assert!(matches!(failure, Failure::NoBuilder { .. }), "{failure}");
    assert!(!stream.is_capturing().unwrap());
    stream.wait(LONG, &Clock::start()).unwrap();
    drop((stream, device));
    standin.assert_clean();
}

#[test]
fn a_driver_of_jetpack_4_works_without_graphs() {
    let Some(standin) = Standin::of_cuda_10_2() else { return };
    let device = standin.device();
    let stream = Stream::new(&device).unwrap();
    assert!(!device.has_graphs());
    let failure = stream.capture(&mut || Ok(())).unwrap_err();
    assert!(failure.to_string().contains("CUDA 11.4"), "{failure}");
    drop((stream, device));
    standin.assert_clean();
}

#[test]
fn each_board_gets_the_memory_that_suits_it() {
    // Integrated or not, compute capability, and whether bytes are used in place.
    for (integrated, compute, in_place) in
        [(0, 89, false), (1, 87, true), (1, 72, true), (1, 62, false), (1, 53, false)]
    {
        let Some(standin) = Standin::of_cuda_10_2() else { return };
        let device = standin.set("integrated", integrated).set("compute", compute).device();
        let stream = Stream::new(&device).unwrap();
        let mut there = Transfer::new(&device, 12, Direction::ToDevice).unwrap();
        let mut back = Transfer::new(&device, 12, Direction::ToHost).unwrap();
        assert_eq!((there.is_zero_copy(), there.len()), (in_place, 12));
        there.floats_mut().copy_from_slice(&[1.0, 2.0, 3.0]);
        there.enqueue(&stream).unwrap();
        back.enqueue_first(&stream, 8).unwrap();
        stream.wait(LONG, &Clock::start()).unwrap();
        assert_eq!(standin.get("copies"), if in_place { 0 } else { 2 });
        assert!(back.floats().len() == 3 && back.floats()[2] == 0.0);
        drop((there, back, stream, device));
        standin.assert_clean();
    }
}

#[test]
fn a_kernel_that_does_not_compile_comes_with_the_compilers_words() {
    let Some(standin) = Standin::new() else { return };
    let device = standin.device();
    let failure = Module::load(&device, ".version 4.2").unwrap_err();
    assert!(failure.to_string().contains("ptxas: no letterbox_nv12"), "{failure}");
    let failure = Module::shared(&device, PTX).unwrap().function("letterbox_yuy2").unwrap_err();
    assert!(failure.to_string().contains("CUDA_ERROR_NOT_FOUND"), "{failure}");
    drop(device);
    standin.assert_clean();
}

/// Breaks the context of a GPU, as a fault in a kernel does.
fn break_it(standin: &Standin, device: &std::sync::Arc<Device>) -> Failure {
    let stream = Stream::new(device).unwrap();
    let mut painter = crate::infer::tensorrt::letterbox::Painter::new(device).unwrap();
    let out = DeviceBuffer::new(device, 3 * 4 * 4 * 4).unwrap();
    let image = crate::types::RgbImage { width_px: 2, height_px: 2, data: vec![9; 12] };
    let view = crate::types::Pixels::view(&image);
    let norm =
        crate::pixels::Normalise { scale: [1.0; 3], offset: [0.0; 3], order: crate::pixels::ChannelOrder::Rgb, pad: 0 };
    let place = crate::pixels::Place::Crop(crate::types::Rect::new(0.0, 0.0, 2.0, 2.0), (4, 4));
    painter.prepare(&crate::pixels::Drawing { view: &view, place, norm: &norm }, (4, 4)).unwrap();
    standin.set("fault_launch", standin.get("launches") + 1);
    painter.enqueue(&stream, out.address()).unwrap();
    let failure = stream.wait(LONG, &Clock::start()).unwrap_err();
    standin.set("fault_launch", 0);
    failure
}

#[test]
fn a_lost_gpu_is_left_alone_until_it_is_recovered() {
    let Some(standin) = Standin::new() else { return };
    let driver = standin.open().unwrap();
    let device = Device::open_with(driver, 0).unwrap();
    let memory = DeviceBuffer::new(&device, 16).unwrap();
    let failure = break_it(&standin, &device);
    assert!(matches!(&failure, Failure::Cuda(e) if e.code == 700 && e.is_sticky()), "{failure}");
    assert!(device.is_lost());
    assert!(matches!(device.free_bytes(), Err(Failure::Lost)));
    assert!(matches!(Device::open_with(driver, 0), Err(Failure::Lost)));
    let calls = standin.get("calls");
    drop(memory);
    assert_eq!(standin.get("calls"), calls, "nothing is freed on a lost GPU");
    assert_eq!(standin.get("calls_after_fault"), 1, "the call that told of the fault was the last one");
    // The old generation may outlive the recovery: it stays lost.
    Device::recover_with(driver, 0).unwrap();
    let again = Device::open_with(driver, 0).unwrap();
    assert!(device.is_lost() && !again.is_lost());
    drop(device);
    assert!(DeviceBuffer::new(&again, 16).is_ok());
    drop(again);
    standin.assert_clean();
}

#[test]
fn a_gpu_that_is_lost_and_dropped_has_to_be_recovered_all_the_same() {
    let Some(standin) = Standin::new() else { return };
    let driver = standin.open().unwrap();
    break_it(&standin, &Device::open_with(driver, 0).unwrap());
    assert!(matches!(Device::open_with(driver, 0), Err(Failure::Lost)));
    assert!(Device::recover_with(driver, 0).is_ok());
    assert!(Device::recover_with(driver, 0).is_ok(), "a sound GPU is left as it is");
    drop(Device::open_with(driver, 0).unwrap());
    standin.assert_clean();
}

#[test]
fn a_context_that_cannot_be_reset_stays_lost() {
    let Some(standin) = Standin::new() else { return };
    let driver = standin.open().unwrap();
    break_it(&standin, &Device::open_with(driver, 0).unwrap());
    let failure = Device::recover_with(standin.set("reset", 999).open().map(|_| driver).unwrap(), 0).unwrap_err();
    assert!(failure.to_string().contains("cuDevicePrimaryCtxReset"), "{failure}");
    assert!(matches!(Device::open_with(driver, 0), Err(Failure::Lost)));
}

#[test]
fn a_gpu_is_not_reset_under_a_call() {
    let Some(standin) = Standin::new() else { return };
    let driver = standin.open().unwrap();
    let device = Device::open_with(driver, 0).unwrap();
    let inside = device.enter().unwrap();
    let twice = device.enter().unwrap();
    device.set_lost();
    assert!(matches!(Device::recover_with(driver, 0), Err(Failure::Lost)));
    drop((inside, twice));
    assert!(Device::recover_with(driver, 0).is_ok());
}

#[test]
fn a_gpu_that_hangs_is_given_up_at_the_deadline() {
    let Some(standin) = Standin::new() else { return };
    let device = standin.set("hang", 1).device();
    let stream = Stream::new(&device).unwrap();
    let failure = stream.wait(Duration::from_millis(5), &Clock::start()).unwrap_err();
    assert!(matches!(failure, Failure::Hung { waited_ms } if waited_ms >= 5), "{failure}");
    assert!(device.is_lost() && matches!(stream.wait(LONG, &Clock::start()), Err(Failure::Lost)));
}
