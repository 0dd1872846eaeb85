//! Device by device and codec by codec: which elements are chosen.

use std::time::Duration;

use super::*;
use crate::ingest::decoders::IN_NVMM;

const SOFTWARE: [&str; 17] = [
    "appsink",
    "avdec_h264",
    "avdec_h265",
    "avdec_msmpeg4",
    "avidemux",
    "capsfilter",
    "filesrc",
    "h264parse",
    "h265parse",
    "jpegdec",
    "qtdemux",
    "rtph264depay",
    "rtph265depay",
    "rtpjpegdepay",
    "rtspsrc",
    "v4l2src",
    "videoconvert",
];
const JETSON: [&str; 3] = ["nvv4l2decoder", "nvvidconv", "nvarguscamerasrc"];
const PI_4: [&str; 3] = ["v4l2h264dec", "v4l2slh265dec", "libcamerasrc"];
const PI_5: [&str; 2] = ["v4l2slh265dec", "libcamerasrc"];
const PC: [&str; 3] = ["vah264dec", "vah265dec", "videotestsrc"];

fn device(extra: &[&'static str]) -> Elements {
    Elements::new(SOFTWARE.iter().chain(extra).copied(), "1.22.0")
}

fn means<'a>(elements: &'a Elements, banned: &'a BTreeSet<&'static str>, surfaces: Option<u32>) -> Means<'a> {
    Means { elements, banned, surfaces }
}

fn camera(source: Source) -> Camera {
    Camera::of(source)
}

fn rtsp() -> Source {
    let login = Login { username: "admin".into(), password: Secret::new("hunter2") };
    let url = "rtsp://10.0.0.7/s?token=hunter2".to_owned();
    Source::Rtsp { url, transport: Transport::Tcp, login: Some(login), latency: Duration::from_millis(200) }
}

fn planned(settings: &Camera, pace: Pace, elements: &Elements) -> Result<Plan, IngestError> {
    let container = Some(Container::Avi);
    plan(Given { settings, pace, container, elements, banned: &BTreeSet::new(), surfaces: None })
}

