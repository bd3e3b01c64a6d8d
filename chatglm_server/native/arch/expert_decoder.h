// A network whose first layers have a dense feed-forward network, and whose other layers have experts. `Attention` is
// GroupedAttention or LatentAttention.
#pragma once

#include <deque>
#include <string>
#include <utility>

#include "arch/decoder.h"
#include "blocks/experts.h"
#include "blocks/feed_forward.h"

namespace chatglm {

template <class Attention>
class ExpertDecoder final : public Decoder {
  public:
    // `spec.experts` must be there. `ffn_norm` is the name of the norm before a feed-forward network.
    ExpertDecoder(const ModelSpec &spec, WeightPlan &plan, Compute &compute, Attention attention,
                  const std::string &ffn_norm)
        : Decoder(spec, plan, compute, ffn_norm),
          dense_layers_(spec.experts->dense_layers),
          attention_(std::move(attention)),
          experts_(spec.hidden_size, *spec.experts) {
        for (int i = 0; i < spec.layers; ++i) {
            Layer &layer = layers_.emplace_back();
            attention_.plan(layer.attention, plan, prefix(i));
            if (i < dense_layers_) {
                layer.dense.plan(plan, prefix(i), spec.hidden_size, spec.ffn_size);
            } else {
                experts_.plan(layer.experts, plan, prefix(i));
            }
        }
    }

    CacheShape cache_shape() const override { return attention_.cache_shape(static_cast<int>(layers_.size())); }

  private:
    struct Layer {
        typename Attention::Weights attention;
        FeedForward dense;  // one of these two
        Experts::Weights experts;
    };

    void attend(int layer, const std::vector<Row> &rows, KVCache &cache, const float *x, float *out) override {
        attention_.run(compute_, layers_[layer].attention, rotary_, rows, cache, layer, x, out);
    }

    void feed_forward(int layer, int tokens, const float *x, float *out) override {
        if (layer < dense_layers_) {
            layers_[layer].dense.run(compute_, dense_, x, tokens, out);
        } else {
            experts_.run(compute_, layers_[layer].experts, x, tokens, out);
        }
    }

    const int dense_layers_;
    Attention attention_;
    Experts experts_;
    FeedForward::Scratch dense_;
    std::deque<Layer> layers_;  // a deque: its elements do not move, for the plan points to them
};

}  // namespace chatglm
