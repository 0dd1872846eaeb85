// Which TensorRT the stand-in is: that of the headers it was built from, or what PEREGRINE_STANDIN_VERSION says (100300).
#pragma once

#include <cstdint>

namespace standin
{

int version();
// Code that was compiled for another major cannot call this one; the real library crashes then, this one says so first.
void check_caller(char const* call, int32_t with);

} // namespace standin
