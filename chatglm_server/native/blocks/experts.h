// A feed-forward layer of experts (DeepSeekMoE, arXiv 2401.06066, with the gate of DeepSeek-V3, arXiv 2412.19437): each
// token goes through the few experts that its router chooses, and through one that all tokens share.
#pragma once

#include <string>
#include <vector>

#include "blocks/feed_forward.h"
#include "blocks/stack.h"
#include "spec.h"

namespace chatglm {

// One for a network: layers share its buffers.
class Experts {
  public:
    struct Weights {
        Matrix router;
        const float *bias;  // added to the scores that choose, and to no weight; null: none
        Stack gate_and_up, down;
        FeedForward shared;
    };

    Experts(int hidden_size, const ExpertFigures &figures) : hidden_size_(hidden_size), figures_(figures) {}

    // Plans the router, the experts (gate and up apart or joined, the gate's rows first) and the shared expert, under
    // GGUF's names. Throws like WeightPlan::matrix and WeightPlan::stack.
    void plan(Weights &weights, WeightPlan &plan, const std::string &prefix) const;

    // x and out are (tokens, hidden_size). A token's sum depends on its own experts alone, whatever tokens they share.
    void run(Compute &compute, const Weights &weights, const float *x, int tokens, float *out);

  private:
    void choose(const float *scores, const float *bias, int *chosen, float *shares) const;
    void sort(int tokens);

    const int hidden_size_;
    const ExpertFigures figures_;
    FeedForward::Scratch shared_;
    // Of a pass. A place is a token's turn at an expert; places are sorted by expert, then by token.
    std::vector<float> scores_;                           // (tokens, experts)
    std::vector<int> chosen_;                             // (tokens, used)
    std::vector<float> shares_;                           // (tokens, used)
    std::vector<int> places_;                             // (tokens, used)
    std::vector<int> first_;                              // (experts + 1): the first place of each expert
    std::vector<float> sorted_, wide_, gated_, answers_;  // (places, …)
};

}  // namespace chatglm
