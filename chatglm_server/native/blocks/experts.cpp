#include "blocks/experts.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "blocks/linear.h"

namespace chatglm {
namespace {

constexpr float kLeastSum = 6.103515625e-5f;  // of the scores that become shares; llama.cpp has the same

}  // namespace

void Experts::plan(Weights &weights, WeightPlan &plan, const std::string &prefix) const {
    const int count = figures_.count, size = figures_.ffn_size;
    plan.matrix(weights.router, prefix + "ffn_gate_inp.weight", count, hidden_size_);
    plan.optional_vector(weights.bias, prefix + "exp_probs_b.bias", count);
    if (plan.has(prefix + "ffn_gate_up_exps.weight")) {
        weights.gate_and_up.plan(plan, prefix + "ffn_gate_up_exps", count, 2 * size, hidden_size_);
    } else {
        weights.gate_and_up.plan(plan, prefix + "ffn_gate_exps", count, size, hidden_size_);
        weights.gate_and_up.plan(plan, prefix + "ffn_up_exps", count, size, hidden_size_);
    }
    weights.down.plan(plan, prefix + "ffn_down_exps", count, hidden_size_, size);
    weights.shared.plan(plan, prefix, hidden_size_, figures_.shared_ffn_size, "_shexp");
}

void Experts::run(Compute &compute, const Weights &weights, const float *x, int tokens, float *out) {
    const int used = figures_.used, size = figures_.ffn_size;
    const size_t places = size_t(tokens) * used, row = hidden_size_;
    scores_.resize(size_t(tokens) * figures_.count);
    chosen_.resize(places);
    shares_.resize(places);
    multiply(compute, weights.router, x, tokens, scores_.data());
    compute.pool.run(tokens, 8, [&](int begin, int end, int) {
        for (size_t t = begin; t < size_t(end); ++t) {
            choose(&scores_[t * figures_.count], weights.bias, &chosen_[t * used], &shares_[t * used]);
        }
    });
    sort(tokens);

    sorted_.resize(places * row);
    wide_.resize(places * 2 * size);
    gated_.resize(places * size);
    answers_.resize(places * row);
    compute.pool.run(tokens, 8, [&](int begin, int end, int) {
        for (size_t i = size_t(begin) * used; i < size_t(end) * used; ++i) {
            std::memcpy(&sorted_[places_[i] * row], x + i / used * row, row * sizeof(float));
        }
    });
    weights.gate_and_up.run(compute, sorted_.data(), first_, wide_.data(), weights.gate_and_up.rows());
    gate(compute, wide_.data(), static_cast<int>(places), size, gated_.data());
    weights.down.run(compute, gated_.data(), first_, answers_.data(), row);

    weights.shared.run(compute, shared_, x, tokens, out);
    compute.pool.run(tokens, 8, [&](int begin, int end, int) {
        for (size_t i = size_t(begin) * used; i < size_t(end) * used; ++i) {
            const float *answer = &answers_[places_[i] * row], share = shares_[i];
            float *to = out + i / used * row;
            for (size_t j = 0; j < row; ++j) to[j] += share * answer[j];
        }
    });
}

// The experts of one token, the best first, of two equal ones the first; and their shares in what it becomes.
void Experts::choose(const float *scores, const float *bias, int *chosen, float *shares) const {
    std::vector<float> likely(figures_.count), ranks(figures_.count);
    for (int e = 0; e < figures_.count; ++e) {
        likely[e] = 1.0f / (1.0f + std::exp(-scores[e]));
        ranks[e] = bias == nullptr ? likely[e] : likely[e] + bias[e];
        if (!(ranks[e] > -INFINITY)) ranks[e] = -INFINITY;  // broken weights give no number; a choice must end
    }
    std::vector<bool> taken(figures_.count);
    float sum = 0;
    for (int i = 0; i < figures_.used; ++i) {
        int best = -1;
        for (int e = 0; e < figures_.count; ++e) {
            if (!taken[e] && (best < 0 || ranks[e] > ranks[best])) best = e;
        }
        taken[best] = true;
        chosen[i] = best;
        shares[i] = likely[best];
        sum += likely[best];
    }
    for (int i = 0; i < figures_.used; ++i) shares[i] = shares[i] / std::max(sum, kLeastSum) * figures_.scale;
}

// Gives each token its places.
void Experts::sort(int tokens) {
    first_.assign(figures_.count + 1, 0);
    for (const int expert : chosen_) ++first_[expert + 1];
    for (int e = 0; e < figures_.count; ++e) first_[e + 1] += first_[e];
    std::vector<int> next(first_.begin(), first_.end() - 1);
    places_.resize(size_t(tokens) * figures_.used);
    for (size_t i = 0; i < places_.size(); ++i) places_[i] = next[chosen_[i]]++;
}

}  // namespace chatglm
