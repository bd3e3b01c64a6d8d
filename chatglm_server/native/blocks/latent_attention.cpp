#include "blocks/latent_attention.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "blocks/query_pieces.h"

namespace chatglm {
namespace {

constexpr int kParts = 256;  // of queries and stretches, that a thread's share of a wave has: they fit into its cache

LatentCache latent_cache(const CacheHead &head) {
    return {head.groups, head.key_size, head.value_size, head.key_width};
}

}  // namespace

LatentAttention::LatentAttention(const ModelSpec &spec, const LatentFigures &figures)
    : hidden_size_(spec.hidden_size),
      heads_(spec.heads),
      key_size_(spec.key_size),
      value_size_(spec.value_size),
      rotary_size_(spec.rotary_size),
      query_rank_(figures.query_rank),
      rank_(figures.rank),
      latent_width_(code_bytes(spec.cache_type)),
      epsilon_(spec.norm_epsilon),
      scale_(1.0f / std::sqrt(static_cast<float>(key_size_))) {}

void LatentAttention::plan(Weights &weights, WeightPlan &plan, const std::string &prefix) const {
    weights.down.plan(plan, prefix + "attn_q_a", query_rank_, hidden_size_);
    weights.down.plan(plan, prefix + "attn_kv_a_mqa", rank_ + rotary_size_, hidden_size_);
    plan.vector(weights.query_norm, prefix + "attn_q_a_norm.weight", query_rank_);
    plan.vector(weights.latent_norm, prefix + "attn_kv_a_norm.weight", rank_);
    weights.queries.plan(plan, prefix + "attn_q_b", heads_ * key_size_, query_rank_);
    if (plan.has(prefix + "attn_kv_b.weight")) {
        plan_joined(weights, plan, prefix + "attn_kv_b.weight");
    } else {
        weights.keys.plan(plan, prefix + "attn_k_b", heads_, rank_, key_size_ - rotary_size_);
        weights.values.plan(plan, prefix + "attn_v_b", heads_, value_size_, rank_);
    }
    weights.output.plan(plan, prefix + "attn_output", hidden_size_, heads_ * value_size_);
}

// Blocks of weights lie along rows, so transposed keys need another type.
void LatentAttention::plan_joined(Weights &weights, WeightPlan &plan, const std::string &name) const {
    const int plain = key_size_ - rotary_size_, values = value_size_, rank = rank_, heads = heads_;
    plan.matrix(weights.joined, name, heads * (plain + values), rank);
    plan.when_read([&weights, plain, values, rank, heads] {
        std::vector<float> row(rank);
        weights.keys.store(heads, rank, plain, [&](int head, float *to) {
            for (int i = 0; i < plain; ++i) {
                decode_row(weights.joined, head * (plain + values) + i, row.data());
                for (int j = 0; j < rank; ++j) to[size_t(j) * plain + i] = row[j];
            }
        });
        weights.values.store(heads, values, rank, [&](int head, float *to) {
            for (int i = 0; i < values; ++i) {
                decode_row(weights.joined, head * (plain + values) + plain + i, to + size_t(i) * rank);
            }
        });
    });
}

void LatentAttention::run(Compute &compute, const Weights &weights, const Rotary &rotary, const std::vector<Row> &rows,
                          KVCache &cache, int layer, const float *x, float *out) {
    const int tokens = static_cast<int>(rows.size());
    const size_t queries = size_t(tokens) * heads_;
    latents_.resize(size_t(tokens) * weights.down.rows());
    query_latents_.resize(size_t(tokens) * query_rank_);
    queries_.resize(queries * key_size_);
    unrotated_.resize(queries * (key_size_ - rotary_size_));
    absorbed_.resize(queries * (rank_ + rotary_size_));
    mixed_.resize(queries * rank_);
    answers_.resize(queries * value_size_);
    joined_.resize(queries * value_size_);
    first_.resize(heads_ + 1);
    for (int head = 0; head <= heads_; ++head) first_[head] = head * tokens;

    weights.down.run(compute, x, tokens, latents_.data());
    append(compute, weights, rotary, rows, cache, layer);
    weights.queries.run(compute, query_latents_.data(), tokens, queries_.data());
    absorb(compute, weights, rotary, tokens);
    attend(compute, rows, cache, layer);
    weights.values.run(compute, mixed_.data(), first_, answers_.data(), value_size_);
    join_heads(compute, tokens);
    weights.output.run(compute, joined_.data(), tokens, out);
}

// Normalizes both latents, and puts that of keys and values, and the rotated key, into the cache.
void LatentAttention::append(Compute &compute, const Weights &weights, const Rotary &rotary,
                             const std::vector<Row> &rows, KVCache &cache, int layer) {
    const size_t stride = weights.down.rows();
    compute.pool.run(static_cast<int>(rows.size()), 4, [&](int begin, int end, int) {
        for (int t = begin; t < end; ++t) {
            const float *query = &latents_[t * stride];
            float *latent = &latents_[t * stride + query_rank_], *key = latent + rank_;
            compute.kernels.normalize(query, weights.query_norm, query_rank_, epsilon_,
                                      &query_latents_[size_t(t) * query_rank_]);
            compute.kernels.normalize(latent, weights.latent_norm, rank_, epsilon_, latent);
            rotary.rotate(t, key);
            compute.kernels.append_latent(latent_cache(cache.head(rows[t].slot, layer, 0)), rows[t].position, latent,
                                          key);
        }
    });
}

// Makes of each query what it multiplies with latents and with rotated keys.
void LatentAttention::absorb(Compute &compute, const Weights &weights, const Rotary &rotary, int tokens) {
    const size_t plain = key_size_ - rotary_size_, width = rank_ + rotary_size_;
    compute.pool.run(tokens, 4, [&](int begin, int end, int) {
        for (int t = begin; t < end; ++t) {
            for (int head = 0; head < heads_; ++head) {
                float *query = &queries_[(size_t(t) * heads_ + head) * key_size_];
                const size_t to = size_t(head) * tokens + t;
                rotary.rotate(t, query + plain);
                std::memcpy(&unrotated_[to * plain], query, plain * sizeof(float));
                std::memcpy(&absorbed_[to * width + rank_], query + plain, rotary_size_ * sizeof(float));
            }
        }
    });
    weights.keys.run(compute, unrotated_.data(), first_, absorbed_.data(), width);
}

void LatentAttention::attend(Compute &compute, const std::vector<Row> &rows, const KVCache &cache, int layer) {
    const int threads = compute.pool.threads();
    const size_t tokens = rows.size(), width = rank_ + rotary_size_;
    codes_.resize(threads);
    stretch_.resize(threads);
    for (auto &codes : codes_) codes.resize(attend_latent_room(rank_, rotary_size_));
    for (auto &mixed : stretch_) mixed.resize(size_t(kQueries) * rank_ + kLine);
    std::fill(mixed_.begin(), mixed_.end(), 0.0f);
    absorbed_queries_.clear();
    int last = 0;
    for (size_t t = 0; t < tokens; ++t) {
        last = std::max(last, rows[t].position);
        for (int head = 0; head < heads_; ++head) {
            const size_t at = head * tokens + t;
            absorbed_queries_.push_back({&absorbed_[at * width], rows[t].position, &mixed_[at * rank_], -INFINITY, 0});
        }
    }
    const int stretches = last / kStretch + 1;
    const std::vector<QueryPiece> pieces = query_pieces(rows, heads_, stretches, threads);
    if (threads > 1 && static_cast<int>(pieces.size()) < 2 * threads) {
        attend_apart(compute, rows, pieces, stretches, cache, layer);
    } else {
        compute.pool.run(static_cast<int>(pieces.size()), 1, [&](int begin, int end, int thread) {
            for (int i = begin; i < end; ++i) {
                attend_piece(compute, rows, pieces[i], absorbed_queries_.data(), 0, stretches, cache, layer, thread);
            }
        });
    }
    compute.pool.run(static_cast<int>(absorbed_queries_.size()), 16, [&](int begin, int end, int) {
        for (int i = begin; i < end; ++i) {
            const LatentQuery &query = absorbed_queries_[i];
            for (int j = 0; j < rank_; ++j) query.mixed[j] /= query.sum;
        }
    });
}

// Few queries deep in a context: threads share their stretches, some at a time, and merge what they have of each.
void LatentAttention::attend_apart(Compute &compute, const std::vector<Row> &rows,
                                   const std::vector<QueryPiece> &pieces, int stretches, const KVCache &cache,
                                   int layer) {
    const int queries = static_cast<int>(absorbed_queries_.size()), count = static_cast<int>(pieces.size());
    const int wave = std::clamp(kParts * compute.pool.threads() / queries, 1, stretches);
    parts_mixed_.resize(size_t(wave) * queries * rank_);
    for (int first = 0; first < stretches; first += wave) {
        const int some = std::min(wave, stretches - first);
        parts_.clear();
        for (int i = 0; i < some * queries; ++i) {
            const LatentQuery &query = absorbed_queries_[i % queries];
            parts_.push_back({query.values, query.position, &parts_mixed_[size_t(i) * rank_], -INFINITY, 0});
        }
        compute.pool.run(some * count, 1, [&](int begin, int end, int thread) {
            for (int i = begin; i < end; ++i) {
                const int stretch = i / count;
                const QueryPiece &piece = pieces[i % count];
                float *const mixed = &parts_mixed_[(size_t(stretch) * queries + piece.begin) * rank_];
                std::fill(mixed, mixed + size_t(piece.end - piece.begin) * rank_, 0.0f);
                attend_piece(compute, rows, piece, &parts_[stretch * queries], first + stretch, first + stretch + 1,
                             cache, layer, thread);
            }
        });
        compute.pool.run(queries, 4, [&](int begin, int end, int) {
            for (int query = begin; query < end; ++query) {
                for (int stretch = 0; stretch < some; ++stretch) {
                    compute.kernels.merge(parts_[stretch * queries + query], rank_, absorbed_queries_[query]);
                }
            }
        });
    }
}

void LatentAttention::attend_piece(Compute &compute, const std::vector<Row> &rows, const QueryPiece &piece,
                                   LatentQuery *queries, int begin, int end, const KVCache &cache, int layer,
                                   int thread) {
    compute.kernels.attend_latent(latent_cache(cache.head(rows[piece.begin / heads_].slot, layer, 0)), scale_,
                                  piece.end - piece.begin, queries + piece.begin, begin, end, codes_[thread].data(),
                                  stretch_[thread].data());
}

// From (heads, rows, value_size) to (rows, heads, value_size).
void LatentAttention::join_heads(Compute &compute, int tokens) {
    compute.pool.run(tokens, 8, [&](int begin, int end, int) {
        for (int t = begin; t < end; ++t) {
            for (int head = 0; head < heads_; ++head) {
                std::memcpy(&joined_[(size_t(t) * heads_ + head) * value_size_],
                            &answers_[(size_t(head) * tokens + t) * value_size_], value_size_ * sizeof(float));
            }
        }
    });
}

}  // namespace chatglm
