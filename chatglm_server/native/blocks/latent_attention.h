// Multi-head latent attention (DeepSeek-V2, arXiv 2405.04434): the keys and values of all heads are made of one latent
// vector a position, and only that is cached, with a rotated key that all heads share.
//
// It is computed in the absorbed form: instead of making each head's keys of all latents, each query is multiplied with
// the head's key matrix once, and attends to the latents; what it mixes of them is multiplied with the value matrix.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "arch/network.h"
#include "blocks/linear.h"
#include "blocks/query_pieces.h"
#include "blocks/rotary.h"
#include "blocks/stack.h"
#include "spec.h"

namespace chatglm {

// One for a network: layers share its buffers.
class LatentAttention {
  public:
    struct Weights {
        Linear down;  // to the latents: of queries, of keys and values, and the rotated key
        const float *query_norm, *latent_norm;
        Linear queries;
        Stack keys, values;  // of each head: (rank, key_size - rotary_size) and (value_size, rank)
        Matrix joined;       // of old files: a head's keys, transposed, and then its values
        Linear output;
    };

    LatentAttention(const ModelSpec &spec, const LatentFigures &figures);

    CacheShape cache_shape(int layers) const {
        return {layers, 1, rank_, rotary_size_, latent_width_, sizeof(int16_t)};
    }

    // Plans PREFIXattn_q_a, attn_q_a_norm, attn_q_b, attn_kv_a_mqa, attn_kv_a_norm, attn_k_b and attn_v_b, or attn_kv_b
    // in their place, and attn_output.
    // Throws like WeightPlan::matrix and WeightPlan::stack.
    void plan(Weights &weights, WeightPlan &plan, const std::string &prefix) const;

    // Puts the latents of the rows into the cache, and attends to it. x and out are (rows, hidden_size).
    void run(Compute &compute, const Weights &weights, const Rotary &rotary, const std::vector<Row> &rows,
             KVCache &cache, int layer, const float *x, float *out);

  private:
    void plan_joined(Weights &weights, WeightPlan &plan, const std::string &name) const;
    void append(Compute &compute, const Weights &weights, const Rotary &rotary, const std::vector<Row> &rows,
                KVCache &cache, int layer);
    void absorb(Compute &compute, const Weights &weights, const Rotary &rotary, int tokens);
    void attend(Compute &compute, const std::vector<Row> &rows, const KVCache &cache, int layer);
    void attend_apart(Compute &compute, const std::vector<Row> &rows, const std::vector<QueryPiece> &pieces,
                      int stretches, const KVCache &cache, int layer);
    void attend_piece(Compute &compute, const std::vector<Row> &rows, const QueryPiece &piece, LatentQuery *queries,
                      int begin, int end, const KVCache &cache, int layer, int thread);
    void join_heads(Compute &compute, int tokens);

    const int hidden_size_, heads_, key_size_, value_size_, rotary_size_, query_rank_, rank_, latent_width_;
    const float epsilon_, scale_;
    // Of a pass.
    std::vector<float> latents_;        // (rows, query_rank + rank + rotary_size)
    std::vector<float> query_latents_;  // (rows, query_rank)
    std::vector<float> queries_;        // (rows, heads, key_size): values that are not rotated, then the others
    std::vector<float> unrotated_;      // (heads, rows, key_size - rotary_size)
    std::vector<float> absorbed_;       // (heads, rows, rank + rotary_size)
    std::vector<float> mixed_;          // (heads, rows, rank)
    std::vector<float> answers_;        // (heads, rows, value_size)
    std::vector<float> joined_;         // (rows, heads, value_size)
    std::vector<int> first_;            // (heads + 1): the first of each head's rows
    std::vector<LatentQuery> absorbed_queries_;  // (rows, heads): of absorbed_ and mixed_
    std::vector<LatentQuery> parts_;             // (stretches at a time, rows, heads)
    std::vector<float> parts_mixed_;             // (stretches at a time, rows, heads, rank)
    std::vector<std::vector<int16_t>> codes_;    // one for each thread, and
    std::vector<std::vector<float>> stretch_;    // this: see Kernels::attend_latent
};

}  // namespace chatglm
