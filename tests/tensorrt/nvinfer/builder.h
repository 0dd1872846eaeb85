// How the stand-in's parser tells the stand-in's network what it read.
#pragma once

#include "model.h"

namespace standin
{

void describe(nvinfer1::INetworkDefinition& network, Model const& model);

} // namespace standin
