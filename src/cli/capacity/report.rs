//! What was measured, as tables, as JSON and as a sentence.

use serde::Serialize;

use super::Mode;
use super::trial::{Plan, Step, Tried};
use crate::cli::table;
use crate::config::Config;
use crate::pipeline::Scene;
use crate::runtime::environment;

/// In pictures with fewer detections a frame than this there is nothing to track.
const NEXT_TO_NOTHING: f64 = 0.5;

/// What `--json` prints. Its shape is a contract.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    pub(super) cpu: String,
    pub(super) mode: &'static str,
    /// Frames a second of each camera; absent where one comes after the other.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) fps: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) target_p95_ms: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    most_dropped_percent: Option<f64>,
    /// Cameras that were tried at most.
    most_cameras: usize,
    pictures: String,
    /// Processor time of decoding a frame of the clip; it is in no other number.
    #[serde(skip_serializing_if = "Option::is_none")]
    decoding_cpu_ms_per_frame: Option<f64>,
    pub(super) trials: Vec<Tried>,
    #[serde(skip_serializing_if = "Option::is_none")]
    answer: Option<Answer>,
    /// Where the daemon will have other work than what was measured.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) remarks: Vec<String>,
    #[serde(skip)]
    chosen: Option<usize>,
    #[serde(skip)]
    has_second_stage: bool,
}

/// The answer.
#[derive(Debug, Clone, Serialize)]
struct Answer {
    cameras: usize,
    model: String,
    engine: &'static str,
    max_batch: usize,
    p95_ms: f64,
    sentence: String,
}

impl Report {
    pub(super) fn new(plan: &Plan, scene: &Scene, config: &Config, trials: Vec<Tried>) -> Self {
        let wanted = config.cameras.values().filter(|camera| camera.enabled).count().max(1);
        let decoding = scene.decoding.map(|took| (took.as_secs_f64() * 1e6).round() / 1e3);
        let mut report = Self {
            cpu: environment::processor_name(),
            mode: plan.mode.as_str(),
            fps: Some(plan.fps).filter(|_| plan.mode != Mode::Single),
            target_p95_ms: plan.bar.map(|bar| bar.target_p95.as_secs_f64() * 1e3),
            most_dropped_percent: plan.bar.map(|bar| bar.most_dropped * 100.0),
            most_cameras: plan.most,
            pictures: scene.about.clone(),
            decoding_cpu_ms_per_frame: decoding,
            chosen: plan.bar.and_then(|_| chosen(&trials, wanted)),
            trials,
            answer: None,
            remarks: Vec::new(),
            has_second_stage: !config.classify.is_empty(),
        };
        report.answer = report.chosen().and_then(|tried| report.answer(tried));
        report
    }

    /// What the owner should take: the model liked best that carries the cameras of the configuration, else the one that carries most.
    pub(super) fn chosen(&self) -> Option<&Tried> {
        self.trials.get(self.chosen?)
    }

    fn answer(&self, tried: &Tried) -> Option<Answer> {
        Some(Answer {
            cameras: tried.carries,
            model: tried.model.clone(),
            engine: tried.engine,
            max_batch: tried.max_batch,
            p95_ms: tried.held.as_ref()?.p95_ms,
            sentence: self.sentence(tried)?,
        })
    }

    /// "8 cameras at 5 fps, p95 84 ms".
    pub(super) fn sentence(&self, tried: &Tried) -> Option<String> {
        let held = tried.held.as_ref()?;
        let p95 = number(held.p95_ms);
        if self.mode == Mode::Single.as_str() {
            let fps = number(held.fps);
            return Some(format!("1 camera, one frame after the other: {fps} frames a second, p95 {p95} ms"));
        }
        let (count, rate) = (tried.carries, self.rate());
        let cameras = if count == 1 { "camera" } else { "cameras" };
        let together = if self.mode == Mode::Burst.as_str() { " that all send at once" } else { "" };
        let said = format!("{count} {cameras}{rate}{together}, p95 {p95} ms");
        Some(if count == self.most_cameras { format!("at least {said}; more were not tried") } else { said })
    }

