// What this machine can compute: the speed of products with a matrix that no cache holds.
#pragma once

#include "compute.h"
#include "kernels/matrix.h"

namespace chatglm {

struct Speed {
    double bytes;     // of weights a second, with one token: how fast answers are written
    double products;  // of a weight and an activation a second, with many tokens: how fast prompts are read
};

// Multiplies with weights of one type for about `seconds`. Throws std::bad_alloc, and std::invalid_argument for an
// unknown type.
Speed measure_speed(Compute &compute, Type type, double seconds);

}  // namespace chatglm
