// ChatGLM2, ChatGLM3 and GLM-4 (arXiv 2406.12793): layers of pre-norm attention with rotary embeddings and grouped
// key/value heads, and a pre-norm gated feed-forward network. The outputs of both may have a norm, as in GLM-4-0414.

#include <cmath>
#include <cstring>
#include <deque>
#include <string>

#include "arch/network.h"
#include "blocks/attention.h"
#include "blocks/feed_forward.h"
#include "blocks/linear.h"
#include "blocks/norm.h"
#include "blocks/rotary.h"

namespace chatglm {
namespace {

struct Layer {
    const float *attention_norm, *ffn_norm;
    const float *post_attention_norm, *post_ffn_norm;  // null: the network has no such norm
    Linear queries_keys_values, attention_output;
    FeedForward feed_forward;
};

class ChatGLM final : public Network {
  public:
    ChatGLM(const ModelSpec &spec, WeightPlan &plan, Compute &compute)
        : hidden_size_(spec.hidden_size),
          heads_(spec.heads),
          kv_heads_(spec.kv_heads),
          key_size_(spec.key_size),
          value_size_(spec.value_size),
          vocab_size_(spec.vocab_size),
          epsilon_(spec.norm_epsilon),
          compute_(compute),
          rotary_(spec.rotary_size, spec.rotary_layout, spec.rope_theta),
          attention_(heads_, kv_heads_, key_size_, value_size_, 1.0f / std::sqrt(static_cast<float>(key_size_))) {
        plan.matrix(embedding_, "token_embd.weight", vocab_size_, hidden_size_);
        for (int i = 0; i < spec.layers; ++i) {
            plan_layer(layers_.emplace_back(), plan, "blk." + std::to_string(i) + ".", spec.ffn_size);
        }
        plan.vector(output_norm_, "output_norm.weight", hidden_size_);
        tied_ = !plan.has("output.weight");
        if (!tied_) plan.matrix(output_, "output.weight", vocab_size_, hidden_size_);
    }

    CacheShape cache_shape() const override {
        return {static_cast<int>(layers_.size()), kv_heads_, key_size_, value_size_};
    }

    void forward(const std::vector<Row> &rows, const std::vector<int> &wanted, KVCache &cache, float *logits) override {
        const int tokens = static_cast<int>(rows.size());
        x_.resize(rows.size() * hidden_size_);
        compute_.pool.run(tokens, 8, [&](int begin, int end, int) {
            for (int t = begin; t < end; ++t) decode_row(embedding_, rows[t].token, &x_[size_t(t) * hidden_size_]);
        });
        rotary_.prepare(compute_, rows);
        for (size_t i = 0; i < layers_.size(); ++i) run_layer(static_cast<int>(i), rows, cache);

        const int count = static_cast<int>(wanted.size());
        normed_.resize(size_t(count) * hidden_size_);
        for (int i = 0; i < count; ++i) {
            std::memcpy(&normed_[size_t(i) * hidden_size_], &x_[size_t(wanted[i]) * hidden_size_],
                        hidden_size_ * sizeof(float));
        }
        normalize(compute_, normed_.data(), output_norm_, count, hidden_size_, epsilon_, normed_.data());
        multiply(compute_, tied_ ? embedding_ : output_, normed_.data(), count, logits);
    }

  private:
    void plan_layer(Layer &layer, WeightPlan &plan, const std::string &prefix, int ffn_size) const {
        const int query_rows = heads_ * key_size_, key_rows = kv_heads_ * key_size_;
        const int value_rows = kv_heads_ * value_size_;
        plan.vector(layer.attention_norm, prefix + "attn_norm.weight", hidden_size_);
        Linear &joined = layer.queries_keys_values;
        if (plan.has(prefix + "attn_qkv.weight")) {
            joined.plan(plan, prefix + "attn_qkv", query_rows + key_rows + value_rows, hidden_size_);
        } else {
            joined.plan(plan, prefix + "attn_q", query_rows, hidden_size_);
            joined.plan(plan, prefix + "attn_k", key_rows, hidden_size_);
            joined.plan(plan, prefix + "attn_v", value_rows, hidden_size_);
        }
        layer.attention_output.plan(plan, prefix + "attn_output", hidden_size_, heads_ * value_size_);
        plan.optional_vector(layer.post_attention_norm, prefix + "post_attention_norm.weight", hidden_size_);
        plan.vector(layer.ffn_norm, prefix + "ffn_norm.weight", hidden_size_);
        layer.feed_forward.plan(plan, prefix, hidden_size_, ffn_size);
        plan.optional_vector(layer.post_ffn_norm, prefix + "post_ffw_norm.weight", hidden_size_);
    }