#[test]
fn each_device_decodes_each_codec_with_the_best_it_has() {
    let table: [(&str, &[&'static str], Video, &str); 12] = [
        ("Jetson", &JETSON, Video::H264, "rtph264depay ! h264parse ! nvv4l2decoder ! nvvidconv"),
        ("Jetson", &JETSON, Video::H265, "rtph265depay ! h265parse ! nvv4l2decoder ! nvvidconv"),
        ("Jetson", &JETSON, Video::Mjpeg, "rtpjpegdepay ! jpegdec ! videoconvert"),
        ("Pi 4", &PI_4, Video::H264, "rtph264depay ! h264parse ! v4l2h264dec"),
        ("Pi 4", &PI_4, Video::H265, "rtph265depay ! h265parse ! v4l2slh265dec"),
        ("Pi 4", &PI_4, Video::Mjpeg, "rtpjpegdepay ! jpegdec ! videoconvert"),
        ("Pi 5", &PI_5, Video::H264, "rtph264depay ! h264parse ! avdec_h264 ! videoconvert"),
        ("Pi 5", &PI_5, Video::H265, "rtph265depay ! h265parse ! v4l2slh265dec"),
        ("Pi 5", &PI_5, Video::Mjpeg, "rtpjpegdepay ! jpegdec ! videoconvert"),
        ("PC", &PC, Video::H264, "rtph264depay ! h264parse ! vah264dec"),
        ("PC", &PC, Video::H265, "rtph265depay ! h265parse ! vah265dec"),
        ("PC without a GPU", &[], Video::H264, "rtph264depay ! h264parse ! avdec_h264 ! videoconvert"),
    ];
    for (name, extra, video, want) in table {
        let made = chain(video, Wrapping::Rtp, means(&device(extra), &BTreeSet::new(), None)).expect("a decoder");
        assert_eq!(written(&made.steps), want, "{name}, {}", video.name());
    }
}

#[test]
fn an_rtsp_camera_is_opened_over_tcp_and_shows_no_credential() {
    let plan = planned(&camera(rtsp()), Pace::Live, &device(&[])).expect("a plan");
    let head = "rtspsrc location=[hidden] protocols=tcp latency=200 drop-on-latency=true do-retransmission=false \
                user-id=[hidden] user-pw=[hidden]";
    assert_eq!(written(&plan.head), head);
    assert_eq!(plan.body, Body::OnPad { wrapping: Wrapping::Rtp, only: None });
    assert!(plan.live && !format!("{plan:?}").contains("hunter2"));
}

#[test]
fn a_live_sink_keeps_the_newest_frame_and_a_replay_keeps_all() {
    let file = camera(Source::File { path: "/a.avi".into(), repeat: true });
    let sink = |settings: &Camera, pace| planned(settings, pace, &device(&[])).expect("a plan").sink.to_string();
    let caps = "appsink caps=video/x-raw,format=(string){NV12,I420}";
    let rest = "enable-last-sample=false";
    assert_eq!(sink(&camera(rtsp()), Pace::Live), format!("{caps} sync=false drop=true max-buffers=1 {rest}"));
    assert_eq!(sink(&file, Pace::Live), format!("{caps} sync=true drop=true max-buffers=1 {rest}"));
    assert_eq!(sink(&file, Pace::AsFastAsPossible), format!("{caps} sync=false drop=false max-buffers=4 {rest}"));
}

#[test]
fn a_file_is_opened_by_what_it_holds() {
    let mut ts = vec![0; 376];
    (ts[0], ts[188]) = (0x47, 0x47);
    for (head, want) in [
        (&b"\0\0\0\x20ftypisom"[..], Some(Container::Mp4)),
        (b"\x1a\x45\xdf\xa3....", Some(Container::Matroska)),
        (b"RIFF\0\0\0\0AVI LIST", Some(Container::Avi)),
        (&ts, Some(Container::MpegTs)),
        (b"RIFF\0\0\0\0WAVE", None),
        (b"hello", None),
        (b"", None),
    ] {
        assert_eq!(Container::of(head), want, "{head:?}");
    }
    let file = camera(Source::File { path: "/a.avi".into(), repeat: false });
    let plan = planned(&file, Pace::Live, &device(&[])).expect("a plan");
    assert_eq!(written(&plan.head), "filesrc location=[hidden] ! avidemux");
    assert!(!plan.live);
}

#[test]
fn a_usb_camera_gives_raw_video_or_the_codec_that_is_asked_for() {
    let mut usb = camera(Source::V4l2 { device: "/dev/video0".into() });
    usb.size_px = Some((1280, 720));
    usb.fps = Some(30);
    let written_plan = |usb: &Camera| {
        let plan = planned(usb, Pace::Live, &device(&PI_4)).expect("a plan");
        let Body::Fixed(chain) = plan.body else { panic!("fixed from the start") };
        format!("{} ! {}", written(&plan.head), written(&chain.steps))
    };
    let size = "width=1280,height=720,framerate=30/1";
    assert_eq!(
        written_plan(&usb),
        format!("v4l2src device=/dev/video0 ! capsfilter caps=video/x-raw,{size} ! videoconvert")
    );
    usb.codec = Some(Codec::Mjpeg);
    assert_eq!(
        written_plan(&usb),
        format!("v4l2src device=/dev/video0 ! capsfilter caps=image/jpeg,{size} ! jpegdec ! videoconvert")
    );
}

#[test]
fn a_csi_camera_is_argus_on_a_jetson_and_libcamera_on_a_pi() {
    let head = |extra: &[&'static str], sensor| {
        planned(&camera(Source::Csi { sensor }), Pace::Live, &device(extra)).map(|p| written(&p.head))
    };
    let jetson = "nvarguscamerasrc sensor-id=1 ! capsfilter caps=video/x-raw(memory:NVMM),format=NV12";
    assert_eq!(head(&JETSON, 1).expect("a plan"), jetson);
    assert_eq!(head(&PI_5, 0).expect("a plan"), "libcamerasrc ! capsfilter caps=video/x-raw,format=NV12");
    assert!(head(&PI_5, 1).expect_err("no second sensor").to_string().contains("csi:1"));
    assert!(head(&PC, 0).expect_err("no CSI on a PC").to_string().contains("gstreamer1.0-libcamera"));
}

#[test]
fn a_configured_codec_that_cannot_be_decoded_is_said_before_connecting() {
    let bare = Elements::new(["appsink", "rtspsrc", "rtph265depay", "h265parse"], "1.22.0");
    let mut settings = camera(rtsp());
    settings.codec = Some(Codec::H265);
    let e = planned(&settings, Pace::Live, &bare).expect_err("no decoder");
    assert!(matches!(e, IngestError::NoDecoder { codec: "H.265", .. }), "{e}");
}

#[test]
fn frames_of_a_jetson_stay_in_its_memory_only_where_somebody_reads_them_there() {
    let (jetson, none, failed) = (device(&JETSON), BTreeSet::new(), BTreeSet::from([IN_NVMM]));
    let h264 = |banned, surfaces| {
        let chain = chain(Video::H264, Wrapping::Rtp, means(&jetson, banned, surfaces)).expect("a decoder");
        (written(&chain.steps), chain.decoder)
    };
    let copied = "rtph264depay ! h264parse ! nvv4l2decoder ! nvvidconv".to_owned();
    let stays = "rtph264depay ! h264parse ! nvv4l2decoder num-extra-surfaces=5".to_owned();
    assert_eq!(h264(&none, Some(5)), (stays, Some((IN_NVMM, true))));
    assert_eq!(h264(&none, None), (copied.clone(), Some(("nvv4l2decoder", true))));
    // Where they cannot stay, the same decoder is tried with the copy before any other.
    assert_eq!(h264(&failed, Some(5)), (copied, Some(("nvv4l2decoder", true))));

    let sink = |extra: &[&'static str], banned, surfaces| {
        let (settings, elements) = (camera(rtsp()), device(extra));
        let given =
            Given { settings: &settings, pace: Pace::Live, container: None, elements: &elements, banned, surfaces };
        plan(given).expect("a plan").sink.to_string()
    };
    assert!(sink(&JETSON, &none, Some(5)).contains("caps=video/x-raw(memory:NVMM),format=(string)NV12;video/x-raw,"));
    for copied in [sink(&JETSON, &none, None), sink(&JETSON, &failed, Some(5)), sink(&PC, &none, None)] {
        assert!(!copied.contains("NVMM"), "{copied}");
    }
    // What is not decoded by NVIDIA's decoder ends in the processor's memory as ever.
    let jpeg = chain(Video::Mjpeg, Wrapping::Rtp, means(&jetson, &none, Some(5))).expect("a decoder");
    assert_eq!(written(&jpeg.steps), "rtpjpegdepay ! jpegdec ! videoconvert");
}
