// Runtime, engine and execution context: reads the stand-in's plans and computes by asking the server.
#include "model.h"
#include "object.h"
#include "version.h"

#include <dlfcn.h>
#include <memory>
#include <mutex>

using namespace nvinfer1;
using standin::absent;
#include "defaults.h"

namespace standin
{

// One run: where its inputs and outputs lie and what computes them. Kept for ever when a graph holds it.
struct Job
{
    std::shared_ptr<Model const> model;
    std::shared_ptr<Wire> wire;
    uint32_t batch;
    std::vector<std::pair<void*, size_t>> inputs, outputs; // Floats.
    bool once;
    bool done{false};
    std::string failed;

    void run();
};

// Without a server: element k of an output is the sum of the sample's inputs, plus k.
static void sums(Job& job)
{
    for (uint32_t sample = 0; sample < job.batch; ++sample)
    {
        float sum = 0;
        for (auto const& in : job.inputs)
            for (size_t n = in.second / job.batch, i = 0; i < n; ++i)
                sum += static_cast<float const*>(in.first)[sample * n + i];
        for (auto const& out : job.outputs)
            for (size_t n = out.second / job.batch, i = 0; i < n; ++i)
                static_cast<float*>(out.first)[sample * n + i] = sum + static_cast<float>(i);
    }
}

void Job::run()
{
    done = true;
    if (model->source == "sums")
        return sums(*this);
    Bytes question;
    question.text(model->source);
    question.number(batch);
    question.number(static_cast<uint32_t>(inputs.size()));
    for (auto const& in : inputs)
        question.bytes(in.first, in.second * sizeof(float));
    Answer answer = wire->ask('R', question);
    if (!answer.ok)
    {
        failed = answer.payload.take_text();
        return;
    }
    uint32_t const given = answer.payload.take_number();
    for (auto const& out : outputs)
    {
        std::string const data = given == outputs.size() ? answer.payload.take_text() : "";
        if (data.size() != out.second * sizeof(float))
        {
            failed = "the server's output is of another size than the engine's";
            return;
        }
        std::copy(data.begin(), data.end(), static_cast<char*>(out.first));
    }
}

static void run_job(void* data)
{
    auto* job = static_cast<Job*>(data);
    job->failed.clear();
    job->run();
    if (!job->failed.empty())
        complain("a run in a graph or on a stream failed: " + job->failed);
    if (job->once)
        delete job;
}

// Of the driver: what is needed to wait for a stream's earlier work, and to become part of a graph.
struct Cuda
{
    int (*launch)(void* stream, void (*)(void*), void*){nullptr};
    int (*capturing)(void* stream, int* status){nullptr};
};

static Cuda const& cuda()
{
    static Cuda const found = [] {
        Cuda cuda;
        if (void* library = dlopen("libcuda.so.1", RTLD_LAZY | RTLD_NOLOAD))
        {
            cuda.launch = reinterpret_cast<decltype(cuda.launch)>(dlsym(library, "cuLaunchHostFunc"));
            cuda.capturing = reinterpret_cast<decltype(cuda.capturing)>(dlsym(library, "cuStreamIsCapturing"));
        }
        return cuda;
    }();
    return found;
}

// Empty when the job ran or stands on the stream.
static std::string start(Job const& job, void* stream)
{
    int status = 0;
    bool const capturing = cuda().launch && cuda().capturing && cuda().capturing(stream, &status) == 0 && status != 0;
    if (!cuda().launch)
    {
        Job now = job;
        now.run();
        return now.failed;
    }
    auto* later = new Job(job);
    later->once = !capturing;
    return cuda().launch(stream, &run_job, later) == 0 ? "" : "cuLaunchHostFunc failed";
}

class Context final : public Object<IExecutionContext, DefaultVExecutionContext, Context>
{
public:
    static char const* kind() { return "IExecutionContext"; }
    Context(ICudaEngine const& engine, std::atomic<int>& contexts, std::shared_ptr<Model const> model, ILogger* logger)
        : mEngine(engine)
        , mContexts(contexts)
        , mModel(std::move(model))
        , mLogger(logger)
        , mWire(std::make_shared<Wire>())
    {
        mContexts.fetch_add(1);
        for (Port const& port : mModel->ports)
            mSlots.push_back(Slot{port, port.dims, nullptr});
    }
    ~Context() noexcept override { mContexts.fetch_sub(1); }

