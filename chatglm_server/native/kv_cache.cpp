#include "kv_cache.h"

#include <cstring>

namespace chatglm {
namespace {

size_t groups_of(int positions) { return size_t(positions + kPositions - 1) / kPositions; }

}  // namespace

KVCache::KVCache(const CacheShape &shape, int slots, int context)
    : shape_(shape),
      group_bytes_(cache_group_bytes({nullptr, shape.key_size, shape.value_size, shape.key_width, shape.value_width})),
      head_bytes_(groups_of(context) * group_bytes_),
      slots_(slots) {}

void KVCache::reserve(int slot) {
    if (slots_[slot].data() != nullptr) return;
    slots_[slot] = Memory(head_bytes_ * shape_.layers * shape_.heads, Pages::Small);
}

CacheHead KVCache::head(int slot, int layer, int head) const {
    const size_t index = size_t(layer) * shape_.heads + head;
    return {slots_[slot].data() + index * head_bytes_, shape_.key_size, shape_.value_size, shape_.key_width,
            shape_.value_width};
}

void KVCache::copy(int from, int to, int count, ThreadPool &pool) {
    if (from == to) return;
    if (count == 0 || slots_[from].data() == nullptr) return truncate(to, 0);
    reserve(to);
    pool.run(shape_.layers * shape_.heads, 1, [&](int begin, int end, int) {
        for (int i = begin; i < end; ++i) {
            const size_t begin = i * head_bytes_;
            std::memcpy(slots_[to].data() + begin, slots_[from].data() + begin, groups_of(count) * group_bytes_);
        }
    });
}

size_t KVCache::bytes(int positions) const {
    return size_t(shape_.layers) * shape_.heads * groups_of(positions) * group_bytes_;
}

template <class Move>
void KVCache::for_each_head(int slot, int start, int count, ThreadPool &pool, const Move &move) const {
    const size_t bytes = groups_of(count) * group_bytes_, before = groups_of(start) * group_bytes_;
    pool.run(shape_.layers * shape_.heads, 1, [&](int begin, int end, int) {
        for (int i = begin; i < end; ++i) move(slots_[slot].data() + i * head_bytes_ + before, i * bytes, bytes);
    });
}

void KVCache::read(int slot, int start, int count, uint8_t *out, ThreadPool &pool) const {
    for_each_head(slot, start, count, pool,
                  [&](const uint8_t *place, size_t offset, size_t bytes) { std::memcpy(out + offset, place, bytes); });
}

void KVCache::write(int slot, int start, int count, const uint8_t *in, ThreadPool &pool) {
    for_each_head(slot, start, count, pool,
                  [&](uint8_t *place, size_t offset, size_t bytes) { std::memcpy(place, in + offset, bytes); });
}

void KVCache::truncate(int slot, int kept) {
    Memory &memory = slots_[slot];
    if (memory.data() == nullptr) return;
    if (kept == 0) {
        memory = Memory();
        return;
    }
    for (int i = 0; i < shape_.layers * shape_.heads; ++i) {
        const size_t begin = i * head_bytes_;
        memory.forget(begin + groups_of(kept) * group_bytes_, begin + head_bytes_);
    }
}

}  // namespace chatglm
