#include "kv_cache.h"

#include <cstdint>
#include <cstring>

namespace chatglm {
namespace {

// Positions are kept 16 side by side.
size_t padded(int positions) { return size_t(positions + 15) / 16 * 16; }

}  // namespace

KVCache::KVCache(const CacheShape &shape, int slots, int context)
    : shape_(shape), positions_(padded(context)), slots_(slots) {}

void KVCache::reserve(int slot) {
    if (slots_[slot].data() != nullptr) return;
    const size_t halves = positions_ * (shape_.key_size + shape_.value_size);
    slots_[slot] = Memory(halves * sizeof(uint16_t) * shape_.layers * shape_.heads, Pages::Small);
}

CacheHead KVCache::head(int slot, int layer, int head) const {
    const size_t halves = positions_ * (shape_.key_size + shape_.value_size);
    auto *keys = reinterpret_cast<uint16_t *>(slots_[slot].data()) + (size_t(layer) * shape_.heads + head) * halves;
    return {keys, keys + positions_ * shape_.key_size, shape_.key_size, shape_.value_size};
}

void KVCache::copy(int from, int to, int count, ThreadPool &pool) {
    if (from == to) return;
    if (count == 0 || slots_[from].data() == nullptr) return truncate(to, 0);
    reserve(to);
    pool.run(shape_.layers * shape_.heads, 1, [&](int begin, int end, int) {
        for (int i = begin; i < end; ++i) {
            const CacheHead source = head(from, i / shape_.heads, i % shape_.heads);
            const CacheHead target = head(to, i / shape_.heads, i % shape_.heads);
            std::memcpy(target.keys, source.keys, padded(count) * shape_.key_size * sizeof(uint16_t));
            std::memcpy(target.values, source.values, padded(count) * shape_.value_size * sizeof(uint16_t));
        }
    });
}

void KVCache::truncate(int slot, int kept) {
    Memory &memory = slots_[slot];
    if (memory.data() == nullptr) return;
    if (kept == 0) {
        memory = Memory();
        return;
    }
    size_t begin = 0;
    const auto forget = [&](int size) {
        const size_t position_bytes = size * sizeof(uint16_t);
        memory.forget(begin + padded(kept) * position_bytes, begin + positions_ * position_bytes);
        begin += positions_ * position_bytes;
    };
    for (int i = 0; i < shape_.layers * shape_.heads; ++i) {
        forget(shape_.key_size);
        forget(shape_.value_size);
    }
}

}  // namespace chatglm
