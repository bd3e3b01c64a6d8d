// What latent attention keeps of the positions of one slot and layer: a latent vector, of which the keys and values of
// all heads are made, and a rotated key that all heads share. Both are quantized as in cache_head.h, each with a scale
// of its own, for they differ in size. Positions are kept 16 at a time, a group; `rank` and `rotary_size` are
// multiples of 16:
//
//     latent scales  (16) floats               position 0, 1, … 15
//     latents        (rank / 2, 16, 2)         position 0: d d+1 | position 1: d d+1 | … | position 15: d d+1
//     key scales     (16) floats
//     rotated keys   (rotary_size / 2, 16, 2)  as the latents
//
// So latents lie as keys do. Attention puts those of a span into the order of values before it needs them as such:
// that is little work beside what many queries do with them, and the cache holds them once.
#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/cache_head.h"

namespace chatglm {

struct LatentCache {
    uint8_t *groups;
    int rank, rotary_size;
    int latent_width;  // bytes of a latent's codes; those of rotated keys have two
};

struct LatentGroup {
    float *latent_scales;
    uint8_t *latents;
    float *key_scales;
    int16_t *keys;
};

// A query of one head, rank + rotary_size values, at a position; and its softmax over some positions up to that: what
// it adds up is relative to the largest score, -INFINITY if there is none yet.
struct LatentQuery {
    const float *values;
    int position;
    float *mixed;  // (rank): the sum of weight * latent
    float largest, sum;
};

// Static, as layout_of in matrix.h.
static inline CacheHead latent_head(const LatentCache &cache) {
    return {cache.groups, cache.rank, cache.rotary_size, cache.latent_width, sizeof(int16_t)};
}

static inline LatentGroup latent_group(const LatentCache &cache, int index) {
    const CacheGroup group = cache_group(latent_head(cache), index);
    return {group.key_scales, group.keys, group.value_scales, reinterpret_cast<int16_t *>(group.values)};
}

}  // namespace chatglm