    ICudaEngine const& getEngine() const noexcept override { return mEngine; }
    void setProfiler(IProfiler* profiler) noexcept override { mProfiler = profiler; }
    IProfiler* getProfiler() const noexcept override { return mProfiler; }
    void setEnqueueEmitsProfile(bool emits) noexcept override { mEmits = emits; }
    bool getEnqueueEmitsProfile() const noexcept override { return mEmits; }
    void setName(char const* name) noexcept override { mName = name; }
    char const* getName() const noexcept override { return mName.c_str(); }
    int32_t getOptimizationProfile() const noexcept override { return 0; }
    bool setOptimizationProfileAsync(int32_t index, cudaStream_t) noexcept override
    {
        return index == 0 || refuse("setOptimizationProfileAsync", "profileIndex < nbOptimizationProfiles", "There is only profile 0.");
    }
    void setPersistentCacheLimit(size_t size) noexcept override { mCache = size; }
    size_t getPersistentCacheLimit() const noexcept override { return mCache; }

    bool setInputShape(char const* name, Dims const& dims) noexcept override
    {
        Alone alone(mUsers, kind());
        Slot* slot = find(name);
        if (!slot || !slot->port.input)
            return refuse("setInputShape", "isInput(tensorName)", std::string("There is no input ") + name + ".");
        Port const& port = slot->port;
        bool fits = dims.nbDims == port.dims.nbDims;
        for (int i = 0; fits && i < dims.nbDims; ++i)
            fits = port.dims.d[i] == -1 || port.dims.d[i] == dims.d[i];
        if (!fits)
            return refuse("setInputShape", "engineDims.d[i] == dims.d[i]",
                "Static dimension mismatch while setting input shape for " + port.name + ". Set dimensions are " + words(dims)
                    + ". Expected dimensions are " + words(port.dims) + ".");
        for (int i = 0; port.bounds[0].nbDims > 0 && i < dims.nbDims; ++i)
            if (dims.d[i] < port.bounds[0].d[i] || dims.d[i] > port.bounds[2].d[i])
                return refuse("setInputShape", "satisfyProfile",
                    "Set dimension " + words(dims) + " for tensor " + port.name + " does not satisfy any optimization profiles. Valid range for profile 0: "
                        + words(port.bounds[0]) + ".." + words(port.bounds[2]) + ".");
        slot->dims = dims;
        return true;
    }

    Dims getTensorShape(char const* name) const noexcept override
    {
        Slot const* slot = find(name);
        Dims dims{};
        dims.nbDims = -1;
        return slot ? resolved(*slot) : dims;
    }

    bool setTensorAddress(char const* name, void* data) noexcept override
    {
        Alone alone(mUsers, kind());
        Slot* slot = find(name);
        if (!slot)
            return refuse("setTensorAddress", "isValidTensorName(tensorName)", std::string("There is no tensor ") + name + ".");
        if (reinterpret_cast<uintptr_t>(data) % 256 != 0)
            return refuse("setTensorAddress", "isAligned(data, 256)", "The address of " + slot->port.name + " is not a multiple of 256.");
        slot->data = data;
        return true;
    }
    void const* getTensorAddress(char const* name) const noexcept override { return find(name) ? find(name)->data : nullptr; }
    bool setInputTensorAddress(char const* name, void const* data) noexcept override { return setTensorAddress(name, const_cast<void*>(data)); }
    bool setOutputTensorAddress(char const* name, void* data) noexcept override { return setTensorAddress(name, data); }
    void* getOutputTensorAddress(char const* name) const noexcept override { return find(name) ? find(name)->data : nullptr; }
    bool allInputDimensionsSpecified() const noexcept override
    {
        for (Slot const& slot : mSlots)
            if (slot.port.input && volume(slot.dims) < 0)
                return false;
        return true;
    }
    int32_t inferShapes(int32_t, char const**) noexcept override { return allInputDimensionsSpecified() ? 0 : -1; }