    /// " at 5 fps"; nothing where one frame comes after the other.
    pub(super) fn rate(&self) -> String {
        self.fps.map(|fps| format!(" at {fps} fps")).unwrap_or_default()
    }

    /// On what, how, with which pictures.
    pub(super) fn conditions(&self, tried: &Tried) -> String {
        let threads = if tried.threads == 1 { "1 thread".to_owned() } else { format!("{} threads", tried.threads) };
        let workers = if tried.workers == 1 { String::new() } else { format!("{} workers, ", tried.workers) };
        let held = tried.held.as_ref().map(|held| format!(" for {} s", number(held.over_secs))).unwrap_or_default();
        let Self { mode, pictures, cpu, .. } = self;
        let (model, engine, batch) = (&tried.model, tried.engine, tried.max_batch);
        format!("{model} on {engine} ({workers}{threads}, {cpu}), batches up to {batch}, {mode}{held}, {pictures}")
    }

    /// Why there is no answer, and what may help.
    pub(super) fn refusal(&self, smaller: Option<&str>) -> String {
        let Some((tried, step)) = self.trials.last().and_then(|t| Some((t, t.steps.first()?))) else {
            return "nothing was measured".to_owned();
        };
        let fps = self.rate();
        let target = self.target_p95_ms.unwrap_or_default();
        let why = if step.fps == 0.0 {
            format!("no result came{fps}, the detector failed on {} frames", step.failed)
        } else if step.p95_ms >= target {
            format!("p95 {} ms{fps}", number(step.p95_ms))
        } else {
            format!("p95 {} ms, but {} % of the frames dropped{fps}", number(step.p95_ms), number(step.dropped_percent))
        };
        let (model, engine) = (&tried.model, tried.engine);
        let hint = smaller
            .map_or_else(|| "; fewer frames a second or a later target may do".to_owned(), |s| format!("; try {s}"));
        format!("not even one camera: {why} ({model} on {engine}; below {} ms was asked for){hint}", number(target))
    }

    pub(super) fn text(&self) -> String {
        let mut out = String::new();
        for tried in &self.trials {
            out.push_str(&self.table(tried));
        }
        let models: Vec<_> = self.trials.iter().filter_map(|t| Some((t, self.sentence(t)?))).collect();
        if self.trials.len() > 1 {
            let line = |(t, said): &(&Tried, String)| format!("{}, batches up to {}: {said}\n", t.model, t.max_batch);
            out.extend(models.iter().map(line));
            out.push('\n');
        }
        if let (Some(answer), Some(tried)) = (&self.answer, self.chosen()) {
            out.push_str(&format!("{}\n{}\n", answer.sentence, self.conditions(tried)));
        }
        out.extend(self.remarks.iter().map(|remark| format!("{remark}\n")));
        out.push_str(&self.left_out());
        out
    }

    fn table(&self, tried: &Tried) -> String {
        let mut rows: Vec<_> = tried.steps.iter().map(row).collect();
        let is_longer = |held: &&Step| self.mode == Mode::Sustained.as_str() && held.holds.is_some();
        rows.extend(tried.held.as_ref().filter(is_longer).map(|held| {
            let mut row = row(held);
            row.push(format!("for {} s", number(held.over_secs)));
            row
        }));
        let head = [
            "cameras",
            "due/s",
            "done/s",
            "p50 ms",
            "p95 ms",
            "p99 ms",
            "dropped %",
            "batch",
            "CPU ms/frame",
            "RSS MB",
            "holds",
            "",
        ];
        let trouble: String = tried.trouble.iter().map(|line| format!("{line}\n")).collect();
        format!("{}\n{trouble}\n{}\n", self.heading(tried), table::columns(&head, &rows))
    }

