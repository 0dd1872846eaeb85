// The function table through which Rust reaches TensorRT: one for each major version, compiled from that major's headers.
//
// Belongs here: plain C types only. No type of TensorRT or CUDA crosses this line, and nothing here is found by the linker: the library's
// entry points come from dlsym, in `peregrine_library`. `table.rs` mirrors this file; both change together.
#pragma once

#include <stddef.h>
#include <stdint.h>

#define PEREGRINE_TABLE_LAYOUT 1

#ifdef __cplusplus
extern "C" {
#endif

// As many sizes as TensorRT allows. A count below 0 says that there are none to tell.
typedef struct peregrine_dims {
  int32_t count;
  int32_t reserved;
  int64_t sizes[8];
} peregrine_dims;

// What a loaded library gives. `version` is its own, decoded: major * 10000 + minor * 100 + patch; `raw_version` as it says it.
typedef struct peregrine_library {
  void* (*create_runtime)(void* logger, int32_t version);
  void* (*create_builder)(void* logger, int32_t version);                // null: cannot build
  void* (*create_parser)(void* network, void* logger, int32_t version);  // null: cannot build
  int32_t version;
  int32_t raw_version;
} peregrine_library;

// A tensor at the edge of a plan. The name lives as long as the plan. `type` is TensorRT's number of it, the same in every version.
typedef struct peregrine_tensor {
  const char* name;
  int32_t is_input;
  int32_t type;
  peregrine_dims dims;
  peregrine_dims max_dims;  // of the first profile; inputs only
} peregrine_tensor;

// Bytes that TensorRT made; `blob_free` gives them back.
typedef struct peregrine_blob {
  void* handle;
  const void* data;
  size_t size;
} peregrine_blob;

// What an entropy calibrator asks. `batch` puts the device address of the next batch and says 1, or 0 when there is none.
typedef struct peregrine_calibrator {
  void* user;
  int32_t batch_size;
  int32_t reserved;
  int32_t (*batch)(void* user, uint64_t* address);
  const void* (*cached)(void* user, size_t* size);
  void (*keep)(void* user, const void* table, size_t size);
} peregrine_calibrator;

enum peregrine_progress_event { PEREGRINE_PHASE_BEGINS, PEREGRINE_STEP_DONE, PEREGRINE_PHASE_ENDS };

typedef struct peregrine_build_request {
  const void* onnx;
  size_t onnx_size;
  const char* input;  // the name of the one input that the profile is for
  peregrine_dims min;
  peregrine_dims opt;
  peregrine_dims max;
  uint64_t workspace_bytes;  // 0: TensorRT's own limit
  const void* timing_cache;  // null: a new one
  size_t timing_cache_size;
  const peregrine_calibrator* calibrator;  // null: none
  void* user;                              // for the two calls below
  // 0 cancels. `number` is the phase's number of steps where it begins, else the step. May come from threads of TensorRT's.
  int32_t (*progress)(void* user, int32_t event, const char* phase, int32_t number);
  // What the parser has against the model. Without a name or an operator these are empty.
  void (*refused)(void* user, int32_t code, int32_t node, const char* name, const char* op, const char* text);
  int32_t dla_core;  // below 0: none
  int32_t is_fp16;
  int32_t is_int8;
  int32_t is_strongly_typed;
} peregrine_build_request;

typedef struct peregrine_built {
  peregrine_blob plan;
  peregrine_blob timing_cache;
} peregrine_built;

enum peregrine_status {
  PEREGRINE_DONE,
  PEREGRINE_NO_BUILDER,
  PEREGRINE_NO_NETWORK,
  PEREGRINE_NO_PARSER,
  PEREGRINE_REFUSED,
  PEREGRINE_NO_CONFIG,
  PEREGRINE_NO_INPUT,
  PEREGRINE_BAD_PROFILE,
  PEREGRINE_NO_DLA,
  PEREGRINE_NO_CALIBRATOR,
  PEREGRINE_CANCELLED,
  PEREGRINE_NOT_BUILT,
};

// What the GPU is good at; below 0 where this version of TensorRT does not tell.
typedef struct peregrine_abilities {
  int32_t has_fast_fp16;
  int32_t has_fast_int8;
  int32_t dla_cores;
} peregrine_abilities;

// Severity: 0 internal error, 1 error, 2 warning, 3 information, 4 details.
typedef void (*peregrine_log)(int32_t severity, const char* text);

typedef struct peregrine_table {
  int32_t layout;  // PEREGRINE_TABLE_LAYOUT
  int32_t major;   // of the headers; 1 for TensorRT-RTX
  int32_t minor;
  int32_t is_rtx;

  // Before anything else. The logger behind it is made once for the process and never freed: TensorRT keeps the first that it gets.
  void (*log_to)(peregrine_log log);

  // Null where it fails; what it said went to the log.
  void* (*runtime_new)(const peregrine_library* library);
  void (*runtime_free)(void* runtime);
  void* (*plan_load)(void* runtime, const peregrine_library* library, const void* bytes, size_t size, int32_t dla_core);
  void (*plan_free)(void* plan);
  int32_t (*tensor_count)(const void* plan);
  int32_t (*tensor)(const void* plan, int32_t index, peregrine_tensor* tensor);
  int64_t (*device_memory)(const void* plan);

  // A context goes before its plan.
  void* (*context_new)(void* plan);
  void (*context_free)(void* context);
  int32_t (*set_shape)(void* context, const char* name, const peregrine_dims* dims);
  int32_t (*get_shape)(const void* context, const char* name, peregrine_dims* dims);
  int32_t (*bind)(void* context, const char* name, uint64_t address);
  int32_t (*enqueue)(void* context, void* stream);

  int32_t (*abilities)(const peregrine_library* library, peregrine_abilities* abilities);
  int32_t (*build)(const peregrine_library* library, const peregrine_build_request* request, peregrine_built* built);
  void (*blob_free)(void* handle);
} peregrine_table;

#ifdef __cplusplus
}
#endif
