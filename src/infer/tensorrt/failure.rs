//! Every way in which TensorRT or CUDA cannot be had, or fails. Each says what was found and what would help.
//!
//! Belongs here: the words. Does not: who finds out (see `library`, `cuda`, `builder`, `engine`).

use std::path::PathBuf;

use super::cuda::CudaError;

/// Why TensorRT does not run a model.
#[derive(Debug, thiserror::Error)]
pub(in crate::infer) enum Failure {
    /// The build had no headers of TensorRT.
    #[error("TensorRT was left out of this build{}", why_left_out())]
    LeftOut,
    /// libcuda is not there.
    #[error("no NVIDIA driver: {reason}")]
    NoDriver {
        /// What the system said.
        reason: String,
    },
    /// libcuda is there, and no GPU.
    #[error("the NVIDIA driver has no GPU to give: {reason}")]
    NoGpu {
        /// What it said.
        reason: String,
    },
    /// There is no GPU of this number.
    #[error("there is no GPU {wanted}; this device has {have}, numbered from 0 (tensorrt.devices)")]
    NoSuchGpu {
        /// Its number.
        wanted: u32,
        /// How many there are.
        have: u32,
    },
    /// libnvinfer is not there.
    #[error(
        "no TensorRT: {reason} (on a Jetson: apt install nvidia-jetpack; elsewhere libnvinfer and libnvonnxparsers of one major)"
    )]
    NoTensorrt {
        /// What the system said.
        reason: String,
    },
    /// libnvinfer is of a version that this build has no table for.
    #[error("TensorRT {found} is installed, and this build covers {covered}: build with its headers")]
    Version {
        /// The version found.
        found: String,
        /// Majors that this build has.
        covered: String,
    },
    /// A library lacks something that every version of it has.
    #[error("{}: {problem}", library.display())]
    Library {
        /// The file.
        library: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// There is no parser or builder: engines can be run, not built.
    #[error("no engine can be built here: {reason}")]
    NoBuilder {
        /// Why.
        reason: String,
    },
    /// A call of the driver failed.
    #[error(transparent)]
    Cuda(#[from] CudaError),
    /// The GPU did not finish in time.
    #[error("the GPU did not answer within {waited_ms} ms")]
    Hung {
        /// How long it was waited for.
        waited_ms: u128,
    },
    /// The GPU was lost to an earlier failure.
    #[error("the GPU was lost to an earlier failure")]
    Lost,
    /// A frame in memory of the video hardware is not what the kernel draws.
    #[error("a decoder's frame cannot be read where it lies: {0}")]
    Surface(String),
    /// TensorRT refused or failed.
    #[error("TensorRT: {doing}: {said}")]
    Tensorrt {
        /// What was tried.
        doing: &'static str,
        /// What it logged.
        said: String,
    },
    /// Neither the model's file nor one beside it is what TensorRT takes.
    #[error("{0}")]
    Form(String),
    /// A file beside the model cannot be read, or is another model.
    #[error("{}: {problem}", file.display())]
    Sibling {
        /// The file.
        file: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// There is not enough memory on the GPU.
    #[error("out of GPU memory while {doing}: {free_mb} MB are free{}", advice(*fits))]
    OutOfMemory {
        /// What was tried.
        doing: String,
        /// What is free.
        free_mb: u64,
        /// The largest batch that should fit; None where that cannot be told, 0 where none does.
        fits: Option<usize>,
    },
    /// The plan's tensors are not those of the model.
    #[error("the engine's tensors are not the model's: {0}")]
    Tensors(String),
    /// The parser does not take an operator.
    #[error("TensorRT does not take the model: node {node}: {said}")]
    Node {
        /// The node's name, or its number.
        node: String,
        /// What the parser said.
        said: String,
    },
    /// TensorRT says that there was not memory enough.
    #[error("TensorRT: {doing}: out of memory: {said}")]
    NoMemory {
        /// What was tried.
        doing: &'static str,
        /// What it logged.
        said: String,
    },
    /// There is no DLA core of this number.
    #[error("there is no DLA core {wanted}; this GPU has {have}, numbered from 0 (tensorrt.dla_core)")]
    NoSuchDla {
        /// Its number.
        wanted: u32,
        /// How many there are.
        have: u32,
    },
    /// The model has no input of the name that the profile is for.
    #[error("the model has no input named {name:?}")]
    NoSuchInput {
        /// The name.
        name: String,
    },
    /// A calibrator was given to a TensorRT that has none.
    #[error(
        "TensorRT {version} takes precision from the model alone: it needs a model with Q/DQ nodes, and no calibration"
    )]
    NoCalibrator {
        /// Which TensorRT.
        version: String,
    },
    /// Whoever was told of a build's progress did not want it to go on.
    #[error("the build of the engine was cancelled")]
    Cancelled,
}

impl Failure {
    /// Whether this is simply a device without the means, where nobody expects them.
    pub(in crate::infer) fn is_absence(&self) -> bool {
        matches!(self, Self::LeftOut | Self::NoDriver { .. } | Self::NoGpu { .. } | Self::NoTensorrt { .. })
    }

    /// Whether the same may go well another time: the GPU is there and takes the model, but is ill, or short of memory.
    pub(in crate::infer) fn may_pass(&self) -> bool {
        self.is_fatal() || self.is_out_of_memory()
    }

    /// Whether the GPU will not do anything any more until it was recovered.
    pub(in crate::infer::tensorrt) fn is_fatal(&self) -> bool {
        match self {
            Self::Lost | Self::Hung { .. } => true,
            Self::Cuda(e) => e.is_sticky(),
            _ => false,
        }
    }

    /// Whether less would have fitted.
    pub(in crate::infer::tensorrt) fn is_out_of_memory(&self) -> bool {
        match self {
            Self::OutOfMemory { .. } | Self::NoMemory { .. } => true,
            Self::Cuda(e) => e.is_out_of_memory(),
            _ => false,
        }
    }
}

fn why_left_out() -> &'static str {
    if crate::infer::IS_TENSORRT_WANTED {
        ", for want of its headers: build on the device (JetPack has them), install libnvinfer-dev and libnvonnxparsers-dev, or set \
         PEREGRINE_TENSORRT_INCLUDE_10 (8, 11) to a folder with NvInfer.h; scripts/tensorrt-headers.sh fetches them for 10 and 11"
    } else {
        ": it was built without the feature `tensorrt`"
    }
}

fn advice(fits: Option<usize>) -> String {
    match fits {
        None => {
            String::from("; close what else uses it, or lower tensorrt.workspace_mb or tensorrt.workers_per_device")
        }
        Some(0) => {
            String::from(", too few for a single picture: take a smaller model or lower tensorrt.workers_per_device")
        }
        Some(batch) => format!(", enough for a batch of {batch}"),
    }
}
