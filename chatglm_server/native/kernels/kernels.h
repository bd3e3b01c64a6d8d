// The functions that networks need of a processor: one table for each family of instructions.
//
// Every output is one chain of additions whose order depends on the shapes alone: not on how many tokens are computed
// together, on the number of threads, or on the cache. So results are bit for bit the same in any batch.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "kernels/cache_head.h"
#include "kernels/latent_cache.h"
#include "kernels/matrix.h"

namespace chatglm {

constexpr int kMostTokens = 128;  // of a product: their activations stay in a core's cache while the weights pass by

// The sum of some columns of activations.
struct ActivationSum {
    int16_t negated[2];  // minus the codes' sum: of the columns 0 and 1, and 2 and 3, of each four
    float value;         // scale * the codes' sum
};

// Rows of activations, quantized in blocks of 32 columns to bytes: value = scale * code. What is multiplied with one
// tile of weights lies together: first 256 columns of all tokens, token by token, then the next 256, and so on.
struct Activations {
    int8_t *codes;          // from -127 to 127
    float *scales;          // one for each 32 codes
    ActivationSum *sums;    // of these 32
    ActivationSum *halves;  // of each 16 codes
    const float *floats;    // (tokens, columns): the values before quantization, for weights that are not quantized
    int columns, tokens;
    int first;  // the token that is called 0

    // The same from a token on.
    Activations from(int token) const { return {codes, scales, sums, halves, floats, columns, tokens, first + token}; }
    const float *row(int token) const { return floats + size_t(first + token) * columns; }
    // Where a token's codes of up to 256 columns begin; `column` is a multiple of 256.
    size_t place(int token, int column) const {
        const int width = columns - column < kMostColumns ? columns - column : kMostColumns;
        return size_t(column) * tokens + size_t(first + token) * width;
    }
};

constexpr int kQueries = 64;   // that share what is read of the cache
constexpr int kSpan = 64;      // positions that attention takes at a time
constexpr int kLine = 64;      // bytes of a line of the processor's cache
constexpr int kStretch = 512;  // positions of latent attention that one task can take
constexpr int kKeyPart = 128;  // dimensions whose products are summed up in whole numbers

constexpr int parts_of(int size) { return (size + kKeyPart - 1) / kKeyPart; }

// Words of memory that attention needs: for the codes of a query and 8 bytes for each part; for a call of `attend`; and
// for one of `attend_latent`.
constexpr size_t query_room(int size) { return size + 4 * size_t(parts_of(size)); }
constexpr size_t attend_room(int key_size, int value_size) {
    return kQueries * query_room(key_size) + size_t(kSpan) * (key_size + value_size) + kLine;
}
constexpr size_t attend_latent_room(int rank, int rotary_size) {
    return kQueries * (query_room(rank) + query_room(rotary_size)) + 2 * size_t(kSpan) * rank + kLine;
}

struct Kernels {
    const char *name;

    // Quantizes the floats of the first `tokens` rows.
    void (*quantize)(int tokens, const Activations &x);

    // At most kMostTokens: out[t * stride + row] = weights[row] . x[t], for the rows of the groups [begin, end).
    void (*multiply)(const Matrix &weights, const Activations &x, int tokens, int begin, int end, float *out,
                     size_t stride);

    // RMSNorm (Zhang and Sennrich 2019) of one row of `size` values.
    void (*normalize)(const float *x, const float *weight, int size, float epsilon, float *out);

    // out = silu(gate) * up (Shazeer 2020), `size` values each.
    void (*gate)(const float *gate, const float *up, int size, float *out);

    // Puts one key and one value at `position`.
    void (*append)(const CacheHead &cache, int position, const float *key, const float *value);

    // Attention of at most kQueries queries, each to the positions up to its own: out[i] = sum of
    // softmax(scale * q[i] . k) v. `positions` may differ; `codes` has attend_room().
    void (*attend)(const CacheHead &cache, float scale, int count, const float *const *queries, const int *positions,
                   float *const *out, int16_t *codes);

    // Puts one latent vector and one rotated key at `position`.
    void (*append_latent)(const LatentCache &cache, int position, const float *latent, const float *key);

    // Adds the stretches [begin, end) of kStretch positions to at most kQueries queries of a slot, each as far as its
    // own position. `codes` has attend_latent_room(), `mixed` room for kQueries * rank + kLine.
    void (*attend_latent)(const LatentCache &cache, float scale, int count, LatentQuery *queries, int begin, int end,
                          int16_t *codes, float *mixed);

    // Adds to a query what it has of later positions. attend_latent adds stretch after stretch so: the sums are the
    // same if a call has but one of them, and all calls' are merged in their order.
    void (*merge)(const LatentQuery &part, int rank, LatentQuery &into);
};

extern const Kernels kGeneric;
#ifdef CHATGLM_X86
extern const Kernels kAvx2;
extern const Kernels kAvxVnni, kAvxVnniEvex;
extern const Kernels kAvx512;
#endif
#ifdef CHATGLM_ARM
extern const Kernels kNeon;
#endif

// The tables that this processor can run, the fastest first; the last is kGeneric.
std::vector<const Kernels *> available_kernels();

}  // namespace chatglm
