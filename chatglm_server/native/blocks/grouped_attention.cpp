#include "blocks/grouped_attention.h"

#include <cmath>

namespace chatglm {

GroupedAttention::GroupedAttention(const ModelSpec &spec)
    : hidden_size_(spec.hidden_size),
      heads_(spec.heads),
      kv_heads_(spec.kv_heads),
      key_size_(spec.key_size),
      value_size_(spec.value_size),
      code_width_(code_bytes(spec.cache_type)),
      epsilon_(spec.norm_epsilon),
      attention_(heads_, kv_heads_, key_size_, value_size_, 1.0f / std::sqrt(static_cast<float>(key_size_))) {}

void GroupedAttention::plan(Weights &weights, WeightPlan &plan, const std::string &prefix) const {
    const int query_rows = heads_ * key_size_, key_rows = kv_heads_ * key_size_, value_rows = kv_heads_ * value_size_;
    Linear &joined = weights.queries_keys_values;
    if (plan.has(prefix + "attn_qkv.weight")) {
        joined.plan(plan, prefix + "attn_qkv", query_rows + key_rows + value_rows, hidden_size_);
    } else {
        joined.plan(plan, prefix + "attn_q", query_rows, hidden_size_);
        joined.plan(plan, prefix + "attn_k", key_rows, hidden_size_);
        joined.plan(plan, prefix + "attn_v", value_rows, hidden_size_);
    }
    plan.optional_vector(weights.query_norm, prefix + "attn_q_norm.weight", key_size_);
    plan.optional_vector(weights.key_norm, prefix + "attn_k_norm.weight", key_size_);
    weights.output.plan(plan, prefix + "attn_output", hidden_size_, heads_ * value_size_);
}

void GroupedAttention::run(Compute &compute, const Weights &weights, const Rotary &rotary, const std::vector<Row> &rows,
                           KVCache &cache, int layer, const float *x, float *out) {
    const int tokens = static_cast<int>(rows.size());
    const size_t stride = weights.queries_keys_values.rows();
    queries_keys_values_.resize(tokens * stride);
    mixed_.resize(size_t(tokens) * heads_ * value_size_);
    weights.queries_keys_values.run(compute, x, tokens, queries_keys_values_.data());
    rotate_and_append(compute, weights, rotary, rows, cache, layer);
    attention_.run(compute, rows, cache, layer, queries_keys_values_.data(), stride, mixed_.data());
    weights.output.run(compute, mixed_.data(), tokens, out);
}

// Normalizes and rotates queries and keys, and puts keys and values into the cache.
void GroupedAttention::rotate_and_append(Compute &compute, const Weights &weights, const Rotary &rotary,
                                         const std::vector<Row> &rows, KVCache &cache, int layer) {
    const size_t stride = weights.queries_keys_values.rows();
    compute.pool.run(static_cast<int>(rows.size()), 4, [&](int begin, int end, int) {
        for (int t = begin; t < end; ++t) {
            float *queries = &queries_keys_values_[t * stride], *keys = queries + heads_ * key_size_;
            const float *values = keys + kv_heads_ * key_size_;
            for (int head = 0; head < heads_ + kv_heads_; ++head) {  // the keys follow the queries
                float *x = queries + size_t(head) * key_size_;
                const float *norm = head < heads_ ? weights.query_norm : weights.key_norm;
                if (norm != nullptr) compute.kernels.normalize(x, norm, key_size_, epsilon_, x);
                rotary.rotate(t, x);
            }
            for (int head = 0; head < kv_heads_; ++head) {
                compute.kernels.append(cache.head(rows[t].slot, layer, head), rows[t].position, keys + head * key_size_,
                                       values + head * value_size_);
            }
        }
    });
}

}  // namespace chatglm
