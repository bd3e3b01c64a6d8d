#include "blocks/attention.h"

#include "blocks/query_pieces.h"

namespace chatglm {

Attention::Attention(int heads, int kv_heads, int key_size, int value_size, float scale)
    : heads_(heads), kv_heads_(kv_heads), key_size_(key_size), value_size_(value_size), scale_(scale) {}

void Attention::run(Compute &compute, const std::vector<Row> &rows, const KVCache &cache, int layer,
                    const float *queries, size_t stride, float *out) {
    const int group = heads_ / kv_heads_, threads = compute.pool.threads();
    const std::vector<QueryPiece> pieces = query_pieces(rows, group, kv_heads_, threads);
    codes_.resize(threads);
    for (auto &codes : codes_) codes.resize(attend_room(key_size_, value_size_));
    compute.pool.run(static_cast<int>(pieces.size()) * kv_heads_, 1, [&](int begin, int end, int thread) {
        for (int item = begin; item < end; ++item) {
            const QueryPiece piece = pieces[item / kv_heads_];
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
