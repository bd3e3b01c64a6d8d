// Causal attention of a pass's rows to the positions of their slots.
#pragma once

#include <cstdint>
#include <vector>

#include "arch/network.h"
#include "compute.h"
#include "kv_cache.h"

namespace chatglm {

class Attention {
  public:
    // `heads` queries of a row share `kv_heads` keys and values; scores are multiplied by `scale`.
    Attention(int heads, int kv_heads, int key_size, int value_size, float scale);

    // Each row attends to the positions of its slot up to its own, which are in the cache. The queries of row t are at
    // queries + t * stride, (heads, key_size); out is (rows, heads, value_size).
    void run(Compute &compute, const std::vector<Row> &rows, const KVCache &cache, int layer, const float *queries,
             size_t stride, float *out);

  private:
    int heads_, kv_heads_, key_size_, value_size_;
    float scale_;
    std::vector<std::vector<int16_t>> codes_;  // of queries, one for each thread
};

}  // namespace chatglm
