// Keys and values of one key/value head of one slot, quantized to whole numbers: value = scale * code. Each key and
// each value has a scale. Codes of two bytes are of 13 bits, -4095 <= code <= 4095. That is as exact as float16, and
// takes as much memory; but sums of products of whole numbers take half the time. Codes of one byte, -127 <= code <=
// 127, take half the memory; they are widened before they are multiplied, or multiplied as they are. Positions are kept
// 16 at a time, a group; the sizes of keys and values are multiples of 16:
//
//     key scales     (16) floats           position 0, 1, … 15
//     keys           (key_size / 2, 16, 2) position 0: d d+1 | position 1: d d+1 | … | position 15: d d+1
//     value scales   (16) floats           position 0, 1, … 15
//     values         (8, value_size, 2)    dimension 0: p p+1 | dimension 1: p p+1 | …
//
// So the two codes that one step of a product adds up lie side by side: of a key two dimensions, for 16 positions at
// once; of values two positions, for 16 dimensions at once. Kernels that multiply bytes put four side by side, as
// (key_size / 4, 16, 4) and (4, value_size, 4), and keys with 128 added.
#pragma once

#include <cstddef>
#include <cstdint>

namespace chatglm {

constexpr int kPositions = 16;  // of a group

struct CacheHead {
    uint8_t *groups;
    int key_size, value_size;
    int key_width, value_width;  // bytes of a code
};

struct CacheGroup {
    float *key_scales;
    uint8_t *keys;
    float *value_scales;
    uint8_t *values;
};

// Static, as layout_of in matrix.h.
static inline size_t cache_group_bytes(const CacheHead &head) {
    return kPositions *
           (2 * sizeof(float) + size_t(head.key_size) * head.key_width + size_t(head.value_size) * head.value_width);
}

static inline CacheGroup cache_group(const CacheHead &head, int index) {
    constexpr size_t scales = kPositions * sizeof(float);
    uint8_t *const keys = head.groups + index * cache_group_bytes(head);
    uint8_t *const values = keys + scales + kPositions * size_t(head.key_size) * head.key_width;
    return {reinterpret_cast<float *>(keys), keys + scales, reinterpret_cast<float *>(values), values + scales};
}

}  // namespace chatglm
