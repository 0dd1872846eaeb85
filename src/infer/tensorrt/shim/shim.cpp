// The table of shim.h over the C++ interface of one major version of TensorRT. Compiled once for each major whose headers are there, with
// -DPEREGRINE_TABLE=peregrine_tensorrt_table_NN and TensorRT's namespaces renamed, so that all of them live in one program.
//
// Belongs here: what needs TensorRT's classes. Does not: which library is loaded, who owns what, what is said to a person (see Rust).
//
// Inside a major TensorRT only appends to its classes, so a table that is compiled from one minor serves them all, as long as it calls a
// younger function only where the library that runs (`version`) has it. No exceptions, no RTTI, no C++ library: only libc is needed.
#include "shim.h"

#include <NvInfer.h>
#include <NvOnnxParser.h>
#include <new>
#include <stdlib.h>
#include <string.h>

// The headers' version as major * 100 + minor. TensorRT-RTX numbers itself from 1 and has the interface of TensorRT 11.
#ifdef PEREGRINE_TENSORRT_RTX
#define LEVEL 1100
#else
#define LEVEL (NV_TENSORRT_MAJOR * 100 + NV_TENSORRT_MINOR)
#endif
// Where tensors have names, and where there are only numbers ("bindings").
#define HAS_NAMES (LEVEL >= 805)
#define HAS_BINDINGS (LEVEL < 1000)
#define HAS_WEAK_TYPES (LEVEL < 1100)

namespace {

// Without a working driver some versions give a small number where a pointer is expected, and say so in the log only.
constexpr uintptr_t LEAST_POINTER = 65536;

__thread int32_t errors_on_this_thread = 0;

class Logger final : public nvinfer1::ILogger {
 public:
  explicit Logger(peregrine_log to) : to_(to) {}

  void log(Severity severity, char const* text) noexcept override {
    if (severity <= Severity::kERROR) ++errors_on_this_thread;
    to_(static_cast<int32_t>(severity), text == nullptr ? "" : text);
  }

 private:
  peregrine_log to_;
};

// Never destroyed, so that a library may log while the process ends.
alignas(Logger) unsigned char logger_memory[sizeof(Logger)];
Logger* logger = nullptr;

void log_to(peregrine_log log) {
  if (logger == nullptr) logger = new (logger_memory) Logger(log);
}

// What a factory gave, if it can be an object and nothing went wrong on the way.
template <typename T>
T* checked(void* made, int32_t errors_before) {
  if (reinterpret_cast<uintptr_t>(made) < LEAST_POINTER || errors_on_this_thread != errors_before) return nullptr;
  return static_cast<T*>(made);
}

// Deletes when it goes out of scope. Objects of TensorRT delete themselves with the library's own allocator.
template <typename T>
class Owned {
 public:
  explicit Owned(T* object) : object_(object) {}
  ~Owned() {
    if (object_ != nullptr) delete object_;
  }
  Owned(Owned const&) = delete;
  Owned& operator=(Owned const&) = delete;
  T* operator->() const { return object_; }
  T& operator*() const { return *object_; }
  T* get() const { return object_; }
  T* release() {
    T* object = object_;
    object_ = nullptr;
    return object;
  }
  explicit operator bool() const { return object_ != nullptr; }

