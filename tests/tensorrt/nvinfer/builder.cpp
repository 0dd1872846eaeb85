// Builder, its settings, network, profile, timing cache: "builds" a plan from what the parser read, with the checks, the calibration and
// the progress of a real build. The server is told all settings and says how the build goes.
#include "builder.h"
#include "object.h"
#include "version.h"

#include <array>
#include <cmath>
#include <cstring>
#include <map>
#include <memory>

using namespace nvinfer1;
using standin::absent;
#include "defaults.h"

namespace standin
{

static char const kTimingCache[] = "peregrine-stand-in-timings";

// Bytes that the caller is to delete.
class Memory final : public Object<IHostMemory, DefaultVHostMemory, Memory>
{
public:
    static char const* kind() { return "IHostMemory"; }
    explicit Memory(std::string bytes)
        : mBytes(std::move(bytes))
    {
    }
    void* data() const noexcept override { return const_cast<char*>(mBytes.data()); }
    size_t size() const noexcept override { return mBytes.size(); }
    DataType type() const noexcept override { return DataType::kINT8; }

private:
    std::string mBytes;
};

// How many builds it has seen.
class TimingCache final : public Object<ITimingCache, DefaultVTimingCache, TimingCache>
{
public:
    static char const* kind() { return "ITimingCache"; }
    IHostMemory* serialize() const noexcept override { return new Memory(std::string(kTimingCache) + " " + std::to_string(builds)); }
    bool combine(ITimingCache const&, bool) noexcept override { return true; }
    bool reset() noexcept override { return (builds = 0, true); }
    int builds{0};
};

// Owned by its network.
class Tensor final : public Object<ITensor, DefaultVTensor, Tensor>
{
public:
    static char const* kind() { return "ITensor"; }
    explicit Tensor(Port port)
        : mPort(std::move(port))
    {
    }
    ~Tensor() noexcept override = default;
    char const* getName() const noexcept override { return mPort.name.c_str(); }
    Dims getDimensions() const noexcept override { return mPort.dims; }
    DataType getType() const noexcept override { return DataType::kFLOAT; }
    bool isNetworkInput() const noexcept override { return mPort.input; }
    bool isNetworkOutput() const noexcept override { return !mPort.input; }
    TensorLocation getLocation() const noexcept override { return TensorLocation::kDEVICE; }
    bool isShapeTensor() const noexcept override { return false; }
    bool isExecutionTensor() const noexcept override { return true; }
    TensorFormats getAllowedFormats() const noexcept override { return 1; }

private:
    Port mPort;
};

class Network final : public Object<INetworkDefinition, DefaultVNetworkDefinition, Network>
{
public:
    static char const* kind() { return "INetworkDefinition"; }
    Network(IBuilder& builder, NetworkDefinitionCreationFlags flags)
        : mBuilder(builder)
        , mFlags(flags)
    {
    }
    IBuilder& getBuilder() const noexcept override { return mBuilder; }
    NetworkDefinitionCreationFlags getFlags() const noexcept override { return mFlags; }
    bool getFlag(NetworkDefinitionCreationFlag flag) const noexcept override { return mFlags >> static_cast<int>(flag) & 1; }
    int32_t getNbInputs() const noexcept override { return static_cast<int32_t>(inputs.size()); }
    int32_t getNbOutputs() const noexcept override { return static_cast<int32_t>(outputs.size()); }
    int32_t getNbLayers() const noexcept override { return model.layers; }
    ITensor* getInput(int32_t i) const noexcept override { return i < getNbInputs() ? inputs[static_cast<size_t>(i)].get() : nullptr; }
    ITensor* getOutput(int32_t i) const noexcept override { return i < getNbOutputs() ? outputs[static_cast<size_t>(i)].get() : nullptr; }
    void setName(char const* name) noexcept override { mName = name; }
    char const* getName() const noexcept override { return mName.c_str(); }

