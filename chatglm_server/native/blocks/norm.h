// Normalization of rows of activations.
#pragma once

#include "compute.h"

namespace chatglm {

// RMSNorm of `tokens` rows of `size` values; `out` may be `x`.
inline void normalize(Compute &compute, const float *x, const float *weight, int tokens, int size, float epsilon,
                      float *out) {
    compute.pool.run(tokens, 8, [&](int begin, int end, int) {
        for (int t = begin; t < end; ++t) {
            compute.kernels.normalize(x + size_t(t) * size, weight, size, epsilon, out + size_t(t) * size);
        }
    });
}

}  // namespace chatglm
