//! What the stand-in library knows and computes: it asks, this thread of the test answers. Models are run by another engine of ours;
//! faults happen when a test orders them; what the library was asked for is kept for the test to see.

#![allow(
    clippy::disallowed_methods,
    reason = "a test stands outside the daemon: it has a clock and threads of its own"
)]

use std::collections::{BTreeMap, HashMap};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::time::Instant;

use peregrine::config::EngineChoice;
use peregrine::infer::{Engine, Options, catalog, onnx};

use super::protocol::{Reader, Writer, answer, receive};
use crate::support::PATIENCE;

/// What the library did, in order.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Event {
    /// A model came to the parser; its sha256.
    Parsed(String),
    /// A build began.
    Build(Build),
    /// Step so many of a build; it goes on when builds are not held.
    Step(u32),
    /// A run of so many pictures.
    Run(u32),
    /// Builds were released.
    Released,
    /// Something that the real library would answer with a crash, or objects that were left at the process's end.
    Complaint(String),
}

/// The settings of a build.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct Build {
    /// The model's sha256.
    pub(crate) model: String,
    /// The input's least, best and greatest dimensions, one after the other.
    pub(crate) profile: Vec<i64>,
    /// `int8`, `fp16`, `strongly_typed`, `flags`, `workspace_bytes`, `timing_cache_builds`, `optimization_level`; where they apply
    /// `dla_core`, `gpu_fallback`, `calibration`.
    pub(crate) settings: BTreeMap<String, String>,
}

/// A fault that was ordered.
struct Fault {
    value: String,
    /// How often it still happens; None: always.
    times: Option<usize>,
}

#[derive(Default)]
struct State {
    faults: HashMap<String, Fault>,
    events: Vec<Event>,
    builds_held: bool,
    models: HashMap<String, Arc<Model>>,
}

/// An ONNX file, and the engines that wait for its next run.
struct Model {
    path: PathBuf,
    idle: Mutex<Vec<Box<dyn Engine>>>,
}

/// The server; a thread for each connection.
pub(crate) struct Server {
    folder: PathBuf,
    choice: EngineChoice,
    state: Mutex<State>,
    changed: Condvar,
}

