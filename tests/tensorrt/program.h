// What programs that drive the shim's table share: the libraries, and what was logged.
#pragma once

#include "shim.h"

#include <dlfcn.h>
#include <stdio.h>
#include <string>

extern "C" peregrine_table const* PEREGRINE_TABLE();

// What TensorRT logged since this was last cleared.
inline std::string said;

template <typename Function>
void find(void* library, char const* name, Function& function)
{
    function = reinterpret_cast<Function>(dlsym(library, name));
}

// The libraries of the table's major version, as the loader finds them. False, with a line, when they are not there.
inline bool open_library(peregrine_library& library)
{
    std::string const major = std::to_string(PEREGRINE_TABLE()->major);
    void* const nvinfer = dlopen(("libnvinfer.so." + major).c_str(), RTLD_NOW | RTLD_LOCAL);
    void* const parser = nvinfer ? dlopen(("libnvonnxparser.so." + major).c_str(), RTLD_NOW | RTLD_LOCAL) : nullptr;
    if (!parser)
    {
        fprintf(stderr, "%s\n", dlerror());
        return false;
    }
    int32_t (*version)() = nullptr;
    find(nvinfer, "getInferLibVersion", version);
    find(nvinfer, "createInferRuntime_INTERNAL", library.create_runtime);
    find(nvinfer, "createInferBuilder_INTERNAL", library.create_builder);
    find(parser, "createNvOnnxParser_INTERNAL", library.create_parser);
    library.raw_version = library.version = version();
    PEREGRINE_TABLE()->log_to([](int32_t, char const* text) { said += std::string(text) + "\n"; });
    return true;
}
