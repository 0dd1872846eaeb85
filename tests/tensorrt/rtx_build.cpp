// rtx_build LIBRARY PARSER MODEL INPUT CHANNELS HEIGHT WIDTH BATCH: has NVIDIA's own TensorRT-RTX parse, type and build a model with a profile of
// 1..BATCH, which it does without a GPU. Prints the plan's size, or what was refused.
#include "program.h"

#include <fstream>
#include <iterator>
#include <stdlib.h>

int main(int count, char** arguments)
{
    if (count != 9)
        return 64;
    void* const rtx = dlopen(arguments[1], RTLD_NOW | RTLD_LOCAL);
    void* const parser = rtx ? dlopen(arguments[2], RTLD_NOW | RTLD_LOCAL) : nullptr;
    if (!parser)
    {
        fprintf(stderr, "%s\n", dlerror());
        return 66;
    }
    peregrine_library library{};
    int32_t (*version)() = nullptr;
    find(rtx, "getInferLibVersion", version);
    find(rtx, "createInferRuntime_INTERNAL", library.create_runtime);
    find(rtx, "createInferBuilder_INTERNAL", library.create_builder);
    find(parser, "createNvOnnxParser_INTERNAL", library.create_parser);
    library.raw_version = library.version = version();
    peregrine_table const& table = *PEREGRINE_TABLE();
    table.log_to([](int32_t severity, char const* text) {
        if (severity <= 1)
            said += std::string(text) + "\n";
    });
    std::ifstream in(arguments[3], std::ios::binary);
    std::string const onnx(std::istreambuf_iterator<char>(in), {});
    peregrine_build_request request{};
    request.onnx = onnx.data();
    request.onnx_size = onnx.size();
    request.input = arguments[4];
    request.max = {4, 0, {atoll(arguments[8]), atoll(arguments[5]), atoll(arguments[6]), atoll(arguments[7]), 0, 0, 0, 0}};
    request.min = request.opt = request.max;
    request.min.sizes[0] = 1;
    request.dla_core = -1;
    request.progress = [](void*, int32_t, char const*, int32_t) -> int32_t { return 1; };
    request.refused = [](void*, int32_t node, int32_t, char const* name, char const*, char const* text) {
        said += "node " + std::to_string(node) + " " + (name ? name : "") + ": " + text + "\n";
    };
    peregrine_built built{};
    if (table.build(&library, &request, &built) != PEREGRINE_DONE)
    {
        fprintf(stderr, "not built: %s", said.c_str());
        return 1;
    }
    printf("%zu\n", static_cast<size_t>(built.plan.size));
    table.blob_free(built.plan.handle);
    table.blob_free(built.timing_cache.handle);
    return 0;
}