impl Server {
    /// Listens on `socket` and keeps models in `folder`; they are run by this engine. The thread lives as long as the process.
    pub(super) fn start(socket: &Path, folder: &Path, choice: EngineChoice) -> Arc<Self> {
        let listener = UnixListener::bind(socket).unwrap_or_else(|e| panic!("{}: {e}", socket.display()));
        let (state, changed) = <(Mutex<State>, Condvar)>::default();
        let server = Arc::new(Self { folder: folder.to_owned(), choice, state, changed });
        let answering = Arc::clone(&server);
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let server = Arc::clone(&answering);
                std::thread::spawn(move || server.serve(stream));
            }
        });
        server
    }

    /// From now on this fault happens, `times` times or always.
    pub(crate) fn fault(&self, name: &str, value: &str, times: Option<usize>) {
        self.state().faults.insert(name.to_owned(), Fault { value: value.to_owned(), times });
    }

    /// It happens no more.
    pub(crate) fn heal(&self, name: &str) {
        self.state().faults.remove(name);
    }

    /// Builds stop at their next step, until they are released.
    pub(crate) fn hold_builds(&self, held: bool) {
        let mut state = self.state();
        state.builds_held = held;
        if !held {
            state.events.push(Event::Released);
        }
        drop(state);
        self.changed.notify_all();
    }

    /// All that happened.
    pub(crate) fn events(&self) -> Vec<Event> {
        self.state().events.clone()
    }

    /// Waits until this holds of all that happened.
    pub(crate) fn wait_until(&self, what: &str, holds: impl Fn(&[Event]) -> bool) {
        let deadline = Instant::now() + PATIENCE;
        let mut state = self.state();
        while !holds(&state.events) {
            let left = deadline.saturating_duration_since(Instant::now());
            assert!(!left.is_zero(), "the stand-in has not seen {what}: {:?}", state.events);
            state = self.changed.wait_timeout(state, left).expect("nobody panics with it").0;
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("nobody panics with it")
    }

    fn tell(&self, event: Event) {
        self.state().events.push(event);
        self.changed.notify_all();
    }

    fn serve(&self, mut stream: UnixStream) {
        while let Some((kind, question)) = receive(&mut stream) {
            let mut question = Reader(&question);
            let found = match kind {
                b'F' => self.ordered(&mut question),
                b'P' => self.parse(&mut question),
                b'B' => self.build(&mut question),
                b'S' => self.step(&mut question),
                b'R' => self.run(&mut question),
                b'C' => question.text().ok_or_else(cut_off).map(|said| {
                    self.tell(Event::Complaint(said));
                    Writer::default()
                }),
                _ => Err("no such question".to_owned()),
            };
            if answer(&mut stream, found).is_err() {
                return;
            }
        }
    }

    fn ordered(&self, question: &mut Reader<'_>) -> Result<Writer, String> {
        let name = question.text().ok_or_else(cut_off)?;
        Ok(Writer::default().bytes(self.happens(&name).unwrap_or_default().as_bytes()))
    }

    /// The value of a fault that is to happen now; once less from now on.
    fn happens(&self, name: &str) -> Option<String> {
        let mut state = self.state();
        let fault = state.faults.get_mut(name)?;
        if let Some(times) = &mut fault.times {
            *times = times.checked_sub(1)?;
        }
        Some(fault.value.clone())
    }

    /// A model as the library's text form has it; or the node that is refused, its parts between tabs.
    fn parse(&self, question: &mut Reader<'_>) -> Result<Writer, String> {
        let bytes = question.bytes().ok_or_else(cut_off)?;
        let broken = |why: String| format!("-1\t \t \t{}", why.replace(['\t', '\n'], " "));
        let graph = onnx::graph::graph(bytes).map_err(|e| broken(e.to_string()))?;
        if let Some(refused) = self.refused(&graph) {
            return Err(refused);
        }
        let sha256 = catalog::sha256_of_bytes(bytes);
        let path = self.folder.join(format!("{sha256}.onnx"));
        std::fs::write(&path, bytes).map_err(|e| broken(e.to_string()))?;
        let model = self.model(&sha256).map_err(broken)?;
        let engine = self.engine(&model).map_err(broken)?;
        let text = described(&sha256, &graph, engine.as_ref());
        model.idle.lock().expect("nobody panics with it").push(engine);
        self.tell(Event::Parsed(sha256));
        Ok(Writer::default().bytes(text.as_bytes()))
    }

    /// TensorRT's parser takes Q/DQ with int8 and a zero point of 0 only.
    fn refused(&self, graph: &onnx::graph::Graph<'_>) -> Option<String> {
        let ordered = self.happens("operator");
        graph.nodes.iter().enumerate().find_map(|(number, node)| {
            let zero = node.input(2).and_then(|name| graph.constants.get(name));
            let why = if ordered.as_ref() == Some(&node.op) {
                format!("No importer registered for op: {}. Attempting to import as plugin.", node.op)
            } else if node.op.ends_with("quantizeLinear") || node.op == "QuantizeLinear" {
                zero.filter(|zero| zero.is_uint8())?;
                "Assertion failed: TensorRT only supports symmetric quantization with int8, the zero point is uint8"
                    .to_owned()
            } else {
                return None;
            };
            Some(format!("{number}\t{}\t{}\t{why}", node.output(), node.op))
        })
    }

    fn build(&self, question: &mut Reader<'_>) -> Result<Writer, String> {
        let text = question.text().ok_or_else(cut_off)?;
        let mut build = Build::default();
        for line in text.lines() {
            match *line.splitn(3, ' ').collect::<Vec<_>>() {
                ["source", model] => build.model = model.to_owned(),
                ["setting", name, value] => _ = build.settings.insert(name.to_owned(), value.to_owned()),
                ["profile", _, dims] => build.profile = dims.split(' ').filter_map(|n| n.parse().ok()).collect(),
                _ => {}
            }
        }
        self.tell(Event::Build(build));
        let steps = self.happens("build-steps").and_then(|n| n.parse().ok()).unwrap_or(4);
        Ok(Writer::default().number(steps))
    }

    fn step(&self, question: &mut Reader<'_>) -> Result<Writer, String> {
        self.tell(Event::Step(question.number().ok_or_else(cut_off)?));
        let held = self.changed.wait_timeout_while(self.state(), PATIENCE, |state| state.builds_held);
        assert!(!held.expect("nobody panics with it").1.timed_out(), "builds were held and never released");
        Ok(Writer::default())
    }

    fn run(&self, question: &mut Reader<'_>) -> Result<Writer, String> {
        let sha256 = question.text().ok_or_else(cut_off)?;
        let batch = question.number().ok_or_else(cut_off)?;
        if question.number() != Some(1) {
            return Err("models with one input only".to_owned());
        }
        let pictures = question.bytes().ok_or_else(cut_off)?;
        let model = self.model(&sha256)?;
        let mut engine = self.engine(&model)?;
        let outputs = computed(engine.as_mut(), pictures, batch as usize)?;
        model.idle.lock().expect("nobody panics with it").push(engine);
        self.tell(Event::Run(batch));
        Ok(outputs.iter().fold(Writer::default().number(outputs.len()), |written, bytes| written.bytes(bytes)))
    }

    /// The model of this hash, from an earlier process too.
    fn model(&self, sha256: &str) -> Result<Arc<Model>, String> {
        let path = self.folder.join(format!("{sha256}.onnx"));
        if !path.is_file() {
            return Err(format!("there is no model {sha256}"));
        }
        let fresh = || Arc::new(Model { path, idle: Mutex::default() });
        Ok(Arc::clone(self.state().models.entry(sha256.to_owned()).or_insert_with(fresh)))
    }

    fn engine(&self, model: &Model) -> Result<Box<dyn Engine>, String> {
        let idle = model.idle.lock().expect("nobody panics with it").pop();
        match idle {
            Some(engine) => Ok(engine),
            None => peregrine::infer::open(self.choice, &model.path, &Options::default()).map_err(|e| e.to_string()),
        }
    }
}

