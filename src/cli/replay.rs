//! `peregrine replay`: a recorded clip through the whole pipeline, every frame, as JSON Lines of the messages that would be published.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use anyhow::Context as _;
use clap::Args as ClapArgs;
use uuid::{Builder, Uuid};

use super::{Failure, configuration, output, progress, table};
use crate::annotate::{self, Mark, VideoWriter};
use crate::config::{Camera, Config, Secrets, Source};
use crate::pipeline::{Board, Loading, Replay, ReplayError, Step};
use crate::pixels::Cover;
use crate::publish::{Message, pace::Pace, payload};
use crate::runtime::Clock;
use crate::telemetry::{CameraMetrics, Metrics, logging};
use crate::types::{Event, Frame, Report, Stored, TrackEvent, TrackPhase};

/// Send a recorded clip through the whole pipeline: every frame, no drop, as fast as the models go. What would be published is written as
/// JSON Lines, each with its topic: detections, tracks, and the events of zones and lines. Nothing is sent or kept, and no alert is raised.
#[derive(Debug, ClapArgs)]
pub(super) struct Args {
    /// The clip: mp4, mkv or avi.
    video: PathBuf,
    /// The configuration; its cameras are not opened. Without it: defaults.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Where the messages go, one a line; stdout if not given.
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// The camera's name in the messages; where the configuration knows it, its zones and lines are watched in the clip.
    #[arg(long, value_name = "NAME", default_value = "replay")]
    camera: String,
    /// Use this model instead of the configuration's.
    #[arg(long, value_name = "NAME|PATH")]
    model: Option<String>,
    /// Also write a video with boxes, numbers and labels drawn in, and the masks of the configuration's camera of that name.
    #[arg(long, value_name = "OUT.mp4")]
    annotate: Option<PathBuf>,
    /// Also write the tracks in MOTChallenge text.
    #[arg(long, value_name = "FILE")]
    mot: Option<PathBuf>,
    /// Print how long each stage took to stderr.
    #[arg(long)]
    timings: bool,
}

/// Plays the clip.
pub(super) fn run(args: &Args) -> Result<(), Failure> {
    if !args.video.is_file() {
        return Err(Failure::Input(format!("{}: no such file", args.video.display())));
    }
    refuse_to_overwrite(args)?;
    let mut config = match &args.config {
        Some(file) => configuration::load(file, Secrets::None)?.config,
        None => configuration::defaults()?,
    };
    refuse_to_unmask(args, &config)?;
    if let Some(model) = &args.model {
        config.detect.model.clone_from(model);
    }
    let clock = Clock::start();
    logging::init(config.log.level.min(log::LevelFilter::Warn), clock);
    let metrics = Arc::new(Metrics::default());
    // What runs the models is in the log; the messages are those of the clip.
    let board = Board::new(Arc::clone(&metrics), clock, |_| {});
    let loading =
        Loading { config: &config, metrics: &metrics, clock, board: &board, progress: progress::building(clock) };
    let mut analyst = loading.one().map_err(|e| Failure::Config(e.to_string()))?;
    let mut listener = Listener::new(args, &config)?;
    let bar = progress::spinner("frames");
    let began = clock.mono();
    let replay = Replay { name: &args.camera, camera: clip(args, &config), config: &config, metrics: &metrics, clock };
    replay
        .run(&mut analyst, &mut |step| {
            if matches!(step, Step::Frame(_)) {
                bar.inc(1);
            }
            listener.hear(&step)
        })
        .map_err(|e| match e {
            ReplayError::Source(reason) => Failure::Input(format!("{}: {reason}", args.video.display())),
            e => Failure::Work(e.into()),
        })?;
    bar.finish_and_clear();
    let took = clock.mono().saturating_sub(began);
    let frames = listener.finish()?;
    if config.attend.enabled {
        say_how_many(&metrics.camera(&args.camera), frames);
    }
    if args.timings {
        table::stages(&metrics.stages, frames, took);
    }
    Ok(())
}

#[allow(clippy::print_stderr, reason = "a remark for whoever typed the command")]
fn say_how_many(counted: &CameraMetrics, frames: u64) {
    let (looked, coasted) = (counted.frames_analysed_total.get(), counted.frames_coasted_total.get());
    let same = counted.frames_same_total.get();
    let saved = frames as f64 / looked.max(1) as f64;
    eprintln!(
        "{frames} frames: {looked} inferred (1 in {saved:.2}), {coasted} carried on, {same} the same as the one before"
    );
}

