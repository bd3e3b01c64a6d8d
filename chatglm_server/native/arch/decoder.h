// What all networks here have in common: layers of attention and a feed-forward network, each with a norm before it and
// maybe one after it, between an embedding and an output matrix.
#pragma once

#include <deque>
#include <string>
#include <vector>

#include "arch/network.h"
#include "blocks/rotary.h"
#include "spec.h"

namespace chatglm {

class Decoder : public Network {
  public:
    void forward(const std::vector<Row> &rows, const std::vector<int> &wanted, KVCache &cache, float *logits) override;

  protected:
    // Plans the embedding, the output, and the norms around the layers; `ffn_norm` is the name of the one before a
    // feed-forward network. Throws like WeightPlan::matrix.
    Decoder(const ModelSpec &spec, WeightPlan &plan, Compute &compute, const std::string &ffn_norm = "ffn_norm");

    // These compute a layer's parts. x, which is normalized, and out are (rows, hidden_size).
    virtual void attend(int layer, const std::vector<Row> &rows, KVCache &cache, const float *x, float *out) = 0;
    virtual void feed_forward(int layer, int tokens, const float *x, float *out) = 0;

    static std::string prefix(int layer) { return "blk." + std::to_string(layer) + "."; }

    Compute &compute_;
    Rotary rotary_;  // has the angles of the pass's rows

  private:
    struct Norms {
        const float *attention, *feed_forward;
        const float *post_attention, *post_feed_forward;  // null: the network has no such norm
    };

    void run_layer(int index, const std::vector<Row> &rows, KVCache &cache);
    void add_projected(const float *norm, int tokens);

    const int hidden_size_, vocab_size_;
    const float epsilon_;
    Matrix embedding_, output_;
    bool tied_;  // the embedding is the output matrix
    const float *output_norm_;
    std::deque<Norms> norms_;  // a deque: its elements do not move, for the plan points to them
    // Buffers of a pass, (tokens, hidden_size); kept for the next pass.
    std::vector<float> x_, normed_, projected_;
};

}  // namespace chatglm
