// An attention layer whose queries share a smaller number of keys and values (Ainslie et al., arXiv 2305.13245).
#pragma once

#include <string>
#include <vector>

#include "blocks/attention.h"
#include "blocks/linear.h"
#include "blocks/rotary.h"
#include "spec.h"

namespace chatglm {

// One for a network: layers share its buffers.
class GroupedAttention {
  public:
    struct Weights {
        Linear queries_keys_values, output;
        const float *query_norm, *key_norm;  // of each head, before it is rotated; null: none
    };

    explicit GroupedAttention(const ModelSpec &spec);

    CacheShape cache_shape(int layers) const {
        return {layers, kv_heads_, key_size_, value_size_, code_width_, code_width_};
    }

    // Plans PREFIXattn_qkv, or attn_q, attn_k and attn_v, the optional attn_q_norm and attn_k_norm, and attn_output.
    // Throws like WeightPlan::matrix.
    void plan(Weights &weights, WeightPlan &plan, const std::string &prefix) const;

    // Puts the keys and values of the rows into the cache, and attends to it. x and out are (rows, hidden_size).
    void run(Compute &compute, const Weights &weights, const Rotary &rotary, const std::vector<Row> &rows,
             KVCache &cache, int layer, const float *x, float *out);

  private:
    void rotate_and_append(Compute &compute, const Weights &weights, const Rotary &rotary, const std::vector<Row> &rows,
                           KVCache &cache, int layer);

    const int hidden_size_, heads_, kv_heads_, key_size_, value_size_, code_width_;
    const float epsilon_;
    Attention attention_;
    std::vector<float> queries_keys_values_, mixed_;  // (rows, …), of a pass
};

}  // namespace chatglm