    Model model;
    std::vector<std::unique_ptr<Tensor>> inputs, outputs;

private:
    IBuilder& mBuilder;
    NetworkDefinitionCreationFlags mFlags;
    std::string mName;
};

void describe(INetworkDefinition& network, Model const& model)
{
    auto& into = static_cast<Network&>(network);
    into.model = model;
    for (Port const& port : model.ports)
        (port.input ? into.inputs : into.outputs).push_back(std::make_unique<Tensor>(port));
}

// Owned by its builder.
class Profile final : public Object<IOptimizationProfile, DefaultVOptimizationProfile, Profile>
{
public:
    static char const* kind() { return "IOptimizationProfile"; }
    bool setDimensions(char const* name, OptProfileSelector which, Dims const& dims) noexcept override
    {
        bounds[name][static_cast<size_t>(which)] = dims;
        return true;
    }
    Dims getDimensions(char const* name, OptProfileSelector which) const noexcept override
    {
        Dims none{};
        none.nbDims = -1;
        auto const found = bounds.find(name);
        return found == bounds.end() ? none : found->second[static_cast<size_t>(which)];
    }
    bool isValid() const noexcept override
    {
        for (auto const& input : bounds)
            for (int i = 0; i < input.second[0].nbDims; ++i)
                if (input.second[0].d[i] < 1 || input.second[0].d[i] > input.second[1].d[i] || input.second[1].d[i] > input.second[2].d[i])
                    return false;
        return !bounds.empty();
    }
    std::map<std::string, std::array<Dims, 3>> bounds;
};

class Config final : public Object<IBuilderConfig, DefaultVBuilderConfig, Config>
{
public:
    static char const* kind() { return "IBuilderConfig"; }
    explicit Config(ILogger* logger)
        : mLogger(logger)
    {
    }
    void setFlags(BuilderFlags all) noexcept override { flags = all; }
    BuilderFlags getFlags() const noexcept override { return flags; }
    void setFlag(BuilderFlag flag) noexcept override { flags |= 1u << static_cast<int>(flag); }
    void clearFlag(BuilderFlag flag) noexcept override { flags &= ~(1u << static_cast<int>(flag)); }
    bool getFlag(BuilderFlag flag) const noexcept override { return flags >> static_cast<int>(flag) & 1; }
    void setMemoryPoolLimit(MemoryPoolType pool, size_t size) noexcept override { pools[static_cast<int>(pool)] = size; }
    size_t getMemoryPoolLimit(MemoryPoolType pool) const noexcept override
    {
        auto const found = pools.find(static_cast<int>(pool));
        return found == pools.end() ? size_t{1} << 30 : found->second;
    }
    int32_t addOptimizationProfile(IOptimizationProfile const* profile) noexcept override
    {
        if (!profile->isValid())
        {
            error(mLogger, "IBuilderConfig::addOptimizationProfile: Error Code 3: API Usage Error (Parameter check failed, condition: "
                           "profile->isValid(). Optimization profile is not valid.)");
            return -1;
        }
        profiles.push_back(static_cast<Profile const*>(profile));
        return getNbOptimizationProfiles() - 1;
    }
    int32_t getNbOptimizationProfiles() const noexcept override { return static_cast<int32_t>(profiles.size()); }
    void setDefaultDeviceType(DeviceType type) noexcept override { device = type; }
    DeviceType getDefaultDeviceType() const noexcept override { return device; }
    void setDLACore(int32_t core) noexcept override { dla_core = core; }
    int32_t getDLACore() const noexcept override { return dla_core; }
    void setProgressMonitor(IProgressMonitor* one) noexcept override { monitor = one; }
    IProgressMonitor* getProgressMonitor() const noexcept override { return monitor; }
    void setBuilderOptimizationLevel(int32_t one) noexcept override { level = one; }
    int32_t getBuilderOptimizationLevel() const noexcept override { return level; }
    void setProfilingVerbosity(ProfilingVerbosity one) noexcept override { verbosity = one; }
    ProfilingVerbosity getProfilingVerbosity() const noexcept override { return verbosity; }
    void setEngineCapability(EngineCapability one) noexcept override { capability = one; }
    EngineCapability getEngineCapability() const noexcept override { return capability; }
    void setAvgTimingIterations(int32_t) noexcept override {}
    void setProfileStream(const cudaStream_t) noexcept override {}
    ITimingCache* createTimingCache(void const* blob, size_t size) const noexcept override
    {
        std::string const bytes(static_cast<char const*>(blob), blob ? size : 0);
        if (!bytes.empty() && bytes.compare(0, strlen(kTimingCache), kTimingCache) != 0)
        {
            error(mLogger, "IBuilderConfig::createTimingCache: Error Code 1: Serialization (The timing cache is damaged or of another version)");
            return nullptr;
        }
        auto* cache = new TimingCache;
        cache->builds = bytes.empty() ? 0 : atoi(bytes.c_str() + strlen(kTimingCache));
        return cache;
    }
    bool setTimingCache(ITimingCache const& one, bool) noexcept override
    {
        cache = const_cast<TimingCache*>(static_cast<TimingCache const*>(&one));
        return true;
    }
    ITimingCache const* getTimingCache() const noexcept override { return cache; }
#if NV_TENSORRT_MAJOR < 11
    void setInt8Calibrator(IInt8Calibrator* one) noexcept override { calibrator = one; }
    IInt8Calibrator* getInt8Calibrator() const noexcept override { return calibrator; }
    bool setCalibrationProfile(IOptimizationProfile const* one) noexcept override { return (calibration_profile = one, true); }
    IOptimizationProfile const* getCalibrationProfile() noexcept override { return calibration_profile; }
    IInt8Calibrator* calibrator{nullptr};
    IOptimizationProfile const* calibration_profile{nullptr};
#endif

