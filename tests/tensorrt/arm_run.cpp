// Drives a table of the shim over the stand-in libraries: build, load, tensors, shapes, run, and what is refused. It needs neither Rust nor
// a server, so that it can run for another processor under an emulator (scripts/test-tensorrt-arm.sh).
#include "program.h"

#include <stdlib.h>
#include <string.h>
#include <vector>

static int failures = 0;

static void check(bool holds, char const* what)
{
    printf("%s: %s\n", holds ? "ok" : "FAILED", what);
    if (!holds)
    {
        ++failures;
        printf("  said: %s\n", said.c_str());
    }
    said.clear();
}

static bool has_said(char const* words) { return said.find(words) != std::string::npos; }

static char const MODEL[] = "peregrine stand-in model\nsource sums\nlayers 2\nnode 0 Conv first\nnode 1 Resize second\n"
                            "input images -1 3 4 4\noutput scores -1 5\n";

static peregrine_dims dims(int64_t batch) { return peregrine_dims{4, 0, {batch, 3, 4, 4, 0, 0, 0, 0}}; }

struct Told
{
    int steps{0};
    std::string node;
    std::vector<float> pictures;
    int batches{0};
    std::string table;
};

static peregrine_build_request request(Told& told)
{
    peregrine_build_request request{};
    request.onnx = MODEL;
    request.onnx_size = strlen(MODEL);
    request.input = "images";
    request.min = dims(1);
    request.opt = dims(2);
    request.max = dims(4);
    request.workspace_bytes = 1 << 28;
    request.user = &told;
    request.dla_core = -1;
    request.progress = [](void* user, int32_t event, char const*, int32_t) -> int32_t {
        static_cast<Told*>(user)->steps += event == PEREGRINE_STEP_DONE;
        return 1;
    };
    request.refused = [](void* user, int32_t, int32_t node, char const* name, char const* op, char const* text) {
        static_cast<Told*>(user)->node = std::to_string(node) + " " + name + " " + op + ": " + text;
    };
    return request;
}

static void refusals(peregrine_table const& table, peregrine_library const& library)
{
    Told told;
    peregrine_build_request wish = request(told);
    peregrine_built built{};
    setenv("PEREGRINE_STANDIN_FAULTS", "operator=Resize", 1);
    check(table.build(&library, &wish, &built) == PEREGRINE_REFUSED && told.node.find("1 second Resize") == 0, "a node that the parser refuses is named");
    setenv("PEREGRINE_STANDIN_FAULTS", "build-out-of-memory-above=3", 1);
    check(table.build(&library, &wish, &built) == PEREGRINE_NOT_BUILT && has_said("OutOfMemory"), "a build that finds no memory");
    wish.max = dims(3);
    check(table.build(&library, &wish, &built) == PEREGRINE_DONE, "the same build with a batch that fits");
    table.blob_free(built.plan.handle);
    table.blob_free(built.timing_cache.handle);
    unsetenv("PEREGRINE_STANDIN_FAULTS");
    wish.min = dims(4);
    check(table.build(&library, &wish, &built) == PEREGRINE_BAD_PROFILE, "a profile whose least is above its greatest");
    wish = request(told);
    wish.input = "pictures";
    check(table.build(&library, &wish, &built) == PEREGRINE_NO_INPUT, "an input that the model does not have");
    wish = request(told);
    wish.dla_core = 0;
    check(table.build(&library, &wish, &built) == PEREGRINE_NO_DLA, "a DLA core that is not there");
    wish = request(told);
    wish.progress = [](void*, int32_t event, char const*, int32_t step) -> int32_t { return event != PEREGRINE_STEP_DONE || step < 2; };
    check(table.build(&library, &wish, &built) == PEREGRINE_CANCELLED, "a build that is cancelled");
    wish.onnx = "no model";
    wish.onnx_size = 8;
    check(table.build(&library, &wish, &built) == PEREGRINE_REFUSED, "bytes that are no model");
}

static void calibration(peregrine_table const& table, peregrine_library const& library)
{
    Told told;
    told.pictures.assign(2 * 48, 0.5f);
    peregrine_calibrator calibrator{&told, 2, 0,
        [](void* user, uint64_t* address) -> int32_t {
            auto& told = *static_cast<Told*>(user);
            *address = reinterpret_cast<uint64_t>(told.pictures.data());
            return told.batches++ < 3;
        },
        [](void*, size_t*) -> void const* { return nullptr; },
        [](void* user, void const* bytes, size_t size) { static_cast<Told*>(user)->table.assign(static_cast<char const*>(bytes), size); }};
    peregrine_build_request wish = request(told);
    wish.calibrator = &calibrator;
    wish.is_int8 = 1;
    peregrine_built built{};
    int32_t const status = table.build(&library, &wish, &built);
    if (table.major >= 11)
        return check(status == PEREGRINE_NO_CALIBRATOR, "from 11 on there is no calibrator");
    check(status == PEREGRINE_DONE && told.batches == 4 && told.table.find("images: 0.5") != std::string::npos, "the calibrator gives its batches and gets its table");
    table.blob_free(built.plan.handle);
    table.blob_free(built.timing_cache.handle);
}

