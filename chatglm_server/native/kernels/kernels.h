// The functions that networks need of a processor: one table for each family of instructions.
//
// Every output is one chain of additions whose order depends on the shapes alone: not on how many tokens are computed
// together, on the number of threads, or on the cache. So results are bit for bit the same in any batch.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "kernels/matrix.h"

namespace chatglm {

// Rows of activations, quantized in blocks of 32 columns to bytes: value = scale * code.
struct Activations {
    int8_t *codes;        // (tokens, columns)
    float *scales;        // (tokens, columns / 32)
    int32_t *sums;        // (tokens, columns / 32): the sum of a block's codes
    const float *floats;  // (tokens, columns): the values before quantization, for weights that are not quantized
    int columns;
};

// Keys and values of one key/value head of one slot, in float16. Keys lie 16 positions side by side, so that one vector
// holds the same dimension of 16 keys; values lie one after the other. The two sizes are multiples of 16.
//
//     keys     positions 0 … 15:  dimension 0 of the 16 | dimension 1 of the 16 | … ;  positions 16 … 31:  …
//     values   position 0:  dimension 0, 1, … ;  position 1:  …
struct CacheHead {
    uint16_t *keys;    // (positions / 16, key_size, 16)
    uint16_t *values;  // (positions, value_size)
    int key_size, value_size;
};

struct Kernels {
    const char *name;

    // Quantizes `tokens` rows.
    void (*quantize)(const float *x, int tokens, const Activations &out);

    // out[t * stride + row] = weights[row] . x[t], for the rows of the groups [begin, end).
    void (*multiply)(const Matrix &weights, const Activations &x, int tokens, int begin, int end, float *out,
                     size_t stride);

    // RMSNorm (Zhang and Sennrich 2019) of one row of `size` values.
    void (*normalize)(const float *x, const float *weight, int size, float epsilon, float *out);

    // out = silu(gate) * up (Shazeer 2020), `size` values each.
    void (*gate)(const float *gate, const float *up, int size, float *out);

    // Puts one key and one value at `position`.
    void (*append)(const CacheHead &cache, int position, const float *key, const float *value);

    // Attention of `count` queries, each to the positions up to its own: out[i] = sum of softmax(scale * q[i] . k) v.
    // `positions` may differ; `scratch` has room for 8 x (the largest position rounded up to 16, plus 16) floats.
    void (*attend)(const CacheHead &cache, float scale, int count, const float *const *queries, const int *positions,
                   float *const *out, float *scratch);
};

extern const Kernels kGeneric;
#ifdef CHATGLM_X86
extern const Kernels kAvx2;
extern const Kernels kAvx512;
#endif

// The tables that this processor can run, the fastest first; the last is kGeneric.
std::vector<const Kernels *> available_kernels();

}  // namespace chatglm