    bool enqueueV3(cudaStream_t stream) noexcept override
    {
        Alone alone(mUsers, kind());
        Job job;
        job.model = mModel;
        job.wire = mWire;
        job.batch = static_cast<uint32_t>(mSlots.front().dims.d[0]);
        for (Slot const& slot : mSlots)
        {
            Dims const dims = resolved(slot);
            if (volume(dims) < 0)
                return refuse("enqueueV3", "mContext.allInputShapesSpecified", "Input dimensions of " + slot.port.name + " are not specified.");
            if (!slot.data)
                return refuse("enqueueV3", "mContext.profileObliviousBindings.at(profileObliviousIndex)",
                    "Neither address or allocator is set for " + std::string(slot.port.input ? "input" : "output") + " tensor " + slot.port.name
                        + ". Call setTensorAddress before enqueue/execute.");
            (slot.port.input ? job.inputs : job.outputs).emplace_back(slot.data, static_cast<size_t>(volume(dims)));
        }
        std::string const ordered = fault("enqueue");
        std::string const failed = ordered.empty() ? start(job, stream) : ordered;
        if (!failed.empty())
        {
            error(mLogger, "IExecutionContext::enqueueV3: Error Code 1: Cuda Runtime (" + failed + ")");
            return false;
        }
        if (mProfiler && mEmits)
            mProfiler->reportLayerTime("everything", 1.0f);
        return true;
    }

private:
    struct Slot
    {
        Port port;
        Dims dims;
        void* data;
    };
    Slot* find(char const* name) { return const_cast<Slot*>(static_cast<Context const*>(this)->find(name)); }
    Slot const* find(char const* name) const
    {
        for (Slot const& slot : mSlots)
            if (slot.port.name == name)
                return &slot;
        return nullptr;
    }
    // An output's open dimension is the first input's batch.
    Dims resolved(Slot const& slot) const
    {
        Dims dims = slot.dims;
        if (!slot.port.input && dims.nbDims > 0 && dims.d[0] == -1)
            dims.d[0] = mSlots.front().dims.d[0];
        return dims;
    }
    bool refuse(char const* call, char const* condition, std::string const& why) const
    {
        error(mLogger, std::string("IExecutionContext::") + call + ": Error Code 3: API Usage Error (Parameter check failed, condition: "
                + condition + ". " + why + ")");
        return false;
    }

    ICudaEngine const& mEngine;
    std::atomic<int>& mContexts;
    std::shared_ptr<Model const> mModel;
    ILogger* mLogger;
    std::shared_ptr<Wire> mWire;
    std::vector<Slot> mSlots;
    IProfiler* mProfiler{nullptr};
    bool mEmits{true};
    std::string mName;
    size_t mCache{0};
    std::atomic<int> mUsers{0};
};

class Engine final : public Object<ICudaEngine, DefaultVCudaEngine, Engine>
{
public:
    static char const* kind() { return "ICudaEngine"; }
    Engine(Model model, ILogger* logger, std::atomic<int>& engines)
        : mModel(std::make_shared<Model const>(std::move(model)))
        , mLogger(logger)
        , mEngines(engines)
    {
        mEngines.fetch_add(1);
    }
    ~Engine() noexcept override
    {
        mEngines.fetch_sub(1);
        if (mContexts.load() != 0)
            complain("an ICudaEngine was deleted before its contexts");
    }

    int32_t getNbIOTensors() const noexcept override { return static_cast<int32_t>(mModel->ports.size()); }
    char const* getIOTensorName(int32_t index) const noexcept override
    {
        bool const there = index >= 0 && index < getNbIOTensors();
        return there ? mModel->ports[static_cast<size_t>(index)].name.c_str() : nullptr;
    }
    TensorIOMode getTensorIOMode(char const* name) const noexcept override
    {
        Port const* port = mModel->port(name);
        return !port ? TensorIOMode::kNONE : port->input ? TensorIOMode::kINPUT : TensorIOMode::kOUTPUT;
    }
    Dims getTensorShape(char const* name) const noexcept override
    {
        Dims dims{};
        dims.nbDims = -1;
        return mModel->port(name) ? mModel->port(name)->dims : dims;
    }
    DataType getTensorDataType(char const*) const noexcept override { return DataType::kFLOAT; }
    TensorFormat getTensorFormat(char const*) const noexcept override { return TensorFormat::kLINEAR; }
    TensorFormat getTensorFormatV2(char const*, int32_t) const noexcept override { return TensorFormat::kLINEAR; }
    TensorLocation getTensorLocation(char const*) const noexcept override { return TensorLocation::kDEVICE; }
    bool isShapeInferenceIO(char const*) const noexcept override { return false; }
    int32_t getNbOptimizationProfiles() const noexcept override { return 1; }
    Dims getProfileShape(char const* name, int32_t profile, OptProfileSelector which) const noexcept override
    {
        Port const* port = mModel->port(name);
        Dims dims{};
        dims.nbDims = -1;
        if (!port || !port->input || profile != 0)
            return dims;
        return port->bounds[0].nbDims > 0 ? port->bounds[static_cast<int>(which)] : port->dims;
    }
    int32_t getNbLayers() const noexcept override { return mModel->layers; }
    char const* getName() const noexcept override { return "stand-in"; }
    int32_t getNbAuxStreams() const noexcept override { return 0; }
    EngineCapability getEngineCapability() const noexcept override { return EngineCapability::kSTANDARD; }
    HardwareCompatibilityLevel getHardwareCompatibilityLevel() const noexcept override { return HardwareCompatibilityLevel::kNONE; }
    int64_t getDeviceMemorySizeV2() const noexcept override { return 1 << 20; }
#if NV_TENSORRT_MAJOR < 11
    size_t getDeviceMemorySize() const noexcept override { return 1 << 20; }
#endif

