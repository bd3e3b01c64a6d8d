// Rows of activations as products take them.
#pragma once

#include "compute.h"

namespace chatglm {

// (tokens, columns) floats, and if some weights are `quantized`, their codes, which stay until the next call.
Activations activations(Compute &compute, bool quantized, const float *x, int tokens, int columns);

}  // namespace chatglm
