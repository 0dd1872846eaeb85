// run_onnx MODEL INPUT OUTPUT BATCH: builds the ONNX file with a profile of 1..BATCH, runs BATCH inputs of floats from one file and writes
// the first output to another.
#include "program.h"

#include <fstream>
#include <iterator>
#include <stdlib.h>
#include <string.h>
#include <vector>

static std::string read(char const* path)
{
    std::ifstream in(path, std::ios::binary);
    return std::string(std::istreambuf_iterator<char>(in), {});
}

[[noreturn]] static void fail(char const* what)
{
    fprintf(stderr, "%s: %s\n", what, said.c_str());
    exit(1);
}

// As a device gives it: whole, and beginning at a multiple of 256.
static void* memory(size_t size) { return aligned_alloc(256, (size + 255) / 256 * 256); }

static size_t volume(peregrine_dims const& dims)
{
    size_t product = 1;
    for (int i = 0; i < dims.count; ++i)
        product *= static_cast<size_t>(dims.sizes[i]);
    return product;
}

static peregrine_built built_from(peregrine_table const& table, peregrine_library const& library, std::string const& onnx, peregrine_dims best)
{
    peregrine_build_request request{};
    request.onnx = onnx.data();
    request.onnx_size = onnx.size();
    request.input = "images";
    request.min = request.opt = request.max = best;
    request.min.sizes[0] = 1;
    request.dla_core = -1;
    request.progress = [](void*, int32_t, char const*, int32_t) -> int32_t { return 1; };
    request.refused = [](void*, int32_t, int32_t, char const*, char const*, char const* text) { said += text; };
    peregrine_built built{};
    if (table.build(&library, &request, &built) != PEREGRINE_DONE)
        fail("not built");
    return built;
}

int main(int count, char** arguments)
{
    peregrine_library library{};
    if (count != 5 || !open_library(library))
        return 1;
    peregrine_table const& table = *PEREGRINE_TABLE();
    std::string const input = read(arguments[2]);
    int64_t const batch = atoll(arguments[4]);
    // A square picture of three channels.
    int64_t side = 1;
    while (side * side * 3 * batch * 4 < static_cast<int64_t>(input.size()))
        ++side;
    peregrine_dims shape{4, 0, {batch, 3, side, side, 0, 0, 0, 0}};
    peregrine_built const built = built_from(table, library, read(arguments[1]), shape);
    void* const runtime = table.runtime_new(&library);
    void* const plan = runtime ? table.plan_load(runtime, &library, built.plan.data, built.plan.size, -1) : nullptr;
    void* const context = plan ? table.context_new(plan) : nullptr;
    peregrine_tensor output{};
    if (!context || !table.set_shape(context, "images", &shape) || !table.tensor(plan, 1, &output) || !table.get_shape(context, output.name, &shape))
        fail("not loaded");
    void* const from = memory(input.size());
    memcpy(from, input.data(), input.size());
    size_t const size = volume(shape) * sizeof(float);
    void* const to = memory(size);
    table.bind(context, "images", reinterpret_cast<uint64_t>(from));
    table.bind(context, output.name, reinterpret_cast<uint64_t>(to));
    if (!table.enqueue(context, nullptr))
        fail("not run");
    std::ofstream(arguments[3], std::ios::binary).write(static_cast<char const*>(to), static_cast<std::streamsize>(size));
    free(from);
    free(to);
    table.context_free(context);
    table.plan_free(plan);
    table.runtime_free(runtime);
    table.blob_free(built.plan.handle);
    table.blob_free(built.timing_cache.handle);
    return 0;
}