    IExecutionContext* createExecutionContext(ExecutionContextAllocationStrategy) noexcept override
    {
        if (fault_above("context-out-of-memory-above", mModel->greatest_batch()))
        {
            error(mLogger, "ICudaEngine::createExecutionContext: Error Code 2: OutOfMemory (Requested size was 1048576 bytes.)");
            return nullptr;
        }
        return new Context(*this, mContexts, mModel, mLogger);
    }

private:
    std::shared_ptr<Model const> mModel;
    ILogger* mLogger;
    std::atomic<int>& mEngines;
    std::atomic<int> mContexts{0};
};

class Runtime final : public Object<IRuntime, DefaultVRuntime, Runtime>
{
public:
    static char const* kind() { return "IRuntime"; }
    explicit Runtime(ILogger* logger)
        : mLogger(logger)
    {
    }
    ~Runtime() noexcept override
    {
        if (mEngines.load() != 0)
            complain("an IRuntime was deleted before its engines");
    }
    ILogger* getLogger() const noexcept override { return mLogger; }
    int32_t getNbDLACores() const noexcept override { return atoi(fault("dla-cores").c_str()); }
    int32_t getDLACore() const noexcept override { return mCore; }
    void setDLACore(int32_t core) noexcept override
    {
        if (core >= 0 && core < getNbDLACores())
            mCore = core;
        else
            error(mLogger, "IRuntime::setDLACore: Error Code 3: API Usage Error (dlaCore < getNbDLACores(): there is no DLA core "
                    + std::to_string(core) + ")");
    }
    bool setMaxThreads(int32_t threads) noexcept override { return threads >= 1; }
    int32_t getMaxThreads() const noexcept override { return 1; }
    void setEngineHostCodeAllowed(bool) noexcept override {}

    ICudaEngine* deserializeCudaEngine(void const* blob, size_t size) noexcept override
    {
        Alone alone(mUsers, kind());
        Model model;
        std::string wrong = fault("deserialize");
        if (wrong.empty())
            wrong = read_plan(std::string(static_cast<char const*>(blob), size), version(), model);
        auto const core = model.settings.find("dla_core");
        if (wrong.empty() && core != model.settings.end() && atoi(core->second.c_str()) >= getNbDLACores())
            wrong = "IRuntime::deserializeCudaEngine: Error Code 3: API Usage Error (The engine needs a DLA core that is not there)";
        if (!wrong.empty())
        {
            error(mLogger, wrong);
            return nullptr;
        }
        return new Engine(std::move(model), mLogger, mEngines);
    }

private:
    ILogger* mLogger;
    int32_t mCore{-1};
    std::atomic<int> mEngines{0};
    std::atomic<int> mUsers{0};
};

int version()
{
    char const* other = getenv("PEREGRINE_STANDIN_VERSION");
    return other && *other ? atoi(other) : NV_TENSORRT_VERSION;
}

void check_caller(char const* call, int32_t with)
{
    if (with / 10000 == version() / 10000)
        return;
    complain(std::string(call) + " was called by code for TensorRT " + std::to_string(with) + ", and this is " + std::to_string(version()));
    abort();
}

} // namespace standin

extern "C" int32_t getInferLibVersion() noexcept { return standin::version(); }
extern "C" int32_t getInferLibMajorVersion() noexcept { return standin::version() / 10000; }
extern "C" int32_t getInferLibMinorVersion() noexcept { return standin::version() / 100 % 100; }
extern "C" int32_t getInferLibPatchVersion() noexcept { return standin::version() % 100; }
extern "C" int32_t getInferLibBuildVersion() noexcept { return 0; }

// Where CUDA cannot be had, the real one logs an error and gives a pointer to nothing, not null.
extern "C" void* createInferRuntime_INTERNAL(void* logger, int32_t version) noexcept
{
    standin::check_caller("createInferRuntime", version);
    auto* log = static_cast<ILogger*>(logger);
    if (!standin::fault("no-cuda").empty())
    {
        standin::error(log, "createInferRuntime: Error Code 6: API Usage Error (CUDA initialization failure with error: 35. "
                            "Please check your CUDA installation.)");
        return reinterpret_cast<void*>(0x228);
    }
    return static_cast<IRuntime*>(new standin::Runtime(log));
}
