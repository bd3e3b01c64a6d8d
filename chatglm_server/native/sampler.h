// From logits to the next tokens of a sequence.
#pragma once

#include <cstdint>
#include <mutex>
#include <unordered_map>
#include <utility>
#include <vector>

#include "logits_row.h"

namespace chatglm {

struct SamplingParams {
    float temperature = 1;         // 0: the likeliest token
    int top_k = 0;                 // 0: all tokens
    float top_p = 1;               // nucleus sampling (arXiv 1904.09751)
    float min_p = 0;               // least probability, as a part of the largest (arXiv 2407.01082)
    float repetition_penalty = 1;  // of tokens in the prompt or the answer (CTRL, arXiv 1909.05858)
    float presence_penalty = 0;    // OpenAI's, of tokens in the answer: once …
    float frequency_penalty = 0;   // … and for each time
    std::vector<std::pair<int, float>> bias;
    uint64_t seed = 0;
    uint64_t answer = 0;    // number of the answer among those to one prompt
    int top_logprobs = -1;  // likeliest tokens to report with the sampled one; -1: no log probabilities at all
};

struct Sampled {
    int token;  // -1: the mask allows none
    // Natural logarithm of the probability before penalties, mask, temperature and cuts. At least -9999, which also
    // stands for NaN.
    float logprob;
    std::vector<std::pair<int, float>> top;
};

// Samples the tokens of one answer. A token is a function of the parameters, the prompt, the tokens of the answer so
// far, the logits and the mask. The steps are: log probabilities; bias and penalties; mask; temperature; top_k; top_p;
// min_p.
//
// NaN counts as minus infinity. If every allowed token has minus infinity the smallest allowed id is sampled; so a bias
// never overrides a mask.
class Sampler {
  public:
    Sampler(const SamplingParams &params, const std::vector<int> &prompt);

    // Samples the token after row 0 of `logits`, and after row i + 1 as long as the one after row i is `draft[i]`: each
    // row is what plain decoding would see there, so the tokens are those of plain decoding. `masks`, one for each row
    // or empty, are null or have a bit for each token that is allowed. Notes the tokens. Leaves `logits`, `vocab`
    // floats a row, as they were.
    std::vector<Sampled> sample(float *logits, int vocab, const std::vector<int> &draft,
                                const std::vector<const uint32_t *> &masks);

    // Notes a token of the answer that was not sampled.
    void note(int token);

  private:
    struct Seen {
        bool anywhere = false;
        int in_answer = 0;
    };

    Sampled sample_row(float *logits, int vocab, const uint32_t *mask);
    void note_locked(int token);
    void penalize(float *logits, int vocab);
    void change(float *logits, int token, float value);
    int draw(const LogitsRow &row);
    void keep_nucleus(double mass);

    SamplingParams params_;
    std::unordered_map<int, Seen> seen_;
    uint64_t position_ = 0;  // of the next token in the answer
    std::mutex mutex_;       // callers take turns

    // what a row is worked on with, kept for the next one
    LogitsRow::Scratch scratch_;
    std::vector<Candidate> candidates_, sorted_;
    std::vector<std::pair<int, float>> changed_;  // logits as they were before `penalize`
};

}  // namespace chatglm