    fn heading(&self, tried: &Tried) -> String {
        let (model, engine, batch) = (&tried.model, tried.engine, tried.max_batch);
        format!("{model} on {engine}, batches up to {batch}, {}{}", self.mode, self.rate())
    }

    /// What these numbers are not about.
    fn left_out(&self) -> String {
        let mut out = match self.decoding_cpu_ms_per_frame {
            None => "Decoding is not in it; with --video its cost is told beside it.\n".to_owned(),
            Some(ms) => format!(
                "Decoding is not in it: a frame of this clip takes {ms:.2} ms of processor time more, looked at or not.\n"
            ),
        };
        let found = self.trials.iter().flat_map(|t| &t.steps).map(|s| s.detections_per_frame).fold(0.0, f64::max);
        if found < NEXT_TO_NOTHING {
            let second = if self.has_second_stage { ", classifiers" } else { "" };
            out.push_str(&format!(
                "Next to nothing was found in the pictures, so trackers{second} and rules had little to do; --video shows them a clip.\n"
            ));
        }
        out
    }
}

/// The model liked best that carries so many, at its best batch size; else what carries most.
fn chosen(trials: &[Tried], wanted: usize) -> Option<usize> {
    let best_of = |model: &str| {
        let own = trials.iter().enumerate().filter(|(_, t)| t.model == model && t.carries > 0);
        // Of equals the one with the smaller batch.
        own.max_by_key(|(n, t)| (t.carries, std::cmp::Reverse(*n))).map(|(n, _)| n)
    };
    let models: Vec<_> = trials.iter().filter_map(|t| best_of(&t.model)).collect();
    let enough = models.iter().copied().find(|n| trials[*n].carries >= wanted);
    enough.or_else(|| models.into_iter().max_by_key(|n| (trials[*n].carries, std::cmp::Reverse(*n))))
}

fn row(step: &Step) -> Vec<String> {
    let holds = match step.holds {
        Some(true) => "yes",
        Some(false) => "no",
        None => "-",
    };
    vec![
        step.cameras.to_string(),
        format!("{:.1}", step.due_fps),
        format!("{:.1}", step.fps),
        format!("{:.1}", step.p50_ms),
        format!("{:.1}", step.p95_ms),
        format!("{:.1}", step.p99_ms),
        format!("{:.1}", step.dropped_percent),
        format!("{:.1}", step.frames_per_batch),
        format!("{:.2}", step.cpu_ms_per_frame),
        format!("{:.0}", step.rss_mb),
        holds.to_owned(),
    ]
}

/// As few digits as tell it: 84, 8.4, 0.5.
fn number(n: f64) -> String {
    let text = if n.abs() >= 20.0 { format!("{n:.0}") } else { format!("{n:.1}") };
    text.strip_suffix(".0").map_or(text.clone(), str::to_owned)
}

#[cfg(test)]
pub(super) mod tests {
    use std::time::Duration;

    use super::super::picture::over_load;
    use super::*;
    use crate::cli::configuration;
    use crate::runtime::Clock;
    use crate::schedule::capacity::Bar;

    fn step(cameras: usize, p95_ms: f64, holds: bool) -> Step {
        let fps = 5.0 * cameras as f64;
        Step {
            cameras,
            over_secs: 3.0,
            due_fps: fps,
            fps,
            p50_ms: p95_ms / 2.0,
            p95_ms,
            p99_ms: p95_ms,
            dropped_percent: 0.0,
            failed: 0,
            frames_per_batch: 1.0,
            cpu_ms_per_frame: 10.0,
            detections_per_frame: 0.0,
            rss_mb: 90.0,
            holds: Some(holds),
        }
    }

    fn tried(model: &str, max_batch: usize, carries: usize) -> Tried {
        let held = (carries > 0).then(|| step(carries, 84.0, true));
        let steps = vec![step(carries.max(1), 84.0, carries > 0), step(carries + 2, 231.0, false)];
        let model = model.to_owned();
        let (trouble, seconds) = (Vec::new(), Vec::new());
        Tried { model, engine: "int8", workers: 1, threads: 2, max_batch, trouble, steps, carries, held, seconds }
    }

