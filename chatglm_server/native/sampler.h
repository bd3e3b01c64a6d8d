// From logits to the next token.
#pragma once

#include <cstdint>
#include <mutex>
#include <random>
#include <unordered_map>
#include <utility>
#include <vector>

namespace chatglm {

struct SamplingParams {
    float temperature = 1;         // 0: the likeliest
    int top_k = 0;                 // 0: all
    float top_p = 1;               // nucleus sampling (arXiv 1904.09751)
    float min_p = 0;               // least probability, as a part of the largest (arXiv 2407.01082)
    float repetition_penalty = 1;  // of what stands in prompt or answer (CTRL, arXiv 1909.05858)
    float presence_penalty = 0;    // OpenAI's: of what stands in the answer, once …
    float frequency_penalty = 0;   // … and as often as it does
    std::vector<std::pair<int, float>> bias;
    uint64_t seed = 0;
    int top_logprobs = -1;  // how many to report besides the drawn token's; -1: none at all
};

struct Sampled {
    int token;
    // Natural logarithm of its probability before penalties, temperature and cuts; not less than -9999, which also
    // stands for what is no number.
    float logprob;
    std::vector<std::pair<int, float>> top;
};

// Draws the tokens of one sequence. What it draws depends on its parameters, its seed, the prompt and the logits alone.
class Sampler {
  public:
    Sampler(const SamplingParams &params, const std::vector<int> &prompt);

    // Draws a token and takes note of it. `logits` is changed; it may hold anything, what is no number counts as minus
    // infinity. With `allowed`, tokens below `vocab`, it is one of these whatever their logits. `vocab` is not 0.
    Sampled sample(float *logits, int vocab, const std::vector<int> &allowed = {});

    // Takes note of a token of the answer that was not drawn.
    void note(int token);

  private:
    struct Seen {
        bool anywhere = false;
        int in_answer = 0;
    };

    void note_locked(int token);
    void penalize(float *logits, int vocab) const;
    int draw(const float *logits, int vocab, const std::vector<int> &allowed);

    SamplingParams params_;
    std::unordered_map<int, Seen> seen_;
    std::mt19937_64 random_;
    std::vector<std::pair<float, int>> candidates_;
    std::mutex mutex_;  // callers take turns
};

}  // namespace chatglm