 private:
  T* object_;
};

peregrine_dims to_plain(nvinfer1::Dims const& dims) {
  peregrine_dims plain{};
  plain.count = dims.nbDims > nvinfer1::Dims::MAX_DIMS ? -1 : dims.nbDims;
  for (int32_t i = 0; i < plain.count; ++i) plain.sizes[i] = dims.d[i];
  return plain;
}

// False for what has no place in TensorRT's own.
bool from_plain(peregrine_dims const& plain, nvinfer1::Dims& dims) {
  dims = nvinfer1::Dims{};
  if (plain.count < 0 || plain.count > nvinfer1::Dims::MAX_DIMS) return false;
  dims.nbDims = plain.count;
  for (int32_t i = 0; i < plain.count; ++i) {
    using Size = decltype(dims.d[0] + 0);
    dims.d[i] = static_cast<Size>(plain.sizes[i]);
    if (dims.d[i] != plain.sizes[i]) return false;
  }
  return true;
}

constexpr peregrine_dims NO_DIMS{-1, 0, {}};

struct Plan {
  nvinfer1::ICudaEngine* engine;
  int32_t version;
};

struct Context {
  nvinfer1::IExecutionContext* context;
  nvinfer1::ICudaEngine* engine;
  void** bindings;  // null where tensors are bound by name
  int32_t count;
};

bool uses_names(int32_t version) {
#if !HAS_NAMES
  (void)version;
  return false;
#elif HAS_BINDINGS
  return version >= 80500;
#else
  (void)version;
  return true;
#endif
}

#if HAS_BINDINGS
// An engine has its bindings once for each profile.
int32_t bindings_of_a_profile(nvinfer1::ICudaEngine const& engine) {
  int32_t const profiles = engine.getNbOptimizationProfiles();
  return profiles > 1 ? engine.getNbBindings() / profiles : engine.getNbBindings();
}
#endif

void* runtime_new(peregrine_library const* library) {
  int32_t const before = errors_on_this_thread;
  return checked<nvinfer1::IRuntime>(library->create_runtime(logger, library->raw_version), before);
}

void runtime_free(void* runtime) { delete static_cast<nvinfer1::IRuntime*>(runtime); }

void* plan_load(void* runtime, peregrine_library const* library, void const* bytes, size_t size, int32_t dla_core) {
  auto* const from = static_cast<nvinfer1::IRuntime*>(runtime);
  if (dla_core >= 0) from->setDLACore(dla_core);
  Owned<nvinfer1::ICudaEngine> engine(from->deserializeCudaEngine(bytes, size));
  if (!engine) return nullptr;
  auto* const plan = static_cast<Plan*>(malloc(sizeof(Plan)));
  if (plan == nullptr) return nullptr;
  *plan = Plan{engine.release(), library->version};
  return plan;
}

void plan_free(void* plan) {
  delete static_cast<Plan*>(plan)->engine;
  free(plan);
}

int32_t tensor_count(void const* plan) {
  auto const& from = *static_cast<Plan const*>(plan);
#if HAS_NAMES
  if (uses_names(from.version)) return from.engine->getNbIOTensors();
#endif
#if HAS_BINDINGS
  return bindings_of_a_profile(*from.engine);
#else
  return 0;
#endif
}

int32_t tensor(void const* plan, int32_t index, peregrine_tensor* tensor) {
  auto const& from = *static_cast<Plan const*>(plan);
  auto const most = nvinfer1::OptProfileSelector::kMAX;
  tensor->max_dims = NO_DIMS;
#if HAS_NAMES
  if (uses_names(from.version)) {
    tensor->name = from.engine->getIOTensorName(index);
    if (tensor->name == nullptr) return 0;
    tensor->is_input = from.engine->getTensorIOMode(tensor->name) == nvinfer1::TensorIOMode::kINPUT;
    tensor->type = static_cast<int32_t>(from.engine->getTensorDataType(tensor->name));
    tensor->dims = to_plain(from.engine->getTensorShape(tensor->name));
    if (tensor->is_input) tensor->max_dims = to_plain(from.engine->getProfileShape(tensor->name, 0, most));
    return 1;
  }
#endif
#if HAS_BINDINGS
  tensor->name = from.engine->getBindingName(index);
  if (tensor->name == nullptr) return 0;
  tensor->is_input = from.engine->bindingIsInput(index);
  tensor->type = static_cast<int32_t>(from.engine->getBindingDataType(index));
  tensor->dims = to_plain(from.engine->getBindingDimensions(index));
  if (tensor->is_input) tensor->max_dims = to_plain(from.engine->getProfileDimensions(index, 0, most));
  return 1;
#else
  return 0;
#endif
}

int64_t device_memory(void const* plan) {
  auto const& from = *static_cast<Plan const*>(plan);
#if LEVEL >= 1001
#if LEVEL < 1100
  if (from.version < 100100) return static_cast<int64_t>(from.engine->getDeviceMemorySize());
#endif
  return from.engine->getDeviceMemorySizeV2();
#else
  return static_cast<int64_t>(from.engine->getDeviceMemorySize());
#endif
}

void* context_new(void* plan) {
  auto const& from = *static_cast<Plan const*>(plan);
  Owned<nvinfer1::IExecutionContext> made(from.engine->createExecutionContext());
  auto* const context = static_cast<Context*>(calloc(1, sizeof(Context)));
  if (!made || context == nullptr) {
    free(context);
    return nullptr;
  }
#if HAS_BINDINGS
  if (!uses_names(from.version)) {
    context->count = from.engine->getNbBindings();
    context->bindings = static_cast<void**>(calloc(static_cast<size_t>(context->count) + 1, sizeof(void*)));
    if (context->bindings == nullptr) {
      free(context);
      return nullptr;
    }
  }
#endif
  context->context = made.release();
  context->engine = from.engine;
  return context;
}

void context_free(void* context) {
  auto* const from = static_cast<Context*>(context);
  delete from->context;
  free(from->bindings);
  free(from);
}

int32_t set_shape(void* context, char const* name, peregrine_dims const* plain) {
  auto const& to = *static_cast<Context*>(context);
  nvinfer1::Dims dims;
  if (!from_plain(*plain, dims)) return 0;
#if HAS_BINDINGS
  if (to.bindings != nullptr) {
    int32_t const index = to.engine->getBindingIndex(name);
    return index >= 0 && index < to.count && to.context->setBindingDimensions(index, dims);
  }
#endif
#if HAS_NAMES
  return to.context->setInputShape(name, dims);
#else
  return 0;
#endif
}

int32_t get_shape(void const* context, char const* name, peregrine_dims* dims) {
  auto const& from = *static_cast<Context const*>(context);
#if HAS_BINDINGS
  if (from.bindings != nullptr) {
    int32_t const index = from.engine->getBindingIndex(name);
    if (index < 0 || index >= from.count) return 0;
    *dims = to_plain(from.context->getBindingDimensions(index));
    return dims->count >= 0;
  }
#endif
#if HAS_NAMES
  *dims = to_plain(from.context->getTensorShape(name));
  return dims->count >= 0;
#else
  return 0;
#endif
}

int32_t bind(void* context, char const* name, uint64_t address) {
  auto const& to = *static_cast<Context*>(context);
  auto* const memory = reinterpret_cast<void*>(static_cast<uintptr_t>(address));
#if HAS_BINDINGS
  if (to.bindings != nullptr) {
    int32_t const index = to.engine->getBindingIndex(name);
    if (index < 0 || index >= to.count) return 0;
    to.bindings[index] = memory;
    return 1;
  }
#endif
#if HAS_NAMES
  return to.context->setTensorAddress(name, memory);
#else
  return 0;
#endif
}

int32_t enqueue(void* context, void* stream) {
  auto const& with = *static_cast<Context*>(context);
  auto* const on = static_cast<cudaStream_t>(stream);
#if HAS_BINDINGS
  if (with.bindings != nullptr) {
    // This older call takes what it gets: a tensor without memory would be written to address 0 of the GPU.
    for (int32_t i = 0; i < bindings_of_a_profile(*with.engine); ++i) {
      if (with.bindings[i] == nullptr) {
        logger->log(nvinfer1::ILogger::Severity::kERROR, "a tensor has no memory");
        return 0;
      }
    }
    return with.context->enqueueV2(with.bindings, on, nullptr);
  }
#endif
#if HAS_NAMES
  return with.context->enqueueV3(on);
#else
  return 0;
#endif
}

#if HAS_WEAK_TYPES
class Calibrator final : public nvinfer1::IInt8EntropyCalibrator2 {
 public:
  explicit Calibrator(peregrine_calibrator const* ask) : ask_(ask) {}