    BuilderFlags flags{1u << static_cast<int>(BuilderFlag::kTF32)};
    std::map<int, size_t> pools;
    std::vector<Profile const*> profiles;
    DeviceType device{DeviceType::kGPU};
    int32_t dla_core{-1};
    IProgressMonitor* monitor{nullptr};
    int32_t level{3};
    ProfilingVerbosity verbosity{ProfilingVerbosity::kLAYER_NAMES_ONLY};
    EngineCapability capability{EngineCapability::kSTANDARD};
    TimingCache* cache{nullptr};

private:
    ILogger* mLogger;
};

// One build, from the checks to the plan. An error's text says why there is none.
class Build
{
public:
    Build(Network const& network, Config& config, ILogger* logger, int32_t dla_cores)
        : mNetwork(network)
        , mConfig(config)
        , mLogger(logger)
        , mCores(dla_cores)
        , mModel(network.model)
    {
    }

    IHostMemory* run()
    {
        std::string wrong = check();
        if (wrong.empty())
            wrong = calibrate();
        if (wrong.empty())
            wrong = work();
        if (!wrong.empty())
        {
            error(mLogger, "IBuilder::buildSerializedNetwork: " + wrong);
            return nullptr;
        }
        if (mConfig.cache)
            ++mConfig.cache->builds;
        return new Memory(write_plan(mModel, version()));
    }

private:
    std::string check()
    {
        auto& settings = mModel.settings;
        bool int8 = true, fp16 = true;
        bool const strong = mNetwork.getFlag(NetworkDefinitionCreationFlag::kSTRONGLY_TYPED) || NV_TENSORRT_MAJOR >= 11;
#if NV_TENSORRT_MAJOR < 11
        int8 = mConfig.getFlag(BuilderFlag::kINT8);
        fp16 = mConfig.getFlag(BuilderFlag::kFP16);
        if (strong && (int8 || fp16))
            return "Error Code 4: API Usage Error (Precision flags are not allowed for strongly typed networks)";
        if (!strong && mModel.quantised && !int8)
            return "Error Code 4: Internal Error (The network has Q/DQ layers and the flag kINT8 is not set)";
        if (strong)
            int8 = fp16 = false;
#else
        int8 = fp16 = false;
#endif
        settings["strongly_typed"] = strong ? "1" : "0";
        settings["int8"] = int8 ? "1" : "0";
        settings["fp16"] = fp16 ? "1" : "0";
        settings["flags"] = std::to_string(mConfig.flags);
        settings["workspace_bytes"] = std::to_string(mConfig.getMemoryPoolLimit(MemoryPoolType::kWORKSPACE));
        settings["timing_cache_builds"] = std::to_string(mConfig.cache ? mConfig.cache->builds : -1);
        settings["optimization_level"] = std::to_string(mConfig.level);
        if (mConfig.device == DeviceType::kDLA)
        {
            if (mConfig.dla_core < 0 || mConfig.dla_core >= mCores)
                return "Error Code 3: API Usage Error (There is no DLA core " + std::to_string(mConfig.dla_core) + ")";
            settings["dla_core"] = std::to_string(mConfig.dla_core);
            settings["gpu_fallback"] = mConfig.getFlag(BuilderFlag::kGPU_FALLBACK) ? "1" : "0";
        }
        return mModel.ports.empty() ? "Error Code 4: Internal Error (Network must have at least one output)" : check_profile();
    }