    void run_layer(int index, const std::vector<Row> &rows, KVCache &cache) {
        const Layer &layer = layers_[index];
        const int tokens = static_cast<int>(rows.size());
        const size_t stride = layer.queries_keys_values.rows();
        normed_.resize(x_.size());
        projected_.resize(x_.size());
        queries_keys_values_.resize(tokens * stride);
        mixed_.resize(size_t(tokens) * heads_ * value_size_);

        normalize(compute_, x_.data(), layer.attention_norm, tokens, hidden_size_, epsilon_, normed_.data());
        layer.queries_keys_values.run(compute_, normed_.data(), tokens, queries_keys_values_.data());
        rotate_and_append(index, rows, stride, cache);
        attention_.run(compute_, rows, cache, index, queries_keys_values_.data(), stride, mixed_.data());
        layer.attention_output.run(compute_, mixed_.data(), tokens, projected_.data());
        add_projected(layer.post_attention_norm, tokens);

        normalize(compute_, x_.data(), layer.ffn_norm, tokens, hidden_size_, epsilon_, normed_.data());
        layer.feed_forward.run(compute_, feed_forward_, normed_.data(), tokens, projected_.data());
        add_projected(layer.post_ffn_norm, tokens);
    }

    // Rotates queries and keys, and puts keys and values into the cache.
    void rotate_and_append(int layer, const std::vector<Row> &rows, size_t stride, KVCache &cache) {
        compute_.pool.run(static_cast<int>(rows.size()), 4, [&](int begin, int end, int) {
            for (int t = begin; t < end; ++t) {
                float *queries = &queries_keys_values_[t * stride], *keys = queries + heads_ * key_size_;
                const float *values = keys + kv_heads_ * key_size_;
                for (int head = 0; head < heads_ + kv_heads_; ++head) {  // the keys follow the queries
                    rotary_.rotate(t, queries + size_t(head) * key_size_);
                }
                for (int head = 0; head < kv_heads_; ++head) {
                    compute_.kernels.append(cache.head(rows[t].slot, layer, head), rows[t].position,
                                            keys + head * key_size_, values + head * value_size_);
                }
            }
        });
    }

    void add_projected(const float *norm, int tokens) {
        if (norm != nullptr) {
            normalize(compute_, projected_.data(), norm, tokens, hidden_size_, epsilon_, projected_.data());
        }
        for (size_t i = 0; i < x_.size(); ++i) x_[i] += projected_[i];
    }

    const int hidden_size_, heads_, kv_heads_, key_size_, value_size_, vocab_size_;
    const float epsilon_;
    Compute &compute_;

    Matrix embedding_, output_;
    bool tied_;  // the embedding is the output matrix
    const float *output_norm_;
    std::deque<Layer> layers_;  // a deque: its elements do not move, for the plan points to them

    Rotary rotary_;
    Attention attention_;
    FeedForward::Scratch feed_forward_;
    // Buffers of a pass, (tokens, …); kept for the next pass.
    std::vector<float> x_, normed_, queries_keys_values_, mixed_, projected_;
};

}  // namespace

std::unique_ptr<Network> make_chatglm(const ModelSpec &spec, WeightPlan &plan, Compute &compute) {
    return std::make_unique<ChatGLM>(spec, plan, compute);
}

}  // namespace chatglm