  int32_t getBatchSize() const noexcept override { return ask_->batch_size; }

  bool getBatch(void* bindings[], char const*[], int32_t count) noexcept override {
    uint64_t address = 0;
    if (count != 1 || ask_->batch(ask_->user, &address) == 0) return false;
    bindings[0] = reinterpret_cast<void*>(static_cast<uintptr_t>(address));
    return true;
  }

  void const* readCalibrationCache(size_t& size) noexcept override {
    size = 0;
    return ask_->cached(ask_->user, &size);
  }

  void writeCalibrationCache(void const* table, size_t size) noexcept override { ask_->keep(ask_->user, table, size); }

 private:
  peregrine_calibrator const* ask_;
};
#endif

#if LEVEL >= 1000
class Monitor final : public nvinfer1::IProgressMonitor {
 public:
  explicit Monitor(peregrine_build_request const& request) : request_(request) {}

  void phaseStart(char const* phase, char const*, int32_t steps) noexcept override {
    tell(PEREGRINE_PHASE_BEGINS, phase, steps);
  }

  bool stepComplete(char const* phase, int32_t step) noexcept override { return tell(PEREGRINE_STEP_DONE, phase, step); }

  void phaseFinish(char const* phase) noexcept override { tell(PEREGRINE_PHASE_ENDS, phase, 0); }

