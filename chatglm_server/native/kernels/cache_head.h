// Keys and values of one key/value head of one slot, quantized to 13 bits: value = scale * code, -4095 <= code <= 4095.
// Each key and each value has a scale. That is as exact as float16, and takes as much memory; but sums of products of
// whole numbers take half the time. Positions are kept 16 at a time, a group; the sizes of keys and values are
// multiples of 16:
//
//     key scales     (16) floats           position 0, 1, … 15
//     keys           (key_size / 2, 16, 2) position 0: d d+1 | position 1: d d+1 | … | position 15: d d+1
//     value scales   (16) floats           position 0, 1, … 15
//     values         (8, value_size, 2)    dimension 0: p p+1 | dimension 1: p p+1 | …
//
// So the two codes that one step of a product adds up lie side by side: of a key two dimensions, for 16 positions at
// once; of values two positions, for 16 dimensions at once.
#pragma once

#include <cstddef>
#include <cstdint>

namespace chatglm {

constexpr int kPositions = 16;  // of a group

struct CacheHead {
    uint8_t *groups;
    int key_size, value_size;
};

struct CacheGroup {
    float *key_scales;
    int16_t *keys;
    float *value_scales;
    int16_t *values;
};

// Static, as layout_of in matrix.h.
static inline size_t cache_group_bytes(int key_size, int value_size) {
    return kPositions * (2 * sizeof(float) + sizeof(int16_t) * (size_t(key_size) + value_size));
}

static inline CacheGroup cache_group(const CacheHead &head, int index) {
    uint8_t *const keys = head.groups + index * cache_group_bytes(head.key_size, head.value_size);
    uint8_t *const values = keys + kPositions * (sizeof(float) + sizeof(int16_t) * size_t(head.key_size));
    constexpr size_t scales = kPositions * sizeof(float);
    return {reinterpret_cast<float *>(keys), reinterpret_cast<int16_t *>(keys + scales),
            reinterpret_cast<float *>(values), reinterpret_cast<int16_t *>(values + scales)};
}

}  // namespace chatglm