/// An output that is the clip, or another output, would destroy it before it is read.
fn refuse_to_overwrite(args: &Args) -> Result<(), Failure> {
    let real = |path: &Path| path.canonicalize().unwrap_or_else(|_| path.to_owned());
    let mut taken = vec![real(&args.video)];
    for path in [&args.out, &args.annotate, &args.mot].into_iter().flatten() {
        let path = real(path);
        // A pipe or a terminal may well take two kinds of lines.
        let is_file = path.is_file() || !path.exists();
        if is_file && taken.contains(&path) {
            return Err(Failure::Usage(format!("{}: named twice, it would be overwritten", path.display())));
        }
        taken.push(path);
    }
    Ok(())
}

/// Masks belong to a camera: who forgets its name would get a video without them.
fn refuse_to_unmask(args: &Args, config: &Config) -> Result<(), Failure> {
    let masked: Vec<_> = config.cameras.iter().filter(|(_, c)| !c.masks.is_empty()).map(|(n, _)| n.as_str()).collect();
    if args.annotate.is_none() || masked.is_empty() || config.cameras.contains_key(&args.camera) {
        return Ok(());
    }
    let (camera, masked) = (&args.camera, masked.join(", "));
    Err(Failure::Usage(format!(
        "--camera {camera}: the configuration has no such camera, and masks for {masked}; name the camera that took the clip"
    )))
}

/// The clip in place of the pictures of a camera whose zones and lines the configuration may know.
fn clip(args: &Args, config: &Config) -> Camera {
    let clip = Camera::of(Source::File { path: args.video.clone(), repeat: false });
    match config.cameras.get(&args.camera).cloned() {
        Some(Camera { appearances, stopped, zones, lines, masks, .. }) => {
            Camera { appearances, stopped, zones, lines, masks, ..clip }
        }
        None => clip,
    }
}

/// Writes what the replay tells.
struct Listener {
    device: String,
    prefix: String,
    pace: Pace,
    out: Box<dyn Write>,
    video: Option<VideoWriter>,
    /// The masks of the camera of this name.
    cover: Cover,
    mot: Option<BufWriter<File>>,
    marks: Vec<TrackEvent>,
    first: Option<Duration>,
    frames: u64,
    events: u64,
}

impl Listener {
    fn new(args: &Args, config: &Config) -> Result<Self, Failure> {
        let create = |path: &Path| {
            File::create(path).map(BufWriter::new).map_err(|e| Failure::Input(format!("{}: {e}", path.display())))
        };
        let out: Box<dyn Write> = match &args.out {
            Some(path) => Box::new(create(path)?),
            None => Box::new(output::stream()),
        };
        let video = args.annotate.as_deref().map(VideoWriter::create).transpose();
        let masks = config.cameras.get(&args.camera).map(|camera| &camera.masks);
        let cover = Cover::new(masks.into_iter().flat_map(|masks| masks.values().map(|mask| mask.points.clone())));
        Ok(Self {
            device: config.device.name.clone(),
            prefix: config.mqtt.prefix.clone(),
            pace: Pace::new(&config.publish),
            out,
            video: video.map_err(|e| Failure::Input(e.to_string()))?,
            cover,
            mot: args.mot.as_deref().map(create).transpose()?,
            marks: Vec::new(),
            first: None,
            frames: 0,
            events: 0,
        })
    }

    fn hear(&mut self, step: &Step<'_>) -> anyhow::Result<()> {
        match step {
            Step::Report(report) => self.report(report),
            Step::Event(event) => self.event(event),
            Step::Frame(frame) => self.frame(frame),
        }
    }

    fn report(&mut self, report: &Report) -> anyhow::Result<()> {
        if let Report::Track(event) = report
            && event.phase != TrackPhase::End
        {
            self.marks.push(event.clone());
        }
        if !self.pace.allows(report) {
            return Ok(());
        }
        let message = payload::render(report, &self.device, &self.prefix, captured(report));
        self.write(&message)
    }

    /// The daemon's store names and counts events; a replay has none, and does it as the store would for a camera of which nothing is kept.
    fn event(&mut self, event: &Event) -> anyhow::Result<()> {
        self.events += 1;
        let stored = Stored { id: id(event, self.events), boot: Uuid::nil(), seq: self.events, event: event.clone() };
        let message = payload::render_event(&stored, &self.device, &self.prefix);
        self.write(&message)
    }