    std::string check_profile()
    {
        for (Port& port : mModel.ports)
        {
            if (!port.input)
                continue;
            bool open = false;
            for (int i = 0; i < port.dims.nbDims; ++i)
                open = open || port.dims.d[i] < 0;
            if (mConfig.profiles.empty() && open)
                return "Error Code 4: Internal Error (Network has dynamic or shape inputs, but no optimization profile has been defined.)";
            if (mConfig.profiles.empty())
                continue;
            auto const found = mConfig.profiles[0]->bounds.find(port.name);
            if (found == mConfig.profiles[0]->bounds.end() && open)
                return "Error Code 4: Internal Error (" + port.name + ": dynamic input is missing dimensions in profile 0.)";
            if (found == mConfig.profiles[0]->bounds.end())
                continue;
            for (int which = 0; which < 3; ++which)
            {
                Dims const& dims = port.bounds[which] = found->second[static_cast<size_t>(which)];
                for (int i = 0; i < port.dims.nbDims; ++i)
                    if (dims.nbDims != port.dims.nbDims || (port.dims.d[i] >= 0 && port.dims.d[i] != dims.d[i]))
                        return "Error Code 4: Internal Error (" + port.name + ": for dimension number " + std::to_string(i)
                            + " in profile 0 does not match network definition (got " + words(dims) + ", expected " + words(port.dims) + ").)";
            }
        }
        return "";
    }

    // As entropy calibration: a table that is kept is used, otherwise every batch is read and a table made.
    std::string calibrate()
    {
#if NV_TENSORRT_MAJOR < 11
        IInt8Calibrator* const calibrator = mConfig.calibrator;
        if (!calibrator || !mConfig.getFlag(BuilderFlag::kINT8) || mModel.quantised)
            return "";
        size_t length = 0;
        void const* cached = calibrator->readCalibrationCache(length);
        mModel.settings["calibration"] = cached ? "cached " + std::to_string(length) : "";
        if (cached)
            return "";
        Port const& input = mModel.ports.front();
        Dims dims = input.bounds[1].nbDims > 0 ? input.bounds[1] : input.dims;
        if (dims.d[0] != calibrator->getBatchSize())
            warn(mLogger, "Calibration Profile is not defined. Running calibration with Profile 0");
        int batches = 0;
        float greatest = 0;
        void* binding = nullptr;
        char const* name = input.name.c_str();
        while (calibrator->getBatch(&binding, &name, 1))
        {
            if (!binding)
                return "Error Code 3: API Usage Error (The calibrator gave no address for " + input.name + ")";
            for (int64_t i = 0; i < volume(dims); ++i)
                greatest = std::fmax(greatest, std::fabs(static_cast<float const*>(binding)[i]));
            ++batches;
        }
        if (batches == 0)
            return "Error Code 2: Internal Error (Assertion batches > 0 failed. The calibrator gave no batch)";
        std::string const table = "TRT-" + std::to_string(version()) + "-EntropyCalibration2\n" + input.name + ": " + std::to_string(greatest) + "\n";
        calibrator->writeCalibrationCache(table.data(), table.size());
        mModel.settings["calibration"] = std::to_string(batches) + " batches, greatest " + std::to_string(greatest);
#endif
        return "";
    }

