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

    // Gives back the memory of the positions from `kept` on, rounded up to 16 and to pages.
    void truncate(int slot, int kept);

  private:
    CacheShape shape_;
    size_t group_bytes_, head_bytes_;
    std::vector<Memory> slots_;  // (layers, heads, groups of positions), see CacheHead
};

}  // namespace chatglm