static void run(peregrine_table const& table, void* plan)
{
    void* const context = table.context_new(plan);
    check(context != nullptr, "a context");
    auto* const images = static_cast<float*>(aligned_alloc(256, 4 * 48 * sizeof(float)));
    auto* const scores = static_cast<float*>(aligned_alloc(256, 4 * 5 * sizeof(float) + 176));
    for (int i = 0; i < 4 * 48; ++i)
        images[i] = static_cast<float>(i / 48);
    peregrine_dims shape = dims(5);
    check(!table.enqueue(context, nullptr) && has_said("not specified"), "a run without shapes is refused");
    check(!table.set_shape(context, "images", &shape) && has_said("does not satisfy any optimization profiles"), "a batch above the profile's is refused");
    shape = dims(3);
    shape.sizes[1] = 4;
    check(!table.set_shape(context, "images", &shape) && has_said("Static dimension mismatch"), "a wrong shape is refused");
    shape = dims(3);
    check(table.set_shape(context, "images", &shape), "a batch of three");
    check(table.get_shape(context, "scores", &shape) && shape.count == 2 && shape.sizes[0] == 3 && shape.sizes[1] == 5, "the output's shape follows");
    check(table.bind(context, "images", reinterpret_cast<uint64_t>(images)), "the input is bound");
    check(!table.enqueue(context, nullptr) && has_said("Neither address or allocator is set for output tensor scores"), "a run without its output's memory is refused");
    check(table.bind(context, "scores", reinterpret_cast<uint64_t>(scores)), "the output is bound");
    bool right = table.enqueue(context, nullptr);
    for (int sample = 0; sample < 3; ++sample)
        for (int k = 0; k < 5; ++k)
            right = right && scores[sample * 5 + k] == static_cast<float>(48 * sample + k);
    check(right, "a run gives each picture's own numbers");
    setenv("PEREGRINE_STANDIN_FAULTS", "enqueue=an illegal memory access was encountered", 1);
    check(!table.enqueue(context, nullptr) && has_said("illegal memory access"), "a run that fails");
    setenv("PEREGRINE_STANDIN_FAULTS", "context-out-of-memory-above=3", 1);
    check(table.context_new(plan) == nullptr && has_said("OutOfMemory"), "a context that finds no memory");
    unsetenv("PEREGRINE_STANDIN_FAULTS");
    table.context_free(context);
    free(images);
    free(scores);
}

static void load(peregrine_table const& table, peregrine_library const& library, std::string const& bytes)
{
    void* const runtime = table.runtime_new(&library);
    check(runtime != nullptr, "a runtime");
    check(table.plan_load(runtime, &library, "junk", 4, -1) == nullptr && has_said("Magic tag"), "what is no plan is refused");
    check(table.plan_load(runtime, &library, bytes.data(), bytes.size() - 1, -1) == nullptr && has_said("Unexpected end"), "a truncated plan is refused");
    std::string const another = std::to_string(library.version + 1);
    setenv("PEREGRINE_STANDIN_VERSION", another.c_str(), 1);
    check(table.plan_load(runtime, &library, bytes.data(), bytes.size(), -1) == nullptr && has_said("please rebuild"), "another version's plan is refused");
    unsetenv("PEREGRINE_STANDIN_VERSION");
    setenv("PEREGRINE_STANDIN_PLATFORM", "7.2", 1);
    check(table.plan_load(runtime, &library, bytes.data(), bytes.size(), -1) == nullptr && has_said("incompatible device"), "another device's plan is refused");
    unsetenv("PEREGRINE_STANDIN_PLATFORM");
    void* const plan = table.plan_load(runtime, &library, bytes.data(), bytes.size(), -1);
    check(plan != nullptr && table.tensor_count(plan) == 2 && table.device_memory(plan) > 0, "a plan with two tensors");
    peregrine_tensor tensor{};
    check(table.tensor(plan, 0, &tensor) && tensor.is_input && strcmp(tensor.name, "images") == 0 && tensor.type == 0 && tensor.dims.sizes[0] == -1
            && tensor.max_dims.sizes[0] == 4,
        "the input, and the profile's greatest batch");
    check(table.tensor(plan, 1, &tensor) && !tensor.is_input && strcmp(tensor.name, "scores") == 0 && tensor.dims.sizes[1] == 5, "the output");
    run(table, plan);
    table.plan_free(plan);
    table.runtime_free(runtime);
}

int main()
{
    peregrine_table const& table = *PEREGRINE_TABLE();
    peregrine_library library{};
    if (!open_library(library))
        return 1;
    check(library.version / 10000 == table.major, "the library is of the table's major");
    setenv("PEREGRINE_STANDIN_FAULTS", "no-cuda=1", 1);
    check(table.runtime_new(&library) == nullptr && has_said("CUDA initialization failure"), "no runtime without CUDA");
    unsetenv("PEREGRINE_STANDIN_FAULTS");
    Told told;
    peregrine_build_request const wish = request(told);
    peregrine_built built{};
    bool const done = table.build(&library, &wish, &built) == PEREGRINE_DONE;
    check(done && told.steps == 5 && built.timing_cache.size > 0, "a build with its steps and its timing cache");
    if (done)
        load(table, library, std::string(static_cast<char const*>(built.plan.data), built.plan.size));
    table.blob_free(built.plan.handle);
    table.blob_free(built.timing_cache.handle);
    refusals(table, library);
    calibration(table, library);
    printf("%s: TensorRT %d\n", failures ? "FAILED" : "passed", library.version);
    return failures ? 1 : 0;
}
