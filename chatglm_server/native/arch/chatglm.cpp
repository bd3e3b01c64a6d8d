// ChatGLM2, ChatGLM3 and GLM-4 (arXiv 2406.12793): layers of pre-norm attention with rotary embeddings and grouped
// key/value heads, and a pre-norm gated feed-forward network. The outputs of both may have a norm, as in GLM-4-0414.

#include <deque>

#include "arch/decoder.h"
#include "blocks/feed_forward.h"
#include "blocks/grouped_attention.h"

namespace chatglm {
namespace {

class ChatGLM final : public Decoder {
  public:
    ChatGLM(const ModelSpec &spec, WeightPlan &plan, Compute &compute)
        : Decoder(spec, plan, compute), attention_(spec) {
        for (int i = 0; i < spec.layers; ++i) {
            Layer &layer = layers_.emplace_back();
            attention_.plan(layer.attention, plan, prefix(i));
            layer.feed_forward.plan(plan, prefix(i), spec.hidden_size, spec.ffn_size);
        }
    }

    CacheShape cache_shape() const override { return attention_.cache_shape(static_cast<int>(layers_.size())); }

  private:
    struct Layer {
        GroupedAttention::Weights attention;
        FeedForward feed_forward;
    };

    void attend(int layer, const std::vector<Row> &rows, KVCache &cache, const float *x, float *out) override {
        attention_.run(compute_, layers_[layer].attention, rotary_, rows, cache, layer, x, out);
    }

    void feed_forward(int layer, int tokens, const float *x, float *out) override {
        layers_[layer].feed_forward.run(compute_, feed_forward_, x, tokens, out);
    }

    GroupedAttention attention_;
    FeedForward::Scratch feed_forward_;
    std::deque<Layer> layers_;  // a deque: its elements do not move, for the plan points to them
};

}  // namespace

std::unique_ptr<Network> make_chatglm(const ModelSpec &spec, WeightPlan &plan, Compute &compute) {
    return std::make_unique<ChatGLM>(spec, plan, compute);
}

}  // namespace chatglm
