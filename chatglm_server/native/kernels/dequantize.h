// What the blocks of a file mean, in plain C++.
#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/matrix.h"

namespace chatglm {

constexpr size_t kMostFileBlock = 210;  // bytes: Q6_K's

// Writes the values of one block of a row.
void dequantize(Type type, const uint8_t *block, float *out);

}  // namespace chatglm
