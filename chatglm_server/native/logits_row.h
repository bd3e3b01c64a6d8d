// The logits after one token, and the tokens that a mask allows: searched in blocks of 32, the tokens of a mask's word.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace chatglm {

struct Candidate {
    float logit;
    int token;
    double weight = 0;
};

// The larger logit first, of equal ones the smaller token: an order that is the same everywhere.
inline bool likelier(const Candidate &a, const Candidate &b) {
    return a.logit > b.logit || (a.logit == b.logit && a.token < b.token);
}

// Weights are e^((logit - largest) / temperature), rounded to multiples of a power of two that is small enough to be
// negligible and large enough for sums over the vocabulary to be exact. So a sum does not depend on its order, and
// neither does a draw.
class LogitsRow {
  public:
    // Buffers of a row.
    struct Scratch {
        std::vector<float> largest;  // of each block
        std::vector<double> sums;    // of each block's weights
    };

    // `mask` may be null: all tokens are allowed. Finds each block's largest logit.
    LogitsRow(const float *logits, int vocab, const uint32_t *mask, Scratch &scratch);

    // The likeliest token; -1 if none is allowed.
    int best() const { return best_; }
    float largest() const { return largest_; }
    int vocab() const { return vocab_; }

    // The weight of the likeliest token.
    double one() const { return one_; }

    // The sum of all weights, which also stores each block's for `at`.
    double total(float temperature) const;

    // The token at which the sum of weights, in the order of ids, exceeds `point`; `best` if none does.
    int at(double point, float temperature) const;

    // The `count` likeliest tokens, or all there are, in the order of ids.
    void likeliest(size_t count, std::vector<Candidate> &found) const;

    // The tokens whose logit is at least `least`, in the order of ids.
    void at_least(float least, std::vector<Candidate> &found) const;

    // Sets the candidates' weights and returns their sum.
    double weigh(float temperature, std::vector<Candidate> &candidates) const;

  private:
    uint32_t allowed(int block) const;
    double weight(float logit, float temperature) const;
    template <class Visit>
    void each_allowed(int block, Visit visit) const;

    const float *logits_;
    int vocab_, blocks_;
    const uint32_t *mask_;
    Scratch &scratch_;
    float largest_;
    int best_;
    double one_;
};

}  // namespace chatglm