    /// A report about trials: each a model, a batch size and what it carries.
    pub(in crate::cli::capacity) fn of(trials: &[(&str, usize, usize)]) -> Report {
        let bar = Some(Bar { target_p95: Duration::from_millis(100), most_dropped: 0.01 });
        let second = Duration::from_secs(1);
        let mode = Mode::Sustained;
        let plan = Plan { clock: Clock::start(), fps: 5.0, mode, bar, each: second, hold: second, most: 64 };
        let config = configuration::defaults().expect("the defaults are valid");
        let trials = trials.iter().map(|(model, batch, carries)| tried(model, *batch, *carries)).collect();
        Report::new(&plan, &Scene::made((16, 16)), &config, trials)
    }

    #[test]
    fn the_answer_is_a_sentence() {
        let said = |trials| of(trials).answer.map(|a| a.sentence);
        assert_eq!(said(&[("a", 1, 8)]).as_deref(), Some("8 cameras at 5 fps, p95 84 ms"));
        assert_eq!(said(&[("a", 1, 1)]).as_deref(), Some("1 camera at 5 fps, p95 84 ms"));
        assert_eq!(
            said(&[("a", 1, 64)]).as_deref(),
            Some("at least 64 cameras at 5 fps, p95 84 ms; more were not tried")
        );
        assert_eq!(said(&[("a", 1, 0)]), None);
    }

    #[test]
    fn the_model_liked_best_is_taken_while_it_carries_what_is_needed() {
        let trials = [tried("large", 1, 2), tried("large", 2, 3), tried("large", 4, 3), tried("small", 1, 9)];
        let of = |wanted| chosen(&trials, wanted).map(|n| (trials[n].model.as_str(), trials[n].max_batch));
        assert_eq!(of(1), Some(("large", 2)), "the most, by the smaller batch");
        assert_eq!(of(4), Some(("small", 1)));
        assert_eq!(of(40), Some(("small", 1)), "too few, and the most there is");
        assert_eq!(chosen(&[tried("a", 1, 0)], 1), None);
    }

    #[test]
    fn a_refusal_says_what_was_measured_and_what_to_try() {
        let report = of(&[("yolov8n_640_int8", 1, 0)]);
        let mut slow = of(&[("yolov8n_640_int8", 1, 0)]);
        slow.trials[0].steps[0].p95_ms = 231.0;
        assert_eq!(
            slow.refusal(Some("yolov8n_320_int8")),
            "not even one camera: p95 231 ms at 5 fps (yolov8n_640_int8 on int8; below 100 ms was asked for); try yolov8n_320_int8"
        );
        assert!(report.refusal(None).contains("frames dropped"), "{}", report.refusal(None));
    }

    #[test]
    fn one_frame_after_the_other_has_no_rate_that_was_asked_for() {
        let second = Duration::from_secs(1);
        let plan = Plan {
            clock: Clock::start(),
            fps: 5.0,
            mode: Mode::Single,
            bar: None,
            each: second,
            hold: second,
            most: 1,
        };
        let config = configuration::defaults().expect("the defaults are valid");
        let report = Report::new(&plan, &Scene::made((16, 16)), &config, vec![tried("a", 1, 1)]);
        let json = serde_json::to_value(&report).expect("JSON");
        assert!(json.get("fps").is_none() && json["mode"] == "single", "{json:#}");
        assert!(!report.text().contains("5 fps") && !over_load(&report).contains("5 fps"), "{}", report.text());
    }

    #[test]
    fn the_text_says_what_is_not_in_the_numbers() {
        let text = of(&[("a", 1, 8)]).text();
        assert!(text.contains("Decoding is not in it") && text.contains("Next to nothing was found"), "{text}");
        assert!(text.contains("8 cameras at 5 fps, p95 84 ms\na on int8 (2 threads"), "{text}");
    }
}