    // The server sees the settings and says how many steps there are; each of them may take as long as it likes.
    std::string work()
    {
        std::string wrong = fault("build");
        if (wrong.empty() && fault_above("build-out-of-memory-above", mModel.greatest_batch()))
            wrong = "Error Code 2: OutOfMemory (Requested size was 4294967296 bytes.)";
        Bytes question;
        question.text(mModel.text());
        uint32_t steps = 4;
        if (has_server())
        {
            Answer answer = mWire.ask('B', question);
            if (answer.ok)
                steps = answer.payload.take_number();
            else if (wrong.empty())
                wrong = answer.payload.take_text();
        }
        if (!wrong.empty())
            return wrong;
        IProgressMonitor* const monitor = mConfig.monitor;
        if (monitor)
            monitor->phaseStart("Building Engine", nullptr, 1);
        bool const whole = phase(monitor, steps);
        bool const kept = !monitor || monitor->stepComplete("Building Engine", 0);
        if (monitor)
            monitor->phaseFinish("Building Engine");
        return whole && kept ? "" : "Error Code 10: Internal Error (The build was cancelled by the progress monitor)";
    }

    bool phase(IProgressMonitor* monitor, uint32_t steps)
    {
        bool wanted = true;
        if (monitor)
            monitor->phaseStart("Timing Graph Nodes", "Building Engine", static_cast<int32_t>(steps));
        for (uint32_t step = 0; wanted && step < steps; ++step)
        {
            Bytes question;
            question.number(step);
            if (has_server())
                mWire.ask('S', question);
            wanted = !monitor || monitor->stepComplete("Timing Graph Nodes", static_cast<int32_t>(step));
        }
        if (monitor)
            monitor->phaseFinish("Timing Graph Nodes");
        return wanted;
    }

    Network const& mNetwork;
    Config& mConfig;
    ILogger* mLogger;
    int32_t mCores;
    Model mModel;
    Wire mWire;
};

class Builder final : public Object<IBuilder, DefaultVBuilder, Builder>
{
public:
    static char const* kind() { return "IBuilder"; }
    explicit Builder(ILogger* logger)
        : mLogger(logger)
    {
    }
#if NV_TENSORRT_MAJOR < 11
    bool platformHasFastFp16() const noexcept override { return fault("fast-fp16") != "0"; }
    bool platformHasFastInt8() const noexcept override { return fault("fast-int8") != "0"; }
    bool platformHasTf32() const noexcept override { return true; }
#endif
    int32_t getMaxDLABatchSize() const noexcept override { return 64; }
    int32_t getNbDLACores() const noexcept override { return atoi(fault("dla-cores").c_str()); }
    ILogger* getLogger() const noexcept override { return mLogger; }
    bool setMaxThreads(int32_t threads) noexcept override { return threads >= 1; }
    int32_t getMaxThreads() const noexcept override { return 1; }
    IBuilderConfig* createBuilderConfig() noexcept override { return new Config(mLogger); }
    INetworkDefinition* createNetworkV2(NetworkDefinitionCreationFlags flags) noexcept override { return new Network(*this, flags); }
    IOptimizationProfile* createOptimizationProfile() noexcept override
    {
        mProfiles.push_back(std::make_unique<Profile>());
        return mProfiles.back().get();
    }
    bool isNetworkSupported(INetworkDefinition const&, IBuilderConfig const&) const noexcept override { return true; }
    IHostMemory* buildSerializedNetwork(INetworkDefinition& network, IBuilderConfig& config) noexcept override
    {
        Alone alone(mUsers, kind());
        return Build(static_cast<Network&>(network), static_cast<Config&>(config), mLogger, getNbDLACores()).run();
    }

private:
    ILogger* mLogger;
    std::vector<std::unique_ptr<Profile>> mProfiles;
    std::atomic<int> mUsers{0};
};

} // namespace standin

extern "C" void* createInferBuilder_INTERNAL(void* logger, int32_t version) noexcept
{
    standin::check_caller("createInferBuilder", version);
    auto* log = static_cast<ILogger*>(logger);
    if (!standin::fault("no-cuda").empty())
    {
        standin::error(log, "createInferBuilder: Error Code 6: API Usage Error (CUDA initialization failure with error: 35. "
                            "Please check your CUDA installation.)");
        return reinterpret_cast<void*>(0x228);
    }
    return static_cast<IBuilder*>(new standin::Builder(log));
}
