#include "blocks/attention.h"

#include <algorithm>

namespace chatglm {
namespace {

// Some queries of one slot and one key/value head, which are computed together. Query i of a key/value head is one of
// row i / group.
struct Piece {
    int begin, end;
};

std::vector<Piece> pieces_of(const std::vector<Row> &rows, int group, int most) {
    std::vector<Piece> pieces;
    for (int t = 0; t < static_cast<int>(rows.size()); ++t) {
        const bool same_slot = t > 0 && rows[t].slot == rows[t - 1].slot;
        for (int query = t * group; query < (t + 1) * group; ++query) {
            const bool joins = (same_slot || query > t * group) && query - pieces.back().begin < most;
            if (!joins) pieces.push_back({query, query});
            pieces.back().end = query + 1;
        }
    }
    return pieces;
}

}  // namespace

Attention::Attention(int heads, int kv_heads, int key_size, int value_size, float scale)
    : heads_(heads), kv_heads_(kv_heads), key_size_(key_size), value_size_(value_size), scale_(scale) {}

void Attention::run(Compute &compute, const std::vector<Row> &rows, const KVCache &cache, int layer,
                    const float *queries, size_t stride, float *out) {
    const int group = heads_ / kv_heads_, threads = compute.pool.threads();
    // all threads get some, also if a pass has a single row
    const int share = static_cast<int>(rows.size()) * heads_ / threads;
    const std::vector<Piece> pieces = pieces_of(rows, group, std::clamp(share / 8 * 8, 8, kQueries));
    codes_.resize(threads);
    for (auto &codes : codes_) codes.resize(size_t(kQueries) * key_size_);
    compute.pool.run(static_cast<int>(pieces.size()) * kv_heads_, 1, [&](int begin, int end, int thread) {
        for (int item = begin; item < end; ++item) {
            const Piece piece = pieces[item / kv_heads_];
            const int kv_head = item % kv_heads_;
            const float *from[kQueries];
            float *to[kQueries];
            int positions[kQueries];
            for (int query = piece.begin; query < piece.end; ++query) {
                const int i = query - piece.begin, t = query / group, head = kv_head * group + query % group;
                from[i] = queries + t * stride + size_t(head) * key_size_;
                to[i] = out + (size_t(t) * heads_ + head) * value_size_;
                positions[i] = rows[t].position;
            }
            compute.kernels.attend(cache.head(rows[piece.begin / group].slot, layer, kv_head), scale_,
                                   piece.end - piece.begin, from, positions, to, codes_[thread].data());
        }
    });
}

}  // namespace chatglm