    fn write(&mut self, message: &Message) -> anyhow::Result<()> {
        write!(self.out, "{{\"topic\":{},\"payload\":", serde_json::to_string(&message.topic)?)
            .and_then(|()| self.out.write_all(&message.body))
            .and_then(|()| self.out.write_all(b"}\n"))
            .context("the messages cannot be written")
    }

    fn frame(&mut self, frame: &Frame) -> anyhow::Result<()> {
        self.frames += 1;
        let marks = std::mem::take(&mut self.marks);
        if let Some(mot) = &mut self.mot {
            for event in &marks {
                let (b, t) = (event.track.bbox, &event.track);
                let (w, h) = (b.width(), b.height());
                writeln!(mot, "{},{},{:.2},{:.2},{w:.2},{h:.2},{:.4},-1,-1,-1", frame.seq, t.id, b.x1, b.y1, t.score)?;
            }
        }
        if let Some(video) = &mut self.video {
            let marks: Vec<_> = marks.iter().map(mark).collect();
            let at = frame.captured.mono.saturating_sub(*self.first.get_or_insert(frame.captured.mono));
            let caption = format!("{} #{}", frame.camera, frame.seq);
            video.write(&annotate::draw(&frame.pixels.view(), &self.cover, &marks, &caption), at)?;
        }
        Ok(())
    }

    fn finish(mut self) -> Result<u64, Failure> {
        let flushed = self.out.flush().and_then(|()| self.mot.as_mut().map_or(Ok(()), Write::flush));
        flushed.map_err(|e| Failure::Input(format!("the output cannot be written: {e}")))?;
        self.video.map_or(Ok(()), VideoWriter::finish).map_err(|e| Failure::Work(e.into()))?;
        Ok(self.frames)
    }
}

fn mark(event: &TrackEvent) -> Mark {
    let labels: String = event.labels.iter().map(|l| format!(" {}", l.value)).collect();
    let text = format!("{} {}{labels} {:.2}", event.track.id, event.class_name, event.track.score);
    Mark { bbox: event.track.bbox, number: event.track.id, text }
}

/// A UUIDv7 of the frame's capture time in which the event's number stands where others have chance: ids sort as the events came, and the
/// same run of frames gives the same ids.
fn id(event: &Event, number: u64) -> Uuid {
    let at = event.at.wall.duration_since(UNIX_EPOCH).unwrap_or_default();
    let mut rest = [0; 10];
    rest[2..].copy_from_slice(&number.to_be_bytes());
    Builder::from_unix_timestamp_millis(u64::try_from(at.as_millis()).unwrap_or(u64::MAX), &rest).into_uuid()
}

/// In a replay a message is sent in the moment in which its frame was captured: its age is 0, its content does not depend on the machine's speed.
fn captured(report: &Report) -> crate::types::Captured {
    match report {
        Report::Sighting(s) => s.captured,
        Report::Track(t) => t.captured,
        Report::Camera(c) => c.since,
        Report::Engine(e) => e.since,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config;

    #[test]
    fn no_video_is_drawn_while_nobody_knows_whose_masks_belong_in_it() {
        let dir = tempfile::tempdir().expect("a folder");
        let file = dir.path().join("p.toml");
        let text = "[camera.front]\nsource = \"test:\"\n[camera.yard]\nsource = \"test:\"\n\
                    [camera.front.mask.window]\npoints = [[0.1, 0.1], [0.9, 0.1], [0.9, 0.9]]\n";
        std::fs::write(&file, text).expect("written");
        let config = config::load(&file, &config::Surroundings::default()).unwrap_or_else(|e| panic!("{e}")).config;
        let args = |camera: &str, annotate: Option<&str>| Args {
            video: "clip.mp4".into(),
            config: None,
            out: None,
            camera: camera.to_owned(),
            model: None,
            annotate: annotate.map(Into::into),
            mot: None,
            timings: false,
        };
        let Err(Failure::Usage(told)) = refuse_to_unmask(&args("replay", Some("o.mp4")), &config) else {
            panic!("a stranger's masks are not known")
        };
        assert!(told.contains("--camera replay") && told.contains("masks for front"), "{told}");
        for (camera, annotate) in [("front", Some("o.mp4")), ("yard", Some("o.mp4")), ("replay", None)] {
            assert!(refuse_to_unmask(&args(camera, annotate), &config).is_ok(), "{camera}");
        }
    }
}
