#include "blocks/attention.h"

#include <algorithm>

namespace chatglm {
namespace {

constexpr int kQueries = 16;  // that are computed together, of one key/value head

// Rows [begin, end) of one slot.
struct Span {
    int begin, end;
};

// Neighbouring rows of one slot are computed together: they share what they read of the cache.
std::vector<Span> spans_of(const std::vector<Row> &rows, int most) {
    std::vector<Span> spans;
    for (int t = 0; t < static_cast<int>(rows.size()); ++t) {
        if (!spans.empty() && rows[spans.back().begin].slot == rows[t].slot && t - spans.back().begin < most) {
            spans.back().end = t + 1;
        } else {
            spans.push_back({t, t + 1});
        }
    }
    return spans;
}

}  // namespace

Attention::Attention(int heads, int kv_heads, int key_size, int value_size, float scale)
    : heads_(heads), kv_heads_(kv_heads), key_size_(key_size), value_size_(value_size), scale_(scale) {}

void Attention::run(Compute &compute, const std::vector<Row> &rows, const KVCache &cache, int layer,
                    const float *queries, size_t stride, float *out) {
    const int group = heads_ / kv_heads_;
    const std::vector<Span> spans = spans_of(rows, std::max(1, kQueries / group));
    int last = 0;
    for (const Row &row : rows) last = std::max(last, row.position);
    const size_t room = 8 * (size_t(last) / 16 * 16 + 32);  // see Kernels::attend
    scores_.resize(compute.pool.threads());
    for (auto &scores : scores_) scores.resize(std::max(scores.size(), room));
    compute.pool.run(static_cast<int>(spans.size()) * kv_heads_, 1, [&](int begin, int end, int thread) {
        std::vector<const float *> from;
        std::vector<float *> to;
        std::vector<int> positions;
        for (int item = begin; item < end; ++item) {
            const Span span = spans[item / kv_heads_];
            const int kv_head = item % kv_heads_;
            from.clear(), to.clear(), positions.clear();
            for (int t = span.begin; t < span.end; ++t) {
                for (int head = kv_head * group; head < (kv_head + 1) * group; ++head) {
                    from.push_back(queries + t * stride + size_t(head) * key_size_);
                    to.push_back(out + (size_t(t) * heads_ + head) * value_size_);
                    positions.push_back(rows[t].position);
                }
            }
            compute.kernels.attend(cache.head(rows[span.begin].slot, layer, kv_head), scale_,
                                   static_cast<int>(from.size()), from.data(), positions.data(), to.data(),
                                   scores_[thread].data());
        }
    });
}

}  // namespace chatglm