fn cut_off() -> String {
    "the question is cut off".to_owned()
}

/// A model's text form, see nvinfer/model.h.
fn described(sha256: &str, graph: &onnx::graph::Graph<'_>, engine: &dyn Engine) -> String {
    let input = &graph.header.inputs[0];
    let batch = input.dims[0].map_or(-1, |n| i64::try_from(n).expect("small"));
    let [c, h, w] = engine.shape().input_chw;
    let mut text = format!("peregrine stand-in model\nsource {sha256}\nlayers {}\n", graph.nodes.len());
    if graph.nodes.iter().any(|node| node.op == "QuantizeLinear") {
        text.push_str("quantised\n");
    }
    text.push_str(&format!("input {} {batch} {c} {h} {w}\n", input.name));
    for output in &engine.shape().outputs {
        let dims: Vec<_> = output.dims.iter().map(|n| format!(" {n}")).collect();
        text.push_str(&format!("output {} {batch}{}\n", output.name, dims.concat()));
    }
    text
}

/// Every output for the whole batch; pictures are run one by one.
fn computed(engine: &mut dyn Engine, pictures: &[u8], batch: usize) -> Result<Vec<Vec<u8>>, String> {
    let chw = engine.shape().input_chw;
    let (numbers, _) = pictures.as_chunks::<4>();
    let each: usize = chw.iter().product();
    if numbers.len() != each * batch {
        return Err(format!("{batch} pictures of {each} numbers are needed, not {}", numbers.len()));
    }
    let mut outputs = vec![Vec::new(); engine.shape().outputs.len()];
    for picture in numbers.chunks_exact(each) {
        engine.input(0).fill(chw, |i| f32::from_le_bytes(picture[i]));
        engine.run(1).map_err(|e| e.to_string())?;
        for (i, bytes) in outputs.iter_mut().enumerate() {
            bytes.extend(engine.output(i, 0).iter().flat_map(|v| v.to_le_bytes()));
        }
    }
    Ok(outputs)
}