  bool is_cancelled() const { return __atomic_load_n(&is_cancelled_, __ATOMIC_RELAXED); }

 private:
  bool tell(int32_t event, char const* phase, int32_t number) {
    if (request_.progress(request_.user, event, phase == nullptr ? "" : phase, number) == 0) {
      __atomic_store_n(&is_cancelled_, true, __ATOMIC_RELAXED);
    }
    return !is_cancelled();
  }

  peregrine_build_request const& request_;
  bool is_cancelled_ = false;
};
#endif

// Builders and what they make, in the order in which they are needed; destroyed the other way round.
nvinfer1::IBuilder* new_builder(peregrine_library const& library) {
  int32_t const before = errors_on_this_thread;
  return checked<nvinfer1::IBuilder>(library.create_builder(logger, library.raw_version), before);
}

nvinfer1::INetworkDefinition* new_network(nvinfer1::IBuilder& builder, bool is_strongly_typed) {
  uint32_t flags = 0;
#if LEVEL < 1000
  // Weak types only: the flag for strong ones came with 9.
  (void)is_strongly_typed;
  flags = 1U << static_cast<uint32_t>(nvinfer1::NetworkDefinitionCreationFlag::kEXPLICIT_BATCH);
#elif HAS_WEAK_TYPES
  if (is_strongly_typed) flags = 1U << static_cast<uint32_t>(nvinfer1::NetworkDefinitionCreationFlag::kSTRONGLY_TYPED);
#else
  // Every network is strongly typed.
  (void)is_strongly_typed;
#endif
  return builder.createNetworkV2(flags);
}

void tell_errors(nvonnxparser::IParser const& parser, peregrine_build_request const& request) {
  for (int32_t i = 0; i < parser.getNbErrors(); ++i) {
    nvonnxparser::IParserError const* const error = parser.getError(i);
    if (error == nullptr) continue;
    char const* name = nullptr;
    char const* op = nullptr;
#if LEVEL >= 1000
    name = error->nodeName();
    op = error->nodeOperator();
#endif
    char const* const text = error->desc();
    request.refused(request.user, static_cast<int32_t>(error->code()), error->node(), name == nullptr ? "" : name,
                    op == nullptr ? "" : op, text == nullptr ? "" : text);
  }
}

bool has_input(nvinfer1::INetworkDefinition const& network, char const* name) {
  for (int32_t i = 0; i < network.getNbInputs(); ++i) {
    if (strcmp(network.getInput(i)->getName(), name) == 0) return true;
  }
  return false;
}

int32_t add_profile(nvinfer1::IBuilder& builder, nvinfer1::IBuilderConfig& config, peregrine_build_request const& request) {
  // The builder's own: it goes with it.
  nvinfer1::IOptimizationProfile* const profile = builder.createOptimizationProfile();
  nvinfer1::Dims min;
  nvinfer1::Dims opt;
  nvinfer1::Dims max;
  if (profile == nullptr || !from_plain(request.min, min) || !from_plain(request.opt, opt) || !from_plain(request.max, max)) {
    return PEREGRINE_BAD_PROFILE;
  }
  using Selector = nvinfer1::OptProfileSelector;
  bool const is_set = profile->setDimensions(request.input, Selector::kMIN, min) &&
                      profile->setDimensions(request.input, Selector::kOPT, opt) &&
                      profile->setDimensions(request.input, Selector::kMAX, max);
  return is_set && profile->isValid() && config.addOptimizationProfile(profile) >= 0 ? PEREGRINE_DONE : PEREGRINE_BAD_PROFILE;
}

int32_t set_precision(nvinfer1::IBuilderConfig& config, peregrine_build_request const& request) {
#if HAS_WEAK_TYPES
  using Flag = nvinfer1::BuilderFlag;
  if (!request.is_strongly_typed || LEVEL < 1000) {
    if (request.is_fp16) config.setFlag(Flag::kFP16);
    if (request.is_int8) config.setFlag(Flag::kINT8);
    return PEREGRINE_DONE;
  }
#endif
  // The types stand in the model.
  (void)config;
  return request.calibrator == nullptr ? PEREGRINE_DONE : PEREGRINE_NO_CALIBRATOR;
}

int32_t set_device(nvinfer1::IBuilder const& builder, nvinfer1::IBuilderConfig& config, int32_t dla_core) {
  if (dla_core < 0) return PEREGRINE_DONE;
  if (dla_core >= builder.getNbDLACores()) return PEREGRINE_NO_DLA;
  config.setDefaultDeviceType(nvinfer1::DeviceType::kDLA);
  config.setDLACore(dla_core);
  config.setFlag(nvinfer1::BuilderFlag::kGPU_FALLBACK);
  return PEREGRINE_DONE;
}

void set_workspace(nvinfer1::IBuilderConfig& config, int32_t version, uint64_t bytes) {
  (void)version;
  if (bytes == 0) return;
#if LEVEL < 1000
#if LEVEL >= 804
  if (version >= 80400) {
    config.setMemoryPoolLimit(nvinfer1::MemoryPoolType::kWORKSPACE, bytes);
    return;
  }
#endif
  config.setMaxWorkspaceSize(bytes);
#else
  config.setMemoryPoolLimit(nvinfer1::MemoryPoolType::kWORKSPACE, bytes);
#endif
}

// A cache that does not suit this GPU or version is left, and a new one begun.
nvinfer1::ITimingCache* set_timing_cache(nvinfer1::IBuilderConfig& config, void const* bytes, size_t size) {
  nvinfer1::ITimingCache* cache = size == 0 ? nullptr : config.createTimingCache(bytes, size);
  if (cache != nullptr && config.setTimingCache(*cache, false)) return cache;
  if (cache != nullptr) delete cache;
  cache = config.createTimingCache(nullptr, 0);
  if (cache != nullptr) config.setTimingCache(*cache, false);
  return cache;
}

peregrine_blob to_blob(nvinfer1::IHostMemory* memory) {
  return memory == nullptr ? peregrine_blob{} : peregrine_blob{memory, memory->data(), memory->size()};
}

int32_t configure(nvinfer1::IBuilder& builder, nvinfer1::IBuilderConfig& config, peregrine_library const& library,
                  peregrine_build_request const& request) {
  int32_t status = set_precision(config, request);
  if (status == PEREGRINE_DONE) status = set_device(builder, config, request.dla_core);
  if (status == PEREGRINE_DONE) status = add_profile(builder, config, request);
  set_workspace(config, library.version, request.workspace_bytes);
#if LEVEL >= 806 && LEVEL < 1000
  // Several contexts over one profile, as 10 has them without asking.
  if (library.version >= 80600) config.setPreviewFeature(nvinfer1::PreviewFeature::kPROFILE_SHARING_0806, true);
#endif
  return status;
}

int32_t build_with(nvinfer1::IBuilder& builder, nvinfer1::INetworkDefinition& network, nvinfer1::IBuilderConfig& config,
                   peregrine_build_request const& request, peregrine_built& built) {
  Owned<nvinfer1::ITimingCache> cache(set_timing_cache(config, request.timing_cache, request.timing_cache_size));
#if HAS_WEAK_TYPES
  Calibrator calibrator(request.calibrator);
  if (request.calibrator != nullptr) config.setInt8Calibrator(&calibrator);
#endif
#if LEVEL >= 1000
  Monitor monitor(request);
  config.setProgressMonitor(&monitor);
#endif
  built.plan = to_blob(builder.buildSerializedNetwork(network, config));
#if LEVEL >= 1000
  config.setProgressMonitor(nullptr);
  if (monitor.is_cancelled()) return PEREGRINE_CANCELLED;
#endif
  if (built.plan.handle == nullptr) return PEREGRINE_NOT_BUILT;
  if (cache) built.timing_cache = to_blob(cache->serialize());
  return PEREGRINE_DONE;
}

int32_t build(peregrine_library const* library, peregrine_build_request const* request, peregrine_built* built) {
  *built = peregrine_built{};
  if (library->create_builder == nullptr) return PEREGRINE_NO_BUILDER;
  if (library->create_parser == nullptr) return PEREGRINE_NO_PARSER;
  Owned<nvinfer1::IBuilder> builder(new_builder(*library));
  if (!builder) return PEREGRINE_NO_BUILDER;
  Owned<nvinfer1::INetworkDefinition> network(new_network(*builder, request->is_strongly_typed != 0));
  if (!network) return PEREGRINE_NO_NETWORK;
  int32_t const before = errors_on_this_thread;
  Owned<nvonnxparser::IParser> parser(
      checked<nvonnxparser::IParser>(library->create_parser(network.get(), logger, NV_ONNX_PARSER_VERSION), before));
  if (!parser) return PEREGRINE_NO_PARSER;
  if (!parser->parse(request->onnx, request->onnx_size)) {
    tell_errors(*parser, *request);
    return PEREGRINE_REFUSED;
  }
  if (!has_input(*network, request->input)) return PEREGRINE_NO_INPUT;
  Owned<nvinfer1::IBuilderConfig> config(builder->createBuilderConfig());
  if (!config) return PEREGRINE_NO_CONFIG;
  int32_t const status = configure(*builder, *config, *library, *request);
  return status == PEREGRINE_DONE ? build_with(*builder, *network, *config, *request, *built) : status;
}

void blob_free(void* handle) { delete static_cast<nvinfer1::IHostMemory*>(handle); }

int32_t abilities(peregrine_library const* library, peregrine_abilities* abilities) {
  *abilities = peregrine_abilities{-1, -1, 0};
  if (library->create_builder == nullptr) return 0;
  Owned<nvinfer1::IBuilder> builder(new_builder(*library));
  if (!builder) return 0;
#if HAS_WEAK_TYPES
  abilities->has_fast_fp16 = builder->platformHasFastFp16();
  abilities->has_fast_int8 = builder->platformHasFastInt8();
#endif
  abilities->dla_cores = builder->getNbDLACores();
  return 1;
}

constexpr peregrine_table TABLE{
    PEREGRINE_TABLE_LAYOUT, NV_TENSORRT_MAJOR, NV_TENSORRT_MINOR, LEVEL / 100 != NV_TENSORRT_MAJOR,
    log_to,        runtime_new, runtime_free, plan_load, plan_free,    tensor_count, tensor,  device_memory,
    context_new,   context_free, set_shape,   get_shape, bind,         enqueue,      abilities, build,
    blob_free,
};

}  // namespace

extern "C" __attribute__((visibility("hidden"))) peregrine_table const* PEREGRINE_TABLE() { return &TABLE; }
