// The keys and values of a number of slots, each holds one sequence or a prefix that is kept.
#pragma once

#include <cstddef>
#include <vector>

#include "kernels/kernels.h"
#include "memory.h"
#include "thread_pool.h"

namespace chatglm {

// The sizes of a position in the cache: each layer keeps one key and one value for each key/value head. Widths are the
// bytes of a code, 1 or 2.
struct CacheShape {
    int layers, heads, key_size, value_size, key_width, value_width;
};

// A slot takes address space and memory when it is first written, a page at a time, and gives both back when it is
// truncated to nothing: so slots that are not used cost nothing. The caller checks all numbers.
class KVCache {
  public:
    KVCache(const CacheShape &shape, int slots, int context);

    int slots() const { return static_cast<int>(slots_.size()); }

    // Lets a slot be read and written. Throws std::bad_alloc.
    void reserve(int slot);

    // The slot must be reserved.
    CacheHead head(int slot, int layer, int head) const;

    // Copies the first `count` positions; what else `to` held is undefined.
    void copy(int from, int to, int count, ThreadPool &pool);

    // Bytes of so many positions, a multiple of 16, of one slot.
    size_t bytes(int positions) const;

    // Copies positions of a reserved slot out of it, or into it: all layers and heads, (layers, heads, groups of
    // positions) as the slot has them, `bytes(count)` in all. `start` and `count` are multiples of 16.
    void read(int slot, int start, int count, uint8_t *out, ThreadPool &pool) const;
    void write(int slot, int start, int count, const uint8_t *in, ThreadPool &pool);

    // Gives back the memory of the positions from `kept` on, rounded up to 16 and to pages.
    void truncate(int slot, int kept);

  private:
    // Calls move(place, offset, bytes) for the positions of each layer and head: `place` is that in the slot, `offset`
    // that among the bytes of these positions.
    template <class Move>
    void for_each_head(int slot, int start, int count, ThreadPool &pool, const Move &move) const;

    CacheShape shape_;
    size_t group_bytes_, head_bytes_;
    std::vector<Memory> slots_;  // (layers, heads, groups of positions), see CacheHead
};

}  // namespace chatglm
